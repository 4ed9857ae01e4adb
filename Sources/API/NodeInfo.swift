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
    package let settings: ShownSettings
    /// What may be broken on purpose; nil where that is not allowed.
    package var chaos: ChaosControl?
    /// Who is there, as this node believes; nil where it does not gossip.
    package var gossip: MembershipView?
    package var isGossipSealed = false
    /// The demo that it is a member of; nil for any other node.
    package var demo: (any DemoControl)?
    package let watchers: Watchers
    /// What this node's group agrees on, and who leads it.
    package let consensus: any Consensus
    let forwarder: Forwarder
    /// Who is connected for calls.
    package let callers = CallerList()
    let openWork = OpenWork()
    let pinned = PinnedDefinitions()

    /// - Parameter consensus: the coordinator's own where none is given.
    package init(
        node: NodeID, cluster: UUIDv7, version: String, coordinator: CoordinatorNode, worker: (any WorkerLink)?, telemetry: Telemetry,
        payloadLimit: Int, startedAt: ClusterTime, settings: Value, consensus: (any Consensus)? = nil
    ) {
        self.node = node
        self.cluster = cluster
        self.version = version
        self.coordinator = coordinator
        self.worker = worker
        self.telemetry = telemetry
        self.payloadLimit = payloadLimit
        self.startedAt = startedAt
        self.settings = ShownSettings(settings)
        watchers = Watchers(telemetry.metrics)
        self.consensus = consensus ?? NodeConsensus(coordinator: coordinator)
        forwarder = Forwarder(consensus: self.consensus, telemetry: telemetry)
    }
}
