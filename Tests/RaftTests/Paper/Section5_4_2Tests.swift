import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.4.2: entries of earlier terms. Figure 8 as text is Scenarios/02.
struct Section5_4_2Tests {
    /// A follower's acknowledgement in term 3 of a log of terms 1, 2, 2 and the leader's first entry, and what that commits.
    @Test(arguments: [(1, 0), (2, 0), (3, 0), (4, 4)])
    func `only entries of the leader's own term are counted`(index: UInt64, committed: UInt64) {
        var bench = Bench(terms: [1, 2, 2])
        bench.becomeLeader()
        #expect(bench.core.term == Term(3))
        bench.answer(from: 2, index)
        #expect(bench.core.commitIndex == LogIndex(committed))
    }

    @Test func `not even when all have them`() {
        var bench = Bench(voters: nodes(1...5), terms: [1, 2, 2])
        bench.becomeLeader()
        for peer in 2...5 { bench.answer(from: peer, 3) }
        #expect(bench.core.commitIndex == .zero)
        for peer in 2...3 { bench.answer(from: peer, 4) }
        #expect(bench.core.commitIndex == LogIndex(4))
    }

    @Test func `nor when its own disk was what was missing`() {
        var bench = Bench(terms: [1, 2])
        bench.isStalled = true
        bench.becomeCandidate()
        bench.store()
        bench.receive(.requestVoteReply(.init(term: Term(3), isGranted: true)), from: 2)
        #expect(bench.core.role == .leader)
        bench.answer(from: 2, 2)
        bench.store()
        #expect(bench.core.commitIndex == .zero)
        bench.answer(from: 2, 3)
        #expect(bench.core.commitIndex == LogIndex(3))
    }

    @Test func `figure 8: an entry that is on a majority may still be overwritten, if it is of an earlier term`() {
        func cluster() -> ScriptedCluster {
            var settings = RaftSettings()
            settings.appendBytes = 1
            var cluster = ScriptedCluster(voters: nodes(1...5), settings: settings)
            let logs: [[UInt64]] = [[1, 2], [1, 2], [1], [1], [1, 3]]
            for (place, log) in logs.enumerated() {
                cluster.begin(place, terms: log.map { Term($0) }, state: HardState(term: Term(3), vote: nil))
            }
            // (c): n1 leads term 4 and brings entry 2 to n3, before its own entry of term 4 is with anybody.
            cluster.isolate(node(5))
            _ = cluster.campaign(0)
            _ = cluster.hold(MessageFilter(kind: .append))
            cluster.stabilize()
            cluster.release()
            for _ in 0..<2 {
                cluster.deliver(MessageFilter(from: node(1), to: node(3), kind: .append))
                cluster.deliver(MessageFilter(from: node(3), to: node(1), kind: .appendReply))
            }
            return cluster
        }
        // (d)
        var overwritten = cluster()
        #expect(overwritten.core(3)?.log.term(at: LogIndex(2)) == Term(2))
        #expect(overwritten.commits() == [0, 0, 0, 0, 0])
        overwritten.crash(0)
        _ = overwritten.drop()
        overwritten.heal()
        overwritten.run(3_000)
        for _ in 0..<5 where overwritten.leaders() != [5] { _ = overwritten.campaign(4); overwritten.stabilize() }
        overwritten.run(1_000)
        let faults = overwritten.faults()
        #expect(faults.isEmpty, "\(faults)")
        // (e)
        var kept = cluster()
        kept.stabilize()
        kept.run(100)
        #expect(kept.commits()[0] == 3)
        kept.crash(0)
        kept.heal()
        kept.run(5_000)
        #expect(kept.leaders() != [5])
        #expect(kept.core(5)?.log.term(at: LogIndex(2)) == Term(2))
        let none = kept.faults()
        #expect(none.isEmpty, "\(none)")
    }
}
