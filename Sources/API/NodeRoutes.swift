import Cluster
import Coordinator
import HTTPTypes
import HashTreeCollections
import Hummingbird
import NIOCore
import Observability
import Primitives
import Text

/// The node itself: status, health, metrics, traces, events.
struct NodeRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("cluster/status") { _, _ in Response.json(status()) }
        router.get("cluster/nodes") { _, _ in info.list([node()]) }
        router.get("raft/status") { _, _ in Response.json(raft()) }
        router.get("config") { _, _ in Response.json(info.settings) }
        router.get("events") { request, _ in try events(request) }
        router.get("traces") { request, _ in info.list(info.telemetry.spans.latest(try request.limit()).map(\.value)) }
        router.get("traces/{id}") { _, context in try trace(context) }
    }

    func addRoot(to router: Router<NodeRequestContext>) {
        router.get("health/live") { _, _ in Response.json(["status": "up", "node": .string(info.node.text)]) }
        router.get("health/ready") { _, _ in
            Response.json(health(), status: info.telemetry.health.isReady ? .ok : .serviceUnavailable)
        }
        router.get("metrics") { _, _ in
            let text = PrometheusText.render(info.telemetry.metrics.snapshot)
            return Response(
                status: .ok, headers: [.contentType: PrometheusText.contentType], body: .init(byteBuffer: ByteBuffer(string: text)))
        }
    }

    private func health() -> Value {
        let components = info.telemetry.health.all
        let worst: HealthRegistry.Status =
            components.contains { $0.status == .down } ? .down : components.contains { $0.status == .degraded } ? .degraded : .up
        return [
            "status": .string(worst.rawValue), "node": .string(info.node.text),
            "components": .list(
                components.map { part in
                    .object([
                        "name": .string(part.name), "status": .string(part.status.rawValue), "reason": .string(part.reason),
                        "since": .string(part.since.rfc3339),
                    ])
                }),
        ]
    }

    private func raft() -> Value {
        let status = info.coordinator.raft.status
        return [
            "node": .string(info.node.text), "role": .string(status.role), "term": Value(status.term.number),
            "lastIndex": Value(status.lastIndex.number), "commitIndex": Value(status.commitIndex.number),
            "appliedIndex": Value(info.coordinator.loop.current.state.applied.number), "logBytes": Value(status.logBytes),
        ]
    }

    private func node() -> Value {
        let capacity = info.worker?.capacity
        return .object([
            "id": .string(info.node.text), "role": .string(info.worker == nil ? "coordinator" : "coordinator,worker"), "state": "alive",
            "version": .string(info.version), "slots": capacity.map { Value($0.slots) }, "startedAt": .string(info.startedAt.rfc3339),
        ])
    }

    private func status() -> Value {
        let raft = info.coordinator.raft.status
        let state = info.coordinator.loop.current.state
        let queue = info.coordinator.loop.queue
        let now = info.telemetry.clock.wall
        return [
            "clusterId": .string(info.cluster.description), "node": .string(info.node.text), "version": .string(info.version),
            "leader": raft.role == "leader" ? .string(info.node.text) : .null, "term": Value(raft.term.number),
            "commitIndex": Value(raft.commitIndex.number), "appliedIndex": Value(state.applied.number),
            "quorum": ["have": 1, "need": 1, "of": 1], "members": [node()], "ready": .bool(info.telemetry.health.isReady),
            "catalogVersion": Value(state.catalogVersion),
            "queue": [
                "depth": Value(queue.queued), "running": Value(queue.running),
                "oldestMs": queue.oldest.map { .int(max(0, now.duration(since: $0).milliseconds)) } ?? .null,
            ],
            "runs": ["open": Value(state.runs.count), "started": Value(state.totals.runsStarted), "ended": Value(state.totals.runsEnded)],
            "messages": ["accepted": Value(state.totals.accepted)],
            "uptimeMs": .int(max(0, now.duration(since: info.startedAt).milliseconds)),
        ]
    }

    private func trace(_ context: NodeRequestContext) throws -> Response {
        let id = try context.parameter("id")
        let spans = info.telemetry.spans.trace(id)
        guard !spans.isEmpty else {
            throw Problem.notFound("no spans of trace '\(id.prefix(40))' are kept here; they may be too old, or were not sampled")
        }
        return Response.json(["traceId": .string(id), "spans": .list(spans.map(\.value))])
    }

    // MARK: Events

    /// A list, or with `Accept: text/event-stream` (or `?follow=true`) what happens from now on, resumed after `Last-Event-ID`.
    private func events(_ request: Request) throws -> Response {
        let parameters = request.uri.queryParameters
        let after = try number(parameters["after"].map(String.init) ?? request.headers[.lastEventID])
        let wantsStream = request.headers[.accept]?.contains("text/event-stream") == true || parameters["follow"] == "true"
        guard wantsStream else {
            let limit = try request.limit()
            let events = after.map { info.telemetry.events.events(after: $0, limit: limit) } ?? info.telemetry.events.latest(limit)
            return info.list(events.map(\.value))
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

    private func number(_ text: String?) throws -> UInt64? {
        guard let text else { return nil }
        guard let number = UInt64(text) else { throw Problem.badRequest("invalid_event_id", "'\(text.prefix(40))' is no event number") }
        return number
    }
}
