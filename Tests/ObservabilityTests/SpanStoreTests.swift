import Primitives
import Testing

@testable import Observability

/// Recent spans, bounded, of traces sampled up to a rate (SpanStore.swift).
struct SpanStoreTests {
    private let clock = TestClock()

    private func makeStore(tracesPerSecond: Int = 3, ratio: Double = 1, keeps: Bool = false) throws -> SpanStore {
        SpanStore(
            node: try NodeID("a"), clock: clock, seed: 7,
            sampling: SpanStore.Sampling(
                ratio: ratio, tracesPerSecond: tracesPerSecond, keepsErrors: keeps, slow: keeps ? .seconds(1) : nil))
    }

    private func span(_ trace: UInt64, _ id: UInt64, parent: UInt64 = 0, at milliseconds: UInt64 = 0) throws -> Observability.Span {
        Observability.Span(
            context: TraceContext(traceHigh: 0, traceLow: trace, span: id, isSampled: true), parent: parent, name: "span \(id)",
            service: "api", node: try NodeID("a"), start: ClusterTime(milliseconds: milliseconds), duration: .milliseconds(1), error: nil,
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
        let outer = try #require(store.begin("outer", service: "api", in: root))
        clock.advance(by: .milliseconds(2))
        let inner = try #require(store.begin("inner", service: "api", in: outer.context))
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
        let (unsampled, absent) = (store.begin("x", service: "api", in: context), store.begin("x", service: "api", in: nil))
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
            "traceId": "00000000000000000000000000000001", "spanId": "00000000000000ab", "name": "span 171", "service": "api", "node": "a",
            "start": "1970-01-01T00:00:01.000000Z", "durationMs": 1.0, "attributes": .map(Fields()), "kind": "server",
        ]
        #expect(bare.value == root)
        bare.parent = 0xCD
        bare.error = "it broke"
        #expect(bare.value["parentId"] == Value.string("00000000000000cd"))
        #expect(bare.value["error"] == Value.string("it broke"))
    }

    // MARK: Sampling

    @Test func `the ratio decides by the trace's id, so that nodes agree`() throws {
        let (one, other) = (
            try makeStore(tracesPerSecond: .max >> 32, ratio: 0.25), try makeStore(tracesPerSecond: .max >> 32, ratio: 0.25)
        )
        let sampled = (0..<8000).map { _ in one.context(traceparent: nil, tracestate: nil) }
        #expect(sampled.map(\.isSampled) == (0..<8000).map { _ in other.context(traceparent: nil, tracestate: nil).isSampled })
        let share = Double(sampled.count { $0.isSampled }) / 8000
        #expect(abs(share - 0.25) < 0.02)
        #expect(try !makeStore(ratio: 0).context(traceparent: nil, tracestate: nil).isSampled)
    }

    @Test func `ids come once, from eight threads too`() async throws {
        let store = try makeStore()
        let ids = await withTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<8 { group.addTask { (0..<20_000).map { _ in store.newSpanID() } } }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(ids).count == 160_000)
        #expect(!ids.contains(0))
    }

    @Test func `of a trace that is not recorded, a failure is kept, and what ends after it`() throws {
        let store = try makeStore(tracesPerSecond: 0, keeps: true)
        let root = store.context(traceparent: nil, tracestate: nil)
        let outer = try #require(store.begin("outer", service: "api", in: root))
        store.end(store.begin("before", service: "api", in: outer.context))
        let failing = try #require(store.begin("failing", service: "worker", in: outer.context))
        store.end(failing, error: "no")
        store.end(store.begin("after", service: "api", in: outer.context))
        store.end(outer)
        #expect(Set(store.trace(root.traceID).map(\.name)) == ["failing", "after", "outer"])
        #expect(store.tailKept.count == 3)
        let other = store.context(traceparent: nil, tracestate: nil)
        store.end(store.begin("fine", service: "api", in: other))
        #expect(store.trace(other.traceID).isEmpty)
    }

    @Test func `what takes long is kept, recorded trace or not`() throws {
        let store = try makeStore(tracesPerSecond: 0, keeps: true)
        let root = store.context(traceparent: nil, tracestate: nil)
        let slow = try #require(store.begin("slow", service: "api", in: root))
        clock.advance(by: .milliseconds(1500))
        store.end(slow)
        let span = try #require(store.trace(root.traceID).first)
        #expect(span.duration == .milliseconds(1500))
        #expect(span.start == ClusterTime(milliseconds: clock.wall.milliseconds - 1500))
        store.finish(try self.span(9, 91))
        #expect(store.trace(hexadecimal(0) + hexadecimal(9)).count == 1)
    }

    @Test func `a span is bounded, and it is counted`() throws {
        let store = try makeStore()
        var long = try span(1, 1)
        long.name = String(repeating: "n", count: 5000)
        long.error = String(repeating: "é", count: 5000)
        long.attributes = Fields((0..<100).map { Fields.Member("k\($0)", .string(String(repeating: "v", count: 2000))) })
        store.record(long)
        let kept = try #require(store.trace(long.context.traceID).first)
        #expect(kept.name.utf8.count == 1027 && kept.error?.hasPrefix("éé") == true)
        #expect((kept.error?.utf8.count ?? 0) < 1040)
        #expect(kept.attributes.members.count == 32)
        #expect(kept.attributes.members.allSatisfy { $0.value.string?.utf8.count == 1027 })
        #expect(store.limited.count == 1)
    }

    @Test func `traces are asked for by name, service, length and failure`() throws {
        let store = try makeStore()
        for trace in UInt64(1)...6 {
            var child = try span(trace, trace * 10 + 1, parent: trace * 10)
            child.name = trace % 2 == 0 ? "Task pay" : "task ship"
            child.service = trace == 3 ? "worker" : "coordinator"
            child.error = trace == 5 ? "no" : nil
            store.record(child)
            var root = try span(trace, trace * 10)
            root.duration = .milliseconds(Int64(trace) * 10)
            store.record(root)
        }
        func ids(_ query: SpanStore.Query) -> [UInt64] {
            store.latestTraces(10, query).compactMap { $0["traceId"]?.string.flatMap { UInt64($0.suffix(16), radix: 16) } }
        }
        #expect(ids(SpanStore.Query(name: "PAY")) == [6, 4, 2])
        #expect(ids(SpanStore.Query(service: "worker")) == [3])
        #expect(ids(SpanStore.Query(least: .milliseconds(45))) == [6, 5])
        #expect(ids(SpanStore.Query(hasFailed: true)) == [5])
        #expect(ids(SpanStore.Query(name: "ship", least: .milliseconds(20))) == [5, 3])
        #expect(ids(SpanStore.Query(name: "nothing")) == [])
        #expect(store.latestTraces(1, SpanStore.Query(name: "pay")).count == 1)
    }

    @Test func `a full queue for a collector drops what comes, counted`() throws {
        let queue = SpanQueue(limit: 3)
        let store = SpanStore(
            node: try NodeID("a"), clock: clock, seed: 7, sampling: SpanStore.Sampling(tracesPerSecond: 1), exporter: queue)
        for id in UInt64(1)...5 { store.record(try span(id, id)) }
        #expect(queue.dropped.count == 2)
        #expect(queue.oldest?.context.span == 1)
        #expect(queue.take(2).map(\.context.span) == [1, 2])
        #expect(queue.take(9).map(\.context.span) == [3])
        #expect(queue.take(9).isEmpty && queue.count == 0)
    }
}
