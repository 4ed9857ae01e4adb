import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 4.2.1: servers that are to vote catch up first, in rounds.
struct Thesis4_2_1Tests {
    /// A leader, n1, with 20 entries, that was asked to take in n4.
    private func growing() -> Bench {
        var bench = Bench(terms: Array(repeating: 1, count: 20))
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(1...4), learners: [], basedOn: nil))
        bench.answer(from: 2, 22)
        return bench
    }

    @Test func `a newcomer is a learner first`() {
        let bench = growing()
        #expect(bench.core.configuration == Configuration(voters: nodes(1...3), learners: nodes(4), target: nodes(1...4)))
        #expect(bench.core.commitIndex == LogIndex(22))
        #expect(bench.progress(of: 4)?.isCaughtUp == false)
    }

    @Test func `the round that takes less than an election timeout is the last`() {
        var bench = growing()
        bench.answer(from: 4, 5)
        #expect(bench.core.configuration.isJoint == false)
        bench.pass(400)
        bench.answer(from: 4, 21)
        #expect(bench.core.configuration.isJoint == false, "the round ends at 22")
        bench.answer(from: 4, 22)
        #expect(bench.core.configuration == Configuration(voters: nodes(1...4), outgoing: nodes(1...3)))
    }

    @Test func `a round that takes longer is followed by another one`() {
        var bench = growing()
        bench.answer(from: 4, 5)
        for _ in 0..<3 {
            let target = bench.core.log.lastIndex.number
            bench.propose()
            bench.answer(from: 2, bench.core.log.lastIndex.number)
            bench.pass(501)
            bench.answer(from: 4, target)
            #expect(bench.core.configuration.isJoint == false)
        }
        let target = bench.core.log.lastIndex.number
        bench.pass(100)
        bench.answer(from: 4, target)
        #expect(bench.core.configuration.isJoint)
    }

    @Test func `all newcomers have to be there`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(3, 4, 5), learners: [], basedOn: nil))
        for peer in 2...3 { bench.answer(from: peer, 2) }
        for _ in 0..<3 { bench.answer(from: 4, 2) }
        #expect(bench.progress(of: 4)?.isCaughtUp == true)
        #expect(bench.core.configuration.isJoint == false)
        for _ in 0..<2 { bench.answer(from: 5, 2) }
        #expect(bench.core.configuration == Configuration(voters: nodes(3, 4, 5), outgoing: nodes(1...3)))
    }

    @Test func `a newcomer that never comes costs the cluster nothing`() {
        var cluster = ScriptedCluster.led(by: 3, spare: nodes(4))
        cluster.crash(3)
        cluster.change(voters: nodes(1...4), at: 0)
        for number in 0..<20 {
            cluster.propose("\(number)")
            cluster.run(300)
        }
        #expect(cluster.leaders() == [1])
        #expect(cluster.core(1)?.configuration.voters == nodes(1...3))
        #expect(cluster.commits().prefix(3) == [22, 22, 22])
    }

    @Test func `a new leader finds the change and goes on with it`() {
        var cluster = ScriptedCluster.led(by: 3, learners: nodes(4))
        _ = cluster.hold(MessageFilter(from: node(4)))
        cluster.change(voters: nodes(1...4), at: 0)
        cluster.stabilize()
        #expect(cluster.core(2)?.configuration.target == nodes(1...4))
        cluster.crash(0)
        cluster.release()
        cluster.run(5_000)
        #expect(cluster.leaders().first.flatMap { cluster.core($0) }?.configuration == Configuration(voters: nodes(1...4)))
    }
}
