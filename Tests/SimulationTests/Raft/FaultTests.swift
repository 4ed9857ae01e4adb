import Cluster
import NIOCore
import Primitives
import Raft
import Storage
import Testing
import Wire

@testable import Simulation

/// Design 6, faults N4, F5, F10 and O3, each by itself: what it does, and what is expected of the servers.
struct FaultTests {
    private static func running(_ faults: SimulationPlan.Faults = [], servers: Int = 3) throws -> (world: World, leader: SimulatedServer) {
        var plan = SimulationPlan(seed: 2, servers: servers, faults: [])
        plan.settings.preVote = true
        plan.faults = faults
        let world = World(plan: plan)
        for server in world.servers { world.start(server) }
        world.run(until: 4_000_000_000)
        let leader = try #require(world.leading)
        try #require(world.violation == nil)
        return (world, leader)
    }

    private static func propose(_ world: World, _ count: Int = 1) {
        for _ in 0..<count {
            guard let leader = world.leading else { return }
            world.attempts += 1
            world.handle(.propose(id: world.attempts, [[UInt8](repeating: 0, count: 50)]), at: leader)
            world.run(until: world.now + 100_000_000)
        }
    }

    @Test func `N4 a connection that ends in the middle of a frame loses that frame alone`() throws {
        let (world, leader) = try Self.running(.streams)
        let other = try #require(world.servers.first { $0 !== leader })
        world.network[leader.number, other.number].connection.trouble = .cut
        world.run(until: world.now + 1_000_000_000)
        #expect(world.coverage[.frameCut] == 1)
        Self.propose(world, 3)
        world.run(until: world.now + 500_000_000)
        #expect(other.commit == leader.commit)
        #expect(world.violation == nil)
    }

    @Test func `N4 the end of a frame that comes late does not mix with the connection after it`() throws {
        let (world, leader) = try Self.running(.streams)
        let other = try #require(world.servers.first { $0 !== leader })
        for _ in 0..<5 {
            world.network[leader.number, other.number].connection.trouble = .late
            Self.propose(world)
        }
        world.run(until: world.now + 8_000_000_000)
        #expect(world.coverage[.streamsMixed] > 0)
        #expect(world.coverage[.streamBroken] == 0)
        #expect(other.commit == leader.commit)
        #expect(world.violation == nil)
    }

    @Test func `N4 frames that come byte by byte are whole frames in the end`() throws {
        let (world, leader) = try Self.running(.streams)
        for server in world.servers where server !== leader {
            world.network[leader.number, server.number].connection.dribblesUntil = world.now + 1_000_000_000
        }
        let before = leader.commit
        Self.propose(world, 5)
        #expect(world.coverage[.byteByByte] > 0)
        #expect(leader.commit > before)
        #expect(world.leading === leader)
    }

    @Test func `F5 a full disk stops its server, and nothing that was acknowledged is lost`() throws {
        let (world, leader) = try Self.running()
        leader.disk.capacityBytes = 0
        Self.propose(world, 400)
        #expect(leader.disk.counters[.full] > 0)
        #expect(world.leading !== leader)
        world.mend(leader)
        world.run(until: world.now + 5_000_000_000)
        #expect(leader.isUp)
        #expect(world.violation == nil)
    }

    @Test func `F10 an empty disk under a member's id is refused until the member is removed`() throws {
        let (world, leader) = try Self.running(servers: 3)
        Self.propose(world, 3)
        let other = try #require(world.servers.first { $0 !== leader })
        world.wipe(other)
        world.run(until: world.now + 900_000_000)
        #expect(world.coverage[.wiped] == 1)
        #expect(other.isDenied || !other.isUp)
        world.run(until: world.now + 10_000_000_000)
        #expect(world.coverage[.folderRefused] > 0)
        #expect(world.coverage[.readmitted] == 1)
        #expect(!other.isDenied)
        #expect(other.commit == leader.commit)
        #expect(world.violation == nil)
    }

    /// What the refusal is for: without it the server comes back with nothing of what it acknowledged.
    @Test func `F10 an empty disk that was not refused would be seen`() throws {
        let (world, leader) = try Self.running(servers: 3)
        Self.propose(world, 3)
        let other = try #require(world.servers.first { $0 !== leader })
        world.crash(other, .kill)
        other.disk.wipe()
        world.folders[other.number] = nil
        world.start(other)
        #expect(["R10", "R11"].contains(world.violation?.invariant ?? ""))
    }

    @Test func `F10 a server does not start with somebody else's disk`() throws {
        let (world, leader) = try Self.running(servers: 3)
        let other = try #require(world.servers.first { $0 !== leader })
        world.swapDisks(leader, other)
        world.start(leader)
        #expect(!leader.isUp)
        #expect(world.coverage[.swapRefused] == 1)
        world.swapBack(leader)
        world.run(until: world.now + 5_000_000_000)
        #expect(leader.isUp && other.isUp)
        #expect(world.violation == nil)
    }

    @Test func `F10 a disk that was rolled back is found out, and made good`() throws {
        let (world, leader) = try Self.running(servers: 3)
        let other = try #require(world.servers.first { $0 !== leader })
        let (image, end) = (other.disk.image(), other.durable)
        Self.propose(world, 5)
        #expect(other.durable > end)
        world.rollBack(other, image, of: other.folder, end)
        #expect(world.coverage[.rolledBack] == 1)
        world.run(until: world.now + 3_000_000_000)
        #expect(world.coverage[.foundOut] == 1)
        #expect(world.coverage[.trusted] == 1)
        #expect(other.commit == leader.commit)
        #expect(world.violation == nil)
    }

    @Test func `O3 an older program reads over the fields of a newer one`() throws {
        let (world, _) = try Self.running()
        var frame = ByteBuffer()
        let message = RaftMessage.preVoteReply(.init(term: Term(3), asked: Term(4), isGranted: true))
        RaftCodec.encode(message, from: world.servers[1].id, chunkBytes: 64, into: &frame)
        let longer = world.withLaterField(frame)
        #expect(longer.readableBytes > frame.readableBytes)
        var decoder = FrameDecoder()
        decoder.append(longer)
        let whole = try #require(try decoder.next())
        let incoming = try #require(try RaftCodec.decode(whole))
        #expect(incoming.from == world.servers[1].id)
        #expect(incoming.message == message)
    }

    @Test func `O3 an older program stops before a command that it does not know`() throws {
        let (world, leader) = try Self.running()
        let other = try #require(world.servers.first { $0 !== leader })
        for server in world.servers where server !== other { server.level = 2 }
        let raise = KeyValueMachine.Command(session: 0, sequence: 0, kind: .raise, key: 0, value: 2)
        world.handle(.propose(id: 990, [raise.payload]), at: leader)
        world.run(until: world.now + 200_000_000)
        #expect(world.coverage[.stoppedAtLevel] == 1)
        world.run(until: world.now + 5_000_000_000)
        #expect(other.machine.featureLevel == 2)
        #expect(world.violation == nil)
    }

    @Test func `O3 a command before its level is seen`() throws {
        let (world, leader) = try Self.running()
        for server in world.servers { server.level = 2 }
        let early = KeyValueMachine.Command(session: 0, sequence: 0, kind: .writeByNewer, key: 0, value: 2)
        world.handle(.propose(id: 990, [early.payload]), at: leader)
        world.run(until: world.now + 500_000_000)
        #expect(world.violation?.invariant == "O3")
    }
}
