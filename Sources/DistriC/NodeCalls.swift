import API
import Coordinator
import Foundation
import Logging
import Observability
import Primitives
import ServiceLifecycle
import Synchronization
import Transport
import UnixSignals
import Wire
import Worker

/// A node's server for calls: on TCP where `rpc.address` says so, and always on `DATA/rpc.sock`, which only its own user may open.
final class NodeCalls: Sendable {
    private let server: RPCServer
    private let address: PeerAddress?
    private let socket: PeerAddress
    private let tls: TLSSource?
    private let telemetry: Telemetry
    private let logger: Logger
    private let refusal = Mutex<String?>(nil)
    private static let warningDays = 14

    /// Where and with what, checked before the node touches anything.
    struct Plan: Sendable {
        let address: PeerAddress?
        /// Under which other nodes reach it, where that is another one.
        let advertised: PeerAddress?
        let tls: TLSSource?
        /// Whom to ask for the cluster.
        let seeds: [PeerAddress]
        /// Nil where the node does not gossip.
        let gossip: GossipPlan?

        init(_ settings: Settings) throws(DistriCError) {
            tls = try NodeCalls.source(settings)
            address = try NodeCalls.address(settings, isSecure: tls != nil)
            advertised = try settings.text("rpc.advertise").isEmpty ? nil : Self.read("rpc.advertise", settings.text("rpc.advertise"))
            var seeds: [PeerAddress] = []
            for text in settings.list("cluster.join") { seeds.append(try Self.read("cluster.join", text)) }
            self.seeds = seeds
            gossip = try GossipPlan(settings, rpc: address, rpcAdvertised: advertised)
            if settings.whole("cluster.bootstrap_expect") == 1, !seeds.isEmpty {
                throw DistriCError(
                    .badConfiguration,
                    "cluster.bootstrap_expect = 1 begins a cluster of this node alone, and cluster.join joins another: leave one of them out"
                )
            }
            if seeds.isEmpty, settings.isSet("cluster.join") {
                throw DistriCError(
                    .badConfiguration,
                    "cluster.join is empty: name host:port of the nodes to ask (--join host:port,...), or leave it out to begin a cluster of this node alone"
                )
            }
            guard settings.whole("cluster.bootstrap_expect") < 2 || !seeds.isEmpty else {
                throw DistriCError(
                    .badConfiguration,
                    "cluster.bootstrap_expect = \(settings.whole("cluster.bootstrap_expect")) without cluster.join: name the addresses for calls of all of them (--join host:port,host:port,...)"
                )
            }
        }

        private static func read(_ key: String, _ text: String) throws(DistriCError) -> PeerAddress {
            do throws(TransportError) { return try PeerAddress(text) } catch {
                throw DistriCError(.badConfiguration, "\(key) = '\(text)': expected host:port")
            }
        }

        /// A node with somebody else's certificate would be ready, and refused by everybody.
        func check(_ node: NodeID) throws(DistriCError) {
            guard let tls, tls.identity.kind != .node || !sameBytes(tls.identity.name, node.text) else { return }
            throw DistriCError(
                .badConfiguration,
                "\(tls.files.certificate): it is of '\(tls.identity.uri)', and this is node '\(node)': 'distric certs issue --node \(node)' makes its own"
            )
        }
    }

    private let advertised: PeerAddress?
    private let network: NodeNetwork
    private let httpAdvertised: String

    init(_ plan: Plan, _ settings: Settings, info: NodeInfo, folder: String, network: NodeNetwork, worker: TaskRunner?) {
        self.network = network
        advertised = plan.advertised
        httpAdvertised = settings.text("http.advertise")
        address = plan.address
        tls = plan.tls
        telemetry = info.telemetry
        logger = telemetry.logger("rpc")
        socket = .unix(path: folder + "/rpc.sock")
        var own = RPCServer.Settings()
        own.connections = settings.whole("rpc.connections")
        own.callsAtOnce = settings.whole("rpc.calls_at_once")
        own.connectsPerSecond = Double(settings.whole("rpc.connects_per_second"))
        own.connectBurst = own.connectsPerSecond * 5
        var handlers = CallDoor(info: info, logger: telemetry.logger("rpc")).handlers
        network.add(to: &handlers, raft: info.coordinator.raft)
        info.coordinator.historyServing.add(to: &handlers)
        info.coordinator.forwardDoor.add(to: &handlers)
        WorkerDoor(loop: info.coordinator.loop, directory: network.directory).add(to: &handlers)
        worker?.addLogs(to: &handlers)
        server = RPCServer(
            hello: network.hello, handlers: handlers, settings: own, tls: tls, faults: network.faults, group: network.group,
            telemetry: telemetry)
        let server = server
        info.callers.connect { server.callers }
        let tls = plan.tls
        telemetry.metrics.computed(
            .gauge, "distric_rpc_certificate_not_after_seconds",
            "When this node's certificate for calls expires, seconds since 1970; infinity without one."
        ) { tls.map { Double($0.expiresAt) } ?? .infinity }
    }

    /// Beyond loopback calls need certificates.
    private static func address(_ settings: Settings, isSecure: Bool) throws(DistriCError) -> PeerAddress? {
        let text = settings.text("rpc.address")
        guard !text.isEmpty, text != "none" else { return nil }
        let address: PeerAddress
        do throws(TransportError) { address = try PeerAddress(text) } catch {
            throw DistriCError(.badConfiguration, "rpc.address = '\(text)': expected host:port, or none")
        }
        guard case .tcp(let host, _) = address else {
            throw DistriCError(.badConfiguration, "rpc.address = '\(text)': expected host:port; DATA/rpc.sock is always there")
        }
        guard HTTPServer.isLoopback(host) || isSecure || settings.flag("http.insecure") else {
            throw DistriCError(
                .badConfiguration,
                "rpc.address = '\(text)' is reachable from other machines: set rpc.tls_certificate, rpc.tls_key and rpc.tls_authority ('distric certs' makes them), listen on 127.0.0.1, or start with --insecure if the network is yours alone"
            )
        }
        return address
    }

    private static func source(_ settings: Settings) throws(DistriCError) -> TLSSource? {
        let keys = ["rpc.tls_certificate", "rpc.tls_key", "rpc.tls_authority"]
        let texts = keys.map { settings.text($0) }
        guard texts.contains(where: { !$0.isEmpty }) else { return nil }
        if let missing = texts.firstIndex(where: \.isEmpty) {
            throw DistriCError(.badConfiguration, "\(keys[missing]) is not set; certificate, key and authority go together")
        }
        do throws(TransportError) {
            return try TLSSource(TLSSource.Files(certificate: texts[0], key: texts[1], authority: texts[2]))
        } catch {
            throw DistriCError(.badConfiguration, error.description)
        }
    }

    /// Listens; what is asked before the node is ready is answered as the HTTP door would.
    func open(_ settings: Settings) async throws(DistriCError) {
        do throws(TransportError) { _ = try await server.listen(socket) } catch {
            // A path of more than 107 bytes, most of all: TCP says the same.
            logger.warning("no socket for calls", metadata: ["error": "\(error)"])
        }
        checkCertificate()
        guard let address else { return }
        do throws(TransportError) {
            let bound = try await server.listen(address)
            network.announce(bound, advertised)
            logger.info("calls", metadata: ["address": "\(bound)", "tls": "\(tls != nil)"])
        } catch {
            let isTaken = error.description.contains("EADDRINUSE") || error.description.contains("errno: 98")
            throw DistriCError(
                .unavailable,
                isTaken
                    ? "\(address) is in use by another program; stop it, or choose another --rpc address (port 0 takes a free one, none takes none)"
                    : error.description)
        }
        try await network.startGossip(settings, telemetry: telemetry)
    }

    /// The URL of a node's front door, as others reach it.
    static func url(_ settings: Settings, _ host: String, _ port: Int) -> String { url(settings.text("http.advertise"), host, port) }

    private static func url(_ advertised: String, _ host: String, _ port: Int) -> String {
        advertised.isEmpty ? "http://\(host.contains(":") ? "[\(host)]" : host):\(port)" : advertised
    }

    func announce(host: String, port: Int) { network.announce(http: Self.url(httpAdvertised, host, port)) }

    /// Takes the certificates that are in the files now, for connections from here on.
    func reload() {
        guard let tls else { return logger.info("SIGHUP: there are no certificates to read again") }
        defer { checkCertificate() }
        do throws(TransportError) {
            try tls.reload()
            logger.info("certificates reloaded", metadata: ["identity": "\(tls.identity.uri)"])
            refused = nil
            telemetry.events.emit("rpc.certificates_reloaded", subject: telemetry.node.text, "certificates for calls were read again")
        } catch {
            logger.error("certificates not reloaded", metadata: ["error": "\(error)"])
            refused = error.description
            telemetry.events.emit(
                "rpc.certificates_refused", subject: telemetry.node.text, severity: .error,
                "certificates for calls stay as they were: \(error)")
        }
    }

    private var refused: String? {
        get { refusal.withLock { $0 } }
        set { refusal.withLock { $0 = newValue } }
    }

    /// Tells health of a certificate that ends soon, or files that were refused.
    func checkCertificate() {
        guard let tls else { return }
        let days = (tls.expiresAt - Int(telemetry.clock.wall.milliseconds / 1000)) / 86_400
        if let refused {
            telemetry.health.set("certificates", .degraded, reason: "not read again: \(refused)")
        } else if days < Self.warningDays {
            telemetry.health.set("certificates", .degraded, reason: days < 0 ? "expired" : "expires in \(days) days")
        } else {
            telemetry.health.set("certificates", .up)
        }
    }

    func close(grace: Duration) async {
        await server.drain(grace: grace)
        if case .unix(let path) = socket { try? FileManager.default.removeItem(atPath: path) }
    }

    /// After the last message to the others.
    func closeNetwork() async {
        await network.close()
    }
}

/// Reads the certificates again whenever SIGHUP comes.
struct CertificateReload: Service {
    let calls: NodeCalls

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in await UnixSignalsSequence(trapping: .sighup) { calls.reload() } }
                group.addTask {
                    repeat { calls.checkCertificate() } while (try? await Task.sleep(for: .seconds(600))) != nil
                }
                await group.waitForAll()
            }
        }
    }
}
