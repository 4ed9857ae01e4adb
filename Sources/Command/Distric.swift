import ArgumentParser
import Definitions
import DistriC
import Foundation
import Glibc
import Offline
import Operator
import Primitives
import Worker

/// The binary.
@main
struct Distric: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distric",
        abstract: "A self-contained cluster engine: messages, rules, workflows, workers, and the console to run them.",
        usage: "distric [COMMAND] [OPTIONS]",
        discussion: """
            First steps:

              distric demo                      a node with examples, in the console
              distric                           a node of your own, in the console

              distric init demo && cd demo      write settings and examples
              distric node                      start a node
              distric rules apply rules workflows
              distric messages submit messages.ndjson
              distric runs list

            Exit codes: 0 ok; 1 failed or not found; 64 usage; 65 bad data; 69 unavailable; 70 internal; 73 cannot write; 75 temporary;
            76 protocol; 77 denied; 78 bad configuration; 130 interrupted. Data goes to stdout, words to stderr.
            """,
        version: Node.version,
        subcommands: [ConsoleCommand.self, DemoCommand.self, ShellCommand.self, NodeCommand.self, InitCommand.self] + asking
            + [
                ClusterCommand.self, BackupCommand.self, DoctorCommand.self, DebugCommand.self, Dashboards.self, PingCommand.self,
                WireCommand.self, SimulateCommand.self,
                CertsCommand.self, ConfigCommand.self,
                CompletionCommand.self, VersionCommand.self,
            ], defaultSubcommand: ConsoleCommand.self)

    /// What asks a node; `raft` also has what needs none.
    private static var asking: [any ParsableCommand.Type] {
        OperatorCommands.all.map { $0 == Operator.Raft.self ? RaftCommand.self : $0 }
    }

    /// The guard's hidden entry comes before anything else of the program.
    static func main() async {
        Guard.runIfAsked(CommandLine.arguments)
        signal(SIGPIPE, SIG_IGN)
        let session = Session(
            environment: ProcessInfo.processInfo.environment, tools: OfflineTools(), out: { Output.write(Output.shown($0), to: 1) },
            note: { Output.write($0, to: 2) },
            notesAreInteractive: isatty(2) == 1, width: Output.width)
        let code = await Session.$current.withValue(session) { await run(Array(CommandLine.arguments.dropFirst())) }
        Glibc.exit(code)
    }

    static func run(_ arguments: [String]) async -> Int32 {
        if let refusal = Spelling.problem(arguments, in: Distric.self) {
            Session.current.note("distric: \(refusal)\n")
            return CommandFailure.Code.usage.rawValue
        }
        do {
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return 0
        } catch let failure as CommandFailure {
            Session.current.note("distric: \(PlainText.lines(failure.message))\n")
            return failure.code.rawValue
        } catch let error as DistriCError {
            Session.current.note("distric: \(error.message)\n")
            return error.code.rawValue
        } catch is DoctorFailed {
            return CommandFailure.Code.failed.rawValue
        } catch let ended as ShellEnded {
            return ended.code
        } catch is CancellationError {
            return CommandFailure.Code.interrupted.rawValue
        } catch {
            return parsing(error)
        }
    }

    /// What the parser says: help and version are no failures.
    private static func parsing(_ error: any Error) -> Int32 {
        let code = exitCode(for: error)
        let text = fullMessage(for: error)
        if code == .success { Session.current.out(text + "\n") } else { Session.current.note(text + "\n") }
        return code == .success ? 0 : code == .validationFailure ? CommandFailure.Code.usage.rawValue : CommandFailure.Code.failed.rawValue
    }
}

/// Definitions are checked by the rooms that know them.
private struct OfflineTools: LocalTools {
    func validate(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic] {
        DefinitionChecks().problems(documents, namespace: namespace)
    }
}

/// The process's own output.
enum Output {
    /// Writes all of it; a reader that went away ends the program as it ends others.
    static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if errno == EPIPE { exit(0) }
                if descriptor == 1 { write("distric: the output cannot be written: \(String(cString: strerror(errno)))\n", to: 2) }
                exit(73)
            }
            rest = rest.dropFirst(count)
        }
    }

    private static let isTerminal = isatty(1) == 1

    /// A program gets what a task or a message holds; a terminal gets what can be read of it.
    static func shown(_ text: String) -> String { isTerminal ? PlainText.lines(text) : text }

    /// Columns of the terminal; 0 when the output goes elsewhere, where nothing is cut.
    static var width: Int {
        guard isTerminal else { return 0 }
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
