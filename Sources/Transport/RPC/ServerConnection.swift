import NIOCore
import NIOSSL
import NIOTLS
import Observability
import Primitives
import Synchronization
import Wire

/// One caller's connection: parses every frame of a read, answers what it can at once, and writes once a read. Confined to its event loop, but
/// for `post`.
final class ServerConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the first frame may have before it is known who talks.
    private static let helloLimit = 16 << 10
    /// Answers that are handed to the socket before a read is through.
    private static let batchBytes = 256 << 10

    /// A call that runs in a task.
    private struct OpenCall {
        var task: Task<Void, Never>
        var writer: RPCStreamWriter?
        var deadline: Instant?
    }

    private struct Posted {
        var frames: [(id: UInt64, frame: ByteBuffer, pieceBytes: Int, isLast: Bool)] = []
        var isScheduled = false
    }

    private let core: ServerCore
    private let connections: LoopConnections
    private let loop: any EventLoop
    private let remote: String
    private var decoder = FrameDecoder(payloadLimit: helloLimit)
    /// Frames that are written next.
    private var outbox = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var peer: Peer?
    private var identity: PeerIdentity?
    private var calls: [UInt64: OpenCall] = [:]
    private var callCount = 0
    private let connectedAt: Instant
    private var lastRead: Instant
    /// Since when a frame is not finished, or what was answered is not read.
    private var unfinishedSince: Instant?
    private var unreadSince: Instant?
    private var wantsRead = false
    /// What of this connection is in the core's sum.
    private var unfinished = 0
    private var isEnding = false
    private var endingSince: Instant?
    private let posted = Mutex(Posted())

    /// Puts a new connection to work, or tells it why not.
    static func begin(_ channel: any Channel, _ core: ServerCore, _ connections: LoopConnections, isLocal: Bool) throws {
        let pipeline = channel.pipeline.syncOperations
        if !isLocal, let tls = core.tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls.server)) }
        let source = isLocal ? "unix" : channel.remoteAddress?.ipAddress ?? "unknown"
        var refusal: CallError?
        if core.isDraining.load(ordering: .acquiring) {
            refusal = CallError(.draining, "this node is about to stop")
        } else if !isLocal, !core.admits(source) {
            refusal = CallError(.busy, "too many connects from \(source)", retryAfter: .seconds(1))
        } else if !isLocal, core.connectionCount.load(ordering: .relaxed) >= core.settings.connections {
            refusal = CallError(
                .tooManyConnections, "\(core.settings.connections) connections are open, as many as there may be", retryAfter: .seconds(1))
        }
        if let refusal {
            let reason = refusal.code == .busy ? "connect_rate" : refusal.code.name
            core.metrics.cut(reason)
            core.log.warn(reason, "connection refused: \(refusal.message)")
            // Each may be there for some seconds: when there are many, no more is told why.
            guard core.refusing.add(1, ordering: .relaxed).newValue <= RefusingHandler.limit else {
                core.refusing.subtract(1, ordering: .relaxed)
                throw TransportError.closed
            }
            channel.closeFuture.whenComplete { _ in core.refusing.subtract(1, ordering: .relaxed) }
            return try pipeline.addHandler(RefusingHandler(refusal))
        }
        core.connectionCount.add(1, ordering: .relaxed)
        channel.closeFuture.whenComplete { _ in core.connectionCount.subtract(1, ordering: .relaxed) }
        // A local socket has no port to be told apart by.
        let port = isLocal ? ":\(core.locals.add(1, ordering: .relaxed).newValue)" : channel.remoteAddress?.port.map { ":\($0)" } ?? ""
        try pipeline.addHandler(ServerConnection(core, connections, channel.eventLoop, remote: source + port))
    }

    private init(_ core: ServerCore, _ connections: LoopConnections, _ loop: any EventLoop, remote: String) {
        self.core = core
        self.connections = connections
        self.loop = loop
        self.remote = remote
        connectedAt = core.telemetry.clock.coarseNow
        lastRead = connectedAt
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connections.add(self)
        core.metrics.connections.add(1)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        guard self.context != nil else { return }
        self.context = nil
        connections.remove(self)
        boundUnfinished(0)
        core.metrics.connections.add(-1)
        for call in calls.values { stop(call) }
        calls = [:]
    }

    func channelInactive(context: ChannelHandlerContext) {
        if decoder.waitingBytes > 0, !isEnding { core.metrics.cut("half_frame") }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        core.metrics.bytesIn.increment(by: bytes.readableBytes)
        lastRead = core.telemetry.clock.coarseNow
        guard !isEnding else { return }
        decoder.append(bytes)
        do throws(WireError) {
            while !isEnding, let frame = try decoder.next() {
                unfinishedSince = nil
                take(frame)
                if outbox.readableBytes > Self.batchBytes { flush(context) }
            }
        } catch {
            refuse(error)
        }
        unfinishedSince = decoder.waitingBytes > 0 ? unfinishedSince ?? lastRead : nil
        boundUnfinished(decoder.waitingBytes)
    }

    /// A frame that comes slowly takes memory meanwhile; those of all together have a bound, and small ones are none of it.
    private func boundUnfinished(_ bytes: Int) {
        let counted = bytes > Self.batchBytes ? bytes : 0
        guard counted != unfinished else { return }
        let total = core.unfinished.add(counted - unfinished, ordering: .relaxed).newValue
        let grows = counted > unfinished
        unfinished = counted
        guard grows, total > core.settings.unfinishedBytes else { return }
        refuse(CallError(.busy, "too much of unfinished frames waits in memory", retryAfter: .seconds(1)))
        decoder = FrameDecoder(payloadLimit: 0)
        boundUnfinished(0)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush(context)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        // Who does not read the answers asks no more questions.
        guard context.channel.isWritable else { return wantsRead = true }
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unreadSince = context.channel.isWritable ? nil : unreadSince ?? core.telemetry.clock.coarseNow
        for call in calls.values { call.writer?.hold(!context.channel.isWritable) }
        if context.channel.isWritable, wantsRead {
            wantsRead = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent {
            identity = (try? context.pipeline.syncOperations.nioSSL_peerCertificate()).flatMap { $0 }.map { PeerIdentity($0) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset is how many clients say good-bye.
        if let words = TLSSource.words(error) { cut("tls", "\(remote): \(words)") } else { end() }
    }

    // MARK: Frames

    private func take(_ frame: Frame) {
        guard let peer else { return greet(frame) }
        switch frame.header.type {
        case .cancel: if let call = calls[frame.header.id] { call.task.cancel(); call.writer?.close() }
        case .credit:
            guard let credit = try? Credit.decode(frame.payload) else {
                return refuse(CallError(.protocolViolation, "a credit that is none"))
            }
            calls[frame.header.id]?.writer?.add(credit: Int(credit.bytes))
        case .hello: refuse(CallError(.protocolViolation, "a second hello"))
        default:
            guard frame.header.flags.isDisjoint(with: [.response, .error]) else {
                return refuse(CallError(.protocolViolation, "an answer to what was never asked"))
            }
            call(frame, peer)
        }
    }

    private func greet(_ frame: Frame) {
        guard frame.header.type == .hello else { return refuse(CallError(.protocolViolation, "the first frame must be a hello")) }
        let hello: Hello
        do throws(WireError) { hello = try Hello.decode(frame.payload) } catch {
            return refuse(CallError(.invalid, "a hello that cannot be read: \(error)"))
        }
        do throws(CallError) {
            let found = try core.handshake.accept(hello)
            try PeerIdentity.check(identity, hello, isDemanded: core.tls != nil && !remote.hasPrefix("unix"))
            peer = found
        } catch {
            return refuse(error)
        }
        decoder.payloadLimit = MessageType.largestPayload
        let header = FrameHeader(type: .hello, flags: .response, id: frame.header.id)
        core.handshake.own.encode(header, nil, into: &outbox)
    }

    private func call(_ frame: Frame, _ peer: Peer) {
        callCount += 1
        let method = core.metrics.method(frame.header.type)
        let now = core.telemetry.clock.now
        do throws(CallError) {
            guard !core.isDraining.load(ordering: .relaxed) else { throw CallError(.draining, "this node is about to stop") }
            guard let kind = core.handlers.kinds[frame.header.type.number] else {
                throw CallError(.unimplemented, "nothing here answers \(frame.header.type)")
            }
            let context = try context(of: frame, peer, now)
            switch kind {
            case .immediate(let body): try answer(frame, context, method, now, body)
            case .task(let body):
                try start(frame, context, method, now, nil) { frame, context, _ throws(CallError) in try await body(frame, context) }
            case .stream(let body):
                let writer = RPCStreamWriter(id: frame.header.id) { [weak self] piece, bytes in
                    self?.post(frame.header.id, piece, pieceBytes: bytes)
                }
                if self.context?.channel.isWritable == false { writer.hold(true) }
                try start(frame, context, method, now, writer) { frame, context, writer throws(CallError) in
                    guard let writer else { throw CallError(.internal, "no stream") }
                    return try await body(frame, context, writer)
                }
            }
        } catch {
            core.metrics.failed(method, error.code)
            fail(frame, error)
        }
    }

    private func context(of frame: Frame, _ peer: Peer, _ now: Instant) throws(CallError) -> RPCContext {
        let attached: FrameExtension
        do throws(WireError) { attached = try frame.frameExtension() } catch {
            throw CallError(.invalid, "the frame's extension: \(error)")
        }
        let left = frame.header.millisecondsLeft
        return RPCContext(
            peer: peer, remote: remote, trace: attached.trace,
            deadline: left == 0 ? nil : now.advanced(by: .milliseconds(Int64(left))), session: attached.session,
            sequence: attached.sequence, idempotencyKey: attached.idempotencyKey, identity: identity)
    }

    private func answer(
        _ frame: Frame, _ context: RPCContext, _ method: RPCMetrics.Method, _ began: Instant,
        _ body: (Frame, RPCContext, inout ByteBuffer) throws(CallError) -> Void
    ) throws(CallError) {
        let span = context.trace.flatMap { core.telemetry.spans.begin("rpc \(method.name)", service: "rpc", in: $0) }
        defer { core.telemetry.spans.end(span) }
        if frame.header.flags.contains(.oneWay) {
            var nowhere = ByteBuffer()
            try body(frame, context, &nowhere)
        } else {
            let before = outbox.readableBytes
            try body(frame, context, &outbox)
            guard outbox.readableBytes > before else {
                throw CallError(.invalid, "\(method.name) has no answer: it is sent with the flag one-way")
            }
        }
        method.succeeded.increment()
        method.duration.observe(core.telemetry.clock.now.duration(since: began), in: context.trace)
    }

    /// Answers from a task, if that can be done in time.
    private func start(
        _ frame: Frame, _ context: RPCContext, _ method: RPCMetrics.Method, _ began: Instant, _ writer: RPCStreamWriter?,
        _ body: @escaping @Sendable (Frame, RPCContext, RPCStreamWriter?) async throws(CallError) -> ByteBuffer
    ) throws(CallError) {
        let id = frame.header.id
        // An answer to it would be taken for the first one's.
        guard calls[id] == nil else { return refuse(CallError(.protocolViolation, "call \(id) is open already")) }
        guard calls.count < core.settings.callsPerConnection else {
            throw CallError(
                .busy, "\(calls.count) calls of this connection are open, as many as there may be", retryAfter: .milliseconds(50))
        }
        guard core.tasks.load(ordering: .relaxed) < core.settings.callsAtOnce else {
            throw CallError(
                .busy, "\(core.settings.callsAtOnce) calls are open on this node, as many as there may be", retryAfter: .milliseconds(50))
        }
        let expected = core.expected(frame.header.type)
        if let deadline = context.deadline, let usual = expected?.duration, began.advanced(by: usual) > deadline {
            expected?.fade()
            throw CallError(
                .deadlineExceeded, "\(frame.header.millisecondsLeft) ms are left, and these calls take about \(usual.milliseconds) ms")
        }
        core.tasks.add(1, ordering: .relaxed)
        core.metrics.inFlight.add(1)
        let span = context.trace.flatMap { core.telemetry.spans.begin("rpc \(method.name)", service: "rpc", in: $0) }
        let inner = RPCContext(
            peer: context.peer, remote: remote, trace: span?.context ?? context.trace, deadline: context.deadline, session: context.session,
            sequence: context.sequence, idempotencyKey: context.idempotencyKey, identity: identity)
        let task = Task { [core] in
            let answer: ByteBuffer
            var isDone = false
            do throws(CallError) {
                answer = try await Self.scoped(inner.trace) { () throws(CallError) in try await body(frame, inner, writer) }
                method.succeeded.increment()
                core.telemetry.spans.end(span)
                isDone = true
            } catch {
                core.metrics.failed(method, error.code)
                core.telemetry.spans.end(span, error: error.description)
                answer = error.reply.frame(id: id, flags: [.response, .error])
            }
            let took = core.telemetry.clock.now.duration(since: began)
            method.duration.observe(took, in: inner.trace)
            if isDone, writer == nil { expected?.note(took) }
            core.metrics.inFlight.add(-1)
            self.post(id, frame.header.flags.contains(.oneWay) ? ByteBuffer() : answer, isLast: true)
            // Last: who drains closes when there are none.
            core.tasks.subtract(1, ordering: .relaxed)
        }
        calls[id] = OpenCall(task: task, writer: writer, deadline: context.deadline)
    }

    private static func scoped(_ trace: TraceContext?, _ body: () async throws(CallError) -> ByteBuffer) async throws(CallError)
        -> ByteBuffer
    {
        guard let trace else { return try await body() }
        let result = await trace.scope { () async -> Result<ByteBuffer, CallError> in
            do throws(CallError) { return .success(try await body()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func fail(_ frame: Frame, _ error: CallError) {
        guard !frame.header.flags.contains(.oneWay) else { return }
        let header = FrameHeader(type: .error, flags: [.response, .error], id: frame.header.id)
        error.reply.encode(header, nil, into: &outbox)
    }

    // MARK: Answers from tasks

    /// From any thread: a frame for this connection; the loop is woken once for all that gather before it looks.
    private func post(_ id: UInt64, _ frame: ByteBuffer, pieceBytes: Int = 0, isLast: Bool = false) {
        let isFirst = posted.withLock { posted in
            posted.frames.append((id, frame, pieceBytes, isLast))
            defer { posted.isScheduled = true }
            return !posted.isScheduled
        }
        if isFirst { loop.execute { self.drain() } }
    }

    private func drain() {
        let frames = posted.withLock { posted in
            posted.isScheduled = false
            defer { posted.frames.removeAll(keepingCapacity: true) }
            return posted.frames
        }
        for (id, frame, pieceBytes, isLast) in frames {
            outbox.writeImmutableBuffer(frame)
            if pieceBytes > 0 { calls[id]?.writer?.passed(pieceBytes) }
            if isLast { calls[id] = nil }
        }
        if let context { flush(context) }
    }

    private func flush(_ context: ChannelHandlerContext) {
        guard outbox.readableBytes > 0 else { return }
        let batch = outbox
        outbox = ByteBuffer()
        core.metrics.bytesOut.increment(by: batch.readableBytes)
        Outbox.write(batch, context, core.faults, to: peer?.node)
    }

    // MARK: The end

    /// Called twice a second.
    func look(_ now: Instant) {
        let settings = core.settings
        if let endingSince {
            if now.duration(since: endingSince) > Handshake.limit { context?.close(promise: nil) }
            return
        }
        if peer == nil, now.duration(since: connectedAt) > Handshake.limit {
            refuse(CallError(.deadlineExceeded, "no hello came within \(Handshake.limit.milliseconds / 1000) s"))
        } else if let since = unreadSince, now.duration(since: since) > settings.slow {
            cut("slow_reader", "\(remote) does not read what it asked for")
        } else if let since = unfinishedSince, now.duration(since: since) > settings.slow {
            refuse(CallError(.deadlineExceeded, "a frame was not finished within \(settings.slow.milliseconds / 1000) s"))
        } else if calls.isEmpty, now.duration(since: lastRead) > settings.idle {
            core.metrics.cut("idle")
            end()
        }
        // Deadlines are of the exact clock: times of the coarse one compare with each other alone.
        let exact = core.telemetry.clock.now
        for call in calls.values { if let deadline = call.deadline, deadline < exact { call.task.cancel() } }
    }

    private func refuse(_ error: WireError) {
        let code: CallError.Code =
            switch error {
            case .unsupportedVersion: .unsupportedVersion
            case .payloadTooLarge: .tooLarge
            default: .protocolViolation
            }
        refuse(CallError(code, error.description))
    }

    /// Says why, and closes.
    private func refuse(_ error: CallError) {
        guard !isEnding else { return }
        core.metrics.cut(error.code.name)
        core.log.warn(error.code.name, "\(remote) cut: \(error.message)")
        error.reply.encode(FrameHeader(type: .error, flags: [.response, .error]), nil, into: &outbox)
        end()
    }

    private func cut(_ reason: String, _ text: String) {
        guard !isEnding else { return }
        core.metrics.cut(reason)
        core.log.warn(reason, text)
        isEnding = true
        context?.close(promise: nil)
    }

    /// Closes once what waits has been sent, or after some seconds.
    func end() {
        guard !isEnding, let context else { return }
        isEnding = true
        endingSince = core.telemetry.clock.coarseNow
        flush(context)
        let channel = context.channel
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }

    private func stop(_ call: OpenCall) {
        call.task.cancel()
        call.writer?.close()
    }

    var caller: RPCCaller {
        RPCCaller(
            remote: remote, node: peer?.node, identity: identity?.uri, software: peer?.hello.software ?? "", version: peer?.version,
            calls: callCount, idle: core.telemetry.clock.coarseNow.duration(since: lastRead))
    }
}

/// Tells a connection why it is not taken, and closes it.
private final class RefusingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// At once.
    static let limit = 256

    private let error: CallError

    init(_ error: CallError) { self.error = error }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        // Under TLS what is written waits for the handshake: a close at once would forget it.
        context.writeAndFlush(wrapOutboundOut(error.reply.frame(flags: [.response, .error]))).whenComplete { _ in
            channel.close(promise: nil)
        }
        context.eventLoop.scheduleTask(in: .nanoseconds(Handshake.limit.nanoseconds)) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
