import API
import Cluster
import Coordinator
import Foundation
import Logging
import Observability
import Primitives
import ServiceLifecycle
import Storage
import Synchronization
import Transport
package import UnixSignals
import Wire
import Worker

/// A node that is a worker and nothing else: it keeps no log and has no vote. It attaches to whoever leads the cluster, runs what it is given, and goes on doing so when
/// another one leads.
public final class WorkerNode: Sendable {
    private let settings: Settings
    private let folder: DataFolder
    private let telemetry: Telemetry
    private let sink: LogSink
    private let spanExport: SpanExport?
    private let runner: TaskRunner
    private let link: CoordinatorLink
    private let network: NodeNetwork
    private let server: RPCServer
    private let plan: NodeCalls.Plan
    private let host: String
    private let port: Int
    private let logger: Logger
    private let serving = ServingGroup()
    private let mortality: Mortality?

    /// Whether settings make a node that is a worker and nothing else.
    package static func isMeant(by settings: Settings) -> Bool { settings.list("node.role") == ["worker"] }

    /// Opens the data folder; nothing listens yet. An empty folder must have found its cluster: see `open`.
    /// - Parameter isMortal: it shares its process with others, and may have to die without them.
    package init(settings: Settings, guardProgram: String?, logDescriptor: Int32 = 2, isMortal: Bool = false) throws(DistriCError) {
        self.settings = settings
        mortality = isMortal ? Mortality() : nil
        (host, port) = try Node.address(settings, "http.address")
        try Node.checkRoles(settings)
        plan = try NodeCalls.Plan(settings)
        let clock = SystemClock()
        let (path, disk): (String, any Disk) = (Node.dataPath(settings), mortality?.disk ?? FileDisk())
        let wanted = try Node.nodeID(settings)
        let founding = try Node.storage { () throws(StorageError) in try Founding.read(path, disk: disk) }
        guard let founding else {
            throw DistriCError(
                .badConfiguration, "\(path): this folder has no cluster yet: open the node with WorkerNode.open(settings:), which finds it")
        }
        folder = try Node.storage { () throws(StorageError) in
            try DataFolder.open(
                path, node: wanted, fallback: Node.hostID(), featureLevel: CommandCodec.featureLevel, disk: disk,
                founded: (founding.cluster, founding.epoch)
            ) { Node.newID() }
        }
        try plan.check(folder.identity.node)
        (telemetry, sink, spanExport) = try Node.telemetry(settings, folder, disk, clock, logDescriptor)
        logger = telemetry.logger("node")
        let (identity, startedAt, plan, telemetry) = (folder.identity, clock.wall, plan, telemetry)
        let network = try Node.storage { () throws(StorageError) in
            try NodeNetwork(
                plan, settings, node: identity.node, folder: path, founding: founding, cluster: identity.cluster,
                clusterEpoch: identity.epoch, startedAt: startedAt, disk: disk, telemetry: telemetry)
        }
        self.network = network
        let runner = try Node.worker(settings, folder, disk, telemetry, guardProgram)
        self.runner = runner
        link = try Node.link(runner, settings, plan, network, coordinator: nil, startedAt: startedAt, telemetry: telemetry)
        var handlers = RPCHandlers()
        handlers.immediate(Ping.self) { ping, _ throws(CallError) in
            if let target = ping.target, target != identity.node {
                throw CallError(.notFound, "this is node '\(identity.node)', not '\(target)'")
            }
            return Ack(sequence: ping.sequence, from: identity.node, padding: ping.padding, time: clock.wall)
        }
        runner.addLogs(to: &handlers)
        network.add(to: &handlers, raft: nil)
        server = RPCServer(
            hello: network.hello, handlers: handlers, tls: plan.tls, faults: network.faults, group: network.group, telemetry: telemetry)
    }

    /// Opens a worker. One whose folder is empty first asks the nodes of `cluster.join` which cluster it is that they belong to.
    ///
    /// - Parameters:
    ///   - settings: keys and values as `distric.toml` has them, lists separated by commas; `node.role` must be `worker`.
    ///   - guardProgram: the path of a `distric` binary, through which `exec@1` tasks are started under limits; nil starts them without.
    public static func open(settings: [String: String], guardProgram: String? = nil) async throws -> WorkerNode {
        let flags = settings.sorted { $0.key < $1.key }.map { (key: $0.key, flag: $0.key, text: $0.value) }
        return try await open(settings: try Settings(file: nil, environment: [:], flags: flags), guardProgram: guardProgram)
    }

    /// - Parameter stopsOnSignals: SIGTERM and SIGINT end the waiting with a `CancellationError`.
    package static func open(
        settings: Settings, guardProgram: String?, logDescriptor: Int32 = 2, stopsOnSignals: Bool = false, isMortal: Bool = false
    ) async throws -> WorkerNode {
        guard isMeant(by: settings) else {
            throw DistriCError(
                .badConfiguration,
                "node.role is \(settings.list("node.role").joined(separator: ",")): WorkerNode is for the role worker alone")
        }
        try await Node.findCluster(settings, logDescriptor, stopsOnSignals: stopsOnSignals)
        return try WorkerNode(settings: settings, guardProgram: guardProgram, logDescriptor: logDescriptor, isMortal: isMortal)
    }

    /// The id in the data folder.
    public var id: String { folder.identity.node.text }

    /// Serves until SIGTERM or SIGINT, or until the surrounding task is cancelled. `ready` gets the URL once it listens; with a leader it may not be yet.
    public func run(ready: @escaping @Sendable (String) -> Void = { _ in }) async throws {
        try await run(signals: [.sigterm, .sigint], ready: ready)
    }

    /// Stops as SIGTERM does: tasks that run get their grace.
    package func shutDown() async { await serving.shutDown() }

    package func run(signals: [UnixSignal], ready: @escaping @Sendable (String) -> Void) async throws {
        runner.connect(link)
        telemetry.health.set("http", .down, reason: "not listening yet")
        telemetry.health.set("worker", .down, reason: "not with a leader yet")
        telemetry.events.emit("node.started", subject: id, "worker \(id) of cluster \(folder.identity.cluster)")
        let door = HealthDoor(telemetry: telemetry)
        door.watch(StallWatch(HealthDoor.loops + [network.probe], telemetry: telemetry))
        do { try await door.open(socket: folder.path + "/health.sock") } catch {
            logger.warning("no socket for health", metadata: ["path": "\(folder.path)/health.sock", "error": "\(error)"])
        }
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: LinkService(link: link)),
            .init(service: GossipService(network: network, telemetry: telemetry, takesSignals: !signals.isEmpty)),
            .init(service: WorkerService(worker: runner, link: link, grace: settings.duration("worker.grace"))),
            .init(service: WorkerSampling(telemetry: telemetry)),
            .init(
                service: WorkerHTTP(node: self, ready: ready), successTerminationBehavior: .gracefullyShutdownGroup,
                failureTerminationBehavior: .cancelGroup),
        ]
        if let spanExport { services.append(.init(service: SpanExportService(export: spanExport))) }
        if !signals.isEmpty { services.insert(.init(service: StopNow(logger: logger, sink: sink)), at: 0) }
        do {
            try await serving.run(services, signals: signals, grace: settings.duration("worker.grace"), telemetry: telemetry)
        } catch {
            await stop(door)
            throw error
        }
        await stop(door)
    }

    func serve(ready: @escaping @Sendable (String) -> Void) async throws {
        try await listen()
        let link = link
        try await WorkerServer.run(
            worker: runner, telemetry: telemetry, host: host, port: port, logger: telemetry.logger("http"),
            coordinators: { link.coordinatorURLs }
        ) { [telemetry, host, settings, network, logger] port in
            telemetry.health.set("http", .up)
            let url = NodeCalls.url(settings, host, port)
            network.announce(http: url)
            logger.info("ready", metadata: ["url": "\(url)"])
            ready(url)
        }
    }

    private func listen() async throws(DistriCError) {
        guard let address = plan.address else { return }
        do throws(TransportError) {
            let bound = try await server.listen(address)
            network.announce(bound, plan.advertised)
            logger.info("calls", metadata: ["address": "\(bound)", "tls": "\(plan.tls != nil)"])
        } catch {
            throw DistriCError(.unavailable, error.description)
        }
        try await network.startGossip(settings, telemetry: telemetry)
    }

    private func stop(_ door: HealthDoor) async {
        if mortality?.isDead == true {
            await server.drain(grace: .zero)
            await network.close()
            await door.close()
            return folder.release()
        }
        await network.gossip?.leave()
        await server.drain(grace: .milliseconds(200))
        telemetry.events.emit("node.stopped", subject: id, "worker \(id) stops")
        await network.close()
        await door.close()
        logger.info("stopped")
        sink.flush()
    }

    func closeStreams() { telemetry.events.close() }
}

extension WorkerNode: Mortal {
    var isLeading: Bool { false }

    func die() {
        mortality?.die(network)
        mortality?.move()
    }

    func hold() { mortality?.hold([network.onLoop]) }
    func goOn() { mortality?.move() }
    func tell(_ kind: String, _ subject: String, _ text: String) { telemetry.events.emit(kind, subject: subject, severity: .warning, text) }
}

/// The worker's front door as a service.
private struct WorkerHTTP: Service {
    let node: WorkerNode
    let ready: @Sendable (String) -> Void

    @concurrent
    func run() async throws {
        try await withGracefulShutdownHandler {
            try await node.serve(ready: ready)
        } onGracefulShutdown: {
            node.closeStreams()
        }
    }
}

/// Once a second: what rates are drawn from.
private struct WorkerSampling: Service {
    let telemetry: Telemetry

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            repeat { telemetry.history.sample() } while (try? await Task.sleep(for: .seconds(1))) != nil
        }
    }
}
