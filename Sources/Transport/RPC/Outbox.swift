import NIOCore
import Primitives

/// Hands frames that have gathered to the socket at once: the answers to all that one read brought, or all calls that waited when the loop woke.
///
/// Writing can change whether the channel is writable, and tell its handler so within the call: what gathers must be taken out before.
enum Outbox {
    static func write(_ batch: ByteBuffer, _ context: ChannelHandlerContext, _ faults: LinkFaults?, to node: NodeID?) {
        switch faults?.fate(to: node) ?? .sent {
        case .sent: context.writeAndFlush(NIOAny(batch), promise: nil)
        case .lost: break
        case .delayed(let delay):
            // Delays of one link are the same mostly, and tasks of one loop keep their order.
            let channel = context.channel
            context.eventLoop.scheduleTask(in: .nanoseconds(delay.nanoseconds)) { channel.writeAndFlush(batch, promise: nil) }
        }
    }
}
