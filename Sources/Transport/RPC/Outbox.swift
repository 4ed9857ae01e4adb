import NIOCore
import Observability
import Primitives

/// Frames that gather for one connection and are handed to its socket at once: the answers to all that one read brought, or all that waited
/// when the loop woke. Faults of the link are done to what is handed over together. Confined to its connection's event loop.
///
/// Writing can change whether the channel is writable, and tell its handler so within the call: what gathers is taken out before.
final class Outbox: @unchecked Sendable {
    /// Whole ones, written next.
    var frames = ByteBuffer()
    private let faults: LinkFaults?
    /// What a slow link holds back, and until when the last of it.
    private(set) var delayedBytes = 0
    private var delayedUntil = NIODeadline.uptimeNanoseconds(0)

    init(_ faults: LinkFaults?) { self.faults = faults }

    func flush(_ context: ChannelHandlerContext, to node: NodeID?, _ written: Counter) {
        guard frames.readableBytes > 0 else { return }
        let batch = frames
        frames = ByteBuffer()
        written.increment(by: batch.readableBytes)
        switch faults?.fate(to: node) ?? .sent {
        case .sent where delayedBytes == 0: context.writeAndFlush(NIOAny(batch), promise: nil)
        case .sent: hold(batch, .zero, context.channel)
        case .lost: break
        case .delayed(let delay): hold(batch, delay, context.channel)
        }
    }

    /// What is sent later arrives later, also when the delay grows less meanwhile.
    private func hold(_ batch: ByteBuffer, _ delay: Duration, _ channel: any Channel) {
        delayedUntil = max(delayedUntil, .now() + .nanoseconds(delay.nanoseconds))
        delayedBytes += batch.readableBytes
        channel.eventLoop.scheduleTask(deadline: delayedUntil) { [self] in
            delayedBytes -= batch.readableBytes
            channel.writeAndFlush(batch, promise: nil)
        }
    }
}
