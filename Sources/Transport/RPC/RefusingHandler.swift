import NIOCore
import Primitives
import Wire

/// Tells a connection why it is not taken, and closes it.
final class RefusingHandler: ChannelInboundHandler {
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
