import Cells
import Foundation
import Primitives
import Testing
import Text

@testable import Operator

/// A node that is not there: it answers whatever a console asks for, always the same.
enum SampleNode {
    static let url = "http://127.0.0.1:8080"
    /// Those that show what a node sends.
    static let screens: [View] = View.top + [.node, .message, .rule, .workflow, .run, .task, .trace, .raftLog]
    static let views: [View] = screens + [.output]

    /// The way to a view as a person goes it.
    static func way(to view: View) -> [Place] {
        let run = SampleData.runID(SampleData.newest)
        switch view {
        case .node: return [Place(.nodes), Place(.node, "c-1")]
        case .message: return [Place(.messages), Place(.message, "order-4711", namespace: "default")]
        case .rule: return [Place(.rules), Place(.rule, "orders/big-order", namespace: "default")]
        case .workflow: return [Place(.workflows), Place(.workflow, "order-fulfil", namespace: "default")]
        case .run: return [Place(.runs), Place(.run, run)]
        case .task: return [Place(.runs), Place(.run, run), Place(.task, run + ".pick")]
        case .trace: return [Place(.traces), Place(.trace, SampleData.trace)]
        case .raftLog: return [Place(.raft), Place(.raftLog, "c-1")]
        case .output:
            var output = Place(.output, "distric status")
            output.text = (1...60).map { Line("line \($0) of what the command printed") }
            return [Place(.pulse), output]
        case .pulse, .nodes, .raft, .gossip, .connections, .messages, .rules, .workflows, .runs, .tasks, .traces, .metrics, .logs, .events,
            .help:
            return [Place(view)]
        }
    }

    /// A console that has asked for nothing yet.
    static func empty(_ view: View = .pulse, size: Size = Size(120, 40)) -> ConsoleState {
        var settings = ConsoleState.Settings(url: url, context: "demo")
        settings.commands = SampleCommands.index
        settings.themes = ["distric-dark", "distric-light", "mono"]
        var state = ConsoleState(settings: settings, size: size, now: SampleData.now)
        state.stack = way(to: view)
        state.names = ["runs": (0..<3).map { SampleData.runID(SampleData.newest - $0) }, "workflows": ["order-fulfil", "refund"]]
        return state
    }

    /// A console that has all that its view shows.
    static func state(_ view: View = .pulse, size: Size = Size(120, 40)) -> ConsoleState {
        var state = empty(view, size: size)
        feed(&state)
        return state
    }

    /// Answers what is wanted, and what the answers lead to.
    static func feed(_ state: inout ConsoleState, _ change: (FeedUpdate) -> FeedUpdate = { $0 }) {
        var asked: Set<FeedRequest> = []
        for _ in 0..<6 {
            let wanted = state.wantedFeeds.filter { asked.insert($0).inserted }
            if wanted.isEmpty { return }
            for request in wanted {
                // Lines come once; asked for again, they would come twice.
                if request.key.kind == .lines, state.feeds[request.key]?.lines.isEmpty == false { continue }
                _ = state.update(.feed(request.key, change(answer(request))))
            }
        }
    }

    static func answer(_ request: FeedRequest) -> FeedUpdate {
        let parts = request.key.path.split(separator: "/").dropFirst(2).map { String($0).removingPercentEncoding ?? "" }
        let name = parts.count > 1 ? parts[1] : nil
        switch parts.first ?? "" {
        case "cluster": return name == "status" ? .value(SampleData.status) : page(SampleData.members, request)
        case "gossip": return page(SampleData.members, request)
        case "nodes": return page(SampleNodes.all, request)
        case "raft" where name == "log": return SampleLog.window(request)
        case "raft": return name == "peers" ? page(SampleRaft.known, request) : .value(SampleRaft.well)
        case "rpc": return page(SampleData.connections, request)
        case "rules:stats": return page(SampleData.rules, request)
        case "rules": return .value(SampleData.ruleSet)
        case "metrics": return page(SampleData.metrics, request)
        case "logs": return lines(SampleData.logs, request)
        case "events": return lines(SampleData.events, request)
        case "messages":
            guard let name else { return page(SampleData.messages, request) }
            return .value(SampleData.why(name))
        case "workflows":
            guard let name else { return page(SampleData.workflows, request, id: "name") }
            return .value(SampleData.workflow(name))
        case "runs":
            guard let name else { return page(SampleData.runs, request) }
            return .value(SampleData.wholeRun(SampleData.number(of: name)))
        case "tasks":
            guard let name else { return page(SampleData.tasks, request) }
            return .value(SampleData.wholeTask(name))
        case "traces":
            guard let name else { return page(SampleData.traces, request, id: "traceId") }
            return .value(SampleData.spans(name))
        default: return .failed(CommandFailure(.failed, "no route GET \(request.key.path)"))
        }
    }

    // MARK: Lists as a node answers them

    private static func parameter(_ name: String, _ request: FeedRequest) -> String? {
        request.key.parameters.first { $0.name == name }?.value
    }

    private static func page(_ all: [Value], _ request: FeedRequest, id: String = "id") -> FeedUpdate {
        var rows = all
        if let workflow = parameter("workflow", request) { rows = rows.filter { $0["workflow"]?.string == workflow } }
        let total = rows.count
        do throws(RowFilter.Problem) {
            let filter = try RowFilter(parameter("filter", request) ?? "")
            rows = rows.filter { row in filter.matches(column: { column($0, of: row) }, text: { JSONWriter.text(row) }) }
        } catch {
            return .failed(CommandFailure(.badData, error.description))
        }
        if let order = parameter("sort", request).flatMap({ RowOrder($0) }) { rows = sorted(rows, by: order) }
        let shown = Array(rows.dropFirst(request.offset).prefix(max(1, request.count)))
        // What is unique over all namespaces comes before what is so in one.
        let ids = shown.map { $0["rowKey"]?.string ?? $0[id]?.string ?? "" }
        return .rows(total: total, matched: rows.count, offset: request.offset, ids: ids, rows: shown)
    }

    private static func lines(_ all: [Value], _ request: FeedRequest) -> FeedUpdate {
        do throws(RowFilter.Problem) {
            let filter = try RowFilter(parameter("filter", request) ?? "")
            return .lines(all.filter { line in filter.matches(column: { line[$0] }, text: { JSONWriter.text(line) }) }, missed: 0)
        } catch {
            return .failed(CommandFailure(.badData, error.description))
        }
    }

    /// What a column of a list is called where it is filtered and sorted, and where its value lies.
    static func column(_ name: String, of row: Value) -> Value? {
        switch name {
        case "created": row["createdAt"]
        case "accepted": row["acceptedAt"]
        case "queued": row["queuedAt"]
        case "ms": row["durationMs"]
        case "message": row["messageId"]
        case "error": row.at("error", "message") ?? row["error"]
        default: row[name]
        }
    }

    static func sorted(_ rows: [Value], by order: RowOrder) -> [Value] {
        let keyed = rows.enumerated().map { place, row in
            (place: place, row: row, keys: order.keys.map { column($0.column, of: row) ?? .null })
        }
        let found = keyed.sorted { left, right in
            for (place, key) in order.keys.enumerated() {
                switch RowOrder.precedes(left.keys[place], right.keys[place], descending: key.isDescending) {
                case .less: return true
                case .greater: return false
                case .equal, .unordered: continue
                }
            }
            return left.place < right.place
        }
        return found.map(\.row)
    }
}

// MARK: Hands on the keyboard

extension ConsoleState {
    /// Presses keys by the names that keys files use.
    @discardableResult
    mutating func hit(_ names: String...) -> [ConsoleEffect] {
        var effects: [ConsoleEffect] = []
        for name in names {
            guard let key = Key(name: name) else {
                Issue.record("'\(name)' is no key")
                continue
            }
            effects += update(.key(key))
        }
        return effects
    }

    /// Types a text, a character after the other.
    @discardableResult
    mutating func write(_ text: String) -> [ConsoleEffect] {
        var effects: [ConsoleEffect] = []
        for character in text { effects += update(.key(.character(character))) }
        return effects
    }

    /// A line of the palette, with Enter.
    @discardableResult
    mutating func command(_ line: String) -> [ConsoleEffect] {
        var effects = hit(":")
        effects += write(line)
        effects += hit("Enter")
        return effects
    }

    mutating func pass(_ duration: Duration) { _ = update(.tick(now.advanced(by: duration))) }

    var prompt: Prompt? { if case .prompt(let prompt) = mode { prompt } else { nil } }
    var dialog: Dialog? { if case .dialog(let dialog) = mode { dialog } else { nil } }
    /// Every row that is loaded.
    var loadedRows: [Value] {
        let rows = rows
        return (0..<rows.count).compactMap { rows.at($0) }
    }
    var screen: String { draw(theme: .plain).plain }
}
