package import API
import Cluster
import Coordinator
import Foundation
import Logging
import NIOPosix
import Observability
import Primitives
import Storage
import Synchronization
import Transport
import UnixSignals
import Wire

extension Node {
    /// Opens a node. One whose folder is empty, and that is to begin a cluster with others or to join one, first waits for them; meanwhile its `/health/ready` says
    /// for whom.
    ///
    /// - Parameters:
    ///   - settings: keys and values as `distric.toml` has them, lists separated by commas.
    ///   - guardProgram: the path of a `distric` binary, through which `exec@1` tasks are started under limits; nil starts them without.
    public static func open(settings: [String: String], guardProgram: String? = nil) async throws -> Node {
        let flags = settings.sorted { $0.key < $1.key }.map { (key: $0.key, flag: $0.key, text: $0.value) }
        return try await open(settings: try Settings(file: nil, environment: [:], flags: flags), guardProgram: guardProgram)
    }

    /// - Parameter stopsOnSignals: SIGTERM and SIGINT end the waiting with a `CancellationError`.
    package static func open(
        settings: Settings, guardProgram: String?, logDescriptor: Int32 = 2, stopsOnSignals: Bool = false, demo: (any DemoControl)? = nil
    ) async throws -> Node {
        guard !WorkerNode.isMeant(by: settings) else {
            throw DistriCError(.badConfiguration, "node.role is worker alone: such a node is opened with WorkerNode.open(settings:)")
        }
        try await findCluster(settings, logDescriptor, stopsOnSignals: stopsOnSignals)
        return try Node(settings: settings, guardProgram: guardProgram, logDescriptor: logDescriptor, demo: demo)
    }

    /// Where the folder is empty: waits for those with whom its cluster begins, or who have one.
    static func findCluster(_ settings: Settings, _ logDescriptor: Int32, stopsOnSignals: Bool) async throws {
        try FolderRole.check(dataPath(settings), isWorker: WorkerNode.isMeant(by: settings), disk: FileDisk())
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await form(settings, logDescriptor)
                return true
            }
            if stopsOnSignals {
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) { return false }
                    return true
                }
            }
            guard try await group.next() == true else {
                group.cancelAll()
                throw CancellationError()
            }
            group.cancelAll()
        }
    }

    /// Whether a folder has no cluster yet and is not to be one of its own.
    static func isToForm(_ settings: Settings) -> Bool {
        settings.whole("cluster.bootstrap_expect") > 1 || !settings.list("cluster.join").isEmpty
    }

    private static func form(_ settings: Settings, _ logDescriptor: Int32) async throws {
        let path = dataPath(settings)
        let disk = FileDisk()
        guard isToForm(settings),
            try storage({ () throws(StorageError) in
                try DataFolder.readIdentity(at: path, featureLevel: CommandCodec.featureLevel, disk: disk)
            }) == nil
        else { return }
        try checkRoles(settings)
        let plan = try NodeCalls.Plan(settings)
        guard let rpc = plan.address else {
            throw DistriCError(
                .badConfiguration, "rpc.address is none: nodes of a cluster need one that the others reach (--rpc host:port)")
        }
        let node = try nodeID(settings) ?? hostID()
        let http = try address(settings, "http.address")
        let claim = try storage { () throws(StorageError) in
            try disk.makeDurableFolder(path)
            return try FolderClaim(path)
        }
        let founding = try storage { () throws(StorageError) in
            guard !disk.exists(path + "/raft") else {
                throw .damaged(path: path + "/identity", offset: 0, reason: "it is missing, though the folder holds a log")
            }
            return try Founding.read(path, disk: disk)
        }
        // One that fell between the two goes on with what it wrote.
        guard founding == nil else { return }
        let sink = LogSink(descriptor: logDescriptor)
        defer { sink.flush() }
        let clock = SystemClock()
        let telemetry = Telemetry(
            node: node, clock: clock, metrics: MetricsRegistry(),
            spans: SpanStore(node: node, clock: clock, seed: 1, sampling: .init(tracesPerSecond: 0)),
            events: EventRing(node: node, clock: clock, first: 1), health: HealthRegistry(clock: clock), sink: sink)
        let network = try storage { () throws(StorageError) in
            try NodeNetwork(
                plan, settings, node: node, folder: path, founding: nil, cluster: nil, clusterEpoch: nil, startedAt: clock.wall, disk: disk,
                telemetry: telemetry)
        }
        do {
            let found = try await wait(settings, plan, rpc, http, network, telemetry)
            try storage { () throws(StorageError) in
                // Whoever comes back with another folder under the id of one of them, however soon, is not the one that has promised something.
                if !found.voters.isEmpty {
                    network.directory.keep(members: found.voters)
                    try network.directory.save()
                }
                try found.write(path, disk: disk)
            }
            await network.close()
        } catch {
            await network.close()
            throw error
        }
        _ = claim
    }

    /// Listens for the others, and says to whoever asks for what this node waits.
    private static func wait(
        _ settings: Settings, _ plan: NodeCalls.Plan, _ rpc: PeerAddress, _ http: (host: String, port: Int), _ network: NodeNetwork,
        _ telemetry: Telemetry
    ) async throws -> Founding {
        let said = Mutex("waiting for other coordinators")
        let (node, directory, expects, seeds) = (telemetry.node, network.directory, expected(settings), plan.seeds)
        let waiting: @Sendable () -> ClusterWait = {
            ClusterWait(directory, expects: expects, seeds: seeds, text: said.withLock { $0 })
        }
        var handlers = CallDoor.waiting(node, clock: telemetry.clock, waiting)
        network.add(to: &handlers, raft: nil)
        let server = RPCServer(
            hello: network.hello, handlers: handlers, tls: plan.tls, faults: network.faults, group: network.group, telemetry: telemetry)
        let door = HealthDoor(telemetry: telemetry, waiting: waiting)
        let folder = dataPath(settings)
        let logger = telemetry.logger("node")
        telemetry.health.set("cluster", .down, reason: "waiting for other coordinators")
        // Who is on this machine asks there, whatever the addresses are; a path of more than 107 bytes has none.
        do { try await door.open(socket: folder + "/health.sock") } catch {
            logger.warning("no socket for health", metadata: ["path": "\(folder)/health.sock", "error": "\(error)"])
        }
        do throws(TransportError) { _ = try await server.listen(.unix(path: folder + "/rpc.sock")) } catch {
            logger.warning("no socket for calls", metadata: ["error": "\(error)"])
        }
        do {
            let bound = try await server.listen(rpc)
            network.announce(bound, plan.advertised)
            let port = try await door.open(host: http.host, port: http.port)
            network.announce(http: NodeCalls.url(settings, http.host, port))
            logger.info("waiting for a cluster", metadata: ["rpc": "\(bound)", "health": "http://\(http.host):\(port)/health/ready"])
            let found = try await network.gathering.form(expects: expected(settings), newCluster: newID) { text in
                telemetry.health.set("cluster", .down, reason: text)
                let isNew = said.withLock { said in
                    defer { said = text }
                    return said != text
                }
                if isNew { logger.info("\(text)") }
            }
            logger.info(
                "cluster found",
                metadata: ["cluster": "\(found.cluster)", "founders": "\(found.voters.map(\.text).joined(separator: ","))"])
            await server.drain(grace: .milliseconds(200))
            await door.close()
            return found
        } catch {
            await server.drain(grace: .milliseconds(200))
            await door.close()
            switch error {
            case let failure as Gathering.Failure: throw DistriCError(.badConfiguration, failure.description)
            case let failure as TransportError: throw DistriCError(.unavailable, failure.description)
            case let failure as HealthDoor.Failure: throw DistriCError(.unavailable, failure.description)
            default: throw error
            }
        }
    }

    private static func expected(_ settings: Settings) -> Int {
        let expects = settings.whole("cluster.bootstrap_expect")
        return expects > 1 ? expects : 0
    }

    /// With whom the folder's cluster began; nil for one that began alone.
    static func founding(_ settings: Settings, _ path: String) throws(DistriCError) -> Founding? {
        let (found, identity) = try storage { () throws(StorageError) in
            (
                try Founding.read(path, disk: FileDisk()),
                try DataFolder.readIdentity(at: path, featureLevel: CommandCodec.featureLevel, disk: FileDisk())
            )
        }
        if identity?.isFounded == true, found == nil {
            throw DistriCError(
                .badData,
                "\(path)/founding is missing: without it this node would take itself for a cluster of its own; put it back, or begin with an empty folder (--join)"
            )
        }
        guard identity == nil, found == nil, isToForm(settings) else { return found }
        throw DistriCError(.badConfiguration, "a node that is to find its cluster first is opened with Node.open(settings:)")
    }

    static func newID() -> UUIDv7 {
        var generator = SystemRandomNumberGenerator()
        return UUIDv7(at: SystemClock().wall, using: &generator)
    }
}
