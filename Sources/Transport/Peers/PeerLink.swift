import NIOCore
import Observability
import Primitives
import Wire

/// One connection of a `PeerChannel`, from its hello to its end. Confined to its event loop.
final class PeerLink: ChannelInboundHandler, DialedConnection, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    /// Of pings. An error that answers one is an answer.
    private static let pingID: UInt64 = 1 << 63
    private static let longestTick: Duration = .seconds(1)

    let ready: EventLoopPromise<PeerLink>
    /// Who is at the other end; nil before its hello.
    private(set) var peer: Peer?
    private(set) var failure: CallError?
    private let owner: PeerChannel
    private let dial: Dial
    private let outbox: Outbox
    private var decoder = FrameDecoder(payloadLimit: 64 << 10)
    private var context: ChannelHandlerContext?
    private var identity: PeerIdentity?
    /// What the socket did not take yet, as it was when that was asked last: it can have grown less since.
    private var socketBytes = 0
    private var watch: RepeatedTask?
    private var lastRead: Instant
    private var pingSince: Instant?

    init(_ owner: PeerChannel, _ dial: Dial) {
        self.owner = owner
        self.dial = dial
        ready = owner.loop.makePromise(of: PeerLink.self)
        outbox = Outbox(owner.faults)
        lastRead = owner.telemetry.clock.coarseNow
    }

    func giveUp(_ error: CallError) { if peer == nil { fail(error) } }

    // MARK: Sending

    /// False when more than so many bytes wait to be sent.
    func append(upTo limit: Int, _ write: (inout ByteBuffer) -> Void) -> Bool {
        if waitingBytes > limit, socketBytes > 0 { askSocket() }
        guard waitingBytes <= limit else { return false }
        write(&outbox.frames)
        return true
    }

    private var waitingBytes: Int { outbox.frames.readableBytes + outbox.delayedBytes + socketBytes }

    private func askSocket() {
        socketBytes = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    func flush() {
        guard let context, outbox.frames.readableBytes > 0 else { return }
        outbox.flush(context, to: owner.node, owner.metrics.bytesOut)
        askSocket()
    }

    // MARK: Time

    private func keepWatch() {
        let settings = owner.settings
        let pause = min(Self.longestTick, min(settings.keepAlive, settings.pingTimeout) / 2)
        let tick = TimeAmount.nanoseconds(pause.nanoseconds)
        watch = owner.loop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { [weak self] task in
            guard let self else { return task.cancel() }
            look()
        }
    }

    /// Asks who has been silent, and lets go who did not answer.
    private func look() {
        let now = owner.telemetry.clock.coarseNow
        if let pingSince {
            guard now.duration(since: pingSince) > owner.settings.pingTimeout else { return }
            fail(CallError(.unavailable, "\(dial.address) does not answer"))
        } else if now.duration(since: lastRead) > owner.settings.keepAlive {
            pingSince = now
            let ping = Ping(sequence: 0, from: owner.hello.current.node ?? .unnamed)
            ping.encode(FrameHeader(type: .ping, id: Self.pingID), nil, into: &outbox.frames)
            flush()
        }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { greet() }
    }

    func channelActive(context: ChannelHandlerContext) {
        greet()
        context.fireChannelActive()
    }

    private func greet() {
        dial.hello.current.encode(FrameHeader(type: .hello), nil, into: &outbox.frames)
        flush()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        finish(dial.closed)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        owner.metrics.bytesIn.increment(by: bytes.readableBytes)
        lastRead = owner.telemetry.clock.coarseNow
        pingSince = nil
        guard failure == nil else { return }
        decoder.append(bytes)
        do throws(WireError) { while failure == nil, let frame = try decoder.next() { take(frame) } } catch { fail(dial.error(error)) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        identity = PeerIdentity.shown(by: event, context) ?? identity
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(dial.error(error, isUncertain: peer != nil)) }

    private func take(_ frame: Frame) {
        switch frame.header.type {
        case .hello where peer == nil: greeted(frame)
        // Without an id it is about the connection.
        case .error where frame.header.id == 0: do throws(CallError) { fail(try dial.error(in: frame)) } catch { fail(error) }
        case _ where frame.header.id == Self.pingID: break
        case _ where peer == nil: fail(CallError(.protocolViolation, "\(dial.address) sent \(frame.header.type) before a hello"))
        default: owner.received(frame, on: self)
        }
    }

    private func greeted(_ frame: Frame) {
        do throws(CallError) {
            let found = try dial.peer(answering: frame, identity)
            guard found.node == owner.node else {
                let name = found.node.map { "node '\($0)'" } ?? "no node"
                throw CallError(
                    .denied, "\(dial.address) is \(name), not '\(owner.node)': one of the two is given an address that is not its own")
            }
            peer = found
        } catch {
            return fail(error)
        }
        decoder.payloadLimit = MessageType.largestPayload
        keepWatch()
        ready.succeed(self)
    }

    // MARK: The end

    /// Nobody wants it any more.
    func leave() {
        finish(CallError(.cancelled, "not wanted any more"))
        context?.close(promise: nil)
    }

    private func fail(_ error: CallError) {
        guard failure == nil else { return }
        finish(error)
        hangUp()
    }

    private func finish(_ error: CallError) {
        guard failure == nil else { return }
        failure = error
        watch?.cancel()
        ready.fail(error)
        owner.lost(self, error)
    }

    /// A network that swallows what is sent swallows the end of a connection as well: the other side does not learn of it before the link is
    /// whole again.
    private func hangUp() {
        guard let context else { return }
        guard peer != nil, owner.faults?.isCut(to: owner.node) == true else { return context.close(promise: nil) }
        owner.loop.scheduleTask(in: .nanoseconds(Self.longestTick.nanoseconds)) { self.hangUp() }
    }
}
