import Primitives
import Simulation
import Testing

@testable import Raft

/// A server that lost its vote or part of its log (Decisions/LostVotes; dragonboat #256, openraft's FAQ): it promises nothing until it has
/// everything again.
struct RecoveryTests {
    /// A leader, n1, with three entries; n2 says that it lost something.
    private func leading() -> Bench {
        var bench = Bench()
        bench.lead()
        for _ in 0..<2 { bench.propose() }
        for peer in 2...3 { bench.answer(from: peer, 3) }
        bench.output.clear()
        recovering(&bench, .rejected(previous: LogIndex(3), conflictIndex: LogIndex(1), conflictTerm: nil))
        return bench
    }

    /// The number of a loss tells it from others.
    private func recovering(_ bench: inout Bench, _ outcome: RaftMessage.AppendAnswer.Outcome, loss: UInt64 = 77) {
        bench.receive(.appendReply(.init(term: Term(1), outcome: outcome, round: bench.core.round, recovery: loss)), from: 2)
    }

    @Test func `it neither votes nor says that it would`() {
        var bench = Bench(terms: [1], isRecovering: true)
        bench.receive(.preVote(.init(term: Term(5), asked: Term(6), lastIndex: LogIndex(9), lastTerm: Term(5))), from: 2)
        bench.receive(vote(term: 6, last: 9, of: 5), from: 2)
        #expect(bench.preVotes.map(\.isGranted) == [false])
        #expect(bench.votes == [.init(term: Term(6), isGranted: false)])
        #expect(bench.core.hardState == HardState(term: Term(6), vote: nil))
    }

    @Test func `it does not campaign`() {
        var bench = Bench(terms: [1], isRecovering: true)
        for _ in 0..<5 { bench.tick(after: 2_000) }
        #expect(bench.core.role == .follower && bench.core.term == Term(1))
        #expect(bench.output.messages.isEmpty)
    }

    @Test func `it says so in every answer`() {
        var bench = Bench(terms: [1], isRecovering: true)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 9, of: 1, [1])), from: 2)
        #expect(bench.answers.map(\.recovery) == [bench.core.recovery, bench.core.recovery])
        #expect(bench.core.recovery != nil)
        #expect(bench.core.log.lastIndex == LogIndex(2), "it takes entries all the same")
    }

    @Test func `the leader forgets what it knew of it, and appends an entry`() {
        let bench = leading()
        #expect(bench.progress(of: 2)?.matchIndex == .zero)
        #expect(bench.progress(of: 2)?.recovery?.entry == LogIndex(4))
        #expect(bench.output.transitions.contains(.peerRecovering(node(2))))
        #expect(bench.output.writes.flatMap(\.entries).map(\.kind) == [.leaderStart])
    }

    @Test func `it counts for nothing until that entry is committed without it and is in its log`() {
        var bench = leading()
        recovering(&bench, .matched(LogIndex(4)))
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.progress(of: 2)?.recovery?.trustedRound == nil)
        bench.answer(from: 3, 4)
        #expect(bench.core.commitIndex == LogIndex(4))
        recovering(&bench, .matched(LogIndex(4)))
        _ = bench.take()
        bench.tick(after: 50)
        #expect(bench.appends.filter { $0.to == node(2) }.map(\.append.trusts) == [77])
        #expect(bench.appends.filter { $0.to == node(3) }.map(\.append.trusts) == [nil])
    }

    @Test func `nor does it confirm reads`() {
        var bench = leading()
        bench.handle(.read(id: 1))
        recovering(&bench, .matched(LogIndex(4)))
        #expect(bench.output.readsReady.isEmpty)
        bench.answer(from: 3, 4)
        #expect(bench.output.readsReady.map(\.id) == [1])
    }

    @Test func `nor is it handed the leadership`() {
        var bench = leading()
        recovering(&bench, .matched(LogIndex(4)))
        bench.handle(.transfer(id: 1, to: nil))
        #expect(bench.core.transfer?.to == node(3))
    }

    @Test func `when the leader says so it trusts itself, with its vote in that term given`() {
        var bench = Bench(2, terms: [1, 1], isRecovering: true)
        bench.isStalled = true
        var message = heartbeat(term: 1, previous: 2, of: 1, commit: 2, round: 9)
        message.trusts = bench.core.recovery
        bench.receive(.append(message), from: 1)
        #expect(!bench.core.isRecovering)
        #expect(bench.core.hardState == HardState(term: Term(1), vote: node(1)))
        #expect(bench.answers.isEmpty)
        bench.store()
        #expect(bench.answers == [.init(term: Term(1), outcome: .matched(LogIndex(2)), round: 9)])
        #expect(bench.output.transitions.contains(.trusted(LogIndex(2))))
    }

    @Test func `it is not trusted by a message that does not fit its log`() {
        var bench = Bench(2, terms: [1], isRecovering: true)
        var message = heartbeat(term: 1, previous: 2, of: 1, commit: 2, round: 9)
        message.trusts = bench.core.recovery
        bench.receive(.append(message), from: 1)
        #expect(bench.core.isRecovering)
    }

    @Test func `what was on its way when it said so does not end it`() {
        var bench = leading()
        bench.answer(from: 2, 3, round: 0)
        #expect(bench.progress(of: 2)?.recovery?.entry == LogIndex(4))
        #expect(bench.core.commitIndex == LogIndex(3))
    }

    @Test func `what it said before it said so it may not have any more`() {
        var bench = leading()
        bench.answer(from: 2, 3, round: 0)
        #expect(bench.progress(of: 2)?.matchIndex == .zero)
        recovering(&bench, .matched(LogIndex(4)))
        bench.answer(from: 2, 3, round: 1)
        #expect(bench.progress(of: 2)?.recovery?.entry == LogIndex(4))
    }

    @Test func `nor the snapshot that it had installed`() {
        var bench = Bench(terms: [1], snapshot: mark(20))
        bench.becomeLeader()
        bench.answer(from: 3, 22)
        let outcome = RaftMessage.AppendAnswer.Outcome.rejected(previous: LogIndex(22), conflictIndex: LogIndex(1), conflictTerm: nil)
        bench.receive(.appendReply(.init(term: Term(2), outcome: outcome, round: bench.core.round, recovery: 77)), from: 2)
        guard case .snapshot = bench.progress(of: 2)?.state else {
            Issue.record("n2 is not sent a snapshot")
            return
        }
        let before = RaftMessage.SnapshotAnswer(term: Term(2), index: LogIndex(20), nextChunk: 0, isInstalled: true, round: 0)
        bench.receive(.installSnapshotReply(before), from: 2)
        #expect(bench.progress(of: 2)?.matchIndex == .zero)
    }

    @Test func `nor what it had while it was recovering, when it lost that too`() {
        var bench = leading()
        recovering(&bench, .matched(LogIndex(4)))
        bench.answer(from: 3, 4)
        _ = bench.take()
        recovering(&bench, .rejected(previous: LogIndex(4), conflictIndex: LogIndex(1), conflictTerm: nil), loss: 78)
        #expect(bench.progress(of: 2)?.recovery?.entry == LogIndex(5))
        #expect(bench.appends.contains { $0.to == node(2) && $0.append.previousIndex == .zero && !$0.append.entries.isEmpty })
    }

    @Test func `once it is trusted what it has counts at once`() {
        var bench = leading()
        recovering(&bench, .matched(LogIndex(4)))
        bench.answer(from: 3, 4)
        recovering(&bench, .matched(LogIndex(4)))
        bench.propose()
        recovering(&bench, .matched(LogIndex(5)))
        #expect(bench.core.commitIndex == LogIndex(4))
        bench.tick(after: 50)
        bench.answer(from: 2, 4)
        #expect(bench.progress(of: 2)?.recovery == nil)
        #expect(bench.core.commitIndex == LogIndex(5))
    }

    @Test func `while one of three is wiped and brought back, nothing that was committed is lost`() {
        for seed in UInt64(1)...30 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 3)
            for step in 0..<6 {
                for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                cluster.run(Int64.random(in: 0...200, using: &generator))
                let place = Int.random(in: 0...2, using: &generator)
                cluster.crash(place)
                cluster.run(Int64.random(in: 0...1_500, using: &generator))
                for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                cluster.run(Int64.random(in: 0...50, using: &generator))
                cluster.restart(place, Bool.random(using: &generator) ? .wiped : .lostVote)
                cluster.run(6_000)
            }
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            let disagreements = cluster.disagreements
            #expect(disagreements.isEmpty, "seed \(seed): \(disagreements)")
        }
    }
}
