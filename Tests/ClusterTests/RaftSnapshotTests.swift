import Primitives
import Raft
import Storage
import Testing
import Transport

@testable import Cluster

/// Snapshots of the state machine in place of the log: taken, sent, installed, and read again (RaftDriver+Asking.swift, RaftPeers.swift; Raft section 7).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct RaftSnapshotTests {
    private static let state = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private func save(_ member: RaftMember, at index: LogIndex, _ bytes: [UInt8] = state) throws -> Int? {
        var pieces = stride(from: 0, to: bytes.count, by: 3000).map { Array(bytes[$0..<min(bytes.count, $0 + 3000)]) }.makeIterator()
        return try member.driver.save(
            index: index, digest: StateDigest(high: 1, low: index.number), featureLevel: 2, pieces: { pieces.next() })
    }

    /// The hash over all records of these entries.
    private func chain(_ entries: [LogEntry]) -> UInt64 {
        var bytes: [UInt8] = []
        return entries.reduce(0) { Record.append($1, durable: .zero, chain: $0, to: &bytes) }
    }

    private func payloads(_ count: Int) -> [[UInt8]] { (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1000) } }

    // MARK: Taking

    @Test func `a snapshot says where in the log it stands, by its hash too, and the log before it goes`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            let index = try await stage.commit(payloads(200))
            let before = try member.log(through: index)
            let written = try save(member, at: index)
            #expect(written == Self.state.count)
            let (manifest, bytes) = try #require(try member.driver.snapshots.newest())
            #expect(bytes == Self.state)
            #expect(manifest.position == .init(index: index, term: before[before.count - 1].term, chain: chain(before)))
            #expect(manifest.digest == StateDigest(high: 1, low: index.number))
            #expect(manifest.featureLevel == 2)
            #expect(manifest.configuration == Configuration(voters: [member.id]).description)
            #expect(!manifest.isInstalled)
            #expect(member.status.snapshotIndex == index)
            #expect(member.status.firstIndex == LogIndex(index.number - 3), "a tail stays")
            // One of 200 KB is left of the files of 64 KiB.
            let isCompacted = try await eventually {
                try FileDisk().list(member.folder + "/raft/log").filter { $0.hasSuffix(".log") }.count <= 2
            }
            #expect(isCompacted)
            #expect(try save(member, at: LogIndex(2)) == nil, "there is a newer one")
            let after = try await stage.commit(payloads(2))
            #expect(
                try member.log(through: after, after: LogIndex(index.number - 1)).map(\.index.number) == Array(index.number...after.number))
        }
    }

    @Test func `a server that starts again begins with its snapshot, and replays what came after it when it is alone`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            let index = try await stage.commit(payloads(5))
            _ = try save(member, at: index)
            let last = try await stage.commit(payloads(3))
            let after = try member.log(through: last, after: index)
            await stage.stop(member)
            let again = try await stage.add(1, voters: [member.id])
            #expect(again.restored == Self.state)
            #expect(again.replayed == after)
            #expect(again.started.snapshotIndex == index)
            let leads = try #require(again.started.leads)
            #expect(leads.from == last.next)
            #expect(again.told.all == [.role(.leads(leads.term, from: leads.from)), .committed(leads.from)])
            #expect(again.status.isLeader)
        }
    }

    @Test func `a snapshot is wanted when the log has grown by so much, and not again at once`() async throws {
        var settings = RaftStage.settings
        settings.snapshotBytes = 20_000
        try await withRaft(1, settings) { stage in
            let member = stage.members[0]
            try await stage.commit(payloads(5))
            #expect(!member.driver.wantsSnapshot)
            let index = try await stage.commit(payloads(20))
            let isWanted = await eventually { member.driver.wantsSnapshot }
            #expect(isWanted)
            _ = try save(member, at: index, [UInt8](repeating: 1, count: 60_000))
            #expect(!member.driver.wantsSnapshot)
            try await stage.commit(payloads(30))
            #expect(!member.driver.wantsSnapshot, "a large snapshot is taken more rarely")
            try await stage.commit(payloads(40))
            let isWantedAgain = await eventually { member.driver.wantsSnapshot }
            #expect(isWantedAgain)
        }
    }

    // MARK: Sending

    @Test func `a follower that was away gets the snapshot, is told of it before anything after it, and goes on`() async throws {
        try await withRaft { stage in
            try await stage.commit(payloads(2))
            let (leader, _) = try await stage.leader()
            let away = stage.others(than: leader)[0]
            let voters = stage.members.map(\.id).sorted()
            await stage.stop(away)
            let index = try await stage.commit(payloads(100))
            let haveAll = await eventually {
                stage.members.allSatisfy { $0.status.commitIndex >= index && $0.status.durableIndex >= index }
            }
            #expect(haveAll)
            // Whoever leads, it has no log for who comes back.
            for member in stage.members { #expect(try save(member, at: index) == Self.state.count) }
            let isCompacted = await eventually { stage.members.allSatisfy { $0.status.firstIndex.number == index.number - 3 } }
            #expect(isCompacted)
            let number = try #require(voters.firstIndex(of: away.id)) + 1
            let back = try await stage.add(number, voters: voters)
            stage.introduce()
            let last = try await stage.commit(payloads(3))
            let isBack = await eventually { back.status.commitIndex >= last && back.committed.last.map { $0 >= last } == true }
            #expect(isBack)

            let told = back.told.all
            let place = try #require(told.firstIndex(of: .restored(index)))
            for (at, item) in told.enumerated() {
                if case .committed(let committed) = item { #expect(at < place ? committed < index : committed > index, "\(told)") }
            }
            let (manifest, bytes) = try #require(try back.driver.snapshots.newest())
            #expect(bytes == Self.state)
            #expect(manifest.position.index == index)
            #expect(manifest.isInstalled)
            #expect(manifest.configuration == Configuration(voters: voters).description)
            let logs = try stage.members.map { try $0.log(through: last, after: index) }
            for log in logs { #expect(log == logs[0]) }
            #expect(back.events.contains("raft.snapshot_installed"))
            #expect(stage.members.contains { $0.events.contains("raft.snapshot_sent") })

            // And begins with it when it starts again.
            await stage.stop(back)
            let again = try await stage.add(number, voters: voters)
            #expect(again.restored == Self.state)
            #expect(again.started.snapshotIndex == index)
            #expect(again.replayed.isEmpty, "it does not know what of it is committed")
            #expect(again.started.leads == nil)
            stage.introduce()
            let end = try await stage.commit(payloads(1))
            let isThere = await eventually { again.status.commitIndex >= end }
            #expect(isThere)
        }
    }
}
