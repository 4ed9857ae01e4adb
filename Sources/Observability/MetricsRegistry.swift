package import Primitives
import Synchronization

/// Every metric of a node. A room asks once for each metric and keeps what it gets: there is no look-up on a hot path.
package final class MetricsRegistry: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram, summary }

    package enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case summary(Summary)
        /// Read when scraped.
        case computed(Kind, @Sendable () -> Double)
    }

    package struct Series: Sendable {
        /// Dense, from 0 in the order in which series were made.
        package let number: Int
        package let labels: [(name: String, value: String)]
        package let instrument: Instrument
        package let created: ClusterTime
    }

    package struct Family: Sendable {
        package let name: String
        package let help: String
        package let kind: Kind
        package fileprivate(set) var series: [Series] = []
        /// Where a series is among them, by its labels' names and values in turn.
        fileprivate var places: [[String]: Int] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var seriesCount = 0
        var conflicts: [String] = []
    }

    /// Series of one family; beyond it all further label values share one series whose values are `other`.
    package static let seriesLimit = 200
    /// Conflicts that are told by name; all are counted.
    private static let conflictsKept = 16

    private let clock: any NodeClock
    private let state = Mutex(State())
    /// Asked for with another type than before; what was given instead counts, but nobody sees it.
    package let conflicted = Counter()
    /// Requests that went to `other`.
    package let overflowed = Counter()

    package init(clock: any NodeClock = SystemClock()) { self.clock = clock }

    package func counter(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:]) -> Counter {
        counter(name, help, labels: labels.map { ($0, $1) })
    }

    package func counter(_ name: String, _ help: String, labels: [(String, String)]) -> Counter {
        guard case .counter(let counter)? = register(name, help, .counter, labels, { .counter(Counter()) }) else { return Counter() }
        return counter
    }

    package func gauge(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:]) -> Gauge {
        gauge(name, help, labels: labels.map { ($0, $1) })
    }

    package func gauge(_ name: String, _ help: String, labels: [(String, String)]) -> Gauge {
        guard case .gauge(let gauge)? = register(name, help, .gauge, labels, { .gauge(Gauge()) }) else { return Gauge() }
        return gauge
    }

    /// - Parameter scale: of the first series asked for; the others have theirs, so give the same.
    package func histogram(
        _ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:], scale: Scale = .latency
    ) -> Histogram {
        histogram(name, help, labels: labels.map { ($0, $1) }, scale: scale)
    }

    package func histogram(_ name: String, _ help: String, labels: [(String, String)], scale: Scale) -> Histogram {
        guard case .histogram(let histogram)? = register(name, help, .histogram, labels, { .histogram(Histogram(scale: scale)) }) else {
            return Histogram(scale: scale)
        }
        return histogram
    }

    package func summary(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:], scale: Scale = .counts) -> Summary {
        summary(name, help, labels: labels.map { ($0, $1) }, scale: scale)
    }

    package func summary(_ name: String, _ help: String, labels: [(String, String)], scale: Scale) -> Summary {
        guard case .summary(let summary)? = register(name, help, .summary, labels, { .summary(Summary(scale: scale)) }) else {
            return Summary(scale: scale)
        }
        return summary
    }

    /// A metric whose value is read when somebody asks.
    package func computed(
        _ kind: Kind, _ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:],
        _ read: @escaping @Sendable () -> Double
    ) {
        _ = register(name, help, kind, labels.map { ($0, $1) }, isComputed: true) { .computed(kind, read) }
    }

    /// Nil when the name is another type's.
    private func register(
        _ name: String, _ help: String, _ kind: Kind, _ labels: [(String, String)], isComputed: Bool = false,
        _ make: () -> Instrument
    ) -> Instrument? {
        state.withLock { state -> Instrument? in
            guard let family = state.families[name] else {
                // Names are looked at once; later ones are found by what was asked for.
                var family = Family(name: MetricName.valid(name), help: help, kind: kind)
                let made = add(labels, to: &family, &state.seriesCount, make)
                state.families[name] = family
                return made
            }
            let found = family.places[labels.flatMap { [$0, $1] }].map { family.series[$0].instrument }
            guard family.kind == kind else { return conflict("\(name) is a \(family.kind.rawValue), not a \(kind.rawValue)", &state) }
            if let found {
                if case .computed = found, !isComputed { return conflict("\(name) is read when asked for", &state) }
                return found
            }
            var wanted = labels
            if family.series.count >= Self.seriesLimit {
                overflowed.increment()
                wanted = labels.map { ($0.0, "other") }
                if let place = family.places[wanted.flatMap { [$0, $1] }] { return family.series[place].instrument }
            }
            return add(wanted, to: &state.families[name, default: family], &state.seriesCount, make)
        }
    }

    private func add(
        _ labels: [(String, String)], to family: inout Family, _ number: inout Int, _ make: () -> Instrument
    ) -> Instrument {
        let made = make()
        family.places[labels.flatMap { [$0, $1] }] = family.series.count
        family.series.append(
            Series(
                number: number, labels: labels.map { (MetricName.validLabel($0), $1) }, instrument: made, created: clock.wall))
        number += 1
        return made
    }

    private func conflict(_ text: String, _ state: inout State) -> Instrument? {
        conflicted.increment()
        if state.conflicts.count < Self.conflictsKept, !state.conflicts.contains(text) { state.conflicts.append(text) }
        return nil
    }

    /// What was asked for with two types, in words.
    package var conflicts: [String] { state.withLock { $0.conflicts } }

    /// All families by name.
    package var snapshot: [Family] { state.withLock { Array($0.families.values) }.sorted { $0.name < $1.name } }

    package var seriesCount: Int { state.withLock { $0.seriesCount } }
}

/// What Prometheus takes as names: `[a-zA-Z_:][a-zA-Z0-9_:]*`, labels without colons and without what it gives itself.
enum MetricName {
    static func valid(_ name: String) -> String { cleaned(name, allowsColon: true) }

    static func validLabel(_ name: String) -> String {
        let cleaned = cleaned(name, allowsColon: false)
        return cleaned == "le" || cleaned == "quantile" || cleaned.hasPrefix("__") ? "x_" + cleaned : cleaned
    }

    private static func cleaned(_ name: String, allowsColon: Bool) -> String {
        func isValid(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: ":"): allowsColon
            default: false
            }
        }
        if let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), name.utf8.allSatisfy(isValid) {
            return name
        }
        let replaced = name.utf8.map { isValid($0) ? $0 : UInt8(ascii: "_") }
        let begins = replaced.first.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? true
        return (begins ? "_" : "") + String(decoding: replaced, as: UTF8.self)
    }
}
