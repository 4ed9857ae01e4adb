import Primitives
import Simulation
import Testing

@testable import Raft

/// Raft section 6, thesis chapter 4: members come and go.
struct Section6Tests {
    private func configuration(_ bench: Bench) -> String { bench.core.configuration.description }

    // MARK: Joint consensus

    @Test func `a change of voters goes through both halves together`() {
        var bench = Bench(voters: nodes(1...3), learners: [])
        bench.lead()
        bench.handle(.change(id: 9, voters: nodes(1, 2), learners: [], basedOn: nil))
        #expect(bench.output.accepted.map(\.id) == [9])
        #expect(configuration(bench) == "voters=n1,n2 outgoing=n1,n2,n3 learners= target=")
        bench.answer(from: 2, 2)
        #expect(bench.core.commitIndex == LogIndex(2))
        #expect(configuration(bench) == "voters=n1,n2 outgoing= learners= target=")
        #expect(bench.core.log.lastIndex == LogIndex(3))
        bench.answer(from: 2, 3)
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.core.progress.filter { !$0.isLeaving }.map(\.id) == nodes(2))
        #expect(bench.output.transitions.contains(.configurationCommitted(LogIndex(3))))
    }

    @Test func `a configuration is in force once it is appended`() {
        var follower = Bench(2, terms: [1])
        let joint = Configuration(voters: nodes(1...5), outgoing: nodes(1...3))
        var message = append(term: 1, previous: 1, of: 1, [1])
        message.entries[0].kind = .configuration
        message.entries[0].payload = joint.payload
        follower.receive(.append(message), from: 1)
        #expect(follower.core.configuration == joint)
        #expect(follower.core.commitIndex == .zero)
        #expect(follower.output.transitions.contains(.configuration(LogIndex(2), joint)))
    }

    @Test func `and the one before it is again when it is cut off`() {
        var follower = Bench(2, terms: [1])
        var message = append(term: 1, previous: 1, of: 1, [1])
        message.entries[0].kind = .configuration
        message.entries[0].payload = Configuration(voters: nodes(2, 4)).payload
        follower.receive(.append(message), from: 1)
        follower.receive(.append(append(term: 2, previous: 1, of: 1, [2])), from: 3)
        #expect(follower.core.configuration == Configuration(voters: nodes(1...3)))
        // Whoever keeps connections to the members must come to know of it.
        let told = follower.output.transitions.contains {
            if case .configuration(_, Configuration(voters: nodes(1...3))) = $0 { true } else { false }
        }
        #expect(told)
    }

    @Test func `each configuration of a message is told with its own members`() {
        var follower = Bench(2, terms: [1])
        var message = append(term: 1, previous: 1, of: 1, [1, 1])
        let configurations = [Configuration(voters: nodes(1...4), outgoing: nodes(1...3)), Configuration(voters: nodes(1...4))]
        for (place, configuration) in configurations.enumerated() {
            message.entries[place].kind = .configuration
            message.entries[place].payload = configuration.payload
        }
        follower.receive(.append(message), from: 1)
        let told = follower.output.transitions.filter { if case .configuration = $0 { true } else { false } }
        #expect(told == [.configuration(LogIndex(2), configurations[0]), .configuration(LogIndex(3), configurations[1])])
    }

    /// Who acknowledges of n2 to n5, while n1 to n3 give way to n1, n4 and n5.
    @Test(arguments: [
        ([], false), ([2], false), ([2, 3], false), ([4], false), ([4, 5], false), ([2, 4], true), ([3, 5], true), ([2, 3, 4, 5], true),
    ])
    func `a joint configuration commits with a majority of each half`(acknowledged: [Int], isCommitted: Bool) {
        var bench = joint()
        let index = bench.core.log.lastIndex
        for peer in acknowledged { bench.answer(from: peer, index.number) }
        #expect((bench.core.commitIndex >= index) == isCommitted)
    }

    /// A leader, n1, whose last entry is the joint configuration of n1, n2, n3 and n1, n4, n5; nobody else has it.
    private func joint() -> Bench {
        var bench = Bench(voters: nodes(1...3), learners: nodes(4, 5))
        bench.lead()
        bench.handle(.change(id: 9, voters: nodes(1, 4, 5), learners: [], basedOn: nil))
        for peer in 2...5 { bench.answer(from: peer, 2) }
        for peer in 4...5 { bench.answer(from: peer, 2) }
        #expect(bench.core.configuration == Configuration(voters: nodes(1, 4, 5), outgoing: nodes(1...3)))
        bench.output.clear()
        return bench
    }

    /// The voters of a candidate with that configuration.
    @Test(arguments: [([2], false), ([2, 3], false), ([4, 5], false), ([2, 4], true), ([3, 4], true), ([2, 3, 4, 5], true)])
    func `so is a leader elected`(voters: [Int], wins: Bool) {
        var bench = Bench(terms: [1])
        var message = append(term: 1, previous: 1, of: 1, [1])
        message.entries[0].kind = .configuration
        message.entries[0].payload = Configuration(voters: nodes(1, 4, 5), outgoing: nodes(1...3)).payload
        bench.receive(.append(message), from: 2)
        bench.becomeCandidate()
        for voter in voters { bench.receive(.requestVoteReply(.init(term: bench.core.term, isGranted: true)), from: voter) }
        #expect((bench.core.role == .leader) == wins)
    }

    @Test func `a new leader brings a change that it finds to its end`() {
        for stage in 0..<12 {
            var cluster = ScriptedCluster.led(by: 3, learners: nodes(4, 5))
            cluster.change(voters: nodes(3, 4, 5), at: 0)
            cluster.advance(.milliseconds(50))
            for _ in 0..<stage * 3 { _ = cluster.deliverNext() }
            cluster.crash(0)
            cluster.run(10_000)
            let agreed = cluster.servers.filter { $0.core != nil }.compactMap(\.core?.configuration)
            #expect(agreed.allSatisfy { !$0.isJoint && $0.target.isEmpty }, "stage \(stage): \(agreed)")
            cluster.restart(0)
            cluster.run(5_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "stage \(stage): \(faults)")
            #expect(cluster.leaders().count == 1, "stage \(stage)")
        }
    }

    /// Thesis section 4.2.2: a server that is not part of its own latest configuration may still be needed until that is committed. Here
    /// nobody else can win: n2, the only voter there will be, has an older log and needs n1's vote.
    @Test func `a server that its last entry removes still campaigns while that is not committed`() {
        var cluster = ScriptedCluster.led(by: 2)
        cluster.change(voters: nodes(2), at: 0)
        cluster.deliver(MessageFilter(kind: .append))
        cluster.deliver(MessageFilter(kind: .appendReply))
        #expect(cluster.core(1)?.configuration == Configuration(voters: nodes(2)))
        _ = cluster.drop()
        cluster.isolate(node(1))
        cluster.run(3_000)
        cluster.heal()
        cluster.run(10_000)
        #expect(cluster.leaders() == [2])
        let core = cluster.core(2)
        #expect(core?.configuration == Configuration(voters: nodes(2)))
        #expect(core?.commitIndex == core?.log.lastIndex)
    }

    /// After a restart it knows of no commitment: then the configuration that it began with, in which it was nothing, says nothing.
    @Test func `nor does a restart keep it from that`() {
        var cluster = ScriptedCluster.led(by: 1, spare: nodes(2))
        cluster.change(voters: nodes(1, 2), at: 0)
        cluster.run(3_000)
        cluster.transfer(to: node(2), at: 0)
        cluster.run(1_000)
        #expect(cluster.leaders() == [2])
        cluster.change(voters: nodes(1), at: 1)
        cluster.deliver(MessageFilter(kind: .append))
        cluster.deliver(MessageFilter(kind: .appendReply))
        #expect(cluster.core(2)?.configuration == Configuration(voters: nodes(1)))
        _ = cluster.drop()
        cluster.crash(1)
        cluster.restart(1)
        cluster.run(10_000)
        #expect(cluster.leaders() == [1])
        #expect(cluster.core(1)?.configuration == Configuration(voters: nodes(1)))
    }

    // MARK: What is refused

    @Test func `changes that cannot be are refused for certain`() {
        var bench = Bench()
        bench.handle(.change(id: 1, voters: nodes(1, 2), learners: [], basedOn: nil))
        bench.becomeLeader()
        bench.handle(.change(id: 2, voters: nodes(1, 2), learners: [], basedOn: nil))
        for peer in 2...3 { bench.answer(from: peer, 1) }
        bench.handle(.change(id: 3, voters: [], learners: nodes(1, 2, 3), basedOn: nil))
        bench.handle(.change(id: 4, voters: nodes(1, 2), learners: [], basedOn: LogIndex(7)))
        bench.handle(.change(id: 5, voters: nodes(1, 2), learners: [], basedOn: .zero))
        bench.handle(.change(id: 6, voters: nodes(1, 3), learners: [], basedOn: nil))
        #expect(bench.output.refused.map(\.reason) == [.notReady, .noVoters, .staleConfiguration(at: .zero), .changeInProgress])
        #expect(bench.output.accepted.map(\.id) == [5])
        #expect(bench.core.log.lastIndex == LogIndex(2))
    }

    @Test func `a change whose newcomers do not come can be replaced by another`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(1...4), learners: [], basedOn: nil))
        bench.answer(from: 2, 2)
        #expect(bench.core.configuration.target == nodes(1...4))
        bench.handle(.change(id: 2, voters: nodes(1...3), learners: [], basedOn: nil))
        #expect(bench.core.configuration == Configuration(voters: nodes(1...3)))
        bench.answer(from: 2, 3)
        #expect(bench.core.progress.filter { !$0.isLeaving }.map(\.id) == nodes(2, 3))
    }

    /// What a caller saw stays what it is when the log is compacted.
    @Test func `the entry that a change is based on is the same after a snapshot`() {
        var cluster = ScriptedCluster.led()
        cluster.change(voters: nodes(1...3), learners: nodes(4), at: 0)
        cluster.stabilize()
        let seen = cluster.core(1)?.log.configurationIndex
        cluster.propose("a")
        cluster.stabilize()
        _ = cluster.takeSnapshot(0)
        #expect(cluster.core(1)?.log.configurationIndex == seen)
    }

    @Test func `nor is one by which too few voters would answer`() {
        var bench = Bench(voters: nodes(1...4))
        bench.lead()
        bench.pass(1_000)
        for peer in 2...3 { bench.answer(from: peer, 1) }
        bench.pass(1_001)
        for peer in 2...3 { bench.answer(from: peer, 1) }
        bench.handle(.change(id: 1, voters: nodes(1, 4), learners: [], basedOn: nil))
        #expect(bench.output.refused.map(\.reason) == [.withoutQuorum(answering: 1, of: 2)])
        bench.handle(.change(id: 2, voters: nodes(1, 2, 4), learners: [], basedOn: nil))
        #expect(bench.output.accepted.map(\.id) == [2])
    }

    // MARK: Learners

    @Test func `learners get the log, and neither vote nor count nor campaign`() {
        var leader = Bench(learners: nodes(4, 5))
        leader.lead()
        leader.propose()
        #expect(leader.appends.map(\.to) == nodes(2, 3, 4, 5))
        for peer in 4...5 { leader.answer(from: peer, 2) }
        #expect(leader.core.commitIndex == LogIndex(1))

        var learner = Bench(4, learners: nodes(4))
        learner.tick(after: 60_000)
        #expect(learner.core.role == .follower && learner.output.messages.isEmpty)

        var candidate = Bench(learners: nodes(4, 5))
        candidate.becomeCandidate()
        #expect(candidate.take().allSatisfy { nodes(2, 3).contains($0.to) })
        for voter in 4...5 { candidate.receive(.requestVoteReply(.init(term: Term(1), isGranted: true)), from: voter) }
        #expect(candidate.core.role == .candidate)
    }

    @Test func `a learner may come and go in one step`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(1...3), learners: nodes(4), basedOn: nil))
        #expect(bench.core.configuration == Configuration(voters: nodes(1...3), learners: nodes(4)))
        #expect(bench.core.progress.filter { !$0.isLeaving }.map(\.id) == nodes(2, 3, 4))
        bench.answer(from: 2, 2)
        bench.handle(.change(id: 2, voters: nodes(1...3), learners: [], basedOn: nil))
        bench.answer(from: 2, 3)
        #expect(bench.core.progress.filter { !$0.isLeaving }.map(\.id) == nodes(2, 3))
        #expect(bench.core.commitIndex == LogIndex(3))
    }

    @Test func `of one that comes back before it was let go nothing is known from before`() throws {
        var bench = Bench(learners: nodes(4))
        bench.lead()
        bench.propose()
        bench.answer(from: 4, 2)
        bench.answer(from: 2, 2)
        #expect(bench.progress(of: 4)?.matchIndex == LogIndex(2))
        bench.handle(.change(id: 1, voters: nodes(1...3), learners: [], basedOn: nil))
        bench.answer(from: 2, 3)
        #expect(try #require(bench.progress(of: 4)).isLeaving)
        bench.handle(.change(id: 2, voters: nodes(1...3), learners: nodes(4), basedOn: nil))
        let back = try #require(bench.progress(of: 4))
        #expect(!back.isLeaving)
        #expect(back.matchIndex == .zero && back.state == .probe(isWaiting: true) && !back.isCaughtUp)
    }

    @Test func `a newcomer is sent the log though nobody proposes anything`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(1...3), learners: nodes(4), basedOn: nil))
        #expect(bench.appends.contains { $0.to == node(4) && !$0.append.entries.isEmpty })
    }

    @Test(arguments: [nodes(1, 2), nodes(1, 2, 4)])
    func `a voter can become a learner`(voters: [NodeID]) {
        var cluster = ScriptedCluster.led(by: 3, spare: nodes(4))
        cluster.change(voters: voters, learners: nodes(3), at: 0)
        cluster.propose("a")
        cluster.run(1_000)
        cluster.propose("b")
        cluster.run(500)
        #expect(cluster.core(1)?.configuration == Configuration(voters: voters, learners: nodes(3)))
        #expect(cluster.core(3)?.commitIndex == cluster.core(1)?.commitIndex)
    }

    // MARK: Removed servers

    @Test func `a removed leader leads until that is committed, without counting itself`() {
        var bench = Bench()
        bench.lead()
        bench.handle(.change(id: 1, voters: nodes(2, 3), learners: [], basedOn: nil))
        bench.answer(from: 2, 2)
        #expect(bench.core.commitIndex == LogIndex(1), "n1 and n2 are no majority of n2 and n3")
        bench.answer(from: 3, 2)
        #expect(bench.core.configuration == Configuration(voters: nodes(2, 3)))
        bench.answer(from: 2, 3)
        #expect(bench.core.role == .leader)
        bench.answer(from: 3, 3)
        #expect(bench.core.role == .follower)
        #expect(bench.core.commitIndex == LogIndex(3))
        #expect(bench.output.messages.contains { if case .timeoutNow = $0.message { true } else { false } })
        bench.tick(after: 60_000)
        #expect(bench.core.role == .follower)
    }

    /// Else it asks for votes for ever, though nobody gives it one.
    @Test func `a server that is there when it is removed comes to know it`() {
        for removed in [3, 4] {
            var cluster = ScriptedCluster.led(by: 4)
            cluster.change(voters: nodes(1...4).filter { $0 != node(removed) }, at: 0)
            cluster.stabilize()
            cluster.run(5_000)
            #expect(cluster.core(removed)?.commitIndex == LogIndex(3), "n\(removed)")
            #expect(cluster.core(removed)?.role == .follower, "n\(removed)")
        }
    }

    @Test func `a removed server that does not know disturbs nobody`() {
        var cluster = ScriptedCluster.led(by: 4)
        cluster.isolate(node(4))
        cluster.change(voters: nodes(1...3), at: 0)
        cluster.run(300)
        cluster.heal()
        cluster.run(20_000)
        #expect(cluster.leaders() == [1])
        #expect(cluster.terms() == [1, 1, 1, 1])
        cluster.propose("a")
        cluster.run(100)
        #expect(cluster.commits().prefix(3) == [4, 4, 4])
    }

    @Test func `nor does it win when the leader has fallen`() {
        var cluster = ScriptedCluster.led(by: 4)
        cluster.isolate(node(4))
        cluster.change(voters: nodes(1...3), at: 0)
        cluster.run(300)
        cluster.heal()
        cluster.crash(0)
        for _ in 0..<3 {
            _ = cluster.campaign(3)
            cluster.stabilize()
        }
        #expect(cluster.core(4)?.role == .preCandidate)
        cluster.run(3_000)
        #expect(cluster.leaders() == [2] || cluster.leaders() == [3])
    }

    /// Section 6: servers disregard RequestVote when they believe that a leader exists.
    @Test func `a vote is not given, nor the term taken, while a leader is heard`() {
        var bench = Bench(term: 1)
        bench.follow(2, in: 1)
        bench.pass(499)
        bench.receive(vote(term: 7, last: 9, of: 6), from: 3)
        #expect(bench.votes.isEmpty && bench.core.term == Term(1))
        bench.receive(.preVote(.init(term: Term(6), asked: Term(7), lastIndex: LogIndex(9), lastTerm: Term(6))), from: 3)
        #expect(bench.preVotes == [.init(term: Term(1), asked: Term(7), isGranted: false)])
        bench.pass(1)
        bench.receive(vote(term: 7, last: 9, of: 6), from: 3)
        #expect(bench.votes == [.init(term: Term(7), isGranted: true)])
    }

    @Test func `a server votes though its own log does not have the candidate, or itself, as a member`() {
        var bench = Bench(7, voters: nodes(1...3))
        bench.receive(vote(term: 1), from: 9)
        #expect(bench.votes == [.init(term: Term(1), isGranted: true)])
        var empty = Bench(7, voters: [])
        empty.receive(vote(term: 1), from: 9)
        #expect(empty.votes == [.init(term: Term(1), isGranted: true)])
    }

    // MARK: All of it

    @Test func `any set of voters takes the place of any other, and nothing that was committed is lost`() {
        for seed in UInt64(1)...20 {
            var generator = SeededGenerator(seed: seed)
            var cluster = ScriptedCluster.led(by: 3, spare: nodes(4, 5, 6))
            for step in 0..<12 {
                let voters = (1...6).map(node).filter { _ in Bool.random(using: &generator) }
                for leader in cluster.leaders() {
                    cluster.change(voters: voters, at: leader - 1)
                    cluster.propose("\(step)", to: leader)
                }
                if Bool.random(using: &generator) { _ = cluster.drop(MessageFilter(), count: 5) }
                cluster.run(Int64.random(in: 10...2_000, using: &generator))
            }
            cluster.run(10_000)
            let faults = cluster.faults()
            #expect(faults.isEmpty, "seed \(seed): \(faults)")
            #expect(cluster.leaders().count == 1, "seed \(seed)")
            let leader = cluster.leaders().first.flatMap { cluster.core($0) }
            for member in leader?.configuration.members ?? [] {
                #expect(cluster[member]?.commitIndex == leader?.commitIndex, "seed \(seed), \(member)")
            }
        }
    }
}
