import Primitives
import Synchronization

/// A number that only grows. Incrementing takes no lock.
package final class Counter: Sendable {
    private let value = Atomic<UInt64>(0)
    package init() {}
    package func increment(by amount: Int = 1) { value.wrappingAdd(UInt64(max(0, amount)), ordering: .relaxed) }
    package var count: UInt64 { value.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)
    package init() {}
    package func set(_ number: Double) { bits.store(number.bitPattern, ordering: .relaxed) }
    package func set(_ number: Int) { set(Double(number)) }
    package var number: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Counts of observations by size, in seconds for times. Observing takes no lock.
package final class Histogram: Sendable {
    package static let latencyBounds: [Double] = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
    ]

    package let bounds: [Double]
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let sumBits = Atomic<UInt64>(0)

    package init(bounds: [Double] = latencyBounds) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds must rise: \(bounds)")
        self.bounds = bounds
        cells = .allocate(capacity: bounds.count + 1)
        for cell in 0...bounds.count { (cells + cell).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: bounds.count + 1)
        cells.deallocate()
    }

    package func observe(_ duration: Duration) { observe(duration.seconds) }

    package func observe(_ number: Double) {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if number <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        cells[low].wrappingAdd(1, ordering: .relaxed)
        var old = sumBits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + number).bitPattern
            let (exchanged, original) = sumBits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    /// Observations at or below each bound, then all of them.
    package var cumulative: [UInt64] {
        var total: UInt64 = 0
        return (0...bounds.count).map { cell in
            total += cells[cell].load(ordering: .relaxed)
            return total
        }
    }

    package var sum: Double { Double(bitPattern: sumBits.load(ordering: .relaxed)) }
    package var count: UInt64 { cumulative[bounds.count] }
}

/// Every metric of a node. A room asks once for each metric and keeps what it gets: there is no look-up on a hot path.
package final class MetricsRegistry: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    package enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        /// Read when scraped.
        case computed(Kind, @Sendable () -> Double)
    }

    package struct Series: Sendable {
        package let labels: [(name: String, value: String)]
        package let instrument: Instrument
    }

    package struct Family: Sendable {
        package let name: String
        package let help: String
        package let kind: Kind
        package fileprivate(set) var series: [Series]
    }

    /// Series of one family; beyond it all further label values share one series whose values are `other`.
    package static let seriesLimit = 200

    private let families = Mutex<[String: Family]>([:])

    package init() {}

    package func counter(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:]) -> Counter {
        let made = register(name, help, .counter, labels) { .counter(Counter()) }
        guard case .counter(let counter) = made else { preconditionFailure("\(name) is not a counter") }
        return counter
    }

    package func gauge(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:]) -> Gauge {
        let made = register(name, help, .gauge, labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = made else { preconditionFailure("\(name) is not a gauge") }
        return gauge
    }

    package func histogram(
        _ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:], bounds: [Double] = Histogram.latencyBounds
    ) -> Histogram {
        let made = register(name, help, .histogram, labels) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = made else { preconditionFailure("\(name) is not a histogram") }
        return histogram
    }

    /// A metric whose value is read when somebody asks.
    package func computed(
        _ kind: Kind, _ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:],
        _ read: @escaping @Sendable () -> Double
    ) {
        _ = register(name, help, kind, labels) { .computed(kind, read) }
    }

    private func register(
        _ name: String, _ help: String, _ kind: Kind, _ labels: KeyValuePairs<String, String>, _ make: () -> Instrument
    ) -> Instrument {
        families.withLock { families in
            var family = families[name] ?? Family(name: name, help: help, kind: kind, series: [])
            precondition(family.kind == kind, "\(name) is a \(family.kind), not a \(kind)")
            var wanted = labels.map { (name: $0.key, value: $0.value) }
            if let known = family.series.first(where: { $0.labels.elementsEqual(wanted, by: ==) }) { return known.instrument }
            if family.series.count >= Self.seriesLimit { wanted = wanted.map { ($0.name, "other") } }
            if let known = family.series.first(where: { $0.labels.elementsEqual(wanted, by: ==) }) { return known.instrument }
            let made = make()
            family.series.append(Series(labels: wanted, instrument: made))
            families[name] = family
            return made
        }
    }

    /// All families by name.
    package var snapshot: [Family] { families.withLock { $0.values.sorted { $0.name < $1.name } } }
}
