import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.4.1: who may be elected.
struct Section5_4_1Tests {
    /// The voter's log, the end of the candidate's, and whether it may have the vote.
    static let logs: [(own: [UInt64], index: UInt64, term: UInt64, isGranted: Bool)] = [
        // The same last term: the longer log.
        ([1], 1, 1, true), ([1], 2, 1, true), ([1, 1], 1, 1, false),
        // The candidate's last term is later.
        ([1], 1, 2, true), ([1], 2, 2, true), ([1, 1], 1, 2, true), ([1, 1, 1, 1, 1], 1, 2, true),
        // The voter's is.
        ([2], 1, 1, false), ([2], 2, 1, false), ([1, 2], 1, 1, false), ([1, 2], 100, 1, false),
        // Nothing at all.
        ([], 0, 0, true), ([], 1, 1, true), ([1], 0, 0, false),
    ]

    @Test(arguments: logs)
    func `a vote is for a log that is at least as up to date`(own: [UInt64], index: UInt64, term: UInt64, isGranted: Bool) {
        var bench = Bench(terms: own, term: 3)
        bench.receive(vote(term: 4, last: index, of: term), from: 2)
        #expect(bench.votes == [.init(term: Term(4), isGranted: isGranted)])
        #expect(bench.core.term == Term(4), "the term is taken all the same")
        #expect(bench.core.hardState.vote == (isGranted ? node(2) : nil))
    }

    @Test(arguments: logs)
    func `so is the answer before an election`(own: [UInt64], index: UInt64, term: UInt64, isGranted: Bool) {
        var bench = Bench(terms: own, term: 3)
        bench.receive(.preVote(.init(term: Term(3), asked: Term(4), lastIndex: LogIndex(index), lastTerm: Term(term))), from: 2)
        #expect(bench.preVotes == [.init(term: Term(3), asked: Term(4), isGranted: isGranted)])
    }

    @Test func `a candidate says where its log ends, behind what is not durable yet`() {
        var bench = Bench(terms: [1, 2], term: 3)
        bench.isStalled = true
        bench.receive(.append(append(term: 3, previous: 2, of: 2, [3])), from: 2)
        bench.becomeCandidate()
        let requests = bench.output.messages.filter { if case .requestVote = $0.message { true } else { false } }
        #expect(requests.isEmpty)
        bench.store()
        #expect(bench.take(to: 3).contains(vote(term: 4, last: 3, of: 3)))
    }

    @Test func `whoever is elected has all that was committed`() {
        for seed in UInt64(1)...15 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 5)
            for step in 0..<60 {
                for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                let number = Int.random(in: 1...5, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: cluster.isolate(node(number))
                case 1: cluster.heal()
                case 2: _ = cluster.drop(MessageFilter(from: node(number)), count: 3)
                case 3: _ = cluster.campaign(number - 1)
                default: cluster.run(Int64.random(in: 1...300, using: &generator))
                }
                for _ in 0..<Int.random(in: 0...30, using: &generator) { _ = cluster.deliverNext() }
            }
            cluster.heal()
            cluster.run(6_000)
            // The cluster itself looks at every new leader's log, and at what is applied.
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            let disagreements = cluster.disagreements
            #expect(disagreements.isEmpty, "seed \(seed): \(disagreements)")
        }
    }
}
