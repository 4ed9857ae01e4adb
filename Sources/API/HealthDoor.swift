package import Cluster
import Glibc
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
package import Observability
import Primitives
import Synchronization
import Text

/// What `/health/live` and `/health/ready` say, at whichever door.
struct HealthAnswers: Sendable {
    let node: NodeID
    let health: HealthRegistry
    /// For what a node waits that has no cluster yet; nil once it has one, and its front door answers.
    var waiting: @Sendable () -> ClusterWait? = { nil }

    var live: Value { ["status": "up", "node": .string(node.text)] }

    var isReady: Bool { health.isReady }

    var ready: Value {
        let components = health.all
        let worst: HealthRegistry.Status =
            components.contains { $0.status == .down } ? .down : components.contains { $0.status == .degraded } ? .degraded : .up
        return [
            "status": .string(worst.rawValue), "node": .string(node.text),
            "components": .list(
                components.map { part in
                    .object([
                        "name": .string(part.name), "status": .string(part.status.rawValue), "reason": .string(part.reason),
                        "since": .string(part.since.rfc3339),
                    ])
                }),
        ]
    }
}

/// Health on an event loop and a thread of its own, which does nothing else: a front door that is stuck cannot silence it. A second one looks twice
/// a second whether the others answer; it may log, and be held up by that.
package final class HealthDoor: Sendable {
    /// Why a door could not be opened.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Connections at once; one more is closed.
    static let connectionLimit = 64
    private static let idle: TimeAmount = .seconds(5)
    private static let pause: TimeAmount = .milliseconds(500)

    private let answers: HealthAnswers
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let watching = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let socketPath = Mutex<String?>(nil)
    private let channels = Mutex<[any Channel]>([])
    private let connections = Atomic<Int>(0)

    /// - Parameter waiting: for what the node waits while it has no cluster: what is asked of the front door, which is not open yet, is answered with that.
    package init(telemetry: Telemetry, waiting: @escaping @Sendable () -> ClusterWait? = { nil }) {
        answers = HealthAnswers(node: telemetry.node, health: telemetry.health, waiting: waiting)
    }

    /// Event loops that serve the front door and outgoing requests, and the threads that Swift's tasks run on.
    package static var loops: [StallWatch.Probe] {
        var probes = MultiThreadedEventLoopGroup.singleton.makeIterator().enumerated().map { number, loop in
            StallWatch.Probe("loops", "event loop \(number + 1)", .asks { answer in loop.execute(answer) })
        }
        probes.append(StallWatch.Probe("loops", "the task pool", .asks { answer in Task.detached { answer() } }))
        return probes
    }

    package func watch(_ watch: StallWatch) {
        watching.next().scheduleRepeatedTask(initialDelay: .zero, delay: Self.pause) { _ in watch.look() }
    }

    /// Answers on a socket in the file system, which only the node's own user may open.
    package func open(socket path: String) async throws {
        let channel = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        channels.withLock { $0.append(channel) }
        socketPath.withLock { $0 = path }
        chmod(path, 0o600)
    }

    /// Answers on TCP; returns the port.
    package func open(host: String, port: Int) async throws(Failure) -> Int {
        do {
            let channel = try await bootstrap.bind(host: host, port: port).get()
            channels.withLock { $0.append(channel) }
            return channel.localAddress?.port ?? port
        } catch {
            throw Failure(description: "cannot listen for health on \(host):\(port): \(error)")
        }
    }

    package func close() async {
        for channel in channels.withLock({ $0 }) { try? await channel.close() }
        if let path = socketPath.withLock({ $0 }) { unlink(path) }
        try? await group.shutdownGracefully()
        try? await watching.shutdownGracefully()
    }

    private var bootstrap: ServerBootstrap {
        let (answers, door) = (answers, self)
        return ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard door.connections.add(1, ordering: .relaxed).newValue <= HealthDoor.connectionLimit else {
                        door.connections.subtract(1, ordering: .relaxed)
                        throw Failure(description: "too many ask at once")
                    }
                    channel.closeFuture.whenComplete { _ in door.connections.subtract(1, ordering: .relaxed) }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(IdleStateHandler(allTimeout: HealthDoor.idle))
                    try pipeline.addHandler(HealthHandler(answers: answers))
                }
            }
    }
}

/// One answer, then the connection closes.
private final class HealthHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answers: HealthAnswers
    private var head: HTTPRequestHead?

    init(answers: HealthAnswers) { self.answers = answers }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let problem = problem(request)
        let (status, value) = problem.map { (.serviceUnavailable, $0) } ?? content(request)
        let body = JSONWriter.bytes(value)
        let type = problem == nil ? "application/json" : "application/problem+json"
        var headers = HTTPHeaders([("Content-Type", type), ("Content-Length", "\(body.count)"), ("Connection", "close")])
        if problem != nil { headers.add(name: "Retry-After", value: "1") }
        if status == .methodNotAllowed { headers.add(name: "Allow", value: "GET, HEAD") }
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(bytes: body)))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }

    /// What the API says before it is there.
    private func problem(_ request: HTTPRequestHead) -> Value? {
        guard request.uri.hasPrefix("/api/"), let wait = answers.waiting() else { return nil }
        let problem = Problem(
            status: .serviceUnavailable, type: "no_cluster", title: "This node has no cluster yet", detail: wait.detail,
            retryAfterSeconds: 1)
        guard case .map(var fields) = problem.value else { return problem.value }
        fields["waiting"] = wait.value
        return .map(fields)
    }

    private func content(_ request: HTTPRequestHead) -> (HTTPResponseStatus, Value) {
        let path = request.uri.prefix { $0 != "?" }
        guard path == "/health/live" || path == "/health/ready" else {
            return (.notFound, ["status": 404, "detail": "only /health/live and /health/ready are here"])
        }
        guard request.method == .GET || request.method == .HEAD else {
            return (.methodNotAllowed, ["status": 405, "detail": "health is asked with GET or HEAD"])
        }
        guard path == "/health/ready" else { return (.ok, answers.live) }
        return (answers.isReady ? .ok : .serviceUnavailable, answers.ready)
    }
}
