import Foundation
import Operator
import Primitives
import Testing
import Text

/// Views printed without a terminal: `console --once` and `--snapshot`.
struct SnapshotCommandTests {
    /// A node with the examples of `distric init` and what came of a hundred of their messages.
    private func filled(_ folder: TemporaryFolder) async throws -> RunningNode {
        let demo = folder.path + "/demo"
        #expect(try distric(["init", demo]).code == 0)
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        // First, since of a burst of messages not every trace is kept.
        try await node.apply(pair("bad", script("echo no such luck >&2; exit 3")))
        #expect(try await node.ended(try await node.submit("bad"))["state"] == "failed")
        #expect(try node.distric("rules", "apply", demo + "/rules", demo + "/workflows").code == 0)
        let lines = try String(contentsOfFile: demo + "/messages.ndjson", encoding: .utf8).split(separator: "\n").prefix(100)
        #expect(try node.distric("messages", "submit", "-", input: lines.joined(separator: "\n")).code == 0)
        _ = try await eventually {
            try await node.client.get("/api/v1/cluster/status")
        } until: {
            $0.at("runs", "open")?.int == 0
        }
        return node
    }

    private func distric(_ arguments: [String]) throws -> Finished { try run(Built.distric, arguments) }

    private func background(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: Built.distric)
        process.arguments = arguments
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        return process
    }

    /// Every view with what it is about, and words that must be in it.
    private func views(_ node: RunningNode) async throws -> [(view: View, subject: String, words: [String])] {
        let bad = try #require(try await node.client.get("/api/v1/runs", [("workflow", "bad")]).items.first)
        let run = try #require(bad["id"]?.string)
        let message = try #require(bad["messageId"]?.string)
        let trace = try #require(bad["traceId"]?.string)
        return [
            (.pulse, "", ["leader n1", "1 raft", "3 tasks", "failed runs 1", "run of bad failed"]),
            (.nodes, "", ["coordinator,worker", "alive"]), (.raft, "", ["quorum      1 of 1 voters", "leader"]),
            (.gossip, "", ["MEMBER", "alive"]),
            (.messages, "", ["order.created", "shop/order-created"]),
            (.rules, "", ["plant/overheated", "shop/payment-large", "HIT%"]), (.workflows, "", ["order-fulfilment", "sensor-alarm"]),
            (.runs, "", ["order-fulfilment", "✗ failed", "● succeeded"]), (.tasks, "", ["score", "wait@1", "transform@1"]),
            (.traces, "", ["POST /api/v1/messages"]), (.metrics, "", ["distric_commit_duration_seconds"]), (.logs, "", ["ready"]),
            (.events, "", ["node.started", "task.failed", "run.failed"]), (.help, "", ["Moving", "type a view or any command"]),
            (.node, "n1", ["role        coordinator,worker", "reserve"]),
            (.message, message, ["message     \(message)", "bad/start", "every condition holds"]),
            (.rule, "shop/payment-large", ["rule        shop/payment-large", "payment.received"]),
            (.workflow, "order-fulfilment", ["order-fulfilment", "reserve", "succeeded"]),
            (.run, run, ["run         \(run)", "[ ✗ only ]", "no such luck"]),
            (.task, "\(run).only", ["of run      \(run)", "what attempt 1 wrote", "no such luck"]),
            (.trace, trace, ["trace       \(trace)", "POST /api/v1/messages", "task only"]),
            (.connections, "", ["FROM", "SOFTWARE", "distric ping"]), (.raftLog, "n1", ["log of      n1", "INDEX", "CHECKSUM"]),
        ]
    }

    @Test func `every view is printed as text and as data, full of what the node knows, within its size`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let caller = try background(["ping", "unix:\(folder.path)/data/rpc.sock", "-q"])
        defer { caller.terminate() }
        _ = try await eventually {
            try await node.client.get("/api/v1/rpc/connections")
        } until: {
            $0["items"]?.list?.count == 1
        }
        let views = try await views(node)
        #expect(Set(views.map(\.view)) == Set(View.allCases.filter { $0 != .output }))
        for (number, (view, subject, words)) in views.enumerated() {
            let (width, height) = [(120, 40), (160, 50), (100, 30)][number % 3]
            let options = ["--view", view.rawValue, "--size", "\(width)x\(height)"] + (subject.isEmpty ? [] : ["--subject", subject])
            let printed = try distric(["console", "--connect", node.url, "--snapshot", "json"] + options)
            #expect(printed.code == 0, "\(view): \(printed.err)")
            let data = try JSONScanner.parse(printed.out)
            #expect(data["view"]?.string == view.rawValue)
            #expect(data["subject"]?.string == subject)
            #expect(data["size"] == ["width": Value(width), "height": Value(height)])
            #expect(data.at("status", "leader") == "n1", "\(view)")
            let rows = data["rows"]?.list ?? []
            #expect(rows.isEmpty == [.pulse, .help].contains(view), "\(view): \(rows.count) rows")
            #expect(data["matched"]?.int ?? -1 >= Int64(rows.count), "\(view)")
            let lines = data["lines"]?.list?.compactMap(\.string) ?? []
            let screen = lines.joined(separator: "\n")
            #expect(lines.count == height && lines.allSatisfy { $0.count <= width }, "\(view):\n\(screen)")
            #expect(screen.contains(" LIVE ") && screen.contains("cluster > \(view.rawValue)"), "\(view):\n\(screen)")
            let missing = words.filter { !screen.contains($0) }
            #expect(missing == [], "\(view):\n\(screen)")
            guard [.help, .workflow].contains(view) else { continue }
            // As text it is the same, below the clock and the rates, but for ages.
            func still(_ text: String) -> [String] {
                text.replacing(#/\d+[smh]\b/#, with: "").replacing(" ", with: "").rows.dropFirst(2).map(\.self)
            }
            let text = try distric(["console", "--connect", node.url, "--snapshot", "txt"] + options)
            #expect(still(text.out) == still(screen), "\(view)")
            #expect(text.out.split(separator: "\n", omittingEmptySubsequences: false).count == height + 1)
        }
    }

    @Test func `filters, colours, one screen and lines`() async throws {
        let folder = try TemporaryFolder()
        let node = try await filled(folder)
        let runs = ["console", "--connect", node.url, "--view", "runs", "--size", "100x30"]
        let failed = try JSONScanner.parse(try distric(runs + ["--filter", "state:failed", "--snapshot", "json"]).out)
        let all = try await node.client.get("/api/v1/runs", [("limit", "1000")]).items
        #expect(failed["filter"] == "state:failed")
        #expect(failed["rows"]?.list?.compactMap { $0["workflow"]?.string } == ["bad"])
        #expect(failed["total"]?.int == Int64(all.count))
        #expect(failed["matched"]?.int == 1)
        let shown = try distric(runs + ["--filter", "state:failed", "--once"])
        #expect(shown.code == 0)
        #expect(shown.out.contains("› ") && shown.out.contains(" bad ") && !shown.out.contains("order-fulfilment"), "\(shown.out)")
        // The same cells, with and without colours.
        let still = ["console", "--connect", node.url, "--view", "help", "--size", "90x30", "--snapshot"]
        func plain(_ text: String) -> String { text.replacing(#/\e\[[0-9;]*m/#, with: "").replacing(#/\d\d:\d\d:\d\d/#, with: "") }
        let text = try distric(still + ["txt"]).out
        let colored = try distric(still + ["ansi"]).out
        #expect(colored.contains("\u{1B}["))
        // Below the rates, which go on.
        #expect(plain(colored).rows.dropFirst(2) == plain(text).rows.dropFirst(2))
        let mono = try distric(still + ["ansi", "--theme", "mono"]).out
        #expect(!mono.contains(#/\e\[([0-9;]*;)?[34][0-8][;m]/#), "\(mono)")
        let ascii = try distric(runs + ["--ascii", "--once"]).out
        #expect(ascii.unicodeScalars.allSatisfy { $0.isASCII }, "\(ascii)")
        let linear = try distric(runs + ["--filter", "state:failed", "--linear", "--once"]).out
        #expect(linear.hasPrefix("runs\n") && linear.contains("workflow bad, state failed"), "\(linear)")
    }

    @Test func `what cannot be shown has a code that says why`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode)
        let nobody = "00000000-0000-7000-8000-000000000000"
        func code(_ words: String...) throws -> Int32 { try distric(["console", "--connect", node.url, "--once"] + words).code }
        #expect(try code() == 0)
        // Not found and bad data are not "unavailable": the node has answered.
        #expect(try code("--view", "run", "--subject", nobody) == 1)
        #expect(try code("--view", "task", "--subject", "\(nobody).only") == 1)
        #expect(try code("--view", "rule", "--subject", "nobody/none") == 1)
        #expect(try code("--view", "tasks", "--filter", "nocolumn:3") == 65)
        #expect(try code("--view", "tasks", "--filter", "/(/") == 65)
        #expect(try code("--view", "rums") == 64)
        #expect(try code("--size", "120") == 64)
        #expect(try code("--snapshot", "pdf") == 64)
        #expect(try code("--theme", "nosuch") == 64)
        let broken = folder.path + "/broken.toml"
        try "[style]\n\"no-such-role\" = \"red\"\n".write(toFile: broken, atomically: true, encoding: .utf8)
        let refused = try distric(["console", "--connect", node.url, "--once", "--theme", broken])
        #expect(refused.code == 65)
        #expect(refused.err.contains("broken.toml:2"))
        let gone = try distric(["console", "--connect", "127.0.0.1:1", "--once", "--size", "60x16"])
        #expect(gone.code == 69)
        #expect(gone.out.contains("NO DATA") && gone.err.contains("connection refused"), "\(gone.err)")
    }

    @Test func `plain distric starts a node, shows it, and leaves nothing behind`() throws {
        let folder = try TemporaryFolder()
        let surroundings = try TmuxScreen.surroundings(folder)
        let shown = try run(Built.distric, ["--ephemeral", "--snapshot", "txt", "--size", "80x24"], environment: surroundings)
        #expect(shown.code == 0, "\(shown.err)")
        #expect(shown.out.contains("LIVE") && shown.out.contains("embedded") && shown.out.contains("quorum 1/1"), "\(shown.out)")
        for name in ["tmp", "state"] {
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/\(name)") == [], "\(name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/run/distric") == [])
        // Without --ephemeral the node is kept, and is the same the next time.
        func cluster() throws -> String {
            let printed = try run(Built.distric, ["--snapshot", "json"], environment: surroundings)
            #expect(printed.code == 0, "\(printed.err)")
            return try #require(try JSONScanner.parse(printed.out).at("status", "clusterId")?.string)
        }
        let first = try cluster()
        #expect(FileManager.default.fileExists(atPath: "\(folder.path)/state/distric/node"))
        #expect(try cluster() == first)
    }
}
