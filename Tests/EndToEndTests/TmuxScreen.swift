import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// A terminal for a program under test: a tmux server of its own, which knows none of the machine's settings.
final class TmuxScreen {
    /// `home`, `state`, `run` and `tmp` of the programs in it.
    let folder: TemporaryFolder
    private let tmux: String

    /// What the programs in the terminal may know.
    static func surroundings(_ folder: TemporaryFolder) throws -> [String: String] {
        for name in ["home", "state", "run", "tmp"] {
            try FileManager.default.createDirectory(atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
        }
        let program = URL(filePath: Built.distric).deletingLastPathComponent().path(percentEncoded: false)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return [
            "PATH": "\(program):\(path)", "LANG": "C.UTF-8", "HOME": "\(folder.path)/home", "TMPDIR": "\(folder.path)/tmp",
            "XDG_STATE_HOME": "\(folder.path)/state", "XDG_RUNTIME_DIR": "\(folder.path)/run", "SHELL": "/bin/sh", "PS1": "$ ",
            "SWIFT_BACKTRACE": "enable=no",
        ]
    }

    /// A shell that `line` types to.
    static let shell = ["/bin/bash", "--norc", "--noprofile", "-i"]

    /// Starts a command in a terminal of this size; nil when there is no tmux.
    init?(
        _ columns: Int = 80, _ rows: Int = 24, _ command: [String] = TmuxScreen.shell, term: String = "xterm-256color",
        environment: [String: String] = [:]
    ) throws {
        guard let tmux = Built.tool("tmux") else { return nil }
        self.tmux = tmux
        folder = try TemporaryFolder()
        let begin = [
            "start-server", ";", "set", "-g", "default-terminal", term, ";", "set", "-g", "remain-on-exit", "on", ";",
            "set", "-g", "escape-time", "0", ";",
            "new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-c", folder.path, "-s", "0",
        ]
        let known = try Self.surroundings(folder).merging(environment) { $1 }
        try Self.start([tmux] + Self.socket(folder) + begin + command, known, messages: folder.path + "/tmux.log")
    }

    /// The server lives on, so that nothing may be handed down to it: Foundation's `Process` would wait for its end.
    private static func start(_ words: [String], _ environment: [String: String], messages: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDIN_FILENO, STDOUT_FILENO] { posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0) }
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages, O_WRONLY | O_CREAT, 0o600)
        // A test's thread may block signals that tmux needs to hear of its children's end.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let arguments = words.map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var (process, status): (pid_t, Int32) = (0, 0)
        let code = posix_spawn(&process, words[0], &actions, &attributes, arguments, variables)
        try #require(code == 0)
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        try #require(status == 0, "tmux: \((try? String(contentsOfFile: messages, encoding: .utf8)) ?? "")")
    }

    deinit {
        let process = pid
        _ = try? run(tmux, Self.socket(folder) + ["kill-server"])
        // The hangup ends it; nothing is left behind even where that fails.
        for _ in 0..<300 where Self.isRunning(process) { usleep(10_000) }
        if process > 1, Self.isRunning(process) { kill(process, SIGKILL) }
    }

    private static func socket(_ folder: TemporaryFolder) -> [String] { ["-S", "\(folder.path)/tmux", "-f", "/dev/null"] }

    @discardableResult
    private func tell(_ arguments: [String], input: String = "") throws -> String {
        let told = try run(tmux, Self.socket(folder) + arguments, input: input)
        try #require(told.code == 0, "tmux \(arguments.prefix(3)): \(told.err)")
        return told.out
    }

    // MARK: Typing

    /// Keys by the names that tmux gives them: `Enter`, `Escape`, `C-c`, `q`.
    func keys(_ names: String...) throws { try tell(["send-keys", "-t", "0"] + names) }

    /// Characters as they are; control characters too.
    func type(_ text: String) throws { try tell(["send-keys", "-t", "0", "-l", "--", text]) }

    /// Text and Enter.
    func line(_ text: String) throws {
        try type(text)
        try keys("Enter")
    }

    /// As a terminal pastes: between brackets when the program asked for them.
    func paste(_ text: String) throws {
        try tell(["load-buffer", "-b", "pasted", "-"], input: text)
        try tell(["paste-buffer", "-p", "-d", "-b", "pasted", "-t", "0"])
    }

    /// A click of the left button at a column and a row, counted from 0, as xterm reports it.
    func click(_ x: Int, _ y: Int) throws { try type("\u{1B}[<0;\(x + 1);\(y + 1)M\u{1B}[<0;\(x + 1);\(y + 1)m") }

    func resize(_ columns: Int, _ rows: Int) throws { try tell(["resize-window", "-t", "0", "-x", "\(columns)", "-y", "\(rows)"]) }

    // MARK: Looking

    /// What is shown; with `colored` its escape sequences too.
    func text(colored: Bool = false) throws -> String { try tell(["capture-pane", "-p", "-t", "0"] + (colored ? ["-e"] : [])) }

    /// A fact of tmux, as `#{pane_title}`.
    func fact(_ name: String) throws -> String {
        try tell(["display-message", "-p", "-t", "0", "#{\(name)}"]).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Looks until `holds`, for at most `seconds`; the screen is in the message when it never does.
    @discardableResult
    func wait(
        until what: String, _ seconds: Double = 20, at location: SourceLocation = #_sourceLocation, _ holds: (String) throws -> Bool
    ) async throws -> String {
        let end = Date().addingTimeInterval(seconds)
        var seen = try text()
        while try !holds(seen), Date() < end {
            try await Task.sleep(for: .milliseconds(30))
            seen = try text()
        }
        try #require(try holds(seen), "never seen: \(what)\n\(seen)", sourceLocation: location)
        return seen
    }

    /// Looks until all of these are on the screen.
    @discardableResult
    func wait(for texts: String..., at location: SourceLocation = #_sourceLocation) async throws -> String {
        try await wait(until: texts.joined(separator: " and "), at: location) { screen in texts.allSatisfy { screen.contains($0) } }
    }

    /// Everything that the programs write to the terminal goes to this file from now on.
    func record(to path: String) throws { try tell(["pipe-pane", "-t", "0", "cat > '\(path)'"]) }

    // MARK: The process

    /// Asks until there is an answer, for at most 20 s.
    private func present<Answer>(_ ask: () throws -> Answer?) async throws -> Answer? {
        let end = Date().addingTimeInterval(20)
        while Date() < end {
            if let answer = try ask() { return answer }
            try await Task.sleep(for: .milliseconds(30))
        }
        return nil
    }

    /// The first process of the terminal.
    var pid: pid_t { (try? fact("pane_pid")).flatMap { pid_t($0) } ?? 0 }

    /// The `distric` that a shell in the terminal has started.
    func distric(at location: SourceLocation = #_sourceLocation) async throws -> pid_t {
        let root = pid
        let found = try await present { Self.descendants(of: root).first { Self.name($0) == "distric" } }
        return try #require(found, sourceLocation: location)
    }

    /// Waits until the first process has ended, with this exit code.
    func ends(with code: Int = 0, at location: SourceLocation = #_sourceLocation) async throws {
        let process = pid
        let dead = try await present {
            let code = try fact("pane_dead_status") + fact("pane_dead_signal")
            if try fact("pane_dead") == "1", !code.isEmpty { return code }
            return Self.status(ofEnded: process)
        }
        let seen = try text(colored: true)
        let found = try #require(dead, "it goes on:\n\(seen)", sourceLocation: location)
        #expect(found == "\(code)", "\(seen)", sourceLocation: location)
    }

    /// The exit code of a process that has ended and was not waited for yet: some machines tell tmux of that late, or never.
    private static func status(ofEnded process: pid_t) -> String? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let fields = text.split(separator: ")").last?.split(whereSeparator: \.isWhitespace), fields.first == "Z",
            let status = fields.last.flatMap({ Int($0) })
        else { return nil }
        return status & 0x7F == 0 ? "\(status >> 8)" : "\(status & 0x7F)"
    }

    private static func isRunning(_ process: pid_t) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
        return text.split(separator: ")").last?.hasPrefix(" Z") == false
    }

    private static func name(_ process: pid_t) -> String {
        let text = (try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)) ?? ""
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func descendants(of root: pid_t) -> [pid_t] {
        let all = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        let parents = all.compactMap { process -> (pid_t, pid_t)? in
            guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                let parent = text.split(separator: ")").last?.split(separator: " ").dropFirst().first.flatMap({ pid_t($0) })
            else { return nil }
            return (process, parent)
        }
        var found = [root]
        var place = 0
        while place < found.count {
            found += parents.filter { $0.1 == found[place] }.map(\.0)
            place += 1
        }
        return Array(found.dropFirst())
    }

    /// The URL that a node in the terminal announces.
    func announced(at location: SourceLocation = #_sourceLocation) async throws -> String {
        let place = "\(folder.path)/run/distric"
        let url = try await present { () -> String? in
            let name = (try? FileManager.default.contentsOfDirectory(atPath: place))?.first { $0.hasSuffix(".json") }
            guard let data = name.flatMap({ FileManager.default.contents(atPath: "\(place)/\($0)") }) else { return nil }
            return (try? JSONScanner.parse([UInt8](data)))?["url"]?.string
        }
        return try #require(url, sourceLocation: location)
    }
}

extension String {
    /// The lines of a screen, without what fills them up.
    var rows: [String] {
        var rows = split(separator: "\n", omittingEmptySubsequences: false).map {
            String($0).replacing(#/ +$/#, with: "")
        }
        while rows.last == "" { rows.removeLast() }
        return rows
    }

    /// Whether a line begins so.
    func hasLine(_ start: String) -> Bool { rows.contains { $0.hasPrefix(start) } }
}

/// A node on which one workflow has ended well and one has failed.
final class Stage {
    let folder: TemporaryFolder
    private(set) var node: RunningNode
    let good: String
    let bad: String

    init() async throws {
        folder = try TemporaryFolder()
        node = try RunningNode(data: folder.path + "/data", smallNode)
        try await node.apply(pair("good", script("echo all is well")) + pair("bad", script("echo no such luck >&2; exit 3")))
        good = try await node.submit("good")
        bad = try await node.submit("bad")
        #expect(try await node.ended(good)["state"] == "succeeded")
        #expect(try await node.ended(bad)["state"] == "failed")
    }

    /// A console on it; nil when there is no tmux.
    func console(
        _ columns: Int = 120, _ rows: Int = 40, _ arguments: [String] = [], term: String = "xterm-256color",
        environment: [String: String] = [:]
    ) throws -> TmuxScreen? {
        try TmuxScreen(
            columns, rows, [Built.distric, "console", "--connect", node.url] + arguments, term: term, environment: environment)
    }

    /// kill -9; the port stays its own for `restart`.
    func crash() { node.crash() }

    /// Starts the node anew where it was.
    func restart() throws {
        node = try RunningNode(data: folder.path + "/data", smallNode + ["--http", String(node.url.dropFirst("http://".count))])
    }

    /// What must be as before when nothing was changed: the catalog's version, and the runs.
    func standing() async throws -> [String] {
        let status = try await node.client.get("/api/v1/cluster/status")
        let runs = try await node.client.get("/api/v1/runs").items.map { "\($0["id"]?.string ?? "") \($0["state"]?.string ?? "")" }
        return ["\(status["catalogVersion"]?.int ?? -1)"] + runs
    }
}
