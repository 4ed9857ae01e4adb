import Primitives
import ServiceContextModule
import Testing
import Tracing

@testable import Observability

/// swift-distributed-tracing over the node's spans (SpanTracer.swift).
struct SpanTracerTests {
    private struct Headers: Extractor, Injector {
        func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
        func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
    }

    private struct Broken: Error {}

    private let clock = TestClock()
    private let store: SpanStore
    private let tracer: SpanTracer

    init() throws {
        store = SpanStore(
            node: try NodeID("a"), clock: clock, seed: 3,
            sampling: SpanStore.Sampling(tracesPerSecond: 100, keepsErrors: true, slow: .seconds(1)))
        tracer = SpanTracer(store: store)
    }

    private func spans(_ context: ServiceContext) -> [Observability.Span] { store.trace(context.trace?.traceID ?? "") }
    private func spans(_ span: TracedSpan) -> [Observability.Span] { spans(span.context) }

    @Test func `a span within a span is its child, and both are of one trace`() async throws {
        let found = try await tracer.withSpan("outer", ofKind: .server) { outer in
            try await tracer.withSpan("inner") { inner in
                #expect(TraceContext.current == inner.context.trace)
                #expect(inner.context.trace?.traceID == outer.context.trace?.traceID)
                try await Task.sleep(for: .milliseconds(1))
            }
            return outer.context
        }
        let recorded = spans(found)
        let outer = try #require(recorded.first { $0.name == "outer" })
        let inner = try #require(recorded.first { $0.name == "inner" })
        #expect(outer.parent == 0)
        #expect(inner.parent == outer.context.span)
        #expect((outer.kind, inner.kind) == (.server, .internal))
        #expect(outer.service == "ObservabilityTests")
    }

    @Test func `what a span is given is in its record`() throws {
        let other = tracer.startSpan("other")
        let span = tracer.startSpan("work", ofKind: .client)
        #expect(span.isRecording)
        span.operationName = "renamed"
        span.attributes["count"] = 3
        span.attributes["names"] = ["a", "b"]
        span.addEvent(SpanEvent(name: "half", attributes: ["done": .double(0.5)]))
        span.addLink(SpanLink(context: other.context, attributes: ["why": .string("batch")]))
        span.recordError(Broken())
        span.setStatus(SpanStatus(code: .error))
        clock.advance(by: .milliseconds(20))
        span.end()
        let record = try #require(spans(span).first)
        #expect(record.name == "renamed")
        #expect(record.kind == .client)
        #expect(record.attributes == Fields([.init("count", 3), .init("names", ["a", "b"])]))
        #expect(record.events.map(\.name) == ["half", "exception"])
        #expect(record.events[1].attributes["exception.type"] == "Broken")
        #expect(record.links.map(\.context) == [try #require(other.context.trace)])
        #expect(record.error == "Broken()")
        #expect(record.duration > .milliseconds(19) && record.duration < .milliseconds(500))
        let shown = record.value
        #expect(shown["kind"] == "client")
        #expect(shown["events"]?.list?.count == 2)
        #expect(shown["links"]?.list?.first?["spanId"] == .string(try #require(other.context.trace).spanID))
        other.end()
    }

    @Test func `a span ends once, and what comes after its end is dropped`() throws {
        let span = tracer.startSpan("work")
        span.end()
        span.operationName = "late"
        span.setStatus(SpanStatus(code: .error, message: "late"))
        span.addEvent("late")
        span.end()
        #expect(!span.isRecording)
        let records = spans(span)
        #expect(records.count == 1)
        #expect(records.first?.name == "work" && records.first?.error == nil && records.first?.events.isEmpty == true)
    }

    @Test func `an error that was thrown fails the span, and a verdict of ok is final`() throws {
        let failed: ServiceContext? = try {
            var context: ServiceContext?
            do {
                try tracer.withSpan("fails") { span in
                    context = span.context
                    throw Broken()
                }
            } catch is Broken {}
            return context
        }()
        #expect(spans(try #require(failed)).first?.error == "Broken()")
        let fine = tracer.startSpan("fine")
        fine.setStatus(SpanStatus(code: .ok))
        fine.setStatus(SpanStatus(code: .error, message: "no"))
        fine.end()
        #expect(spans(fine).first?.error == nil)
    }

    @Test func `instants of the caller's own place a span, and one that ends before it begins lasts nothing`() throws {
        let base = DefaultTracerClock.now.nanosecondsSinceEpoch
        func at(_ offset: UInt64) -> DefaultTracerClock.Timestamp { .init(nanosecondsSinceEpoch: base + offset) }
        let span = tracer.startSpan("early", at: at(1_234_567))
        span.end(at: at(51_234_567))
        let record = try #require(spans(span).first)
        #expect(record.startNanoseconds == base + 1_234_567)
        // The two looks at the clock are not at one instant.
        #expect(abs(record.duration.nanoseconds - 50_000_000) < 40_000_000)
        let backwards = tracer.startSpan("backwards", at: at(100_000_000_000))
        backwards.end(at: at(0))
        #expect(spans(backwards).first?.duration == .zero)
        let mad = tracer.startSpan("mad", at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: 0))
        mad.end(at: DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: .max))
        #expect(spans(mad).count == 1)
    }

    @Test func `events, links and attributes have their limits, and what goes beyond is counted`() throws {
        let span = tracer.startSpan("much")
        for number in 0..<100 {
            span.addEvent(SpanEvent(name: "event \(number)", attributes: ["text": .string(String(repeating: "x", count: 5000))]))
            span.addLink(SpanLink(context: span.context, attributes: [:]))
            span.attributes["attribute\(number)"] = 1
        }
        span.end()
        let record = try #require(spans(span).first)
        #expect((record.events.count, record.links.count, record.attributes.members.count) == (32, 32, 32))
        #expect(record.events.allSatisfy { ($0.attributes["text"]?.string?.utf8.count ?? 0) < 1100 })
        #expect(store.limited.count >= 1)
    }

    @Test func `the context crosses as W3C headers`() throws {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        var context = ServiceContext.topLevel
        tracer.extract(["traceparent": header, "tracestate": "v=1"], into: &context, using: Headers())
        let span = tracer.startSpan("served", context: context, ofKind: .server)
        var out: [String: String] = [:]
        tracer.inject(span.context, into: &out, using: Headers())
        #expect(out["traceparent"]?.contains("4bf92f3577b34da6a3ce929d0e0e4736") == true)
        #expect(out["traceparent"]?.contains("00f067aa0ba902b7") == false)
        #expect(out["tracestate"] == "v=1")
        span.end()
        #expect(spans(span).first?.parent == 0x00f0_67aa_0ba9_02b7)
        for broken in ["", "nonsense", "00-" + String(repeating: "0", count: 32) + "-00f067aa0ba902b7-01", header.uppercased()] {
            var untouched = ServiceContext.topLevel
            tracer.extract(["traceparent": broken], into: &untouched, using: Headers())
            #expect(untouched.trace == nil, "\(broken)")
        }
        var nothing: [String: String] = [:]
        tracer.inject(.topLevel, into: &nothing, using: Headers())
        #expect(nothing.isEmpty)
    }

    @Test func `an unsampled trace records nothing but what fails`() throws {
        var context = ServiceContext.topLevel
        tracer.extract(
            ["traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"], into: &context, using: Headers())
        let quiet = tracer.startSpan("quiet", context: context)
        #expect(!quiet.isRecording)
        quiet.end()
        #expect(spans(quiet).isEmpty)
        let failed = tracer.startSpan("failed", context: context)
        failed.setStatus(SpanStatus(code: .error, message: "no"))
        failed.end()
        #expect(spans(failed).map(\.error) == ["no"])
    }
}
