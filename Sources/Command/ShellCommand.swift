import ArgumentParser
import Foundation
import Glibc
import Operator
import Primitives
import Terminal

/// `distric shell`.
struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "The command language at a prompt, with completion from what is live.",
        discussion: """
              distric shell
              distric shell -c 'runs list --state failed'
              distric shell -f nightly.distric --on-error continue
              echo status | distric shell

            Tab completes commands, options and the names of runs, tasks, rules and messages. \\? lists what a shell has besides commands.
            """)
    @Option(name: .long, help: "URL of a node, or several with commas.") var connect: String?
    @Option(name: .long, help: "A cluster by its name in contexts.toml; in one that is protected changes need --yes.") var context: String?
    @Option(name: .customShort("c"), help: "Run this command line and end; may be given several times.") var commands: [String] = []
    @Option(name: .customShort("f"), help: "Run the lines of this file and end.") var file: String?
    @Option(name: .customLong("on-error"), help: "In a batch: stop or continue.") var onError: OnError = .stop
    @Flag(name: .long, help: "Refuse whatever would change something.") var readOnly = false

    enum OnError: String, CaseIterable, ExpressibleByArgument { case stop, `continue` }

    @concurrent
    func run() async throws {
        var session = Session.current
        let found = connect == nil ? try ClusterContext.find(context, environment: session.environment) : nil
        session.url = found?.urls.joined(separator: ",") ?? RunningNodes.url(asked: connect)
        session.isReadOnly = readOnly
        session.isProtected = found?.isProtected == true
        let shell = Shell(runner: ProgramRunner(), session: session, context: found?.name ?? "")
        let policy = Shell.OnError(rawValue: onError.rawValue) ?? .stop
        var code: Int32
        if !commands.isEmpty || file != nil {
            code = await shell.run(batch: commands + (try lines(of: file)), onError: policy)
        } else if isatty(STDIN_FILENO) == 1 {
            code = await interact(shell, session)
        } else {
            code = await shell.run(batch: AnySequence { AnyIterator { readLine() } }, onError: policy)
        }
        if code != 0 { throw ShellEnded(code: code) }
    }

    private func lines(of file: String?) throws -> [String] {
        guard let file else { return [] }
        guard let data = FileManager.default.contents(atPath: file) else { throw CommandFailure(.failed, "cannot read \(file)") }
        guard let text = String(data: data, encoding: .utf8) else { throw CommandFailure(.badData, "\(file) is not UTF-8") }
        return text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
    }

    private func interact(_ shell: Shell, _ session: Session) async -> Int32 {
        setlocale(LC_CTYPE, "")
        let editor = LineEditor(
            history: Self.history(session.environment), keeps: Self.isNoSecret,
            complete: { line in
                let (candidates, hint) = shell.complete(line)
                return .init(candidates: candidates, hint: hint)
            }, interrupted: { shell.interrupt() })
        editor.start()
        await shell.facts.refresh()
        session.note("distric \(Distric.configuration.version) on \(session.url ?? ""); \\? for help, Tab completes, Ctrl-D leaves\n")
        if let problem = shell.facts.problem { session.note("distric: \(problem)\n") }
        _ = await shell.interact(EditorLines(editor: editor))
        editor.stop()
        return 0
    }

    /// `$XDG_STATE_HOME/distric/history`; empty when there is no place for it.
    private static func history(_ environment: [String: String]) -> String {
        let state = environment["XDG_STATE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? (environment["HOME"] ?? "") + "/.local/state"
        let folder = state + "/distric"
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { return "" }
        let path = folder + "/history"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        if descriptor >= 0 { close(descriptor) }
        chmod(path, 0o600)
        return path
    }

    /// A line with a key or a password in it, or one that begins with a space, is not remembered.
    private static func isNoSecret(_ line: String) -> Bool {
        let lower = line.lowercased()
        return line.first != " "
            && !["secret", "password", "passwd", "token", "--key", "apikey", "api_key", "dk_"].contains { lower.contains($0) }
    }
}

/// The exit code of a shell that has said already what went wrong.
struct ShellEnded: Error { let code: Int32 }

private struct EditorLines: LineSource {
    let editor: LineEditor

    func next(prompt: String) async -> String? {
        switch await editor.read(prompt: prompt) {
        case .line(let line): line
        case .end: nil
        }
    }

    func printAbove(_ text: String) { editor.printAbove(text) }
}
