import ArgumentParser
import Foundation
import Offline
import Operator
import Primitives
import Text

/// `distric backup`.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copies of a cluster's state: taken while it runs, looked at, and made a cluster again.",
        discussion: """
            The first asks a node that runs; the others need none.

              distric backup create monday.backup --history
              distric backup verify monday.backup
              distric backup restore monday.backup --data /var/lib/distric --id c-1

            A backup holds messages and what tasks gave: keep it as safe as the data folders.
            """,
        subcommands: [Create.self, Verify.self, Restore.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the state of a node, as of one entry of the log, into a file.",
            discussion: """
                The cluster goes on meanwhile. What comes is checked; the file gets its name only when all of it is there and on disk, until then it
                is FILE.part. Which entry it is of is printed at the end: what a follower has may be behind the leader,
                --consistency linearizable waits until it is not.

                  distric backup create monday.backup
                  distric backup create --history - | age -r KEY > monday.age
                """)
        @OptionGroup var creation: BackupCreation

        @concurrent
        func run() async throws { try await creation.run(Watch()) }
    }

    /// The format's own eyes.
    private struct Watch: BackupCheck {
        private var watch = BackupWatch(source: "what the node sends")

        mutating func take(_ bytes: [UInt8]) throws(CommandFailure) {
            do throws(DisasterProblem) { try watch.take(bytes) } catch { throw CommandFailure(error) }
        }

        mutating func finish() throws(CommandFailure) -> String {
            do throws(DisasterProblem) { return try watch.finish() } catch { throw CommandFailure(error) }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read all of a backup, check it, and say what is in it.",
            discussion: """
                Exit codes: 0 whole; 65 damaged or cut off, with the place; 78 written by a newer distric.

                  distric backup verify monday.backup
                  distric backup verify --json monday.backup | jq .index
                """)
        @Argument(help: "The file.", completion: .file()) var file: String
        @Flag(name: .long, help: "JSON.") var json = false

        func validate() throws { guard !file.isEmpty else { throw ValidationError("the file's name is empty") } }

        @concurrent
        func run() async throws {
            let verdict: BackupFile.Verdict
            do throws(DisasterProblem) { verdict = try BackupFile(file).verified() } catch { throw CommandFailure(error) }
            guard !json else { return Session.current.out(JSONWriter.text(verdict.value) + "\n") }
            Session.current.out(facts(verdict))
        }

        private func facts(_ verdict: BackupFile.Verdict) -> String {
            let history = verdict.historyBytes.map { "\($0) bytes of what has ended" } ?? "none"
            return """
                whole        \(verdict.bytes) bytes
                cluster      \(verdict.cluster), by node \(verdict.node) at \(verdict.time.rfc3339)
                index        \(verdict.index) of term \(verdict.term), feature level \(verdict.featureLevel)
                runs         \(verdict.openRuns) open
                definitions  \(verdict.definitions), catalog version \(verdict.catalogVersion)
                history      \(history)

                """
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a new cluster of a backup, in an empty data folder.",
            discussion: """
                The cluster gets an id of its own, and one member; others join it. Its timers wait until 'distric cluster resume'. Nothing is
                restored over a cluster that is there: the folder must be empty. A message that comes again is not known as one any more.

                  distric backup restore monday.backup --data /var/lib/distric --id c-1
                """)
        @Argument(help: "The file.", completion: .file()) var file: String
        @Option(name: .long, help: "The data folder: empty, or not there yet.", completion: .directory) var data: String
        @Option(name: .long, help: "The node that the folder becomes.") var id: String
        @Flag(name: .long, help: "JSON.") var json = false
        // To be told what is wrong with it.
        @Option(name: .long, help: .hidden) var connect: String?

        func validate() throws {
            guard !file.isEmpty, !data.isEmpty else { throw ValidationError("a name is empty") }
            guard connect == nil, !data.contains("://") else {
                throw ValidationError(
                    "nothing is restored over a cluster that runs: --data names an empty folder for a new one, which others join when it is started"
                )
            }
            do throws(IdentifierError) { _ = try NodeID(id) } catch { throw ValidationError(error.description) }
        }

        @concurrent
        func run() async throws {
            let now = ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
            var generator = SystemRandomNumberGenerator()
            let node = try NodeID(id)
            let made: BackupRestore.Made
            do throws(DisasterProblem) {
                made = try BackupRestore(BackupFile(file)).run(
                    into: Folders.plain(data), node: node, cluster: UUIDv7(at: now, using: &generator), now: now)
            } catch {
                throw CommandFailure(error)
            }
            guard !json else { return Session.current.out(JSONWriter.text(made.value) + "\n") }
            tell(made)
        }

        private func tell(_ made: BackupRestore.Made) {
            let (backup, folder) = (made.backup, ShellWords.quoted(data))
            Session.current.out(
                """
                cluster \(made.cluster), made of \(backup.cluster) at index \(backup.index)
                \(backup.openRuns) open runs, \(backup.definitions) definitions, \(made.records) records of the history

                next:
                  distric node --id \(made.node) --data \(folder)
                  distric runs list                        # what is open, and would go on
                  distric cluster resume                   # only when the old cluster is gone: timers go again
                  distric node --id ID --data FOLDER --join HOST:PORT  # each other member, with an empty folder: the --rpc address of \(made.node)

                """)
        }
    }
}

extension CommandFailure {
    /// With the exit code that fits it.
    init(_ problem: DisasterProblem) {
        let code: Code =
            switch problem.kind {
            case .usage: .usage
            case .refused: .failed
            case .damaged: .badData
            case .locked: .unavailable
            case .cannotWrite: .cannotWrite
            case .newer: .badConfiguration
            }
        self.init(code, problem.description)
    }
}

/// Names of folders as they are typed.
enum Folders {
    /// Without slashes at its end.
    static func plain(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
}
