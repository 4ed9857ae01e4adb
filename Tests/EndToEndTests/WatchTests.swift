import Foundation
import Operator
import Primitives
import Testing
import Text

/// Streams of changes: a window or a thing once, then what is new; lines as they come; heartbeats; an end (Watching.swift).
struct WatchTests {
    private static let transform: Value = ["use": "transform@1", "with": ["value": 1]]
    private static let quick: (String, String?) = ("every", "100ms")

    private func started(_ folder: TemporaryFolder) async throws -> RunningNode {
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let waiting: Value = ["use": "wait@1", "with": ["duration": "1h"]]
        try await node.apply(pair("good", Self.transform) + pair("bad", script("exit 1")) + pair("open", waiting))
        return node
    }

    private func run(_ name: String, on node: RunningNode, times: Int = 1) async throws {
        for _ in 0..<times { _ = try await node.ended(try await node.submit(name)) }
    }

    // MARK: Lists

    @Test(arguments: ["", "state", "-created,workflow"])
    func `a watched list sends its window, then only what changed, and is always what the list would say`(sort: String) async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        try await run("good", on: node, times: 3)
        let window: [(String, String?)] = [("window", "1:4"), ("sort", sort), ("filter", "!state=failed")]
        var view = WatchedRows()
        var hasActed = false
        let heard = try await node.listen("/api/v1/runs", window + [Self.quick]) { heard in
            guard let last = heard.last, last.name == "rows" else { return false }
            view.take(last.value)
            guard hasActed else {
                hasActed = true
                #expect(view.ids.count == 2 && view.total == 3 && view.matched == 3 && view.offset == 1)
                try await run("bad", on: node, times: 2)
                _ = try await node.submit("open")
                try await run("good", on: node, times: 2)
                return false
            }
            return view.shows(try await node.client.get("/api/v1/runs", window))
        }
        #expect(view.total == 8 && view.matched == 6 && view.ids.count == 4)
        #expect(view.repeated == 0)
        let fresh = try await node.client.get("/api/v1/runs", window)
        #expect(view.shows(fresh))
        #expect(heard.first?.value["ids"]?.list?.count == 2)
    }

    @Test func `a row that changes in its place comes alone, without the order`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let first = try await node.submit("open")
        let second = try await node.submit("open")
        var view = WatchedRows()
        let heard = try await node.listen("/api/v1/tasks", [("window", "0:10"), ("sort", "id"), Self.quick]) { heard in
            guard let last = heard.last, last.name == "rows" else { return false }
            view.take(last.value)
            if heard.count == 1 { _ = try await node.client.post("/api/v1/runs/\(second):cancel", body: [:]) }
            return view.rows["\(second).only"]?["state"]?.string == "cancelled"
        }
        let changes = heard.filter { $0.name == "rows" }
        try #require(changes.count == 2)
        #expect(changes[0].value["rows"]?.list?.count == 2 && changes[0].value["ids"]?.list?.count == 2)
        #expect(changes[1].value["ids"] == nil)
        #expect(changes[1].value["rows"]?.list?.compactMap { $0["id"]?.string } == ["\(second).only"])
        #expect(view.rows["\(first).only"]?["state"]?.string == "waiting")
        let fresh = try await node.client.get("/api/v1/tasks", [("window", "0:10"), ("sort", "id")])
        #expect(view.shows(fresh))
    }

    @Test func `a list of which nothing changes is sent once`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        try await run("good", on: node, times: 2)
        for path in ["runs", "tasks", "messages", "workflows"] {
            let heard = try await node.listen("/api/v1/\(path)", [Self.quick]) { $0.last?.isBeat == true }
            #expect(heard.map(\.name) == ["rows", ""], "\(path)")
        }
    }

    @Test func `rows of one name in two namespaces are two rows, and are sent once too`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let definitions = JSONWriter.bytes(.list(pair("good", Self.transform)))
        let applied = try await node.client.send("POST", "/api/v1/workflows", [("namespace", "shop")], body: definitions)
        #expect(applied.status == 200)
        for space in ["default", "shop"] {
            let body = JSONWriter.bytes(["id": "m-1", "type": "good", "data": 1])
            let answer = try await node.client.send("POST", "/api/v1/messages", [("namespace", space)], body: body)
            #expect(answer.status == 202)
            _ = try await node.ended(try #require(answer.value["runs"]?.list?.first?.string))
        }
        for (path, filter) in [("messages", "type=good"), ("workflows", "name=good"), ("rules:stats", "set=good")] {
            // How often a rule is asked changes by itself.
            let isStill = path != "rules:stats"
            let heard = try await node.listen("/api/v1/\(path)", [("filter", filter), Self.quick]) { heard in
                !isStill || heard.last?.isBeat == true || heard.count > 8
            }
            let first = try #require(heard.first)
            let ids = first.value["ids"]?.list ?? []
            #expect(first.value["rows"]?.list?.count == 2, "\(path)")
            #expect(ids.count == 2 && ids.first != ids.last, "\(path): \(ids)")
            if isStill { #expect(heard.map(\.name) == ["rows", ""], "\(path)") }
        }
    }

    // MARK: Things

    @Test func `a watched thing is sent as it is, and again when it is otherwise`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let id = try await node.submit("open")
        let heard = try await node.listen("/api/v1/runs/\(id)", [Self.quick]) { heard in
            if heard.count == 1 { _ = try await node.client.post("/api/v1/runs/\(id):cancel", body: [:]) }
            return heard.last?.value["state"]?.string == "cancelled"
        }
        let values = heard.filter { $0.name == "value" }
        #expect(values.map { $0.value["state"]?.string } == ["running", "cancelled"])
        let fresh = try await node.client.get("/api/v1/runs/\(id)")
        #expect(values.last?.value == fresh)
        let still = try await node.listen("/api/v1/runs/\(id)", [Self.quick]) { $0.last?.isBeat == true }
        #expect(still.map(\.name) == ["value", ""])
    }

    @Test func `the status follows what happens`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let heard = try await node.listen("/api/v1/cluster/status", [Self.quick]) { heard in
            if heard.count == 1 { _ = try await node.submit("open") }
            return heard.last?.value.at("runs", "open")?.int == 1
        }
        #expect(heard.first?.value.at("runs", "open")?.int == 0)
        #expect(heard.last?.value.at("messages", "accepted")?.int == 1)
    }

    @Test func `whatever a console shows can be watched`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let id = try await node.submit("good")
        let ended = try await node.ended(id)
        let message = try #require(ended["messageId"]?.string)
        let trace = try #require(ended["traceId"]?.string)
        let paths = [
            "cluster/status", "cluster/nodes", "gossip/members", "raft/status", "runs", "runs/\(id)", "tasks", "tasks/\(id).only",
            "messages", "messages/\(message)/why", "rules", "rules/good", "rules:stats", "workflows", "workflows/good", "traces",
            "traces/\(trace)", "metrics/recent", "logs", "events",
        ]
        for path in paths {
            let answer = try raw(node.url, "GET", "/api/v1/\(path)?watch=true")
            #expect(answer.status == 200, "\(path)")
            #expect(answer.headers["content-type"] == "text/event-stream", "\(path)")
            let heard = try await node.listen("/api/v1/\(path)") { _ in true }
            let name = heard.first?.name ?? "nothing"
            #expect(["rows", "value", "lines"].contains(name), "\(path) sent \(name)")
        }
    }

    @Test func `what is not there is refused before the stream begins`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let nobody = "00000000-0000-0000-0000-000000000000"
        for path in ["runs/\(nobody)", "tasks/\(nobody).only", "messages/nope/why", "rules/nope", "workflows/nope", "traces/nope"] {
            let answer = try raw(node.url, "GET", "/api/v1/\(path)?watch=true")
            #expect(answer.status == 404, "\(path)")
            #expect(answer.headers["content-type"] == "application/problem+json", "\(path)")
        }
    }

    // MARK: Lines

    @Test func `events come as they happen, after those that a view begins with`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let heard = try await node.listen("/api/v1/events", [Self.quick]) { heard in
            if heard.count == 1 { try await run("bad", on: node) }
            return heard.last?.value.items.contains { $0["kind"]?.string == "run.failed" } == true
        }
        let lines = heard.filter { $0.name == "lines" }
        let numbers = lines.flatMap { $0.value.items.compactMap { $0["seq"]?.int } }
        let listed = try await node.client.get("/api/v1/events", [("limit", "1000")]).items
        #expect(numbers == listed.prefix(numbers.count).compactMap { $0["seq"]?.int })
        #expect(lines.allSatisfy { $0.value["missed"] == 0 })
        #expect(lines.first?.value.items.first?["kind"]?.string == "node.started")
        #expect(lines.last?.value["last"]?.int == numbers.last)
    }

    @Test func `of events only those come that the filter names`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        try await run("bad", on: node)
        var hasActed = false
        let heard = try await node.listen("/api/v1/events", [("filter", "kind~^task"), ("after", "0"), Self.quick]) { heard in
            if !hasActed { try await run("bad", on: node) }
            hasActed = true
            return heard.flatMap { $0.value.items }.count >= 2
        }
        let kinds = heard.flatMap { $0.value.items.compactMap { $0["kind"]?.string } }
        #expect(kinds == ["task.failed", "task.failed"])
        #expect(heard.filter { $0.name == "lines" }.allSatisfy { $0.value["missed"] == 0 })
    }

    @Test func `lines that do not fit are counted: what is shown and what is missed are all`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        try await run("bad", on: node, times: 3)
        for path in ["events", "logs"] {
            // Numbers of log lines begin anew, and higher, with every process.
            let all = try await node.client.get("/api/v1/\(path)", [("limit", "1000")]).items
            let before = try #require(all.first?["seq"]?.int) - 1
            for limit in [1, 2, 1000] {
                let query: [(String, String?)] = [("after", "0"), ("limit", "\(limit)"), Self.quick]
                let heard = try await node.listen("/api/v1/\(path)", query) { _ in true }
                let first = try #require(heard.first)
                #expect(first.name == "lines", "\(path)")
                let (shown, missed) = (first.value.items, first.value["missed"]?.int ?? -1)
                let last = try #require(first.value["last"]?.int)
                #expect(Int64(shown.count) + missed == last - before, "\(path), limit \(limit)")
                #expect(shown.count <= limit && shown.last?["seq"]?.int == last, "\(path), limit \(limit)")
            }
        }
    }

    @Test func `a node that was started again has missed no events of its own`() async throws {
        let folder = try TemporaryFolder()
        #expect(try await started(folder).stop() == 0)
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        for query in [[Self.quick], [("after", "0"), Self.quick]] as [[(String, String?)]] {
            let heard = try await node.listen("/api/v1/events", query) { _ in true }
            #expect(heard.first?.value["missed"] == 0, "\(query)")
            #expect(heard.first?.value.items.first?["kind"]?.string == "node.started", "\(query)")
        }
    }

    @Test func `log lines are filtered by level and words, and come as they are written`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let all = try await node.client.get("/api/v1/logs").items
        try #require(!all.isEmpty)
        #expect(all.contains { $0["message"]?.string == "ready" })
        let first = try #require(all.first?["seq"]?.int)
        #expect(all.compactMap { $0["seq"]?.int } == Array(first..<first + Int64(all.count)))
        for line in all { for key in ["time", "level", "label"] { #expect(line[key]?.string?.isEmpty == false, "\(line)") } }
        let none = try await node.client.get("/api/v1/logs", [("level", "critical")]).items
        #expect(none.isEmpty)
        let ready = try await node.client.get("/api/v1/logs", [("filter", "message=ready level=info")]).items
        #expect(ready.map { $0["message"]?.string } == ["ready"])
        let newest = try await node.client.get("/api/v1/logs", [("limit", "1")]).items
        #expect(newest.count == 1 && newest.first == all.last)
        let heard = try await node.listen("/api/v1/logs", [("level", "warning"), ("after", "0"), Self.quick]) { heard in
            if heard.count == 1 { try await run("bad", on: node) }
            return heard.contains { $0.name == "lines" }
        }
        let lines = heard.flatMap { $0.value.items }
        #expect(!lines.isEmpty && lines.allSatisfy { ["warning", "error"].contains($0["level"]?.string) }, "\(lines)")
    }

    // MARK: Ends and bounds

    @Test func `a quiet stream beats, however seldom it may speak`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        for path in ["runs", "logs"] {
            let heard = try await node.listen("/api/v1/\(path)", [("every", "60s")]) { heard in
                heard.suffix(2).allSatisfy(\.isBeat) && heard.count >= 2
            }
            #expect(heard.count == 3 && heard.suffix(2).allSatisfy(\.isBeat), "\(path): \(heard.map(\.name))")
        }
    }

    @Test func `streams end when the node stops, and do not hold it up`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let seldom = try RawConnection(node.url)
        try seldom.send("GET", "/api/v1/logs?watch=true&every=60s")
        #expect(seldom.read { $0.contains("\r\n\r\n") }.contains("200 OK"))
        let heard = try await node.listen("/api/v1/cluster/status") { heard in
            if heard.count == 1 { node.process.terminate() }
            return false
        }
        #expect(heard.first?.name == "value")
        // The last chunk of a body that ended well.
        #expect(seldom.read { $0.hasSuffix("0\r\n\r\n") }.hasSuffix("0\r\n\r\n"))
        node.process.waitUntilExit()
        #expect(node.process.terminationStatus == 0)
    }

    @Test func `beyond so many streams one more is refused, until another ends`() async throws {
        let folder = try TemporaryFolder()
        let node = try await started(folder)
        let path = "/api/v1/raft/status?watch=true"
        var streams: [RawConnection] = []
        for number in 1...256 {
            let stream = try RawConnection(node.url)
            try stream.send("GET", path)
            try #require(stream.read { $0.contains("\r\n\r\n") }.contains("200 OK"), "stream \(number)")
            streams.append(stream)
        }
        let refused = try raw(node.url, "GET", path)
        #expect(refused.status == 503)
        #expect(refused.value["code"]?.string == "busy")
        #expect(refused.value["detail"]?.string == "256 streams are open already")
        #expect(refused.headers["retry-after"] != nil)
        let metrics = try raw(node.url, "GET", "/metrics").body
        #expect(metrics.contains("\ndistric_watch_streams 256"))
        #expect(metrics.contains("\ndistric_watch_refused_total 1"))
        // What is asked once is answered all the same.
        #expect(try raw(node.url, "GET", "/api/v1/raft/status").status == 200)
        streams.removeAll()
        let again = try await eventually {
            Value(try raw(node.url, "GET", path).status)
        } until: {
            $0 == 200
        }
        #expect(again == 200)
    }
}
