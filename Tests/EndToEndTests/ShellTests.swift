import Foundation
import Glibc
import Operator
import Primitives
import Testing

/// The shell at a terminal, as a person uses it.
struct ShellTests {
    private func shell(_ stage: Stage, _ columns: Int = 120, _ rows: Int = 40) throws -> TmuxScreen? {
        try TmuxScreen(columns, rows, [Built.distric, "shell", "--connect", stage.node.url])
    }

    private static let prompt = "distric:n1[leader t1]>"

    @Test func `Tab completes commands, options and what is live; where nothing fits it says so`() async throws {
        let stage = try await Stage()
        guard let screen = try shell(stage) else { return }
        try await screen.wait(until: "the prompt with role and term") { $0.rows.last == Self.prompt }
        for (typed, whole) in [
            ("workf\t", "workflows "), ("rules sh\t", "rules show "), ("rules show go\t", "rules show good"),
            ("runs show \(stage.bad.dropLast())\t", "runs show \(stage.bad)"),
            ("tasks logs \(stage.good)\t", "tasks logs \(stage.good).only"),
            ("runs list --workf\t", "runs list --workflow"), ("\\wa\t", "\\watch"),
        ] {
            try screen.type(typed)
            try await screen.wait(until: whole) { $0.rows.last?.hasPrefix("\(Self.prompt) \(whole)".replacing(#/ $/#, with: "")) == true }
            try screen.keys("C-u")
        }
        // Several: Tab lists them and leaves the line as it is.
        try screen.type("rules show \t\t")
        try await screen.wait(until: "both sets") { $0.contains(#/bad +good/#) }
        try screen.keys("C-u")
        try screen.type("runs cancel zzz\t")
        let hint = try await screen.wait(for: "no runs begin with 'zzz'")
        #expect(hint.rows.last == "\(Self.prompt) runs cancel zzz")
        try screen.keys("C-u")
        try screen.line("runs show \(stage.bad.prefix(35))\t")
        try await screen.wait(for: "id:         \(stage.bad)", "no such luck")
        try screen.keys("C-d")
        try await screen.ends()
    }

    @Test func `Ctrl-C drops a line, and ends what runs; watching, facts, timing, pipes and files do as they say`() async throws {
        let stage = try await Stage()
        guard let screen = try shell(stage) else { return }
        let path = stage.folder.path + "/out"
        try await screen.wait(for: Self.prompt)
        try screen.type("runs cancel \(stage.bad)")
        try screen.keys("C-c")
        try await screen.wait(until: "a fresh prompt") { $0.contains("\(stage.bad)^C") && $0.rows.last == Self.prompt }
        // Follows until Ctrl-C.
        try screen.line("events -f")
        try await screen.wait(for: "catalog.changed", "run.failed")
        try await stage.node.apply(pair("more", script("true")))
        try await screen.wait(for: "catalog version 2")
        try screen.keys("C-c")
        try await screen.wait(until: "the prompt after events -f") { $0.contains("interrupted") && $0.rows.last == Self.prompt }
        // Again and again.
        try screen.line("nodes -o name")
        try await screen.wait(for: "\nn1\n")
        try screen.keys("C-l")
        try screen.line("\\watch 0.3")
        try await screen.wait(until: "three rounds") { $0.rows.filter { $0 == "n1" }.count >= 3 && $0.contains("every 0.3 s") }
        try screen.keys("C-c")
        try await screen.wait(until: "the prompt after \\watch") { $0.rows.last == Self.prompt }
        try screen.keys("C-l")
        try screen.line("\\x")
        try screen.line("nodes")
        try await screen.wait(for: "rows are shown as facts", "-[ 1 ]-", "NODE     | n1")
        try screen.line("\\x")
        try screen.line("\\timing")
        try screen.line("nodes -o name | sed s/^n1/piped-n1/")
        try await screen.wait(until: "the program's output, timed") { $0.contains(#/\npiped-n1\nTime: [0-9.]+ ms\n/#) }
        // One after the other: what is typed ahead is echoed where the time is told.
        for (line, times) in [("nodes -o name > '\(path)'", 3), ("nodes -o name >> '\(path)'", 4)] {
            try screen.line(line)
            try await screen.wait(until: "\(times) times") {
                $0.rows.filter { $0.hasPrefix("Time: ") }.count >= times && $0.rows.last == Self.prompt
            }
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "n1\nn1\n")
        try screen.line("\\wach")
        try await screen.wait(for: "did you mean '\\watch'?")
        try screen.keys("C-d")
        try await screen.ends()
    }

    @Test func `events come above the line that is being typed, all of them, and do not spoil it`() async throws {
        let stage = try await Stage()
        guard let screen = try shell(stage) else { return }
        try await screen.wait(for: Self.prompt)
        try screen.type("nodes -o na")
        try await screen.wait(until: "half a line") { $0.rows.last == "\(Self.prompt) nodes -o na" }
        let run = try await stage.node.submit("bad")
        _ = try await stage.node.ended(run)
        let seen = try await screen.wait(until: "both events, and the line below them") { screen in
            screen.contains("task.failed") && screen.contains("run.failed") && screen.rows.last == "\(Self.prompt) nodes -o na"
        }
        #expect(seen.rows.filter { $0.contains(#/^\d\d:\d\d:\d\d error /#) }.count == 2, "\(seen)")
        #expect(!seen.contains("not shown"), "\(seen)")
        try screen.line("me")
        try await screen.wait(for: "\nn1\n")
        // Only when they are wanted.
        try screen.line("\\events off")
        try screen.keys("C-l")
        let other = try await stage.node.submit("bad")
        _ = try await stage.node.ended(other)
        try screen.line("runs list -o name")
        let quiet = try await screen.wait(for: other)
        #expect(!quiet.contains("task.failed"), "\(quiet)")
        try screen.keys("C-d")
        try await screen.ends()
    }

    @Test func `the shell goes on with a node that was away`() async throws {
        let stage = try await Stage()
        guard let screen = try shell(stage) else { return }
        try await screen.wait(for: Self.prompt)
        stage.crash()
        try screen.line("status")
        try await screen.wait(for: "cannot be reached: connection refused")
        try screen.line("\\x")
        try await screen.wait(until: "a prompt without a node") { $0.rows.last == "distric:[no node]>" }
        try stage.restart()
        try screen.line("\\x")
        try screen.line("status")
        try await screen.wait(for: "leader   n1  term 2")
        try screen.line("runs list -o name")
        try await screen.wait(until: "the runs, and the new term in the prompt") {
            $0.contains(stage.bad) && $0.rows.last == "distric:n1[leader t2]>"
        }
        // Events are followed again too; those of the second in between may be missed.
        for _ in 0..<20 where try !screen.text().contains("error task.failed") {
            _ = try await stage.node.submit("bad")
            try await Task.sleep(for: .milliseconds(500))
        }
        try await screen.wait(for: "error task.failed")
        try screen.keys("C-d")
        try await screen.ends()
    }

    @Test func `history holds each line once, no secrets, and is there in the next shell; the terminal is as before`() async throws {
        let stage = try await Stage()
        guard let screen = try TmuxScreen(120, 40) else { return }
        let path = "\(screen.folder.path)/state/distric/history"
        func leave(_ way: () async throws -> Void) async throws {
            try await way()
            try screen.line("stty -a > after; cmp before after && echo as before")
            try await screen.wait(until: "the same modes") { $0.hasLine("as before") }
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        }
        try screen.line("stty -a > before; distric shell --connect \(stage.node.url)")
        try await screen.wait(for: Self.prompt)
        for line in ["nodes", "raft", "nodes", "nodes", " gossip", "status --key dk_0123", "runs list --filter password=x", "raft"] {
            try screen.line(line)
        }
        try screen.line("\\?")
        try await screen.wait(for: "leave (also Ctrl-D)")
        try await leave { try screen.keys("C-d") }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "nodes\nraft\n\\?\n")
        // Recalled, and kept though the shell is ended from outside.
        try screen.line("clear; distric shell --connect \(stage.node.url)")
        try await screen.wait(until: "the prompt") { $0.rows.last == Self.prompt }
        try screen.keys("Up", "Up")
        try await screen.wait(until: "the line before the last") { $0.rows.last == "\(Self.prompt) raft" }
        try screen.keys("C-u")
        try screen.line("gossip -o name")
        try await screen.wait(for: "\nn1\n")
        let process = try await screen.distric()
        try await leave {
            kill(process, SIGTERM)
            try await screen.wait(until: "bash's prompt") { $0.rows.last == "$" }
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "nodes\nraft\n\\?\ngossip -o name\n")
    }

    // MARK: Without a terminal

    @Test func `the first failure's code is the shell's; --on-error says whether the rest runs`() async throws {
        let stage = try await Stage()
        let batch = stage.folder.path + "/batch"
        let lines =
            "# comments and empty lines are nothing\n\nnodes -o name\nruns show \(stage.bad.dropLast(4))ffff\nrules show nobody\nraft -o name\n"
        try lines.write(toFile: batch, atomically: true, encoding: .utf8)
        for words in [["-f", batch], []] {
            let input = words.isEmpty ? lines : ""
            let stopped = try run(Built.distric, ["shell", "--connect", stage.node.url] + words, input: input)
            #expect(stopped.code == 1, "\(stopped.err)")
            #expect(stopped.out == "n1\n")
            #expect(stopped.err.contains("stopped at line 4: runs show"))
            let whole = try run(Built.distric, ["shell", "--on-error", "continue", "--connect", stage.node.url] + words, input: input)
            #expect(whole.code == 1, "\(whole.err)")
            #expect(whole.out.hasPrefix("n1\n") && whole.out.count > 3, "\(whole.out)")
            #expect(!whole.err.contains("stopped"))
        }
        #expect(try run(Built.distric, ["shell", "--connect", "http://127.0.0.1:1", "-c", "status"]).code == 69)
        #expect(try run(Built.distric, ["shell", "--connect", stage.node.url, "-f", batch + ".none"]).code == 1)
        #expect(try run(Built.distric, ["shell", "--connect", stage.node.url, "--on-error", "maybe", "-c", "nodes"]).code == 64)
        let piped = try run(Built.distric, ["shell", "--connect", stage.node.url, "-c", "nodes -o name | exit 7"])
        #expect(piped.code == 7)
        let left = try run(Built.distric, ["shell", "--connect", stage.node.url, "-c", "nodes -o name", "-c", "\\q", "-c", "rums"])
        #expect(left.code == 0)
        #expect(left.out == "n1\n")
    }
}
