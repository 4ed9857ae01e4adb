import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 3.10: leadership transfer.
struct Thesis3_10Tests {
    private func orders(_ bench: Bench) -> [NodeID] {
        bench.output.messages.compactMap { if case .timeoutNow = $0.message { $0.to } else { nil } }
    }

    @Test func `a successor that has everything is told at once to campaign`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.transfer(id: 7, to: node(3)))
        #expect(orders(bench) == nodes(3))
        #expect(bench.output.accepted.map(\.id) == [7])
        #expect(bench.output.transitions.contains(.transferBegan(to: node(3))))
    }

    @Test func `one that lags is brought up to date first`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        bench.answer(from: 2, 2)
        _ = bench.take()
        bench.handle(.transfer(id: 7, to: node(3)))
        #expect(orders(bench).isEmpty)
        bench.answer(from: 3, 2)
        #expect(orders(bench) == nodes(3))
    }

    @Test func `without a name it goes to whoever has most of the log`() {
        var bench = Bench(voters: nodes(1...4), learners: nodes(5))
        bench.lead()
        for _ in 0..<3 { bench.propose() }
        bench.answer(from: 2, 2)
        bench.answer(from: 3, 4)
        bench.answer(from: 4, 3)
        bench.answer(from: 5, 4)
        bench.handle(.transfer(id: 7, to: nil))
        #expect(bench.core.transfer?.to == node(3))
    }

    @Test func `nothing is accepted meanwhile`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.transfer(id: 1, to: node(3)))
        bench.propose(id: 2)
        bench.handle(.change(id: 3, voters: nodes(1, 2), learners: [], basedOn: nil))
        bench.handle(.transfer(id: 4, to: node(2)))
        #expect(bench.output.refused.map(\.id) == [2, 3, 4])
        #expect(bench.output.refused.allSatisfy { $0.reason == .transferring })
        #expect(bench.core.log.lastIndex == LogIndex(1))
    }

    @Test func `a server that does not vote cannot be the successor, nor the leader itself`() {
        var bench = Bench(learners: nodes(4))
        bench.lead()
        for target in [1, 4, 9] { bench.handle(.transfer(id: 1, to: node(target))) }
        #expect(bench.output.refused.map(\.reason) == [.notAVoter(node(1)), .notAVoter(node(4)), .notAVoter(node(9))])
        var alone = Bench(voters: nodes(1))
        alone.tick()
        alone.handle(.transfer(id: 2, to: nil))
        #expect(alone.output.refused.map(\.reason) == [.notAVoter(node(1))])
    }

    @Test func `after an election timeout the leader goes on`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.transfer(id: 1, to: node(3)))
        for _ in 0..<19 {
            bench.tick(after: 50)
            bench.answer(from: 2, 1)
        }
        bench.propose(id: 2)
        #expect(bench.output.refused.map(\.id) == [2])
        bench.tick(after: 50)
        #expect(bench.output.transitions.contains(.transferEnded(to: node(3), isDone: false)))
        bench.propose(id: 3)
        #expect(bench.output.accepted.map(\.id) == [1, 3])
        #expect(bench.core.role == .leader)
    }

    @Test func `the successor campaigns at once, asks nobody before, and is voted for though a leader is heard`() {
        var successor = Bench(2)
        successor.follow(1, in: 1)
        successor.receive(.timeoutNow(term: Term(1)), from: 1)
        #expect(successor.core.role == .candidate)
        #expect(successor.core.term == Term(2))
        #expect(successor.take(to: 3) == [vote(term: 2, isTransfer: true)])

        var voter = Bench(3)
        voter.follow(1, in: 1)
        voter.receive(vote(term: 2, isTransfer: true), from: 2)
        #expect(voter.votes == [.init(term: Term(2), isGranted: true)])
    }

    @Test func `nobody else can have a server campaign`() {
        var bench = Bench(2)
        bench.follow(1, in: 1)
        bench.receive(.timeoutNow(term: Term(1)), from: 3)
        #expect(bench.core.role == .follower)
        bench.receive(.timeoutNow(term: Term(0)), from: 1)
        #expect(bench.core.role == .follower && bench.core.term == Term(1))
    }

    @Test func `a server that may not lead does not because it is told to`() {
        var learner = Bench(4, learners: nodes(4))
        learner.follow(1, in: 1)
        learner.receive(.timeoutNow(term: Term(1)), from: 1)
        #expect(learner.core.role == .follower && learner.core.term == Term(1))
        var recovering = Bench(2, isRecovering: true)
        recovering.follow(1, in: 1)
        recovering.receive(.timeoutNow(term: Term(1)), from: 1)
        #expect(recovering.core.role == .follower && recovering.core.term == Term(1))
    }

    @Test func `a transfer under load loses nothing and has one leader after it`() {
        for seed in UInt64(1)...15 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 5)
            for _ in 0..<10 {
                guard let leader = cluster.leaders().last else { break }
                for number in 0..<Int.random(in: 0...5, using: &generator) { cluster.propose("\(number)", to: leader) }
                for _ in 0..<Int.random(in: 0...10, using: &generator) { _ = cluster.deliverNext() }
                cluster.transfer(to: node(Int.random(in: 1...5, using: &generator)), at: leader - 1)
                cluster.run(Int64.random(in: 50...1_500, using: &generator))
            }
            cluster.run(3_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            #expect(cluster.leaders().count == 1)
            let disagreements = cluster.disagreements
            #expect(disagreements.isEmpty, "seed \(seed): \(disagreements)")
        }
    }
}
