import Primitives
import Testing

@testable import Observability

/// The Prometheus text exposition format, version 0.0.4.
struct PrometheusTextTests {
    private func text(_ registry: MetricsRegistry, _ format: PrometheusText.Format = .prometheus) -> String {
        String(decoding: PrometheusText.render(registry.snapshot, as: format), as: UTF8.self)
    }

    @Test func `the golden text stays`() {
        let registry = MetricsRegistry()
        registry.counter("distric_runs_total", "Runs that ended", ["namespace": "default", "state": "done"]).increment(by: 12)
        registry.counter("distric_runs_total", "Runs that ended", ["namespace": "default", "state": "failed"]).increment()
        registry.gauge("distric_queue_depth", "Tasks that wait").set(2.5)
        let wait = registry.histogram("distric_wait_seconds", "Time in a queue", ["queue": "a"], scale: .bounds([0.1, 1, 2.5]))
        for number in [0.0625, 0.5, 5] { wait.observe(number) }
        registry.computed(.gauge, "distric_up", "Whether it runs") { 1 }
        let expected = """
            # HELP distric_queue_depth Tasks that wait
            # TYPE distric_queue_depth gauge
            distric_queue_depth 2.5
            # HELP distric_runs_total Runs that ended
            # TYPE distric_runs_total counter
            distric_runs_total{namespace="default",state="done"} 12
            distric_runs_total{namespace="default",state="failed"} 1
            # HELP distric_up Whether it runs
            # TYPE distric_up gauge
            distric_up 1
            # HELP distric_wait_seconds Time in a queue
            # TYPE distric_wait_seconds histogram
            distric_wait_seconds_bucket{queue="a",le="0.1"} 1
            distric_wait_seconds_bucket{queue="a",le="1"} 2
            distric_wait_seconds_bucket{queue="a",le="2.5"} 2
            distric_wait_seconds_bucket{queue="a",le="+Inf"} 3
            distric_wait_seconds_sum{queue="a"} 5.5625
            distric_wait_seconds_count{queue="a"} 3

            """
        let text = text(registry)
        #expect(text == expected)
    }

    @Test func `backslashes and line ends are escaped in help, quotes too in labels`() {
        let registry = MetricsRegistry()
        registry.counter("a_total", "A \"quoted\" \\ path\nof two lines", ["path": "C:\\\"x\"\né"]).increment()
        let expected =
            #"# HELP a_total A "quoted" \\ path\nof two lines"# + "\n# TYPE a_total counter\n" + #"a_total{path="C:\\\"x\"\né"} 1"# + "\n"
        let text = text(registry)
        #expect(text == expected)
    }

    static let numbers: [(Double, String)] = [
        (0, "0"), (-0.5, "-0.5"), (1e14, "100000000000000"), (1e15, "1000000000000000"), (1e21, "1e+21"), (0.1, "0.1"),
        (Double.infinity, "+Inf"),
        (-Double.infinity, "-Inf"), (Double.nan, "NaN"), (-7, "-7"),
    ]

    @Test(arguments: PrometheusTextTests.numbers)
    func `a number writes as Prometheus reads it`(number: Double, expected: String) {
        let registry = MetricsRegistry()
        registry.gauge("g", "G").set(number)
        let text = text(registry)
        #expect(text == "# HELP g G\n# TYPE g gauge\ng \(expected)\n")
    }

    @Test func `a histogram without labels names only its bounds, and an empty one is all zeros`() {
        let registry = MetricsRegistry()
        _ = registry.histogram("h", "H", scale: .bounds([1]))
        let expected = "# HELP h H\n# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"
        let text = text(registry)
        #expect(text == expected)
    }

    @Test func `no metrics are no text`() {
        #expect(PrometheusText.render([]).isEmpty)
        #expect(PrometheusText.render([], as: .openMetrics) == Array("# EOF\n".utf8))
        #expect(PrometheusText.Format.prometheus.contentType == "text/plain; version=0.0.4; charset=utf-8")
    }

    /// OpenMetrics 1.0: the unit, times of creation, exemplars, bounds in canonical spelling, and the end.
    @Test func `the golden OpenMetrics text stays`() throws {
        let clock = TestClock()
        let registry = MetricsRegistry(clock: clock)
        let created = String(Double(clock.wall.milliseconds) / 1000).replacing(/\.0$/, with: "")
        registry.counter("distric_runs_total", "Runs \"ended\"", ["state": "done"]).increment(by: 12)
        registry.gauge("distric_depth", "Tasks that wait").set(2.5)
        registry.summary("distric_group_entries", "Entries").observe(3)
        let wait = registry.histogram("distric_wait_seconds", "Time", scale: .latency)
        let trace = try #require(TraceContext(traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        wait.observe(.microseconds(100), in: trace)
        let text = text(registry, .openMetrics)
        #expect(text.contains("# HELP distric_runs Runs \\\"ended\\\"\n# TYPE distric_runs counter\n"))
        #expect(text.contains("distric_runs_total{state=\"done\"} 12\ndistric_runs_created{state=\"done\"} \(created)\n"))
        #expect(text.contains("# TYPE distric_wait_seconds histogram\n# UNIT distric_wait_seconds seconds\n"))
        #expect(text.contains("le=\"6.5536e-05\"} 0\n"))
        #expect(text.contains("le=\"0.000131072\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.0001\n"))
        #expect(text.contains("distric_wait_seconds_created \(created)\n"))
        #expect(text.contains("distric_group_entries{quantile=\"0.5\"} 3\n"))
        #expect(text.contains("distric_depth 2.5\n"))
        #expect(!text.contains("distric_depth_created"))
        #expect(text.hasSuffix("\n# EOF\n"))
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("distric_wait_seconds_bucket") }.count == 20)
    }

    @Test func `bounds that are whole have a point in OpenMetrics alone`() {
        let registry = MetricsRegistry()
        _ = registry.histogram("h", "H", scale: .bounds([1]))
        #expect(text(registry, .openMetrics).contains("h_bucket{le=\"1.0\"} 0\n"))
        #expect(text(registry).contains("h_bucket{le=\"1\"} 0\n"))
    }

    /// What Prometheus 2.42 sends, browsers, curl, and headers that are none.
    static let accepts: [(String?, PrometheusText.Format)] = [
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            .openMetrics
        ),
        (nil, .prometheus), ("", .prometheus), ("text/plain", .prometheus),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", .prometheus),
        ("application/openmetrics-text;q=0", .prometheus), ("APPLICATION/OpenMetrics-Text", .openMetrics), (";;;,,q=", .prometheus),
        ("text/html,application/xhtml+xml,application/xml;q=0.9", .prometheus),
    ]

    @Test(arguments: PrometheusTextTests.accepts)
    func `the scraper chooses`(accept: String?, format: PrometheusText.Format) {
        #expect(PrometheusText.Format(accept: accept) == format)
    }
}
