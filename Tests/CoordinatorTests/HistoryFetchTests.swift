import NIOCore
import NIOPosix
import Observability
import Primitives
import Storage
import Testing
import Transport
import Wire
import Workflows

@testable import Cluster
@testable import Coordinator

/// Nodes that came by a snapshot get what their history lacks from others (HistoryFetch.swift, HistoryServing.swift).
@Suite(.serialized, .timeLimit(.minutes(4)))
struct HistoryFetchTests {
    /// Small files, and no long wait between rounds.
    private static var settings: CoordinatorNode.Settings {
        var settings = CoordinatorStage.settings
        settings.history.segmentBytes = 4 << 10
        settings.historyFetch.fileBytes = 4 << 10
        settings.historyFetch.pause = .milliseconds(20)..<(.milliseconds(100))
        return settings
    }

    /// The stage with a node that is down, whose log is compacted elsewhere, and what came meanwhile.
    private func withAbsent(
        _ count: Int = 3, _ settings: CoordinatorNode.Settings = settings,
        _ body: (CoordinatorStage, _ away: NodeID, _ missed: [Int]) async throws -> Void
    ) async throws {
        try await withCoordinators(count, settings) { stage in
            try await stage.activate()
            for number in 0..<5 { try await stage.submit(numbered("seen", number)) }
            _ = try await stage.settled()
            let leader = try await stage.withLeader { $0 }
            let away = stage.others(than: leader)[0]
            let end = away.node.raft.status.lastIndex
            await stage.stop(away)
            let missed = Array(5..<60)
            for number in missed { try await stage.submit(numbered("seen", number)) }
            for number in 0..<5 { try await stage.submit(numbered("pause", number)) }
            _ = try await stage.settled()
            for member in stage.members { member.node.loop.requestSnapshot() }
            let isCompacted = await eventually { stage.members.allSatisfy { $0.node.raft.status.firstIndex > end.next } }
            try #require(isCompacted)
            try await body(stage, away.id, missed)
        }
    }

    /// Numbers of the messages of type `seen`, newest first.
    private func seen(_ member: CoordinatorMember) throws -> [Int] {
        try member.node.history.newest(.message, limit: 1000) { _ in true }.items.compactMap { item in
            guard case .message(let accepted) = item, accepted.message.type == "seen" else { return nil }
            return Int(accepted.message.id.dropFirst(5))
        }
    }

    private func has(_ member: CoordinatorMember, _ kind: String, _ words: String = "") -> Bool {
        member.telemetry.events.latest(500).contains { $0.kind == kind && (words.isEmpty || $0.text.contains(words)) }
    }

    private func filled(_ member: CoordinatorMember) async -> Bool { await eventually { member.node.history.gaps.isEmpty } }

    // MARK: Filling

    @Test func `a node that was away for long has everything that ended meanwhile, in order and once, also after its next start`()
        async throws
    {
        try await withAbsent { stage, away, missed in
            let back = try await stage.start(away)
            #expect(await eventually { has(back, "history.filled") })
            for number in 60..<65 { try await stage.submit(numbered("seen", number)) }
            _ = try await stage.settled()
            let found = try seen(back)
            #expect(found == Array((0..<65).reversed()), "\(found)")
            let leader = try await stage.withLeader { $0 }
            func kept(_ member: CoordinatorMember) throws -> [HistoryItem] {
                let (messages, _) = try member.node.history.newest(.message, limit: 1000) { _ in true }
                return messages + (try member.node.history.newest(.run, limit: 1000) { _ in true }.items)
            }
            #expect(try kept(back) == kept(leader))
            for number in missed {
                #expect(try back.node.history.message("seen-\(number)", namespace: .default) != nil, "\(number)")
            }
            #expect(has(back, "history.gap"))
            let fetched = back.metric("distric_history_fetched_records_total")
            #expect(fetched >= Double(missed.count))
            #expect(back.metric("distric_history_fetched_bytes_total") > fetched * 48)
            #expect(back.metric("distric_history_gap_age_seconds") == 0 && back.metric("distric_history_gap_entries") == 0)
            // The last entry that was stored comes again, since it might not have been whole.
            let sent = stage.members.reduce(0) { $0 + $1.metric("distric_history_sent_records_total") }
            #expect((0...1).contains(sent - fetched), "\(sent) \(fetched)")
            #expect(back.telemetry.health.all.allSatisfy { $0.status == .up })

            await stage.stop(back)
            let again = try await stage.start(away)
            _ = try await stage.settled()
            #expect(try kept(again) == kept(leader))
            #expect(!has(again, "history.gap"))
        }
    }

    @Test func `a node that ends in the middle goes on where it was`() async throws {
        var slow = Self.settings
        slow.historyFetch.bytesPerSecond = 20_000
        try await withAbsent(3, slow) { stage, away, missed in
            let back = try await stage.start(away)
            let hasSome = await eventually {
                guard let gap = back.node.history.gaps.first else { return false }
                return back.node.history.reached(gap) > gap.after
            }
            #expect(hasSome)
            let some = try seen(back)
            #expect(some.count < 60 && some == some.sorted(by: >))
            await stage.stop(back)
            let again = try await stage.start(away)
            #expect(await eventually { has(again, "history.filled") })
            #expect(try seen(again) == Array((0..<60).reversed()))
            // With them came five messages and five runs.
            let rest = missed.count + 10 - (some.count - 5)
            #expect(Int(again.metric("distric_history_fetched_records_total")) <= rest, "what had come did not come again")
        }
    }

    @Test func `a gap that nobody wrote down before the node ended is found when it starts`() async throws {
        try await withAbsent { stage, away, _ in
            let back = try await stage.start(away)
            #expect(await filled(back))
            _ = try await stage.settled()
            await stage.stop(back)
            // As it is when the node ends between the two.
            let history = stage.path(away) + "/history"
            for name in try FileDisk().list(history) where name != "000000000001.records" { try FileDisk().remove(history + "/" + name) }
            let again = try await stage.start(away)
            #expect(has(again, "history.gap"))
            #expect(await filled(again))
            _ = try await stage.settled()
            #expect(try seen(again) == Array((0..<60).reversed()))
        }
    }

    @Test func `it waits for as long as nobody can be asked, and asks others when the leader cannot be`() async throws {
        var hasty = Self.settings
        hasty.historyFetch.timeout = .milliseconds(300)
        try await withAbsent(5, hasty) { stage, away, _ in
            let back = try await stage.start(away)
            let history = back.node.history
            #expect(await filled(back))
            let leader = try await stage.withLeader { $0 }
            // Something is missing again, and the leader's own calls are cut off from here, as all others' but one.
            let end = history.lastIndex
            let helper = try #require(stage.others(than: back).first { $0.id != leader.id })
            for other in stage.members where other.id != back.id { back.faults.set(LinkFault(isCut: true), to: other.id) }
            let copy = LogIndex(end.number + 1_000_000)
            try history.noteGap(after: copy, through: copy.next)
            let failed = await eventually { back.metric("distric_history_fetch_failures_total") >= 3 }
            #expect(failed)
            #expect(history.gaps.count == 1 && back.metric("distric_history_gap_entries") == 1)
            #expect(back.metric("distric_history_gap_age_seconds") > 0)
            let before = helper.metric("distric_rpc_calls_total", "history_read")
            back.faults.set(LinkFault(), to: helper.id)
            let isAsked = await eventually { helper.metric("distric_rpc_calls_total", "history_read") > before }
            #expect(isAsked)
            #expect(history.gaps.count == 1, "nobody has applied so much yet")
        }
    }

    // MARK: Ending without it

    @Test func `what the others do not keep any more ends the gap, and that is told`() async throws {
        try await withAbsent { stage, away, _ in
            for member in stage.members {
                let (id, path) = (member.id, stage.path(member.id) + "/history")
                await stage.stop(member)
                for name in try FileDisk().list(path) { try FileDisk().remove(path + "/" + name) }
                try await stage.start(id)
            }
            let back = try await stage.start(away)
            #expect(await eventually { has(back, "history.filled", ": 0 records") })
            #expect(try seen(back) == Array((0..<5).reversed()))
        }
    }

    @Test func `what the others lack too is lost, and that is told`() async throws {
        // The others ask once, while one is down, and then rest.
        var patient = Self.settings
        patient.historyFetch.pause = .seconds(120)..<(.seconds(240))
        try await withAbsent(3, patient) { stage, away, _ in
            for member in stage.members {
                let (id, path) = (member.id, stage.path(member.id) + "/history")
                await stage.stop(member)
                for name in try FileDisk().list(path) { try FileDisk().remove(path + "/" + name) }
                let store = try HistoryStore(disk: FileDisk(), folder: path, telemetry: .quiet(node: id))
                try store.noteGap(after: .zero, through: LogIndex(1_000_000))
                store.close()
                try await stage.start(id)
            }
            let back = try await stage.start(away)
            #expect(await eventually { has(back, "history.lost", "the others lack it too") })
            #expect(try seen(back) == Array((0..<5).reversed()))
        }
    }

    @Test func `damage at the sender is passed over and counted`() async throws {
        try await withAbsent { stage, away, _ in
            for member in stage.members {
                let (id, folder) = (member.id, stage.path(member.id) + "/history")
                await stage.stop(member)
                let full = try FileDisk().list(folder).filter { $0.hasSuffix(".index") }
                let path = folder + "/" + (try #require(full.dropFirst().first)).dropLast(6) + ".records"
                var bytes = try #require(try FileDisk().contents(of: path))
                bytes[HistoryIndex.offsets(in: bytes).offsets[1] + 60] ^= 1
                try FileDisk().replace(path, with: bytes)
                try await stage.start(id)
            }
            let back = try await stage.start(away)
            #expect(await eventually { has(back, "history.filled", "bytes could not be read there") })
            #expect(try seen(back).count == 59)
            let unreadable = stage.members.reduce(0) { $0 + $1.metric("distric_history_unreadable_bytes_total") }
            #expect(unreadable > 48 && unreadable < 2000)
            #expect(stage.others(than: back).contains { has($0, "history.damaged") })
        }
    }

    // MARK: Who may ask

    @Test func `history is sent to coordinators of the cluster alone, to few at once, and for ranges that make sense`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            _ = try await stage.settled()
            let (member, other) = (stage.members[0], stage.members[1])
            for number in UInt64(1)...20 {
                let time = HistorySamples.time(number)
                try member.node.history.append(HistorySamples.entry(number, bytes: 100_000), index: LogIndex(1), time: time)
            }
            let address = try #require(member.own.current.address.flatMap { try? PeerAddress($0) })
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            func client(_ node: NodeID?) -> RPCClient { CoordinatorMember.caller(node, window: 1, group) }
            func code(_ client: RPCClient, _ call: HistoryRead) async -> CallError.Code? {
                do throws(CallError) {
                    _ = try await client.stream(call, to: address, timeout: .seconds(30)).reply()
                    return nil
                } catch {
                    return error.code
                }
            }
            func asked(_ after: UInt64, _ through: UInt64, _ limit: UInt32 = 1 << 30) -> HistoryRead {
                HistoryRead(after: LogIndex(after), through: LogIndex(through), notBefore: .zero, limitBytes: limit)
            }
            let (nobody, stranger, own, peer) = (client(nil), client(try NodeID("x-1")), client(member.id), client(other.id))
            for client in [nobody, stranger, own] { #expect(await code(client, asked(0, 2)) == .denied) }
            for call in [asked(2, 2), asked(3, 2), asked(0, 2, 0)] { #expect(await code(peer, call) == .invalid) }
            var group1 = asked(0, 2)
            group1.group = 1
            #expect(await code(peer, group1) == .invalid)
            do {
                // Who reads one piece and no more keeps its place.
                let streams = [
                    try await peer.stream(asked(0, 2), to: address, timeout: .seconds(60)),
                    try await peer.stream(asked(0, 2), to: address, timeout: .seconds(60)),
                ]
                for stream in streams { #expect(try await stream.next() != nil) }
                #expect(await code(peer, asked(0, 2)) == .busy)
                withExtendedLifetime(streams) {}
            }
            #expect(await eventually { await code(peer, asked(0, 2)) == nil })
            for client in [nobody, stranger, own, peer] { client.close() }
            try? await group.shutdownGracefully()
        }
    }
}
