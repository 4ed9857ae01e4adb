import CoreMetrics
import Primitives
import Testing

@testable import Observability

/// Buckets of 32 an octave (Scale.swift), what is told of them (Distribution.swift), and what libraries report (LibraryMetrics.swift).
struct HistogramTests {
    private func distribution(_ numbers: [Double], _ scale: Scale) -> Distribution {
        let histogram = Histogram(scale: scale)
        for number in numbers { histogram.observe(number) }
        return histogram.distribution
    }

    @Test func `every number of units falls in the cell whose top holds it`() {
        var generator = SeededGenerator(seed: 11)
        var numbers: [UInt64] = Array(0...300) + (0...50).flatMap { [(UInt64(1) << $0) - 1, UInt64(1) << $0, (UInt64(1) << $0) + 1] }
        numbers += (0..<10_000).map { _ in generator.next() >> UInt64(generator.next() % 50 + 14) }
        for number in numbers where number <= 1 << 50 {
            let cell = Scale.cell(of: number)
            #expect(cell < Scale.logLinearCells)
            #expect(number <= Scale.top(of: cell), "\(number)")
            if cell > 0 { #expect(number > Scale.top(of: cell - 1), "\(number)") }
        }
        #expect(Scale.cell(of: .max) == Scale.logLinearCells - 1)
        #expect(Scale.top(of: Scale.logLinearCells - 1) == 1 << 50)
    }

    @Test func `any quantile is within two percent`() throws {
        var generator = SeededGenerator(seed: 3)
        // From a microsecond to a minute, as many in each octave.
        var seconds = (0..<20_000).map { _ in
            let octave = Int64(1) << Int64(generator.next() % 26 + 10)
            return Double(octave + Int64(generator.next() % UInt64(octave))) / 1e9
        }
        let found = distribution(seconds, .latency)
        seconds.sort()
        for share in [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1] {
            let exact = seconds[max(0, Int((share * Double(seconds.count)).rounded(.up)) - 1)]
            let quantile = try #require(found.quantile(share))
            #expect(abs(quantile - exact) <= exact * 0.02, "p\(share): \(quantile) for \(exact)")
        }
    }

    @Test func `what is exposed holds exactly what its bound says`() {
        let bound = 65_536e-9
        let found = distribution([bound, bound + 1e-9, bound * 2, 0, 1000], .latency)
        let exposed = found.cumulative
        #expect(exposed.count == 20)
        #expect(exposed[0].bound == bound)
        #expect(exposed.map { $0.count } == [2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5])
        #expect(exposed[19].bound == .infinity)
    }

    static let scales: [Scale] = [.latency, .quick, .counts, .bounds([1, 2]), .bounds([])]

    @Test(arguments: HistogramTests.scales)
    func `no scale exposes more than twenty buckets, and numbers that are none do not trap`(scale: Scale) {
        let found = distribution([.nan, -.infinity, .infinity, -1, 0, .greatestFiniteMagnitude], scale)
        #expect(found.count == 6)
        #expect(found.cumulative.count <= 20)
        #expect(found.cumulative.last?.count == 6)
    }

    @Test func `a time is observed in seconds, whatever the scale`() {
        for scale in [Scale.latency, .bounds([0.1, 1])] {
            let histogram = Histogram(scale: scale)
            histogram.observe(.milliseconds(250))
            histogram.observe(nanoseconds: 500_000_000)
            histogram.observe(.seconds(-1))
            #expect(histogram.count == 3)
            #expect(histogram.sum == (scale == .latency ? 0.75 : -0.25))
        }
    }

    /// Shares with cumulative counts under the bounds 1, 2 and 5, and what they give.
    private static let quantiles: [(share: Double, cells: [UInt64], expected: Double)] = [
        (0.5, [10, 0, 0, 0], 0.5), (0.99, [10, 0, 0, 0], 0.99), (0.5, [0, 10, 0, 0], 1.5), (0.25, [4, 4, 0, 0], 0.5),
        (0.75, [4, 4, 0, 0], 1.5), (0.5, [2, 1, 1, 0], 1), (0.99, [2, 1, 1, 0], 4.88), (0.5, [0, 0, 0, 7], 5),
        (0.5, [99, 0, 0, 1], 50.0 / 99), (0.995, [99, 0, 0, 1], 5), (1, [1, 1, 2, 0], 5),
    ]

    @Test func `under bounds a quantile lies as a straight line would have it`() throws {
        for (share, cells, expected) in Self.quantiles {
            let found = Distribution(scale: .bounds([1, 2, 5]), cells: cells, sum: 0).quantile(share)
            let quantile = try #require(found)
            #expect(abs(quantile - expected) < 1e-9, "\(share) of \(cells) is \(quantile)")
        }
    }

    @Test func `without observations, or without bounds, there is no quantile`() {
        #expect(distribution([], .latency).quantile(0.5) == nil)
        #expect(distribution([], .bounds([1, 2])).quantile(0.5) == nil)
        #expect(distribution([5], .bounds([])).quantile(0.5) == nil)
    }

    @Test func `what came in since is told apart, and all of it when nothing did`() throws {
        let histogram = Histogram(scale: .counts)
        for number in [1.0, 1, 1, 1000] { histogram.observe(number) }
        let before = histogram.distribution
        #expect(before.since(before) == before)
        for number in [50.0, 60, 70] { histogram.observe(number) }
        let lately = histogram.distribution.since(before)
        #expect(lately.count == 3)
        #expect(lately.sum == 180)
        let middle = try #require(lately.quantile(0.5))
        #expect(abs(middle - 60) < 1.2)
        #expect(histogram.distribution.since(nil).count == 7)
    }

    @Test func `an exemplar is kept for sampled traces only, the newest of each bucket`() throws {
        let histogram = Histogram(scale: .latency)
        var trace = try #require(TraceContext(traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"))
        histogram.observe(.milliseconds(1), in: trace)
        histogram.observe(.milliseconds(1), in: nil)
        #expect(histogram.latestExemplars.allSatisfy { $0 == nil })
        trace.isSampled = true
        histogram.observe(.milliseconds(1), in: trace)
        histogram.observe(.microseconds(1_010), in: trace)
        let kept = histogram.latestExemplars.compactMap { $0 }
        #expect(kept == [Histogram.Exemplar(traceHigh: 0x0AF7_6519_16CD_43DD, traceLow: 0x8448_EB21_1C80_319C, value: 0.00101)])
        #expect(kept.map(\.traceID) == ["0af7651916cd43dd8448eb211c80319c"])
        #expect(histogram.count == 4)
    }

    @Test func `a summary tells the quantiles of the last minute`() throws {
        let summary = Summary(scale: .counts)
        #expect(summary.quantiles == [nil, nil, nil])
        for number in 1...100 { summary.observe(Double(number)) }
        let quantiles = summary.quantiles.compactMap { $0 }
        for (found, exact) in zip(quantiles, [50.0, 90, 99]) { #expect(abs(found - exact) <= exact * 0.02) }
        for _ in 0..<12 { summary.turn() }
        #expect(summary.quantiles == [nil, nil, nil])
        summary.observe(7)
        #expect(summary.quantiles == [7, 7, 7])
        #expect(summary.distribution.count == 101)
    }

    @Test func `what libraries report is in the same registry`() {
        let registry = MetricsRegistry()
        let factory = LibraryMetrics(registry: registry)
        let counter = CoreMetrics.Counter(label: "http.requests", dimensions: [("code", "200\"\n")], factory: factory)
        counter.increment(by: 3)
        counter.increment(by: -9)
        counter.reset()
        CoreMetrics.Meter(label: "pool.size", dimensions: [], factory: factory).set(4)
        CoreMetrics.Recorder(label: "body.bytes", dimensions: [], aggregate: true, factory: factory).record(0.012)
        CoreMetrics.Gauge(label: "level", dimensions: [], factory: factory).record(2.5)
        CoreMetrics.Timer(label: "call", dimensions: [], preferredDisplayUnit: .milliseconds, factory: factory).recordMilliseconds(250)
        // The same name with another type neither traps nor mixes.
        CoreMetrics.Gauge(label: "http.requests_total", dimensions: [], factory: factory).record(99)
        let text = String(decoding: PrometheusText.render(registry.snapshot), as: UTF8.self)
        #expect(text.contains("http_requests_total{code=\"200\\\"\\n\"} 3\n"))
        #expect(text.contains("pool_size 4\n"))
        #expect(text.contains("body_bytes{quantile=\"0.99\"} 0.012\n"))
        #expect(text.contains("level 2.5\n"))
        #expect(text.contains("call_seconds_sum 0.25\n"))
        #expect(registry.conflicted.count == 1)
    }

    @Test func `gzip is read back, and refused when it is damaged or too large`() throws {
        let text = Array(String(repeating: "distric_runs_total 1\n", count: 5000).utf8)
        let packed = Gzip.pack(text)
        #expect(packed.count < text.count / 20)
        #expect(Array(packed.prefix(2)) == [0x1F, 0x8B])
        let back = try Gzip.unpack(packed, limit: text.count)
        #expect(back == text)
        #expect(try Gzip.unpack(Gzip.pack([]), limit: 0).isEmpty)
        #expect(throws: Gzip.Failure.tooLarge(limit: 99)) { try Gzip.unpack(packed, limit: 99) }
        #expect(throws: Gzip.Failure.damaged) { try Gzip.unpack(Array(packed.dropLast(9)), limit: text.count) }
        #expect(throws: Gzip.Failure.damaged) { try Gzip.unpack(text, limit: text.count) }
        #expect(throws: Gzip.Failure.damaged) { try Gzip.unpack([], limit: 1) }
    }
}
