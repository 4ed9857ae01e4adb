import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// The shell without a terminal, and views that are printed.
struct ShellBatchTests {
    private func node(_ folder: TemporaryFolder) throws -> RunningNode { try RunningNode(data: folder.path + "/data") }

    @Test func `lines come from -c, from a file and from standard input`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        try Data("# a batch\n\nraft\n\\x\nnodes\n".utf8).write(to: URL(filePath: folder.path + "/batch"))
        let given = try run(Built.distric, ["shell", "--connect", node.url, "-c", "status", "-c", "rules list -o json"])
        #expect(given.code == 0, "\(given.err)")
        #expect(given.out.contains("leader   n1"))
        #expect(given.out.hasSuffix("[]\n"))
        let read = try run(Built.distric, ["shell", "--connect", node.url, "-f", folder.path + "/batch"])
        #expect(read.code == 0, "\(read.err)")
        #expect(read.out.contains("leader of term "))
        #expect(read.out.contains("-[ 1 ]-"))
        let typed = try run(Built.distric, ["shell", "--connect", node.url], input: "distric status\nquit\nraft\n")
        #expect(typed.code == 0)
        #expect(!typed.out.contains("leader of term "))
    }

    @Test func `a batch stops at the first failure, or goes on, and ends with its code`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        let lines = "runs show nonsense\nraft\nrnus\n"
        let stopped = try run(Built.distric, ["shell", "--connect", node.url], input: lines)
        #expect(stopped.code == 65)
        #expect(!stopped.out.contains("leader of term "))
        #expect(stopped.err.contains("stopped at line 1"))
        let whole = try run(Built.distric, ["shell", "--connect", node.url, "--on-error", "continue"], input: lines)
        #expect(whole.code == 65)
        #expect(whole.out.contains("leader of term "))
        #expect(whole.err.contains("did you mean 'distric runs'?"))
    }

    @Test func `output goes to programs and files, and their failures are told`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        let counted = try run(Built.distric, ["shell", "--connect", node.url, "-c", "nodes -o name | wc -l"])
        #expect(counted.out.contains("1"))
        let written = try run(Built.distric, ["shell", "--connect", node.url, "-c", "nodes -o name > '\(folder.path)/a b'"])
        #expect(written.code == 0 && written.out.isEmpty)
        #expect(try String(contentsOfFile: folder.path + "/a b", encoding: .utf8) == "n1\n")
        let refused = try run(Built.distric, ["shell", "--connect", node.url, "-c", "nodes > /nonexistent/x"])
        #expect(refused.code == 73)
        #expect(try run(Built.distric, ["shell", "--connect", node.url, "-c", "nodes 'x"]).code == 64)
        #expect(try run(Built.distric, ["shell", "--connect", node.url, "-c", "node"]).code == 64)
    }

    @Test func `a read-only shell changes nothing`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        let refused = try run(
            Built.distric, ["shell", "--read-only", "--connect", node.url, "-c", "messages submit -"], input: #"{"type":"x"}"#)
        #expect(refused.code == 77)
        #expect(refused.err.contains("read-only"))
    }

    @Test func `of several nodes one that answers is asked`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        #expect(try run(Built.distric, ["status", "--connect", "http://127.0.0.1:1,\(node.url)"]).code == 0)
        #expect(try run(Built.distric, ["status", "--connect", "http://127.0.0.1:1"]).code == 69)
    }

    @Test func `every view is printed without a terminal, as text, colours and data`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        for view in View.top {
            let printed = try run(
                Built.distric, ["console", "--connect", node.url, "--view", view.rawValue, "--snapshot", "txt", "--size", "90x28"])
            #expect(printed.code == 0, "\(view): \(printed.err)")
            let lines = printed.out.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count == 29, "\(view)")
            #expect(lines[0].hasPrefix("─ distric ─"), "\(view)")
            #expect(!printed.out.contains("\u{1B}"), "\(view)")
        }
        let colored = try run(Built.distric, ["console", "--connect", node.url, "--snapshot", "ansi", "--size", "60x16"])
        #expect(colored.out.contains("\u{1B}["))
        let plain = try run(
            Built.distric, ["console", "--connect", node.url, "--snapshot", "ansi", "--size", "60x16"], environment: ["NO_COLOR": "1"])
        #expect(!plain.out.contains("38;2;"))
        let linear = try run(Built.distric, ["console", "--connect", node.url])
        #expect(linear.out.hasPrefix("pulse\nleader n1\n"))
    }

    /// Requirement 7.
    @Test func `the pulse is the status value by value`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        let status = try JSONScanner.parse(try run(Built.distric, ["status", "--connect", node.url, "-o", "json"]).out)
        let pulse = try JSONScanner.parse(try run(Built.distric, ["console", "--connect", node.url, "--snapshot", "json"]).out)
        for key in [
            "clusterId", "leader", "term", "quorum", "members", "catalogVersion", "queue", "gossip", "workflows", "rules", "startedAt",
        ] {
            #expect(status[key] != nil && pulse.at("status", key) == status[key], "\(key)")
        }
    }

    @Test func `what cannot be shown is said, with its code`() throws {
        let gone = try run(Built.distric, ["console", "--connect", "http://127.0.0.1:1", "--snapshot", "txt"])
        #expect(gone.code == 69)
        #expect(gone.err.contains("cannot be reached"))
        let wrong = try run(Built.distric, ["console", "--connect", "http://127.0.0.1:1", "--view", "rums"])
        #expect(wrong.code == 64)
        #expect(wrong.err.contains("did you mean 'runs'?"))
        #expect(try run(Built.distric, ["console", "--snapshot", "txt", "--size", "0x5"]).code == 64)
    }

    @Test func `a protected context changes nothing without --yes`() throws {
        let folder = try TemporaryFolder()
        let node = try node(folder)
        try FileManager.default.createDirectory(atPath: folder.path + "/distric", withIntermediateDirectories: true)
        let text = "[contexts.prod]\nurls = [\"\(node.url)\"]\nprotected = true\n"
        try Data(text.utf8).write(to: URL(filePath: folder.path + "/distric/contexts.toml"))
        let surroundings = ["XDG_CONFIG_HOME": folder.path]
        func submit(_ more: [String]) throws -> Finished {
            try run(
                Built.distric, ["messages", "submit", "-", "--context", "prod"] + more, input: #"{"type":"x"}"#, environment: surroundings)
        }
        #expect(try submit([]).code == 77)
        #expect(try submit(["--yes"]).code == 0)
        #expect(try run(Built.distric, ["status", "--context", "prod"], environment: surroundings).code == 0)
        let unknown = try run(Built.distric, ["status", "--context", "prdo"], environment: surroundings)
        #expect(unknown.code == 78)
        #expect(unknown.err.contains("did you mean 'prod'?"))
    }
}

/// The terminal is as it was, however the console ends.
struct TerminalTests {
    @Test(arguments: [SIGTERM, SIGSEGV, SIGHUP, SIGKILL])
    func `a console that is ended by a signal gives the terminal back`(signal: Int32) async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data")
        guard let screen = try TmuxScreen(100, 30) else { return }
        try screen.line("stty -g > before; echo ready")
        try await screen.wait(for: "\nready")
        try screen.line("distric console --connect \(node.url)")
        try await screen.wait(for: "LIVE", "cluster > pulse")
        let found = try run("/usr/bin/pgrep", ["-f", "distric console --connect \(node.url)"]).out.split(separator: "\n")
        let process = try #require(found.first.flatMap { pid_t($0) })
        kill(process, signal)
        // Nobody can clean up after a kill -9: then the shell's user does.
        if signal == SIGKILL {
            try screen.line("reset; echo back")
            try await screen.wait(for: "back")
            return
        }
        try screen.line("stty -g > after; echo $((40 + 2))")
        try await screen.wait(for: "42")
        let modes = try ["before", "after"].map { try String(contentsOfFile: "\(screen.folder.path)/\($0)", encoding: .utf8) }
        #expect(modes[0] == modes[1])
        #expect(try screen.fact("alternate_on") == "0")
    }

    @Test func `the shell completes, remembers without secrets, and shows role and term`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data")
        guard let screen = try TmuxScreen(110, 30) else { return }
        try screen.line("distric shell --connect \(node.url)")
        try await screen.wait(for: "distric:n1[leader t1]>")
        try screen.type("rules li\t")
        try await screen.wait(for: "> rules list")
        try screen.keys("Enter")
        try await screen.wait(for: "no rule set is in force")
        try screen.line("status -o name --timeout 9s")
        try screen.line("rules show token-x")
        try await screen.wait(for: "no RuleSet 'token-x'")
        try screen.line("status -o name --timeout 9s")
        try screen.type("half a li")
        try screen.keys("C-c")
        try await screen.wait(for: "^C")
        try screen.line("\\timing")
        try await screen.wait(for: "timing is on")
        try screen.keys("C-d")
        let path = "\(screen.folder.path)/state/distric/history"
        var text = ""
        for _ in 0..<200 {
            text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            if text.contains("timing") { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(text.split(separator: "\n") == ["rules list", "status -o name --timeout 9s", "\\timing"])
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }
}
