import NIOCore
import Observability
import Primitives
import Synchronization
import Wire

/// What becomes of a frame that calls: it is answered at once, by a task, in pieces, or not at all.
extension ServerConnection {
    func call(_ frame: Frame, _ peer: Peer) {
        callCount += 1
        let method = core.metrics.method(frame.header.type)
        let now = core.telemetry.clock.now
        do throws(CallError) {
            let kind = try kind(of: frame)
            let context = try context(of: frame, peer, now)
            switch kind {
            case .raw(let body):
                guard frame.header.flags.contains(.oneWay) else { throw Self.hasNoAnswer(method) }
                try body(frame, context)
                method.succeeded.increment()
            case .immediate(let body): try answer(frame, context, method, now, body)
            case .task(let rules, let body):
                if let refusal = rules.door?() { throw refusal }
                let isShort = rules.isShort?(frame.payload.readableBytes) ?? false
                try start(frame, context, method, now, nil, rules.bound, isShort: isShort) { frame, context, _ throws(CallError) in
                    try await body(frame, context)
                }
            case .stream(let body):
                let writer = RPCStreamWriter(id: frame.header.id) { [weak self] piece, bytes in
                    self?.post(frame.header.id, piece, pieceBytes: bytes)
                }
                if self.context?.channel.isWritable == false { writer.hold(true) }
                try start(frame, context, method, now, writer, .stream) { frame, context, writer throws(CallError) in
                    guard let writer else { throw CallError(.internal, "no stream") }
                    return try await body(frame, context, writer)
                }
            }
        } catch {
            core.metrics.failed(method, error.code)
            fail(frame, error)
        }
    }

    private func kind(of frame: Frame) throws(CallError) -> RPCHandlers.Kind {
        let kind = core.handlers.kinds[frame.header.type.number]
        if case .raw? = kind, let kind { return kind }
        guard !core.isDraining.load(ordering: .relaxed) else { throw CallError(.draining, "this node is about to stop") }
        guard let kind else { throw CallError(.unimplemented, "nothing here answers \(frame.header.type)") }
        return kind
    }

    private static func hasNoAnswer(_ method: RPCMetrics.Method) -> CallError {
        CallError(.invalid, "\(method.name) has no answer: it is sent with the flag one-way")
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
            let before = outbox.frames.readableBytes
            try body(frame, context, &outbox.frames)
            guard outbox.frames.readableBytes > before else { throw Self.hasNoAnswer(method) }
        }
        method.succeeded.increment()
        method.duration.observe(core.telemetry.clock.now.duration(since: began), in: context.trace)
    }

    /// Answers from a task, if that can be done in time.
    private func start(
        _ frame: Frame, _ context: RPCContext, _ method: RPCMetrics.Method, _ began: Instant, _ writer: RPCStreamWriter?,
        _ bound: RPCHandlers.Bound, isShort: Bool = false,
        _ body: @escaping @Sendable (Frame, RPCContext, RPCStreamWriter?) async throws(CallError) -> ByteBuffer
    ) throws(CallError) {
        let id = frame.header.id
        // An answer to it would be taken for the first one's.
        guard calls[id] == nil else { return refuse(CallError(.protocolViolation, "call \(id) is open already")) }
        guard calls.count < core.settings.callsPerConnection else {
            throw CallError(
                .busy, "\(calls.count) calls of this connection are open, as many as there may be", retryAfter: .milliseconds(50))
        }
        if let refusal = core.refusal(bound) { throw refusal }
        let expected = core.expected(frame.header.type)
        if let deadline = context.deadline, let usual = expected?.duration, began.advanced(by: usual) > deadline {
            expected?.fade()
            throw CallError(
                .deadlineExceeded, "\(frame.header.millisecondsLeft) ms are left, and these calls take about \(usual.milliseconds) ms")
        }
        core.count(bound, 1)
        core.metrics.inFlight.add(1)
        let span = context.trace.flatMap { core.telemetry.spans.begin("rpc \(method.name)", service: "rpc", in: $0) }
        let inner = RPCContext(
            peer: context.peer, remote: remote, trace: span?.context ?? context.trace, deadline: context.deadline, session: context.session,
            sequence: context.sequence, idempotencyKey: context.idempotencyKey, identity: identity)
        let task = Task(executorPreference: isShort ? connections.executor : nil) { [core] in
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
            core.count(bound, -1)
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
        error.reply.encode(header, nil, into: &outbox.frames)
    }
}
