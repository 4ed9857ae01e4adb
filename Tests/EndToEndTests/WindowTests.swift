import Foundation
import Operator
import Primitives
import Testing

/// Lists by `filter`, `sort` and `window`: the right rows, the right numbers, and words for what is wrong (Window.swift).
struct WindowTests {
    private static let transform: Value = ["use": "transform@1", "with": ["value": 1]]

    /// A node with five `good` runs that succeeded, three `bad` ones that failed, and four `open` ones that wait.
    private func filled(_ folder: TemporaryFolder) async throws -> RunningNode {
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let waiting: Value = ["use": "wait@1", "with": ["duration": "1h"]]
        try await node.apply(pair("good", Self.transform) + pair("bad", script("exit 1")) + pair("open", waiting))
        for name in ["good", "open", "bad", "good", "open", "good", "bad", "open", "good", "bad", "open", "good"] {
            _ = try await node.submit(name)
        }
        let status = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "ended")?.int == 8
        }
        #expect(status.at("runs", "ended")?.int == 8)
        return node
    }

    private func ask(_ node: RunningNode, _ path: String, _ query: (String, String)...) async throws -> Value {
        try await node.client.get("/api/v1/\(path)", query.map { ($0.0, $0.1) })
    }

    private func texts(_ answer: Value, _ key: String) -> [String] { answer.items.compactMap { $0[key]?.string } }

    // MARK: Windows

    /// Lists with what names their rows, and whether these stay as they are while nothing happens.
    private static let lists: [(path: String, key: String, isStill: Bool)] = [
        ("runs", "id", true), ("tasks", "id", true), ("messages", "id", true), ("workflows", "name", true), ("rules", "name", true),
        ("rules:stats", "id", false), ("traces", "traceId", true), ("metrics/recent", "id", false), ("cluster/nodes", "id", false),
        ("gossip/members", "id", true),
    ]

    @Test func `windows side by side are the whole list`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        for (path, key, isStill) in Self.lists {
            let whole = try await ask(node, path, ("window", "0:1000"))
            let ids = texts(whole, key)
            #expect(!ids.isEmpty && Set(ids).count == ids.count, "\(path)")
            #expect(whole["total"] == Value(ids.count), "\(path)")
            #expect(whole["matched"] == Value(ids.count), "\(path)")
            for size in [4, 50] {
                var found: [Value] = []
                for offset in stride(from: 0, to: ids.count, by: size) {
                    let part = try await ask(node, path, ("window", "\(offset):\(size)"))
                    #expect(part["offset"] == Value(offset), "\(path) at \(offset)")
                    #expect(part["total"] == whole["total"], "\(path) at \(offset)")
                    #expect(part.items.count == min(size, ids.count - offset), "\(path) at \(offset)")
                    found += part.items
                }
                #expect(found.compactMap { $0[key]?.string } == ids, "\(path) by \(size)")
                if isStill { #expect(found == whole.items, "\(path) by \(size)") }
            }
            let beyond = try await ask(node, path, ("window", "\(ids.count):10"))
            #expect(beyond.items.isEmpty, "\(path)")
            #expect(beyond["total"] == whole["total"], "\(path)")
            #expect(beyond["offset"] == Value(ids.count), "\(path)")
        }
        // Without a window there are fifty rows at most, and the pages by cursor are the same rows.
        let pages = try await ask(node, "runs", ("limit", "1000"))
        let windows = try await ask(node, "runs", ("window", "0:1000"))
        #expect(pages.items == windows.items)
        #expect(pages["total"] == nil)
    }

    @Test func `a window goes with its anchor, wherever that has gone`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        for path in ["runs", "tasks", "messages"] {
            let key = path == "messages" ? "rowKey" : "id"
            let before = try await ask(node, path, ("window", "0:1000")).items.compactMap { $0[key]?.string }
            // One that has ended: open runs come before all others.
            let anchor = before[6]
            func around(_ before: Int, _ more: (String, String)...) async throws -> Value {
                try await node.client.get(
                    "/api/v1/\(path)", [("window", "0:4"), ("anchor", anchor), ("before", "\(before)")] + more.map { ($0.0, $0.1) })
            }
            let there = try await around(2)
            #expect(there["offset"] == 4 && there.items.compactMap { $0[key]?.string } == Array(before[4..<8]), "\(path)")
            #expect(try await around(9)["offset"] == 0, "\(path)")
            // New rows come above it; it stays where it is looked at.
            for _ in 0..<3 { _ = try await node.ended(try await node.submit("good")) }
            let moved = try await around(2)
            #expect(moved.items.dropFirst(2).first?[key]?.string == anchor, "\(path)")
            #expect(moved["offset"]?.int ?? 0 > 4, "\(path)")
            let filtered = try await around(0, ("filter", "!nothing"), ("sort", key == "id" ? "id" : "accepted"))
            #expect(filtered.items.first?[key]?.string == anchor, "\(path)")
            // Gone, or never there: the window as it was asked for.
            let lost = try await node.client.get("/api/v1/\(path)", [("window", "2:4"), ("anchor", "nobody"), ("before", "2")])
            #expect(lost["offset"] == 2, "\(path)")
        }
        #expect(try await node.client.send("GET", "/api/v1/runs", [("window", "0:4"), ("anchor", "a"), ("before", "-1")]).status == 400)
    }

    @Test func `a window far beyond any list is answered, and the node lives on`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        for offset in ["1000000", "2305843009213693952", "4611686018427387904", "9223372036854774807", "9223372036854775807"] {
            for path in ["runs", "tasks", "messages", "rules:stats", "workflows", "traces", "metrics/recent"] {
                let answer = try await node.client.send("GET", "/api/v1/\(path)", [("window", "\(offset):1000")])
                #expect(answer.status == 200 || answer.status == 400, "\(path) at \(offset)")
                #expect(answer.value.items.isEmpty, "\(path) at \(offset)")
            }
        }
        #expect(node.process.isRunning)
    }

    // MARK: Filters

    private static let filters: [(path: String, filter: String, matched: Int, total: Int)] = [
        ("runs", "", 12, 12), ("runs", "state=failed", 3, 12), ("runs", "state!=failed", 9, 12), ("runs", "!state=succeeded", 7, 12),
        ("runs", "workflow:op", 4, 12), ("runs", "ms>=0", 8, 12), ("runs", "state=failed workflow=bad", 3, 12),
        ("runs", "state=failed workflow=good", 0, 12), ("runs", "rule=open/start", 4, 12), ("runs", "type~^g", 5, 12),
        ("runs", "good", 5, 12), ("runs", "/b.d.start/", 3, 12), ("runs", "\"no such words\"", 0, 12), ("tasks", "kind~^exec", 3, 12),
        ("tasks", "state=waiting", 4, 12), ("tasks", "reason=timer", 4, 12), ("tasks", "attempt>=1 kind=exec@1", 3, 12),
        ("tasks", "error:exit", 3, 12), ("tasks", "task=only", 12, 12), ("messages", "type=good", 5, 12),
        ("messages", "matched:bad/start", 3, 12), ("messages", "runs>=1", 12, 12), ("messages", "runs>1", 0, 12),
        ("rules:stats", "hits>=4", 2, 3), ("rules:stats", "set=bad", 1, 3), ("rules:stats", "evaluations=12", 3, 3),
        ("rules:stats", "state=live", 3, 3), ("workflows", "open>0", 1, 3), ("workflows", "name:o", 2, 3), ("workflows", "tasks=1", 3, 3),
    ]

    @Test func `a filter keeps the rows that it names, and counts them`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        for (path, filter, matched, total) in Self.filters {
            let answer = try await ask(node, path, ("filter", filter), ("window", "0:100"))
            #expect(answer["matched"] == Value(matched), "\(path) \(filter)")
            #expect(answer["total"] == Value(total), "\(path) \(filter)")
            #expect(answer.items.count == matched, "\(path) \(filter)")
        }
        let failed = try await ask(node, "runs", ("filter", "state=failed"))
        #expect(Set(texts(failed, "state")) == ["failed"] && Set(texts(failed, "workflow")) == ["bad"])
        // What parameters of their own name narrow is the list; the filter looks at what is left.
        let narrowed = try await ask(node, "runs", ("state", "failed,succeeded"), ("filter", "workflow=good"))
        #expect(narrowed["total"] == 8)
        #expect(narrowed["matched"] == 5)
        let elsewhere = try await ask(node, "messages", ("namespace", "shop"), ("window", "0:10"))
        #expect(elsewhere["total"] == 0)
        #expect(elsewhere.items.isEmpty)
    }

    @Test func `metrics and traces are filtered like any list`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let accepted = try await ask(node, "metrics/recent", ("filter", "id=distric_messages_accepted_total"), ("points", "3"))
        #expect(accepted["matched"] == 1)
        let row = try #require(accepted.items.first)
        #expect(row["value"] == 12)
        #expect(row["kind"] == "counter")
        #expect(row["p50"] == .null)
        #expect(row["rate"]?.number ?? -1 >= 0)
        #expect((row["recent"]?.list?.count ?? 99) <= 3)
        let attempts = try await ask(node, "metrics/recent", ("filter", "name=distric_task_attempt_duration_seconds"), ("points", "0"))
        let histogram = try #require(attempts.items.first)
        #expect(histogram["kind"] == "histogram")
        #expect(histogram["p99"]?.number ?? 0 > 0)
        #expect(histogram["recent"] == nil)
        let gauges = try await ask(node, "metrics/recent", ("filter", "kind=gauge"), ("window", "0:1000"))
        #expect(Set(texts(gauges, "kind")) == ["gauge"])
        #expect(gauges.items.allSatisfy { $0["rate"] == .null })
        let traces = try await ask(node, "traces", ("filter", "name:messages"), ("window", "0:1000"))
        #expect(traces["matched"] == 12)
        #expect(Set(texts(traces, "name")) == ["POST /api/v1/messages"])
        #expect(traces.items.allSatisfy { $0["spans"]?.int ?? 0 >= 3 })
        let failed = try await ask(node, "traces", ("filter", "error:exit"), ("window", "0:1000"))
        #expect(failed["matched"] == 3)
    }

    // MARK: Order

    @Test func `rows are ordered by their keys, and equal ones stay as the list has them`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let whole = try await ask(node, "runs", ("window", "0:100")).items
        func grouped(_ key: String, _ order: [String]) -> [Value] { order.flatMap { word in whole.filter { $0[key]?.string == word } } }
        let rising = try await ask(node, "runs", ("sort", "state"))
        #expect(rising.items == grouped("state", ["failed", "running", "succeeded"]))
        let falling = try await ask(node, "runs", ("sort", "-state"))
        #expect(falling.items == grouped("state", ["succeeded", "running", "failed"]))
        let window = try await ask(node, "runs", ("sort", "-state"), ("window", "3:4"))
        #expect(window.items == Array(falling.items[3..<7]))
        #expect(window["total"] == 12)
        #expect(window["matched"] == 12)
        #expect(window["offset"] == 3)
        let kept = try await ask(node, "runs", ("sort", "-state"), ("filter", "!state=running"), ("window", "4:3"))
        #expect(kept.items == Array(grouped("state", ["succeeded", "failed"])[4..<7]))
        #expect(kept["matched"] == 8)
        let two = try await ask(node, "runs", ("sort", "workflow,-created"))
        #expect(texts(two, "workflow") == ["bad", "good", "open"].flatMap { name in texts(two, "workflow").filter { $0 == name } })
        for name in ["bad", "good", "open"] {
            let times = two.items.filter { $0["workflow"]?.string == name }.compactMap { $0["createdAt"]?.string }
            #expect(zip(times, times.dropFirst()).allSatisfy { $0 >= $1 }, "\(name): \(times)")
        }
        // What has no value comes last, whatever the direction.
        for order in ["ms", "-ms"] {
            let states = texts(try await ask(node, "runs", ("sort", order)), "state")
            #expect(states.suffix(4).allSatisfy { $0 == "running" } && states.count == 12, "\(order): \(states)")
        }
        let plain = try await ask(node, "runs", ("sort", ""))
        #expect(plain.items == whole)
    }

    @Test func `numbers are ordered as numbers`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let rules = try await ask(node, "rules:stats", ("sort", "-hits"))
        #expect(texts(rules, "set") == ["good", "open", "bad"])
        #expect(rules.items.map { $0["hits"] } == [5, 4, 3])
        for row in rules.items {
            #expect(row["evaluations"]?.int == 12)
            #expect(row["errors"]?.int == 0)
            #expect(row["lastHit"]?.string != nil)
        }
        let metrics = try await ask(node, "metrics/recent", ("sort", "-value"), ("window", "0:20"))
        let values = metrics.items.compactMap { $0["value"]?.number }
        #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 })
        let workflows = try await ask(node, "workflows", ("sort", "-open,name"))
        #expect(texts(workflows, "name") == ["open", "bad", "good"])
        #expect(workflows.items.map { $0["open"] } == [4, 0, 0])
    }

    // MARK: Refusals

    private static let refused: [(path: String, query: [(String, String)], code: String, says: String)] = [
        ("runs", [("sort", "creatd")], "invalid_column", "no column 'creatd'; did you mean 'created'?"),
        ("runs", [("filter", "stat=failed")], "invalid_column", "did you mean 'state'?"),
        ("runs", [("filter", "good !wrkflow=x")], "invalid_column", "did you mean 'workflow'?"),
        ("runs", [("filter", "zzzzzz=1")], "invalid_column", "no column 'zzzzzz'; there are id, workflow, state"),
        ("tasks", [("filter", "attmpt>1")], "invalid_column", "did you mean 'attempt'?"),
        ("messages", [("sort", "-typ")], "invalid_column", "did you mean 'type'?"),
        ("rules:stats", [("sort", "id,-hitss")], "invalid_column", "did you mean 'hits'?"),
        ("metrics/recent", [("sort", "valu")], "invalid_column", "did you mean 'value'?"),
        ("traces", [("filter", "nam=x")], "invalid_column", "did you mean 'name'?"),
        ("workflows", [("filter", "namespac=x")], "invalid_column", "did you mean 'namespace'?"),
        ("events", [("filter", "knd=x"), ("watch", "true")], "invalid_column", "no column 'knd'; did you mean 'kind'?"),
        ("runs", [("filter", "/(/")], "invalid_filter", "of the filter"),
        ("runs", [("filter", "\"open")], "invalid_filter", "the quotation is not closed (at character 1 of the filter)"),
        ("runs", [("filter", "good !")], "invalid_filter", "'!' needs something to turn round (at character 6 of the filter)"),
        ("runs", [("filter", "state>")], "invalid_filter", "'state>' needs a value"),
        ("runs", [("filter", String(repeating: "a", count: 1001))], "invalid_filter", "at most 1000 bytes"),
        ("logs", [("filter", "/[/")], "invalid_filter", "of the filter"),
        ("runs", [("sort", "a,b,c")], "invalid_sort", "one or two columns"),
        ("runs", [("sort", ",")], "invalid_sort", "one or two columns"), ("runs", [("sort", "-")], "invalid_sort", "one or two columns"),
        ("runs", [("window", "")], "invalid_window", "offset:count"), ("runs", [("window", "5")], "invalid_window", "offset:count"),
        ("runs", [("window", "a:b")], "invalid_window", "offset:count"), ("runs", [("window", "-1:5")], "invalid_window", "offset:count"),
        ("runs", [("window", "0:0")], "invalid_window", "1 to 1000"), ("runs", [("window", "0:1001")], "invalid_window", "1 to 1000"),
        ("runs", [("window", "1:2:3")], "invalid_window", "offset:count"), ("runs", [("window", ":5")], "invalid_window", "offset:count"),
        ("runs", [("window", "0:99999999999999999999")], "invalid_window", "offset:count"),
        ("runs", [("filter", "good"), ("limit", "0")], "invalid_limit", "1 to 1000"),
        ("runs", [("state", "runing"), ("window", "0:5")], "invalid_state", "did you mean 'running'?"),
        ("runs", [("namespace", "A B"), ("window", "0:5")], "invalid_namespace", "namespace"),
        ("metrics/recent", [("points", "301")], "invalid_points", "up to 300"),
        ("metrics/recent", [("points", "-1")], "invalid_points", "up to 300"),
        ("metrics/recent", [("points", "many")], "invalid_points", "up to 300"),
        ("logs", [("level", "loud")], "invalid_level", "'loud' is none of trace"),
        ("logs", [("after", "x")], "invalid_event_id", "no event number"),
        ("runs", [("watch", "true"), ("every", "1ms")], "invalid_every", "100ms to 60s"),
        ("runs", [("watch", "true"), ("every", "2m")], "invalid_every", "100ms to 60s"),
        ("cluster/status", [("watch", "true"), ("every", "soon")], "invalid_every", "100ms to 60s"),
        ("runs", [("watch", "true"), ("sort", "creatd")], "invalid_column", "did you mean 'created'?"),
    ]

    @Test func `what is wrong in a question is said, with what was probably meant`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        for (path, query, code, says) in Self.refused {
            let answer = try await node.client.send("GET", "/api/v1/\(path)", query.map { ($0.0, $0.1) })
            #expect(answer.status == 400, "\(path) \(query): \(answer.value)")
            #expect(answer.value["code"]?.string == code, "\(path) \(query): \(answer.value)")
            let detail = answer.value["detail"]?.string ?? ""
            #expect(detail.contains(says), "\(path) \(query): \(detail)")
        }
        #expect(node.process.isRunning)
    }
}
