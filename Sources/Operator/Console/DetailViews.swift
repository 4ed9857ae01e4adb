import Cells
import Primitives
import Text

/// The views of one thing.
enum DetailViews {
    static let node = ViewSpec(
        title: "node", rows: .remote { Views.list("/api/v1/tasks", $0, ["filter": "worker=\(RowFilter.quoted($0.subject))"]) },
        value: { _ in Views.statusFeed }, columns: Views.tasks.columns,
        header: { value, context in
            guard let member = (value?["members"]?.list ?? []).first(where: { $0["id"]?.string == context.subject }) else {
                return value == nil ? [] : [.fact("node", "\(context.subject) is not in touch with the cluster now", .warning), Line()]
            }
            var lines = [
                Line.fact("node", Words.plain(member["id"]), .bright), .fact("role", Words.plain(member["role"])),
                .fact("up", Words.age(member["startedAt"], now: context.now)),
                .fact("slots", "\(Words.plain(member["running"])) of \(Words.plain(member["slots"])) in use"),
            ]
            for part in value?["health"]?.list ?? [] {
                lines.append(
                    .fact(
                        Words.plain(part["name"]), "\(Words.plain(part["status"])): \(Words.oneLine(Words.plain(part["reason"])))", .warning
                    ))
            }
            return lines + [Line()]
        }, detail: { row, context in RunLines.task(row, context) }, open: { row, _ in row["id"]?.string.map { Place(.task, $0) } },
        actions: RunActionSpecs.task, empty: "no task ran here lately")

    // MARK: Why

    static let message = ViewSpec(
        title: "message", rows: .local { value, _ in RowList(messageRows(value)) },
        value: { FeedKey(.value, "/api/v1/messages/\(NodeClient.escaped($0.subject))/why", ["namespace": $0.namespace]) },
        columns: [
            .plain("WHAT", "what", .fixed(5), rank: 0), .plain("NAME", "name", .flexible(18), rank: 0), .state("STATE", "state"),
            .plain("WHY", "why", .flexible(26), rank: 0),
        ],
        header: { value, context in
            guard let value else { return [] }
            var lines = [
                Line.fact("message", Words.plain(value["id"]), .bright),
                .fact("type", Words.plain(value["type"])) + Line("   from ", .dim) + Line(Words.oneLine(Words.plain(value["source"]))),
                .fact("accepted", "\(Words.plain(value["acceptedAt"])) (\(Words.age(value["acceptedAt"], now: context.now)) ago)"),
            ]
            if value["matchedByCatalog"] != value["catalogVersion"] {
                lines.append(
                    .fact(
                        "note",
                        "matched by catalog \(Words.plain(value["matchedByCatalog"])), explained by \(Words.plain(value["catalogVersion"]))",
                        .warning))
            }
            return lines + [.fact("data", Words.oneLine(JSONWriter.text(value.at("message", "data") ?? .null), limit: 400)), Line()]
        },
        detail: { row, _ in WhyLines.rule(row) },
        open: { row, place in
            switch row["what"]?.string {
            case "run": row["id"]?.string.map { Place(.run, $0) }
            case "rule": row["id"]?.string.map { Place(.rule, $0, namespace: place.namespace) }
            default: nil
            }
        }, actions: [])

    private static func messageRows(_ value: Value) -> [Value] {
        let runs = (value["runs"]?.list ?? []).map { run -> Value in
            let id = run["id"]?.string ?? run.string ?? ""
            return .object([
                "id": .string(id), "what": "run", "name": .string("\(Words.shortID(id)) \(Words.plain(run["workflow"]))"),
                "state": run["state"] ?? "", "why": run["rule"].map { .string("started by \(Words.plain($0))") } ?? "",
            ])
        }
        let rules = (value["rules"]?.list ?? []).map { rule -> Value in
            guard case .map(var fields) = rule else { return rule }
            fields["id"] = rule["rule"]
            fields["what"] = "rule"
            fields["name"] = rule["rule"]
            fields["state"] = rule["matched"]?.bool == true ? "yes" : "no"
            fields["why"] = .string(WhyLines.sentence(rule))
            return .map(fields)
        }
        return runs + rules.filter { $0["state"]?.string == "yes" } + rules.filter { $0["state"]?.string != "yes" }
    }

    static let rule = ViewSpec(
        title: "rule",
        rows: .remote { Views.list("/api/v1/messages", $0, ["filter": "matched:\(RowFilter.quoted($0.subject))"]) },
        value: { place in
            let set = place.subject.split(separator: "/").first.map(String.init) ?? place.subject
            return FeedKey(.value, "/api/v1/rules/\(NodeClient.escaped(set))", ["namespace": place.namespace, "every": "1s"])
        }, columns: Views.messages.columns,
        header: { value, context in RuleLines.header(value, context) }, detail: Views.messages.detail, open: Views.messages.open,
        empty: "no message that is kept matched it")

    static let workflow = ViewSpec(
        title: "workflow",
        rows: .remote { Views.list("/api/v1/runs", $0, ["workflow": $0.subject, "namespace": $0.namespace]) },
        value: { FeedKey(.value, "/api/v1/workflows/\(NodeClient.escaped($0.subject))", ["namespace": $0.namespace]) },
        columns: Views.runColumns.filter { $0.title != "WORKFLOW" },
        header: { value, _ in
            guard let definition = value?["definition"] else { return [] }
            return [
                .fact("workflow", Words.plain(definition.at("metadata", "name")), .bright)
                    + Line("   label ", .dim) + Line(Words.plain(definition.at("metadata", "version")))
                    + Line("   catalog ", .dim) + Line(Words.plain(value?["version"])), Line(),
            ]
        }, graph: { TaskGraph(definition: $0["definition"] ?? .null) },
        detail: { row, context in RunLines.facts(row, context) }, open: { row, _ in row["id"]?.string.map { Place(.run, $0) } },
        source: { row, _ in Views.message(of: row) }, actions: RunActionSpecs.run, empty: "no run of it is kept")

    // MARK: Runs, tasks, traces

    static let run = ViewSpec(
        title: "run", rows: .local { value, _ in RowList(value.at("tasks", "items")?.list ?? []) },
        value: { FeedKey(.value, "/api/v1/runs/\(NodeClient.escaped($0.subject))", ["every": "200ms"]) }, columns: Views.taskColumns,
        header: { value, context in value.map { RunLines.header($0, context) } ?? [] }, graph: { TaskGraph(run: $0) },
        detail: { row, context in RunLines.task(row, context) }, open: { row, _ in row["id"]?.string.map { Place(.task, $0) } },
        source: { _, value in value.flatMap { Views.message(of: $0) } }, actions: RunActionSpecs.task)

    static let task = ViewSpec(
        title: "task", rows: .local { value, _ in RowList(value["attempts"]?.list ?? []) }, idKey: "attempt",
        value: { FeedKey(.value, "/api/v1/tasks/\(NodeClient.escaped($0.subject))", ["every": "500ms"]) },
        columns: [
            .plain("ATTEMPT", "attempt", .fixed(7), rank: 0), .state("STATE", "state"), .plain("WORKER", "worker", .fixed(12), rank: 2),
            ConsoleColumn("BEGAN", "startedAt", .fixed(8), rank: 2) { row, _ in Words.clock(row["startedAt"]) },
            ConsoleColumn("TOOK", "durationMs", .fixed(7), right: true) { row, _ in Words.milliseconds(row["durationMs"]) },
            ConsoleColumn("LOG", "logBytes", .fixed(7), right: true) { row, _ in
                row["logBytes"] == .null ? "-" : Words.count(row["logBytes"]) + "B"
            },
            .plain("ERROR", "error", .flexible(16)),
        ], header: { value, context in value.map { RunLines.taskHeader($0, context) } ?? [] },
        detail: { row, context in RunLines.log(row, context) },
        open: { row, _ in row["traceId"]?.string.map { Place(.trace, $0) } },
        source: { _, value in value.flatMap { Views.message(of: $0) } },
        actions: RunActionSpecs.task, empty: "no attempt was made yet")

    static let trace = ViewSpec(
        title: "trace", rows: .local { value, _ in SpanTree.rows(value["spans"]?.list ?? []) }, idKey: "spanId",
        value: { FeedKey(.value, "/api/v1/traces/\(NodeClient.escaped($0.subject))", ["every": "1s"]) },
        columns: {
            var bar = ConsoleColumn("TIME LINE", "", .flexible(20), rank: 0) { _, _ in "" }
            bar.bar = { row in
                guard let from = row["from"]?.number, let to = row["to"]?.number else { return nil }
                return (from, to, SpanTree.role(row))
            }
            return [
                ConsoleColumn("SPAN", "name", .flexible(22), rank: 0) { row, _ in
                    String(repeating: "  ", count: min(8, Int(row["depth"]?.int ?? 0))) + Words.oneLine(Words.plain(row["name"]))
                }, ConsoleColumn("TOOK", "durationMs", .fixed(7), right: true, rank: 0) { row, _ in Words.milliseconds(row["durationMs"]) },
                ConsoleColumn("HELD UP", "criticalMs", .fixed(7), right: true, rank: 2) { row, _ in
                    row["criticalMs"] == nil ? "" : Words.milliseconds(row["criticalMs"])
                }, bar, .plain("ERROR", "error", .fixed(20), rank: 3),
            ]
        }(),
        header: { value, context in SpanTree.header(value, context) }, detail: { row, context in SpanTree.detail(row, context) },
        open: { row, place in
            var logs = Place(.logs)
            logs.subject = "\(place.subject.prefix(32))"
            return logs
        }, empty: "no span is kept")
}
