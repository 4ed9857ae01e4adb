import Cluster
import Primitives
import Testing

@testable import Raft
@testable import Simulation

/// Design 6, S3: a check that cannot fail proves nothing, so each of these is shown a history that it must not let pass.
struct RaftChecksTests {
    /// Three servers without faults, one of which leads.
    private static func led(seed: UInt64 = 1, _ change: (inout SimulationPlan) -> Void = { _ in }) throws -> (
        world: World, leader: SimulatedServer
    ) {
        var plan = SimulationPlan(seed: seed, servers: 3, faults: [])
        plan.settings.preVote = true
        change(&plan)
        let world = World(plan: plan)
        for server in world.servers { world.start(server) }
        world.run(until: 4_000_000_000)
        let leader = try #require(world.servers.first { $0.running?.core.role == .leader })
        try #require(world.violation == nil)
        return (world, leader)
    }

    /// What the checks say when a server's core has put this out.
    private static func verdict(of output: RaftOutput, by server: SimulatedServer, isTick: Bool = false, _ world: World) -> String? {
        world.checks.handled(server, output, isTick: isTick, in: world)
        return world.violation?.invariant
    }

    private static func writing(_ change: (inout RaftOutput.Write) -> Void) -> RaftOutput {
        var (output, write) = (RaftOutput(), RaftOutput.Write(ticket: 1_000))
        change(&write)
        output.writes = [write]
        return output
    }

    @Test func `what has happened so far is let pass`() throws {
        let (world, leader) = try Self.led()
        #expect(Self.verdict(of: RaftOutput(), by: leader, world) == nil)
    }

    @Test func `R2 a leader that cuts its own log is seen`() throws {
        let (world, leader) = try Self.led()
        #expect(Self.verdict(of: Self.writing { $0.truncateAfter = leader.commit }, by: leader, world) == "R2")
    }

    @Test func `R2 a leader that writes an entry again is seen`() throws {
        let (world, leader) = try Self.led()
        let core = try #require(leader.core)
        let entry = LogEntry(index: core.log.lastIndex, term: core.term, kind: .leaderStart, payload: [])
        #expect(Self.verdict(of: Self.writing { $0.entries = [entry] }, by: leader, world) == "R2")
    }

    @Test func `R15 a leader without the votes of a majority is seen`() throws {
        let (world, leader) = try Self.led()
        // As if nobody had ever voted.
        world.checks = RaftChecks(servers: world.servers.count)
        var output = RaftOutput()
        output.transitions = [.becameLeader(leader.term)]
        #expect(Self.verdict(of: output, by: leader, world) == "R15")
    }

    @Test func `R15 a configuration that the log does not have is seen`() throws {
        let (world, leader) = try Self.led()
        leader.configurations = []
        #expect(Self.verdict(of: Self.writing { $0.hardState = nil }, by: leader, world) == "R15")
    }

    @Test func `R15 voters that are changed in one step are seen`() throws {
        let (world, leader) = try Self.led()
        let core = try #require(leader.core)
        let next = Configuration(voters: [leader.id])
        let entry = LogEntry(index: core.log.lastIndex.next, term: core.term, kind: .configuration, payload: next.payload)
        #expect(Self.verdict(of: Self.writing { $0.entries = [entry] }, by: leader, world) == "R15")
    }

    /// Raft section 6; thesis section 4.3.
    @Test func `R15 one change follows another only as it may`() throws {
        let nodes = try ["n1", "n2", "n3", "n4"].map { name throws(IdentifierError) in try NodeID(name) }
        let (old, new) = (Configuration(voters: Array(nodes.prefix(3))), Configuration(voters: nodes))
        let joint = Configuration(voters: nodes, outgoing: old.voters)
        func problem(_ from: Configuration, _ to: Configuration, previous: UInt64 = 3, isOwnTermCommitted: Bool = true) -> String? {
            MembershipStep(
                from: from, to: to, previous: LogIndex(previous), commit: LogIndex(5), isOwnTermCommitted: isOwnTermCommitted
            ).problem
        }
        #expect(problem(old, joint) == nil)
        #expect(problem(joint, new) == nil)
        #expect(problem(old, Configuration(voters: old.voters, learners: [nodes[3]], target: nodes)) == nil)
        #expect(problem(old, joint, previous: 6) != nil)
        #expect(problem(old, joint, isOwnTermCommitted: false) != nil)
        #expect(problem(old, new) != nil)
        #expect(problem(new, joint) != nil)
        #expect(problem(joint, old) != nil)
        #expect(problem(joint, joint) != nil)
    }

    /// A leader that hands over to somebody whom it does not reach.
    private static func handingOver() throws -> (world: World, leader: SimulatedServer) {
        let (world, leader) = try led()
        let target = try #require(world.servers.first { $0 !== leader })
        world.network.cutBothWays(leader.number, target.number)
        world.handle(.propose(id: 900, [[UInt8](repeating: 0, count: 50)]), at: leader)
        world.handle(.transfer(id: 901, to: target.id), at: leader)
        try #require(leader.transferBegan != nil)
        return (world, leader)
    }

    @Test func `R16 a proposal that is taken while a leader hands over is seen`() throws {
        let (world, leader) = try Self.handingOver()
        var output = RaftOutput()
        output.accepted = [.init(id: 902, term: leader.term, first: LogIndex(1), count: 1)]
        #expect(Self.verdict(of: output, by: leader, world) == "R16")
    }

    @Test func `R16 a handover that does not end is seen`() throws {
        let (world, leader) = try Self.handingOver()
        leader.transferBegan = Instant(nanoseconds: leader.local(world.now).nanoseconds - 1_100_000_000)
        #expect(Self.verdict(of: RaftOutput(), by: leader, isTick: true, world) == "R16")
    }

    @Test func `R20 a command that is done twice is seen`() {
        let command = KeyValueMachine.Command(session: 5, sequence: 1, kind: .append, key: 0, value: 7)
        func log() -> SessionLog {
            var log = SessionLog()
            let open = KeyValueMachine.Command(session: 0, sequence: 0, kind: .open, key: 0, value: 1)
            #expect(log.applied(LogIndex(5), open, .opened(5), hasChanged: false) == nil)
            #expect(log.applied(LogIndex(6), command, .done, hasChanged: true) == nil)
            return log
        }
        var (right, twice, other, expired, unknown) = (log(), log(), log(), log(), SessionLog())
        // On another server, and repeated later.
        #expect(right.applied(LogIndex(6), command, .done, hasChanged: true) == nil)
        #expect(right.applied(LogIndex(7), command, .done, hasChanged: false) == nil)
        #expect(right.applied(LogIndex(8), command, .expired, hasChanged: false) == nil)
        #expect(twice.applied(LogIndex(7), command, .done, hasChanged: true) != nil)
        #expect(other.applied(LogIndex(7), command, .swapped(false), hasChanged: false) != nil)
        #expect(expired.applied(LogIndex(7), command, .expired, hasChanged: true) != nil)
        #expect(unknown.applied(LogIndex(6), command, .done, hasChanged: true) != nil)
    }

    @Test func `R20 stops the world`() throws {
        let (world, _) = try Self.led()
        let command = KeyValueMachine.Command(session: 77, sequence: 1, kind: .append, key: 0, value: 7)
        let entry = LogEntry(index: LogIndex(9), term: Term(1), kind: .commands, payload: command.payload)
        world.checks.sessions(entry, command, .done, hasChanged: true, in: world)
        #expect(world.violation?.invariant == "R20")
    }

    /// Thesis section 9.6.
    @Test func `R23 without pre-votes one server that comes and goes is seen to disturb`() throws {
        let (world, _) = try Self.led { $0.settings.preVote = false }
        world.disturb()
        #expect(world.violation?.invariant == "R23")
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func `R23 with pre-votes it does not`(seed: UInt64) throws {
        let (world, _) = try Self.led(seed: seed)
        world.disturb()
        #expect(world.violation == nil)
        #expect(world.coverage[.disturbed] == 1)
    }

    @Test func `C3 what was refused and happens all the same is seen`() throws {
        let (world, leader) = try Self.led()
        let core = try #require(leader.core)
        world.checks.refused(1_234, in: world)
        let command = KeyValueMachine.Command(session: 1, sequence: 1, kind: .write, key: 0, value: 1)
        let entry = LogEntry(
            index: core.log.lastIndex.next, term: core.term, kind: .commands, payload: command.payload + RaftChecks.bytes(of: 1_234))
        #expect(Self.verdict(of: Self.writing { $0.entries = [entry] }, by: leader, world) == "C3")
    }

    @Test func `C3 what is refused after it was taken is seen`() throws {
        let (world, leader) = try Self.led()
        var output = RaftOutput()
        output.accepted = [.init(id: 1_235, term: leader.term, first: LogIndex(1), count: 1)]
        #expect(Self.verdict(of: output, by: leader, world) == nil)
        world.checks.refused(1_235, in: world)
        #expect(world.violation?.invariant == "C3")
    }
}
