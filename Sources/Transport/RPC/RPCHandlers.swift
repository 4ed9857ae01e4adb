import NIOCore
import Observability
package import Primitives
package import Wire

/// What a handler is told of the call beside its message.
package struct RPCContext: Sendable {
    /// Who calls.
    package let peer: Peer
    /// As the connection has it; `unix:` for a local socket.
    package let remote: String
    /// Of the handler's own span, or the caller's where none is recorded.
    package let trace: TraceContext?
    /// When nobody waits for the answer any more.
    package let deadline: Instant?
    package let session: UInt64?
    package let sequence: UInt64?
    package let idempotencyKey: String?
    /// Who the certificate says the caller is; nil without one.
    package let identity: PeerIdentity?

    /// The node that calls, as its hello said; nil for a client that is none.
    package var node: NodeID? { peer.node }
    /// Whether a certificate proves that the caller is `node`: true of every node that comes over TLS.
    package var isProved: Bool { identity?.kind == .node && peer.node != nil }
}

/// What a server does with calls, by the type of their message. It is complete before the first connection comes.
package struct RPCHandlers: Sendable {
    enum Kind: Sendable {
        /// Answers at once, on the event loop: it must neither wait nor compute for long.
        case immediate(@Sendable (Frame, RPCContext, inout ByteBuffer) throws(CallError) -> Void)
        /// Takes frames that go one way, as they came, on the event loop.
        case raw(@Sendable (Frame, RPCContext) throws(CallError) -> Void)
        /// Answers from a task, unless the door refuses; the frame of the answer is what it returns.
        case task(TaskRules, @Sendable (Frame, RPCContext) async throws(CallError) -> ByteBuffer)
        /// Sends pieces before its answer.
        case stream(@Sendable (Frame, RPCContext, RPCStreamWriter) async throws(CallError) -> ByteBuffer)
    }

    /// Asked on the event loop before a call is read: why it is refused. What is refused here costs no task.
    package typealias Door = @Sendable () -> CallError?

    /// What bounds how many calls are worked on at once.
    package enum Bound: Sendable {
        /// The server: they are counted with all others.
        case server
        /// The server, apart from calls that end soon.
        case stream
        /// Who answers.
        case handler
    }

    /// Whether a call whose message has so many bytes is soon answered but for what it waits for: its task then runs on the event loop, which saves two changes of
    /// threads, and nothing else runs there meanwhile. Others run in the pool.
    package typealias Shortness = @Sendable (Int) -> Bool

    struct TaskRules: Sendable {
        var bound: Bound
        var door: Door?
        var isShort: Shortness?
    }

    /// Messages that are read in some microseconds.
    package static let shortBytes = 4096

    private(set) var kinds: [UInt16: Kind] = [:]

    package init() {}

    package mutating func immediate<C: WireCall>(
        _ type: C.Type, _ body: @escaping @Sendable (C, RPCContext) throws(CallError) -> C.Reply
    ) {
        kinds[C.type.number] = .immediate { frame, context, buffer throws(CallError) in
            let reply = try body(try Self.read(C.self, frame), context)
            try reply.checkSize()
            reply.encode(FrameHeader(type: C.Reply.type, flags: .response, id: frame.header.id), nil, into: &buffer)
        }
    }

    package mutating func task<C: WireCall>(
        _ type: C.Type, boundBy bound: Bound = .server, door: Door? = nil, isShort: Shortness? = nil,
        _ body: @escaping @Sendable (C, RPCContext) async throws(CallError) -> C.Reply
    ) {
        kinds[C.type.number] = .task(TaskRules(bound: bound, door: door, isShort: isShort)) { frame, context async throws(CallError) in
            let reply = try await body(try Self.read(C.self, frame), context)
            try reply.checkSize()
            return reply.frame(id: frame.header.id, flags: .response)
        }
    }

    /// For messages that are no calls: nothing goes back.
    package mutating func oneWay<M: WireMessage>(_ type: M.Type, _ body: @escaping @Sendable (M, RPCContext) -> Void) {
        kinds[M.type.number] = .immediate { frame, context, _ throws(CallError) in body(try Self.read(M.self, frame), context) }
    }

    /// For frames that go one way and are read by who gets them. `body` is called on the connection's event loop, in the order in which they
    /// came, and until the last connection is closed: what servers must hear from each other to end their work is heard while one drains. An
    /// error that it throws is counted, and told to nobody.
    package mutating func raw(_ type: MessageType, _ body: @escaping @Sendable (Frame, RPCContext) throws(CallError) -> Void) {
        kinds[type.number] = .raw(body)
    }

    /// A stream may last as long as its connection: it is counted with the streams, not with the calls.
    package mutating func stream<C: WireCall>(
        _ type: C.Type, _ body: @escaping @Sendable (C, RPCContext, RPCStreamWriter) async throws(CallError) -> C.Reply
    ) {
        kinds[C.type.number] = .stream { frame, context, writer async throws(CallError) in
            let reply = try await body(try Self.read(C.self, frame), context, writer)
            try reply.checkSize()
            return reply.frame(id: frame.header.id, flags: .response)
        }
    }

    private static func read<C: WireMessage>(_ type: C.Type, _ frame: Frame) throws(CallError) -> C {
        do throws(WireError) { return try C.decode(frame.payload) } catch {
            throw CallError(.invalid, "\(frame.header.type): \(error)")
        }
    }
}
