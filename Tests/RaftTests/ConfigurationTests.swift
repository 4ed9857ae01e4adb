import Primitives
import Testing

@testable import Raft

/// Raft section 6: who belongs to a cluster, and what is a majority of it.
struct ConfigurationTests {
    // MARK: Text

    static let configurations = [
        Configuration(), Configuration(voters: nodes(1)), Configuration(voters: nodes(1...3)),
        Configuration(voters: nodes(1, 4, 5), outgoing: nodes(1...3)), Configuration(voters: nodes(1...3), learners: nodes(4, 5)),
        Configuration(voters: nodes(1...3), learners: nodes(4), target: nodes(2, 3, 4)),
        Configuration(voters: nodes(1), outgoing: nodes(2), learners: nodes(3), target: nodes(4)),
    ]

    @Test(arguments: configurations)
    func `a configuration is read back as it was written`(configuration: Configuration) {
        #expect(Configuration(configuration.description) == configuration)
        #expect(Configuration(payload: configuration.payload) == configuration)
    }

    @Test func `it is written as one line`() {
        let configuration = Configuration(voters: nodes(3, 1, 2), outgoing: nodes(2, 1), learners: nodes(5), target: nodes(1, 5))
        #expect(configuration.description == "voters=n1,n2,n3 outgoing=n1,n2 learners=n5 target=n1,n5")
        #expect(Configuration().description == "voters= outgoing= learners= target=")
    }

    @Test(arguments: [
        "", "voters", "voters=n1", "voters=n1 outgoing= learners=", "voters=n1 outgoing= learners= target= voters=n1",
        "voters=n1 outgoing= learners= target= witnesses=n9", "voters=n1 outgoing= learners= witnesses=n9",
        "voters=N1 outgoing= learners= target=",
        "voters=n1;n2 outgoing= learners= target=", "voters= outgoing=n1 learners= target=", "voters= outgoing= learners= target=n1",
        "voters:n1 outgoing: learners: target:",
    ])
    func `what is not one is not taken for one`(text: String) {
        #expect(Configuration(text) == nil)
    }

    /// It names somebody, and nobody who could decide anything.
    @Test func `a configuration of learners alone is none`() {
        #expect(Configuration("voters= outgoing= learners=n1,n2 target=") == nil)
    }

    @Test func `bytes that are no text are none`() {
        #expect(Configuration(payload: [0x76, 0xFF, 0xFE]) == nil)
        #expect(Configuration(payload: []) == nil)
    }

    // MARK: Sets

    @Test func `lists are sorted, and name nobody twice`() {
        let configuration = Configuration(voters: nodes(3, 1, 3, 2, 1), outgoing: nodes(2, 2), learners: nodes(5, 4, 5))
        #expect(configuration.voters == nodes(1...3))
        #expect(configuration.outgoing == nodes(2))
        #expect(configuration.learners == nodes(4, 5))
    }

    @Test func `whoever votes in one half, and is to learn afterwards, is a voter until then`() {
        let configuration = Configuration(voters: nodes(1, 2), outgoing: nodes(1...3), learners: nodes(3, 4))
        #expect(configuration.isVoter(node(3)) && !configuration.isVoter(node(4)))
        #expect(configuration.members == nodes(1...4))
        #expect(Configuration(configuration.description) == configuration)
    }

    @Test func `everybody who gets the log is a member`() {
        let configuration = Configuration(voters: nodes(1, 2), outgoing: nodes(2, 3), learners: nodes(4), target: nodes(1, 2, 9))
        #expect(configuration.members == nodes(1...4))
        #expect((1...4).map { configuration.isMember(node($0)) } == [true, true, true, true])
        #expect((1...4).map { configuration.isVoter(node($0)) } == [true, true, true, false])
        #expect(!configuration.isMember(node(9)))
    }

    @Test func `it is changing while it is joint or has a target`() {
        #expect(!Configuration(voters: nodes(1)).isChanging)
        #expect(Configuration(voters: nodes(1), target: nodes(2)).isChanging)
        #expect(Configuration(voters: nodes(1), outgoing: nodes(2)).isChanging)
        #expect(Configuration().isEmpty)
        #expect(!Configuration(learners: nodes(1)).isEmpty)
    }

    // MARK: Majorities

    @Test(arguments: [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
    func `more than half of the voters are a quorum`(size: Int, quorum: Int) {
        let configuration = Configuration(voters: nodes(1...size), learners: nodes(11...20))
        for count in 0...size {
            let agreed = nodes(1...size).prefix(count)
            #expect(configuration.hasQuorum { agreed.contains($0) } == (count >= quorum), "\(count) of \(size)")
            #expect(configuration.cannotWin { agreed.contains($0) } == (size - count < quorum), "\(count) of \(size)")
        }
        #expect(!configuration.hasQuorum { $0 > node(size) }, "learners")
    }

    @Test func `nobody is no quorum of nobody`() {
        #expect(!Configuration().hasQuorum { _ in true })
        #expect(Configuration().agreed { _ in 7 } == 0)
    }

    @Test func `of a joint configuration both halves are asked, as if each were alone`() {
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            let (new, old) = (subset(&generator), subset(&generator))
            let agreed = subset(&generator)
            let joint = Configuration(voters: new, outgoing: old)
            let both =
                Configuration(voters: new).hasQuorum { agreed.contains($0) } && Configuration(voters: old).hasQuorum { agreed.contains($0) }
            #expect(joint.hasQuorum { agreed.contains($0) } == both, "seed \(seed)")
        }
    }

    /// One or more of n1 to n7.
    private func subset(_ generator: inout SeededGenerator) -> [NodeID] {
        let some = nodes(1...7).filter { _ in Bool.random(using: &generator) }
        return some.isEmpty ? nodes(1) : some
    }

    @Test func `two quorums of one configuration have somebody in common, and of neighbours in a change too`() {
        for seed in UInt64(1)...300 {
            var generator = SeededGenerator(seed: seed)
            let (new, old) = (subset(&generator), subset(&generator))
            let stages = [Configuration(voters: old), Configuration(voters: new, outgoing: old), Configuration(voters: new)]
            let (one, other) = (subset(&generator), subset(&generator))
            for (left, right) in [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)] {
                guard stages[left].hasQuorum(where: { one.contains($0) }), stages[right].hasQuorum(where: { other.contains($0) }) else {
                    continue
                }
                #expect(one.contains { other.contains($0) }, "seed \(seed), stages \(left) and \(right)")
            }
        }
    }

    static let reached: [([UInt64], UInt64)] = [
        ([5], 5), ([5, 3], 3), ([5, 3, 4], 4), ([1, 1, 9], 1), ([9, 9, 1], 9), ([4, 1, 3, 2], 2), ([5, 1, 4, 2, 3], 3),
        ([0, 0, 0, 7, 7], 0),
        ([7, 0, 7, 0, 7], 7),
    ]

    @Test(arguments: reached)
    func `what a majority has reached is agreed`(reached: [UInt64], agreed: UInt64) {
        let configuration = Configuration(voters: nodes(1...reached.count))
        let number: (NodeID) -> UInt64 = { id in (1...reached.count).first { node($0) == id }.map { reached[$0 - 1] } ?? 99 }
        #expect(configuration.agreed(number) == agreed)
    }

    @Test func `agreed is the highest number that a quorum has reached`() {
        for seed in UInt64(1)...300 {
            var generator = SeededGenerator(seed: seed)
            var reached: [NodeID: UInt64] = [:]
            for id in nodes(1...7) { reached[id] = UInt64.random(in: 0...9, using: &generator) }
            let joint = Configuration(voters: subset(&generator), outgoing: Bool.random(using: &generator) ? subset(&generator) : [])
            let agreed = joint.agreed { reached[$0] ?? 0 }
            #expect(agreed == 0 || joint.hasQuorum { reached[$0] ?? 0 >= agreed }, "seed \(seed)")
            #expect(!joint.hasQuorum { reached[$0] ?? 0 > agreed }, "seed \(seed)")
        }
    }
}
