package import Cluster
package import Coordinator
package import Observability
package import Primitives

/// What the front door shows and steers: a running node's parts.
package struct NodeInfo: Sendable {
    package var node: NodeID
    package var cluster: UUIDv7
    package var version: String
    package var coordinator: CoordinatorNode
    package var worker: (any WorkerLink)?
    package var telemetry: Telemetry
    package var payloadLimit: Int
    package var startedAt: ClusterTime
    /// Settings in force as `config show` prints them, secrets left out.
    package var settings: Value
    package let watchers: Watchers
    /// Who is connected for calls.
    package let callers = CallerList()
    let openWork = OpenWork()
    let pinned = PinnedDefinitions()

    package init(
        node: NodeID, cluster: UUIDv7, version: String, coordinator: CoordinatorNode, worker: (any WorkerLink)?, telemetry: Telemetry,
        payloadLimit: Int, startedAt: ClusterTime, settings: Value
    ) {
        self.node = node
        self.cluster = cluster
        self.version = version
        self.coordinator = coordinator
        self.worker = worker
        self.telemetry = telemetry
        self.payloadLimit = payloadLimit
        self.startedAt = startedAt
        self.settings = settings
        watchers = Watchers(telemetry.metrics)
    }
}
