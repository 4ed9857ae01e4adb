import Cluster
import Coordinator
import HTTPTypes
import HashTreeCollections
import Hummingbird
import Logging
import NIOCore
import Observability
import Primitives
import Text

/// The node itself: status, health, metrics, traces, events.
struct NodeRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        let pulse = Pulse(info: info)
        router.get("cluster/status") { request, _ in try info.object(request) { pulse.value } }
        router.get("cluster/nodes") { request, _ in
            let columns = [
                "id", "role", "state", "version", "slots", "running", "startedAt", "raft", "address", "http", "featureLevel",
            ]
            return try info.rows(request, columns) { pulse.members }
        }
        router.get("rpc/connections") { request, _ in
            try info.rows(request, ["id", "node", "calls", "idleMs", "identity", "software", "protocol"]) { info.callers.rows }
        }
        router.get("metrics/recent") { request, _ in try recentMetrics(request) }
        router.get("logs") { request, _ in try logs(request) }
        let levels = LogLevelRoutes(info: info)
        router.get("logs/levels") { _, _ in levels.list() }
        router.post("logs/levels") { request, context in try await levels.change(request, context) }
        router.get("sd") { request, _ in serviceDiscovery(request) }
        router.get("config") { _, _ in Response.json(info.settings.value) }
        router.get("events") { request, _ in try events(request) }
        router.get("traces") { request, _ in
            let limit = try request.limit(default: try Window(request) == nil ? 50 : 1000)
            let query = try traceQuery(request)
            let columns = ["traceId", "name", "service", "start", "durationMs", "error", "spans", "node"]
            return try info.rows(request, columns, id: "traceId") { info.telemetry.spans.latestTraces(limit, query) }
        }
        router.get("traces/{id}") { request, context in
            let id = try context.parameter("id")
            return try info.object(request) { try trace(id) }
        }
    }

    func addRoot(to router: Router<NodeRequestContext>) {
        let health = HealthAnswers(node: info.node, health: info.telemetry.health)
        router.get("health/live") { _, _ in Response.json(health.live) }
        router.get("health/ready") { _, _ in Response.json(health.ready, status: health.isReady ? .ok : .serviceUnavailable) }
        let scrapes = ScrapeRoute(telemetry: info.telemetry)
        router.get("metrics") { request, _ in scrapes.answer(request) }
    }

    /// What Prometheus' `http_sd_config` reads: where metrics are, as whoever asks has reached this node.
    private func serviceDiscovery(_ request: Request) -> Response {
        let reached = request.head.authority ?? "localhost"
        return Response.json(
            .list([
                [
                    "targets": [.string(reached)],
                    "labels": [
                        "cluster": .string(info.cluster.description), "node": .string(info.node.text),
                        "role": .string(info.worker == nil ? "coordinator" : "coordinator,worker"),
                    ],
                ]
            ]))
    }

    private func traceQuery(_ request: Request) throws -> SpanStore.Query {
        let parameters = request.uri.queryParameters
        let least = try parameters["min"].map { text in
            guard let duration = Duration(text: String(text)) else {
                throw Problem.badRequest("invalid_duration", "min is a duration such as 50ms, not '\(text.prefix(40))'")
            }
            return duration
        }
        let wantsFailed = parameters["failed"].map(String.init) ?? "false"
        guard let hasFailed = Bool(wantsFailed) else { throw Problem.badRequest("invalid_flag", "failed is true or false") }
        return SpanStore.Query(
            name: parameters["name"].map(String.init), service: parameters["service"].map(String.init), least: least, hasFailed: hasFailed)
    }

    private func trace(_ id: String) throws -> Value {
        let spans = info.telemetry.spans.trace(id)
        guard !spans.isEmpty else {
            throw Problem.notFound("no spans of trace '\(id.prefix(40))' are kept here; they may be too old, or were not sampled")
        }
        return ["traceId": .string(id), "spans": .list(spans.map(\.value))]
    }

    // MARK: Events

    /// A list, or with `Accept: text/event-stream` (or `?follow=true`) what happens from now on, resumed after `Last-Event-ID`.
    private func events(_ request: Request) throws -> Response {
        let parameters = request.uri.queryParameters
        let after = try number(parameters["after"].map(String.init) ?? request.headers[.lastEventID])
        if request.isWatching { return try watchEvents(request, after) }
        let wantsStream = request.headers[.accept]?.contains("text/event-stream") == true || parameters["follow"] == "true"
        guard wantsStream else {
            let limit = try request.limit()
            let filter = try lineFilter(request, Self.eventColumns)
            let ring = info.telemetry.events
            guard !filter.isEmpty else {
                let events = after.map { ring.events(after: $0, limit: limit) } ?? ring.latest(limit)
                return info.list(events.map(\.value), at: info.applied)
            }
            let kept = ring.events(after: after ?? 0).map(\.value).filter { LineFilter.keeps($0, filter) }
            return info.list(Array(after == nil ? kept.suffix(limit) : kept.prefix(limit)), at: info.applied)
        }
        guard let stream = info.telemetry.events.follow(after: after ?? info.telemetry.events.lastNumber) else {
            throw Problem.busy("too many streams of events are open")
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"],
            body: .init { writer in
                try await writer.write(ByteBuffer(string: ": events of \(info.node)\n\n"))
                for await event in stream {
                    var text = ByteBuffer(string: "id: \(event.seq)\nevent: \(event.kind)\ndata: ")
                    text.writeBytes(JSONWriter.bytes(event.value))
                    text.writeString("\n\n")
                    try await writer.write(text)
                }
                try await writer.finish(nil)
            })
    }

    /// Where a stream begins: `limit` lines back, unless it goes on after a number that this node has given.
    private static func start(_ after: UInt64?, _ last: UInt64, _ limit: Int) -> UInt64 {
        if let after, after <= last { return after }
        return last - min(last, UInt64(limit))
    }

    private static let eventColumns = ["seq", "time", "kind", "severity", "subject", "text", "node"]

    private func watchEvents(_ request: Request, _ after: UInt64?) throws -> Response {
        let filter = try lineFilter(request, Self.eventColumns)
        let limit = try request.limit(default: 200)
        let ring = info.telemetry.events
        // The first answer reaches back, so that a view is never empty for want of news.
        return try info.lines(request, after: Self.start(after, ring.lastNumber, limit)) { seq in
            let last = ring.lastNumber
            let events = ring.events(after: seq)
            let kept = events.map(\.value).filter { LineFilter.keeps($0, filter) }
            // Between two starts numbers jump by a block in which nothing happened.
            let from = max(seq, ring.first - 1)
            let lost = last > from ? Int(last - from) - events.count : 0
            return (Array(kept.suffix(limit)), max(0, lost) + max(0, kept.count - limit), max(last, events.last?.seq ?? 0))
        }
    }

    /// - Parameter columns: nil where lines may have any.
    private func lineFilter(_ request: Request, _ columns: [String]?) throws -> RowFilter {
        guard let window = try Window(request) else { return .all }
        if let columns { try window.filter.columns.forEach { try Window.check($0, columns) } }
        return window.filter
    }

    // MARK: Logs and metrics

    /// The newest lines, or with `watch=true` lines as they come; `level` is the least that is wanted.
    private func logs(_ request: Request) throws -> Response {
        let parameters = request.uri.queryParameters
        let after = try number(parameters["after"].map(String.init))
        let least = try parameters["level"].map { text in
            guard let level = Logger.Level(rawValue: String(text)) else {
                throw Problem.badRequest("invalid_level", "'\(text)' is none of trace, debug, info, notice, warning, error, critical")
            }
            return level
        }
        let (limit, wanted, ring) = (try request.limit(default: 200), try lineFilter(request, nil), info.telemetry.logs)
        @Sendable func take(_ seq: UInt64) -> (items: [Value], missed: Int, last: UInt64) {
            let (entries, missed, last) = ring.newest(after: seq, limit: limit) { entry in
                guard least.map({ entry.level >= $0 }) ?? true else { return false }
                return wanted.isEmpty || LineFilter.keeps(LineFilter.value(entry), wanted)
            }
            return (entries.map(LineFilter.value), missed, last)
        }
        guard request.isWatching else { return info.list(take(after ?? 0).items, at: info.applied) }
        return try info.lines(request, after: Self.start(after, ring.lastNumber, limit), take)
    }

    private func recentMetrics(_ request: Request) throws -> Response {
        let text = request.uri.queryParameters["points"].map(String.init) ?? "60"
        guard let points = Int(text), (0...MetricsHistory.seconds).contains(points) else {
            throw Problem.badRequest("invalid_points", "points is a number of seconds up to \(MetricsHistory.seconds)")
        }
        let history = info.telemetry.history
        return try info.rows(request, ["id", "name", "kind", "value", "rate", "p50", "p99", "help", "labels"]) {
            history.rows(points: points).map { row in
                func rounded(_ number: Double?) -> Value {
                    number.map { $0.isFinite ? $0 == $0.rounded() && abs($0) < 1e15 ? .int(Int64($0)) : .double(Double(Float($0))) : .null }
                        ?? .null
                }
                return .object([
                    "id": .string(row.id), "name": .string(row.name), "kind": .string(row.kind.rawValue), "value": rounded(row.value),
                    "rate": rounded(row.rate), "p50": rounded(row.p50), "p99": rounded(row.p99), "help": .string(row.help),
                    "labels": .map(Fields(row.labels.map { Fields.Member($0.name, .string($0.value)) })),
                    "recent": points == 0 ? nil : .list(row.recent.map(rounded)),
                ])
            }
        }
    }

    private func number(_ text: String?) throws -> UInt64? {
        guard let text else { return nil }
        guard let number = UInt64(text) else { throw Problem.badRequest("invalid_event_id", "'\(text.prefix(40))' is no event number") }
        return number
    }
}

/// Log lines and events as filters see them.
enum LineFilter {
    static func value(_ entry: LogRing.Entry) -> Value {
        guard case .map(var fields)? = try? JSONScanner.parse(entry.line) else { return .null }
        fields["seq"] = Value(entry.seq)
        return .map(fields)
    }

    static func keeps(_ value: Value, _ filter: RowFilter) -> Bool {
        filter.isEmpty || filter.matches(column: { value[$0] ?? .null }, text: { JSONWriter.text(value) })
    }
}
