package import Primitives
import Synchronization

/// How each part of a node is, why, and since when.
package final class HealthRegistry: Sendable {
    package enum Status: String, Sendable { case up, degraded, down }

    package struct Component: Equatable, Sendable {
        package var name: String
        package var status: Status
        package var reason: String
        package var since: ClusterTime
    }

    private let clock: any NodeClock
    private let components = Mutex<[String: Component]>([:])

    private let metrics: MetricsRegistry?

    /// - Parameter metrics: where `distric_health_status` of each component goes.
    package init(clock: any NodeClock, metrics: MetricsRegistry? = nil) {
        self.clock = clock
        self.metrics = metrics
    }

    /// States how a component is; `since` moves only when the status changes. True when it changed.
    @discardableResult
    package func set(_ name: String, _ status: Status, reason: String = "") -> Bool {
        let now = clock.wall
        metrics?.gauge("distric_health_status", "How a part of the node is: 1 up, 0.5 degraded, 0 down.", ["component": name])
            .set(status == .up ? 1 : status == .degraded ? 0.5 : 0)
        return components.withLock { components in
            let before = components[name]
            let since = before?.status == status ? before?.since ?? now : now
            components[name] = Component(name: name, status: status, reason: reason, since: since)
            return before?.status != status
        }
    }

    package var all: [Component] { components.withLock { $0.values.sorted { $0.name < $1.name } } }

    /// Ready while no component is down.
    package var isReady: Bool { components.withLock { $0.values.allSatisfy { $0.status != .down } } }
}
