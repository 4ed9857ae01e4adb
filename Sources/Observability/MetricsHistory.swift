import Primitives
import Synchronization

/// The last five minutes of every metric, a value a second: what sparklines and charts are drawn from.
package final class MetricsHistory: Sendable {
    package static let seconds = 300

    /// One series as people look at it.
    package struct Row: Sendable {
        package let name: String
        package let labels: [(name: String, value: String)]
        package let help: String
        package let kind: MetricsRegistry.Kind
        /// Of a counter its total, of a gauge its value, of a histogram the number of observations.
        package let value: Double
        /// A second, over the last ten; nil for gauges.
        package let rate: Double?
        /// Seconds (or whatever the histogram observes), of the last minute when there were any, else of all.
        package let p50: Double?
        package let p99: Double?
        /// Oldest first: rates of counters and histograms, values of gauges.
        package let recent: [Double]

        package var id: String {
            labels.isEmpty ? name : name + "{" + labels.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",") + "}"
        }
    }

    private struct Track {
        var values: [Double] = []
        /// Cumulative buckets, every fifth second.
        var buckets: [[UInt64]] = []
    }

    private struct State {
        var tracks: [String: Track] = [:]
        var turn = 0
    }

    private let registry: MetricsRegistry
    private let state = Mutex(State())

    package init(registry: MetricsRegistry) { self.registry = registry }

    /// Called once a second.
    package func sample() {
        let families = registry.snapshot
        var now: [(key: String, value: Double, buckets: [UInt64]?)] = []
        for family in families {
            for (place, series) in family.series.enumerated() {
                let (value, buckets) = Self.read(series.instrument)
                now.append(("\(family.name)#\(place)", value, buckets))
            }
        }
        state.withLock { state in
            state.turn += 1
            let keepsBuckets = state.turn % 5 == 1
            for item in now {
                var track = state.tracks.removeValue(forKey: item.key) ?? Track()
                if track.values.count > Self.seconds { track.values.removeFirst() }
                track.values.append(item.value)
                if keepsBuckets, let buckets = item.buckets {
                    if track.buckets.count > 12 { track.buckets.removeFirst() }
                    track.buckets.append(buckets)
                }
                state.tracks[item.key] = track
            }
        }
    }

    private static func read(_ instrument: MetricsRegistry.Instrument) -> (Double, [UInt64]?) {
        switch instrument {
        case .counter(let counter): return (Double(counter.count), nil)
        case .gauge(let gauge): return (gauge.number, nil)
        case .histogram(let histogram):
            let buckets = histogram.cumulative
            return (Double(buckets.last ?? 0), buckets)
        case .computed(_, let read): return (read(), nil)
        }
    }

    /// Every series by name, or those of some names, with at most `points` of its past.
    package func rows(points: Int, of names: Set<String>? = nil) -> [Row] {
        let families = registry.snapshot.filter { names?.contains($0.name) ?? true }
        let tracks = state.withLock { $0.tracks }
        return families.flatMap { family in
            family.series.enumerated().map { place, series in
                let (value, buckets) = Self.read(series.instrument)
                let track = tracks["\(family.name)#\(place)"] ?? Track()
                var bounds: [Double] = []
                if case .histogram(let histogram) = series.instrument { bounds = histogram.bounds }
                let grown = zip(track.values, track.values.dropFirst()).map { max(0, $1 - $0) }
                let isLevel = family.kind == .gauge
                let since = buckets.map { buckets in Self.difference(buckets, track.buckets.first) } ?? []
                return Row(
                    name: family.name, labels: series.labels, help: family.help, kind: family.kind, value: value,
                    rate: isLevel ? nil : Self.mean(grown.suffix(10)), p50: Self.quantile(0.5, bounds, since),
                    p99: Self.quantile(0.99, bounds, since), recent: Array((isLevel ? track.values : grown).suffix(points)))
            }
        }
    }

    private static func mean(_ values: ArraySlice<Double>) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }

    /// What came in since; all of it when nothing did.
    private static func difference(_ now: [UInt64], _ before: [UInt64]?) -> [UInt64] {
        guard let before, before.count == now.count, let last = now.last, let first = before.last, last > first else { return now }
        return zip(now, before).map { $0 &- $1 }
    }

    /// Linear within the bucket, as Prometheus' histogram_quantile.
    static func quantile(_ share: Double, _ bounds: [Double], _ cumulative: [UInt64]) -> Double? {
        guard let total = cumulative.last, total > 0, cumulative.count == bounds.count + 1 else { return nil }
        let rank = share * Double(total)
        guard let place = cumulative.firstIndex(where: { Double($0) >= rank }) else { return nil }
        guard place < bounds.count else { return bounds.last }
        let (low, below) = place == 0 ? (0, 0) : (bounds[place - 1], Double(cumulative[place - 1]))
        let within = Double(cumulative[place]) - below
        return within <= 0 ? bounds[place] : low + (bounds[place] - low) * (rank - below) / within
    }
}
