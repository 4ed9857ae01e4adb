package import NIOCore
package import Observability
import Primitives
import Synchronization
package import Wire

/// How the connections to one peer are.
package struct RPCPeerStatus: Equatable, Sendable {
    package var address: String
    package var connections: Int
    package var calls: Int
    package var breaker: String
    package var lastError: String?
}

/// What all connections of a client share.
final class ClientCore: Sendable {
    let hello: any HelloSource
    let settings: RPCClient.Settings
    let tls: TLSSource?
    let faults: LinkFaults?
    let group: any EventLoopGroup
    let telemetry: Telemetry
    let metrics: RPCMetrics
    let log: RareLog
    let opened: Counter
    let connectFailures: Counter
    let refusedByBreaker: Counter
    let retries: Counter

    init(
        hello: any HelloSource, settings: RPCClient.Settings, tls: TLSSource?, faults: LinkFaults?, group: any EventLoopGroup,
        telemetry: Telemetry
    ) {
        self.hello = hello
        self.settings = settings
        self.tls = tls
        self.faults = faults
        self.group = group
        self.telemetry = telemetry
        metrics = RPCMetrics(telemetry.metrics, side: "client")
        log = RareLog(telemetry, "rpc.client")
        let registry = telemetry.metrics
        opened = registry.counter("distric_rpc_connections_opened_total", "Connections that this node opened to others.")
        connectFailures = registry.counter("distric_rpc_connect_failures_total", "Connects to others that failed.")
        refusedByBreaker = registry.counter(
            "distric_rpc_breaker_refusals_total", "Calls that were not tried, since their peer had failed several times.")
        retries = registry.counter("distric_rpc_retries_total", "Calls that were made again.")
    }
}

/// Makes calls to any number of peers.
package final class RPCClient: Sendable {
    /// Bounds of a client.
    package struct Settings: Equatable, Sendable {
        package var connectionsPerPeer = 2
        /// Calls of one connection at once; one more fails with `busy`.
        package var callsPerConnection = 65_536
        /// Calls that may wait for a connection to one peer.
        package var waiting = 10_000
        package var connectTimeout: Duration = .seconds(3)
        /// A connection on which nothing came for so long is asked whether it is there.
        package var keepAlive: Duration = .seconds(15)
        package var pingTimeout: Duration = .seconds(5)
        /// A connection without calls is closed after so long.
        package var idle: Duration = .seconds(300)
        /// Failures in a row after which a peer is left alone for a while.
        package var breakerLimit = 5
        /// Tries of one call at most; 1 for a client that goes elsewhere by itself.
        package var attempts = 4
        /// Bytes of a stream that may come before they are read.
        package var streamWindow = 256 << 10
        package init() {}
    }

    let core: ClientCore
    private let pools = Mutex<[PeerAddress: ConnectionPool]>([:])

    /// - Parameter hello: what each connection begins with; an `OwnHello` may change.
    package init(
        hello: any HelloSource, settings: Settings = Settings(), tls: TLSSource? = nil, faults: LinkFaults? = nil,
        group: any EventLoopGroup,
        telemetry: Telemetry
    ) {
        core = ClientCore(hello: hello, settings: settings, tls: tls, faults: faults, group: group, telemetry: telemetry)
    }

    private func pool(_ address: PeerAddress) -> ConnectionPool {
        pools.withLock { pools in
            if let pool = pools[address] { return pool }
            let pool = ConnectionPool(address, core)
            pools[address] = pool
            return pool
        }
    }

    /// Makes a call and waits for its answer, for at most `timeout`, its retries included. It is made again by itself only when that is
    /// harmless: it was certainly not done, or its kind may be repeated.
    package func call<C: WireCall>(
        _ message: C, to address: PeerAddress, timeout: Duration = .seconds(10), attached: FrameExtension? = nil
    ) async throws(CallError) -> C.Reply {
        let method = core.metrics.method(C.type)
        let began = core.telemetry.clock.now
        let deadline = began.advanced(by: timeout)
        let span = TraceContext.current.flatMap { core.telemetry.spans.begin("rpc \(method.name)", service: "rpc.client", in: $0) }
        var front = attached
        if let trace = span?.context ?? TraceContext.current {
            front = front ?? FrameExtension()
            front?.trace = trace
        }
        try message.checkSize(front)
        let pool = pool(address)
        pool.noteCall()
        var failures = 0
        while true {
            do throws(CallError) {
                let frame = try await once(message, front, pool, deadline, isRetry: failures > 0)
                let reply = try Self.reply(C.Reply.self, frame)
                method.succeeded.increment()
                method.duration.observe(core.telemetry.clock.now.duration(since: began), in: front?.trace)
                core.telemetry.spans.end(span)
                return reply
            } catch {
                failures += 1
                var failure = error
                if let wait = pool.wait(after: error, mayRepeat: C.isIdempotent, failures: failures, deadline: deadline) {
                    if (try? await Task.sleep(for: wait)) != nil {
                        core.retries.increment()
                        continue
                    }
                    failure = CallError(.cancelled, "cancelled before another try: \(error.message)", isUncertain: error.isUncertain)
                }
                core.metrics.failed(method, failure.code)
                core.telemetry.spans.end(span, error: failure.description)
                throw failure
            }
        }
    }

    private func once<C: WireCall>(
        _ message: C, _ attached: FrameExtension?, _ pool: ConnectionPool, _ deadline: Instant, isRetry: Bool
    ) async throws(CallError) -> Frame {
        let connection: ClientConnection
        if let found = pool.ready() { connection = found } else { connection = try await pool.connection(until: deadline) }
        let waiter = CallWaiter(C.type, deadline: deadline, flags: isRetry ? .retry : []) { header, buffer in
            message.encode(header, attached, into: &buffer)
        }
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                waiter.continuation = continuation
                if let refusal = connection.submit(waiter) { waiter.finish(.failure(refusal)) }
            }
        } onCancel: {
            connection.cancel(waiter)
        }
        return try result.get()
    }

    static func reply<R: WireMessage>(_ type: R.Type, _ frame: Frame) throws(CallError) -> R {
        guard frame.header.type == R.type else {
            throw CallError(.protocolViolation, "answered with \(frame.header.type) instead of \(R.type)", isUncertain: true)
        }
        do throws(WireError) { return try R.decode(frame.payload) } catch {
            throw CallError(.protocolViolation, "an answer that cannot be read: \(error)", isUncertain: true)
        }
    }

    /// Makes a call whose answer comes in pieces.
    package func stream<C: WireCall>(
        _ message: C, to address: PeerAddress, timeout: Duration, attached: FrameExtension? = nil
    ) async throws(CallError) -> RPCStream<C.Reply> {
        let deadline = core.telemetry.clock.now.advanced(by: timeout)
        let pool = pool(address)
        let connection = try await pool.connection(until: deadline)
        var front = attached
        if let trace = TraceContext.current {
            front = front ?? FrameExtension()
            front?.trace = trace
        }
        try message.checkSize(front)
        let sink = StreamSink(window: core.settings.streamWindow)
        let chosen = front
        let waiter = CallWaiter(C.type, deadline: deadline, flags: [], stream: sink) { header, buffer in
            message.encode(header, chosen, into: &buffer)
        }
        if let refusal = connection.submit(waiter) { throw refusal }
        return RPCStream(sink: sink, waiter: waiter, connection: connection)
    }

    /// Sends a message that nobody answers. Whether it arrives is not known.
    package func send<M: WireMessage>(_ message: M, to address: PeerAddress, timeout: Duration = .seconds(3)) async throws(CallError) {
        try message.checkSize()
        let deadline = core.telemetry.clock.now.advanced(by: timeout)
        let connection = try await pool(address).connection(until: deadline)
        let waiter = CallWaiter(M.type, deadline: deadline, flags: .oneWay) { header, buffer in message.encode(header, nil, into: &buffer) }
        if let refusal = connection.submit(waiter) { throw refusal }
    }

    /// Connects, if there is no connection, and tells who is there.
    package func peer(at address: PeerAddress, timeout: Duration) async throws(CallError) -> Peer {
        let connection = try await pool(address).connection(until: core.telemetry.clock.now.advanced(by: timeout))
        guard let peer = try? await connection.loop.submit({ connection.peerOnLoop }).get() else {
            throw CallError(.unavailable, "\(address) went away")
        }
        return peer
    }

    package var peers: [RPCPeerStatus] {
        pools.withLock { Array($0.values) }.map(\.status).sorted { $0.address < $1.address }
    }

    package func close() {
        let all = pools.withLock { pools in
            defer { pools = [:] }
            return Array(pools.values)
        }
        for pool in all { pool.close() }
    }
}

/// The pieces of a streamed answer, in order; then `reply`. Reading gives the other side credit for more. Who stops reading cancels the call.
package struct RPCStream<Reply: WireMessage>: Sendable {
    private let reading: Reading

    init(sink: StreamSink, waiter: CallWaiter, connection: ClientConnection) {
        reading = Reading(sink: sink, waiter: waiter, connection: connection)
    }

    /// The next piece; nil after the last. One task at a time.
    package func next() async throws(CallError) -> [UInt8]? { try await reading.next() }

    /// The answer after the last piece.
    package func reply() async throws(CallError) -> Reply {
        while try await next() != nil {}
        guard let frame = reading.answer else { throw CallError(.internal, "a stream without an end") }
        return try RPCClient.reply(Reply.self, frame)
    }

    private final class Reading: Sendable {
        private struct State {
            var owed = 0
            var answer: Frame?
        }

        private let sink: StreamSink
        private let waiter: CallWaiter
        private let connection: ClientConnection
        private let state = Mutex(State())

        init(sink: StreamSink, waiter: CallWaiter, connection: ClientConnection) {
            self.sink = sink
            self.waiter = waiter
            self.connection = connection
        }

        deinit { if state.withLock({ $0.answer == nil }) { connection.cancel(waiter) } }

        var answer: Frame? { state.withLock { $0.answer } }

        func next() async throws(CallError) -> [UInt8]? {
            let (piece, end) = await withTaskCancellationHandler {
                await sink.next()
            } onCancel: {
                connection.cancel(waiter)
            }
            guard let piece else {
                guard let end else { return nil }
                let frame = try end.get()
                state.withLock { $0.answer = frame }
                return nil
            }
            // Credit goes back in halves of the window, not piece by piece.
            let owed = state.withLock { state in
                state.owed += piece.count
                guard state.owed >= sink.window / 2 else { return 0 }
                defer { state.owed = 0 }
                return state.owed
            }
            if owed > 0 { connection.give(waiter, credit: owed) }
            return piece
        }
    }
}
