import Primitives
import Testing

@testable import Observability

/// Recent spans, bounded, of traces sampled up to a rate (SpanStore.swift).
struct SpanStoreTests {
    private let clock = TestClock()

    private func makeStore(tracesPerSecond: Int = 3) throws -> SpanStore {
        SpanStore(node: try NodeID("a"), clock: clock, seed: 7, tracesPerSecond: tracesPerSecond)
    }

    private func span(_ trace: UInt64, _ id: UInt64, parent: UInt64 = 0, at milliseconds: UInt64 = 0) throws -> Observability.Span {
        Observability.Span(
            context: TraceContext(traceHigh: 0, traceLow: trace, span: id, isSampled: true), parent: parent, name: "span \(id)",
            node: try NodeID("a"), start: ClusterTime(milliseconds: milliseconds), duration: .milliseconds(1), error: nil,
            attributes: Fields())
    }

    @Test func `new traces are sampled up to the limit of each second`() throws {
        let store = try makeStore(tracesPerSecond: 3)
        for _ in 0..<3 {
            let sampled = (0..<5).map { _ in store.context(traceparent: nil, tracestate: nil).isSampled }
            #expect(sampled == [true, true, true, false, false])
            clock.advance(by: .seconds(1))
        }
        let none = try makeStore(tracesPerSecond: 0)
        let isSampled = none.context(traceparent: nil, tracestate: nil).isSampled
        #expect(!isSampled)
    }

    @Test func `a new trace has an id of its own and no parent`() throws {
        let store = try makeStore()
        let contexts = (0..<100).map { _ in store.context(traceparent: nil, tracestate: nil) }
        #expect(Set(contexts.map(\.traceID)).count == 100)
        #expect(contexts.allSatisfy { $0.span == 0 })
    }

    @Test func `a caller's trace is taken as it came, over the limit too`() throws {
        let store = try makeStore(tracesPerSecond: 0)
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let context = store.context(traceparent: header, tracestate: "v=1")
        #expect(context.traceparent == header)
        #expect(context.state == "v=1")
        let unsampled = store.context(traceparent: String(header.dropLast()) + "0", tracestate: nil)
        #expect(!unsampled.isSampled)
        #expect(unsampled.traceID == context.traceID)
        let broken = store.context(traceparent: "nonsense", tracestate: "v=1")
        #expect(broken.traceID != context.traceID)
        #expect(broken.state.isEmpty)
    }

    @Test func `a span is recorded when it ends, under its parent`() throws {
        let store = try makeStore()
        let root = store.context(traceparent: nil, tracestate: nil)
        let outer = try #require(store.begin("outer", in: root))
        clock.advance(by: .milliseconds(2))
        let inner = try #require(store.begin("inner", in: outer.context))
        clock.advance(by: .milliseconds(3))
        store.end(inner, error: "no", ["attempt": 1])
        clock.advance(by: .milliseconds(5))
        store.end(outer)
        let spans = store.trace(root.traceID)
        #expect(spans.map(\.name) == ["outer", "inner"])
        #expect(spans.map(\.duration) == [Duration.milliseconds(10), Duration.milliseconds(3)])
        #expect(spans[0].parent == UInt64(0))
        #expect(spans[1].parent == spans[0].context.span)
        #expect(spans[1].error == "no")
        #expect(spans[1].attributes == Fields([.init("attempt", 1)]))
        #expect(store.recorded.count == UInt64(2))
        #expect(store.latestTraces(10).map { $0["name"]?.string } == ["outer"])
    }

    @Test func `without a sampled trace there is no span, and ending none is no harm`() throws {
        let store = try makeStore(tracesPerSecond: 0)
        let context = store.context(traceparent: nil, tracestate: nil)
        let (unsampled, absent) = (store.begin("x", in: context), store.begin("x", in: nil))
        #expect(unsampled?.name == nil)
        #expect(absent?.name == nil)
        store.end(nil)
        #expect(store.recorded.count == UInt64(0))
    }

    @Test func `a trace is asked for by its id and comes by start`() throws {
        let store = try makeStore()
        for (trace, id, start) in [(1, 11, 30), (2, 21, 5), (1, 12, 10), (1, 13, 20)] as [(UInt64, UInt64, UInt64)] {
            store.record(try span(trace, id, at: start))
        }
        let spans = store.trace("00000000000000000000000000000001")
        #expect(spans.map(\.context.span) == [12, 13, 11])
        #expect(store.trace("00000000000000000000000000000003").isEmpty)
        #expect(store.trace("").isEmpty)
    }

    @Test func `the latest are the roots of the newest traces, newest first`() throws {
        let store = try makeStore()
        for trace in UInt64(1)...5 {
            store.record(try span(trace, trace * 10 + 1, parent: trace * 10))
            store.record(try span(trace, trace * 10))
        }
        store.record(try span(6, 61, parent: 60))
        let newest = store.latestTraces(3)
        #expect(newest.map { $0["spanId"]?.string.flatMap { UInt64($0, radix: 16) } } == [61, 50, 40])
        #expect(newest.map { $0["spans"]?.int } == [1, 2, 2])
        #expect(store.latestTraces(100).count == 6)
        #expect(store.latestTraces(0).isEmpty)
    }

    @Test func `a full store forgets the oldest`() throws {
        let store = try makeStore()
        for id in 1...UInt64(SpanStore.retained + 3) { store.record(try span(id, id)) }
        #expect(store.trace(hexadecimal(0) + hexadecimal(3)).isEmpty)
        #expect(store.trace(hexadecimal(0) + hexadecimal(4)).count == 1)
        #expect(store.trace(hexadecimal(0) + hexadecimal(UInt64(SpanStore.retained + 3))).count == 1)
    }

    @Test func `a span as a value leaves out what it has not`() throws {
        var bare = try span(1, 0xAB, at: 1000)
        let root: Value = [
            "traceId": "00000000000000000000000000000001", "spanId": "00000000000000ab", "name": "span 171", "node": "a",
            "start": "1970-01-01T00:00:01.000Z", "durationMs": 1.0, "attributes": .map(Fields()),
        ]
        #expect(bare.value == root)
        bare.parent = 0xCD
        bare.error = "it broke"
        #expect(bare.value["parentId"] == Value.string("00000000000000cd"))
        #expect(bare.value["error"] == Value.string("it broke"))
    }
}
