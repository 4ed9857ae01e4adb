import Primitives
import Simulation
import Testing

@testable import Raft

/// Thesis section 6.2: a leader that hears no majority stops leading; and one whose own disk does not answer (etcd #15247).
struct Thesis6_2Tests {
    @Test func `a leader that nobody answers stops within an election timeout`() {
        var bench = Bench()
        bench.lead()
        for _ in 0..<20 { bench.tick(after: 50) }
        #expect(bench.core.role == .leader)
        bench.tick(after: 50)
        #expect(bench.core.role == .follower)
        #expect(bench.core.leader == nil)
        #expect(bench.output.transitions.contains(.becameFollower(Term(1), leader: nil, .lostQuorum)))
        #expect(bench.core.hardState == HardState(term: Term(1), vote: node(1)))
    }

    @Test func `one of two others is enough, whoever it is`() {
        var bench = Bench()
        bench.lead()
        for step in 0..<100 {
            bench.tick(after: 50)
            if step % 15 == 0 { bench.answer(from: 2 + step % 2, 1) }
        }
        #expect(bench.core.role == .leader)
    }

    @Test func `a learner's answers are not`() {
        var bench = Bench(learners: nodes(4))
        bench.lead()
        for _ in 0..<30 {
            bench.tick(after: 50)
            bench.answer(from: 4, 1)
        }
        #expect(bench.core.role == .follower)
    }

    @Test func `a refusal and a snapshot's answer are answers too`() {
        var bench = Bench(terms: [1], snapshot: mark(20, chunks: 100))
        bench.becomeLeader()
        for step in 0..<60 {
            bench.tick(after: 50)
            if step < 30 {
                bench.refuse(from: 2, previous: 21, conflict: 4)
            } else {
                let answer = RaftMessage.SnapshotAnswer(term: Term(2), index: LogIndex(20), nextChunk: 3, isInstalled: false, round: 0)
                bench.receive(.installSnapshotReply(answer), from: 2)
            }
        }
        #expect(bench.core.role == .leader)
    }

    @Test func `what it could not confirm is refused`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.read(id: 5))
        bench.receive(.readIndex(term: Term(1), id: 6), from: 3)
        for _ in 0..<21 { bench.tick(after: 50) }
        #expect(bench.core.role == .follower)
        #expect(bench.output.refused == [.init(id: 5, reason: .notLeader(hint: nil))])
        #expect(bench.take(to: 3).contains(.readIndexReply(term: Term(1), id: 6, index: nil)))
    }

    @Test func `of a joint configuration both halves have to answer`() {
        var bench = Bench(voters: nodes(1...5))
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(4, 5), learners: [], basedOn: nil))
        #expect(bench.core.configuration.isJoint)
        for _ in 0..<30 {
            bench.tick(after: 50)
            for peer in 2...4 { bench.answer(from: peer, 1) }
        }
        #expect(bench.core.role == .follower, "n4 alone is no majority of n4 and n5")
    }

    @Test func `without check-quorum it leads on`() {
        var bench = Bench(settings: { $0.checkQuorum = false })
        bench.lead()
        for _ in 0..<100 { bench.tick(after: 50) }
        #expect(bench.core.role == .leader)
    }

    @Test func `two halves of a cluster never both commit, and the smaller one's leader stops`() {
        var cluster = ScriptedCluster.led(by: 5)
        for one in [1, 2] { for other in 3...5 { cluster.cut(node(one), node(other)) } }
        cluster.run(4_000)
        #expect(cluster.leaders().count == 1)
        #expect(cluster.leaders().allSatisfy { $0 >= 3 })
        #expect(cluster.core(1)?.role != .leader)
        cluster.heal()
        cluster.run(2_000)
        let disagreements = cluster.disagreements
        #expect(disagreements.isEmpty, "\(disagreements)")
    }

    /// R23: a server that comes and goes moves nobody.
    @Test func `a server that is cut off again and again causes no election`() {
        var cluster = ScriptedCluster.led(by: 3)
        for _ in 0..<20 {
            cluster.isolate(node(3))
            cluster.run(1_700)
            cluster.heal()
            cluster.run(300)
        }
        #expect(cluster.leaders() == [1])
        #expect(cluster.terms() == [1, 1, 1])
    }

    @Test func `a link that works one way only does not stop the cluster`() {
        for (from, to) in [(1, 2), (2, 1), (2, 3), (3, 1)] {
            var cluster = ScriptedCluster.led(by: 3)
            cluster.cut(node(from), node(to), oneWay: true)
            cluster.run(5_000)
            for leader in cluster.leaders() { cluster.propose("a", to: leader) }
            cluster.run(500)
            #expect(cluster.leaders().count == 1, "\(from) to \(to)")
            let has = cluster.commits().count { $0 >= 2 }
            #expect(has >= 2, "\(from) to \(to)")
            let faults = cluster.faults()
            #expect(faults.isEmpty, "\(faults)")
        }
    }

    // MARK: Its own disk

    @Test func `a leader whose disk is at one write for longer than an election timeout hands over`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        bench.propose()
        for _ in 0..<20 {
            bench.tick(after: 50)
            for peer in 2...3 { bench.answer(from: peer, 2) }
        }
        #expect(bench.core.role == .leader)
        for peer in 2...3 { bench.answer(from: peer, 2) }
        bench.tick(after: 50)
        #expect(bench.core.role == .follower)
        #expect(bench.output.transitions.contains(.becameFollower(Term(1), leader: nil, .diskStalled)))
        #expect(bench.output.messages.contains { if case .timeoutNow = $0.message { true } else { false } })
        bench.tick(after: 60_000)
        #expect(bench.core.role == .follower, "it does not campaign before its disk answers")
        bench.isStalled = false
        bench.store()
        bench.tick(after: 60_000)
        #expect(bench.core.role == .preCandidate)
    }

    @Test func `a disk that is slow and goes on is no reason`() {
        var bench = Bench()
        bench.lead()
        bench.isStalled = true
        for step in 0..<100 {
            bench.propose()
            bench.tick(after: 50)
            for peer in 2...3 { bench.answer(from: peer, bench.core.log.lastIndex.number) }
            if step >= 10 { bench.store(through: bench.core.lastTicket - 10) }
        }
        #expect(bench.core.role == .leader)
    }

    // MARK: A connection that was closed

    @Test func `whoever sees the leader's connection close asks at once, one after the other`() {
        var ranks: [NodeID: Duration] = [:]
        for number in 2...4 {
            var bench = Bench(number, voters: nodes(1...4))
            bench.follow(1, in: 1)
            bench.handle(.disconnected(node(1)))
            let wait = bench.core.role == .preCandidate ? .zero : bench.core.electionDeadline.duration(since: bench.now)
            ranks[node(number)] = wait
        }
        #expect(ranks == [node(2): .zero, node(3): .milliseconds(15), node(4): .milliseconds(30)])
    }

    @Test func `a leader that lives keeps those who hear it`() {
        var cluster = ScriptedCluster.led(by: 3)
        cluster.run(200)
        cluster.handle(.disconnected(node(1)), at: 1)
        cluster.run(2_000)
        #expect(cluster.leaders() == [1])
        #expect(cluster.terms() == [1, 1, 1])
    }

    @Test func `when it has ended there is another in a moment`() {
        var cluster = ScriptedCluster.led(by: 3)
        cluster.run(200)
        cluster.crash(0)
        for place in 1...2 { cluster.handle(.disconnected(node(1)), at: place) }
        cluster.run(60)
        #expect(cluster.leaders() == [2])
    }
}
