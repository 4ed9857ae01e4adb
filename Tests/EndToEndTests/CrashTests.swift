import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// kill -9 at random points while runs are under way: what was acknowledged ends, or is held as unknown; nothing succeeds twice.
struct CrashTests {
    /// Every step writes its key into a file, so that effects can be counted beside what is recorded. `keep` is not safe to repeat.
    private static func definitions(_ effects: String) -> Value {
        func step(_ name: String, _ after: [Value], _ onLost: Value) -> Value {
            let script = Value.string("echo \"$DISTRIC_KEY $DISTRIC_FENCE\" >> \(effects)/\(name)")
            return [
                "use": "exec@1", "with": ["command": ["/bin/sh", "-c", script]], "depends_on": .list(after), "on_lost": onLost,
                "timeout": ["attempt": "20s"],
            ]
        }
        return [
            [
                "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "chain"],
                "tasks": [
                    "plan": ["use": "transform@1", "with": ["value": "${{ input.data.n }}"]], "safe": step("safe", ["plan"], "retry"),
                    "keep": step("keep", ["safe"], "hold"),
                    "rest": ["use": "wait@1", "with": ["duration": "30ms"], "depends_on": ["keep"]],
                ],
            ],
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "all"],
                "rules": [["id": "every", "when": ["all": []], "actions": [["workflow": "chain"]]]],
            ],
        ]
    }

    @Test func `kill -9 in the middle of a hundred runs loses no acknowledged message and records no success twice`() async throws {
        let folder = try TemporaryFolder()
        let seed = UInt64.random(in: 0...UInt64.max)
        var chance = SeededGenerator(seed: seed)
        var acknowledged: [String: String] = [:]
        let arguments = ["--allow-exec", "/usr/bin/*,/bin/*", "--slots", "4"]
        var node = try RunningNode(data: folder.path + "/data", arguments)
        _ = try await node.client.post("/api/v1/workflows", body: Self.definitions(folder.path))
        var number = 0
        for round in 0..<5 {
            let count = round == 4 ? 20 : 25
            let victim = node.process.processIdentifier
            let delay = Int.random(in: 5...400, using: &chance)
            async let fall: Void = {
                try? await Task.sleep(for: .milliseconds(delay))
                kill(victim, SIGKILL)
            }()
            for _ in 0..<count {
                number += 1
                let body: Value = ["id": .string("m-\(number)"), "type": "t", "data": ["n": Value(number)]]
                guard let answer = try? await node.client.send("POST", "/api/v1/messages", body: JSONWriter.bytes(body)),
                    answer.status == 202
                else { break }
                acknowledged["m-\(number)"] = answer.value["runs"]?.list?.first?.string
            }
            await fall
            node.process.waitUntilExit()
            node = try RunningNode(data: folder.path + "/data", arguments)
        }
        #expect(acknowledged.count > 5, "seed \(seed)")
        try await check(node, acknowledged, folder.path, seed)
        #expect(node.stop() == 0)
    }

    private func check(_ node: RunningNode, _ acknowledged: [String: String], _ effects: String, _ seed: UInt64) async throws {
        var held = 0
        var recorded: Set<String> = []
        for (message, run) in acknowledged {
            let ended = try await eventually {
                try await node.client.get("/api/v1/runs/\(run)")
            } until: {
                ["succeeded", "failed", "held"].contains($0["state"]?.string)
            }
            let state = ended["state"]?.string
            #expect(state == "succeeded" || state == "held", "seed \(seed): message \(message), run \(run) is \(state ?? "missing")")
            if state == "held" { held += 1 }
            for task in ended.at("tasks", "items")?.list ?? [] where task["state"]?.string == "succeeded" {
                let id = try #require(task["id"]?.string)
                #expect(recorded.insert(id).inserted, "seed \(seed): \(id) succeeded twice")
            }
            let shown = try await node.client.get("/api/v1/messages/\(message)")
            #expect(shown["runs"]?.list?.first?.string == run, "seed \(seed)")
        }
        try heldTasksRanAtMostOnce(effects, seed)
        // What is held can be resolved, and the run then ends.
        let unknown = try await node.client.get("/api/v1/tasks", [("status", "unknown"), ("limit", "500")])["items"]?.list ?? []
        // A run may be held whose message was committed and whose acknowledgement the crash swallowed.
        #expect(unknown.count >= held, "seed \(seed)")
        for task in unknown {
            let id = try #require(task["id"]?.string)
            _ = try await node.client.post("/api/v1/tasks/\(id):resolve", body: ["as": "succeeded"])
            let run = try #require(task["run"]?.string)
            let ended = try await eventually {
                try await node.client.get("/api/v1/runs/\(run)")
            } until: {
                $0["state"]?.string == "succeeded"
            }
            #expect(ended["state"]?.string == "succeeded", "seed \(seed)")
        }
    }

    /// `on_lost: hold` never starts an attempt again by itself.
    private func heldTasksRanAtMostOnce(_ effects: String, _ seed: UInt64) throws {
        guard let text = try? String(contentsOfFile: effects + "/keep", encoding: .utf8) else { return }
        let keys = text.split(separator: "\n").map { $0.split(separator: " ")[0] }
        #expect(Set(keys).count == keys.count, "seed \(seed): a held task ran twice")
    }

    @Test func `a task that was running when the node died is held when it is not safe to repeat`() async throws {
        let folder = try TemporaryFolder()
        let arguments = ["--allow-exec", "/usr/bin/*,/bin/*"]
        var node = try RunningNode(data: folder.path + "/data", arguments)
        let definitions: Value = [
            [
                "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "slow"],
                "tasks": [
                    "held": ["use": "exec@1", "with": ["command": ["sleep", "30"]]],
                    "again": ["use": "exec@1", "with": ["command": ["sleep", "3"]], "idempotent": true],
                ],
            ],
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "all"],
                "rules": [["id": "every", "when": ["all": []], "actions": [["workflow": "slow"]]]],
            ],
        ]
        _ = try await node.client.post("/api/v1/workflows", body: definitions)
        let answer = try await node.client.post("/api/v1/messages", body: ["type": "t", "data": 1])
        let run = try #require(answer["runs"]?.list?.first?.string)
        // Both run: the journal has them. Two seconds are far from either's end.
        let metric = "distric_task_attempts_started_total 2"
        _ = try await eventually {
            .string(String(decoding: try await node.client.send("GET", "/metrics").bytes, as: UTF8.self))
        } until: {
            $0.string?.contains(metric) == true
        }
        node.crash()
        node = try RunningNode(data: folder.path + "/data", arguments)
        let after = try await eventually {
            try await node.client.get("/api/v1/runs/\(run)")
        } until: {
            $0.at("tasks", "byState", "succeeded")?.int == 1
        }
        #expect(after["state"]?.string == "held")
        #expect(after.at("tasks", "byState", "unknown")?.int == 1)
        let resolved = try node.distric("tasks", "resolve", "\(run).held", "--as", "failed", "--reason", "it never slept")
        #expect(resolved.code == 0, "\(resolved.err)")
        let ended = try await eventually {
            try await node.client.get("/api/v1/runs/\(run)")
        } until: {
            $0["state"]?.string == "failed"
        }
        #expect(ended["state"]?.string == "failed")
    }
}
