import Observability
import Primitives
import Rules
import Testing
import Text

@testable import Coordinator

/// What every rule was asked and answered (RuleStatistics.swift).
struct RuleStatisticsTests {
    private let statistics = RuleStatistics(MetricsRegistry())
    private let wall = ClusterTime(milliseconds: 1_700_000_000_000)

    /// The set `rules` with the rules `a` and `b`.
    private func compiled() throws -> RuleCatalog.CompiledSet {
        let value = try JSONScanner.parse(ruleSetText("[\(ruleText("a", starts: "w")), \(ruleText("b", starts: "w"))]"))
        let read = RuleSet(value, namespace: .default, problems: Shape.Problems())
        let set = try #require(read)
        let compiled = try #require(RuleCatalog([set]).sets(in: .default).first)
        try #require(compiled.qualified == ["rules/a", "rules/b"])
        return compiled
    }

    private func note(
        _ set: RuleCatalog.CompiledSet, _ matched: [Int] = [], namespace: Namespace = .default, took: Duration? = nil, after: UInt64 = 0
    ) {
        let time = ClusterTime(milliseconds: wall.milliseconds + after)
        statistics.note(set, namespace: namespace, matched: matched, at: time, took: took)
    }

    private func entry(_ rule: String, namespace: Namespace = .default) -> RuleStatistics.Entry {
        statistics.entry(set: "rules", rule: rule, namespace: namespace)
    }

    // MARK: Counts

    @Test func `a rule that was never asked has nothing`() {
        #expect(entry("a") == RuleStatistics.Entry())
    }

    @Test func `every rule of a set is asked with it, and each hit is its own`() throws {
        let set = try compiled()
        note(set, [0], after: 1)
        note(set, [0, 1], after: 2)
        note(set, [], after: 3)
        note(set, [0], after: 4)
        let (a, b) = (entry("a"), entry("b"))
        #expect([a.evaluations, b.evaluations] == [4, 4])
        #expect([a.hits, b.hits] == [3, 1])
        #expect(a.lastHit == ClusterTime(milliseconds: wall.milliseconds + 4))
        #expect(b.lastHit == ClusterTime(milliseconds: wall.milliseconds + 2))
        #expect(a.errors == 0 && b.errors == 0)
    }

    @Test func `errors are counted beside hits`() throws {
        let set = try compiled()
        note(set, [0])
        statistics.noteError("rules/a", namespace: .default)
        statistics.noteError("rules/b", namespace: .default)
        statistics.noteError("rules/a", namespace: .default)
        #expect([entry("a").errors, entry("b").errors] == [2, 1])
        #expect([entry("a").hits, entry("b").hits] == [1, 0])
    }

    @Test func `namespaces are counted apart`() throws {
        let set = try compiled()
        let shop = try Namespace("shop")
        note(set, [0])
        note(set, [0, 1], namespace: shop)
        note(set, [], namespace: shop)
        #expect([entry("a").evaluations, entry("a", namespace: shop).evaluations] == [1, 2])
        #expect([entry("b").hits, entry("b", namespace: shop).hits] == [0, 1])
        #expect(entry("a", namespace: try Namespace("bank")) == RuleStatistics.Entry())
    }

    // MARK: Rates

    @Test func `rates are of the last ten seconds, and each second's hits are kept`() throws {
        let set = try compiled()
        for second in 0..<15 {
            for message in 0..<5 { note(set, message < second % 4 ? [0] : []) }
            statistics.sample()
        }
        let entry = entry("a")
        #expect(entry.evaluations == 75)
        #expect(entry.evaluationRate == 5)
        let last: [Double] = [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
        #expect(Array(entry.hitsBySecond.suffix(10)) == last)
        #expect(entry.hitRate == 1.5)
        for _ in 0..<11 { statistics.sample() }
        let quiet = self.entry("a")
        #expect(quiet.evaluationRate == 0 && quiet.hitRate == 0)
        #expect(quiet.evaluations == 75)
        #expect(Array(quiet.hitsBySecond.suffix(3)) == [0, 0, 0])
    }

    @Test func `before a second has passed there is no rate`() throws {
        let set = try compiled()
        note(set, [0])
        #expect(entry("a").evaluationRate == 0)
        #expect(entry("a").hitRate == 0)
        #expect(entry("a").hitsBySecond.isEmpty)
    }

    @Test func `a rule's first hits are in its rate like all others`() throws {
        let set = try compiled()
        for _ in 0..<20 {
            note(set)
            statistics.sample()
        }
        for _ in 0..<4 { note(set, [1]) }
        statistics.sample()
        let entry = entry("b")
        #expect(entry.hits == 4)
        #expect(entry.hitsBySecond.reduce(0, +) == 4)
        #expect(entry.hitRate > 0)
        #expect(self.entry("a").hitRate == 0)
    }

    @Test func `a minute of seconds is kept`() throws {
        let set = try compiled()
        for _ in 0..<200 {
            note(set, [0])
            statistics.sample()
        }
        #expect(entry("a").hitsBySecond == [Double](repeating: 1, count: 60))
        #expect(entry("a").hits == 200)
    }

    @Test func `a rule never has more hits than its set has evaluations, however late its first one comes`() throws {
        let set = try compiled()
        for _ in 0..<30 { statistics.sample() }
        note(set, [0])
        statistics.sample()
        #expect(entry("a").evaluationRate == entry("a").hitRate)
        #expect(entry("a").hitRate > 0)
        for _ in 0..<30 { statistics.sample() }
        note(set, [1])
        statistics.sample()
        #expect(entry("b").hitRate == 0.1 && entry("b").evaluationRate == 0.1)
    }

    @Test func `the busiest rules come first, and rules out of force are forgotten`() throws {
        let set = try compiled()
        note(set, [1])
        note(set, [0, 1])
        let names = ["rules/c", "rules/a", "rules/b", "rules/d"].map { (namespace: Namespace.default, name: $0) }
        #expect(statistics.busiest(2, of: names) == [2, 1])
        #expect(statistics.busiest(9, of: names) == [2, 1, 0, 3])
        statistics.keep([])
        #expect(entry("b").hits == 0 && entry("b").evaluations == 0)
    }

    // MARK: Time

    @Test func `the time of a message is averaged over the last ones that were timed`() throws {
        let set = try compiled()
        note(set, [0])
        #expect(entry("a").latency == nil)
        note(set, took: .nanoseconds(80))
        #expect(entry("a").latency == .nanoseconds(80))
        note(set, took: .nanoseconds(160))
        #expect(entry("a").latency == .nanoseconds(90))
        note(set)
        #expect(entry("a").latency == .nanoseconds(90))
        for _ in 0..<200 { note(set, took: .microseconds(3)) }
        let latency = try #require(entry("b").latency)
        #expect(latency > .nanoseconds(2900) && latency <= .microseconds(3))
    }

    @Test func `one message of sixteen is timed`() {
        let timed = (0..<1600).filter { _ in statistics.isTimed() }
        #expect(timed.count == 100)
        #expect(zip(timed, timed.dropFirst()).allSatisfy { $1 - $0 == 16 })
    }

    @Test func `eight threads at once lose no count`() async throws {
        let set = try compiled()
        let statistics = statistics
        let wall = wall
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for _ in 0..<500 { statistics.note(set, namespace: .default, matched: [writer % 2], at: wall, took: .nanoseconds(8)) }
                    statistics.sample()
                }
            }
        }
        #expect(entry("a").evaluations == 4000)
        #expect(entry("a").hits == 2000 && entry("b").hits == 2000)
    }
}
