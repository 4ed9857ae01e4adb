package import NIOCore
import NIOPosix
package import Observability
package import Primitives
import Synchronization
package import Wire

/// A UDP socket of frames: many are read at once, none is sent that would be cut into pieces on its way, each source may come so often.
package final class DatagramSocket: Sendable {
    /// Bounds of a socket.
    package struct Settings: Equatable, Sendable {
        /// Datagrams of one source a second, on average; twice as many at once.
        package var perSecond = 5_000.0
        /// Read with one system call.
        package var readAtOnce = 32
        package init() {}
    }

    /// One datagram that could be read.
    package struct Received: Sendable {
        package var from: SocketAddress
        package var frame: Frame
    }

    private let channel: any Channel
    private let ring: KeyRing?
    private let faults: LinkFaults?
    private let sent: Counter
    private let refused: Refused
    package let localAddress: SocketAddress

    /// Counts by reason what was thrown away.
    private struct Refused: Sendable {
        let malformed: Counter
        let sealed: Counter
        let rate: Counter
        let tooLong: Counter

        init(_ metrics: MetricsRegistry) {
            func counter(_ reason: String) -> Counter {
                metrics.counter("distric_datagrams_dropped_total", "Datagrams that were thrown away.", ["reason": reason])
            }
            (malformed, sealed, rate, tooLong) = (counter("malformed"), counter("not_sealed"), counter("rate"), counter("too_long"))
        }
    }

    /// - Parameters:
    ///   - ring: what is not sealed with one of its keys is thrown away; without it nothing is sealed.
    ///   - received: called on the socket's event loop with all that one read brought.
    package static func bind(
        host: String, port: Int, group: any EventLoopGroup, settings: Settings = Settings(), ring: KeyRing? = nil,
        faults: LinkFaults? = nil,
        telemetry: Telemetry, received: @escaping @Sendable ([Received]) -> Void
    ) async throws(TransportError) -> DatagramSocket {
        let metrics = telemetry.metrics
        let refused = Refused(metrics)
        let came = metrics.counter("distric_datagrams_received_total", "Datagrams that came in.")
        let bootstrap = DatagramBootstrap(group: group)
            .channelOption(.datagramVectorReadMessageCount, value: settings.readAtOnce)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: settings.readAtOnce * 2048))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Reader(
                            limiter: SourceLimiter(perSecond: settings.perSecond, burst: settings.perSecond * 2), ring: ring,
                            clock: telemetry.clock, came: came, refused: refused, received: received))
                }
            }
        let channel: any Channel
        do { channel = try await bootstrap.bind(host: host, port: port).get() } catch {
            throw .cannotListen(address: "\(host):\(port)/udp", reason: "\(error)")
        }
        guard let address = channel.localAddress else { throw .closed }
        return DatagramSocket(
            channel: channel, ring: ring, faults: faults,
            sent: metrics.counter("distric_datagrams_sent_total", "Datagrams that were sent."), refused: refused, localAddress: address)
    }

    private init(
        channel: any Channel, ring: KeyRing?, faults: LinkFaults?, sent: Counter, refused: Refused, localAddress: SocketAddress
    ) {
        self.channel = channel
        self.ring = ring
        self.faults = faults
        self.sent = sent
        self.refused = refused
        self.localAddress = localAddress
    }

    /// Bytes that a frame may have: all of the datagram is at most 1,400.
    package var frameLimit: Int { DatagramFrame.limit - (ring == nil ? 0 : KeyRing.overhead) }

    /// Sends one frame. What the kernel has no room for is lost, as anything on the way may be.
    package func send(_ frame: ByteBuffer, to address: SocketAddress, node: NodeID? = nil) throws(TransportError) {
        guard frame.readableBytes <= frameLimit else {
            refused.tooLong.increment()
            throw .tooLong(bytes: frame.readableBytes, limit: frameLimit)
        }
        guard let sealed = ring == nil ? frame : ring?.seal(frame) else { return }
        let envelope = AddressedEnvelope(remoteAddress: address, data: sealed)
        switch faults?.fate(to: node) ?? .sent {
        case .lost: return
        case .delayed(let delay):
            channel.eventLoop.scheduleTask(in: .nanoseconds(delay.nanoseconds)) { [channel] in channel.writeAndFlush(envelope, promise: nil)
            }
        case .sent: channel.writeAndFlush(envelope, promise: nil)
        }
        sent.increment()
    }

    package func close() async { try? await channel.close() }

    /// Collects what one read brings.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>

        private var limiter: SourceLimiter
        private let ring: KeyRing?
        private let clock: any NodeClock
        private let came: Counter
        private let refused: Refused
        private let received: @Sendable ([Received]) -> Void
        private var batch: [Received] = []

        init(
            limiter: SourceLimiter, ring: KeyRing?, clock: any NodeClock, came: Counter, refused: Refused,
            received: @escaping @Sendable ([Received]) -> Void
        ) {
            self.limiter = limiter
            self.ring = ring
            self.clock = clock
            self.came = came
            self.refused = refused
            self.received = received
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            came.increment()
            guard limiter.admit(envelope.remoteAddress.ipAddress ?? "", clock.coarseNow) else { return refused.rate.increment() }
            var bytes = envelope.data
            if let ring {
                guard let plain = ring.open(bytes) else { return refused.sealed.increment() }
                bytes = plain
            }
            do throws(WireError) {
                batch.append(Received(from: envelope.remoteAddress, frame: try DatagramFrame.decode(bytes)))
            } catch {
                refused.malformed.increment()
            }
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            guard !batch.isEmpty else { return }
            received(batch)
            batch.removeAll(keepingCapacity: true)
        }
    }
}
