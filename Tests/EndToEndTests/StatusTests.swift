import Foundation
import Operator
import Primitives
import Testing

/// What consoles and commands read of a node is there; and every route knows its methods.
struct StatusTests {
    /// Paths of the status that `distric status` and the console's first screen read.
    private static let read: [[String]] = [
        ["clusterId"], ["node"], ["version"], ["leader"], ["term"], ["commitIndex"], ["appliedIndex"], ["catalogVersion"], ["startedAt"],
        ["ready"], ["health"], ["quorum", "have"], ["quorum", "need"], ["quorum", "of"], ["gossip", "alive"], ["gossip", "suspect"],
        ["gossip", "dead"], ["queue", "depth"], ["queue", "running"], ["queue", "oldestMs"], ["tasks", "running"], ["tasks", "queued"],
        ["tasks", "waiting"], ["tasks", "unknown"], ["tasks", "failedPerSecond"], ["tasks", "p50Ms"], ["tasks", "p99Ms"],
        ["tasks", "depth"], ["runs", "open"], ["runs", "started"], ["runs", "ended"], ["runs", "failed"], ["runs", "failedPerSecond"],
        ["messages", "accepted"], ["messages", "perSecond"], ["messages", "recent"], ["raft", "node"], ["raft", "role"], ["raft", "term"],
        ["raft", "commitIndex"], ["raft", "appliedIndex"], ["raft", "lastIndex"], ["raft", "lag"], ["raft", "logBytes"], ["members"],
        ["rules"], ["events"], ["workflows"],
    ]

    /// Members of the items of its lists.
    private static let items: [(list: String, keys: [String])] = [
        ("members", ["id", "role", "state", "version", "slots", "running", "startedAt", "incarnation", "raft"]),
        (
            "rules",
            ["id", "set", "rule", "state", "evaluations", "hits", "errors", "hitPercent", "evaluationsPerSecond", "lastHit", "recent"]
        ),
        ("events", ["seq", "time", "kind", "subject", "severity", "text"]),
        ("workflows", ["id", "workflow", "state", "createdAt", "messageId", "rule", "tasks"]),
    ]

    private func at(_ value: Value, _ path: [String]) -> Value? {
        var here: Value? = value
        for key in path { here = here?[key] }
        return here
    }

    private func filled(_ folder: TemporaryFolder) async throws -> RunningNode {
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let waiting: Value = ["use": "wait@1", "with": ["duration": "1h"]]
        let transform: Value = ["use": "transform@1", "with": ["value": 1]]
        try await node.apply(pair("good", transform) + pair("bad", script("exit 1")) + pair("open", waiting))
        for name in ["good", "good", "bad"] { _ = try await node.ended(try await node.submit(name)) }
        _ = try await node.submit("open")
        return node
    }

    @Test func `the status has all that is read of it`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let status = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "failed")?.int == 1 && $0.at("tasks", "waiting")?.int == 1
        }
        for path in Self.read { #expect(at(status, path) != nil, "\(path.joined(separator: "."))") }
        for (list, keys) in Self.items {
            let items = status[list]?.list ?? []
            #expect(!items.isEmpty, "\(list)")
            for item in items { for key in keys { #expect(item[key] != nil, "\(list): \(key) of \(item)") } }
        }
        #expect(status["node"] == "n1")
        #expect(status["leader"] == "n1")
        #expect(status["ready"] == true)
        #expect(status.at("raft", "role") == "leader")
        #expect(status.at("raft", "lag") == 0)
        let runs = ["open", "started", "ended", "failed"].map { status.at("runs", $0) }
        #expect(runs == [1, 4, 3, 1])
        #expect(status.at("messages", "accepted") == 4)
        #expect(status["members"]?.list?.count == 1)
        #expect(status["rules"]?.list?.compactMap { $0["id"]?.string }.first == "good/start")
        #expect(status["rules"]?.list?.count == 3)
        // The newest runs, the open one first, each with what its graph is drawn from.
        let newest = status["workflows"]?.list ?? []
        #expect(newest.compactMap { $0["workflow"]?.string } == ["open", "bad", "good"])
        for run in newest {
            #expect(run.at("tasks", "total")?.int == 1 && run.at("tasks", "byState")?.map?.count == 1)
            let task = run.firstTask
            for key in ["task", "state", "attempt", "kind", "dependsOn"] { #expect(task[key] != nil, "\(key) of \(task)") }
            #expect(run["input"] == nil && task["output"] == nil)
        }
        let events = status["events"]?.list?.compactMap { $0["seq"]?.int } ?? []
        #expect(events == events.sorted() && events.count <= 12)
    }

    @Test func `rates and times are measured`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let status = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("tasks", "p99Ms")?.number != nil && ($0.at("messages", "recent")?.list?.count ?? 0) >= 2
        }
        #expect(status.at("tasks", "p50Ms")?.number ?? 0 > 0)
        #expect(status.at("tasks", "p99Ms")?.number ?? 0 >= status.at("tasks", "p50Ms")?.number ?? 0)
        #expect(status.at("messages", "recent")?.list?.allSatisfy { $0.int ?? -1 >= 0 } == true)
        #expect(status.at("tasks", "depth")?.list?.isEmpty == false)
    }

    @Test func `a node's parts can be asked for one by one`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let raft = try await node.client.get("/api/v1/raft/status")
        #expect(raft["node"] == "n1")
        #expect(raft["role"] == "leader")
        #expect(raft["lag"] == 0)
        for path in ["cluster/nodes", "gossip/members"] {
            let members = try await node.client.get("/api/v1/\(path)").items
            #expect(members.count == 1, "\(path)")
            #expect(members.first?["id"] == "n1", "\(path)")
            #expect(members.first?["state"] == "alive", "\(path)")
            #expect(members.first?["raft"] == "leader", "\(path)")
        }
    }

    // MARK: Routes

    /// Every path with what `Allow` says of it (RouteTable.swift).
    private static let routes: [(path: String, allow: String)] = [
        ("messages", "GET, POST"), ("messages/m-1", "GET"), ("messages/m-1/why", "GET"), ("rules", "GET, POST"),
        ("rules:validate", "POST"), ("rules:stats", "GET"), ("rules/x", "DELETE, GET"), ("workflows", "GET, POST"),
        ("workflows:validate", "POST"), ("workflows/x", "DELETE, GET"), ("runs", "GET"), ("runs/x", "GET"), ("runs/x:cancel", "POST"),
        ("runs/x:retry", "POST"), ("tasks", "GET"), ("tasks/x.y", "GET"), ("tasks/x.y/why", "GET"), ("tasks/x.y:resolve", "POST"),
        ("tasks/x.y/attempts/1/log", "GET"), ("cluster/status", "GET"), ("cluster/nodes", "GET"), ("gossip", "GET"),
        ("gossip/members", "GET"),
        ("rpc/connections", "GET"),
        ("raft/status", "GET"), ("metrics/recent", "GET"), ("logs", "GET"), ("config", "GET"), ("events", "GET"), ("traces", "GET"),
        ("traces/x", "GET"),
    ]

    @Test func `every route tells a wrong method from a wrong path`() throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let roots = ["/health/live", "/health/ready", "/metrics"].map { (path: $0, allow: "GET") }
        for (path, allow) in Self.routes.map({ (path: "/api/v1/" + $0.path, allow: $0.allow) }) + roots {
            let wrong = try raw(node.url, "PATCH", path)
            #expect(wrong.status == 405, "\(path): \(wrong.body)")
            #expect(wrong.headers["allow"] == allow, "\(path)")
            #expect(wrong.value["code"]?.string == "method_not_allowed", "\(path)")
            // The path is one: what is said of it is never that there is none.
            for method in allow.components(separatedBy: ", ") {
                let answer = try raw(node.url, method, path)
                #expect(answer.status != 405 && !answer.body.contains("no route"), "\(method) \(path): \(answer.body.prefix(200))")
            }
        }
        for path in ["messages/m-1/whyy", "gossips", "metrics", "runs/x/retry", "rules:stat", "logs/1", "tasks/x.y/why/not"] {
            let answer = try raw(node.url, "GET", "/api/v1/\(path)")
            #expect(answer.status == 404, "\(path)")
            #expect(answer.body.contains("no route"), "\(path)")
        }
    }
}
