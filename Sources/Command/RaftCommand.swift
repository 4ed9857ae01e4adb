import ArgumentParser
import Foundation
import Offline
import Operator
import Primitives
import Text

/// `distric raft`.
struct RaftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "raft",
        abstract: "The consensus of the cluster: who leads, its members, what is on a node's disk, and scripts that try it by hand.",
        discussion: """
            Script, and log with a folder, need no node; the others ask one.

              distric raft
              distric raft peers
              distric raft transfer --to c-2
              distric raft log list
              distric raft log verify /var/lib/distric
              distric raft script scenario.txt
            """,
        subcommands: Operator.Raft.configuration.subcommands + [Log.self, Script.self], defaultSubcommand: Operator.Raft.Status.self)

    struct Log: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What a node has of the log: asked of a node (list, diff), or read from a folder (inspect, verify, dump).",
            discussion: """
                Nothing of it is changed. The folder is a node's data folder, or raft in it. A node that runs may have it meanwhile: what it writes just then is read again.

                  distric raft log list --limit 20
                  distric raft log diff c-1 c-2
                  distric raft log inspect /var/lib/distric
                  distric raft log verify /var/lib/distric
                  distric raft log dump /var/lib/distric --from 1000 --to 1010
                """,
            subcommands: RaftLogCommands.all + [Inspect.self, Verify.self, Dump.self])
    }

    struct Script: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run commands against a small cluster of Raft cores by hand, and compare what they print with what stands there.",
            discussion: """
                  distric raft script scenario.txt
                  distric raft script --update scenario.txt

                Exit codes: 0 all as it stands; 1 some blocks print something else; 65 a file that cannot be read.

                \(ScriptRun.help)
                """)

        @Argument(help: "Files of blocks.") var files: [String]
        @Flag(name: .long, help: "Write what the blocks print now into the files.") var update = false
        @Flag(name: .long, help: "One JSON object a file.") var json = false

        func validate() throws { guard !files.contains("") else { throw ValidationError("the file's name is empty") } }

        @concurrent
        func run() async throws {
            var (blocks, different) = (0, 0)
            for file in files {
                let script = ScriptRun(try text(of: file))
                let (count, differences) = script.differences()
                (blocks, different) = (blocks + count, different + differences.count)
                let isRewritten = update && !differences.isEmpty
                if isRewritten { try write(script.rendered, to: file) }
                json ? tell(file, count, differences, isRewritten) : show(file, count, differences, isRewritten)
            }
            guard different > 0, !update else { return }
            throw CommandFailure(.failed, "\(different) of \(blocks) blocks print something else; --update writes what they print now")
        }

        private func show(_ file: String, _ count: Int, _ differences: [ScriptRun.Difference], _ isRewritten: Bool) {
            let name = PlainText.oneLine(file)
            if isRewritten { return Session.current.out("\(name): \(differences.count) of \(count) blocks written anew\n") }
            guard !differences.isEmpty else { return Session.current.out("\(name): \(count) blocks as they stand\n") }
            for difference in differences {
                Session.current.out("\(name):\(difference.line):\n\(difference.command)\n----\n")
                Session.current.out(difference.lines.joined(separator: "\n") + "\n\n")
            }
        }

        private func tell(_ file: String, _ count: Int, _ differences: [ScriptRun.Difference], _ isRewritten: Bool) {
            let value: Value = [
                "file": .string(file), "blocks": Value(count), "differences": .list(differences.map(\.value)),
                "updated": .bool(isRewritten),
            ]
            Session.current.out(JSONWriter.text(value) + "\n")
        }

        private func text(of file: String) throws(CommandFailure) -> String {
            guard let data = FileManager.default.contents(atPath: file) else { throw CommandFailure(.badData, "\(file): cannot be read") }
            guard let text = String(validating: data, as: UTF8.self) else { throw CommandFailure(.badData, "\(file): is not UTF-8") }
            return text
        }

        private func write(_ text: String, to file: String) throws(CommandFailure) {
            do { try Data(text.utf8).write(to: URL(filePath: file), options: .atomic) } catch {
                throw CommandFailure(.cannotWrite, "\(file): cannot be written: \(error.localizedDescription)")
            }
        }
    }
}

extension RaftCommand.Log {
    /// The folder of a server.
    struct FolderOptions: ParsableArguments {
        @Argument(help: "A node's data folder, or raft in it.") var folder: String
        @Flag(name: .long, help: "JSON.") var json = false

        func validate() throws { guard !folder.isEmpty else { throw ValidationError("the folder's name is empty") } }

        func opened() throws(CommandFailure) -> LogInspection {
            let found: LogInspection
            do throws(LogInspection.Problem) { found = try LogInspection(folder) } catch { throw Self.failure(error) }
            if let holder = found.holder {
                Session.current.note("\(folder): the node runs (\(holder)), and writes while it is read\n")
            }
            return found
        }

        static func failure(_ problem: LogInspection.Problem) -> CommandFailure {
            let code: CommandFailure.Code =
                switch problem.kind {
                case .noLog, .unreadable: .badData
                case .newer: .badConfiguration
                case .changing: .temporary
                }
            return CommandFailure(code, problem.description)
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show whose the folder is, its vote, its snapshots, and each file of its log.",
            discussion: "  distric raft log inspect /var/lib/distric\n  distric raft log inspect --json /var/lib/distric | jq .files")
        @OptionGroup var place: FolderOptions

        @concurrent
        func run() async throws {
            let opened = try place.opened()
            let value: Value
            do throws(LogInspection.Problem) { value = try opened.inspection() } catch { throw FolderOptions.failure(error) }
            guard !place.json else { return Session.current.out(JSONWriter.pretty(value) + "\n") }
            Session.current.out(facts(value))
            let rendering = Rendering(format: .table, width: Session.current.width)
            let (snapshots, files) = (value["snapshots"]?.list ?? [], value["files"]?.list ?? [])
            if !snapshots.isEmpty { Session.current.out("\n" + rendering.rows(snapshots, Self.snapshotColumns)) }
            if !files.isEmpty { Session.current.out("\n" + rendering.rows(files, Self.fileColumns)) }
        }

        private static let snapshotColumns = [
            Column("SNAPSHOT", "file"), Column("INDEX", "index"), Column("TERM", "term"), Column("BYTES", "bytes"),
            Column("ON DISK", "onDisk"), Column("STATE") { state(ofSnapshot: $0) }, Column("CONFIGURATION", "configuration"),
        ]

        private static let fileColumns = [
            Column("FILE", "file"), Column("GENERATION", "generation"), Column("FIRST", "first"), Column("LAST", "last"),
            Column("TERMS") { terms($0) }, Column("ENTRIES", "entries"), Column("BYTES", "bytes"), Column("USED", "used"),
            Column("STATE") { state(ofFile: $0) },
        ]

        private static func state(ofSnapshot value: Value) -> String {
            if let problem = value["problem"]?.string { return "unreadable: \(problem)" }
            return value["coming"]?.bool == true ? "coming" : value["installed"]?.bool == true ? "installed" : "whole"
        }

        private static func terms(_ value: Value) -> String {
            guard let range = value["terms"]?.list, let first = range.first?.int, let last = range.last?.int else { return "-" }
            return first == last ? "\(first)" : "\(first)-\(last)"
        }

        private static func state(ofFile value: Value) -> String {
            let standing = value["standing"]?.string ?? ""
            guard let problem = value["problem"]?.string else { return standing }
            return "\(standing); byte \(value["used"]?.int ?? 0): \(problem)"
        }

        private func facts(_ value: Value) -> String {
            func text(_ path: String...) -> String? {
                var here: Value? = value
                for key in path { here = here?[key] }
                return here.flatMap { $0 == .null ? nil : $0.string ?? $0.int.map(String.init) }
            }
            var facts: [(String, String?)] = [("folder", text("folder"))]
            if let node = text("identity", "node") {
                facts.append(("node", "\(node) of cluster \(text("identity", "cluster") ?? "?")"))
            }
            facts.append(("runs", text("runs")))
            switch text("vote", "state") {
            case "intact": facts.append(("vote", "term \(text("vote", "term") ?? "?"), for \(text("vote", "vote") ?? "nobody")"))
            case "fresh": facts.append(("vote", "none was given yet"))
            default: facts.append(("vote", "lost: \(text("vote", "reason") ?? "")"))
            }
            let end = "to entry \(text("log", "last") ?? "?") of term \(text("log", "term") ?? "?")"
            facts.append(("log", "\(text("log", "state") ?? "?"), \(end); marked as durable to \(text("log", "durable") ?? "?")"))
            facts.append(("recovering", text("recovering")))
            for problem in value["problems"]?.list ?? [] {
                let place = problem["offset"]?.int.map { ": byte \($0)" } ?? ""
                facts.append(("damaged", "\(problem["path"]?.string ?? "")\(place): \(problem["reason"]?.string ?? "")"))
            }
            return facts.compactMap { name, text in
                text.map { name + String(repeating: " ", count: 12 - name.count) + PlainText.oneLine($0) + "\n" }
            }.joined()
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read the vote, the newest snapshot and the whole log, and judge as the node does that starts on it.",
            discussion: """
                Of a data folder also whose it is, and whether the history goes beyond the log, which then lost its end.

                Exit codes: 0 clean; 1 a torn tail, which was never acknowledged and is cut off when the node starts; 2 damage, with its
                place, and with what is left to do; 65 no log at all; 78 a newer distric wrote it.

                  distric raft log verify /var/lib/distric
                  distric raft log verify --json /backup/n1 | jq .problems
                """)
        @OptionGroup var place: FolderOptions

        @concurrent
        func run() async throws {
            let opened = try place.opened()
            let verdict: LogInspection.Verdict
            do throws(LogInspection.Problem) { verdict = try opened.verified() } catch { throw FolderOptions.failure(error) }
            let text = place.json ? JSONWriter.text(verdict.value) : verdict.lines.map { PlainText.oneLine($0) }.joined(separator: "\n")
            Session.current.out(text + "\n")
            switch verdict.state {
            case .clean: return
            case .torn: throw ShellEnded(code: 1)
            case .damaged:
                Session.current.note("nothing was changed. \(LogInspection.wayBack)\n")
                throw ShellEnded(code: 2)
            }
        }
    }

    struct Dump: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the entries, one a line: index, term, kind, bytes, and what can be said of them.",
            discussion: """
                Also those that a snapshot stands for, while they are there. What cannot be read is named, and the exit code is 65 then.

                  distric raft log dump /var/lib/distric --from 1000 --to 1010
                  distric raft log dump --json /var/lib/distric | jq 'select(.kind == "configuration")'
                """)
        @OptionGroup var place: FolderOptions
        @Option(name: .long, help: "The first index.") var from: UInt64 = 1
        @Option(name: .long, help: "The last index (default: the last there is).") var to: UInt64?

        func validate() throws {
            guard from > 0 else { throw ValidationError("--from must be 1 or more: the first entry is 1") }
            if let to, to < from { throw ValidationError("--to \(to) comes before --from \(from)") }
        }

        @concurrent
        func run() async throws {
            let opened = try place.opened()
            var (text, count) = ("", 0)
            let problems: [String]
            do throws(LogInspection.Problem) {
                problems = try opened.entries(from: from, through: to) { entry in
                    count += 1
                    text += place.json ? JSONWriter.text(entry) + "\n" : line(entry)
                    guard text.utf8.count > 1 << 16 else { return }
                    Session.current.out(text)
                    text = ""
                }
            } catch {
                throw FolderOptions.failure(error)
            }
            Session.current.out(text)
            guard problems.isEmpty else { throw CommandFailure(.badData, problems.joined(separator: "\n")) }
            if count == 0 { Session.current.note("\(place.folder): no such entry\n") }
        }

        private func line(_ entry: Value) -> String {
            func cell(_ key: String, _ width: Int) -> String {
                let text = entry[key]?.string ?? entry[key]?.int.map(String.init) ?? ""
                return text + String(repeating: " ", count: max(0, width - text.count) + 2)
            }
            let start = cell("index", 8) + cell("term", 4) + cell("kind", 13) + cell("bytes", 7)
            return start + PlainText.oneLine(entry["text"]?.string ?? "") + "\n"
        }
    }
}
