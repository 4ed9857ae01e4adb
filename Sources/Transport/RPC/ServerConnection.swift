import NIOCore
import NIOSSL
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
    struct OpenCall {
        var task: Task<Void, Never>
        var writer: RPCStreamWriter?
        var deadline: Instant?
    }

    private struct Posted {
        var frames: [(id: UInt64, frame: ByteBuffer, pieceBytes: Int, isLast: Bool)] = []
        var isScheduled = false
    }

    let core: ServerCore
    let connections: LoopConnections
    let loop: any EventLoop
    let remote: String
    private var decoder = FrameDecoder(payloadLimit: helloLimit)
    let outbox: Outbox
    var context: ChannelHandlerContext?
    private var peer: Peer?
    var identity: PeerIdentity?
    var calls: [UInt64: OpenCall] = [:]
    var callCount = 0
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
        try pipeline.addHandler(
            ServerConnection(core, connections, channel.eventLoop, remote: (source.contains(":") ? "[\(source)]" : source) + port))
    }

    private init(_ core: ServerCore, _ connections: LoopConnections, _ loop: any EventLoop, remote: String) {
        self.core = core
        self.connections = connections
        self.loop = loop
        self.remote = remote
        outbox = Outbox(core.faults)
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
        if let node = peer?.node { core.peerClosed?(node) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if decoder.waitingBytes > 0, !isEnding {
            core.metrics.cut("half_frame")
            core.log.warn("half_frame", "\(remote) closed in the middle of a frame, after \(decoder.waitingBytes) bytes of it")
        }
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
                if outbox.frames.readableBytes > Self.batchBytes { flush(context) }
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
        identity = PeerIdentity.shown(by: event, context) ?? identity
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
            let found = try Handshake(own: core.hello.current).accept(hello)
            try PeerIdentity.check(identity, hello, isDemanded: core.tls != nil && !remote.hasPrefix("unix"))
            peer = found
        } catch {
            return refuse(error)
        }
        decoder.payloadLimit = MessageType.largestPayload
        let header = FrameHeader(type: .hello, flags: .response, id: frame.header.id)
        core.hello.current.encode(header, nil, into: &outbox.frames)
    }

    // MARK: Answers from tasks

    /// From any thread: a frame for this connection; the loop is woken once for all that gather before it looks.
    func post(_ id: UInt64, _ frame: ByteBuffer, pieceBytes: Int = 0, isLast: Bool = false) {
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
            outbox.frames.writeImmutableBuffer(frame)
            if pieceBytes > 0 { calls[id]?.writer?.passed(pieceBytes) }
            if isLast { calls[id] = nil }
        }
        if let context { flush(context) }
    }

    private func flush(_ context: ChannelHandlerContext) { outbox.flush(context, to: peer?.node, core.metrics.bytesOut) }

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
    func refuse(_ error: CallError) {
        guard !isEnding else { return }
        core.metrics.cut(error.code.name)
        core.log.warn(error.code.name, "\(remote) cut: \(error.message)")
        error.reply.encode(FrameHeader(type: .error, flags: [.response, .error]), nil, into: &outbox.frames)
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
