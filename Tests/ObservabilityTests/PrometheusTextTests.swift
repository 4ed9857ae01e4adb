import Primitives
import Testing

@testable import Observability

/// The Prometheus text exposition format, version 0.0.4.
struct PrometheusTextTests {
    @Test func `the golden text stays`() {
        let registry = MetricsRegistry()
        registry.counter("distric_runs_total", "Runs that ended", ["namespace": "default", "state": "done"]).increment(by: 12)
        registry.counter("distric_runs_total", "Runs that ended", ["namespace": "default", "state": "failed"]).increment()
        registry.gauge("distric_queue_depth", "Tasks that wait").set(2.5)
        let wait = registry.histogram("distric_wait_seconds", "Time in a queue", ["queue": "a"], bounds: [0.1, 1, 2.5])
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
        let text = PrometheusText.render(registry.snapshot)
        #expect(text == expected)
    }

    @Test func `backslashes and line ends are escaped in help, quotes too in labels`() {
        let registry = MetricsRegistry()
        registry.counter("a_total", "A \"quoted\" \\ path\nof two lines", ["path": "C:\\\"x\"\né"]).increment()
        let expected =
            #"# HELP a_total A "quoted" \\ path\nof two lines"# + "\n# TYPE a_total counter\n" + #"a_total{path="C:\\\"x\"\né"} 1"# + "\n"
        let text = PrometheusText.render(registry.snapshot)
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
        let text = PrometheusText.render(registry.snapshot)
        #expect(text == "# HELP g G\n# TYPE g gauge\ng \(expected)\n")
    }

    @Test func `a histogram without labels names only its bounds, and an empty one is all zeros`() {
        let registry = MetricsRegistry()
        _ = registry.histogram("h", "H", bounds: [1])
        let expected = "# HELP h H\n# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"
        let text = PrometheusText.render(registry.snapshot)
        #expect(text == expected)
    }

    @Test func `no metrics are no text`() {
        #expect(PrometheusText.render([]).isEmpty)
        #expect(PrometheusText.contentType == "text/plain; version=0.0.4; charset=utf-8")
    }
}
