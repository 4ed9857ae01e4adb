import Cells
import Primitives

/// Coordinators and workers in one table: what each is to the consensus, and what it is to placement.
enum NodesView {
    static let spec = ViewSpec(
        title: "nodes", rows: .remote { Views.list("/api/v1/nodes", $0, ["every": "1s"]) },
        columns: [
            .plain("NODE", "id", .flexible(12), rank: 0), .state("STATE", "state"), .plain("RAFT", "raft", .fixed(9)),
            takes, .plain("RUN", "running", .fixed(4), right: true), .plain("FREE", "free", .fixed(4), right: true),
            .plain("SLOTS", "slots", .fixed(5), right: true, rank: 2), .plain("LOAD", "load", .fixed(5), right: true, rank: 2),
            .plain("ROLE", "role", .fixed(18), rank: 3), .plain("VERSION", "version", .fixed(8), rank: 4),
            .age("SINCE", "since", path: "since", rank: 3),
        ],
        detail: { row, _ in facts(row) + [Line(), Line("enter: the tasks on it", .dim)] },
        open: { row, _ in row["id"]?.string.map { Place(.node, $0) } }, actions: actions, empty: "no node is known")

    private static let takes: ConsoleColumn = {
        var column = ConsoleColumn("TAKES", "standing", .fixed(12), rank: 0) { row, _ in Words.plain(row["standing"]) }
        column.state = { row in row["standing"]?.string ?? "" }
        return column
    }()

    static func facts(_ row: Value) -> [Line] {
        var lines = [
            Line.fact("node", Words.oneLine(Words.plain(row["id"])), .bright), .fact("role", Words.oneLine(Words.plain(row["role"]))),
            .fact("version", Words.oneLine(Words.plain(row["version"]))), .fact("address", Words.oneLine(Words.plain(row["address"]))),
            .fact("http", Words.oneLine(Words.plain(row["http"]))), .fact("since", Words.oneLine(Words.plain(row["since"]))),
        ]
        if row["standing"]?.string != nil {
            lines += [
                .fact("runs", "\(Words.plain(row["running"])), \(Words.plain(row["free"])) of \(Words.plain(row["slots"])) slots free"),
                .fact("heard", row["heardMs"]?.int == nil ? "-" : "\(Words.milliseconds(row["heardMs"])) ago"),
                .fact("clock", row["clockOffsetMs"]?.int.map { "\($0) ms from the leader's" } ?? "-"),
            ]
        }
        if row["drain"]?.map != nil { lines.append(.fact("drain", NodesText.progress(row), .warning)) }
        return lines
    }

    private static func action(
        _ action: KeyAction, _ title: String, _ arguments: @escaping @Sendable (String) -> [String],
        refusal: @escaping @Sendable (Value) -> String?
    ) -> ActionSpec {
        ActionSpec(action: action, title: title) { row in
            guard let id = row["id"]?.string else { return .failure(.init(reason: "this is no node")) }
            if let reason = refusal(row) { return .failure(.init(reason: "\(id) \(reason)")) }
            return .success(arguments(id))
        }
    }

    private static func isAway(_ row: Value) -> String? {
        guard row["standing"]?.string == nil else { return nil }
        return row["role"]?.string?.contains("worker") == true ? "is not with the leader" : "takes no tasks"
    }

    static let actions = [
        action(.cordon, "cordon", { ["nodes", "cordon", $0] }) { isAway($0) ?? ($0["cordoned"] == true ? "is cordoned already" : nil) },
        action(.uncordon, "uncordon", { ["nodes", "uncordon", $0] }) { isAway($0) ?? ($0["cordoned"] == true ? nil : "is not cordoned") },
        // What waits is seen in the view itself.
        action(.drain, "drain", { ["nodes", "drain", $0, "--no-wait"] }) { row in
            row["raft"]?.string == "leader" ? nil : isAway(row)
        },
    ]
}
