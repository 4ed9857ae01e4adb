package import Primitives
import Synchronization

/// The recent spans of a node, bounded; the oldest go first. Which new traces are recorded is decided when they begin (head sampling); a
/// trace that came in keeps its caller's decision. Of those that are not recorded, what fails or takes long is kept all the same, and
/// with it whatever of its trace ends later (tail sampling).
package final class SpanStore: Sendable {
    package static let retained = 16_384
    private static let attributesKept = 32
    private static let textBytes = 1024
    /// Traces of which it is remembered that something in them is kept.
    private static let tailSlots = 1024

    /// Which new traces are recorded.
    package struct Sampling: Equatable, Sendable {
        /// Of all traces, by their id: nodes with the same ratio record the same traces.
        package var ratio: Double
        /// And no more than so many a second.
        package var tracesPerSecond: Int
        /// A span that failed is kept, recorded trace or not.
        package var keepsErrors: Bool
        /// A span that took so long is kept; nil keeps none for it.
        package var slow: Duration?

        package init(ratio: Double = 1, tracesPerSecond: Int, keepsErrors: Bool = true, slow: Duration? = .seconds(1)) {
            self.ratio = ratio
            self.tracesPerSecond = tracesPerSecond
            self.keepsErrors = keepsErrors
            self.slow = slow
        }
    }

    private struct State {
        var spans: [Span] = []
        var start = 0
    }

    let node: NodeID
    let clock: any NodeClock
    /// The machine's own, which is asked without looking up whose it is; else `clock`.
    private let hasSystemClock: Bool
    private let sampling: Sampling
    private let slowNanoseconds: Int64
    private let keepsTails: Bool
    private let state = Mutex(State())
    private let ids: SpanIDs
    /// Of spans that are not recorded as they end: giving them out counts them.
    private let unsampledIDs: SpanIDs
    /// The second above, how many traces it has begun below.
    private let second = Atomic<UInt64>(0)
    /// Low halves of the ids of traces of which something was kept.
    private nonisolated(unsafe) let kept = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: tailSlots)
    private let exporter: SpanQueue?
    package let recorded = Counter()
    /// Spans that were begun in traces that are not recorded.
    package var unsampled: UInt64 { unsampledIDs.count }
    package let tailKept = Counter()
    /// Attributes and texts that were cut off.
    package let limited = Counter()

    /// - Parameters:
    ///   - seed: random, so that nodes and starts differ.
    ///   - exporter: gets every span that is recorded, too.
    package init(node: NodeID, clock: any NodeClock, seed: UInt64, sampling: Sampling, exporter: SpanQueue? = nil) {
        self.node = node
        self.clock = clock
        self.sampling = sampling
        self.exporter = exporter
        hasSystemClock = clock is SystemClock
        slowNanoseconds = sampling.slow?.nanoseconds ?? .max
        keepsTails = sampling.keepsErrors || sampling.slow != nil
        ids = SpanIDs(seed: seed, lane: 0)
        unsampledIDs = SpanIDs(seed: seed, lane: 1)
        for slot in 0..<Self.tailSlots { (kept + slot).initialize(to: Atomic(0)) }
    }

    deinit { kept.deallocate() }

    // MARK: Beginning

    /// The trace that a request belongs to: the caller's when it sent one, else a new one. A header that breaks the grammar begins a new
    /// trace, and its `tracestate` is dropped with it.
    package func context(traceparent: String?, tracestate: String?) -> TraceContext {
        if let traceparent, let context = TraceContext(traceparent: traceparent, state: tracestate ?? "") { return context }
        let (high, low) = (newSpanID(), newSpanID())
        return TraceContext(traceHigh: high, traceLow: low, span: 0, isSampled: isWanted(low))
    }

    private func isWanted(_ low: UInt64) -> Bool {
        // As OpenTelemetry's TraceIdRatioBased: by the low 56 bits of the id.
        guard sampling.ratio >= 1 || Double(low & 0xFF_FFFF_FFFF_FFFF) < sampling.ratio * 0x1p56 else { return false }
        let now = UInt64(bitPattern: clock.now.nanoseconds / 1_000_000_000) & 0xFFFF_FFFF
        var old = second.load(ordering: .relaxed)
        while true {
            let begun = old >> 32 == now ? old & 0xFFFF_FFFF : 0
            guard begun < UInt64(max(0, sampling.tracesPerSecond)) else { return false }
            let (exchanged, original) = second.weakCompareExchange(expected: old, desired: now << 32 | (begun + 1), ordering: .relaxed)
            if exchanged { return true }
            old = original
        }
    }

    package func newSpanID(isSampled: Bool = true) -> UInt64 { isSampled ? ids.next() : unsampledIDs.next() }

    /// A child of `parent` that begins now; record it when it ends. Nil when nothing of the trace can come to be recorded.
    package func begin(_ name: @autoclosure () -> String, service: StaticString, in parent: TraceContext?) -> OpenSpan? {
        guard let parent else { return nil }
        if parent.isSampled {
            return OpenSpan(
                context: parent.child(span: ids.next()), parent: parent.span, name: name(), service: service, started: clock.now)
        }
        let id = unsampledIDs.next()
        guard keepsTails else { return nil }
        return OpenSpan(context: parent.child(span: id), parent: parent.span, name: name(), service: service, started: coarseNow)
    }

    @inline(__always)
    private var coarseNow: Instant { hasSystemClock ? SystemClock().coarseNow : clock.coarseNow }

    // MARK: Ending

    /// - Parameter attributes: made only when the span is recorded.
    package func end(
        _ open: OpenSpan?, error: String? = nil, _ attributes: @autoclosure () -> KeyValuePairs<String, Value> = [:]
    ) {
        guard let open else { return }
        let isSampled = open.context.isSampled
        // A Duration is made of what is recorded: to make one and ask it for its nanoseconds is dear.
        let length = (isSampled ? clock.now : coarseNow).nanoseconds - open.started.nanoseconds
        guard isSampled || isKept(open.context, length, error) else { return }
        let duration = Duration.nanoseconds(length)
        let wall = clock.wallNanoseconds
        let started = wall - min(wall, UInt64(max(0, length)))
        record(
            Span(
                context: open.context, parent: open.parent, name: open.name, service: open.service.description, node: node,
                start: ClusterTime(milliseconds: started / 1_000_000), nanoseconds: UInt32(started % 1_000_000), duration: duration,
                error: error, attributes: Fields(attributes().map { Fields.Member($0.key, $0.value) })))
    }

    /// A span that was timed elsewhere: recorded when its trace is, or when it failed or took long.
    package func finish(_ span: Span) {
        guard span.context.isSampled || isKept(span.context, span.duration.nanoseconds, span.error) else { return }
        record(span)
    }

    private func isKept(_ context: TraceContext, _ nanoseconds: Int64, _ error: String?) -> Bool {
        let slot = kept + Int(context.traceLow % UInt64(Self.tailSlots))
        if sampling.keepsErrors && error != nil || nanoseconds >= slowNanoseconds {
            slot.pointee.store(context.traceLow, ordering: .relaxed)
        } else if slot.pointee.load(ordering: .relaxed) != context.traceLow {
            return false
        }
        tailKept.increment()
        return true
    }

    package func record(_ span: Span) {
        let span = isBounded(span) ? span : cut(span)
        recorded.increment()
        exporter?.offer(span)
        state.withLock { state in
            if state.spans.count < Self.retained {
                state.spans.append(span)
            } else {
                state.spans[state.start] = span
                state.start = (state.start + 1) % Self.retained
            }
        }
    }

    private static func isLong(_ text: String) -> Bool { text.utf8.count > textBytes }

    private static func isLong(_ fields: Fields) -> Bool {
        fields.members.count > attributesKept || fields.members.contains { $0.value.string.map { isLong($0) } ?? false }
    }

    private func isBounded(_ span: borrowing Span) -> Bool {
        !Self.isLong(span.attributes) && !Self.isLong(span.name) && span.error.map { Self.isLong($0) } != true
            && (span.events.isEmpty || !span.events.contains { Self.isLong($0.name) || Self.isLong($0.attributes) })
            && (span.links.isEmpty || !span.links.contains { Self.isLong($0.attributes) })
    }

    private func cut(_ span: Span) -> Span {
        limited.increment()
        func cut(_ text: String) -> String {
            Self.isLong(text) ? String(decoding: text.utf8.prefix(Self.textBytes), as: UTF8.self) + "..." : text
        }
        func cut(_ fields: Fields) -> Fields {
            Fields(
                fields.members.prefix(Self.attributesKept).map {
                    Fields.Member($0.key, $0.value.string.map { .string(cut($0)) } ?? $0.value)
                })
        }
        var span = span
        span.name = cut(span.name)
        span.error = span.error.map(cut)
        span.attributes = cut(span.attributes)
        span.events = span.events.map { Span.Event(name: cut($0.name), nanoseconds: $0.nanoseconds, attributes: cut($0.attributes)) }
        span.links = span.links.map { Span.Link(context: $0.context, attributes: cut($0.attributes)) }
        return span
    }

    package var heldCount: Int { state.withLock { $0.spans.count } }

    // MARK: Asking

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
        return state.withLock { $0.spans }.filter { TraceKey($0.context) == key }.sorted { $0.startNanoseconds < $1.startNanoseconds }
    }

    /// What traces are asked for.
    package struct Query: Equatable, Sendable {
        /// Part of the name of one of its spans, in any case.
        package var name: String?
        /// Of one of its spans.
        package var service: String?
        /// From the start of the first span to the end of the last.
        package var least: Duration?
        package var hasFailed: Bool

        package init(name: String? = nil, service: String? = nil, least: Duration? = nil, hasFailed: Bool = false) {
            self.name = name?.lowercased()
            self.service = service
            self.least = least
            self.hasFailed = hasFailed
        }
    }

    private struct Found {
        var spans = 0
        /// Since 1970, in nanoseconds.
        var start = UInt64.max
        var end: UInt64 = 0
        var error: String?
        var isTold = false
        var hasName = false
        var hasService = false

        var length: Duration { .nanoseconds(Int64(clamping: end - min(end, start))) }
    }

    /// The newest traces by their root (or the earliest span that is held), newest first, each with how many spans are held, how long all of
    /// them took and whether one of them failed.
    package func latestTraces(_ count: Int, _ query: Query = Query()) -> [Value] {
        let (held, start) = state.withLock { ($0.spans, $0.start) }
        let known = Set(held.map(\.context.span))
        var traces: [TraceKey: Found] = [:]
        var roots: [Span] = []
        let isPicky = query != Query()
        // Newest first.
        for span in [held[..<start], held[start...]].lazy.flatMap({ $0.reversed() }) {
            let isRoot = span.parent == 0 || !known.contains(span.parent)
            var found = traces[TraceKey(span.context)] ?? Found()
            if isRoot, !found.isTold, isPicky || roots.count < count { roots.append(span) }
            found.spans += 1
            found.start = min(found.start, span.startNanoseconds)
            found.end = max(found.end, span.startNanoseconds &+ UInt64(max(0, span.duration.nanoseconds)))
            found.error = span.error ?? found.error
            found.isTold = found.isTold || isRoot
            found.hasName = found.hasName || query.name.map { span.name.lowercased().contains($0) } ?? true
            found.hasService = found.hasService || query.service.map { $0 == span.service } ?? true
            traces[TraceKey(span.context)] = found
        }
        let wanted = roots.lazy.filter { root in
            guard let found = traces[TraceKey(root.context)] else { return false }
            return found.hasName && found.hasService && (!query.hasFailed || found.error != nil)
                && query.least.map { found.length >= $0 } ?? true
        }
        return wanted.prefix(count).map { root in
            guard case .map(var fields) = root.value, let found = traces[TraceKey(root.context)] else { return root.value }
            fields["spans"] = Value(found.spans)
            fields["durationMs"] = .double((found.length.seconds * 1_000_000).rounded() / 1000)
            if let error = found.error { fields["error"] = .string(error) }
            return .map(fields)
        }
    }
}

/// Ids of spans: no two of a node are the same, and none is 0. Threads take theirs from cells of their own.
private final class SpanIDs: Sendable {
    private let seed: UInt64
    private let first: UInt64
    private nonisolated(unsafe) let cells: UnsafeMutableRawPointer
    /// Between two numbers of a cell: two generators of one seed share the numbers.
    private static let stride = UInt64(2 * Cells.count)

    /// - Parameter lane: 0 or 1, another one for each generator of a seed.
    init(seed: UInt64, lane: Int) {
        self.seed = seed
        first = UInt64(lane * Cells.count)
        cells = .allocate(byteCount: Cells.count * Cells.line, alignment: Cells.line)
        for place in 0..<Cells.count { cell(place).initialize(to: Atomic(first + UInt64(place))) }
    }

    @inline(__always)
    private func cell(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (cells + place * Cells.line).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// How many were given out.
    var count: UInt64 {
        (0..<Cells.count).reduce(0) { $0 + (cell($1).pointee.load(ordering: .relaxed) - first) / Self.stride }
    }

    deinit { cells.deallocate() }

    @inline(__always)
    func next() -> UInt64 {
        let cell = cell(Cells.own)
        while true {
            // A cell's numbers are those that leave its own place as the rest: no other cell has them.
            let number = cell.pointee.wrappingAdd(Self.stride, ordering: .relaxed).newValue
            // An odd factor and the finaliser of SplitMix64 map every number to another one.
            var z = seed &+ number &* 0x9E37_79B9_7F4A_7C15
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            z ^= z >> 31
            if z != 0 { return z }
        }
    }
}

/// A span that has begun.
package struct OpenSpan: Sendable {
    package let context: TraceContext
    package let parent: UInt64
    package let name: String
    package let service: StaticString
    package let started: Instant
}
