package import Logging
package import Primitives

/// What every room is given to say what happens in it.
package struct Telemetry: Sendable {
    package let node: NodeID
    package let clock: any NodeClock
    package let metrics: MetricsRegistry
    package let spans: SpanStore
    package let events: EventRing
    package let health: HealthRegistry
    package let logs: LogRing
    package let history: MetricsHistory
    private let makeLogger: @Sendable (String) -> Logger

    package init(
        node: NodeID, clock: any NodeClock, metrics: MetricsRegistry, spans: SpanStore, events: EventRing, health: HealthRegistry,
        logs: LogRing = LogRing(), makeLogger: @escaping @Sendable (String) -> Logger
    ) {
        self.node = node
        self.clock = clock
        self.metrics = metrics
        self.spans = spans
        self.events = events
        self.health = health
        self.logs = logs
        history = MetricsHistory(registry: metrics)
        self.makeLogger = makeLogger
    }

    package func logger(_ label: String) -> Logger { makeLogger(label) }

    /// A warning, for rooms that otherwise have no need of a logger.
    package func warn(_ label: String, _ text: String, _ facts: KeyValuePairs<String, String> = [:]) {
        let metadata = facts.map { ($0.key, Logger.MetadataValue.string($0.value)) }
        makeLogger(label).warning("\(text)", metadata: Logger.Metadata(metadata) { $1 })
    }

    /// A telemetry that keeps its metrics and events and writes no log: for tests and tools.
    package static func quiet(node: NodeID, clock: any NodeClock = SystemClock()) -> Telemetry {
        Telemetry(
            node: node, clock: clock, metrics: MetricsRegistry(), spans: SpanStore(node: node, clock: clock, seed: 1, tracesPerSecond: 100),
            events: EventRing(node: node, clock: clock, first: 1), health: HealthRegistry(clock: clock),
            makeLogger: { Logger(label: $0) { _ in SwiftLogNoOpLogHandler() } })
    }
}
