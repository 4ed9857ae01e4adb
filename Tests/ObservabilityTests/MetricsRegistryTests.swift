import Primitives
import Testing

@testable import Observability

/// Counters only grow, gauges move, histograms count by size (MetricsRegistry.swift).
struct MetricsRegistryTests {
    private func labelValues(_ series: MetricsRegistry.Series) -> [String] { series.labels.map { $0.value } }

    private func counts(_ histogram: Histogram) -> [UInt64] { histogram.distribution.cumulative.map { $0.count } }

    @Test func `a counter only grows`() {
        let counter = Counter()
        counter.increment()
        counter.increment(by: 41)
        counter.increment(by: -7)
        counter.increment(by: 0)
        #expect(counter.count == UInt64(42))
    }

    @Test func `a gauge holds what it was last set to`() {
        let gauge = Gauge()
        #expect(gauge.number == 0.0)
        gauge.set(2.5)
        #expect(gauge.number == 2.5)
        gauge.set(-3 as Int)
        #expect(gauge.number == -3.0)
    }

    @Test func `an observation counts at the first bound that holds it`() {
        let histogram = Histogram(bounds: [1, 2, 5])
        for number in [0.5, 1, 1.5, 5, 6, -1] { histogram.observe(number) }
        #expect(counts(histogram) == [3, 4, 5, 6])
        #expect(histogram.count == UInt64(6))
        #expect(histogram.sum == 13.0)
    }

    @Test func `a histogram without bounds counts everything in one`() {
        let histogram = Histogram(bounds: [])
        histogram.observe(1)
        histogram.observe(1e9)
        #expect(counts(histogram) == [2])
    }

    @Test func `eight writers at once lose nothing`() async {
        let (counter, histogram) = (Counter(), Histogram(bounds: [0.5, 1.5]))
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for _ in 0..<5000 {
                        counter.increment()
                        histogram.observe(Double(writer % 3))
                    }
                }
            }
        }
        #expect(counter.count == UInt64(40_000))
        #expect(histogram.count == UInt64(40_000))
        #expect(counts(histogram) == [15_000, 30_000, 40_000])
        #expect(histogram.sum == 35_000.0)
    }

    @Test func `the same name and labels are the same metric`() {
        let registry = MetricsRegistry()
        let first = registry.counter("runs_total", "Runs", ["state": "done"])
        first.increment()
        let same = registry.counter("runs_total", "Runs", ["state": "done"])
        let other = registry.counter("runs_total", "Runs", ["state": "failed"])
        #expect(same === first)
        #expect(other !== first)
        let (gauge, sameGauge) = (registry.gauge("depth", "Depth"), registry.gauge("depth", "Depth"))
        let (histogram, sameHistogram) = (registry.histogram("wait", "Wait"), registry.histogram("wait", "Wait"))
        #expect(gauge === sameGauge)
        #expect(histogram === sameHistogram)
    }

    @Test func `families come by name, their series as they were made`() {
        let registry = MetricsRegistry()
        _ = registry.gauge("b", "B")
        _ = registry.counter("a", "A", ["x": "2"])
        _ = registry.counter("a", "A", ["x": "1"])
        registry.computed(.gauge, "c", "C") { 7 }
        let families = registry.snapshot
        #expect(families.map(\.name) == ["a", "b", "c"])
        #expect(families.map(\.kind) == [MetricsRegistry.Kind.counter, .gauge, .gauge])
        let labels = families[0].series.map(labelValues)
        #expect(labels == [["2"], ["1"]])
    }

    @Test func `beyond the limit all further label values share one series named other`() {
        let registry = MetricsRegistry()
        for number in 0..<300 { registry.counter("hits_total", "Hits", ["path": "/\(number)"]).increment() }
        let series = registry.snapshot[0].series
        #expect(series.count == MetricsRegistry.seriesLimit + 1)
        #expect(labelValues(series[0]) == ["/0"])
        #expect(labelValues(series[MetricsRegistry.seriesLimit]) == ["other"])
        guard case .counter(let rest) = series[MetricsRegistry.seriesLimit].instrument else {
            Issue.record("the last series is no counter")
            return
        }
        #expect(rest.count == UInt64(300 - MetricsRegistry.seriesLimit))
        let another = registry.counter("other_total", "Another family", ["path": "/300"])
        #expect(another !== rest)
    }

    @Test func `beyond the limit a series that was made before is still found`() {
        let registry = MetricsRegistry()
        let early = registry.counter("hits_total", "Hits", ["path": "/0"])
        for number in 1..<300 { _ = registry.counter("hits_total", "Hits", ["path": "/\(number)"]) }
        let again = registry.counter("hits_total", "Hits", ["path": "/0"])
        #expect(again === early)
    }

    @Test func `what goes to other is counted`() {
        let registry = MetricsRegistry()
        for number in 0..<MetricsRegistry.seriesLimit + 5 { _ = registry.counter("hits_total", "Hits", ["path": "/\(number)"]) }
        #expect(registry.overflowed.count == 5)
        #expect(registry.seriesCount == MetricsRegistry.seriesLimit + 1)
    }

    @Test func `a name asked for with another type counts apart and is told`() {
        let registry = MetricsRegistry()
        let hits = registry.counter("hits", "Hits")
        let gauge = registry.gauge("hits", "Hits")
        gauge.set(7)
        _ = registry.histogram("hits", "Hits")
        _ = registry.summary("hits", "Hits")
        registry.computed(.gauge, "hits", "Hits") { 9 }
        registry.computed(.counter, "read", "Read") { 1 }
        registry.counter("read", "Read").increment(by: 3)
        hits.increment()
        #expect(registry.conflicted.count == 5)
        #expect(
            registry.conflicts == [
                "hits is a counter, not a gauge", "hits is a counter, not a histogram", "hits is a counter, not a summary",
                "read is read when asked for",
            ])
        let text = String(decoding: PrometheusText.render(registry.snapshot), as: UTF8.self)
        #expect(text == "# HELP hits Hits\n# TYPE hits counter\nhits 1\n# HELP read Read\n# TYPE read counter\nread 1\n")
    }

    static let names: [(String, String)] = [
        ("http.requests", "http_requests"), ("9lives", "_9lives"), ("", "_"), ("a:b_C9", "a:b_C9"), ("größe", "gr____e"), ("a b\n", "a_b_"),
    ]

    @Test(arguments: MetricsRegistryTests.names)
    func `names that Prometheus would refuse are made valid`(name: String, expected: String) {
        let registry = MetricsRegistry()
        _ = registry.counter(name, "N", labels: [("le", "1"), ("a:b", "2"), ("__name__", "3")])
        let family = registry.snapshot[0]
        #expect(family.name == expected)
        #expect(family.series[0].labels.map { $0.name } == ["x_le", "a_b", "x___name__"])
        #expect(registry.counter(name, "N", labels: [("le", "1"), ("a:b", "2"), ("__name__", "3")]).count == 0)
        #expect(registry.seriesCount == 1)
    }

    @Test func `eight threads that ask for the same series get one`() async {
        let registry = MetricsRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for place in 0..<500 { registry.counter("c_total", "C", ["x": "\(place % 50)"]).increment() } }
            }
        }
        let series = registry.snapshot[0].series
        #expect(series.count == 50)
        for item in series {
            guard case .counter(let counter) = item.instrument else { continue }
            #expect(counter.count == 80)
        }
    }
}
