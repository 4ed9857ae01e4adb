import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.2: leader election.
struct Section5_2Tests {
    @Test func `servers begin as followers`() {
        let bench = Bench(terms: [1, 2], term: 3, vote: 2)
        #expect(bench.core.role == .follower)
        #expect(bench.core.leader == nil)
    }

    @Test func `a follower stays one while it hears its leader`() {
        var bench = Bench()
        for _ in 0..<100 {
            bench.pass(400)
            bench.receive(.append(heartbeat(term: 1)), from: 2)
            bench.handle(.tick)
        }
        #expect(bench.core.role == .follower)
        #expect(bench.core.leader == node(2))
        #expect(bench.core.term == Term(1))
    }

    @Test func `a follower that hears nobody asks the others, then takes a new term and votes for itself`() {
        var bench = Bench(term: 3)
        bench.now = bench.core.electionDeadline
        bench.handle(.tick)
        #expect(bench.core.role == .preCandidate)
        #expect(bench.core.term == Term(3))
        let question = RaftMessage.preVote(.init(term: Term(3), asked: Term(4), lastIndex: .zero, lastTerm: Term(0)))
        #expect(bench.take() == [.init(to: node(2), message: question), .init(to: node(3), message: question)])
        bench.receive(.preVoteReply(.init(term: Term(3), asked: Term(4), isGranted: true)), from: 2)
        #expect(bench.core.role == .candidate)
        #expect(bench.core.hardState == HardState(term: Term(4), vote: node(1)))
        #expect(bench.take() == [.init(to: node(2), message: vote(term: 4)), .init(to: node(3), message: vote(term: 4))])
    }

    /// Votes, then whether that is a majority.
    @Test(arguments: [
        (1, 1, true), (2, 1, false), (2, 2, true), (3, 1, false), (3, 2, true), (3, 3, true), (4, 2, false), (4, 3, true), (5, 2, false),
        (5, 3, true), (7, 3, false), (7, 4, true), (7, 7, true),
    ])
    func `a candidate with votes from a majority leads`(size: Int, votes: Int, wins: Bool) {
        var bench = Bench(voters: nodes(1...size))
        bench.becomeCandidate()
        for voter in 2..<votes + 1 { bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: voter) }
        for voter in votes + 1..<size + 1 { bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: false)), from: voter) }
        #expect((bench.core.role == .leader) == wins)
        #expect(bench.core.term == Term(1))
    }

    @Test func `a vote counts once however often it comes`() {
        var bench = Bench(voters: nodes(1...5))
        bench.becomeCandidate()
        for _ in 0..<4 { bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: 2) }
        #expect(bench.core.role == .candidate)
    }

    @Test func `its own vote counts once it is durable`() {
        var bench = Bench()
        bench.isStalled = true
        bench.becomeCandidate()
        #expect(bench.output.messages.allSatisfy { if case .preVote = $0.message { true } else { false } })
        bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: 2)
        #expect(bench.core.role == .candidate)
        bench.store()
        #expect(bench.core.role == .leader)
    }

    /// First come, first served.
    @Test(arguments: [(nil, 2, true), (nil, 3, true), (2, 2, true), (3, 3, true), (2, 3, false), (3, 2, false)] as [(Int?, Int, Bool)])
    func `a server votes for one candidate of a term`(before: Int?, candidate: Int, isGranted: Bool) {
        var bench = Bench(term: 1, vote: before)
        bench.receive(vote(term: 1), from: candidate)
        #expect(bench.votes == [.init(term: Term(1), isGranted: isGranted)])
        #expect(bench.core.hardState.vote == node(isGranted ? candidate : before ?? 0))
    }

    @Test func `the vote is durable before it is sent`() {
        var bench = Bench()
        bench.isStalled = true
        bench.receive(vote(term: 1), from: 2)
        #expect(bench.output.messages.isEmpty)
        #expect(bench.output.writes.last?.hardState == HardState(term: Term(1), vote: node(2)))
        bench.store()
        #expect(bench.votes == [.init(term: Term(1), isGranted: true)])
    }

    @Test func `a candidate that hears the leader of its term follows it, and keeps its vote`() {
        var bench = Bench()
        bench.becomeCandidate()
        bench.receive(.append(heartbeat(term: 1)), from: 3)
        #expect(bench.core.role == .follower)
        #expect(bench.core.leader == node(3))
        #expect(bench.core.hardState == HardState(term: Term(1), vote: node(1)))
        _ = bench.take()
        bench.receive(vote(term: 1), from: 2)
        #expect(bench.votes.map(\.isGranted) == [false])
    }

    @Test func `a candidate refuses an old leader and goes on`() {
        var bench = Bench(term: 4)
        bench.becomeCandidate()
        bench.receive(.append(heartbeat(term: 4)), from: 3)
        #expect(bench.core.role == .candidate)
        #expect(bench.core.term == Term(5))
    }

    @Test func `an election that nobody wins is followed by another one in a later term`() {
        var bench = Bench()
        bench.becomeCandidate()
        bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: false)), from: 2)
        bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: false)), from: 3)
        #expect(bench.core.role == .candidate)
        bench.becomeCandidate()
        #expect(bench.core.role == .candidate)
        #expect(bench.core.hardState == HardState(term: Term(2), vote: node(1)))
    }

    @Test func `a new leader tells everybody at once, and goes on telling them`() {
        var bench = Bench()
        bench.becomeCandidate()
        _ = bench.take()
        bench.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: 2)
        #expect(bench.core.role == .leader && bench.core.leader == node(1))
        let first = bench.appends.filter { $0.append.entries.isEmpty }.map(\.to)
        #expect(first == nodes(2, 3))
        for _ in 0..<5 {
            _ = bench.take()
            bench.now = bench.core.nextDeadline
            bench.handle(.tick)
            let next = bench.appends.filter { $0.append.entries.isEmpty }
            #expect(next.map(\.to) == nodes(2, 3))
            #expect(next.allSatisfy { $0.append.term == Term(1) })
        }
    }

    @Test func `no two lead one term, whatever is lost, and one leads when nothing is`() {
        for seed in UInt64(1)...20 {
            var generator = SeededGenerator(seed: seed)
            let size = Int.random(in: 2...5, using: &generator)
            var cluster = ScriptedCluster(voters: nodes(1...size))
            for _ in 0..<100 {
                cluster.advance(.milliseconds(Int64.random(in: 1...400, using: &generator)))
                _ = cluster.drop(MessageFilter(to: node(Int.random(in: 1...size, using: &generator))))
                for _ in 0..<Int.random(in: 0...20, using: &generator) { _ = cluster.deliverNext() }
            }
            cluster.run(5_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            #expect(cluster.leaders().count == 1, "seed \(seed)")
        }
    }
}
