import Primitives
import Testing

@testable import Raft

/// A server whose folder was put back from an older copy finds it out by the leader's word (Decisions/RolledBackFolders), and what of its log is committed by
/// its own.
struct RollbackTests {
    /// n2 with two entries of term 1, whose leader n1 has its word for five.
    private func rolledBack(_ bench: inout Bench) {
        bench.receive(.append(heartbeat(term: 1, previous: 5, of: 1, commit: 5, round: 9)), from: 1)
    }

    @Test func `a message without entries follows what was acknowledged: who lacks that has lost it`() {
        var bench = Bench(2, terms: [1, 1])
        rolledBack(&bench)
        #expect(bench.core.isRecovering)
        let recovery = bench.core.recovery
        #expect(
            bench.answers == [
                .init(
                    term: Term(1), outcome: .rejected(previous: LogIndex(5), conflictIndex: LogIndex(3), conflictTerm: nil), round: 9,
                    recovery: recovery)
            ])
        #expect(bench.output.writes.map(\.isDistrusted) == [true])
    }

    @Test func `so has who has other entries there`() {
        var bench = Bench(2, terms: [1, 1, 2, 2, 2], term: 3)
        bench.receive(.append(heartbeat(term: 3, previous: 5, of: 3)), from: 1)
        #expect(bench.core.isRecovering)
    }

    @Test func `it tells how much that is, once`() {
        var bench = Bench(2, terms: [1, 1])
        var output = RaftOutput()
        let message = RaftCore.Event.message(.append(heartbeat(term: 1, previous: 5, of: 1)), from: node(1))
        bench.core.handle(message, now: bench.now, into: &output)
        #expect(output.lost == .init(acknowledged: LogIndex(5), last: LogIndex(2)))
        let recovery = bench.core.recovery
        output.clear()
        bench.core.handle(message, now: bench.now, into: &output)
        #expect(output.lost == nil && output.writes.isEmpty)
        #expect(bench.core.recovery == recovery)
    }

    @Test func `it says so only once a restart would know of it`() {
        var bench = Bench(2, terms: [1, 1])
        bench.isStalled = true
        rolledBack(&bench)
        rolledBack(&bench)
        #expect(bench.answers.isEmpty)
        bench.store()
        #expect(bench.answers.map(\.recovery) == [bench.core.recovery, bench.core.recovery])
    }

    @Test func `from then on it gives no vote, and does not campaign`() {
        var bench = Bench(2, terms: [1, 1])
        rolledBack(&bench)
        bench.tick(after: 2_000)
        bench.receive(vote(term: 6, last: 9, of: 5), from: 3)
        #expect(bench.votes == [.init(term: Term(6), isGranted: false)])
        for _ in 0..<5 { bench.tick(after: 2_000) }
        #expect(bench.core.role == .follower)
    }

    @Test func `a message with entries is a try, and proves nothing`() {
        var bench = Bench(2, terms: [1, 1])
        bench.receive(.append(append(term: 1, previous: 5, of: 1, [1])), from: 1)
        #expect(!bench.core.isRecovering)
        #expect(bench.answers.map(\.recovery) == [nil])
    }

    @Test func `nor does one that follows nothing, or what a snapshot stands for, or one of an old term`() {
        var bench = Bench(2, terms: [2], snapshot: mark(20))
        bench.receive(.append(heartbeat(term: 2)), from: 1)
        bench.receive(.append(heartbeat(term: 2, previous: 7, of: 1)), from: 1)
        bench.receive(.append(heartbeat(term: 1, previous: 30, of: 1)), from: 3)
        #expect(!bench.core.isRecovering)
    }

    @Test func `one whose loss is known already keeps its number`() {
        var bench = Bench(2, terms: [1, 1], isRecovering: true)
        let recovery = bench.core.recovery
        rolledBack(&bench)
        #expect(bench.core.recovery == recovery)
        #expect(!bench.output.writes.contains { $0.isDistrusted })
    }

    // MARK: The leader

    @Test func `a heartbeat follows what was acknowledged, also when that is compacted here`() {
        var bench = Bench()
        bench.lead()
        for _ in 0..<3 { bench.propose() }
        bench.answer(from: 2, 2)
        bench.answer(from: 3, 4)
        bench.handle(.snapshotTaken(mark(4)))
        var settings = RaftSettings()
        settings.tailEntries = 0
        var small = Bench(settings: { $0 = settings })
        small.lead()
        for _ in 0..<3 { small.propose() }
        small.answer(from: 2, 2)
        small.answer(from: 3, 4)
        small.handle(.snapshotTaken(mark(4)))
        #expect(small.core.log.base == LogIndex(4))
        for var bench in [bench, small] {
            _ = bench.take()
            bench.tick(after: 50)
            let heartbeats = bench.appends.filter { $0.to == node(2) && $0.append.entries.isEmpty }.map(\.append)
            #expect(heartbeats.map(\.previousIndex) == [LogIndex(2)])
            #expect(heartbeats.map(\.previousTerm) == [Term(1)])
        }
    }

    @Test func `what it acknowledged counts no more from when it says so`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        bench.propose()
        bench.answer(from: 2, 2)
        #expect(bench.core.commitIndex == LogIndex(1))
        let outcome = RaftMessage.AppendAnswer.Outcome.rejected(previous: LogIndex(2), conflictIndex: LogIndex(1), conflictTerm: nil)
        bench.receive(.appendReply(.init(term: Term(1), outcome: outcome, round: bench.core.round, recovery: 7)), from: 2)
        bench.store()
        #expect(bench.core.commitIndex == LogIndex(1), "one of three has it")
        #expect(bench.output.transitions.contains(.peerRecovering(node(2))))
    }

    // MARK: What was committed

    @Test func `what was written down as committed is so again, when the entry is the same`() {
        var bench = Bench(2, terms: [1, 2, 2])
        bench.core.restoreCommit(LogIndex(2), term: Term(2))
        #expect(bench.core.commitIndex == LogIndex(2))
        #expect(bench.core.glance.commitIndex == LogIndex(2))
        bench.core.restoreCommit(LogIndex(1), term: Term(1))
        #expect(bench.core.commitIndex == LogIndex(2), "it does not go back")
    }

    @Test func `else it is not`() {
        var bench = Bench(2, terms: [1, 2, 2])
        bench.core.restoreCommit(LogIndex(2), term: Term(1))
        bench.core.restoreCommit(LogIndex(4), term: Term(2))
        #expect(bench.core.commitIndex == .zero)
    }

    @Test func `it is not told once more by the core: the driver has told it`() {
        var bench = Bench(2, terms: [1, 1, 1])
        bench.core.restoreCommit(LogIndex(2), term: Term(1))
        bench.receive(.append(heartbeat(term: 1, previous: 2, of: 1, commit: 2)), from: 1)
        #expect(bench.output.commit == nil)
        bench.receive(.append(heartbeat(term: 1, previous: 3, of: 1, commit: 3)), from: 1)
        #expect(bench.output.commit == LogIndex(3))
    }
}
