import ArgumentParser
import Foundation
import Glibc
import Offline
import Operator
import Primitives
import Text

/// `distric cluster recover`.
struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Begin a cluster again from a coordinator's folder, when most coordinators are gone for good.",
        discussion: """
            While a majority of the voters can be started again this is not needed, and would lose what only the others have. The nodes
            are stopped; name the data folders of all coordinators that are left, to see which of them has the most. Then the one that
            is to go on becomes a cluster of its own: what it has is kept, the cluster's epoch rises, and nobody of an older epoch is listened to any
            more. The others join it anew, with empty folders.

              distric cluster recover --data /mnt/c-1 --data /mnt/c-3
              distric cluster recover --data /mnt/c-1 --data /mnt/c-3 --from c-3

            On a terminal it asks for the cluster's id before it changes anything; elsewhere it shows what is there, and changes something only with --yes.
            Exit codes: 0 done; 1 refused, as it would lose something; 65 damaged; 69 a node has the folder; 75 nothing was changed, and the
            command that does it is printed.
            """)

    @Option(name: .long, parsing: .singleValue, help: "A coordinator's data folder; may be given several times.", completion: .directory)
    var data: [String] = []
    @Option(name: .long, help: "Of which node the folder is that goes on; with one folder it is that.") var from: String?
    @Flag(name: .long, help: "Do it without asking.") var yes = false
    @Flag(name: .customLong("accept-loss"), help: "Go on although entries are lost that may have been acknowledged.") var acceptLoss = false
    @Flag(name: .long, help: "JSON: what is there, and what was done.") var json = false

    func validate() throws {
        guard !data.isEmpty else { throw ValidationError("--data is missing: name the data folders of the coordinators that are left") }
        guard !data.contains("") else { throw ValidationError("the folder's name is empty") }
        var seen: Set<String> = []
        for folder in data where !seen.insert(Self.real(folder)).inserted { throw ValidationError("\(folder) is given twice") }
        guard let from else { return }
        do throws(IdentifierError) { _ = try NodeID(from) } catch { throw ValidationError("--from: \(error)") }
    }

    /// The same for two names of one folder.
    private static func real(_ folder: String) -> String {
        guard let path = realpath(folder, nil) else { return Folders.plain(folder) }
        defer { free(path) }
        return String(cString: path)
    }

    @concurrent
    func run() async throws {
        let recovery: ClusterRecovery
        let chosen: Survivor
        do throws(DisasterProblem) { recovery = try ClusterRecovery(folders: data.map(Folders.plain)) } catch {
            throw CommandFailure(error)
        }
        show(recovery)
        // What is run twice, or where nothing is lost, must not cut off whoever joined since: there the node is named besides.
        let isMeant = from != nil || (yes ? recovery.needless == nil : recovery.survivors.count == 1)
        guard isMeant else { throw nothingChanged(recovery, recovery.mostAdvanced) }
        do throws(DisasterProblem) {
            chosen = try recovery.chosen(from.flatMap { try? NodeID($0) })
            try recovery.check(chosen, acceptsLoss: acceptLoss)
        } catch {
            throw CommandFailure(error)
        }
        try confirm(recovery, chosen)
        let now = ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
        let outcome: ClusterRecovery.Outcome
        do throws(DisasterProblem) { outcome = try recovery.recover(chosen, now: now) } catch { throw CommandFailure(error) }
        tell(chosen, outcome)
    }

    // MARK: What is there

    private static let columns = [
        Column("NODE", "node"), Column("EPOCH", "epoch"), Column("LAST TERM", "lastTerm"), Column("LAST INDEX", "lastIndex"),
        Column("COMMITTED", "committed"), Column("SNAPSHOT", "snapshot"), Column("VOTERS", "voters"), Column("STATE", "state"),
        Column("LOST") { lost($0) },
        Column("MOST") { $0["most"]?.bool == true ? "*" : "" }, Column("FOLDER", "folder"),
    ]

    /// `3+` where those that are not here may have more.
    private static func lost(_ survivor: Value) -> String {
        guard let count = survivor["lost"]?.int else { return survivor["lost"]?.string ?? "" }
        return survivor["lostAtLeast"]?.bool == true ? "\(count)+" : "\(count)"
    }

    private func show(_ recovery: ClusterRecovery) {
        let rows = recovery.survivors.map(recovery.value(of:))
        let out = Session.current.out
        guard !json else {
            return out(
                JSONWriter.text(
                    .object([
                        "survivors": .list(rows), "hasQuorum": .bool(recovery.hasQuorum), "needless": recovery.needless.map(Value.string),
                        "unknownLoss": recovery.unknownLoss.map(Value.string),
                    ])) + "\n")
        }
        out("cluster \(recovery.mostAdvanced.cluster)\n\n")
        out(Rendering(format: .table, width: Session.current.width).rows(rows, Self.columns))
        for survivor in recovery.survivors {
            for problem in survivor.problems { out("\(survivor.node): \(PlainText.oneLine(problem))\n") }
            if survivor.isHalfRecovered { out("\(survivor.node): a recovery was broken off; this one goes on with it\n") }
        }
        if let words = recovery.needless ?? recovery.unknownLoss { Session.current.note("\(words)\n") }
    }

    // MARK: Asking

    private func confirm(_ recovery: ClusterRecovery, _ chosen: Survivor) throws(CommandFailure) {
        guard !yes else { return }
        let cluster = chosen.cluster.description
        let session = Session.current
        guard !json, session.readsInput, session.url == nil, isatty(0) == 1, isatty(2) == 1 else { throw nothingChanged(recovery, chosen) }
        let others = chosen.others.map(\.text)
        let left =
            others.isEmpty
            ? "" : "; \(others.joined(separator: ", ")) will not be of it any more, and lose what \(chosen.node) does not have"
        let what = chosen.isAlone && !chosen.isHalfRecovered ? "begins once more, in a later epoch" : "becomes a cluster of its own"
        session.note("\n\(chosen.node) \(what)\(left).\nType the cluster's id to go on: ")
        guard readLine(strippingNewline: true)?.trimmingCharacters(in: .whitespaces) == cluster else {
            throw CommandFailure(.failed, "that is not the cluster's id; nothing was changed")
        }
    }

    /// With the command that goes on; but first the ones that make this needless.
    private func nothingChanged(_ recovery: ClusterRecovery, _ chosen: Survivor) -> CommandFailure {
        var words = data.map { "--data \(ShellWords.quoted($0))" }
        if data.count > 1 || recovery.needless != nil { words.append("--from \(chosen.node)") }
        if acceptLoss { words.append("--accept-loss") }
        let command = "  distric cluster recover \(words.joined(separator: " ")) --yes"
        guard recovery.needless != nil else { return CommandFailure(.temporary, "nothing was changed; this does it:\n\(command)") }
        let starts = recovery.survivors.map { "  distric node --id \($0.node) --data \(ShellWords.quoted($0.path))\n" }.joined()
        return CommandFailure(
            .temporary,
            "nothing was changed; this starts what is there:\n\(starts)this recovers all the same, and nobody else is of the cluster then:\n\(command)"
        )
    }

    // MARK: What was done

    private func tell(_ chosen: Survivor, _ outcome: ClusterRecovery.Outcome) {
        let out = Session.current.out
        guard !json else { return out(JSONWriter.text(["recovered": outcome.value]) + "\n") }
        out("\n" + outcome.lines.map { $0 + "\n" }.joined() + "\(chosen.path)/recovered says so\n\nnext:\n")
        out("  distric node --id \(chosen.node) --data \(ShellWords.quoted(chosen.path))\n")
        for other in chosen.others {
            out(
                "  distric node --id \(other) --data FOLDER --join HOST:PORT  # its old data folder removed before; the --rpc address of \(chosen.node)\n"
            )
        }
    }
}
