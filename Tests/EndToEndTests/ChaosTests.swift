import Foundation
import Operator
import Primitives
import Testing
import Text

/// `distric chaos` against a node that was started for it, and one that was not.
struct ChaosTests {
    private func started(_ folder: TemporaryFolder, _ arguments: [String] = ["--allow-chaos"]) throws -> RunningNode {
        try RunningNode(data: folder.path + "/data", smallNode + arguments)
    }

    @Test func `a node that was not started for it breaks nothing, and says how to start it`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder, [])
        for words in [[], ["status"], ["link", "c-2", "--cut"], ["disk", "--fail"], ["heal"]] {
            let refused = try run(Built.distric, ["chaos"] + words + ["--connect", node.url])
            #expect(refused.code == 77, "\(words): \(refused.err)")
            #expect(refused.err.contains("distric node --allow-chaos"), "\(words): \(refused.err)")
        }
        let plain = try raw(node.url, "POST", "/api/v1/chaos/disk", body: "{\"fail\":true}")
        #expect(plain.status == 403)
        #expect(plain.value["code"] == "chaos_not_allowed")
        #expect(try raw(node.url, "GET", "/health/ready").status == 200)
    }

    @Test func `what is broken is shown, counted and healed`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let whole = try node.distric("chaos")
        #expect(whole.code == 0 && whole.out.isEmpty)
        #expect(whole.err.contains("nothing is broken on purpose on n1"))
        try await node.apply(pair("brief", script("exit 0")))
        #expect(try node.distric("chaos", "disk", "--stall", "100ms", "--once").out.contains("the next sync stalls for 100ms"))
        _ = try await node.ended(try await node.submit("brief"))
        let status = try JSONScanner.parse(try node.distric("chaos", "status", "-o", "json").out)
        #expect(status.at("disk", "stalls") == 1)
        #expect(status["faults"] == 0)
        #expect(try node.distric("chaos", "disk", "--stall", "1ms", "--every", "0s").code == 0)
        let metrics = try node.distric("metrics", "distric_chaos_faults").out
        #expect(metrics.contains("distric_chaos_faults 1"), "\(metrics)")
        #expect(try node.distric("chaos", "heal").err.contains("nothing is broken"))
        let events = try node.distric("events", "-o", "json").out
        #expect(events.contains("the next sync of the log's disk stalls for 100ms"))
        #expect(events.contains("the log's disk is whole again"))
    }

    @Test func `a disk that fails stops the log with a reason, and a restart has all that was acknowledged`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("brief", script("exit 0")))
        let kept = try await node.submit("brief")
        _ = try await node.ended(kept)
        #expect(try node.distric("chaos", "disk", "--fail").out.contains("every sync fails"))
        let refused = try raw(node.url, "POST", "/api/v1/messages", body: "{\"type\":\"brief\"}")
        #expect(refused.status == 503, "\(refused.body)")
        let health = try await eventually {
            try raw(node.url, "GET", "/health/ready").value
        } until: { answer in
            answer["components"]?.list?.contains { $0["name"] == "storage" && $0["status"] == "down" } == true
        }
        #expect(health["status"] == "down")
        let healed = try node.distric("chaos", "heal")
        #expect(healed.err.contains("restart the node"), "\(healed.err)")
        _ = node.stop()
        let again = try started(folder)
        #expect(try await again.ended(kept)["state"] == "succeeded")
        _ = try await again.ended(try await again.submit("brief"))
    }

    @Test func `what makes no sense is not sent`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let wrong: [[String]] = [
            ["link"], ["link", "c-2"], ["link", "c-2", "--loss", "2"], ["link", "c-2", "--loss", "nan"],
            ["link", "c-2", "--delay", "soon"],
            ["link", "c-2", "--delay", "11m"], ["disk"], ["disk", "--stall", "1s"],
            ["disk", "--stall", "1s", "--once", "--every", "5s"], ["disk", "--every", "5s"], ["disk", "--fail", "--once"],
            ["disk", "--fail", "--stall", "1s"], ["disk", "--stall", "x", "--once"], ["heal", "c-2", "--links"], ["lnik", "c-2", "--cut"],
        ]
        for words in wrong {
            let refused = try run(Built.distric, ["chaos"] + words + ["--connect", node.url])
            #expect(refused.code == 64, "\(words): \(refused.code) \(refused.err)")
            #expect(!refused.err.isEmpty, "\(words)")
        }
        let own = try node.distric("chaos", "link", "n1", "--cut")
        #expect(own.code == 65 && own.err.contains("this node itself"), "\(own.err)")
        let whole = try node.distric("chaos", "heal", "c-2")
        #expect(whole.code == 1 && whole.err.contains("has no fault"), "\(whole.err)")
        #expect(try node.distric("chaos").err.contains("nothing is broken"))
    }

    @Test func `nothing is broken on a protected context without --yes, nor in a read-only shell`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try FileManager.default.createDirectory(atPath: folder.path + "/distric", withIntermediateDirectories: true)
        let text = "[contexts.prod]\nurls = [\"\(node.url)\"]\nprotected = true\n"
        try Data(text.utf8).write(to: URL(filePath: folder.path + "/distric/contexts.toml"))
        let surroundings = ["XDG_CONFIG_HOME": folder.path]
        for words in [["link", "c-2", "--cut"], ["disk", "--stall", "1ms", "--once"], ["heal"]] {
            let refused = try run(Built.distric, ["chaos"] + words + ["--context", "prod"], environment: surroundings)
            #expect(refused.code == 77, "\(words): \(refused.err)")
            #expect(refused.err.contains("the context is protected"), "\(words)")
            let shell = try run(
                Built.distric, ["shell", "--read-only", "--connect", node.url, "-c", (["chaos"] + words).joined(separator: " ")])
            #expect(shell.code == 77 && shell.err.contains("read-only"), "\(words): \(shell.err)")
        }
        #expect(try run(Built.distric, ["chaos", "--context", "prod"], environment: surroundings).code == 0)
        let broken = try run(
            Built.distric, ["chaos", "disk", "--stall", "1ms", "--every", "1s", "--context", "prod", "--yes"], environment: surroundings)
        #expect(broken.code == 0 && broken.out.contains("stalls for 1ms"), "\(broken.err)")
    }
}

/// A node whose disk has less free than it should: here, than all of it.
struct LowDiskTests {
    @Test func `messages are refused with what to do, and what runs can be ended`() async throws {
        let folder = try TemporaryFolder()
        let data = folder.path + "/data"
        let roomy = try RunningNode(data: data, smallNode)
        try await roomy.apply(pair("long", script("sleep 300", attempt: "600s")))
        let open = try await roomy.submit("long")
        #expect(roomy.stop() == 0)
        let node = try RunningNode(data: data, smallNode + ["--set", "disk.low_percent=100", "--set", "disk.critical_percent=0"])
        let health = try await eventually {
            try raw(node.url, "GET", "/health/ready").value
        } until: { answer in
            answer["components"]?.list?.contains { $0["name"] == "disk" && $0["status"] == "degraded" } == true
        }
        #expect(health["status"] == "degraded")
        let refused = try raw(node.url, "POST", "/api/v1/messages", body: "{\"type\":\"long\"}")
        #expect(refused.status == 503)
        #expect(refused.value["code"] == "busy")
        #expect(refused.headers["retry-after"] != nil)
        let detail = refused.value["detail"]?.string ?? ""
        #expect(detail.contains("the disk under \(data) has ") && detail.contains("lower disk.low_percent"), "\(detail)")
        #expect(try raw(node.url, "GET", "/health/ready").status == 200)
        let events = try node.distric("events", "-o", "json").out
        #expect(events.contains("disk.low"))
        #expect(try node.distric("metrics", "distric_disk_free_ratio").out.contains("distric_disk_free_ratio 0."))
        #expect(try node.distric("runs", "cancel", open).code == 0)
        #expect(try await node.ended(open)["state"] == "cancelled")
    }

    @Test func `limits that contradict each other are no settings`() throws {
        let folder = try TemporaryFolder()
        let refused = try run(
            Built.distric,
            ["node", "--data", folder.path + "/data", "--set", "disk.low_percent=5", "--set", "disk.critical_percent=10"])
        #expect(refused.code == 78)
        #expect(refused.err.contains("disk.critical_percent"))
    }
}
