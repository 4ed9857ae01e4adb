import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// A node whose log files are small, and which may start what a Linux machine has.
let smallNode = ["--set", "raft.segment_bytes=1MiB", "--set", "worker.grace=300ms", "--allow-exec", "/usr/bin/*,/bin/*"]

/// A workflow of one task, and the rule that starts it for messages of the type of the same name.
func pair(_ name: String, _ task: Value) -> [Value] {
    [
        ["apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": .string(name)], "tasks": ["only": task]],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": .string(name)],
            "rules": [
                [
                    "id": "start", "when": ["field": "type", "operator": "equals", "value": .string(name)],
                    "actions": [["workflow": .string(name)]],
                ]
            ],
        ],
    ]
}

/// A task that runs a shell script.
func script(_ text: String, attempt: Value = "10s") -> Value {
    ["use": "exec@1", "with": ["command": ["/bin/sh", "-c", .string(text)]], "timeout": ["attempt": attempt]]
}

extension RunningNode {
    func apply(_ definitions: [Value]) async throws {
        _ = try await client.post("/api/v1/workflows", body: .list(definitions))
    }

    /// Submits a message of this type; the id of its first run.
    func submit(_ type: String, _ data: Value = .null) async throws -> String {
        let answer = try await client.post("/api/v1/messages", body: ["type": .string(type), "data": data])
        return try #require(answer["runs"]?.list?.first?.string)
    }

    /// The run once it has ended.
    func ended(_ run: String) async throws -> Value {
        try await eventually {
            try await client.get("/api/v1/runs/\(run)")
        } until: {
            !["running", "held"].contains($0["state"]?.string)
        }
    }

    /// The end of a run that such a script gives.
    func outcome(of task: Value, _ name: String) async throws -> Value {
        try await apply(pair(name, task))
        return try await ended(try await submit(name))
    }
}

extension Value {
    /// The first task of a run.
    var firstTask: Value { at("tasks", "items")?.list?.first ?? .null }
    var items: [Value] { self["items"]?.list ?? [] }
}

/// From an empty folder to runs that ended, by the commands that the README shows.
struct WalkTests {
    @Test func `init, node, rules apply, messages submit: every run ends well`() async throws {
        let folder = try TemporaryFolder()
        let demo = folder.path + "/demo"
        #expect(try distric(["init", demo]).code == 0)
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let applied = try node.distric("rules", "apply", demo + "/rules", demo + "/workflows")
        #expect(applied.code == 0, "\(applied.err)")
        #expect(applied.out.hasSuffix("catalog version 1 is in force\n"))
        let lines = try String(contentsOfFile: demo + "/messages.ndjson", encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 1000)
        let some = lines.prefix(150).joined(separator: "\n")
        let submitted = try node.distric("messages", "submit", "-", "-o", "json", input: some)
        #expect(submitted.code == 0, "\(submitted.err)")
        let summary = try JSONScanner.parse(submitted.out)
        let (accepted, unmatched) = (summary["accepted"]?.int ?? 0, summary["unmatched"]?.int ?? 0)
        #expect(accepted > 20)
        #expect(accepted + unmatched == 150)
        #expect(summary["refused"]?.int == 0)
        let status = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "open")?.int == 0
        }
        #expect(status.at("runs", "open")?.int == 0)
        #expect(status.at("runs", "ended")?.int == summary["runs"]?.int)
        let listed = try node.distric("runs", "list", "--limit", "1000", "-o", "json")
        #expect(listed.code == 0)
        let runs = try #require(try JSONScanner.parse(listed.out).list)
        #expect(runs.count == Int(summary["runs"]?.int ?? 0))
        #expect(Set(runs.map { $0["state"]?.string }) == ["succeeded"])
        #expect(Set(runs.compactMap { $0["workflow"]?.string }) == ["order-fulfilment", "payment-review", "sensor-alarm"])
        #expect(node.stop() == 0)
    }

    /// Every command that asks a node, with what its table must hold. RUN, MESSAGE and TRACE stand for ids.
    private static let asking: [(words: [String], holds: String)] = [
        (["status"], "leader   n1"), (["health"], "storage"), (["nodes"], "coordinator,worker"), (["raft"], "leader"),
        (["messages", "list"], "hello"), (["messages", "show", "MESSAGE"], "hello/start"), (["rules", "list"], "hello"),
        (["rules", "show", "hello"], "kind: RuleSet"), (["workflows", "list"], "hello"),
        (["workflows", "show", "hello"], "kind: Workflow"),
        (["runs", "list"], "succeeded"), (["runs", "list", "--state", "succeeded", "--workflow", "hello"], "1/1"),
        (["runs", "show", "RUN"], "hello/start"), (["tasks", "list", "--workflow", "hello"], "exec@1"),
        (["tasks", "show", "RUN.only"], "exec@1"),
        (["events"], "node.started"), (["traces", "list"], "POST /api/v1/messages"), (["traces", "show", "TRACE"], "rules.match"),
    ]

    private func walked(_ folder: TemporaryFolder) async throws -> (RunningNode, [String: String]) {
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("hello", script("echo hello; echo aside >&2")))
        let id = try await node.submit("hello")
        let ended = try await node.ended(id)
        #expect(ended["state"]?.string == "succeeded")
        let trace = try #require(ended["traceId"]?.string)
        return (node, ["RUN": id, "MESSAGE": try #require(ended["messageId"]?.string), "TRACE": trace])
    }

    private func filled(_ words: [String], _ names: [String: String]) -> [String] {
        words.map { word in names.reduce(word) { $0.replacingOccurrences(of: $1.key, with: $1.value) } }
    }

    @Test func `every command prints a table for people`() async throws {
        let folder = try TemporaryFolder()
        let (node, names) = try await walked(folder)
        for (words, holds) in Self.asking {
            let finished = try distric(filled(words, names) + ["--connect", node.url])
            #expect(finished.code == 0, "\(words): \(finished.err)")
            #expect(finished.out.contains(holds), "\(words): \(finished.out)")
            #expect(finished.err.isEmpty, "\(words): \(finished.err)")
        }
        let metrics = try node.distric("metrics", "messages_accepted")
        #expect(metrics.code == 0)
        #expect(metrics.out.split(separator: "\n").allSatisfy { $0.contains("messages_accepted") })
        let log = try node.distric("tasks", "logs", "\(names["RUN"] ?? "").only")
        #expect(log.code == 0)
        #expect(Set(log.out.split(separator: "\n")) == ["hello", "aside"])
    }

    @Test func `every command prints JSON for programs`() async throws {
        let folder = try TemporaryFolder()
        let (node, names) = try await walked(folder)
        for (words, _) in Self.asking {
            let finished = try distric(filled(words, names) + ["-o", "json", "--connect", node.url])
            #expect(finished.code == 0, "\(words): \(finished.err)")
            let value = try JSONScanner.parse(finished.out)
            #expect(value.list?.isEmpty != true && value != .null, "\(words): \(finished.out)")
        }
    }

    @Test func `lists come in every format`() async throws {
        let folder = try TemporaryFolder()
        let (node, names) = try await walked(folder)
        let id = try #require(names["RUN"])
        func list(_ format: String) throws -> [Substring] {
            let finished = try node.distric("runs", "list", "-o", format)
            #expect(finished.code == 0, "\(format): \(finished.err)")
            return finished.out.split(separator: "\n")
        }
        #expect(try list("name") == [Substring(id)])
        #expect(try list("csv").first == "ID,WORKFLOW,STATE,TASKS,CREATED,MS,RULE,MESSAGE,ERROR")
        #expect(try list("csv").last?.hasPrefix("\(id),hello,succeeded,1/1,") == true)
        #expect(try list("tsv").last?.split(separator: "\t").count == 9)
        #expect(try list("jsonl").count == 1)
        #expect(try JSONScanner.parse(String(try #require(try list("jsonl").first)))["id"]?.string == id)
        #expect(try list("yaml").first?.hasPrefix("- id: ") == true)
        #expect(try list("wide").first?.contains("MESSAGE") == true)
        #expect(try list("table").first?.contains("MESSAGE") == false)
    }

    @Test func `runs watch exits by how the run ended`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("good", script("echo 1")) + pair("bad", script("echo broken >&2; exit 3")))
        let good = try node.distric("runs", "watch", try await node.submit("good"))
        #expect(good.code == 0)
        #expect(good.out.hasSuffix("only succeeded\nrun succeeded\n"), "\(good.out)")
        let bad = try node.distric("runs", "watch", try await node.submit("bad"))
        #expect(bad.code == 1)
        #expect(bad.out.contains("only failed: exit code 3: broken\n"), "\(bad.out)")
        #expect(bad.err.hasPrefix("distric: run "))
    }

    @Test func `a run can be cancelled once, and its program ends`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("long", script("echo $$ > \(folder.path)/pid; exec sleep 30", attempt: "60s")))
        let id = try await node.submit("long")
        let text = try await eventually {
            .string((try? String(contentsOfFile: folder.path + "/pid", encoding: .utf8)) ?? "")
        } until: {
            $0.string?.hasSuffix("\n") == true
        }
        let pid = try #require(pid_t(text.string?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""))
        let cancelled = try node.distric("runs", "cancel", id)
        #expect(cancelled.code == 0)
        #expect(cancelled.out == "run \(id) cancelled\n")
        #expect(try await node.ended(id)["state"]?.string == "cancelled")
        let gone = try await eventually {
            .bool(kill(pid, 0) != 0)
        } until: {
            $0 == true
        }
        #expect(gone == true)
        let again = try node.distric("runs", "cancel", id)
        #expect(again.code == 1)
        #expect(again.err == "distric: run \(id) has ended as cancelled\n")
    }

    @Test func `definitions are replaced, shown as written, and removed`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("one", script("true")))
        let file = folder.path + "/two.json"
        try JSONWriter.text(.list(pair("two", script("true")))).write(toFile: file, atomically: true, encoding: .utf8)
        let applied = try node.distric("workflows", "apply", file)
        #expect(applied.out == "Workflow default/two applied\nRuleSet default/two applied\ncatalog version 2 is in force\n")
        let checked = try distric(["rules", "validate", file, "--connect", node.url])
        #expect(checked.code == 0, "\(checked.err)")
        #expect(checked.out.hasPrefix("2 definitions valid, against the catalog of "))
        let shown = try node.distric("workflows", "show", "two", "-o", "json")
        #expect(try JSONScanner.parse(shown.out) == pair("two", script("true"))[0])
        // A workflow that a rule starts stays as long as the rule.
        #expect(try node.distric("workflows", "delete", "two").code == 65)
        #expect(try node.distric("rules", "delete", "two").out == "two removed; catalog version 3 is in force\n")
        #expect(try node.distric("workflows", "delete", "two").code == 0)
        #expect(try node.distric("workflows", "list", "-o", "name").out == "one\n")
    }

    @Test func `a message's second copy is acknowledged and not run again`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("once", script("echo ran >> \(folder.path)/effects")))
        let body: Value = ["id": "m-1", "source": "/shop", "type": "once", "data": 1]
        let first = try await node.client.send("POST", "/api/v1/messages", body: JSONWriter.bytes(body))
        #expect(first.status == 202)
        #expect(first.value["duplicate"]?.bool == false)
        let id = try #require(first.value["runs"]?.list?.first?.string)
        #expect(try await node.ended(id)["state"]?.string == "succeeded")
        let second = try await node.client.send("POST", "/api/v1/messages", body: JSONWriter.bytes(body))
        #expect(second.status == 202)
        #expect(second.value["duplicate"]?.bool == true)
        #expect(second.value["runs"] == [.string(id)])
        let line = JSONWriter.text(body) + "\n"
        let third = try node.distric("messages", "submit", "-", "-o", "json", input: line + line)
        #expect(try JSONScanner.parse(third.out)["duplicate"]?.int == 2)
        // Another source is another message.
        let other = try await node.client.post("/api/v1/messages", body: ["id": "m-1", "source": "/else", "type": "once", "data": 1])
        let otherID = try #require(other["runs"]?.list?.first?.string)
        #expect(otherID != id)
        #expect(try await node.ended(otherID)["state"]?.string == "succeeded")
        #expect(try String(contentsOfFile: folder.path + "/effects", encoding: .utf8) == "ran\nran\n")
    }

    @Test func `a duplicate is known after kill -9 too`() async throws {
        let folder = try TemporaryFolder()
        var node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("once", script("true")))
        let body: Value = ["id": "m-1", "type": "once", "data": 1]
        let first = try await node.client.post("/api/v1/messages", body: body)
        node.crash()
        node = try RunningNode(data: folder.path + "/data", smallNode)
        let second = try await node.client.post("/api/v1/messages", body: body)
        #expect(second["duplicate"]?.bool == true)
        #expect(second["runs"] == first["runs"])
    }

    @Test func `a submission that loses its node says where to go on, and a second one completes it`() async throws {
        let folder = try TemporaryFolder()
        var node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("line", ["use": "transform@1", "with": ["value": 1]]))
        let lines = (1...100).map { "{\"id\":\"k-\($0)\",\"type\":\"line\",\"data\":1}\n" }.joined()
        let words = ["messages", "submit", "-", "--rate", "50", "--connect", node.url]
        async let submission = Task.detached { try run(Built.distric, words, input: lines) }.value
        let before = try await eventually {
            try await node.client.get("/api/v1/cluster/status").at("messages", "accepted") ?? .null
        } until: {
            ($0.int ?? 0) > 0
        }
        node.crash()
        let lost = try await submission
        #expect(lost.code == 69, "\(lost.err)")
        #expect(lost.err.contains(" accepted ("), "\(lost.err)")
        #expect(lost.err.contains("; go on from -:"), "\(lost.err)")
        node = try RunningNode(data: folder.path + "/data", smallNode)
        let again = try node.distric("messages", "submit", "-", "-o", "json", input: lines)
        #expect(again.code == 0, "\(again.err)")
        let summary = try JSONScanner.parse(again.out)
        #expect(summary["duplicate"]?.int ?? 0 >= before.int ?? 100)
        #expect((summary["accepted"]?.int ?? 0) + (summary["duplicate"]?.int ?? 0) == 100)
        #expect(try await node.client.get("/api/v1/cluster/status").at("messages", "accepted")?.int == 100)
    }

    @Test func `pages of messages follow each other without gap or repeat`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("page", ["use": "transform@1", "with": ["value": 1]]))
        let lines = (1...7).map { "{\"id\":\"p-\($0)\",\"type\":\"page\",\"data\":1}\n" }.joined()
        #expect(try node.distric("messages", "submit", "-", input: lines).code == 0)
        var seen: [String] = []
        var cursor: [String] = []
        for _ in 0..<4 {
            let page = try distric(["messages", "list", "--limit", "2", "-o", "name", "--connect", node.url] + cursor)
            #expect(page.code == 0)
            seen += page.out.split(separator: "\n").map(String.init)
            guard let next = page.err.split(separator: " ").last, page.err.hasPrefix("more: --cursor ") else { break }
            cursor = ["--cursor", next.trimmingCharacters(in: .newlines)]
        }
        #expect(seen == (1...7).reversed().map { "p-\($0)" })
    }

    @Test func `open runs are all on some page`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("open", ["use": "wait@1", "with": ["duration": "1h"]]))
        var expected: Set<String> = []
        for _ in 0..<7 { expected.insert(try await node.submit("open")) }
        var seen: [String] = []
        var cursor: String?
        for _ in 0..<5 {
            let page = try await node.client.get("/api/v1/runs", [("limit", "3"), ("cursor", cursor)])
            seen += page.items.compactMap { $0["id"]?.string }
            cursor = page["next"]?.string
            if cursor == nil { break }
        }
        #expect(seen.count == 7)
        #expect(Set(seen) == expected)
    }

    @Test func `SIGTERM and SIGINT let a task end that needs less than the grace`() async throws {
        let folder = try TemporaryFolder()
        var arguments = smallNode
        arguments[3] = "worker.grace=5s"
        for signal in [SIGTERM, SIGINT] {
            let data = folder.path + "/data-\(signal)"
            var node = try RunningNode(data: data, arguments)
            try await node.apply(pair("short", script("touch \(folder.path)/began-\(signal); sleep 0.4; echo done")))
            let id = try await node.submit("short")
            _ = try await eventually {
                .bool(access("\(folder.path)/began-\(signal)", F_OK) == 0)
            } until: {
                $0 == true
            }
            kill(node.process.processIdentifier, signal)
            node.process.waitUntilExit()
            #expect(node.process.terminationStatus == 0)
            node = try RunningNode(data: data, arguments)
            let ended = try await node.ended(id)
            #expect(ended["state"]?.string == "succeeded")
            #expect(ended.firstTask["attempt"]?.int == 1)
        }
    }

    @Test func `a node with followers of its events stops within its grace`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let stream = try RawConnection(node.url)
        try stream.send("GET", "/api/v1/events", ["Accept: text/event-stream"])
        #expect(stream.read { $0.contains(": events of n1") }.contains("200 OK"))
        try await node.apply(pair("open", ["use": "wait@1", "with": ["duration": "1h"]]))
        let poll = try RawConnection(node.url)
        try poll.send("GET", "/api/v1/runs/\(try await node.submit("open"))?wait=60s")
        let began = ContinuousClock.now
        #expect(node.stop() == 0)
        #expect(ContinuousClock.now - began < .seconds(5))
    }

    @Test func `namespaces keep rules apart`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let file = folder.path + "/shop.json"
        try JSONWriter.text(.list(pair("sale", ["use": "transform@1", "with": ["value": 1]]))).write(
            toFile: file, atomically: true, encoding: .utf8)
        #expect(try node.distric("rules", "apply", file, "-n", "shop").out.hasPrefix("Workflow shop/sale applied\n"))
        let message = "{\"id\":\"s-1\",\"type\":\"sale\",\"data\":1}"
        let elsewhere = try node.distric("messages", "submit", "-", "-o", "json", input: message)
        #expect(try JSONScanner.parse(elsewhere.out)["unmatched"]?.int == 1)
        let here = try node.distric("messages", "submit", "-", "-o", "json", "-n", "shop", input: message)
        #expect(try JSONScanner.parse(here.out)["accepted"]?.int == 1)
        #expect(try node.distric("messages", "show", "s-1", "-n", "shop").code == 0)
        #expect(try node.distric("runs", "list", "-n", "default", "-o", "name").out.isEmpty)
        #expect(try node.distric("runs", "list", "-n", "shop", "-o", "name").out.split(separator: "\n").count == 1)
    }
}
