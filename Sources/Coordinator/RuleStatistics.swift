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

    private struct Record {
        var entry = Entry()
        var evaluationsBySecond: [UInt64] = []
        var hitsBySecond: [UInt64] = []
    }

    /// Rules that are remembered; beyond it the counts of new ones are lost, counted.
    private static let limit = 100_000
    private static let seconds = 60

    private let records = Mutex<[String: Record]>([:])
    private let turn = Atomic<UInt32>(0)

    func isTimed() -> Bool { turn.wrappingAdd(1, ordering: .relaxed).newValue % 16 == 0 }

    private static func key(_ rule: String, _ namespace: Namespace) -> String { "\(namespace.text):\(rule)" }

    func note(_ set: RuleCatalog.CompiledSet, namespace: Namespace, matched: [Int], at wall: ClusterTime, took: Duration?) {
        records.withLock { records in
            records[Self.key(set.name, namespace), default: Record()].entry.evaluations += 1
            if let took {
                let before = records[Self.key(set.name, namespace)]?.entry.latency ?? took
                records[Self.key(set.name, namespace)]?.entry.latency = .nanoseconds((before.nanoseconds * 7 + took.nanoseconds) / 8)
            }
            for place in matched {
                let key = Self.key(set.qualified[place], namespace)
                guard records[key] != nil || records.count < Self.limit else { continue }
                records[key, default: Record()].entry.hits += 1
                records[key]?.entry.lastHit = wall
            }
        }
    }

    func noteError(_ rule: String, namespace: Namespace) {
        records.withLock { $0[Self.key(rule, namespace), default: Record()].entry.errors += 1 }
    }

    /// Called once a second: what rates are computed from.
    package func sample() {
        records.withLock { records in
            for key in records.keys {
                guard var record = records[key] else { continue }
                // The first hits of a rule came within the second before its first sample.
                if record.evaluationsBySecond.isEmpty { (record.evaluationsBySecond, record.hitsBySecond) = ([0], [0]) }
                record.evaluationsBySecond.append(record.entry.evaluations)
                record.hitsBySecond.append(record.entry.hits)
                if record.evaluationsBySecond.count > Self.seconds + 1 {
                    record.evaluationsBySecond.removeFirst()
                    record.hitsBySecond.removeFirst()
                }
                records[key] = record
            }
        }
    }

    /// One rule's numbers; its set's stand for the evaluations.
    package func entry(set: String, rule: String, namespace: Namespace) -> Entry {
        records.withLock { records in
            let whole = records[Self.key(set, namespace)] ?? Record()
            let own = records[Self.key("\(set)/\(rule)", namespace)] ?? Record()
            var entry = own.entry
            entry.evaluations = whole.entry.evaluations
            entry.latency = whole.entry.latency
            entry.evaluationRate = Self.rate(whole.evaluationsBySecond)
            entry.hitRate = Self.rate(own.hitsBySecond)
            entry.hitsBySecond = zip(own.hitsBySecond, own.hitsBySecond.dropFirst()).map { Double($1 &- $0) }
            return entry
        }
    }

    private static func rate(_ counts: [UInt64]) -> Double {
        let tail = counts.suffix(11)
        guard let first = tail.first, let last = tail.last, tail.count > 1 else { return 0 }
        return Double(last &- first) / Double(tail.count - 1)
    }
}
