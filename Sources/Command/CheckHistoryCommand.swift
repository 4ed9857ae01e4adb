import ArgumentParser
import Foundation
import Offline
import Operator
import Primitives
import Text

/// `distric simulate check-history`.
struct CheckHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-history", abstract: "Judge what clients of a real cluster were told: is it linearizable?",
        discussion: """
            The file has one JSON object a line, of an operation's beginning or its end: process, type (invoke, ok, fail: it never happened,
            info: nobody knows), f (read, write, cas, append), key, value and time in nanoseconds of one clock. distric-bench raft --history
            writes such files, and so can clients of anything else. Every key is judged by itself.

              distric-bench raft --case single --seconds 5 --history history.jsonl
              distric simulate check-history history.jsonl
              distric simulate check-history -o json - < history.jsonl | jq .smallest

            Exit codes: 0 linearizable; 1 not, with the key whose trouble is the smallest; 65 a line that is none, with its number; 75 not
            decided within --steps.
            """)

    @Argument(help: "The file; - is standard input.", completion: .file()) var file: String
    @Option(name: .long, help: "Calls that are tried on states, each key, before it is left undecided.") var steps = 10_000_000
    // Not --json, which 'simulate' itself has and would take.
    @Option(name: [.customShort("o"), .long], help: "table or json.") var output: OutputFormat = .table

    func validate() throws {
        guard [.table, .json].contains(output) else { throw ValidationError("-o takes table or json here") }
        guard !file.isEmpty else { throw ValidationError("the file's name is empty") }
        guard (1...1_000_000_000).contains(steps) else { throw ValidationError("--steps must be 1 to 1000000000") }
    }

    @concurrent
    func run() async throws {
        let check: HistoryCheck
        let bytes = try contents()
        do throws(HistoryCheck.Problem) { check = try HistoryCheck(bytes) } catch {
            throw CommandFailure(.badData, "\(file): \(error)")
        }
        let verdict = check.verdict(steps: steps)
        let text = output == .json ? JSONWriter.text(verdict.value) : verdict.lines.map { PlainText.oneLine($0) }.joined(separator: "\n")
        Session.current.out(text + "\n")
        switch verdict.state {
        case .linearizable: return
        case .violated: throw ShellEnded(code: 1)
        case .undecided: throw ShellEnded(code: CommandFailure.Code.temporary.rawValue)
        }
    }

    private func contents() throws(CommandFailure) -> [UInt8] {
        if file == "-" { return try Session.standardInput() }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CommandFailure(.badData, "\(file): there is no such file, or it cannot be read")
        }
        return [UInt8](data)
    }
}
