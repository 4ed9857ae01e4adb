import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Which worker gets a task, and what people are told when none does.
struct SchedulingTests {
    private func task(_ members: Value) -> Value {
        var fields = Fields([.init("use", "exec@1"), .init("with", ["command": ["/bin/sh", "-c", "echo done"]])])
        for member in members.map?.members ?? [] { fields[member.key] = member.value }
        return .map(fields)
    }

    private func metric(_ name: String, _ node: RunningNode) throws -> String? {
        let text = try raw(node.url, "GET", "/metrics").body
        return text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.map { String($0.dropFirst(name.count + 1)) }
    }

    @Test func `a task with a label that nobody has says so, and begins when a worker has it`() async throws {
        let folder = try TemporaryFolder()
        var node = try RunningNode(data: folder.path + "/data", smallNode + ["--set", "worker.labels=zone=south"])
        let defined =
            pair("north", task(["labels": ["zone": "north"], "priority": 7])) + pair("south", task(["labels": ["zone": "south"]]))
        try await node.apply(defined)
        let waiting = try await node.submit("north")
        _ = try await node.ended(try await node.submit("south"))
        let why = try node.distric("tasks", "why", "\(waiting).only")
        #expect(why.code == 0, "\(why.err)")
        #expect(why.out.contains("no_label") && why.out.contains("zone=north"), "\(why.out)")
        #expect(why.out.contains("start one that has, or change what the task requires"), "\(why.out)")
        let rows = try await eventually {
            try await node.client.get("/api/v1/tasks", [("filter", "reason=no_label")])
        } until: {
            $0.items.count == 1
        }
        #expect(rows.items.first?.at("blocked", "culprit") == "zone=north")
        let list = try node.distric("tasks", "list", "-o", "wide")
        #expect(list.out.contains("no_label"), "\(list.out)")
        #expect(try metric(#"distric_tasks_blocked{reason="no_label"}"#, node) == "1")
        let events = try await eventually {
            try await node.client.get("/api/v1/events")
        } until: { events in
            events.items.contains { $0["kind"] == "task.blocked" }
        }
        let event = try #require(events.items.first { $0["kind"] == "task.blocked" })
        #expect(event.at("data", "culprit") == "zone=north" && event.at("data", "run")?.string == waiting)
        #expect(node.stop() == 0)
        node = try RunningNode(data: folder.path + "/data", smallNode + ["--set", "worker.labels=zone=north"])
        let ended = try await node.ended(waiting)
        #expect(ended["state"] == "succeeded")
    }

    @Test func `labels and weights that cannot be are refused before anything begins`() throws {
        let folder = try TemporaryFolder()
        for (setting, said) in [
            ("worker.labels=Zone=north", "label 'Zone' is no label's name"), ("placement.strategy=best", "placement.strategy"),
            ("placement.ageing=0s", "from 1ms to 1d"), ("placement.weights=shop=0", "from 1 to 1000"),
            ("placement.weights=Shop!=2", "placement.weights"),
        ] {
            let refused = try run(
                Built.distric, ["node", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "none", "--set", setting])
            #expect(refused.code == 78 && refused.err.contains(said), "\(setting): \(refused.code) \(refused.err)")
        }
    }

    @Test func `placement settings are read again at SIGHUP, and a file that is wrong changes nothing`() async throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/distric.toml"
        func write(_ text: String) throws { try text.write(toFile: file, atomically: true, encoding: .utf8) }
        try write("[placement]\nageing = \"20s\"\n")
        let node = try RunningNode(data: folder.path + "/data", smallNode + ["--config", file])
        func shown(_ key: String) async throws -> Value {
            let all = try await node.client.get("/api/v1/config")
            return all.list?.first { $0["key"]?.string == key }?["value"] ?? .null
        }
        try await node.apply(pair("work", task([:])))
        #expect(try await shown("placement.ageing") == "20s")
        try write("[placement]\nageing = \"30s\"\nstrategy = \"round-robin\"\n[placement.weights]\nshop = \"3\"\n[dedup]\nage = \"1h\"\n")
        kill(node.process.processIdentifier, SIGHUP)
        let taken = try await eventually {
            try await shown("placement.strategy")
        } until: {
            $0 == "round-robin"
        }
        #expect(taken == "round-robin")
        #expect(try await shown("placement.ageing") == "30s")
        #expect(try await shown("dedup.age") == "10m", "this one counts from the next start")
        #expect(node.logText.contains("settings that count from the next start") && node.logText.contains("dedup.age"))
        try write("[placement]\nageing = \"soon\"\n")
        kill(node.process.processIdentifier, SIGHUP)
        let refused = try await eventually {
            try await node.client.get("/api/v1/events")
        } until: { events in
            events.items.contains { $0["kind"] == "settings.refused" }
        }
        #expect(refused.items.contains { $0["kind"] == "settings.refused" })
        #expect(try await shown("placement.ageing") == "30s")
        // The queue was made anew: what comes is done as before.
        let ended = try await node.ended(try await node.submit("work"))
        #expect(ended["state"] == "succeeded")
        #expect(node.stop() == 0)
    }
}
