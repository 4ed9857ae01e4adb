import NIOCore
import NIOPosix
import Observability
import Primitives
import SWIM
import Storage
import Synchronization
import Testing
import Transport
import Wire

@testable import Cluster

/// A node that gossips, as far as others see it: sockets for datagrams and calls on loopback.
final class GossipMember: Sendable {
    let id: NodeID
    let driver: GossipDriver
    let telemetry: Telemetry
    /// Where it takes calls, and datagrams.
    let rpc: String
    let gossip: String
    private let server: RPCServer
    private let client: RPCClient
    private let running: Task<Void, Never>

    init(
        _ id: NodeID, cluster: UUIDv7, seeds: [String], ring: KeyRing?, startedAt: UInt64, place: String?, disk: any Disk, path: String,
        roles: [String], group: MultiThreadedEventLoopGroup
    ) async throws {
        var hello = Hello()
        (hello.node, hello.cluster, hello.roles, hello.software) = (id, cluster, roles, "test")
        let (own, telemetry) = (OwnHello(hello), Telemetry.quiet(node: id))
        var calls = RPCClient.Settings()
        (calls.connectTimeout, calls.attempts) = (.seconds(1), 1)
        let client = RPCClient(hello: own, settings: calls, group: group, telemetry: telemetry)
        let around = GossipDriver.Surroundings(
            node: id, cluster: cluster, client: client, ring: ring, disk: disk, path: path, telemetry: telemetry)
        let driver = try GossipDriver(
            around, settings: Self.settings, startedAt: ClusterTime(milliseconds: startedAt), loop: group.next())
        own.change { $0.epoch = driver.epoch }
        var handlers = RPCHandlers()
        driver.add(to: &handlers)
        server = RPCServer(hello: own, handlers: handlers, group: group, telemetry: telemetry)
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        own.change { $0.address = address.description }
        var metadata = MemberMetadata(gossip: "", rpc: address.description)
        (metadata.roles, metadata.software) = (roles, "test")
        let bound = try await driver.start(
            host: "127.0.0.1", port: 0, place: { port in place.map { "\($0):\(port)" } }, metadata, seed: startedAt)
        (self.id, self.driver, self.telemetry, self.client, rpc, gossip) = (id, driver, telemetry, client, address.description, bound)
        running = Task { await driver.run { seeds } }
    }

    /// Quick enough for a test, and slow enough for a machine that has other things to do.
    private static var settings: GossipDriver.Settings {
        var settings = GossipDriver.Settings()
        settings.saveInterval = .milliseconds(100)
        settings.swim.probeInterval = .milliseconds(300)
        settings.swim.probeTimeout = .milliseconds(150)
        settings.swim.gossipInterval = .milliseconds(50)
        settings.swim.joinInterval = .milliseconds(300)
        settings.swim.reconnectInterval = .milliseconds(600)
        settings.swim.exchangeInterval = .seconds(1)
        return settings
    }

    /// How this one believes another to be.
    func state(of other: String) -> Liveness? { driver.view.current.members.first { $0.identity.node.text == other }?.liveness }

    var living: [String] { driver.view.current.members.filter { $0.liveness.isLiving }.map(\.identity.node.text) }

    func events(_ kind: String) -> [Event] { telemetry.events.events(after: 0).filter { $0.kind == "gossip." + kind } }

    func count(_ name: String, _ labels: [String: String] = [:]) -> Int { telemetry.count(name, labels) }

    /// Gone without a word, as after kill -9.
    func crash() async {
        running.cancel()
        client.close()
        await driver.stop()
        await server.drain(grace: .zero)
    }

    /// Says that it leaves.
    func leave() async {
        await driver.leave()
        await crash()
    }
}

extension Telemetry {
    /// What a counter or gauge stands at, all series with these labels together.
    fileprivate func count(_ name: String, _ labels: [String: String] = [:]) -> Int {
        var total = 0
        for family in metrics.snapshot where family.name == name {
            for series in family.series {
                let isWanted = labels.allSatisfy { wanted in series.labels.contains { $0.name == wanted.key && $0.value == wanted.value } }
                guard isWanted else { continue }
                switch series.instrument {
                case .counter(let counter): total += Int(counter.count)
                case .computed(_, let read): total += Int(read())
                default: continue
                }
            }
        }
        return total
    }
}

/// Nodes that gossip with each other.
final class GossipStage {
    private let temporary: TemporaryFolder
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private var members: [GossipMember] = []
    private var starts: UInt64 = 1_000

    init() throws { temporary = try TemporaryFolder() }

    /// - Parameters:
    ///   - startedAt: by its clock; later than all before where it is left out.
    ///   - place: the name under which it says that it takes datagrams.
    ///   - home: whose file it has, where that is not its own.
    func start(
        _ id: String, in number: UInt64 = 1, seeds: [String] = [], ring: KeyRing? = nil, startedAt: UInt64? = nil, place: String? = nil,
        home: String? = nil, roles: [String] = ["coordinator"]
    ) async throws -> GossipMember {
        starts += 1_000
        let made = try await GossipMember(
            try node(id), cluster: cluster(number), seeds: seeds, ring: ring, startedAt: startedAt ?? starts, place: place,
            disk: FileDisk(), path: "\(temporary.path)/\(home ?? id)", roles: roles, group: group)
        members.append(made)
        return made
    }

    /// So many, of which all know the first.
    func start(_ count: Int) async throws -> [GossipMember] {
        let first = try await start("n-1")
        var all = [first]
        for number in 2...count { all.append(try await start("n-\(number)", seeds: [first.rpc])) }
        let names = all.map(\.id.text)
        let found = all
        let met = await eventually { found.allSatisfy { $0.living == names } }
        #expect(met, "\(all.map(\.living))")
        return all
    }

    func close() async {
        for member in members { await member.crash() }
        try? await group.shutdownGracefully()
    }
}

/// Runs a test with nodes that gossip, and ends them after it.
func withGossip(_ body: (GossipStage) async throws -> Void) async throws {
    let stage = try GossipStage()
    do { try await body(stage) } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}
