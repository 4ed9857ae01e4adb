package import Definitions
import Foundation
package import Primitives
import Synchronization

/// What can be answered without a node; the door brings it, since this room may not import rules and workflows.
package protocol LocalTools: Sendable {
    /// Everything wrong with definitions by themselves.
    func validate(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic]
}

/// Where a command reads and writes, and what it knows of its surroundings. One for the process, or one for each line of a shell.
package struct Session: Sendable {
    package var environment: [String: String]
    package var tools: any LocalTools
    /// Data goes here ...
    package var out: @Sendable (String) -> Void
    /// ... and words for people here.
    package var note: @Sendable (String) -> Void
    /// Whether notes go to a terminal, where a line can be rewritten.
    package var notesAreInteractive: Bool
    package var width: Int
    /// What `--connect` means when it is left out; a console or a shell sets it to its own node.
    package var url: String?
    /// Nothing that changes something is sent.
    package var isReadOnly = false
    /// Something is changed only when the command says `--yes`.
    package var isProtected = false
    /// Whether a command may read standard input: where keys are typed it may not.
    package var readsInput = true
    /// Lists as facts, a row after the other.
    package var isExpanded = false
    /// Puts a question to a person and waits for a line; nil where there is none to ask.
    package var ask: (@Sendable (String) -> String?)?

    @TaskLocal package static var current = Session(
        environment: ProcessInfo.processInfo.environment, tools: NoTools(), out: { print($0, terminator: "") },
        note: { FileHandle.standardError.write(Data($0.utf8)) }, notesAreInteractive: isatty(2) == 1, width: 120)

    package init(
        environment: [String: String], tools: any LocalTools, out: @escaping @Sendable (String) -> Void,
        note: @escaping @Sendable (String) -> Void,
        notesAreInteractive: Bool, width: Int
    ) {
        self.environment = environment
        self.tools = tools
        self.out = out
        self.note = note
        self.notesAreInteractive = notesAreInteractive
        self.width = width
        guard notesAreInteractive, isatty(STDIN_FILENO) == 1 else { return }
        ask = { question in
            note(question)
            return readLine()
        }
    }
}

extension Session {
    /// All of standard input: what `-` stands for.
    package static func standardInput() throws(CommandFailure) -> [UInt8] {
        guard current.readsInput else { throw CommandFailure(.usage, "'-' is standard input, which is the keyboard here; name a file") }
        return [UInt8](FileHandle.standardInput.readDataToEndOfFile())
    }
}

private struct NoTools: LocalTools {
    func validate(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic] { [] }
}

/// Runs command lines as the program's arguments would be: the door brings it, since it has commands that this room does not know.
package protocol CommandRunner: Sendable {
    /// Under the current session; the exit code.
    func run(_ arguments: [String]) async -> Int32
    var index: CommandIndex { get }
}

extension CommandRunner {
    /// Runs a command line and keeps what it prints. Ends it after `deadline`.
    package func captured(_ arguments: [String], in session: Session, deadline: Duration = .seconds(60)) async -> CommandResult {
        let box = CapturedText()
        var session = session
        session.out = { text in box.add(text, isProblem: false) }
        session.note = { text in box.add(text, isProblem: true) }
        session.notesAreInteractive = false
        session.readsInput = false
        session.ask = nil
        // Whoever shows it scrolls; nothing is cut.
        session.width = 0
        let own = session
        let (codes, ended) = AsyncStream.makeStream(of: Int32?.self, bufferingPolicy: .bufferingOldest(1))
        let running = Task { ended.yield(await Session.$current.withValue(own) { await run(arguments) }) }
        let watching = Task {
            if (try? await Task.sleep(for: deadline)) != nil { ended.yield(nil) }
        }
        var code: Int32?
        // Whoever does not heed being cancelled is not waited for.
        for await first in codes {
            code = first
            break
        }
        running.cancel()
        watching.cancel()
        if code == nil { box.add("it did not end within \(deadline.text) and was stopped\n", isProblem: true) }
        let (out, problem) = box.texts
        return CommandResult(arguments: arguments, code: code ?? CommandFailure.Code.temporary.rawValue, out: out, problem: problem)
    }
}

/// What a command printed, up to 8 MiB.
private final class CapturedText: Sendable {
    private let state = Mutex<(out: String, problem: String)>(("", ""))

    func add(_ text: String, isProblem: Bool) {
        state.withLock { state in
            guard state.out.utf8.count + state.problem.utf8.count < 8 << 20 else { return }
            if isProblem { state.problem += text } else { state.out += text }
        }
    }

    var texts: (String, String) { state.withLock { $0 } }
}

/// A failure with its exit code and the words for it.
package struct CommandFailure: Error, Equatable {
    /// The exit codes of every command, after sysexits(3).
    package enum Code: Int32, Sendable {
        case failed = 1
        case usage = 64
        case badData = 65
        case unavailable = 69
        case `internal` = 70
        case cannotWrite = 73
        case temporary = 75
        case protocolError = 76
        case denied = 77
        case badConfiguration = 78
        case interrupted = 130
    }

    package var code: Code
    package var message: String
    /// It may have been done all the same.
    package var isUncertain = false

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
