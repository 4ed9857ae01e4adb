import Primitives
import Testing

@testable import Observability

/// The last five minutes of every metric, a value a second (MetricsHistory.swift).
struct MetricsHistoryTests {
    private let registry = MetricsRegistry()
    private let history: MetricsHistory

    init() { history = MetricsHistory(registry: registry) }

    private func row(_ id: String, points: Int = 1000) throws -> MetricsHistory.Row {
        let found = history.rows(points: points).first { $0.id == id }
        return try #require(found, "no series \(id)")
    }

    private func pass(_ seconds: Int) { for _ in 0..<seconds { history.sample() } }

    // MARK: Counters and gauges

    @Test func `a counter shows its total, how it grew each second, and the mean of that`() throws {
        let counter = registry.counter("runs_total", "Runs.")
        pass(1)
        for growth in [5, 3, 0, 4] {
            counter.increment(by: growth)
            pass(1)
        }
        let row = try row("runs_total")
        #expect(row.kind == .counter && row.help == "Runs." && row.name == "runs_total")
        #expect(row.value == 12)
        #expect(row.recent == [5, 3, 0, 4])
        #expect(row.rate == 3)
        #expect(row.p50 == nil && row.p99 == nil)
        counter.increment(by: 8)
        let now = try self.row("runs_total")
        #expect(now.value == 20)
        #expect(now.rate == 3)
    }

    @Test func `a rate is of the last ten seconds`() throws {
        let counter = registry.counter("runs_total", "Runs.")
        pass(1)
        counter.increment(by: 1000)
        pass(1)
        for growth in 1...10 {
            counter.increment(by: growth)
            pass(1)
        }
        let rate = try row("runs_total").rate
        #expect(rate == 5.5)
        pass(10)
        let quiet = try row("runs_total").rate
        #expect(quiet == 0)
    }

    @Test func `before two seconds have passed there is no growth to tell of`() throws {
        registry.counter("runs_total", "Runs.").increment(by: 7)
        for _ in 0..<2 {
            let row = try row("runs_total")
            #expect(row.value == 7)
            #expect(row.rate == 0)
            #expect(row.recent.isEmpty)
            pass(1)
        }
    }

    @Test func `a gauge shows its value now and each second's, and has no rate`() throws {
        let gauge = registry.gauge("depth", "Depth.")
        for number in [1, 5, -2.5] {
            gauge.set(number)
            pass(1)
        }
        gauge.set(9)
        let row = try row("depth")
        #expect(row.kind == .gauge)
        #expect(row.value == 9)
        #expect(row.recent == [1, 5, -2.5])
        #expect(row.rate == nil && row.p50 == nil)
    }

    @Test func `what is computed is read each second, and a counter that falls has not grown`() throws {
        let source = registry.gauge("source", "What the others are read from.")
        registry.computed(.gauge, "level", "Level.") { source.number * 2 }
        registry.computed(.counter, "sum_total", "Sum.") { source.number }
        for number in [3.0, 10, 4, 6] {
            source.set(number)
            pass(1)
        }
        let (level, sum) = (try row("level"), try row("sum_total"))
        #expect(level.recent == [6, 20, 8, 12])
        #expect(level.rate == nil)
        #expect(sum.recent == [7, 0, 2])
        #expect(sum.rate == 3)
        #expect(sum.value == 6)
    }

    // MARK: Quantiles

    @Test func `a histogram shows how many it observed and its quantiles`() throws {
        let histogram = registry.histogram("wait", "Wait.", scale: .bounds([1, 2, 5]))
        let empty = try row("wait")
        #expect(empty.p50 == nil && empty.p99 == nil && empty.value == 0)
        pass(1)
        for number in [0.5, 0.6, 1.5, 3] { histogram.observe(number) }
        pass(1)
        let full = try row("wait")
        #expect(full.kind == .histogram)
        #expect(full.value == 4)
        #expect(full.recent == [4])
        #expect(full.rate == 4)
        #expect(full.p50 == 1)
        let p99 = try #require(full.p99)
        #expect(abs(p99 - 4.88) < 1e-9)
    }

    @Test func `quantiles are of the last minute when it brought any, else of all`() throws {
        let histogram = registry.histogram("wait", "Wait.", scale: .bounds([1, 2, 5]))
        for _ in 0..<100 { histogram.observe(0.5) }
        pass(1)
        for _ in 0..<100 { histogram.observe(4) }
        pass(70)
        // Nothing came lately: all two hundred count.
        let all = try row("wait")
        #expect(all.p50 == 1)
        for _ in 0..<4 { histogram.observe(1.5) }
        let lately = try row("wait")
        #expect(lately.p50 == 1.5)
        let least = try #require(lately.p99)
        #expect(least < 2)
        #expect(lately.value == 204)
        pass(70)
        let later = try row("wait")
        #expect(later.recent.suffix(70).reduce(0, +) == 4)
        let most = try #require(later.p99)
        #expect(most > 4)
    }

    // MARK: Bounds

    @Test func `five minutes are kept, and no more points than are asked for`() throws {
        let counter = registry.counter("runs_total", "Runs.")
        let gauge = registry.gauge("depth", "Depth.")
        for second in 1...(2 * MetricsHistory.seconds) {
            counter.increment(by: 2)
            gauge.set(second)
            pass(1)
        }
        #expect(try row("runs_total").recent == [Double](repeating: 2, count: MetricsHistory.seconds))
        let depths = try row("depth").recent
        #expect((MetricsHistory.seconds...MetricsHistory.seconds + 1).contains(depths.count))
        #expect(depths.last == Double(2 * MetricsHistory.seconds))
        for points in [0, 1, 60] {
            #expect(try row("runs_total", points: points).recent.count == points)
            let last = Array(depths.suffix(points))
            #expect(try row("depth", points: points).recent == last)
        }
    }

    // MARK: Series

    @Test func `a series that appears later begins with its own first second`() throws {
        let early = registry.counter("hits_total", "Hits.", ["path": "a"])
        pass(20)
        early.increment(by: 6)
        let late = registry.counter("hits_total", "Hits.", ["path": "b"])
        let other = registry.gauge("another", "Another.")
        other.set(3)
        pass(1)
        late.increment(by: 4)
        pass(1)
        let (first, second) = (try row("hits_total{path=\"a\"}"), try row("hits_total{path=\"b\"}"))
        #expect(first.recent.count == 21 && Array(first.recent.suffix(2)) == [6, 0])
        #expect(second.recent == [4])
        #expect(second.rate == 4)
        #expect(try row("another").recent == [3, 3])
    }

    @Test func `series of one name are told apart by their labels, and come as the registry has them`() throws {
        registry.counter("b_total", "B.", ["x": "1", "y": "é\"q"]).increment(by: 1)
        registry.counter("b_total", "B.", ["x": "2", "y": ""]).increment(by: 2)
        _ = registry.gauge("a", "A.")
        pass(1)
        let rows = history.rows(points: 5)
        #expect(rows.map(\.id) == ["a", "b_total{x=\"1\",y=\"é\"q\"}", "b_total{x=\"2\",y=\"\"}"])
        #expect(rows.map(\.value) == [0, 1, 2])
        #expect(rows.map { row in row.labels.map { $0.name } } == [[], ["x", "y"], ["x", "y"]])
    }

    @Test func `sampling and reading at once is no harm`() async {
        let counter = registry.counter("runs_total", "Runs.")
        let history = history
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<200 {
                        counter.increment()
                        history.sample()
                    }
                }
                group.addTask {
                    for _ in 0..<200 {
                        let rows = history.rows(points: 10)
                        #expect(rows.count == 1 && rows[0].recent.count <= 10)
                    }
                }
            }
        }
        let last = history.rows(points: 1000).first
        #expect(last?.value == 800)
        #expect(last?.recent.count == MetricsHistory.seconds)
    }
}
