import Foundation
import Operator
import Primitives
import Testing
import Text

/// What a console must endure: servers that are no nodes, tasks and messages that mean harm, a paste without end.
struct ConsoleHostileTests {
    private static let pwned = "\u{1B}]0;pwned\u{7}"

    // MARK: Servers

    /// What a port may answer with that is not a node's.
    private static let answers: [(name: String, bytes: [UInt8])] = {
        var random = SplitMix(seed: 7)
        return [
            ("random bytes", (0..<5000).map { _ in UInt8(truncatingIfNeeded: random.next()) }), ("nothing", []),
            ("a page", FalseNode.http("<html><h1>It works!\(pwned)</h1></html>", type: "text/html")),
            ("a page of an error", FalseNode.http("<html>\(pwned) not here</html>", type: "text/html", status: "404 Not Found")),
            ("no JSON", FalseNode.stream(("value", "{\"leader\": "), ("rows", "]["), ("lines", "\u{0}"))),
            (
                "JSON of another shape",
                FalseNode.stream(
                    ("rows", #"{"rows": {"a": 1}, "total": "many"}"#), ("rows", #"{"rows": [1, null, {"id": []}], "total": -1}"#),
                    ("lines", #"{"items": 7}"#))
            ),
        ]
    }()

    @Test(arguments: answers.map(\.name)) func `what is no node is said to be none, and keys still work`(_ name: String) async throws {
        let answer = try #require(Self.answers.first { $0.name == name }).bytes
        let server = try FalseNode { _ in answer }
        guard let screen = try TmuxScreen(100, 24, [Built.distric, "console", "--connect", server.url]) else { return }
        let title = try screen.fact("pane_title")
        let seen = try await screen.wait(for: "NO DATA", "no data: ")
        #expect(seen.rows.allSatisfy { $0.unicodeScalars.allSatisfy { $0.value >= 32 && !(127..<160).contains($0.value) } }, "\(seen)")
        for view in ["runs", "events", "rules"] {
            try screen.line(":\(view)")
            try await screen.wait(until: "\(view) without data") { $0.rows.last?.contains("cluster > \(view) ") == true }
        }
        #expect(try screen.fact("pane_title") == title)
        try screen.line(":quit")
        try await screen.ends()
    }

    /// Numbers that fit no screen, counts that fit no list, shapes that fit no row.
    private static let senseless: String = {
        let values = [
            "1e300", "-1e300", "9223372036854775807", "-9223372036854775808", "\"\\u001b]0;pwned\\u0007\"", "[1]", "{\"a\": null}",
        ]
        let keys = [
            "durationMs", "recent", "value", "rate", "running", "slots", "evaluationsPerSecond", "hitPercent", "hits", "errors",
            "latencyUs",
            "attempt", "logBytes", "seq", "incarnation", "p50", "p99", "spans", "total", "time", "start", "startedAt", "createdAt",
            "acceptedAt", "level", "severity", "text", "message", "term", "lag", "commitIndex", "depth", "oldestMs", "name", "workflow",
        ]
        func fields(_ value: String, without: Set<String> = []) -> String {
            keys.filter { !without.contains($0) }.map { "\"\($0)\": \(value)" }.joined(separator: ", ")
        }
        let rows = values.enumerated().map { place, value in
            """
            {"id": "r\(place)", "traceId": "r\(place)", "spanId": "r\(place)", "task": "r\(place)", "state": "failed", "kind": "gauge",
             "dependsOn": [{"task": "r\(place)"}, {"task": "r\((place + 1) % 7)"}], "parentId": "r\((place + 1) % 7)", \(fields(value))}
            """.replacing("\n", with: "")
        }
        let list = "[\((rows + values).joined(separator: ", "))]"
        let parts = ["items", "rows", "members", "rules", "workflows", "events", "attempts", "spans", "stats", "health"].map {
            "\"\($0)\": \(list)"
        }
        let nested = ["raft", "queue", "gossip", "runs", "messages", "quorum", "error", "blocked", "why"].enumerated().map { place, name in
            "\"\(name)\": {\(fields(values[place % values.count]))}"
        }
        let tasks = "\"tasks\": {\"items\": \(list), \"depth\": [1e300, -1e300, 1e300], \"byState\": {\"failed\": 1e300}}"
        let counts = ["\"total\": 14, \"matched\": 14, \"offset\": 0, \"missed\": 9223372036854775807"]
        let rest = fields("1e300", without: ["spans", "total", "message", "attempt"])
        return "{\((parts + nested + [tasks] + counts + [rest]).joined(separator: ", "))}"
    }()

    @Test func `values that make no sense are drawn somehow`() async throws {
        let body = Self.senseless
        let counts = body.replacing(
            "\"total\": 14, \"matched\": 14, \"offset\": 0", with: #""total": \#(Int.max), "matched": \#(Int.max), "offset": 3"#)
        #expect(counts != body)
        for text in [body, counts] { _ = try JSONScanner.parse(text) }
        let server = try FalseNode { path in
            path.contains("watch=true")
                ? FalseNode.stream(("value", body), ("rows", body), ("lines", body), ("rows", counts), ("lines", body), ("rows", body))
                : FalseNode.http(body)
        }
        for view in View.allCases where view != .help && view != .output {
            let printed = try run(
                Built.distric,
                ["console", "--connect", server.url, "--view", view.rawValue, "--subject", "a", "--snapshot", "txt", "--size", "150x40"])
            #expect([0, 69].contains(printed.code), "\(view): \(printed.code) \(printed.err)")
            #expect(printed.out.split(separator: "\n", omittingEmptySubsequences: false).count == 41, "\(view): \(printed.out)")
            #expect(!printed.out.contains("\u{1B}"), "\(view)")
            if [.tasks, .runs, .rules, .metrics].contains(view) { #expect(printed.out.contains("› "), "\(view): \(printed.out)") }
        }
        guard let screen = try TmuxScreen(100, 24, [Built.distric, "console", "--connect", server.url]) else { return }
        try await screen.wait(until: "a frame") { $0.contains("cluster > pulse") }
        for view in ["rules", "events", "tasks", "metrics"] {
            try screen.line(":\(view)")
            try await screen.wait(until: view) { $0.rows.last?.contains("cluster > \(view) ") == true }
            try screen.keys("G", "G", "PPage", "NPage", "j", "k", "g")
        }
        try await Task.sleep(for: .milliseconds(300))
        try screen.line(":quit")
        try await screen.ends()
    }

    @Test func `commands call what is no node a breach of protocol, and never crash`() throws {
        let page = try FalseNode { _ in FalseNode.http("<html><h1>It works!</h1></html>", type: "text/html") }
        let noise = try FalseNode { _ in Array("\u{1}\u{2} no HTTP\r\n\r\n".utf8) }
        for server in [page, noise] {
            for words in [["status"], ["runs", "list"], ["console", "--once"]] {
                let asked = try run(Built.distric, words + ["--connect", server.url])
                #expect(asked.code == 76, "\(words): \(asked.code) \(asked.err)\(asked.out)")
                #expect(asked.err.contains(server.url), "\(words): \(asked.err)")
            }
        }
        let negative = try FalseNode { path in
            path.contains("after=") ? FalseNode.stream(("x", "{}")) : FalseNode.http(#"{"items": [{"seq": -5, "text": "x"}]}"#)
        }
        let followed = try run(Built.distric, ["events", "-f", "--connect", negative.url])
        #expect(followed.code < 128, "\(followed.err)")
    }

    // MARK: Tasks and messages

    /// A task that prints control characters of every sort, and bytes that are no text.
    private static let evil =
        #"printf '\033]0;pwned\007\033[2J\033[31mred\377\376\200 \302\233 \014\016 \033]52;c;cHduZWQ=\007 done\n'; exit 3"#

    private func evilStage() async throws -> (Stage, run: String) {
        let stage = try await Stage()
        try await stage.node.apply(pair("evil", script(Self.evil)))
        let message: Value = [
            "id": "evil-1", "type": "evil", "source": .string("/shop/" + Self.pwned),
            "data": ["a\u{1B}[31m": .string(Self.pwned + "\u{9B}31m\u{202E} abc"), "b": "two\nlines"],
        ]
        let run = try #require(try await stage.node.client.post("/api/v1/messages", body: message)["runs"]?.list?.first?.string)
        #expect(try await stage.node.ended(run)["state"] == "failed")
        return (stage, run)
    }

    @Test func `escape sequences and bytes that are no text never reach the terminal`() async throws {
        let (stage, run) = try await evilStage()
        guard let screen = try stage.console(120, 40) else { return }
        let record = screen.folder.path + "/record"
        try screen.record(to: record)
        let title = try screen.fact("pane_title")
        try screen.keys("C-l")
        try await screen.wait(for: "LIVE", "task.failed", "red")
        for (view, text) in [
            ("events", "red"), ("runs", "red"), ("tasks", "red"), ("logs", "ready"), ("messages", "evil-1"), ("traces", "POST"),
        ] {
            try screen.line(":\(view)")
            try await screen.wait(for: "cluster > \(view) ", text)
        }
        try screen.line(":messages")
        try screen.line("/evil-1")
        try await screen.wait(until: "the message") { $0.contains(#/› +\S+ evil-1 /#) }
        try screen.keys("Enter")
        try await screen.wait(for: "message     evil-1", "evil/start", "abc")
        try screen.line(":tasks show \(run).only")
        try await screen.wait(for: "output distric tasks show", "red")
        try screen.line(":tasks logs \(run).only")
        try await screen.wait(for: "red", "done")
        try screen.line(":runs show \(run)")
        try await screen.wait(for: "red", "done")
        try screen.keys("Escape", "Escape")
        #expect(try screen.fact("pane_title") == title)
        try screen.line(":quit")
        try await screen.ends()
        let written = Array(try #require(FileManager.default.contents(atPath: record)))
        #expect(written.count > 1000)
        for (name, bytes) in [("BEL", [7]), ("OSC", [0x1B, 0x5D]), ("CSI of 8 bits", [0xC2, 0x9B]), ("FF", [0xFF]), ("SO", [0x0E])]
            as [(String, [UInt8])]
        {
            let found = written.indices.contains { place in written[place...].starts(with: bytes) }
            #expect(!found, "\(name) was sent to the terminal")
        }
        #expect(!String(decoding: written, as: UTF8.self).contains("\u{202E}"))
    }

    @Test func `commands on a terminal print no escape sequence of a task's; into a pipe they print all bytes`() async throws {
        let (stage, run) = try await evilStage()
        let piped = try stage.node.distric("tasks", "logs", "\(run).only")
        #expect(piped.out.contains(Self.pwned))
        guard let screen = try TmuxScreen(120, 40) else { return }
        for command in ["tasks logs \(run).only", "tasks show \(run).only", "runs show \(run)", "events"] {
            try screen.line(#"clear; printf '\033[0m\033]0;calm\007'; distric "# + "\(command) --connect \(stage.node.url); echo over")
            try await screen.wait(until: "the end of \(command)") { $0.hasLine("over") && $0.contains("red") }
            #expect(try screen.fact("pane_title") == "calm", "\(command)")
            #expect(try !screen.text(colored: true).contains("\u{1B}[31m"), "\(command)")
        }
        // Events as they come.
        try screen.line(#"clear; printf '\033[0m\033]0;calm\007'; distric events -f --connect "# + stage.node.url)
        try await screen.wait(for: "catalog.changed")
        _ = try await stage.node.submit("evil")
        try await screen.wait(until: "the new event") {
            $0.contains("catalog.changed") && $0.rows.filter { $0.contains("task.failed") }.count >= 3
        }
        try screen.keys("C-c")
        #expect(try screen.fact("pane_title") == "calm")
    }

    // MARK: A paste

    @Test func `a paste of a megabyte neither hangs nor runs anything`() async throws {
        let stage = try await Stage()
        let before = try await stage.standing()
        guard let screen = try stage.console(100, 24, ["--view", "tasks"]) else { return }
        try await screen.wait(for: "LIVE", "exec@1")
        // Where nothing is typed it is nothing, whatever keys it is made of.
        try screen.paste(String(repeating: "D\nyq5\n", count: 170_000))
        try screen.keys("?")
        try await screen.wait(until: "help, asked for after the paste") { $0.rows.last?.contains("cluster > tasks > help ") == true }
        try screen.keys("Escape")
        // In a filter and in the palette it is one long line.
        try screen.keys("/")
        try await screen.wait(until: "the filter") { $0.rows.last?.hasPrefix("/") == true }
        try screen.paste(String(repeating: "no such row\n", count: 9_000))
        try await screen.wait(until: "the paste in the filter") {
            $0.rows.last?.hasPrefix("/") == true && $0.rows.last?.contains("no such row") == true
        }
        try screen.keys("Escape")
        try await screen.wait(for: "cluster > tasks", "exec@1")
        try screen.keys(":")
        try screen.paste(String(repeating: "runs list\n", count: 10_000))
        try await screen.wait(until: "the paste in the palette") { $0.rows.last?.contains("runs list runs") == true }
        try screen.keys("Escape")
        try await screen.wait(for: "cluster > tasks", "exec@1")
        #expect(try await stage.standing() == before)
        try screen.line(":quit")
        try await screen.ends()
    }
}

/// SplitMix64: the same seed, the same bytes.
private struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
