import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Why a message matched or did not, and why a task is where it is, as a node answers it.
struct WhyTests {
    private static let transform: Value = ["use": "transform@1", "with": ["value": 1]]
    private static let nobody = "00000000-0000-0000-0000-000000000000"

    /// One set, of which the first rule that holds matches; `any` starts the workflow `good`.
    private static let payments: Value = [
        "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "pay"], "match": "first",
        "rules": [
            [
                "id": "big", "priority": 2,
                "when": [
                    "all": [
                        ["field": "type", "operator": "equals", "value": "payment"],
                        ["field": "data.amount", "operator": "greater", "value": 800],
                        ["field": "data.country", "operator": "in", "value": ["NO", "SE"]],
                    ]
                ],
            ],
            [
                "id": "any", "priority": 1, "when": ["field": "type", "operator": "equals", "value": "payment"],
                "actions": [["workflow": "good"]],
            ],
            ["id": "off", "enabled": false, "when": ["all": []]], ["id": "rest", "otherwise": true],
        ],
    ]

    private func submit(_ node: RunningNode, _ body: Value, _ query: [(String, String?)] = []) async throws -> Value {
        try NodeClient.value(try await node.client.send("POST", "/api/v1/messages", query, body: JSONWriter.bytes(body)))
    }

    private func why(_ node: RunningNode, message: String) async throws -> Value {
        try await node.client.get("/api/v1/messages/\(message)/why")
    }

    private func rule(_ why: Value, _ name: String) -> Value { why["rules"]?.list?.first { $0["rule"]?.string == name } ?? .null }

    // MARK: Messages

    @Test func `each rule says whether it matched, and what would have to be otherwise`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply([pair("good", Self.transform)[0], Self.payments])
        let small: Value = ["id": "m-1", "source": "/shop", "type": "payment", "data": ["amount": 500, "country": "DK"]]
        let report = try await submit(node, small)
        let run = try #require(report["runs"]?.list?.first?.string)
        _ = try await node.ended(run)
        let first = try await why(node, message: "m-1")
        #expect(first["id"] == "m-1")
        #expect(first["type"] == "payment")
        #expect(first["source"] == "/shop")
        #expect(first["namespace"] == "default")
        #expect(first["matched"] == ["pay/any"])
        #expect(first["matchedByCatalog"] == 1)
        #expect(first["catalogVersion"] == 1)
        #expect(first["acceptedAt"]?.string?.isEmpty == false)
        #expect(first.at("message", "data", "amount") == 500)
        #expect(first["runs"]?.list?.compactMap { $0["id"]?.string } == [run])
        #expect(first["rules"]?.list?.compactMap { $0["rule"]?.string } == ["pay/big", "pay/any", "pay/rest", "pay/off"])
        let big = rule(first, "pay/big")
        #expect(big["matched"] == false)
        #expect(big["reason"] == "condition_false")
        #expect(big["priority"] == 2)
        let flip: Value = [
            ["field": "data.amount", "actual": 500, "wanted": "more than 800"],
            ["field": "data.country", "actual": "DK", "wanted": "one of \"NO\", \"SE\""],
        ]
        #expect(big["flip"] == flip)
        let parts = big.at("condition", "parts")?.list ?? []
        #expect(parts.map { $0["holds"] } == [true, false, false])
        #expect(rule(first, "pay/any")["reason"] == "matched")
        #expect(rule(first, "pay/rest")["reason"] == "fallback_not_needed")
        #expect(rule(first, "pay/rest")["culprit"] == "pay/any")
        #expect(rule(first, "pay/off")["reason"] == "disabled")
        // What was asked for does turn it round.
        let large: Value = ["id": "m-2", "type": "payment", "data": ["amount": 801, "country": "NO"]]
        #expect(try await submit(node, large)["matched"] == ["pay/big"])
        let second = try await why(node, message: "m-2")
        #expect(rule(second, "pay/big")["reason"] == "matched")
        #expect(rule(second, "pay/any")["reason"] == "shadowed")
        #expect(rule(second, "pay/any")["culprit"] == "pay/big")
        #expect(second["runs"] == [])
    }

    @Test func `a message is explained by the catalog in force, which may be a later one`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply([pair("good", Self.transform)[0], Self.payments])
        _ = try await submit(node, ["id": "m-1", "type": "payment", "data": ["amount": 500]])
        try await node.apply([pair("good", Self.transform)[1]])
        let later = try await why(node, message: "m-1")
        #expect(later["matchedByCatalog"] == 1)
        #expect(later["catalogVersion"] == 2)
        #expect(later["matched"] == ["pay/any"])
        #expect(rule(later, "good/start")["reason"] == "condition_false")
    }

    @Test func `a message that no rule matched is explained while it is remembered, in its own namespace`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("good", Self.transform))
        #expect(try await submit(node, ["id": "u-1", "type": "goods", "data": 1])["matched"] == [])
        let found = try await why(node, message: "u-1")
        #expect(found["matched"] == [])
        #expect(found["matchedByCatalog"] == .null)
        #expect(found["runs"] == [])
        #expect(rule(found, "good/start")["flip"] == [["field": "type", "actual": "goods", "wanted": "\"good\""]])
        for (id, space) in [("nope", "default"), ("u-1", "shop")] {
            let answer = try await node.client.send("GET", "/api/v1/messages/\(id)/why", [("namespace", space)])
            #expect(answer.status == 404, "\(id) in \(space)")
        }
    }

    // MARK: Tasks

    private func why(_ node: RunningNode, task: String) async throws -> Value { try await node.client.get("/api/v1/tasks/\(task)/why") }

    /// The answer once its reason is this one, at most so many seconds later.
    private func why(_ node: RunningNode, task: String, is reason: String) async throws -> Value {
        let found = try await eventually {
            try await why(node, task: task)
        } until: {
            $0["reason"]?.string == reason
        }
        #expect(found["reason"]?.string == reason, "\(task): \(found)")
        #expect(found["task"]?.string == task)
        #expect(found["text"]?.string?.isEmpty == false)
        return found
    }

    @Test func `a task that has ended says how`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let skipped: Value = ["use": "transform@1", "with": ["value": 1], "when": false]
        try await node.apply(pair("good", Self.transform) + pair("bad", script("echo broken >&2; exit 3")) + pair("skips", skipped))
        for (name, reason, text) in [
            ("good", "succeeded", "attempt 1 succeeded"), ("skips", "skipped", "ruled it out"),
            ("bad", "exit_code", "attempt 1 of the task failed: exit_code: exit code 3: broken"),
        ] {
            let run = try await node.ended(try await node.submit(name))
            let found = try await why(node, task: "\(run["id"]?.string ?? "").only", is: reason)
            #expect(found["text"]?.string?.contains(text) == true, "\(found)")
            #expect(found["state"] == run.firstTask["state"])
            #expect(run.firstTask["blocked"] == .null)
        }
    }

    @Test func `a task that waits says for what`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode + ["--slots", "1"])
        let failing = script("exit 1")
        let policy: Value = ["limit": ["attempt": ["count": 3]], "delay": "1h", "jitter": "none"]
        let again: Value = .object(["use": failing["use"], "with": failing["with"], "retry": policy])
        let steps: Value = [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "steps"],
            "tasks": [
                "first": script("exec sleep 30", attempt: "60s"),
                "second": ["depends_on": ["first"], "use": "transform@1", "with": ["value": 1]],
            ],
        ]
        let waiting: Value = ["use": "wait@1", "with": ["duration": "1h"]]
        try await node.apply(pair("open", waiting) + pair("again", again) + [steps, pair("steps", .null)[1]])
        let open = try await node.submit("open")
        let timer = try await why(node, task: "\(open).only", is: "timer")
        let due = try await node.client.get("/api/v1/runs/\(open)").firstTask["dueAt"]
        #expect(timer["culprit"] == due && due?.string != nil)
        let failed = try await node.submit("again")
        let retry = try await why(node, task: "\(failed).only", is: "retry")
        #expect(retry["text"]?.string?.hasPrefix("attempt 1 failed: exit code 1; the next begins at ") == true, "\(retry)")
        let one = try await node.submit("steps")
        let running = try await why(node, task: "\(one).first", is: "running")
        #expect(running["culprit"] == "n1")
        let after = try await why(node, task: "\(one).second", is: "dependencies")
        #expect(after["culprit"] == "first")
        #expect(after["text"] == "it waits for first (leased)")
        let two = try await node.submit("steps")
        let queued = try await why(node, task: "\(two).first", is: "no_free_worker")
        #expect(queued["culprit"]?.string == "\(one).first")
        let text = "all 1 slot of n1, the only worker that could take it, are taken; it begins when one is free, or with more workers; "
        #expect(queued["text"]?.string?.hasPrefix(text + "the longest is first of run \(one), and ") == true, "\(queued)")
        // The list says the same within a second, and can be filtered by it.
        let listed = try await eventually {
            try await node.client.get("/api/v1/tasks", [("filter", "reason=no_free_worker")])
        } until: {
            $0.items.count == 1
        }
        let rows = listed.items
        #expect(rows.compactMap { $0["id"]?.string } == ["\(two).first"])
        #expect(rows.first?.at("blocked", "culprit")?.string == "\(one).first")
        _ = try await node.client.post("/api/v1/runs/\(two):cancel", body: [:])
        let cancelled = try await why(node, task: "\(two).second", is: "cancelled")
        #expect(cancelled["text"] == "cancelled by an operator")
    }

    @Test func `a task whose worker was lost says that an operator must decide`() async throws {
        let folder = try TemporaryFolder()
        var node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("held", script("touch \(folder.path)/began; exec sleep 30", attempt: "60s")))
        let id = try await node.submit("held")
        _ = try await eventually {
            .bool(access(folder.path + "/began", F_OK) == 0)
        } until: {
            $0 == true
        }
        node.crash()
        node = try RunningNode(data: folder.path + "/data", smallNode)
        let found = try await why(node, task: "\(id).only", is: "needs_operator")
        #expect(found["culprit"] == "n1")
        #expect(found["state"] == "unknown")
        #expect(found["text"]?.string?.contains("'distric tasks resolve'") == true)
    }

    @Test func `a task that is not there is not explained`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("good", Self.transform))
        let id = try await node.submit("good")
        for (task, status, says) in [
            ("\(id).onyl", 404, "did you mean 'only'?"), ("\(Self.nobody).only", 404, "no run"), ("\(id)", 400, "a task id is run.task"),
            ("x.only", 400, "'x' is no run id"),
        ] {
            let answer = try await node.client.send("GET", "/api/v1/tasks/\(task)/why")
            #expect(answer.status == status, "\(task)")
            #expect(answer.value["detail"]?.string?.contains(says) == true, "\(task): \(answer.value)")
        }
    }
}
