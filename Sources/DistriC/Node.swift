package import API
import Cluster
import Coordinator
import CoreMetrics
import Foundation
import Logging
import Observability
import Primitives
import Raft
import ServiceLifecycle
import Storage
import Synchronization
public import Tracing
package import UnixSignals
import Worker

/// A node: recovers from its folder, then serves until it is told to stop.
public final class Node: Sendable {
    /// What the program calls itself.
    public static let version = "0.1.0"

    private let settings: Settings
    private let folder: DataFolder
    private let telemetry: Telemetry
    private let sink: LogSink
    private let spanExport: SpanExport?
    private let coordinator: CoordinatorNode
    private let worker: TaskRunner?
    private let link: CoordinatorLink?
    private let host: String
    private let port: Int
    private let healthAddress: (host: String, port: Int)?
    private let calls: NodeCalls
    private let network: NodeNetwork
    private let diskGuard: DiskGuard
    private let info: NodeInfo
    private let startedAt: ClusterTime
    private let logger: Logger
    private let serving = ServingGroup()
    /// Nil where it is no member of a demo: then it dies with its process.
    private let mortality: Mortality?

    /// Opens the data folder and recovers; nothing listens yet.
    ///
    /// - Parameter guardProgram: a `distric` binary whose hidden entry starts `exec@1` tasks under limits; nil starts them without.
    /// - Parameter logDescriptor: where log lines go; a console that draws on the terminal gives a file's.
    /// - Parameter demo: what it is a member of, in one process with others.
    package init(settings: Settings, guardProgram: String?, logDescriptor: Int32 = 2, demo: (any DemoControl)? = nil) throws(DistriCError) {
        self.settings = settings
        mortality = demo == nil ? nil : Mortality()
        (host, port) = try Self.address(settings, "http.address")
        healthAddress = settings.text("health.address").isEmpty ? nil : try Self.address(settings, "health.address")
        try Self.checkRoles(settings)
        let plan = try NodeCalls.Plan(settings)
        let wantedID = try Self.nodeID(settings)
        let room = try DiskGuard.Settings(settings)
        let clock = SystemClock()
        let path = Self.dataPath(settings)
        let founding = try Self.founding(settings, path)
        folder = try Self.storage { () throws(StorageError) in
            try DataFolder.open(
                path, node: wantedID, fallback: Self.hostID(), featureLevel: CommandCodec.featureLevel, disk: FileDisk(),
                founded: founding.map { ($0.cluster, $0.epoch) }
            ) { Self.newID() }
        }
        try plan.check(folder.identity.node)
        let plain: any Disk = mortality?.disk ?? FileDisk()
        // Before anything is written that would find none.
        try Self.storage { () throws(StorageError) in try DiskGuard.makeRoom(path: path, disk: plain, settings: room) }
        (telemetry, sink, spanExport) = try Self.telemetry(settings, folder, plain, clock, logDescriptor)
        logger = telemetry.logger("node")
        startedAt = clock.wall
        let (identity, startedAt, telemetry) = (folder.identity, startedAt, telemetry)
        let network = try Self.storage { () throws(StorageError) in
            try NodeNetwork(
                plan, settings, node: identity.node, folder: path, founding: founding, cluster: identity.cluster,
                clusterEpoch: identity.epoch, startedAt: startedAt, disk: plain, telemetry: telemetry)
        }
        let own = NodeDisk(plain, folder: path, links: network.faults, telemetry: telemetry)
        let coordinator = try Self.coordinator(settings, folder, own.log, telemetry, network, founding)
        self.coordinator = coordinator
        let diskGuard = DiskGuard(path: path, disk: plain, settings: room, telemetry: telemetry) { [weak raft = coordinator.raft] level in
            // Whoever leads on a disk that is full stops all; when no other can, it goes on.
            if level == .critical { raft?.handOver() }
        }
        self.diskGuard = diskGuard
        coordinator.intake.refusing = { [weak diskGuard] in diskGuard?.refusal }
        diskGuard.check()
        let isWorker = settings.list("node.role").contains("worker")
        let worker = isWorker ? try Self.worker(settings, folder, plain, telemetry, guardProgram) : nil
        self.worker = worker
        link =
            try worker.map { worker throws(DistriCError) in
                try Self.link(
                    worker, settings, plan, network, coordinator: coordinator, startedAt: startedAt, telemetry: telemetry)
            }
        var info = NodeInfo(
            node: folder.identity.node, cluster: folder.identity.cluster, version: Self.version, coordinator: coordinator, worker: worker,
            telemetry: telemetry, payloadLimit: settings.bytes("intake.payload_bytes"), startedAt: startedAt,
            settings: .list(settings.listing))
        info.chaos = own.chaos
        (info.gossip, info.isGossipSealed) = (network.gossip?.view, network.gossipPlan?.ring != nil)
        let hints = WorkerHints(coordinator.loop.sessions)
        network.gossip?.watch { hints.hear($0) }
        info.demo = demo
        self.info = info
        self.network = network
        calls = NodeCalls(plan, settings, info: info, folder: folder.path, network: network, worker: worker)
    }

    /// Opens the data folder and recovers; nothing listens yet.
    ///
    /// - Parameters:
    ///   - settings: keys and values as `distric.toml` has them, lists separated by commas: `["node.data": "/var/lib/distric"]`.
    ///   - guardProgram: the path of a `distric` binary, through which `exec@1` tasks are started under limits; nil starts them without.
    public convenience init(settings: [String: String], guardProgram: String? = nil) throws(DistriCError) {
        let flags = settings.sorted { $0.key < $1.key }.map { (key: $0.key, flag: $0.key, text: $0.value) }
        try self.init(settings: try Settings(file: nil, environment: [:], flags: flags), guardProgram: guardProgram)
    }

    /// The id in the data folder.
    public var id: String { folder.identity.node.text }

    /// Serves until SIGTERM or SIGINT, or until the surrounding task is cancelled. `ready` gets the URL once everything answers.
    public func run(ready: @escaping @Sendable (String) -> Void = { _ in }) async throws {
        try await run(signals: [.sigterm, .sigint], ready: ready)
    }

    /// Stops as SIGTERM does: tasks that run get their grace. For programs that own the signals themselves.
    package func shutDown() async { await serving.shutDown() }

    package func run(signals: [UnixSignal], ready: @escaping @Sendable (String) -> Void) async throws {
        announceRecovery()
        if let worker {
            if let link { worker.connect(link) }
            coordinator.loop.join(worker)
        }
        telemetry.health.set("http", .down, reason: "not listening yet")
        RaftWatch(telemetry: telemetry, coordinator: coordinator).look()
        let door = await openHealthDoor()
        do { try await serve(signals, door, ready) } catch {
            await door.close()
            throw error
        }
        await door.close()
    }

    private func serve(_ signals: [UnixSignal], _ door: HealthDoor, _ ready: @escaping @Sendable (String) -> Void) async throws {
        let serving = HTTPService(node: self, door: door, ready: ready)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(
                service: HealthWatch(
                    telemetry: telemetry, coordinator: coordinator, sink: sink, spansDropped: spanExport?.dropped)),
            .init(service: RaftWatch(telemetry: telemetry, coordinator: coordinator)),
            .init(service: Sampling(telemetry: telemetry, coordinator: coordinator, diskGuard: diskGuard)),
            .init(service: GatheringService(gathering: network.gathering, raft: coordinator.raft)),
            .init(service: HistoryFetching(fetch: coordinator.historyFetch, client: network.client)),
            .init(service: GossipService(network: network, telemetry: telemetry, takesSignals: !signals.isEmpty)),
            .init(service: IntakeForwarding(forwarder: coordinator.forwarder, client: network.client)),
            .init(service: serving, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .cancelGroup),
        ]
        if let spanExport { services.append(.init(service: SpanExportService(export: spanExport))) }
        if settings.flag("intake.events") {
            let events = EventIntake(
                intake: coordinator.intake, telemetry: telemetry, perSecond: settings.whole("intake.events_per_second"))
            services.append(.init(service: EventService(events: events)))
        }
        if !signals.isEmpty {
            services.append(.init(service: CertificateReload(calls: calls)))
            services.append(.init(service: SettingsReload(settings: settings, info: info)))
        }
        // The first is the last to be stopped: what the worker reports while it stops still goes out.
        if let worker {
            services.insert(.init(service: WorkerService(worker: worker, link: link, grace: settings.duration("worker.grace"))), at: 0)
        }
        if let link { services.insert(.init(service: LinkService(link: link)), at: 0) }
        if !signals.isEmpty { services.insert(.init(service: StopNow(logger: logger, sink: sink)), at: 0) }
        services.append(.init(service: LeadershipService(coordinator: coordinator, telemetry: telemetry)))
        do {
            try await self.serving.run(services, signals: signals, grace: settings.duration("worker.grace"), telemetry: telemetry)
        } catch {
            await stop()
            throw error
        }
        await stop()
    }

    /// A socket in the data folder always; an address where one is set.
    private func openHealthDoor() async -> HealthDoor {
        let door = HealthDoor(telemetry: telemetry)
        door.watch(StallWatch(HealthDoor.loops + [network.probe] + coordinator.probes, telemetry: telemetry))
        do { try await door.open(socket: folder.path + "/health.sock") } catch {
            // A path of more than 107 bytes, most of all: the front door says the same.
            logger.warning("no socket for health", metadata: ["path": "\(folder.path)/health.sock", "error": "\(error)"])
        }
        return door
    }

    func open(_ door: HealthDoor) async throws(HealthDoor.Failure) {
        guard let (host, port) = healthAddress else { return }
        let bound = try await door.open(host: host, port: port)
        logger.info("health", metadata: ["url": "http://\(host.contains(":") ? "[\(host)]" : host):\(bound)/health/ready"])
    }

    private func stop() async {
        if mortality?.isDead == true { return await decay() }
        await coordinator.handOver()
        await network.gossip?.leave()
        coordinator.loop.dismissWorkers()
        await calls.close(grace: .seconds(1))
        telemetry.events.emit("node.stopped", subject: id, "node \(id) stops")
        // A sync that stalls on purpose would hold the stop.
        info.chaos?.end()
        coordinator.stop()
        await calls.closeNetwork()
        logger.info("stopped")
        sink.flush()
    }

    /// What is left of a node that has died is taken apart; nothing of it is written or sent.
    private func decay() async {
        await calls.close(grace: .zero)
        info.chaos?.end()
        coordinator.stop()
        await calls.closeNetwork()
        folder.release()
    }

    private func announceRecovery() {
        let recovery = coordinator.recovery
        let text =
            "recovered \(recovery.entries) log entries after snapshot \(recovery.snapshotIndex) in \(recovery.took.milliseconds) ms, \(recovery.openRuns) runs open"
        logger.info("\(text)", metadata: ["node": "\(id)", "cluster": "\(folder.identity.cluster)"])
        telemetry.events.emit("node.started", subject: id, text)
        // A node that is alone has led since before it was said that it has started.
        let raft = coordinator.raft.status
        if raft.isLeader, raft.voters.count == 1 { telemetry.events.emit("raft.leader", subject: id, "\(id) leads term \(raft.term)") }
        if let cut = recovery.cutAt {
            telemetry.events.emit(
                "raft.log_cut", subject: id, severity: .warning, "a tail that was never acknowledged was cut off the log at \(cut)")
        }
    }

    func serve(ready: @escaping @Sendable (String) -> Void) async throws {
        try await calls.open(settings)
        try await HTTPServer.run(info: info, host: host, port: port, logger: telemetry.logger("http")) {
            [telemetry, host, logger, calls] port in
            telemetry.health.set("http", .up)
            calls.announce(host: host, port: port)
            let shown = host.contains(":") ? "[\(host)]" : host
            logger.info("ready", metadata: ["url": "http://\(shown):\(port)"])
            ready("http://\(shown):\(port)")
        }
    }

    /// Spans of swift-distributed-tracing that are made with it are sampled, kept, shown and exported with the node's own. A program that embeds
    /// a node may give it to its libraries, or to all of them: `InstrumentationSystem.bootstrap(node.tracer)`.
    public var tracer: any Tracer { SpanTracer(store: telemetry.spans) }

    /// From here on what libraries report through swift-metrics and swift-distributed-tracing is among what this node tells of itself. For the
    /// program alone: it can be done once in a process, and a program that embeds a node may want its own.
    package func installLibraryTelemetry() {
        MetricsSystem.bootstrap(LibraryMetrics(registry: telemetry.metrics))
        InstrumentationSystem.bootstrap(SpanTracer(store: telemetry.spans))
    }

    func closeStreams() { telemetry.events.close() }
}

extension Node: Mortal {
    var isLeading: Bool { coordinator.loop.isLeading }

    func die() {
        mortality?.die(network)
        // Who waits on a thread that stands still would wait for ever.
        mortality?.move()
    }

    func hold() { mortality?.hold([network.onLoop, coordinator.loop.probe]) }
    func goOn() { mortality?.move() }
    func tell(_ kind: String, _ subject: String, _ text: String) { telemetry.events.emit(kind, subject: subject, severity: .warning, text) }
}

// MARK: Assembly

extension Node {
    static func storage<T>(_ body: () throws(StorageError) -> T) throws(DistriCError) -> T {
        do throws(StorageError) { return try body() } catch { throw DistriCError(error) }
    }

    /// The folder that the settings name, or the user's own.
    package static func dataPath(_ settings: Settings) -> String {
        let path = settings.text("node.data")
        guard path.isEmpty else { return path }
        let environment = ProcessInfo.processInfo.environment
        let state = environment["XDG_STATE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? (environment["HOME"] ?? "/tmp") + "/.local/state"
        return state + "/distric/node"
    }

    static func nodeID(_ settings: Settings) throws(DistriCError) -> NodeID? {
        let text = settings.text("node.id")
        guard !text.isEmpty else { return nil }
        do throws(IdentifierError) { return try NodeID(text) } catch { throw DistriCError(.badConfiguration, "node.id: \(error)") }
    }

    /// A worker by itself needs coordinators to join.
    static func checkRoles(_ settings: Settings) throws(DistriCError) {
        let roles = settings.list("node.role")
        if let unknown = roles.first(where: { !["coordinator", "worker"].contains($0) }) {
            throw DistriCError(.badConfiguration, "node.role: '\(unknown)' is neither coordinator nor worker")
        }
        guard roles.contains("coordinator") || settings.whole("cluster.bootstrap_expect") == 0 else {
            throw DistriCError(
                .badConfiguration,
                "cluster.bootstrap_expect = \(settings.whole("cluster.bootstrap_expect")) is for coordinators, and node.role is \(roles.joined(separator: ",")): add the role, or leave --bootstrap-expect out"
            )
        }
        guard roles.contains("coordinator") || !settings.list("cluster.join").isEmpty else {
            throw DistriCError(
                .badConfiguration,
                "node.role is \(roles.joined(separator: ",")): a worker by itself needs coordinators to work for; name them with --join host:port,..., or add the role coordinator"
            )
        }
    }

    /// The host's name, made to fit.
    static func hostID() -> NodeID {
        let name = ProcessInfo.processInfo.hostName.lowercased().map {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-") ? $0 : "-"
        }
        let isEdge: (Character) -> Bool = { $0 == "." || $0 == "-" }
        var text = name.prefix(63).drop(while: isEdge)
        while text.last.map(isEdge) == true { text.removeLast() }
        guard let id = try? NodeID(String(text)) else { return fallbackID }
        return id
    }

    private static var fallbackID: NodeID {
        guard let id = try? NodeID("node") else { preconditionFailure("'node' is a node id") }
        return id
    }

    static func address(_ settings: Settings, _ key: String) throws(DistriCError) -> (host: String, port: Int) {
        let text = settings.text(key)
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else {
            throw DistriCError(.badConfiguration, "\(key) = '\(text)': expected host:port")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let isLoopback = HTTPServer.isLoopback(host)
        guard isLoopback || settings.flag("http.insecure") else {
            throw DistriCError(
                .badConfiguration,
                "\(key) = '\(text)' is reachable from other machines, and this node has no keys and no TLS: listen on 127.0.0.1, or start with --insecure if the network is yours alone"
            )
        }
        return (host.isEmpty ? "127.0.0.1" : host, port)
    }

    private static func coordinator(
        _ settings: Settings, _ folder: DataFolder, _ disk: any Disk, _ telemetry: Telemetry, _ network: NodeNetwork, _ founding: Founding?
    ) throws(DistriCError) -> CoordinatorNode {
        var own = CoordinatorNode.Settings()
        own.raft.segmentBytes = settings.bytes("raft.segment_bytes") / 8 * 8
        own.raft.snapshotBytes = settings.bytes("raft.snapshot_bytes")
        // No more behind a snapshot than would soon call for another.
        own.raft.raft.keptBytes = min(own.raft.raft.keptBytes, own.raft.snapshotBytes / 2)
        own.history.retainedBytes = settings.bytes("history.bytes")
        own.history.retainedAge = settings.duration("history.age")
        own.limits.openRuns = settings.whole("intake.max_open_runs")
        own.intake.messages = settings.whole("intake.max_waiting")
        own.intake.bytes = settings.bytes("intake.max_waiting_bytes")
        own.intake.delay = settings.duration("intake.max_delay")
        own.lease = try lease(settings)
        own.scheduling = try scheduling(settings)
        own.dedupAge = settings.duration("dedup.age")
        own.dedupKeys = settings.whole("dedup.keys")
        own.environment = settings.table("workflows.env")
        let chosen = own
        return try storage { () throws(StorageError) in
            try CoordinatorNode(
                folder: folder, disk: disk, settings: chosen, telemetry: telemetry, seed: .random(in: 0...UInt64.max),
                network: network.driver, founders: founding?.voters)
        }
    }
}
