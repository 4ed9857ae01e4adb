package import Primitives
import Synchronization

/// One timed piece of work within a trace.
package struct Span: Equatable, Sendable {
    package var context: TraceContext
    /// 0 for the root.
    package var parent: UInt64
    package var name: String
    package var node: NodeID
    package var start: ClusterTime
    package var duration: Duration
    package var error: String?
    package var attributes: Fields

    package init(
        context: TraceContext, parent: UInt64, name: String, node: NodeID, start: ClusterTime, duration: Duration, error: String?,
        attributes: Fields
    ) {
        self.context = context
        self.parent = parent
        self.name = name
        self.node = node
        self.start = start
        self.duration = duration
        self.error = error
        self.attributes = attributes
    }

    package var value: Value {
        .object([
            "traceId": .string(context.traceID), "spanId": .string(context.spanID),
            "parentId": parent == 0 ? nil : .string(hexadecimal(parent)),
            "name": .string(name), "node": .string(node.text), "start": .string(start.rfc3339),
            "durationMs": .double((Double(duration.nanoseconds) / 1000).rounded() / 1000), "error": error.map(Value.string),
            "attributes": .map(attributes),
        ])
    }
}

/// The recent spans of a node, bounded; the oldest go first. New traces are sampled up to a rate, so that a flood of messages
/// costs no more than that; a trace that came in sampled stays so.
package final class SpanStore: Sendable {
    package static let retained = 16_384

    private struct State {
        var spans: [Span] = []
        var start = 0
        var generator: SeededGenerator
        var second: Int64 = 0
        var sampledInSecond = 0
    }

    private let node: NodeID
    private let clock: any NodeClock
    private let tracesPerSecond: Int
    private let state: Mutex<State>
    package let recorded = Counter()

    package init(node: NodeID, clock: any NodeClock, seed: UInt64, tracesPerSecond: Int) {
        self.node = node
        self.clock = clock
        self.tracesPerSecond = tracesPerSecond
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
    }

    /// The trace that a request belongs to: the caller's when it sent one, else a new one.
    package func context(traceparent: String?, tracestate: String?) -> TraceContext {
        if let traceparent, let context = TraceContext(traceparent: traceparent, state: tracestate ?? "") { return context }
        let second = clock.now.nanoseconds / 1_000_000_000
        return state.withLock { state in
            var context = TraceContext(using: &state.generator)
            if state.second != second { (state.second, state.sampledInSecond) = (second, 0) }
            state.sampledInSecond += 1
            context.isSampled = state.sampledInSecond <= tracesPerSecond
            context.span = 0
            return context
        }
    }

    package func newSpanID() -> UInt64 { state.withLock { $0.generator.next() | 1 } }

    /// A child of `parent` that begins now; record it when it ends. Nil when the trace is not sampled.
    package func begin(_ name: String, in parent: TraceContext?) -> OpenSpan? {
        guard let parent, parent.isSampled else { return nil }
        return OpenSpan(context: parent.child(span: newSpanID()), parent: parent.span, name: name, wall: clock.wall, started: clock.now)
    }

    package func end(_ open: OpenSpan?, error: String? = nil, _ attributes: KeyValuePairs<String, Value> = [:]) {
        guard let open else { return }
        record(
            Span(
                context: open.context, parent: open.parent, name: open.name, node: node, start: open.wall,
                duration: clock.now.duration(since: open.started), error: error,
                attributes: Fields(attributes.map { Fields.Member($0.key, $0.value) })))
    }

    package func record(_ span: Span) {
        recorded.increment()
        state.withLock { state in
            if state.spans.count < Self.retained {
                state.spans.append(span)
            } else {
                state.spans[state.start] = span
                state.start = (state.start + 1) % Self.retained
            }
        }
    }

    private struct TraceKey: Hashable {
        var high: UInt64
        var low: UInt64

        init(_ context: TraceContext) { (high, low) = (context.traceHigh, context.traceLow) }

        /// 32 hexadecimal digits.
        init?(_ id: String) {
            guard id.utf8.count == 32, let high = UInt64(id.prefix(16), radix: 16), let low = UInt64(id.suffix(16), radix: 16) else {
                return nil
            }
            (self.high, self.low) = (high, low)
        }
    }

    /// The spans of one trace by start.
    package func trace(_ id: String) -> [Span] {
        guard let key = TraceKey(id) else { return [] }
        return state.withLock { $0.spans }.filter { TraceKey($0.context) == key }.sorted { $0.start < $1.start }
    }

    /// The newest traces by their root (or the earliest span that is held), newest first, each with how many spans are held and whether one
    /// of them failed.
    package func latestTraces(_ count: Int) -> [Value] {
        let (held, start) = state.withLock { ($0.spans, $0.start) }
        let known = Set(held.map(\.context.span))
        var traces: [TraceKey: (spans: Int, error: String?, isTold: Bool)] = [:]
        var roots: [Span] = []
        // Newest first.
        for span in [held[..<start], held[start...]].lazy.flatMap({ $0.reversed() }) {
            let isRoot = span.parent == 0 || !known.contains(span.parent)
            let before = traces[TraceKey(span.context)]
            if isRoot, before?.isTold != true, roots.count < count { roots.append(span) }
            traces[TraceKey(span.context)] = (
                (before?.spans ?? 0) + 1, span.error ?? before?.error, before?.isTold == true || isRoot
            )
        }
        return roots.map { root in
            guard case .map(var fields) = root.value, let entry = traces[TraceKey(root.context)] else { return root.value }
            fields["spans"] = Value(entry.spans)
            if let error = entry.error { fields["error"] = .string(error) }
            return .map(fields)
        }
    }
}

/// A span that has begun.
package struct OpenSpan: Sendable {
    package let context: TraceContext
    package let parent: UInt64
    package let name: String
    package let wall: ClusterTime
    package let started: Instant
}
