import Foundation
import Glibc
import Primitives
import Synchronization
import Text

/// Where a shell's lines come from and where its events go: a line editor, or a batch.
package protocol LineSource: Sendable {
    /// Nil at the end.
    func next(prompt: String) async -> String?
    func printAbove(_ text: String)
}

/// The shell: the command language of argv, line by line, against one cluster.
package final class Shell: Sendable {
    package enum OnError: String, CaseIterable, Sendable { case stop, `continue` }

    private struct State {
        var session: Session
        /// The cluster's name; none after going to another by its URL.
        var context: String
        var isTiming = false
        var last: [String] = []
        var running: Task<Int32, Never>?
        var showsEvents = true
        var isOver = false

        /// Not while a command prints them itself.
        var wantsEvents: Bool { showsEvents && !(running != nil && last.first == "events") }
    }

    package static let help = """
        Every command of 'distric' works here without its first word: runs list, status, rules apply FILE, ...

          \\watch [N]      run the last command again every N seconds (2), until Ctrl-C
          \\x              rows as lists of facts, or as tables again
          \\timing         say how long each command took
          \\events on|off  print warnings and errors above the prompt as they happen
          \\connect URL    another cluster, or other nodes of this one
          \\q              leave (also Ctrl-D)
          COMMAND | CMD   hand the output to a program
          COMMAND > FILE  write the output to a file (>> appends)

        """

    private let runner: any CommandRunner
    private let state: Mutex<State>
    package let facts: LiveFacts

    package init(runner: any CommandRunner, session: Session, context: String) {
        self.runner = runner
        state = Mutex(State(session: session, context: context))
        facts = LiveFacts(session: session)
    }

    // MARK: Interactive

    /// Reads lines until the end; the exit code of the last one.
    package func interact(_ lines: some LineSource) async -> Int32 {
        await facts.refresh()
        let watcher = Task { await self.follow(lines) }
        defer { watcher.cancel() }
        var code: Int32 = 0
        while !state.withLock({ $0.isOver }), let line = await lines.next(prompt: prompt(colored: true)) {
            guard !line.allSatisfy(\.isWhitespace) else { continue }
            code = await run(line: line)
            // The prompt shows what is so now, not what was so before the command; it waits for it no longer than for a completion.
            await facts.refresh()
        }
        return code
    }

    /// `prod:c-2[leader t7]> `; between marks that tell readline what takes no room.
    package func prompt(colored: Bool) -> String {
        let (node, role, term) = facts.position
        let place = node.map { "\($0)[\(role) t\(term)]" } ?? "[no node]"
        let context = state.withLock { $0.context }
        let text = "\(context.isEmpty ? "distric" : context):\(place)"
        return colored ? "\u{01}\u{1B}[1m\u{02}\(text)\u{01}\u{1B}[0m\u{02}> " : "\(text)> "
    }

    /// What Tab may put in at the end of a line.
    package func complete(_ line: String) -> (candidates: [String], hint: String) {
        if line.hasPrefix("\\") {
            return (["\\watch", "\\x", "\\timing", "\\events", "\\connect", "\\q", "\\?"].filter { $0.hasPrefix(line) }, "")
        }
        let (words, partial) = CommandIndex.split(line)
        if let kind = runner.index.objects(along: words) { facts.wait(for: kind) }
        let found = runner.index.completions(of: line, names: facts.names)
        if found.isEmpty, let kind = runner.index.objects(along: words) {
            return ([], partial.isEmpty ? "no \(kind.plural) are known" : "no \(kind.plural) begin with '\(partial)'")
        }
        return (found.map(\.text), runner.index.hint(for: line))
    }

    package func interrupt() { state.withLock { $0.running }?.cancel() }

    /// Warnings and errors, above the prompt. Each node's events are numbered: after a break they go on where they were.
    private func follow(_ lines: some LineSource) async {
        var seen: [String: Int64] = [:]
        while !Task.isCancelled {
            let session = state.withLock { $0.session }
            let client = NodeClient(url: Session.$current.withValue(session) { RunningNodes.url(asked: nil) }, timeout: .seconds(5))
            let url = client.url
            var isFirst = seen[url] == nil
            do {
                try await client.stream(
                    "/api/v1/events", [("watch", "true"), ("after", seen[url].map(String.init))], beats: true
                ) { line in
                    // The shell may have been sent to another cluster.
                    if self.state.withLock({ $0.session.url }) != session.url { throw CancellationError() }
                    guard line.hasPrefix("data: "), let value = try? JSONScanner.parse(line.dropFirst(6).utf8) else { return }
                    let events = value["items"]?.list ?? []
                    seen[url] = max(0, events.last?["seq"]?.int ?? 0, seen[url] ?? 0)
                    defer { isFirst = false }
                    guard !isFirst, self.state.withLock({ $0.wantsEvents }) else { return }
                    for event in events where event["severity"]?.string != "info" { lines.printAbove(Self.text(event)) }
                    if let missed = value["missed"]?.int, missed > 0 { lines.printAbove("(\(missed) events were not shown)") }
                }
            } catch {}
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private static func text(_ event: Value) -> String {
        "\(Words.clock(event["time"])) \(Words.plain(event["severity"])) \(Words.plain(event["kind"])): "
            + Words.oneLine(Words.plain(event["text"]))
    }

    // MARK: Lines

    /// Runs a batch; the first failure's code.
    package func run(batch lines: some Sequence<String>, onError: OnError) async -> Int32 {
        var worst: Int32 = 0
        for (number, line) in lines.enumerated() {
            let text = line.trimmingCharacters(in: .whitespaces)
            guard !text.isEmpty, !text.hasPrefix("#") else { continue }
            let code = await run(line: text)
            if state.withLock({ $0.isOver }) { return worst }
            guard code != 0 else { continue }
            if worst == 0 { worst = code }
            if onError == .stop {
                note("stopped at line \(number + 1): \(text)\n")
                return worst
            }
        }
        return worst
    }

    private func note(_ text: String) { state.withLock { $0.session }.note(text) }
    private func out(_ text: String) { state.withLock { $0.session }.out(text) }

    package func run(line: String) async -> Int32 {
        let began = Date()
        let code: Int32
        if line.trimmingCharacters(in: .whitespaces).hasPrefix("\\") {
            code = await backslash(line.trimmingCharacters(in: .whitespaces))
        } else {
            switch ShellLine.parse(line) {
            case .failure(let problem):
                note("distric: \(problem.message)\n")
                code = CommandFailure.Code.usage.rawValue
            case .success(let parsed): code = await run(parsed)
            }
        }
        if state.withLock({ $0.isTiming }) { note("Time: \(String(format: "%.1f", Date().timeIntervalSince(began) * 1000)) ms\n") }
        return code
    }

    private func run(_ line: ShellLine) async -> Int32 {
        guard var first = line.words.first else { return 0 }
        var words = line.words
        if first == "distric", words.count > 1 {
            words.removeFirst()
            first = words[0]
        }
        switch first {
        case "quit", "exit":
            state.withLock { $0.isOver = true }
            return 0
        case "help" where words.count == 1:
            out(Self.help)
            return 0
        case "demo" where words.count > 1 && !words[1].hasPrefix("-"): break
        case "shell", "console", "demo", "node":
            note("distric: '\(first)' cannot run within the shell\n")
            return CommandFailure.Code.usage.rawValue
        default: break
        }
        state.withLock { $0.last = words }
        return await execute(words, to: line.target)
    }

    /// Runs in a task of its own, so that Ctrl-C can end it.
    private func execute(_ words: [String], to target: ShellLine.Target) async -> Int32 {
        var session = state.withLock { $0.session }
        let sink = OutputSink(target)
        if case .terminal = target {
        } else {
            guard sink.isOpen else {
                note("distric: \(sink.problem)\n")
                return CommandFailure.Code.cannotWrite.rawValue
            }
            session.out = { [weak self] text in if !sink.write(text) { self?.interrupt() } }
            session.width = 0
        }
        let (own, runner) = (session, runner)
        let task = Task { await Session.$current.withValue(own) { await runner.run(words) } }
        state.withLock { $0.running = task }
        var code = await task.value
        state.withLock { $0.running = nil }
        if let status = sink.close() {
            if case .file(let path, _) = target { note("distric: \(path) could not be written to the end\n") }
            code = code == 0 || sink.isBroken ? status : code
        }
        return code
    }

    // MARK: Backslash commands

    private func backslash(_ line: String) async -> Int32 {
        let words = line.split(separator: " ").map(String.init)
        switch words[0] {
        case "\\q": state.withLock { $0.isOver = true }
        case "\\?": out(Self.help)
        case "\\x":
            let isOn = state.withLock { state in
                state.session.isExpanded.toggle()
                return state.session.isExpanded
            }
            note("rows are shown as \(isOn ? "facts" : "tables")\n")
        case "\\timing":
            let isOn = state.withLock { state in
                state.isTiming.toggle()
                return state.isTiming
            }
            note("timing is \(isOn ? "on" : "off")\n")
        case "\\events":
            guard words.count == 2, words[1] == "on" || words[1] == "off" else { return usage("\\events on|off") }
            state.withLock { $0.showsEvents = words[1] == "on" }
        case "\\connect":
            guard words.count == 2 else { return usage("\\connect URL") }
            state.withLock { state in
                state.session.url = words[1]
                state.session.isProtected = false
                state.context = ""
            }
            facts.move(to: state.withLock { $0.session })
            await facts.refresh()
            if let problem = facts.problem { note("distric: \(problem)\n") }
        case "\\watch": return await watch(words.dropFirst().first)
        default:
            let meant = suggestion(for: words[0], among: ["\\watch", "\\x", "\\timing", "\\events", "\\connect", "\\q", "\\?"])
            note("distric: no command '\(words[0])'\(meant.map { "; did you mean '\($0)'?" } ?? "; \\? lists them")\n")
            return CommandFailure.Code.usage.rawValue
        }
        return 0
    }

    private func usage(_ text: String) -> Int32 {
        note("distric: write \(text)\n")
        return CommandFailure.Code.usage.rawValue
    }

    /// The last command again and again, until Ctrl-C or a failure.
    private func watch(_ text: String?) async -> Int32 {
        let words = state.withLock { $0.last }
        guard !words.isEmpty else { return usage("a command first, then \\watch") }
        guard let seconds = Double(text ?? "2"), seconds >= 0.1, seconds <= 86_400 else { return usage("\\watch SECONDS, as \\watch 2") }
        let task = Task { () -> Int32 in
            while true {
                self.note(
                    "-- \(ClusterTime(milliseconds: UInt64(Date().timeIntervalSince1970 * 1000)).rfc3339)  every \(text ?? "2") s, Ctrl-C ends it\n"
                )
                let session = self.state.withLock { $0.session }
                let code = await Session.$current.withValue(session) { await self.runner.run(words) }
                guard code == 0, !Task.isCancelled, (try? await Task.sleep(for: .seconds(seconds))) != nil else {
                    return Task.isCancelled ? 0 : code
                }
            }
        }
        state.withLock { $0.running = task }
        let code = await task.value
        state.withLock { $0.running = nil }
        return code
    }
}

/// A line of the shell: words, and where the output goes.
struct ShellLine: Equatable {
    enum Target: Equatable, Sendable {
        case terminal
        case program(String)
        case file(String, appends: Bool)
    }

    struct Problem: Error, Equatable { let message: String }

    var words: [String]
    var target: Target

    static func parse(_ line: String) -> Result<ShellLine, Problem> {
        let (command, mark, rest) = split(line)
        let words: [String]
        do throws(ShellWords.Unclosed) { words = try ShellWords.split(command) } catch {
            return .failure(Problem(message: "the quotation \(error.quote) is not closed"))
        }
        guard let mark else { return .success(ShellLine(words: words, target: .terminal)) }
        guard !words.isEmpty else { return .failure(Problem(message: "a command is missing before '\(mark)'")) }
        let text = rest.trimmingCharacters(in: .whitespaces)
        guard !text.isEmpty else { return .failure(Problem(message: "'\(mark)' needs a \(mark == "|" ? "program" : "file") after it")) }
        if mark == "|" { return .success(ShellLine(words: words, target: .program(text))) }
        guard let names = try? ShellWords.split(text), names.count == 1 else {
            return .failure(Problem(message: "'\(mark)' takes one file; quote a name with spaces"))
        }
        return .success(ShellLine(words: words, target: .file(names[0], appends: mark == ">>")))
    }

    /// At the first `|`, `>` or `>>` outside quotes.
    private static func split(_ line: String) -> (String, String?, String) {
        var quote: Character?
        var isEscaped = false
        for place in line.indices {
            let character = line[place]
            if isEscaped {
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "|" || character == ">" {
                let after = line.index(after: place)
                let isDouble = character == ">" && after < line.endIndex && line[after] == ">"
                let rest = isDouble ? line.index(after: after) : after
                return (String(line[..<place]), isDouble ? ">>" : String(character), String(line[rest...]))
            }
        }
        return (line, nil, "")
    }
}

/// Output that goes to a program or a file.
private final class OutputSink: Sendable {
    private struct Handle: @unchecked Sendable {
        var file: UnsafeMutablePointer<FILE>?
        var isProgram = false
        var isBroken = false
    }

    private let handle: Mutex<Handle>
    let problem: String

    init(_ target: ShellLine.Target) {
        var handle = Handle()
        var problem = ""
        switch target {
        case .terminal: break
        case .program(let program):
            handle = Handle(file: popen(program, "w"), isProgram: true)
            if handle.file == nil { problem = "cannot start a shell for '\(program)'" }
        case .file(let path, let appends):
            handle = Handle(file: fopen(path, appends ? "a" : "w"))
            if handle.file == nil { problem = "cannot write \(path): \(String(cString: strerror(errno)))" }
        }
        self.problem = problem
        self.handle = Mutex(handle)
    }

    var isOpen: Bool { handle.withLock { $0.file != nil } }
    var isBroken: Bool { handle.withLock { $0.isBroken } }

    /// False when nobody reads any more.
    func write(_ text: String) -> Bool {
        handle.withLock { handle in
            guard let file = handle.file, !handle.isBroken else { return false }
            if fputs(text, file) < 0 || fflush(file) != 0 { handle.isBroken = true }
            return !handle.isBroken
        }
    }

    /// The program's exit code, or 73 when the file could not be written; nil when there is nothing to tell.
    func close() -> Int32? {
        handle.withLock { handle in
            guard let file = handle.file else { return nil }
            handle.file = nil
            if handle.isProgram {
                let status = pclose(file)
                return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
            }
            let isWhole = fclose(file) == 0 && !handle.isBroken
            return isWhole ? nil : CommandFailure.Code.cannotWrite.rawValue
        }
    }
}
