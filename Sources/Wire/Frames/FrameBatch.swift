import NIOCore

/// Frames one behind the other, for whoever passes them on as bytes: the orders of a worker travel as pieces of one answer.
package struct FrameBatch: Sendable {
    private var buffer = ByteBuffer()

    package init() {}

    package var count: Int { buffer.readableBytes }

    /// A message that nobody answers.
    package mutating func append<M: WireMessage>(oneWay message: M) {
        message.encode(FrameHeader(type: M.type, flags: .oneWay), nil, into: &buffer)
    }

    /// All that was put in since the last time.
    package mutating func take() -> [UInt8] {
        defer { buffer.clear() }
        return Array(buffer.readableBytesView)
    }
}
