import Primitives
import Synchronization
package import Tracing

/// What libraries that speak swift-distributed-tracing trace, in the spans of the node: sampled, limited, kept and exported with its own. The
/// context crosses as W3C trace context (Recommendation of 2021-11-23), `traceparent` and `tracestate`.
package struct SpanTracer: Tracer {
    private let store: SpanStore

    package init(store: SpanStore) { self.store = store }

    /// A child of the context's span, else the root of a new trace. Its service is the module that starts it.
    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind, at instant: @autoclosure () -> Instant,
        function: String, file fileID: String, line: UInt
    ) -> TracedSpan {
        TracedSpan(
            operationName, in: context(), kind: Observability.Span.Kind(kind), began: instant().nanosecondsSinceEpoch,
            service: String(fileID.prefix { $0 != "/" }), store: store)
    }

    /// Spans are sent by their own clock, and when the node stops.
    package func forceFlush() {}

    /// A header that breaks the grammar is no context: the trace that was there stays.
    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: "traceparent", from: carrier),
            let trace = TraceContext(traceparent: parent, state: extractor.extract(key: "tracestate", from: carrier) ?? "")
        else { return }
        context.trace = trace
    }

    package func inject<Carrier, Inject: Injector>(_ context: ServiceContext, into carrier: inout Carrier, using injector: Inject)
    where Inject.Carrier == Carrier {
        // An id of 0 is a trace without a span yet: W3C has no header for that.
        guard let trace = context.trace, trace.span != 0 else { return }
        injector.inject(trace.traceparent, forKey: "traceparent", into: &carrier)
        if !trace.state.isEmpty { injector.inject(trace.state, forKey: "tracestate", into: &carrier) }
    }
}

/// A span that a library has begun; recorded when it ends, once.
package final class TracedSpan: Tracing.Span {
    /// Events and links of one span that are kept; more are dropped and the span is counted as limited.
    static let partsKept = 32

    private struct State {
        var name: String
        var attributes = SpanAttributes()
        var events: [Span.Event] = []
        var links: [Span.Link] = []
        var status: SpanStatus?
        var error: String?
        var hasEnded = false
        var isLimited = false
    }

    package let context: ServiceContext
    private let trace: TraceContext
    private let parent: UInt64
    private let kind: Span.Kind
    private let service: String
    private let store: SpanStore
    /// Nanoseconds since 1970.
    private let began: UInt64
    /// Nanoseconds by which it was begun before it was told.
    private let late: Int64
    private let told: Instant
    private let state: Mutex<State>

    fileprivate init(_ name: String, in context: ServiceContext, kind: Span.Kind, began: UInt64, service: String, store: SpanStore) {
        let parent = context.trace ?? store.context(traceparent: nil, tracestate: nil)
        trace = parent.child(span: store.newSpanID(isSampled: parent.isSampled))
        var own = context
        own.trace = trace
        self.context = own
        self.parent = parent.span
        self.kind = kind
        self.service = service
        self.store = store
        self.began = began
        late = Self.since(began)
        told = store.clock.now
        state = Mutex(State(name: name))
    }

    /// Nanoseconds from then to now by the tracer's clock; small when a caller gives no instant of its own, and steps of the wall clock
    /// between the begin and the end of a span are in neither.
    private static func since(_ instant: UInt64) -> Int64 {
        Int64(truncatingIfNeeded: DefaultTracerClock.now.nanosecondsSinceEpoch &- instant)
    }

    package var operationName: String {
        get { state.withLock { $0.name } }
        set { change { $0.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set { change { $0.attributes = newValue } }
    }

    package var isRecording: Bool { trace.isSampled && !state.withLock { $0.hasEnded } }

    /// The last status counts, except that a verdict of ok is final.
    package func setStatus(_ status: SpanStatus) { change { if $0.status?.code != .ok { $0.status = status } } }

    package func addEvent(_ event: SpanEvent) {
        add(Span.Event(name: event.name, nanoseconds: event.nanosecondsSinceEpoch, attributes: Fields(event.attributes)))
    }

    /// An event `exception` by OpenTelemetry's conventions; whether the span has failed, the status says.
    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        var fields = [Fields.Member("exception.type", .string("\(type(of: error))")), .init("exception.message", .string("\(error)"))]
        fields += Fields(attributes).members
        add(Span.Event(name: "exception", nanoseconds: instant().nanosecondsSinceEpoch, attributes: Fields(fields)))
        change { $0.error = "\(error)" }
    }

    /// Links to what has no span are dropped.
    package func addLink(_ link: SpanLink) {
        guard let target = link.context.trace, target.span != 0 else { return }
        let attributes = Fields(link.attributes)
        change { state in
            guard state.links.count < Self.partsKept else {
                state.isLimited = true
                return
            }
            state.links.append(Span.Link(context: target, attributes: attributes))
        }
    }

    private func add(_ event: Span.Event) {
        change { state in
            guard state.events.count < Self.partsKept else {
                state.isLimited = true
                return
            }
            state.events.append(event)
        }
    }

    /// What comes after the end is dropped.
    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in if !state.hasEnded { body(&state) } }
    }

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let ended: State? = state.withLock { state in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let ended else { return }
        if ended.isLimited { store.limited.increment() }
        let measured = store.clock.now.duration(since: told).nanoseconds
        let (sum, overflow) = measured.addingReportingOverflow(late &- Self.since(instant().nanosecondsSinceEpoch))
        let error = ended.status?.code == .error ? ended.status?.message ?? ended.error ?? "error" : nil
        store.finish(
            Span(
                context: trace, parent: parent, name: ended.name, service: service, node: store.node,
                start: ClusterTime(milliseconds: began / 1_000_000), nanoseconds: UInt32(began % 1_000_000),
                duration: .nanoseconds(overflow ? 0 : max(0, sum)), error: error, attributes: Fields(ended.attributes), kind: kind,
                events: ended.events, links: ended.links))
    }
}

extension Span.Kind {
    fileprivate init(_ kind: SpanKind) {
        self =
            switch kind {
            case .server: .server
            case .client: .client
            case .producer: .producer
            case .consumer: .consumer
            case .internal: .internal
            }
    }
}

extension Fields {
    fileprivate init(_ attributes: SpanAttributes) {
        var members: [Fields.Member] = []
        attributes.forEach { members.append(Fields.Member($0, Value($1))) }
        self.init(members.sorted { $0.key < $1.key })
    }
}

extension Value {
    fileprivate init(_ attribute: SpanAttribute) {
        self =
            switch attribute {
            case .int32(let number): .int(Int64(number))
            case .int64(let number): .int(number)
            case .int32Array(let numbers): .list(numbers.map { .int(Int64($0)) })
            case .int64Array(let numbers): .list(numbers.map { .int($0) })
            case .double(let number): .double(number)
            case .doubleArray(let numbers): .list(numbers.map { .double($0) })
            case .bool(let flag): .bool(flag)
            case .boolArray(let flags): .list(flags.map { .bool($0) })
            case .string(let text): .string(text)
            case .stringArray(let texts): .list(texts.map { .string($0) })
            case .stringConvertible(let thing): .string(thing.description)
            case .stringConvertibleArray(let things): .list(things.map { .string($0.description) })
            default: .null
            }
    }
}
