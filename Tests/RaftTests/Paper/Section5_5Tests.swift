import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 5.5: followers and candidates that crash; what is asked twice does no harm.
struct Section5_5Tests {
    @Test func `an append that comes twice is answered twice and taken once`() {
        var bench = Bench(term: 1)
        let message = append(term: 1, [1, 1, 1], commit: 2)
        bench.receive(.append(message), from: 2)
        let log = bench.core.log
        bench.receive(.append(message), from: 2)
        #expect(bench.answers.map(\.outcome) == [.matched(LogIndex(3)), .matched(LogIndex(3))])
        #expect(bench.core.log == log)
        #expect(bench.output.writes.count == 1)
        #expect(bench.core.commitIndex == LogIndex(2))
    }

    @Test func `an older append that comes again cuts nothing off`() {
        var bench = Bench(term: 1)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        bench.receive(.append(append(term: 1, previous: 1, of: 1, [1, 1], commit: 3)), from: 2)
        bench.receive(.append(append(term: 1, [1])), from: 2)
        #expect(bench.core.log.lastIndex == LogIndex(3))
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.answers.last?.outcome == .matched(LogIndex(1)))
    }

    @Test func `a request for a vote that comes twice is answered the same`() {
        var bench = Bench()
        bench.receive(vote(term: 1), from: 2)
        bench.receive(vote(term: 1), from: 2)
        #expect(bench.votes == [.init(term: Term(1), isGranted: true), .init(term: Term(1), isGranted: true)])
        #expect(bench.output.writes.compactMap(\.hardState).last == HardState(term: Term(1), vote: node(2)))
    }

    @Test func `a follower that was down is brought up to date`() {
        var cluster = ScriptedCluster.led()
        cluster.crash(2)
        for text in ["a", "b", "c"] { cluster.propose(text) }
        cluster.run(3_000)
        #expect(cluster.commits().prefix(2) == [4, 4])
        cluster.restart(2)
        cluster.run(1_000)
        let disagreements = cluster.disagreements
        #expect(disagreements.isEmpty, "\(disagreements)")
        #expect(cluster.leaders() == [1])
    }

    @Test func `the leader goes on asking for as long as it takes`() {
        var bench = Bench()
        bench.lead()
        bench.propose()
        for _ in 0..<200 {
            bench.tick(after: 50)
            bench.answer(from: 2, 2)
        }
        #expect(bench.core.role == .leader)
        let asked = bench.appends.count { $0.to == node(3) && $0.append.entries.isEmpty }
        #expect(asked == 200)
        _ = bench.take()
        bench.answer(from: 3, 1)
        bench.tick(after: 50)
        #expect(bench.appends.contains { $0.to == node(3) && $0.append.entries.map(\.index) == [LogIndex(2)] })
    }

    @Test func `a candidate that falls while it waits takes a later term when it is back`() {
        var cluster = ScriptedCluster(voters: nodes(1...3))
        _ = cluster.campaign(0)
        cluster.deliver(MessageFilter(kind: .preVote))
        cluster.deliver(MessageFilter(kind: .preVoteReply))
        #expect(cluster.core(1)?.role == .candidate)
        cluster.crash(0)
        _ = cluster.drop()
        cluster.restart(0)
        #expect(cluster.core(1)?.hardState == HardState(term: Term(1), vote: node(1)))
        _ = cluster.campaign(0)
        cluster.stabilize()
        #expect(cluster.leaders() == [1])
        #expect(cluster.terms() == [2, 2, 2])
    }

    @Test func `what was committed before all fell is committed after`() {
        var cluster = ScriptedCluster.led()
        cluster.propose("a")
        cluster.stabilize()
        for place in 0..<3 { cluster.crash(place) }
        _ = cluster.drop()
        for place in 0..<3 { cluster.restart(place) }
        #expect(cluster.commits() == [0, 0, 0])
        cluster.run(3_000)
        #expect(cluster.leaders().count == 1)
        #expect(cluster.commits() == [3, 3, 3])
        let faults = cluster.faults()
        #expect(faults.isEmpty, "\(faults)")
    }

    @Test func `whatever part of the last writes a server loses, nothing that it promised is gone`() {
        for seed in UInt64(1)...40 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led()
            for step in 0..<40 {
                for leader in cluster.leaders() { cluster.propose("\(step)", to: leader) }
                let place = Int.random(in: 0...2, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: cluster.stall(place)
                case 1: cluster.store(Int.random(in: 1...3, using: &generator), at: place)
                case 2: cluster.unstall(place)
                case 3:
                    cluster.crash(place, losing: Int.random(in: 0...4, using: &generator))
                    cluster.restart(place)
                default: cluster.run(Int64.random(in: 1...700, using: &generator))
                }
                for _ in 0..<Int.random(in: 0...20, using: &generator) { _ = cluster.deliverNext() }
            }
            for place in 0...2 { cluster.unstall(place) }
            cluster.run(8_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            let disagreements = cluster.disagreements
            #expect(disagreements.isEmpty, "seed \(seed): \(disagreements)")
        }
    }
}
