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

    package init(clock: any NodeClock) { self.clock = clock }

    /// States how a component is; `since` moves only when the status changes. True when it changed.
    @discardableResult
    package func set(_ name: String, _ status: Status, reason: String = "") -> Bool {
        let now = clock.wall
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
