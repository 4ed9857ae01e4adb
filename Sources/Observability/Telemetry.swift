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
    /// The least level that is logged, by label.
    package let levels: LogLevels
    private let sink: LogSink?

    package init(
        node: NodeID, clock: any NodeClock, metrics: MetricsRegistry, spans: SpanStore, events: EventRing, health: HealthRegistry,
        logs: LogRing = LogRing(), levels: LogLevels = LogLevels(standard: .info), sink: LogSink? = nil
    ) {
        self.node = node
        self.clock = clock
        self.metrics = metrics
        self.spans = spans
        self.events = events
        self.health = health
        self.logs = logs
        self.levels = levels
        history = MetricsHistory(registry: metrics)
        self.sink = sink
    }

    package func logger(_ label: String) -> Logger {
        guard let channel = channel(label) else { return Logger(label: label) { _ in SwiftLogNoOpLogHandler() } }
        return Logger(label: label) { _ in JSONLogHandler(channel: channel) }
    }

    /// For events that come so often that a dictionary each would tell; nil where nothing is logged.
    package func channel(_ label: String) -> LogChannel? {
        sink.map { LogChannel(label: label, level: levels.cell(for: label), sink: $0, clock: clock, ring: logs) }
    }

    /// A warning, for rooms that otherwise have no need of a logger.
    package func warn(_ label: String, _ text: String, _ facts: KeyValuePairs<String, String> = [:]) {
        let metadata = facts.map { ($0.key, Logger.MetadataValue.string($0.value)) }
        logger(label).warning("\(text)", metadata: Logger.Metadata(metadata) { $1 })
    }

    package func notice(_ label: String, _ text: String) { logger(label).notice("\(text)") }

    /// A telemetry that keeps its metrics and events and writes no log: for tests and tools.
    package static func quiet(node: NodeID, clock: any NodeClock = SystemClock()) -> Telemetry {
        Telemetry(
            node: node, clock: clock, metrics: MetricsRegistry(),
            spans: SpanStore(node: node, clock: clock, seed: 1, sampling: SpanStore.Sampling(tracesPerSecond: 100)),
            events: EventRing(node: node, clock: clock, first: 1), health: HealthRegistry(clock: clock))
    }
}
