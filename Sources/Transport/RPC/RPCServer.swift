package import NIOCore
import NIOPosix
import NIOSSL
package import Observability
package import Primitives
import Synchronization
package import Wire

/// Takes calls over TCP, TLS and Unix sockets.
package final class RPCServer: Sendable {
    /// Bounds of a server; whoever goes beyond one is told which.
    package struct Settings: Equatable, Sendable {
        /// Connections at once; one more is answered with `too_many_connections`. Below the usual limit of descriptors, 20,000.
        package var connections = 16_000
        /// Connects of one source a second, on average; `connectBurst` at once. Unix sockets have no such limit.
        package var connectsPerSecond = 200.0
        package var connectBurst = 1_000.0
        /// Calls of one connection that are answered from tasks, at once; one more is answered with `busy`.
        package var callsPerConnection = 4_096
        /// The same of all connections together.
        package var callsAtOnce = 65_536
        /// Streams that go on at once, of all connections together: each worker of a leader has one for as long as it is there.
        package var streamsAtOnce = 8_192
        /// Bytes of frames that are not finished, of all connections together; a large one beyond them is cut with `busy`.
        package var unfinishedBytes = 128 << 20
        /// A connection on which nothing came for so long is closed; clients ping every 15 s.
        package var idle: Duration = .seconds(90)
        /// A caller that does not read what it is sent is cut after so long, and so is one that does not finish a frame.
        package var slow: Duration = .seconds(30)
        /// Answers that wait in memory for one connection before nothing more is read from it.
        package var waitingBytes = 1 << 20
        package init() {}
    }

    let core: ServerCore
    private let group: any EventLoopGroup
    private let loops: [ObjectIdentifier: LoopConnections]
    private let listening = Mutex<[any Channel]>([])

    /// - Parameters:
    ///   - hello: what each connection is answered with; an `OwnHello` may change.
    ///   - peerClosed: called on the connection's event loop when one ends that a node had said hello on, whatever it was for.
    package init(
        hello: any HelloSource, handlers: RPCHandlers, settings: Settings = Settings(), tls: TLSSource? = nil, faults: LinkFaults? = nil,
        group: any EventLoopGroup, telemetry: Telemetry, peerClosed: (@Sendable (NodeID) -> Void)? = nil
    ) {
        let core = ServerCore(
            hello: hello, handlers: handlers, settings: settings, tls: tls, faults: faults, telemetry: telemetry, peerClosed: peerClosed)
        self.core = core
        self.group = group
        loops = Dictionary(
            group.makeIterator().map { (ObjectIdentifier($0), LoopConnections(loop: $0, core: core)) },
            uniquingKeysWith: { first, _ in first })
        for loop in loops.values { loop.start() }
    }

    /// Listens; returns the address with the port that was taken.
    package func listen(_ address: PeerAddress) async throws(TransportError) -> PeerAddress {
        do {
            switch address {
            case .tcp(let host, let port):
                let channel = try await bootstrap(isLocal: false).bind(host: host, port: port).get()
                listening.withLock { $0.append(channel) }
                return .tcp(host: host, port: channel.localAddress?.port ?? port)
            case .unix(let path):
                let channel = try await bootstrap(isLocal: true).bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
                listening.withLock { $0.append(channel) }
                FilePermissions.ownerOnly(path)
                return address
            }
        } catch {
            throw .cannotListen(address: address.description, reason: "\(error)")
        }
    }

    private func bootstrap(isLocal: Bool) -> ServerBootstrap {
        let (core, loops) = (core, loops)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .writeBufferWaterMark, value: .init(low: core.settings.waitingBytes / 4, high: core.settings.waitingBytes)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let connections = loops[ObjectIdentifier(channel.eventLoop)] else { throw TransportError.closed }
                    try ServerConnection.begin(channel, core, connections, isLocal: isLocal)
                }
            }
        guard !isLocal else { return bootstrap }
        return
            bootstrap
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    }

    /// Connections that are open now.
    package var connectionCount: Int { core.connectionCount.load(ordering: .relaxed) }

    /// Of who is connected, so many are listed.
    package static let callersListed = 1000

    /// Who is connected, as it was half a second ago at most.
    package var callers: [RPCCaller] { Array(loops.values.flatMap(\.callers).prefix(Self.callersListed)) }

    /// Takes no more connections, answers new calls with `draining`, waits for those that run, at most for `grace`, then closes all.
    package func drain(grace: Duration) async {
        core.isDraining.store(true, ordering: .releasing)
        for channel in listening.withLock({ $0 }) { try? await channel.close() }
        let end = core.telemetry.clock.now.advanced(by: grace)
        while core.tasks.load(ordering: .relaxed) > 0, core.telemetry.clock.now < end {
            try? await Task.sleep(for: .milliseconds(10))
        }
        for loop in loops.values { try? await loop.loop.submit { loop.closeAll() }.get() }
        // What was closed flushes first; it is gone when its loop says so.
        while connectionCount > 0, core.telemetry.clock.now < end.advanced(by: .seconds(1)) { try? await Task.sleep(for: .milliseconds(5)) }
    }
}

/// One that is connected, as operators see it.
package struct RPCCaller: Sendable {
    package var remote: String
    package var node: NodeID?
    package var identity: String?
    package var software: String
    package var version: WireVersion?
    package var calls: Int
    package var idle: Duration
}

/// What all connections of a server share.
final class ServerCore: Sendable {
    let hello: any HelloSource
    let handlers: RPCHandlers
    let settings: RPCServer.Settings
    let tls: TLSSource?
    let faults: LinkFaults?
    let telemetry: Telemetry
    let peerClosed: (@Sendable (NodeID) -> Void)?
    let metrics: RPCMetrics
    let log: RareLog
    let connectionCount = Atomic<Int>(0)
    /// Calls that are answered from tasks, now.
    let tasks = Atomic<Int>(0)
    /// Streams that go on now.
    let streams = Atomic<Int>(0)
    let isDraining = Atomic(false)
    /// Bytes of frames that are not finished.
    let unfinished = Atomic<Int>(0)
    /// Connections over local sockets so far.
    let locals = Atomic<Int>(0)
    /// Made once: under overload most calls are answered with it.
    private let tooManyCalls: CallError
    /// Connections that are being told why they are not taken.
    let refusing = Atomic<Int>(0)
    private let sources: Mutex<SourceLimiter>
    private let expected: [UInt16: ExpectedDuration]

    init(
        hello: any HelloSource, handlers: RPCHandlers, settings: RPCServer.Settings, tls: TLSSource?, faults: LinkFaults?,
        telemetry: Telemetry, peerClosed: (@Sendable (NodeID) -> Void)?
    ) {
        self.hello = hello
        self.peerClosed = peerClosed
        self.handlers = handlers
        self.settings = settings
        self.tls = tls
        self.faults = faults
        self.telemetry = telemetry
        metrics = RPCMetrics(telemetry.metrics, side: "server")
        log = RareLog(telemetry, "rpc.server")
        tooManyCalls = CallError(
            .busy, "\(settings.callsAtOnce) calls are open on this node, as many as there may be", retryAfter: .milliseconds(50))
        sources = Mutex(SourceLimiter(perSecond: settings.connectsPerSecond, burst: settings.connectBurst))
        expected = handlers.kinds.mapValues { _ in ExpectedDuration() }
    }

    /// Why one more is not taken; nil when there is room.
    func refusal(_ bound: RPCHandlers.Bound) -> CallError? {
        switch bound {
        case .server where tasks.load(ordering: .relaxed) >= settings.callsAtOnce: tooManyCalls
        case .stream where streams.load(ordering: .relaxed) >= settings.streamsAtOnce:
            CallError(
                .busy, "\(settings.streamsAtOnce) streams are open on this node, as many as there may be: come again later",
                retryAfter: .seconds(1))
        case .server, .stream, .handler: nil
        }
    }

    func count(_ bound: RPCHandlers.Bound, _ change: Int) {
        switch bound {
        case .server: tasks.add(change, ordering: .relaxed)
        case .stream: streams.add(change, ordering: .relaxed)
        case .handler: break
        }
    }

    func admits(_ source: String) -> Bool { sources.withLock { $0.admit(source, telemetry.clock.coarseNow) } }
    func expected(_ type: MessageType) -> ExpectedDuration? { expected[type.number] }
}

/// How long calls of a method take, as the last ones tell: what cannot be done in time is refused before it is begun.
final class ExpectedDuration: Sendable {
    private let nanoseconds = Atomic<Int64>(0)

    var duration: Duration { .nanoseconds(nanoseconds.load(ordering: .relaxed)) }

    /// Called for each call that is refused: some time one is let through to see whether it is still so.
    func fade() { nanoseconds.store(nanoseconds.load(ordering: .relaxed) / 16 * 15, ordering: .relaxed) }

    /// A running mean that falls faster than it rises: some calls that were asked to wait must not have quick ones refused. Two threads at
    /// once may lose one of theirs.
    func note(_ duration: Duration) {
        let (old, new) = (nanoseconds.load(ordering: .relaxed), duration.nanoseconds)
        nanoseconds.store(old == 0 ? new : old + (new - old) / (new < old ? 4 : 64), ordering: .relaxed)
    }
}

/// The connections of one event loop, and the watch over those that do nothing. Confined to its loop.
final class LoopConnections: @unchecked Sendable {
    private static let pause: TimeAmount = .milliseconds(500)

    let loop: any EventLoop
    /// For tasks that are over soon.
    let executor: LoopExecutor
    private let core: ServerCore
    private let published = Mutex<[RPCCaller]>([])
    private var connections: [ObjectIdentifier: ServerConnection] = [:]

    init(loop: any EventLoop, core: ServerCore) {
        self.loop = loop
        self.core = core
        executor = LoopExecutor(loop)
    }

    func start() {
        loop.scheduleRepeatedTask(initialDelay: Self.pause, delay: Self.pause) { [weak self] task in
            guard let self else { return task.cancel() }
            look()
        }
    }

    func add(_ connection: ServerConnection) { connections[ObjectIdentifier(connection)] = connection }
    func remove(_ connection: ServerConnection) { connections[ObjectIdentifier(connection)] = nil }

    private func look() {
        let now = core.telemetry.clock.coarseNow
        // Cutting one takes it out of the list.
        for connection in Array(connections.values) { connection.look(now) }
        let callers = connections.values.prefix(RPCServer.callersListed).map(\.caller)
        published.withLock { $0 = callers }
    }

    func closeAll() { for connection in Array(connections.values) { connection.end() } }

    /// From any thread.
    var callers: [RPCCaller] { published.withLock { $0 } }
}
