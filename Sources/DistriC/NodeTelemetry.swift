import API
import Foundation
import Logging
import Observability
import Primitives
import Storage

/// What a node tells of itself, made from its settings: log, metrics, traces, events, health.
extension Node {
    static func telemetry(
        _ settings: Settings, _ folder: DataFolder, _ disk: any Disk, _ clock: SystemClock, _ logDescriptor: Int32
    ) throws(DistriCError) -> (Telemetry, LogSink, SpanExport?) {
        let node = folder.identity.node
        let logs = LogRing(first: LogRing.first(at: clock.wall))
        let sink = try logSink(settings, logs, clock, logDescriptor)
        let first = try storage { () throws(StorageError) in try EventNumbers.reserve(disk, folder.path + "/event-numbers") }
        let metrics = MetricsRegistry(clock: clock)
        let spanQueue = settings.text("tracing.otlp_url").isEmpty ? nil : SpanQueue(limit: settings.whole("tracing.otlp_queue"))
        let telemetry = Telemetry(
            node: node, clock: clock, metrics: metrics,
            spans: SpanStore(
                node: node, clock: clock, seed: .random(in: 0...UInt64.max), sampling: try sampling(settings),
                exporter: spanQueue),
            events: EventRing(node: node, clock: clock, first: first), health: HealthRegistry(clock: clock, metrics: metrics), logs: logs,
            levels: try logLevels(settings), sink: sink)
        NodeMetrics.register(telemetry, version: version, sink: sink)
        return (telemetry, sink, try spanExport(settings, folder, telemetry, spanQueue))
    }

    private static func spanExport(
        _ settings: Settings, _ folder: DataFolder, _ telemetry: Telemetry, _ queue: SpanQueue?
    ) throws(DistriCError) -> SpanExport? {
        guard let queue else { return nil }
        let url = settings.text("tracing.otlp_url")
        guard let parts = URL(string: url), ["http", "https"].contains(parts.scheme), parts.host()?.isEmpty == false else {
            throw DistriCError(.badConfiguration, "tracing.otlp_url = '\(url)': expected http://host:4318/v1/traces")
        }
        let interval = settings.duration("tracing.otlp_interval")
        guard interval >= .milliseconds(10) else { throw DistriCError(.badConfiguration, "tracing.otlp_interval: at least 10ms") }
        return SpanExport(
            settings: SpanExport.Settings(
                url: url, encoding: OTLPEncoding(rawValue: settings.text("tracing.otlp_encoding")) ?? .protobuf,
                headers: settings.table("tracing.otlp_headers").sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, interval: interval),
            queue: queue,
            resource: OTLPEncoding.Resource(
                service: "distric", node: folder.identity.node, cluster: folder.identity.cluster.description, version: version),
            telemetry: telemetry)
    }

    private static func sampling(_ settings: Settings) throws(DistriCError) -> SpanStore.Sampling {
        let text = settings.text("tracing.ratio")
        guard let ratio = Double(text), (0...1).contains(ratio) else {
            throw DistriCError(.badConfiguration, "tracing.ratio = '\(text)': expected a number from 0 to 1")
        }
        let slow = settings.duration("tracing.keep_slow")
        return SpanStore.Sampling(
            ratio: ratio, tracesPerSecond: settings.whole("tracing.traces_per_second"), keepsErrors: settings.flag("tracing.keep_errors"),
            slow: slow > .zero ? slow : nil)
    }

    private static func logLevels(_ settings: Settings) throws(DistriCError) -> LogLevels {
        var rules: [String: Logger.Level] = [:]
        for (label, text) in settings.table("log.levels") {
            guard let level = Logger.Level(rawValue: text) else {
                throw DistriCError(
                    .badConfiguration,
                    "log.levels: '\(label) = \(text)': a level is one of trace, debug, info, notice, warning, error, critical")
            }
            rules[label] = level
        }
        return LogLevels(standard: Logger.Level(rawValue: settings.text("log.level")) ?? .info, rules: rules)
    }

    private static func logSink(
        _ settings: Settings, _ logs: LogRing, _ clock: SystemClock, _ descriptor: Int32
    ) throws(DistriCError) -> LogSink {
        let queue = settings.text("log.mode") == "sync" ? nil : logs
        let path = settings.text("log.file")
        guard !path.isEmpty else {
            let isJournal = LogSink.isJournal(ProcessInfo.processInfo.environment, descriptor: descriptor)
            return LogSink(file: LogFile(descriptor: descriptor), queue: queue, hasPriorities: isJournal)
        }
        let rotation = LogFile.Rotation(
            bytes: settings.bytes("log.rotate_bytes"), age: settings.duration("log.rotate_age"), kept: settings.whole("log.keep"))
        do throws(LogFile.Failure) {
            return LogSink(file: try LogFile(path: path, rotation: rotation, clock: clock), queue: queue)
        } catch {
            throw DistriCError(.cannotWrite, "log.file: cannot append to \(error.path): \(error.reason)")
        }
    }
}
