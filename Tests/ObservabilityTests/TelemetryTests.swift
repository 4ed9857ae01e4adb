import Primitives
import Testing

@testable import Observability

/// What every room is given to say what happens in it (Telemetry.swift).
struct TelemetryTests {
    @Test func `the quiet telemetry keeps metrics, events and spans`() throws {
        let clock = TestClock()
        let telemetry = Telemetry.quiet(node: try NodeID("a"), clock: clock)
        telemetry.metrics.counter("a_total", "A").increment()
        telemetry.events.emit("node.started", subject: "a", "it started")
        telemetry.health.set("disk", .up)
        #expect(telemetry.metrics.snapshot.map(\.name) == ["a_total"])
        #expect(telemetry.events.latest(1).map(\.node.text) == ["a"])
        #expect(telemetry.health.isReady)
        #expect(telemetry.spans.context(traceparent: nil, tracestate: nil).isSampled)
    }

    @Test func `the machine's monotonic clock does not fall, and its wall clock knows this century`() {
        let clock = SystemClock()
        let (first, second) = (clock.now, clock.now)
        #expect(first <= second)
        #expect(clock.wall > ClusterTime(milliseconds: 1_700_000_000_000))
    }
}
