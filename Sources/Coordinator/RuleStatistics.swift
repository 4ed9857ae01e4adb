package import Observability
package import Primitives
import Rules
import Synchronization

/// What every rule was asked and answered since the node began, with rates over the last ten seconds.
package final class RuleStatistics: Sendable {
    package struct Entry: Equatable, Sendable {
        /// Messages that the rule's set was offered.
        package var evaluations: UInt64 = 0
        package var hits: UInt64 = 0
        /// Matches whose actions could not be prepared.
        package var errors: UInt64 = 0
        package var lastHit: ClusterTime?
        /// Moving average of the time that its set took for a message.
        package var latency: Duration?
        /// Per second, over the last ten.
        package var evaluationRate = 0.0
        package var hitRate = 0.0
        /// Hits a second, oldest first, a value a second.
        package var hitsBySecond: [Double] = []
    }

    /// Of a set, how often it was asked; of a rule (`set/rule`), how often it matched.
    private struct Key: Hashable {
        var namespace: Namespace
        var name: String
    }

    private struct Record {
        var count: UInt64 = 0
        var errors: UInt64 = 0
        var lastHit: ClusterTime?
        var latency: Duration?
        /// The count at the end of each of the last seconds, oldest first.
        var bySecond: [UInt64] = []

        mutating func sample() {
            // What was counted first came within the second before the first sample.
            if bySecond.isEmpty { bySecond = [0] }
            bySecond.append(count)
            if bySecond.count > RuleStatistics.seconds + 1 { bySecond.removeFirst() }
        }

        /// What was added within the last `seconds`; before its first sample there was nothing.
        func added(in seconds: Int) -> UInt64 {
            guard let last = bySecond.last else { return 0 }
            let place = bySecond.count - 1 - seconds
            return last &- (place >= 0 ? bySecond[place] : 0)
        }
    }

    /// Sets and rules that are remembered; beyond it new ones are not counted, and their number is.
    private static let limit = 100_000
    private static let seconds = 60
    private static let rateSeconds = 10

    private let records = Mutex<[Key: Record]>([:])
    private let turn = Atomic<UInt32>(0)
    private let dropped: Counter

    package init(_ metrics: MetricsRegistry) {
        dropped = metrics.counter(
            "distric_rule_statistics_dropped_total", "Evaluations of rules that are not counted since too many rules are.")
    }

    func isTimed() -> Bool { turn.wrappingAdd(1, ordering: .relaxed).newValue % 16 == 0 }

    func note(_ set: RuleCatalog.CompiledSet, namespace: Namespace, matched: [Int], at wall: ClusterTime, took: Duration?) {
        let whole = Key(namespace: namespace, name: set.name)
        let keys = matched.map { Key(namespace: namespace, name: set.qualified[$0]) }
        records.withLock { records in
            change(whole, &records) { record in
                record.count += 1
                guard let took else { return }
                let before = record.latency ?? took
                record.latency = .nanoseconds((before.nanoseconds * 7 + took.nanoseconds) / 8)
            }
            for key in keys {
                change(key, &records) { record in
                    record.count += 1
                    record.lastHit = wall
                }
            }
        }
    }

    func noteError(_ rule: String, namespace: Namespace) {
        let key = Key(namespace: namespace, name: rule)
        records.withLock { change(key, &$0) { $0.errors += 1 } }
    }

    private func change(_ key: Key, _ records: inout [Key: Record], _ body: (inout Record) -> Void) {
        if records.count >= Self.limit, records[key] == nil { return dropped.increment() }
        body(&records[key, default: Record()])
    }

    /// Called once a second: what rates are computed from.
    package func sample() {
        records.withLock { records in for place in records.values.indices { records.values[place].sample() } }
    }

    /// Rules that are no longer in force are forgotten.
    func keep(_ sets: [RuleSet]) {
        var known: Set<Key> = []
        for set in sets {
            known.insert(Key(namespace: set.namespace, name: set.name))
            for rule in set.rules { known.insert(Key(namespace: set.namespace, name: "\(set.name)/\(rule.id)")) }
        }
        records.withLock { $0 = $0.filter { known.contains($0.key) } }
    }

    /// One rule's numbers; its set's stand for the evaluations.
    package func entry(set: String, rule: String, namespace: Namespace) -> Entry {
        let (whole, own) = (Key(namespace: namespace, name: set), Key(namespace: namespace, name: "\(set)/\(rule)"))
        return records.withLock { records in
            let (whole, own) = (records[whole] ?? Record(), records[own] ?? Record())
            // Of both over the same time, so that a rule never has more hits than evaluations.
            let seconds = min(Self.rateSeconds, whole.bySecond.count - 1)
            func rate(_ record: Record) -> Double { seconds > 0 ? Double(record.added(in: seconds)) / Double(seconds) : 0 }
            return Entry(
                evaluations: whole.count, hits: own.count, errors: own.errors, lastHit: own.lastHit, latency: whole.latency,
                evaluationRate: rate(whole), hitRate: rate(own),
                hitsBySecond: zip(own.bySecond, own.bySecond.dropFirst()).map { Double($1 &- $0) })
        }
    }

    /// The places of the rules that matched most often, most first.
    package func busiest(_ count: Int, of rules: [(namespace: Namespace, name: String)]) -> [Int] {
        let hits = records.withLock { records in rules.map { records[Key(namespace: $0.namespace, name: $0.name)]?.count ?? 0 } }
        return Array(rules.indices.sorted { (hits[$1], $0) < (hits[$0], $1) }.prefix(count))
    }
}
