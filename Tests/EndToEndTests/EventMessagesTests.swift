import Foundation
import Operator
import Primitives
import Testing
import Text

/// What happens in the cluster, as messages that rules act on (EventMessages.swift).
struct EventMessagesTests {
    /// A workflow that runs a script for events of a kind, and its rule.
    private func page(_ kind: String, _ text: String) -> [Value] {
        [
            [
                "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "page"],
                "tasks": ["only": script(text)],
            ],
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "page"],
                "rules": [
                    [
                        "id": "someone",
                        "when": [
                            "all": [
                                ["field": "source", "operator": "equals", "value": "distric"],
                                ["field": "type", "operator": "equals", "value": .string("distric.\(kind)")],
                            ]
                        ],
                        "actions": [["workflow": "page"]],
                    ]
                ],
            ],
        ]
    }

    private func started(_ folder: TemporaryFolder, _ more: [String] = []) throws -> RunningNode {
        try RunningNode(data: folder.path + "/data", smallNode + more)
    }

    private func pages(_ node: RunningNode, _ namespace: String = "default") async throws -> [Value] {
        let runs = try await node.client.get("/api/v1/runs?limit=1000&namespace=\(namespace)")["items"]?.list ?? []
        return runs.filter { $0["workflow"] == "page" }
    }

    /// What began a run.
    private func message(_ node: RunningNode, _ run: Value) async throws -> Value {
        try await node.client.get("/api/v1/messages/\(run["messageId"]?.string ?? "")")["message"] ?? .null
    }

    private func metric(_ node: RunningNode, _ name: String) throws -> Double {
        let line = try raw(node.url, "GET", "/metrics").body.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Double($0.split(separator: " ")[1].trimmingCharacters(in: .whitespaces)) } ?? .nan
    }

    @Test func `a run that fails starts what a rule says, with the event as its message`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(page("run.failed", "exit 0") + pair("bad", script("exit 3")))
        let failed = try await node.ended(try await node.submit("bad"))
        let run = try await eventually {
            try await pages(node).first ?? .null
        } until: {
            $0 != .null
        }
        let id = try #require(run["id"]?.string)
        let ended = try await node.ended(id)
        #expect(ended["state"] == "succeeded")
        let message = try await message(node, ended)
        #expect(message["source"] == "distric")
        #expect(message["type"] == "distric.run.failed")
        #expect(message["subject"] == failed["id"])
        #expect(message["data"]?["details"]?["workflow"] == "bad")
        #expect(message["data"]?["severity"] == "error")
        let index = try #require(message["data"]?["index"]?.int)
        #expect(index > 0)
        // The same as the event says, and the message is kept as others are.
        let events = try await node.client.get("/api/v1/events?limit=1000")["items"]?.list ?? []
        let event = try #require(events.first { $0["kind"] == "run.failed" })
        #expect(event["index"] == message["data"]?["index"])
        #expect(message["id"] == .string("distric-n1-\(event["seq"]?.int ?? 0)"))
        #expect(try metric(node, "distric_event_messages_total") == 1)
    }

    @Test func `what fails because of an event is told, and starts nothing`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(page("run.failed", "exit 9") + pair("bad", script("exit 3")))
        _ = try await node.ended(try await node.submit("bad"))
        _ = try await eventually {
            Value(try await pages(node).filter { $0["state"] == "failed" }.count)
        } until: {
            $0 == 1
        }
        // One that comes after: by then an echo would have come too.
        _ = try await node.ended(try await node.submit("bad"))
        _ = try await eventually {
            Value(try await pages(node).filter { $0["state"] == "failed" }.count)
        } until: {
            $0 == 2
        }
        let count = try await pages(node).count
        #expect(count == 2)
        let events = try await node.client.get("/api/v1/events?limit=1000")["items"]?.list ?? []
        #expect(events.filter { $0["kind"] == "run.failed" }.count == 4)
        #expect(try metric(node, "distric_event_messages_total") == 2)
    }

    @Test func `a rule of the run's namespace is asked, another's is not`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(page("run.failed", "exit 0"))
        for definitions in [page("run.failed", "exit 0"), pair("bad", script("exit 3"))] {
            _ = try await node.client.post("/api/v1/workflows?namespace=team", body: .list(definitions))
        }
        _ = try await node.client.post("/api/v1/messages?namespace=team", body: ["type": "bad", "data": nil])
        _ = try await eventually {
            Value(try await pages(node, "team").count)
        } until: {
            $0 == 1
        }
        let others = try await pages(node)
        #expect(others.isEmpty)
    }

    @Test func `what no rule waits for leaves no trace among messages`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("bad", script("exit 3")))
        _ = try await node.ended(try await node.submit("bad"))
        let rules = try await node.client.get("/api/v1/rules:stats")["items"]?.list ?? []
        #expect(rules.first?["evaluations"] == 1)
        #expect(try metric(node, "distric_messages_received_total") == 1)
        #expect(try metric(node, "distric_messages_unmatched_total") == 0)
        #expect(try metric(node, "distric_event_messages_total") == 0)
    }

    @Test func `a start is an event that a rule of before can wait for`() async throws {
        let folder = try TemporaryFolder()
        let first = try started(folder)
        try await first.apply(page("node.started", "exit 0"))
        #expect(first.stop() == 0)
        let node = try started(folder)
        let run = try await eventually {
            try await pages(node).first ?? .null
        } until: {
            $0 != .null
        }
        let ended = try await node.ended(try #require(run["id"]?.string))
        let message = try await message(node, ended)
        #expect(message["subject"] == "n1")
    }

    @Test func `a storm is bounded, and what is left out is counted and said`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder, ["--set", "intake.events_per_second=1"])
        try await node.apply(page("run.failed", "exit 0") + pair("bad", script("exit 3")))
        let lines = (0..<40).map { #"{"id":"s-\#($0)","type":"bad","data":{"n":\#($0)}}"# }.joined(separator: "\n")
        let sent = try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/x-ndjson"], body: lines)
        #expect(sent.status == 200, "\(sent.body)")
        let dropped = "distric_event_messages_dropped_total{reason=\"rate\"}"
        _ = try await eventually {
            .double(try metric(node, "distric_event_messages_total") + metric(node, dropped))
        } until: {
            $0 == 40
        }
        let (made, missed) = (try metric(node, "distric_event_messages_total"), try metric(node, dropped))
        #expect(made >= 10)
        #expect(missed >= 20)
        try await Task.sleep(for: .seconds(1))
        _ = try await node.submit("bad", ["n": 1])
        let said = try await eventually {
            var said = 0
            for run in try await pages(node) {
                said += Int(try await message(node, run)["data"]?["missed"]?.int ?? 0)
            }
            return .double(Double(said))
        } until: {
            $0 == .double(missed)
        }
        #expect(said == .double(missed))
    }

    @Test func `a rule for everything gets none`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply([
            ["apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "all"], "tasks": ["only": script("exit 3")]],
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "all"],
                "rules": [["id": "every", "when": ["all": []], "actions": [["workflow": "all"]]]],
            ],
        ])
        _ = try await node.ended(try await node.submit("anything"))
        _ = try await node.ended(try await node.submit("anything"))
        #expect(try metric(node, "distric_messages_accepted_total") == 2)
        #expect(try metric(node, "distric_event_messages_total") == 0)
    }

    @Test func `it can be switched off`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder, ["--set", "intake.events=false"])
        try await node.apply(page("run.failed", "exit 0") + pair("bad", script("exit 3")))
        _ = try await node.ended(try await node.submit("bad"))
        try await Task.sleep(for: .milliseconds(500))
        let found = try await pages(node)
        #expect(found.isEmpty)
    }

    @Test func `nobody else speaks as the cluster`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let bodies = [
            #"{"source":"distric","type":"distric.run.failed","data":{}}"#,
            #"{"specversion":"1.0","id":"1","source":"distric","type":"t","data":{}}"#,
        ]
        for body in bodies {
            let answer = try raw(node.url, "POST", "/api/v1/messages", ["Content-Type: application/json"], body: body)
            #expect(answer.status == 400, "\(answer.body)")
            #expect(answer.value["errors"]?.list?.first?["pointer"] == "/source")
            #expect(answer.body.contains("name the sender"))
        }
    }
}
