import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 8: what a leader knows, and what clients may conclude.
struct Section8Tests {
    @Test func `a leader begins its term with an empty entry`() {
        var bench = Bench(terms: [1, 1])
        bench.becomeCandidate()
        bench.receive(.requestVoteReply(.init(term: Term(2), isGranted: true)), from: 2)
        let entry = LogEntry(index: LogIndex(3), term: Term(2), kind: .leaderStart, payload: [])
        #expect(bench.output.writes.last?.entries == [entry])
        #expect(bench.appends.filter { !$0.append.entries.isEmpty }.map(\.append.entries) == [[entry], [entry]])
    }

    @Test func `with it what came before is committed, though no client says anything`() {
        var cluster = ScriptedCluster.led()
        cluster.propose("a")
        cluster.deliver(MessageFilter(kind: .append))
        cluster.crash(0)
        _ = cluster.drop()
        #expect(cluster.commits()[1...] == [1, 1])
        _ = cluster.campaign(1)
        cluster.stabilize()
        #expect(cluster.commits()[1...] == [3, 3])
    }

    @Test func `until then a read waits, and then it is given an index`() {
        var bench = Bench(terms: [1, 1])
        bench.becomeLeader()
        bench.handle(.read(id: 4))
        #expect(bench.output.readsReady.isEmpty)
        bench.answer(from: 2, 3)
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.output.readsReady.isEmpty, "a round has to be answered that was sent after the read")
        bench.answer(from: 2, 3)
        #expect(bench.output.readsReady == [.init(id: 4, index: LogIndex(3))])
    }

    @Test func `whoever does not lead says who does, as far as it knows`() {
        var bench = Bench()
        bench.propose(id: 1)
        bench.follow(3, in: 1)
        bench.propose(id: 2)
        bench.handle(.change(id: 3, voters: nodes(1), learners: [], basedOn: nil))
        bench.handle(.transfer(id: 4, to: nil))
        #expect(bench.output.refused.map(\.id) == [2, 3, 4])
        #expect(bench.output.refused.allSatisfy { $0.reason == .notLeader(hint: node(3)) })
    }

    @Test func `what a leader accepts is answered with its place in the log`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.propose(id: 31, [[1], [2]]))
        #expect(bench.output.accepted == [.init(id: 31, term: Term(1), first: LogIndex(2), count: 2)])
    }
}
