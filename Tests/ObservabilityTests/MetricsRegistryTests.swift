import Primitives
import Testing

@testable import Observability

/// Counters only grow, gauges move, histograms count by size (MetricsRegistry.swift).
struct MetricsRegistryTests {
    private func labelValues(_ series: MetricsRegistry.Series) -> [String] { series.labels.map { $0.value } }

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
        #expect(histogram.cumulative == [3, 4, 5, 6])
        #expect(histogram.count == UInt64(6))
        #expect(histogram.sum == 13.0)
    }

    @Test func `a histogram without bounds counts everything in one`() {
        let histogram = Histogram(bounds: [])
        histogram.observe(1)
        histogram.observe(1e9)
        #expect(histogram.cumulative == [2])
    }

    @Test func `a duration is observed in seconds`() {
        let histogram = Histogram()
        histogram.observe(.milliseconds(250))
        #expect(histogram.sum == 0.25)
        #expect(histogram.bounds == Histogram.latencyBounds)
        let below = histogram.bounds.filter { $0 < 0.25 }.count
        #expect(histogram.cumulative[below] == UInt64(1))
        #expect(histogram.cumulative[..<below].allSatisfy { $0 == 0 })
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
        #expect(histogram.cumulative == [15_000, 30_000, 40_000])
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
}
