import HashTreeCollections
import Observability
import Primitives
import Storage
import Testing
import Wire
import Workflows

@testable import Coordinator

/// A replica applies what the leader committed, or stands still for good before what it cannot (ReplicaApplier.swift).
struct ReplicaApplierTests {
    private let rig: Rig

    /// Some entries, with a digest each five.
    init() throws {
        var limits = Planner.Limits()
        limits.digestEvery = 5
        var rig = try Rig(limits: limits)
        for number in 1...12 {
            let assignment = try rig.begin(number % 2 == 0 ? "order" : "note", number)
            rig.end(assignment, .succeeded(["n": Value(number)]))
        }
        self.rig = rig
    }

    private func applier(_ history: HistoryStore? = nil) -> ReplicaApplier {
        ReplicaApplier(cluster: Rig.cluster, dedup: DedupWindow(), history: history)
    }

    private func entry(_ proposal: Planner.Proposal) -> LogEntry {
        LogEntry(index: proposal.index, term: Term(1), kind: .commands, payload: proposal.payload)
    }

    private func failure(_ body: () throws(StorageError) -> Void) -> StorageError? {
        do throws(StorageError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    /// Applies all entries before this one, then this one: what it stands still for, with the state as it was before.
    private func standstill(at place: Int, _ payload: [UInt8]) throws -> ReplicaApplier.Standstill {
        let applier = applier()
        for proposal in rig.log.prefix(place) { try applier.apply(entry(proposal)) }
        let before = StateCodec.encode(applier.state)
        let next = LogEntry(index: applier.state.applied.next, term: Term(1), kind: .commands, payload: payload)
        let error = failure { () throws(StorageError) in try applier.apply(next) }
        let found = try #require(applier.standstill)
        #expect(error == found.storageError)
        #expect(StateCodec.encode(applier.state) == before, "nothing of the entry was applied")
        // And nothing comes after it, however good it is.
        let later = failure { () throws(StorageError) in try applier.apply(entry(rig.log[place])) }
        #expect(later == error)
        let restored = failure { () throws(StorageError) in try applier.restore(before, at: applier.state.applied) }
        #expect(restored == error)
        #expect(StateCodec.encode(applier.state) == before)
        return found
    }

    // MARK: What it applies

    @Test func `the state follows the leader's entry by entry`() throws {
        let applier = applier()
        for proposal in rig.log {
            let applied = try applier.apply(entry(proposal))
            #expect(applier.state.digest == proposal.state.digest, "entry \(proposal.index)")
            #expect(applied.history == proposal.history, "entry \(proposal.index)")
        }
        #expect(applier.standstill == nil)
        #expect(rig.log.count > 12)
    }

    @Test func `what Raft puts into the log itself moves the index alone`() throws {
        let applier = applier()
        for proposal in rig.log { try applier.apply(entry(proposal)) }
        let time = applier.state.time
        for kind in [LogEntry.Kind.leaderStart, .configuration] {
            let applied = try applier.apply(
                LogEntry(index: applier.state.applied.next, term: Term(2), kind: kind, payload: Array("voters=w-1".utf8)))
            #expect(applied.outcomes.isEmpty && applied.history.isEmpty)
        }
        #expect(applier.state.applied == LogIndex(UInt64(rig.log.count + 2)))
        #expect(applier.state.appliedTerm == Term(2))
        #expect(applier.state.time == time)
    }

    @Test func `it goes on from a snapshot as without one`() throws {
        let half = rig.log.count / 2
        let state = rig.log[half - 1].state
        let applier = applier()
        try applier.restore(StateCodec.encode(state), at: state.applied)
        #expect(applier.snapshotIndex == state.applied)
        for proposal in rig.log.dropFirst(half) { try applier.apply(entry(proposal)) }
        #expect(applier.state.digest == rig.planner.state.digest)
    }

    @Test func `what leaves the state is in the history, once, though the log is read again`() throws {
        let temporary = try TemporaryFolder()
        let telemetry = Telemetry.quiet(node: try NodeID("n-1"))
        for _ in 0..<2 {
            let history = try HistoryStore(disk: FileDisk(), folder: temporary.path, telemetry: telemetry)
            let applier = applier(history)
            for proposal in rig.log { try applier.apply(entry(proposal)) }
            try history.flush()
            #expect(history.lastIndex == rig.log.last?.index)
            let messages = try history.newest(.message, limit: 100, before: nil) { _ in true }
            #expect(messages.items.count == 12)
            let runs = try history.newest(.run, limit: 100, before: nil) { _ in true }
            #expect(runs.items.count == 6)
            history.close()
        }
    }

    // MARK: What stops it

    /// An entry with an envelope of this level and these commands, each a kind and its fields.
    private func payload(level: UInt16, version: UInt8 = 1, _ commands: [(kind: UInt16, fields: (inout TLVWriter) -> Void)]) -> [UInt8] {
        var writer = TLVWriter()
        LogEnvelope(featureLevel: level, time: rig.wall, namespace: "", kind: 1).encode(into: &writer)
        for command in commands {
            writer.message(1) { writer in
                writer.string(1, "")
                writer.u16(2, command.kind)
                writer.message(3) { command.fields(&$0) }
            }
        }
        return [version] + writer.bytes.dropFirst()
    }

    private let good: (kind: UInt16, fields: (inout TLVWriter) -> Void) = (
        0x0020,
        {
            $0.id(1, UUIDv7(high: 1, low: 1))
            $0.u64(2, 0)
            $0.bytes(3, [1])
        }
    )

    @Test func `an entry of a higher level stops it, and the level is named`() throws {
        let place = 7
        let level = FeatureLevels.newest + 1
        let found = try standstill(at: place, payload(level: level, [good]))
        let index = LogIndex(UInt64(place + 1))
        #expect(found == .unreadable(index, .unsupportedFeatureLevel(level, supported: FeatureLevels.newest), level: level))
        #expect(
            found.description
                == "log entry 8 cannot be applied, and nothing after it: needs feature level 5; this program has 4: start the node with a newer distric"
        )
        #expect(found.storageError == .unreadable(index: index, reason: "needs feature level 5; this program has 4"))
    }

    @Test func `a level that is raised beyond this program stops it, whatever the envelope says`() throws {
        let found = try standstill(at: 3, payload(level: 3, [good, (0x0031, { $0.u16(1, 9) })]))
        #expect(found == .unreadable(LogIndex(4), .unsupportedFeatureLevel(9, supported: FeatureLevels.newest), level: 3))
        #expect(found.description.contains("needs feature level 9; this program has 4"))
    }

    @Test func `an unknown command stops it before those that stand in front of it`() throws {
        let found = try standstill(at: 4, payload(level: 3, [good, (0x7777, { _ in })]))
        #expect(found == .unreadable(LogIndex(5), .unknownCommand(kind: 0x7777), level: 3))
        #expect(
            found.description
                == "log entry 5 cannot be applied, and nothing after it: command kind 30583 is unknown to this program; a newer version wrote it (an entry of feature level 3; this program has 4): start the node with a newer distric"
        )
    }

    @Test func `an unknown field and another envelope stop it`() throws {
        let field = try standstill(at: 2, payload(level: 2, [good, (0x0031, { $0.u8(60, 1) })]))
        guard case .unreadable(LogIndex(3), .unknownField(tag: 60, _), level: 2) = field else {
            Issue.record("\(field)")
            return
        }
        #expect(field.description.contains("written by a newer version (an entry of feature level 2; this program has 4)"))
        let envelope = try standstill(at: 0, payload(level: 1, version: 2, [good]))
        #expect(envelope == .unreadable(LogIndex(1), .unsupportedEnvelope(version: 2), level: nil))
        #expect(try standstill(at: 0, []) == .unreadable(LogIndex(1), .truncated(at: 0), level: nil))
    }

    @Test func `a snapshot of a higher level or another version stops it, and is named`() throws {
        var head = TLVWriter()
        head.message(1) { writer in
            writer.u16(1, 1)
            writer.id(2, Rig.cluster)
            writer.u16(12, 5)
            writer.u64(13, 1)
        }
        var other = TLVWriter()
        other.message(1) { $0.u16(1, 2) }
        for (bytes, reason) in [
            (head.bytes, "needs feature level 5; this program has 4"), (other.bytes, "snapshot version 2; this program reads 1"),
        ] {
            let applier = applier()
            let error = failure { () throws(StorageError) in try applier.restore(bytes, at: LogIndex(9)) }
            let found = try #require(applier.standstill)
            #expect(error == found.storageError)
            #expect(found.description.contains(reason) && found.description.contains("snapshot at index 9"), "\(found)")
            #expect(applier.state.applied == .zero && applier.state.featureLevel == FeatureLevels.unspoken)
        }
    }

    @Test func `a snapshot of another cluster or another index is refused`() throws {
        let state = rig.log[3].state
        let applier = applier()
        let index = failure { () throws(StorageError) in try applier.restore(StateCodec.encode(state), at: LogIndex(9)) }
        #expect(index?.description.contains("the snapshot is of index 4, not of 9") == true)
        let stranger = ReplicaApplier(cluster: UUIDv7(high: 1, low: 1), dedup: DedupWindow(), history: nil)
        let cluster = failure { () throws(StorageError) in try stranger.restore(StateCodec.encode(state), at: LogIndex(4)) }
        let words = cluster?.description ?? ""
        #expect(words.contains("the snapshot at index 4 is of cluster \(Rig.cluster), and the file identity beside it of"), "\(words)")
        #expect(words.contains("Put back the identity that was there") && words.contains("distric raft remove"), "\(words)")
        #expect(!words.contains("newer distric"))
        #expect(stranger.state.applied == .zero)
    }

    @Test func `a state that is not the leader's stops at the next digest, and the index is named`() throws {
        let place = try #require(try rig.log.firstIndex { try commands([$0]).contains { $0.kind == 0x0030 } })
        let applier = applier()
        for proposal in rig.log.prefix(place) { try applier.apply(entry(proposal)) }
        applier.state.totals.accepted += 1
        let before = StateCodec.encode(applier.state)
        let error = failure { () throws(StorageError) in try applier.apply(entry(rig.log[place])) }
        guard case .diverged(let mismatch)? = applier.standstill else {
            Issue.record("\(String(describing: applier.standstill))")
            return
        }
        #expect(mismatch.index == rig.log[place].index)
        #expect(mismatch.expected == rig.log[place].state.digest)
        #expect(mismatch.found != mismatch.expected)
        #expect(error == .unreadable(index: mismatch.index, reason: mismatch.description))
        #expect(StateCodec.encode(applier.state) == before)
    }

    @Test func `a history that takes no more stops it`() throws {
        let temporary = try TemporaryFolder()
        let disk = FullDisk()
        let history = try HistoryStore(disk: disk, folder: temporary.path, telemetry: Telemetry.quiet(node: try NodeID("n-1")))
        let applier = applier(history)
        let ending = try #require(rig.log.firstIndex { $0.history.contains { if case .run = $0 { true } else { false } } })
        for proposal in rig.log.prefix(ending) { try applier.apply(entry(proposal)) }
        try history.flush()
        disk.isFull = true
        // Enough of it in one entry that it does not wait for the flush.
        var runs: [WorkflowRun] = []
        let run = try Replica.sample()
        for _ in 0..<4 {
            var next = run
            (next.state, next.output) = (.succeeded, .string(String(repeating: "x", count: 400_000)))
            runs.append(next)
        }
        let message = Message(id: "large", source: "test", type: "t", data: nil)
        let submit = Submit(message: message, catalogVersion: applier.state.catalogVersion, matched: [], runs: runs)
        let index = applier.state.applied.next
        let payload = CommandCodec.encode([.submit(submit)], time: rig.wall)
        let error = failure { () throws(StorageError) in
            try applier.apply(LogEntry(index: index, term: Term(1), kind: .commands, payload: payload))
        }
        guard case .full? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(applier.standstill == error.map { .history(index, $0) })
    }

    // MARK: Telling

    @Test func `a standstill is an event, and the node is down until it is started again`() throws {
        let telemetry = Telemetry.quiet(node: try NodeID("n-1"))
        let mismatch = DigestMismatch(index: LogIndex(4096), expected: StateDigest(high: 1, low: 2), found: StateDigest(high: 3, low: 4))
        let standstill = ReplicaApplier.Standstill.diverged(mismatch)
        standstill.announce(telemetry)
        standstill.announce(telemetry)
        let events = telemetry.events.latest(10)
        #expect(events.map(\.kind) == ["raft.digest_mismatch"])
        #expect(events.first?.severity == .error)
        #expect(events.first?.text.hasPrefix("the state at log index 4096 has digest ") == true)
        #expect(!telemetry.health.isReady)
        let replica = telemetry.health.all.first { $0.name == "replica" }
        #expect(replica?.status == .down)
        #expect(replica?.reason == standstill.description)
    }
}
