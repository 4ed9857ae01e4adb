import Foundation
import Operator
import Primitives
import Testing

/// `POST runs/{id}:retry`: a run that has ended is begun again, as a new one.
struct RunAgainTests {
    private static let transform: Value = ["use": "transform@1", "with": ["value": 1]]
    private static let waiting: Value = ["use": "wait@1", "with": ["duration": "1h"]]

    private func started(_ folder: TemporaryFolder) throws -> RunningNode { try RunningNode(data: folder.path + "/data", smallNode) }

    private func retry(_ node: RunningNode, _ run: String) async throws -> NodeClient.Answer {
        try await node.client.send("POST", "/api/v1/runs/\(run):retry")
    }

    /// The id of the new run.
    private func again(_ node: RunningNode, _ run: String) async throws -> String {
        let answer = try await retry(node, run)
        #expect(answer.status == 201, "\(answer.value)")
        let id = try #require(answer.value["run"]?.string)
        #expect(id != run)
        return id
    }

    private func events(_ node: RunningNode, _ kind: String) async throws -> [Value] {
        try await node.client.get("/api/v1/events", [("limit", "1000")]).items.filter { $0["kind"]?.string == kind }
    }

    @Test func `a failed run is begun again with its message, and ends well once its cause is gone`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("flaky", script("test -f \(folder.path)/mended")))
        let answer = try await node.client.post("/api/v1/messages", body: ["id": "m-1", "type": "flaky", "data": ["n": 7]])
        let old = try #require(answer["runs"]?.list?.first?.string)
        let failed = try await node.ended(old)
        #expect(failed["state"]?.string == "failed")
        try "".write(toFile: folder.path + "/mended", atomically: true, encoding: .utf8)
        let before = try await node.client.get("/api/v1/events", [("limit", "1")]).items.last?["seq"]?.int ?? 0
        let new = try await again(node, old)
        let ended = try await node.ended(new)
        #expect(ended["state"]?.string == "succeeded")
        #expect(ended["retryOf"]?.string == old)
        for key in ["messageId", "rule", "workflow", "definitionVersion", "namespace", "input"] {
            #expect(ended[key] == failed[key], "\(key)")
        }
        #expect(ended.firstTask["attempt"] == 1)
        let still = try await node.client.get("/api/v1/runs/\(old)")
        #expect(still == failed)
        let told = try await events(node, "run.retried")
        #expect(told.count == 1)
        #expect(told.first?["subject"]?.string == old)
        #expect(told.first?["seq"]?.int ?? 0 > before)
        #expect(told.first?["severity"] == "info")
        // No second message was accepted for it.
        let status = try await node.client.get("/api/v1/cluster/status")
        #expect(status.at("messages", "accepted") == 1)
        #expect(status.at("runs", "started") == 2)
    }

    @Test func `a run whose parameters could not be made does not begin on the bare message`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        func rules(_ amount: String) -> [Value] {
            var definitions = pair("sum", ["use": "transform@1", "with": ["value": "${{ input.amount }}"]])
            definitions[1] = [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "sum"],
                "rules": [
                    [
                        "id": "start", "when": ["field": "type", "operator": "equals", "value": "sum"],
                        "actions": [["workflow": "sum", "params": ["amount": .string("${{ \(amount) }}")]]],
                    ]
                ],
            ]
            return definitions
        }
        try await node.apply(rules("data.none.amount"))
        let old = try await node.submit("sum", ["amount": 7])
        #expect(try await node.ended(old)["state"] == "cancelled")
        let refused = try await retry(node, old)
        #expect(refused.status == 409)
        #expect(refused.value["detail"]?.string?.contains("params/amount of rule sum/start") == true, "\(refused.value)")
        // Once the rule is mended they are made as it says now.
        try await node.apply(rules("data.amount"))
        let ended = try await node.ended(try await again(node, old))
        #expect(ended["state"] == "succeeded", "\(ended)")
        #expect(ended["input"] == ["amount": 7])
        let started = try await node.client.send("GET", "/metrics")
        #expect(String(decoding: started.bytes, as: UTF8.self).contains("distric_runs_started_total 2\n"))
    }

    @Test func `a run that is open, unknown or none is not begun again`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("open", Self.waiting))
        let open = try await node.submit("open")
        let conflict = try await retry(node, open)
        #expect(conflict.status == 409)
        #expect(conflict.value["code"]?.string == "conflict")
        #expect(conflict.value["detail"]?.string == "run \(open) is still running; cancel it first, or wait until it has ended")
        let unknown = try await retry(node, "00000000-0000-0000-0000-000000000000")
        #expect(unknown.status == 404)
        let none = try await retry(node, "x")
        #expect(none.status == 400 && none.value["code"]?.string == "invalid_id")
        let told = try await events(node, "run.retried")
        #expect(told.isEmpty)
        #expect(try await node.client.get("/api/v1/cluster/status").at("runs", "started") == 1)
    }

    @Test func `the workflow runs as it is now; without it there is a conflict`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("bad", script("exit 1")))
        let old = try await node.ended(try await node.submit("bad"))
        let id = try #require(old["id"]?.string)
        try await node.apply(pair("bad", Self.transform))
        let ended = try await node.ended(try await again(node, id))
        #expect(ended["state"]?.string == "succeeded")
        #expect(old["definitionVersion"] == 1)
        #expect(ended["definitionVersion"] == 2)
        #expect(ended.firstTask["kind"]?.string == "transform@1")
        for path in ["rules/bad", "workflows/bad"] {
            let answer = try await node.client.send("DELETE", "/api/v1/\(path)")
            #expect(answer.status == 200, "\(path)")
        }
        let refused = try await retry(node, id)
        #expect(refused.status == 409)
        #expect(refused.value["detail"]?.string == "workflow 'bad' is no longer in force; apply it again first")
    }

    @Test func `what was begun again is there after kill -9, and what ended before can be begun again after it`() async throws {
        let folder = try TemporaryFolder()
        var node = try started(folder)
        try await node.apply(pair("open", Self.waiting) + pair("bad", script("exit 1")))
        let open = try await node.submit("open")
        _ = try await node.client.post("/api/v1/runs/\(open):cancel", body: [:])
        let new = try await again(node, open)
        let failed = try await node.ended(try await node.submit("bad"))
        let old = try #require(failed["id"]?.string)
        node.crash()
        node = try started(folder)
        let kept = try await node.client.get("/api/v1/runs/\(new)")
        #expect(kept["state"]?.string == "running" && kept["retryOf"]?.string == open)
        let later = try await node.ended(try await again(node, old))
        #expect(later["retryOf"]?.string == old)
        let listed = try await node.client.get("/api/v1/runs", [("window", "0:10")])
        #expect(listed["total"] == 4)
        #expect(node.stop() == 0)
    }

    @Test func `a run that was cancelled is told of once`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("open", Self.waiting))
        let open = try await node.submit("open")
        _ = try await node.client.post("/api/v1/runs/\(open):cancel", body: [:])
        _ = try await node.ended(open)
        // The event of the new run comes after all that the old one caused.
        _ = try await again(node, open)
        let told = try await events(node, "run.cancelled")
        #expect(told.count == 1, "\(told)")
        #expect(told.first?["subject"]?.string == open)
    }
}
