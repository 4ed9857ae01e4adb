import Primitives
import Raft
import Testing

@testable import Simulation

/// An id that is used again with another disk (openraft PR #2002, dragonboat #256). The log that its server is sent begins with entries by which it was the only voter: going by them it
/// would lead by itself, beside all others. So whoever comes to a cluster that is there does not trust itself before its leader says so.
struct SecondFolderTests {
    enum Past: CaseIterable, Sendable {
        /// n1 began alone, and took in n2 and n3.
        case founder
        /// Three began, of whom n1 alone was left before the others came back.
        case left
        /// The same, and what has n1 as the only voter is a snapshot's configuration.
        case leftWithSnapshot
    }

    /// Three members, of whom n1 was the only one once, and does not lead.
    private static func grown(_ past: Past) throws -> World {
        var plan = SimulationPlan(seed: 4, servers: past == .founder ? 1 : 3, faults: [])
        plan.spares = past == .founder ? 2 : 0
        plan.settings = RaftSettings()
        (plan.settings.appendBytes, plan.settings.inFlightMessages) = (1, 1)
        (plan.settings.keptBytes, plan.settings.tailEntries) = (past == .leftWithSnapshot ? 0 : 1 << 20, 0)
        (plan.latency, plan.snapshotEvery) = (2_000_000, 1_000_000)
        let world = World(plan: plan)
        for server in world.servers { world.start(server) }
        world.run(until: 3_000_000_000)
        if past != .founder {
            try hand(to: 0, world)
            try change(["n1"], world)
        }
        if past == .leftWithSnapshot { try takeSnapshots(world) }
        try change(["n1", "n2", "n3"], world)
        try hand(to: 1, world)
        return world
    }

    private static func change(_ names: [String], _ world: World) throws {
        let leader = try #require(world.leading)
        let voters = try names.map { name throws(IdentifierError) in try NodeID(name) }
        world.attempts += 1
        world.handle(.change(id: world.attempts, voters: voters, learners: [], basedOn: nil), at: leader)
        world.run(until: world.now + 2_000_000_000)
        try #require(world.leading?.core?.configuration == Configuration(voters: voters))
    }

    private static func hand(to number: Int, _ world: World) throws {
        let leader = try #require(world.leading)
        world.attempts += 1
        if leader.number != number { world.handle(.transfer(id: world.attempts, to: world.servers[number].id), at: leader) }
        world.run(until: world.now + 2_000_000_000)
        try #require(world.leading?.number == number)
        try #require(world.violation == nil)
    }

    private static func takeSnapshots(_ world: World) throws {
        let leader = try #require(world.leading)
        world.saveSnapshot(leader)
        try #require(leader.core?.snapshot?.configuration.voters == [leader.id])
    }

    /// n1's disk is another one; its id is taken out of the cluster, and in again. Comes back when it has the part of the log, or the snapshot, by which it is alone.
    private static func comesBackAlone(_ world: World, joins: Bool) throws -> SimulatedServer {
        let server = world.servers[0]
        world.crash(server, .kill)
        world.replaceDisk(of: server)
        server.isSecondFolder = joins
        world.start(server)
        try #require(server.isDenied)
        try change(["n2", "n3"], world)
        world.putOnRecord(server)
        world.attempts += 1
        let leader = try #require(world.leading)
        world.handle(.change(id: world.attempts, voters: world.servers.map(\.id), learners: [], basedOn: nil), at: leader)
        let end = world.now + 10_000_000_000
        func isAlone() -> Bool { server.core.map { $0.configuration.voters == [server.id] && !$0.configuration.isJoint } ?? false }
        while !isAlone(), world.now < end { world.run(until: world.now + 500_000) }
        try #require(isAlone())
        for other in world.servers where other !== server { world.network.cutBothWays(server.number, other.number) }
        world.run(until: world.now + 5_000_000_000)
        return server
    }

    @Test(arguments: Past.allCases) func `it does not lead by what it once was`(past: Past) throws {
        let world = try Self.grown(past)
        let server = try Self.comesBackAlone(world, joins: true)
        #expect(world.violation == nil)
        #expect(server.running?.core.role == .follower)
        #expect(server.isRecovering)
        world.network.heal()
        world.run(until: world.now + 10_000_000_000)
        #expect(world.violation == nil)
        #expect(!server.isRecovering)
        let leader = try #require(world.leading)
        #expect(leader.core?.configuration.isVoter(server.id) == true)
        #expect(server.commit == leader.commit)
    }

    /// So the test above shows something.
    @Test(arguments: Past.allCases) func `if it trusted itself it would lead, and that is seen`(past: Past) throws {
        let world = try Self.grown(past)
        _ = try Self.comesBackAlone(world, joins: false)
        #expect(world.violation?.invariant == "R4", "\(world.summary)")
    }

    /// The folder is no new one any more when it starts again, and must not be taken for one that may trust itself.
    @Test func `it does not forget that when its first start is cut off`() throws {
        for operations in 0..<60 {
            let world = try Self.grown(.founder)
            let server = world.servers[0]
            world.crash(server, .kill)
            world.replaceDisk(of: server)
            server.disk.setFuse(after: operations)
            world.violation = nil
            world.start(server)
            guard !server.isUp else { return #expect(operations > 10) }
            world.violation = nil
            server.disk.crash(.kill)
            world.start(server)
            try #require(server.isUp)
            #expect(server.isRecovering, "after \(operations) operations")
        }
        Issue.record("no start came through")
    }
}
