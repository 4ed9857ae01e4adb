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
        /// Of a counter its total, of a gauge its value, else the number of observations.
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

    /// Of one series: growth a second, or levels.
    private struct Track {
        private var points: [Float] = []
        private var start = 0
        private var last: Double?
        /// Of histograms and summaries, every fifth second.
        private(set) var distributions: [Distribution] = []

        /// Oldest first.
        var recent: [Double] { (points[start...] + points[..<start]).map(Double.init) }

        mutating func take(_ value: Double, isLevel: Bool) {
            defer { last = value }
            guard isLevel else { return last.map { append(max(0, value - $0)) } ?? () }
            append(value)
        }

        private mutating func append(_ point: Double) {
            guard points.count >= MetricsHistory.seconds else { return points.append(Float(point)) }
            points[start] = Float(point)
            start = (start + 1) % points.count
        }

        mutating func take(_ distribution: Distribution) {
            if distributions.count > 12 { distributions.removeFirst() }
            distributions.append(distribution)
        }
    }

    private struct State {
        /// By the series' number.
        var tracks: [Track] = []
        var turn = 0
    }

    private let registry: MetricsRegistry
    private let state = Mutex(State())

    package init(registry: MetricsRegistry) { self.registry = registry }

    /// Called once a second.
    package func sample() {
        let families = registry.snapshot
        let keepsDistributions = state.withLock { state in
            state.turn += 1
            return state.turn % 5 == 1
        }
        var now: [(number: Int, isLevel: Bool, value: Double, distribution: Distribution?)] = []
        for family in families {
            for series in family.series {
                let (value, distribution) = Self.read(series.instrument)
                now.append((series.number, family.kind == .gauge, value, keepsDistributions ? distribution : nil))
                if keepsDistributions, case .summary(let summary) = series.instrument { summary.turn() }
            }
        }
        state.withLock { state in
            let count = (now.lazy.map(\.number).max() ?? -1) + 1
            while state.tracks.count < count { state.tracks.append(Track()) }
            for item in now {
                state.tracks[item.number].take(item.value, isLevel: item.isLevel)
                if let distribution = item.distribution { state.tracks[item.number].take(distribution) }
            }
        }
    }

    private static func read(_ instrument: MetricsRegistry.Instrument) -> (Double, Distribution?) {
        switch instrument {
        case .counter(let counter): return (Double(counter.count), nil)
        case .gauge(let gauge): return (gauge.number, nil)
        case .histogram(let histogram):
            let distribution = histogram.distribution
            return (Double(distribution.count), distribution)
        case .summary(let summary):
            let distribution = summary.distribution
            return (Double(distribution.count), distribution)
        case .computed(_, let read): return (read(), nil)
        }
    }

    /// Every series by name, or those of some names, with at most `points` of its past.
    package func rows(points: Int, of names: Set<String>? = nil) -> [Row] {
        let families = registry.snapshot.filter { names?.contains($0.name) ?? true }
        let tracks = state.withLock { $0.tracks }
        return families.flatMap { family in
            family.series.map { series in
                let (value, distribution) = Self.read(series.instrument)
                let track = series.number < tracks.count ? tracks[series.number] : Track()
                let recent = track.recent
                let lately = distribution?.since(track.distributions.first)
                return Row(
                    name: family.name, labels: series.labels, help: family.help, kind: family.kind, value: value,
                    rate: family.kind == .gauge ? nil : Self.mean(recent.suffix(10)), p50: lately?.quantile(0.5),
                    p99: lately?.quantile(0.99), recent: Array(recent.suffix(points)))
            }
        }
    }

    private static func mean(_ values: ArraySlice<Double>) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }
}
