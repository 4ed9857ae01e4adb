import NIOCore
import Observability
import Primitives
import Synchronization
import Wire

/// One connection to a peer, with any number of calls in flight. Confined to its event loop, but for `submit`, `cancel` and what says so.
final class ClientConnection: ChannelDuplexHandler, DialedConnection, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Item {
        case call(CallWaiter)
        case cancel(CallWaiter)
        case credit(CallWaiter, bytes: UInt32)
    }

    private struct Inbox {
        var items: [Item] = []
        var isScheduled = false
        var isClosed = false
    }

    private static let batchBytes = 256 << 10
    private static let tick: TimeAmount = .seconds(1)

    let core: ClientCore
    let loop: any EventLoop
    private let inbox = Mutex(Inbox())
    /// Calls that are sent or wait to be; read from anywhere.
    let load = Atomic<Int>(0)
    let ready: EventLoopPromise<ClientConnection>
    private let dial: Dial
    private var isDraining = false
    /// Taken from the inbox while the socket has no room.
    private var held: [CallWaiter] = []
    private var decoder = FrameDecoder(payloadLimit: 64 << 10)
    private let outbox: Outbox
    private var table: CallTable<CallWaiter>
    private var context: ChannelHandlerContext?
    private var peer: Peer?
    private var identity: PeerIdentity?
    private var expiry: (at: Instant, task: Scheduled<Void>)?
    private var watch: RepeatedTask?
    private var lastRead: Instant
    private var lastUse: Instant
    private var pingSince: Instant?
    private var failure: CallError?
    private var closed: (@Sendable (ClientConnection) -> Void)?

    // MARK: Connecting

    /// Connects and shakes hands; the future fails with a `CallError`.
    static func connect(
        _ address: PeerAddress, _ core: ClientCore, on loop: any EventLoop, timeout: Duration,
        closed: @escaping @Sendable (ClientConnection) -> Void
    ) -> EventLoopFuture<ClientConnection> {
        let dial = Dial(address: address, hello: core.hello, tls: core.tls, timeout: timeout)
        return dial.connect(on: loop) { ClientConnection(core, dial, loop, closed) }
    }

    private init(
        _ core: ClientCore, _ dial: Dial, _ loop: any EventLoop, _ closed: @escaping @Sendable (ClientConnection) -> Void
    ) {
        self.core = core
        self.dial = dial
        self.loop = loop
        ready = loop.makePromise(of: ClientConnection.self)
        self.closed = closed
        outbox = Outbox(core.faults)
        table = CallTable(limit: core.settings.callsPerConnection)
        lastRead = core.telemetry.clock.coarseNow
        lastUse = lastRead
    }

    func giveUp(_ error: CallError) {
        guard peer == nil else { return }
        fail(error)
    }

    private var address: PeerAddress { dial.address }

    // MARK: From anywhere

    /// Takes a call; false when the connection is closed, or has as many as it may.
    func submit(_ waiter: CallWaiter) -> CallError? {
        guard load.load(ordering: .relaxed) < core.settings.callsPerConnection else {
            return CallError(
                .busy, "\(core.settings.callsPerConnection) calls to \(address) are open, as many as there may be",
                retryAfter: .milliseconds(50))
        }
        load.add(1, ordering: .relaxed)
        guard put(.call(waiter)) else {
            load.subtract(1, ordering: .relaxed)
            return CallError(.unavailable, "the connection to \(address) is closed")
        }
        return nil
    }

    func cancel(_ waiter: CallWaiter) { _ = put(.cancel(waiter)) }
    func give(_ waiter: CallWaiter, credit bytes: Int) { _ = put(.credit(waiter, bytes: UInt32(clamping: bytes))) }
    var isClosed: Bool { inbox.withLock { $0.isClosed } }
    func close() { loop.execute { self.fail(CallError(.unavailable, "the client is closed")) } }

    private func put(_ item: Item) -> Bool {
        let (isTaken, isFirst) = inbox.withLock { inbox in
            guard !inbox.isClosed else { return (false, false) }
            inbox.items.append(item)
            defer { inbox.isScheduled = true }
            return (true, !inbox.isScheduled)
        }
        if isFirst { loop.execute { self.drain() } }
        return isTaken
    }

    // MARK: Sending

    private func drain() {
        // Writing may say within the call that there is room again: what came meanwhile keeps its turn.
        guard !isDraining, let context else { return }
        isDraining = true
        defer {
            isDraining = false
            schedule()
        }
        lastUse = core.telemetry.clock.coarseNow
        var first = true
        while true {
            let items = inbox.withLock { inbox in
                inbox.isScheduled = false
                defer { inbox.items = [] }
                return inbox.items
            }
            guard !items.isEmpty || first && !held.isEmpty else { return }
            first = false
            take(items, context)
            guard context.channel.isWritable else { return }
        }
    }

    /// What the socket has no room for is held here, where its time runs and it can be cancelled; `submit` bounds it.
    private func take(_ items: [Item], _ context: ChannelHandlerContext) {
        let now = core.telemetry.clock.now
        let waiting = held
        held = []
        for waiter in waiting { sendOrHold(waiter, now, context) }
        for item in items {
            switch item {
            case .call(let waiter): sendOrHold(waiter, now, context)
            case .cancel(let waiter): drop(waiter, CallError(.cancelled, "cancelled while \(address) worked on it", isUncertain: true))
            case .credit(let waiter, let bytes): give(waiter, bytes)
            }
        }
        flush(context)
    }

    private func sendOrHold(_ waiter: CallWaiter, _ now: Instant, _ context: ChannelHandlerContext) {
        guard !waiter.hasEnded else { return }
        guard context.channel.isWritable || waiter.isCancelled else { return held.append(waiter) }
        send(waiter, now)
        if outbox.frames.readableBytes > Self.batchBytes { flush(context) }
    }

    private func send(_ waiter: CallWaiter, _ now: Instant) {
        guard !waiter.isCancelled else { return end(waiter, .failure(CallError(.cancelled, "cancelled before it was sent"))) }
        if let deadline = waiter.deadline, deadline <= now {
            return end(waiter, .failure(CallError(.deadlineExceeded, "its time was over before it could be sent to \(address)")))
        }
        guard let id = table.begin(waiter, deadline: waiter.deadline, now: now) else {
            return end(waiter, .failure(CallError(.busy, "too many calls to \(address) are open")))
        }
        waiter.id = id
        let left = waiter.deadline.map { UInt32(clamping: max(1, $0.duration(since: now).milliseconds)) } ?? 0
        waiter.write(FrameHeader(type: waiter.type, flags: waiter.flags, id: id, millisecondsLeft: left), &outbox.frames)
        if let stream = waiter.stream {
            Credit(bytes: UInt32(clamping: stream.window)).encode(
                FrameHeader(type: .credit, flags: .oneWay, id: id), nil, into: &outbox.frames)
        }
        if waiter.flags.contains(.oneWay) { _ = table.end(id).map { end($0.kept, .failure(CallError(.cancelled, "nobody waits"))) } }
    }

    private func drop(_ waiter: CallWaiter, _ error: CallError) {
        guard waiter.id != 0 else {
            waiter.isCancelled = true
            guard let place = held.firstIndex(where: { $0 === waiter }) else { return }
            held.remove(at: place)
            return end(waiter, .failure(CallError(.cancelled, "cancelled before it was sent")))
        }
        guard table.end(waiter.id) != nil else { return }
        Cancel().encode(FrameHeader(type: .cancel, flags: .oneWay, id: waiter.id), nil, into: &outbox.frames)
        end(waiter, .failure(error))
    }

    private func give(_ waiter: CallWaiter, _ bytes: UInt32) {
        guard table.waiting(waiter.id) != nil else { return }
        Credit(bytes: bytes).encode(FrameHeader(type: .credit, flags: .oneWay, id: waiter.id), nil, into: &outbox.frames)
    }

    private func end(_ waiter: CallWaiter, _ result: Result<Frame, CallError>) {
        load.subtract(1, ordering: .relaxed)
        waiter.finish(result)
    }

    private func flush(_ context: ChannelHandlerContext) { outbox.flush(context, to: peer?.node, core.metrics.bytesOut) }

    // MARK: Time

    /// One timer for the call whose time is over first.
    private func schedule() {
        guard let next = ([table.nextDeadline] + held.map(\.deadline)).compactMap(\.self).min() else { return }
        if let expiry, expiry.at <= next { return }
        expiry?.task.cancel()
        let wait = max(.zero, next.duration(since: core.telemetry.clock.now))
        // Not of this object: a timer of an hour must not hold a closed connection.
        let task = loop.scheduleTask(in: .nanoseconds(wait.nanoseconds + 100_000)) { [weak self] () -> Void in self?.expire() }
        expiry = (next, task)
    }

    private func expire() {
        expiry = nil
        let now = core.telemetry.clock.now
        let late = held.filter { $0.deadline.map { $0 <= now } ?? false }
        held.removeAll { waiter in late.contains { $0 === waiter } }
        for waiter in late {
            end(waiter, .failure(CallError(.deadlineExceeded, "its time was over before it could be sent to \(address)")))
        }
        for call in table.expire(now) {
            Cancel().encode(FrameHeader(type: .cancel, flags: .oneWay, id: call.id), nil, into: &outbox.frames)
            end(call.kept, .failure(CallError(.deadlineExceeded, "\(address) did not answer in time", isUncertain: true)))
        }
        if let context { flush(context) }
        schedule()
    }

    /// Once a second: asks who has been silent, lets go who did not answer, and who has nothing to do.
    private func look() {
        let now = core.telemetry.clock.coarseNow
        if let since = pingSince, now.duration(since: since) > core.settings.pingTimeout {
            core.metrics.cut("no_answer")
            fail(CallError(.unavailable, "\(address) does not answer", isUncertain: true))
        } else if table.count == 0, now.duration(since: lastUse) > core.settings.idle {
            fail(CallError(.unavailable, "the connection was idle"))
        } else if pingSince == nil, now.duration(since: lastRead) > core.settings.keepAlive, let context, peer != nil {
            pingSince = now
            let ping = Ping(sequence: 0, from: core.hello.current.node ?? .unnamed)
            // Nobody waits for the answer: that something came is enough.
            let waiter = CallWaiter(.ping, deadline: nil, flags: []) { header, buffer in ping.encode(header, nil, into: &buffer) }
            load.add(1, ordering: .relaxed)
            send(waiter, core.telemetry.clock.now)
            flush(context)
        }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        core.metrics.connections.add(1)
        if context.channel.isActive { greet(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        greet(context)
        context.fireChannelActive()
    }

    private func greet(_ context: ChannelHandlerContext) {
        core.hello.current.encode(FrameHeader(type: .hello), nil, into: &outbox.frames)
        flush(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        guard self.context != nil else { return }
        self.context = nil
        core.metrics.connections.add(-1)
        finish(failure ?? dial.closed)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        core.metrics.bytesIn.increment(by: bytes.readableBytes)
        lastRead = core.telemetry.clock.coarseNow
        pingSince = nil
        guard failure == nil else { return }
        decoder.append(bytes)
        do throws(WireError) { while failure == nil, let frame = try decoder.next() { take(frame) } } catch {
            core.metrics.cut("protocol_violation")
            core.log.warn("protocol_violation", "\(address): \(error)")
            fail(dial.error(error))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush(context)
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { drain() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        identity = PeerIdentity.shown(by: event, context) ?? identity
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if TLSSource.words(error) != nil { core.metrics.cut("tls") }
        fail(dial.error(error, isUncertain: peer != nil))
    }

    private func take(_ frame: Frame) {
        let id = frame.header.id
        switch frame.header.type {
        case .hello where peer == nil: greeted(frame)
        case .error:
            let error: CallError
            do throws(CallError) { error = try dial.error(in: frame) } catch { return fail(error) }
            // Without an id it is about the connection.
            guard id != 0 else { return fail(error) }
            if let call = table.end(id) { end(call.kept, .failure(error)) }
        case .streamChunk where frame.header.flags.contains(.more):
            guard let waiter = table.waiting(id) else { return }
            guard let stream = waiter.stream, let chunk = try? StreamChunk.decode(frame.payload), stream.take(chunk) else {
                let text = "\(address) sent pieces of a stream that it may not send"
                return drop(waiter, CallError(.protocolViolation, text, isUncertain: true))
            }
        default:
            // What answers late finds nobody.
            if let call = table.end(id) { end(call.kept, .success(frame)) }
        }
    }

    private func greeted(_ frame: Frame) {
        do throws(CallError) { peer = try dial.peer(answering: frame, identity) } catch { return fail(error) }
        decoder.payloadLimit = MessageType.largestPayload
        watch = loop.scheduleRepeatedTask(initialDelay: Self.tick, delay: Self.tick) { [weak self] task in
            guard let self else { return task.cancel() }
            look()
        }
        ready.succeed(self)
    }

    // MARK: The end

    private func fail(_ error: CallError) {
        guard failure == nil else { return }
        failure = error
        finish(error)
        context?.close(promise: nil)
    }

    private func finish(_ error: CallError) {
        failure = failure ?? error
        ready.fail(error)
        watch?.cancel()
        expiry?.task.cancel()
        expiry = nil
        let items = inbox.withLock { inbox in
            inbox.isClosed = true
            defer { inbox.items = [] }
            return inbox.items
        }
        // What was sent may have been done, whatever ends the connection; what was not, was not.
        var (sent, unsent) = (error, error)
        (sent.isUncertain, unsent.isUncertain) = (true, false)
        for call in table.endAll() { end(call.kept, .failure(sent)) }
        for waiter in held { end(waiter, .failure(unsent)) }
        held = []
        for case .call(let waiter) in items { end(waiter, .failure(unsent)) }
        closed?(self)
        closed = nil
    }

    /// Who is at the other end; nil before the handshake. Asked on the loop alone.
    var peerOnLoop: Peer? { peer }
}
