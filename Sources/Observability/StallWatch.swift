import Primitives
import Synchronization

/// Whether what must answer at once does: event loops, threads, the disk under the log. Look at it from a thread that none of them can hold
/// up; what does not answer turns its component degraded, and back when it does.
package final class StallWatch: Sendable {
    /// Something that is watched.
    package struct Probe: Sendable {
        package enum Kind: Sendable {
            /// Calls back when it gets round to it.
            case asks(@Sendable (@escaping @Sendable () -> Void) -> Void)
            /// For how long it has been at its present piece of work; nil when it has none.
            case tells(@Sendable () -> Duration?)
        }

        /// The part of the node by which health shows it.
        let component: String
        let name: String
        let kind: Kind

        package init(_ component: String, _ name: String, _ kind: Kind) {
            self.component = component
            self.name = name
            self.kind = kind
        }
    }

    /// One probe, and since when its answer is awaited.
    private final class Watched: Sendable {
        let probe: Probe
        let asked = BusySince()
        let isStalled = Atomic<Bool>(false)
        let lag: Gauge
        let stalls: Counter

        init(_ probe: Probe, _ metrics: MetricsRegistry) {
            self.probe = probe
            let labels: KeyValuePairs = ["part": probe.name]
            lag = metrics.gauge("distric_stall_lag_seconds", "For how long a part has kept its last call waiting.", labels)
            stalls = metrics.counter("distric_stalls_total", "Times that a part did not answer for two seconds.", labels)
        }
    }

    /// From which on a part counts as stalled.
    package static let limit: Duration = .seconds(2)

    private let watched: [Watched]
    private let telemetry: Telemetry

    package init(_ probes: [Probe], telemetry: Telemetry) {
        watched = probes.map { Watched($0, telemetry.metrics) }
        self.telemetry = telemetry
    }

    /// Asks whoever is not being asked already, and says who has been silent for too long. From one thread, some times a second.
    package func look() {
        var reasons: [String: [String]] = [:]
        var changed: [(one: Watched, isStalled: Bool)] = []
        for one in watched {
            let waited = wait(one)
            one.lag.set(waited.seconds)
            let isStalled = waited >= Self.limit
            reasons[one.probe.component, default: []] += isStalled ? ["\(one.probe.name) has not answered for \(waited.text)"] : []
            if one.isStalled.exchange(isStalled, ordering: .relaxed) != isStalled { changed.append((one, isStalled)) }
        }
        for (component, found) in reasons {
            telemetry.health.set(component, found.isEmpty ? .up : .degraded, reason: found.joined(separator: "; "))
        }
        // Last, since to log may wait for the very disk that stalls.
        for (one, isStalled) in changed { announce(one, isStalled) }
    }

    private func announce(_ one: Watched, _ isStalled: Bool) {
        let name = one.probe.name
        if isStalled {
            one.stalls.increment()
            telemetry.events.emit("node.stalled", subject: name, severity: .warning, "\(name) does not answer")
            telemetry.warn("health", "stalled", ["part": name])
        } else {
            telemetry.events.emit("node.recovered", subject: name, "\(name) answers again")
        }
    }

    private func wait(_ one: Watched) -> Duration {
        switch one.probe.kind {
        case .tells(let age): return age() ?? .zero
        case .asks(let ask):
            let now = telemetry.clock.now
            if let since = one.asked.instant { return now.duration(since: since) }
            one.asked.begin(now)
            ask { one.asked.end() }
            return .zero
        }
    }
}
