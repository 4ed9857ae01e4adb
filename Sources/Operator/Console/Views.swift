import Cells
import Primitives
import Text

/// The views as tables: what each shows, where it leads, what can be done.
enum Views {
    static func spec(_ view: View) -> ViewSpec { all[view] ?? ViewSpec(title: view.rawValue) }

    private static let all: [View: ViewSpec] = [
        .pulse: ViewSpec(title: "pulse"), .help: ViewSpec(title: "help"), .output: ViewSpec(title: "output"), .nodes: NodesView.spec,
        .raft: RaftView.spec, .raftLog: RaftLogView.spec,
        .gossip: GossipView.spec, .connections: connections,
        .messages: messages, .rules: rules, .workflows: workflows, .runs: runs, .tasks: tasks,
        .traces: traces,
        .metrics: metrics, .logs: logs, .events: events, .node: DetailViews.node, .message: DetailViews.message, .rule: DetailViews.rule,
        .workflow: DetailViews.workflow, .run: DetailViews.run, .task: DetailViews.task, .trace: DetailViews.trace,
    ]

    static let statusFeed = FeedKey(.value, "/api/v1/cluster/status", ["every": "1s"])
    static let demoFeed = FeedKey(.value, "/api/v1/demo", ["every": "1s"])
    static let raftFeed = FeedKey(.value, "/api/v1/raft/status", ["every": "1s"])

    /// A list's feed: what is filtered and sorted there is not done here.
    static func list(_ path: String, _ place: Place, _ more: KeyValuePairs<String, String> = [:]) -> FeedKey {
        var key = FeedKey(.rows, path, more)
        let filter = place.highlights ? "" : place.filter
        if !filter.isEmpty {
            if let at = key.parameters.firstIndex(where: { $0.name == "filter" }) {
                key.parameters[at].value += " " + filter
            } else {
                key.parameters.append(.init(name: "filter", value: filter))
            }
        }
        if !place.order.keys.isEmpty { key.parameters.append(.init(name: "sort", value: place.order.text)) }
        return key
    }

    // MARK: Who is there

    static let connections = ViewSpec(
        title: "connections", rows: .remote { list("/api/v1/rpc/connections", $0) },
        columns: [
            .plain("FROM", "id", .flexible(16), rank: 0), .plain("NODE", "node", .fixed(12)),
            .plain("CALLS", "calls", .fixed(9), right: true),
            .plain("IDLE MS", "idleMs", .fixed(8), right: true, rank: 2), .plain("IDENTITY", "identity", .flexible(14), rank: 2),
            .plain("SOFTWARE", "software", .fixed(20), rank: 3), .plain("PROTOCOL", "protocol", .fixed(8), rank: 3),
        ], empty: "nobody is connected for calls; 'distric ping ADDRESS' is, for a while")

    // MARK: Messages and rules

    static let messages = ViewSpec(
        title: "messages", rows: .remote { list("/api/v1/messages", $0) },
        columns: [
            .age("AGE", "accepted", path: "acceptedAt", rank: 0), .plain("ID", "id", .flexible(16), rank: 0),
            .plain("TYPE", "type", .fixed(18)), .plain("SOURCE", "source", .fixed(16), rank: 3),
            .plain("MATCHED", "matched", .flexible(14)),
            ConsoleColumn("RUNS", "runs", .fixed(4), right: true, rank: 2) { row, _ in String(row["runs"]?.list?.count ?? 0) },
        ],
        detail: { row, _ in Words.json(row["message"] ?? .null) },
        open: { row, _ in row["id"]?.string.map { Place(.message, $0, namespace: row["namespace"]?.string ?? "") } },
        empty: "no message was accepted yet; ':messages submit FILE' sends some")

    static let rules = ViewSpec(
        title: "rules", rows: .remote { list("/api/v1/rules:stats", $0, ["every": "1s"]) },
        columns: [
            .plain("RULE", "id", .flexible(18), rank: 0), .state("STATE", "state"),
            ConsoleColumn("EVAL/S", "evaluationsPerSecond", .fixed(7), right: true) { row, _ in Words.count(row["evaluationsPerSecond"]) },
            ConsoleColumn("HIT/S", "hitsPerSecond", .fixed(6), right: true) { row, _ in Words.count(row["hitsPerSecond"]) },
            ConsoleColumn("HIT%", "hitPercent", .fixed(6), right: true, rank: 0) { row, _ in Words.plain(row["hitPercent"]) },
            .spark("LAST 30 S", "recent", 15),
            ConsoleColumn("HITS", "hits", .fixed(7), right: true, rank: 2) { row, _ in Words.count(row["hits"]) },
            ConsoleColumn("ERR", "errors", .fixed(4), right: true) { row, _ in Words.plain(row["errors"]) },
            ConsoleColumn("TIME", "latencyUs", .fixed(7), right: true, rank: 3) { row, _ in
                row["latencyUs"]?.number.map { Words.count($0) + "us" } ?? "-"
            },
            .age("LAST", "lastHit", path: "lastHit"), .plain("STARTS", "workflows", .flexible(12), rank: 4),
        ],
        open: { row, _ in row["id"]?.string.map { Place(.rule, $0, namespace: row["namespace"]?.string ?? "") } },
        actions: DefinitionActionSpecs.rules, empty: "no rule is in force; ':rules apply FILE' adds some")

    static let workflows = ViewSpec(
        title: "workflows", rows: .remote { list("/api/v1/workflows", $0) }, idKey: "name",
        columns: [
            .plain("WORKFLOW", "name", .flexible(18), rank: 0), .plain("NAMESPACE", "namespace", .fixed(12), rank: 3),
            .plain("LABEL", "label", .fixed(8), rank: 2), .plain("TASKS", "tasks", .fixed(5), right: true),
            .plain("OPEN", "open", .fixed(6), right: true), .plain("CATALOG", "version", .fixed(7), right: true, rank: 2),
        ],
        open: { row, _ in row["name"]?.string.map { Place(.workflow, $0, namespace: row["namespace"]?.string ?? "") } },
        actions: DefinitionActionSpecs.workflows, empty: "no workflow is in force; ':workflows apply FILE' adds some")

    // MARK: Runs and tasks

    static let runColumns: [ConsoleColumn] = [
        ConsoleColumn("RUN", "id", .fixed(10), rank: 0) { row, _ in Words.shortID(Words.plain(row["id"])) },
        .plain("WORKFLOW", "workflow", .flexible(14), rank: 0), .state("STATE", "state"),
        ConsoleColumn("TASKS", "tasks", .fixed(6), right: true) { row, _ in RunText.tasks(row) },
        .age("AGE", "created", path: "createdAt"),
        ConsoleColumn("TOOK", "ms", .fixed(6), right: true) { row, _ in Words.milliseconds(row["durationMs"]) },
        .plain("RULE", "rule", .fixed(20), rank: 3), .plain("MESSAGE", "message", .fixed(16), path: "messageId", rank: 4),
        .plain("ERROR", "error", .flexible(10), path: "error.message", rank: 2),
    ]

    static let runs = ViewSpec(
        title: "runs", rows: .remote { list("/api/v1/runs", $0) }, columns: runColumns,
        detail: { row, context in RunLines.facts(row, context) }, open: { row, _ in row["id"]?.string.map { Place(.run, $0) } },
        source: { row, _ in message(of: row) }, actions: RunActionSpecs.run, empty: "no run yet")

    static func message(of row: Value) -> Place? {
        row["messageId"]?.string.map { Place(.message, $0, namespace: row["namespace"]?.string ?? "") }
    }

    static let taskColumns: [ConsoleColumn] = [
        .plain("TASK", "task", .flexible(12), rank: 0), .state("STATE", "state"), .plain("KIND", "kind", .fixed(11), rank: 3),
        .plain("TRY", "attempt", .fixed(3), right: true, rank: 2), .plain("WORKER", "worker", .fixed(10), rank: 3),
        ConsoleColumn("TOOK", "ms", .fixed(6), right: true) { row, _ in Words.milliseconds(row["durationMs"]) },
        ConsoleColumn("WHY / RESULT", "error", .flexible(18)) { row, _ in RunLines.outcome(row) },
    ]

    static let tasks = ViewSpec(
        title: "tasks", rows: .remote { list("/api/v1/tasks", $0) },
        columns: [
            ConsoleColumn("RUN", "run", .fixed(10), rank: 2) { row, _ in Words.shortID(Words.plain(row["run"])) },
            .plain("WORKFLOW", "workflow", .flexible(12), rank: 1),
        ] + taskColumns + [.age("AGE", "queued", path: "queuedAt", rank: 2)],
        detail: { row, context in RunLines.task(row, context) }, open: { row, _ in row["id"]?.string.map { Place(.task, $0) } },
        actions: RunActionSpecs.task, empty: "no task yet")

    // MARK: Observability

    static let traces = ViewSpec(
        title: "traces", rows: .remote { list("/api/v1/traces", $0) }, idKey: "traceId",
        columns: [
            .age("AGE", "start", path: "start", rank: 0), .plain("ROOT", "name", .flexible(20), rank: 0),
            ConsoleColumn("TOOK", "durationMs", .fixed(7), right: true, rank: 0) { row, _ in Words.milliseconds(row["durationMs"]) },
            .plain("SPANS", "spans", .fixed(5), right: true),
            ConsoleColumn("TRACE", "traceId", .fixed(10), rank: 2) { row, _ in "…" + Words.plain(row["traceId"]).suffix(9) },
            .plain("ERROR", "error", .flexible(12), rank: 1),
        ], open: { row, _ in row["traceId"]?.string.map { Place(.trace, $0) } }, empty: "no trace was recorded yet")

    static let metrics = ViewSpec(
        title: "metrics", rows: .remote { list("/api/v1/metrics/recent", $0, ["points": "40", "every": "1s"]) },
        columns: [
            .plain("METRIC", "id", .flexible(30), rank: 0), .plain("KIND", "kind", .fixed(9), rank: 3),
            ConsoleColumn("VALUE", "value", .fixed(9), right: true, rank: 0) { row, _ in Words.count(row["value"]) },
            ConsoleColumn("/S", "rate", .fixed(8), right: true) { row, _ in Words.count(row["rate"]) },
            .spark("LAST 40 S", "recent", 20),
            ConsoleColumn("P50", "p50", .fixed(7), right: true, rank: 2) { row, _ in MetricLines.seconds(row["p50"]) },
            ConsoleColumn("P99", "p99", .fixed(7), right: true, rank: 2) { row, _ in MetricLines.seconds(row["p99"]) },
        ], detail: { row, context in MetricLines.chart(row, context) },
        detailFeed: { row in
            row["id"]?.string.map { id in
                FeedKey(
                    .rows, "/api/v1/metrics/recent", ["points": "300", "every": "1s", "filter": "id=\(RowFilter.quoted(id))"])
            }
        })

    static let logs = ViewSpec(
        title: "logs",
        rows: .lines { place in
            FeedKey(
                .lines, "/api/v1/logs",
                ["filter": [place.subject, place.highlights ? "" : place.filter].filter { !$0.isEmpty }.joined(separator: " ")])
        }, idKey: "seq", detail: { row, _ in Words.json(row) }, empty: "no line yet")

    static let events = ViewSpec(
        title: "events", rows: .lines { place in FeedKey(.lines, "/api/v1/events", ["filter": place.highlights ? "" : place.filter]) },
        idKey: "seq", detail: { row, _ in Words.json(row) }, open: { row, _ in EventTarget.place(row) }, empty: "no event yet")
}

/// Where an event's subject is shown.
enum EventTarget {
    static func place(_ event: Value) -> Place? {
        guard let kind = event["kind"]?.string, let subject = event["subject"]?.string else { return nil }
        if kind.hasPrefix("task.") { return Place(.task, subject) }
        if kind.hasPrefix("run.") { return Place(.run, subject) }
        if kind.hasPrefix("catalog.") { return Place(.rules) }
        if kind.hasPrefix("raft.") { return Place(.raft) }
        if kind.hasPrefix("node.") { return Place(.node, subject) }
        return nil
    }
}

/// What can be done with runs and tasks.
enum RunActionSpecs {
    private static func id(_ row: Value, _ keys: String...) -> String? { keys.lazy.compactMap { row[$0]?.string }.first }

    static let retry = ActionSpec(
        action: .retry, title: "retry run",
        command: { row in
            let state = row["runState"]?.string ?? row["state"]?.string ?? ""
            guard let run = id(row, "run", "id") else { return .failure(.init(reason: "this is no run")) }
            guard !["running", "held"].contains(state) || row["run"] != nil && row["runState"] == nil else {
                return .failure(.init(reason: "the run is still \(state)"))
            }
            return .success(["runs", "retry", run])
        },
        effect: { row in "A new run of \(Words.plain(row["workflow"])) begins with the same message; this one stays as it is." })

    static let cancel = ActionSpec(
        action: .cancel, title: "cancel run",
        command: { row in
            let state = row["runState"]?.string ?? row["state"]?.string ?? ""
            guard let run = id(row, "run", "id") else { return .failure(.init(reason: "this is no run")) }
            let isTask = row["run"] != nil
            guard isTask || ["running", "held"].contains(state) else { return .failure(.init(reason: "the run has ended as \(state)")) }
            return .success(["runs", "cancel", run])
        },
        effect: { row in "Attempts that run are ended, and no further task of this run of \(Words.plain(row["workflow"])) begins." })

    static let run = [retry, cancel]
    static let task = [retry, cancel]
}

/// What can be done with definitions.
enum DefinitionActionSpecs {
    static func delete(_ path: String, _ noun: String, _ name: @escaping @Sendable (Value) -> String?) -> ActionSpec {
        ActionSpec(
            action: .delete, title: "delete \(noun)",
            command: { row in
                guard let name = name(row) else { return .failure(.init(reason: "this has no name")) }
                let space = row["namespace"]?.string ?? "default"
                return .success([path, "delete", name] + (space == "default" ? [] : ["-n", space]))
            })
    }

    static let rules = [delete("rules", "rule set") { $0["set"]?.string }]
    static let workflows = [delete("workflows", "workflow") { $0["name"]?.string }]
}
