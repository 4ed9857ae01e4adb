import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 9.6: pre-vote.
struct Thesis9_6Tests {
    private func ask(_ bench: inout Bench, from sender: Int, term: UInt64, asked: UInt64, last: UInt64 = 0, of lastTerm: UInt64 = 0) {
        let question = RaftMessage.PreVoteRequest(
            term: Term(term), asked: Term(asked), lastIndex: LogIndex(last), lastTerm: Term(lastTerm))
        bench.receive(.preVote(question), from: sender)
    }

    @Test func `a question changes neither term nor vote nor timer of anybody`() {
        var bench = Bench(term: 3, vote: 2)
        let deadline = bench.core.electionDeadline
        ask(&bench, from: 3, term: 7, asked: 8)
        #expect(bench.preVotes == [.init(term: Term(3), asked: Term(8), isGranted: true)])
        #expect(bench.core.hardState == HardState(term: Term(3), vote: node(2)))
        #expect(bench.core.electionDeadline == deadline)
        #expect(bench.output.writes.isEmpty)
    }

    @Test func `any number of servers may be told yes`() {
        var bench = Bench(voters: nodes(1...5))
        for sender in 2...5 { ask(&bench, from: sender, term: 0, asked: 1) }
        #expect(bench.preVotes.map(\.isGranted) == [true, true, true, true])
    }

    @Test func `a term that is not later is refused, with the one that is`() {
        var bench = Bench(term: 5)
        ask(&bench, from: 2, term: 4, asked: 5)
        #expect(bench.preVotes == [.init(term: Term(5), asked: Term(5), isGranted: false)])
        var asker = Bench(2, term: 4)
        asker.now = asker.core.electionDeadline
        asker.handle(.tick)
        asker.receive(.preVoteReply(.init(term: Term(5), asked: Term(5), isGranted: false)), from: 1)
        #expect(asker.core.term == Term(5) && asker.core.role == .follower)
    }

    @Test func `a leader that hears its followers refuses, one that does not may say yes`() {
        var bench = Bench()
        bench.lead()
        ask(&bench, from: 2, term: 1, asked: 2, last: 1, of: 1)
        #expect(bench.preVotes.map(\.isGranted) == [false])
        bench.pass(1_001)
        ask(&bench, from: 2, term: 1, asked: 2, last: 1, of: 1)
        #expect(bench.preVotes.map(\.isGranted) == [false, true])
        #expect(bench.core.role == .leader)
    }

    @Test func `yes to another question is no answer to this one`() {
        var bench = Bench(term: 3)
        bench.now = bench.core.electionDeadline
        bench.handle(.tick)
        bench.receive(.preVoteReply(.init(term: Term(3), asked: Term(3), isGranted: true)), from: 2)
        bench.receive(.preVoteReply(.init(term: Term(2), asked: Term(5), isGranted: true)), from: 3)
        #expect(bench.core.role == .preCandidate)
        bench.receive(.preVoteReply(.init(term: Term(2), asked: Term(4), isGranted: true)), from: 3)
        #expect(bench.core.role == .candidate, "who is in an older term may still say yes")
    }

    @Test func `the question is asked again every heartbeat, of those who have not said yes`() {
        var bench = Bench(voters: nodes(1...5))
        bench.now = bench.core.electionDeadline
        bench.handle(.tick)
        bench.receive(.preVoteReply(.init(term: Term(0), asked: Term(1), isGranted: true)), from: 2)
        bench.receive(.preVoteReply(.init(term: Term(0), asked: Term(1), isGranted: false)), from: 3)
        _ = bench.take()
        bench.now = bench.core.nextDeadline
        bench.handle(.tick)
        #expect(bench.take().map(\.to) == nodes(3, 4, 5))
        bench.receive(.preVoteReply(.init(term: Term(0), asked: Term(1), isGranted: true)), from: 3)
        #expect(bench.core.role == .candidate)
    }

    @Test func `a pre-candidate that hears its leader follows again`() {
        var bench = Bench()
        bench.follow(2, in: 1)
        bench.now = bench.core.electionDeadline
        bench.handle(.tick)
        #expect(bench.core.role == .preCandidate)
        bench.receive(.append(heartbeat(term: 1)), from: 2)
        #expect(bench.core.role == .follower && bench.core.leader == node(2))
        bench.receive(.preVoteReply(.init(term: Term(1), asked: Term(2), isGranted: true)), from: 3)
        #expect(bench.core.role == .follower && bench.core.term == Term(1))
    }

    @Test func `a server that was cut off raises no term when it is back`() {
        var cluster = ScriptedCluster.led(by: 3)
        cluster.isolate(node(3))
        cluster.run(60_000)
        #expect(cluster.terms() == [1, 1, 1])
        cluster.heal()
        cluster.run(1_000)
        #expect(cluster.leaders() == [1] && cluster.terms() == [1, 1, 1])
    }

    @Test func `without pre-vote it campaigns at once`() {
        var bench = Bench(settings: { $0.preVote = false })
        bench.now = bench.core.electionDeadline
        bench.handle(.tick)
        #expect(bench.core.role == .candidate && bench.core.term == Term(1))
    }

    @Test func `nor does its later term, when it has one, cost more than one election`() {
        var cluster = ScriptedCluster.led(by: 3, settings: { $0.preVote = false })
        cluster.isolate(node(3))
        cluster.run(10_000)
        #expect((cluster.core(3)?.term ?? Term(0)) > Term(5))
        cluster.heal()
        cluster.run(3_000)
        #expect(cluster.leaders().count == 1)
        #expect(Set(cluster.terms()).count == 1)
        let faults = cluster.faults()
        #expect(faults.isEmpty, "\(faults)")
    }
}
