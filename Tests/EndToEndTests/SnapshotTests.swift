import Foundation
import Operator
import Primitives
import Testing
import Text

/// A snapshot by bytes: the log before it goes, and a crash after it loses nothing.
struct SnapshotTests {
    private static let small = ["--set", "raft.snapshot_bytes=1MiB", "--set", "raft.segment_bytes=1MiB"]

    private static let definitions: Value = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "hold"],
            "tasks": ["wait": ["use": "wait@1", "with": ["duration": "${{ input.data.wait }}"]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "all"],
            "rules": [["id": "every", "when": ["all": []], "actions": [["workflow": "hold"]]]],
        ],
    ]

    @Test func `a node restarts from its snapshot and the log after it`() async throws {
        let folder = try TemporaryFolder()
        var node = try RunningNode(data: folder.path + "/data", Self.small)
        _ = try await node.client.post("/api/v1/workflows", body: Self.definitions)
        let pad = Value.string(String(repeating: "x", count: 1000))
        // Half of the runs are open over the crash.
        let lines = (0..<2000).map { number -> String in
            let wait: Value = number % 2 == 0 ? "1ms" : "6s"
            return JSONWriter.text(["id": .string("m-\(number)"), "type": "t", "data": ["wait": wait, "pad": pad]])
        }
        let submitted = try node.distric("messages", "submit", "-", "-o", "json", input: lines.joined(separator: "\n"))
        #expect(submitted.code == 0, "\(submitted.err)")
        #expect(try JSONScanner.parse(submitted.out.utf8)["accepted"]?.int == 2000)
        let folderOfSnapshots = folder.path + "/data/raft/snapshots"
        let found = try await eventually {
            Value(((try? FileManager.default.contentsOfDirectory(atPath: folderOfSnapshots)) ?? []).count { $0.hasSuffix(".manifest") })
        } until: {
            $0.int == 1
        }
        #expect(found.int == 1)
        node.crash()
        node = try RunningNode(data: folder.path + "/data", Self.small)
        #expect(node.logText.contains("after snapshot "))
        #expect(!node.logText.contains("after snapshot 0 "))
        let status = try await node.client.get("/api/v1/cluster/status")
        #expect(status.at("messages", "accepted")?.int == 2000)
        let again = try node.distric("messages", "submit", "-", "-o", "json", input: lines[7])
        #expect(try JSONScanner.parse(again.out.utf8)["duplicate"]?.int == 1)
        let ended = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "ended")?.int == 2000
        }
        #expect(ended.at("runs", "ended")?.int == 2000)
        #expect(ended.at("runs", "open")?.int == 0)
    }
}
