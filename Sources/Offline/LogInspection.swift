import Cluster
import Glibc
package import Primitives
import Raft
import Storage

/// A server's folder on disk - vote, log, snapshots - looked at without changing a byte of it.
package struct LogInspection: Sendable {
    /// Why it cannot be looked at.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package enum Kind: Sendable {
            case noLog, unreadable
            /// A newer program wrote it.
            case newer
            /// The node that runs took away what was being read.
            case changing
        }

        package let kind: Kind
        package let description: String

        init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }

        init(_ error: StorageError) {
            if case .newerFormat = error { kind = .newer } else { kind = .unreadable }
            description = error.description
        }
    }

    /// What reading all of it came to.
    package struct Verdict: Equatable, Sendable {
        package enum State: String, Sendable { case clean, torn, damaged }

        package var state: State
        /// For people, a line for each thing that is wrong; one line that says what is there when nothing is.
        package var lines: [String]
        /// The same for programs.
        package var value: Value
    }

    /// Where `vote`, `log` and `snapshots` lie.
    package let folder: String
    /// The node's, with `identity` and `LOCK`; nil where the folder stands alone.
    private let data: String?
    private let disk = ReadOnlyDisk()

    /// - Parameter path: a node's data folder, or the folder `raft` in one.
    package init(_ path: String) throws(Problem) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard disk.exists(path) else { throw Problem(.noLog, "\(path): there is no such folder, or it may not be looked into") }
        if disk.exists(path + "/raft") {
            (folder, data) = (path + "/raft", path)
        } else if Self.isServers(path, disk) {
            let above = path + "/.."
            (folder, data) = (path, disk.exists(above + "/identity") ? above : nil)
        } else {
            // One that may not be looked into has nothing of all this either.
            if let denied = disk.denied(path) { throw Problem(denied) }
            throw Problem(.noLog, "\(path) holds no log of a node: name a node's data folder, or the folder raft in it")
        }
    }

    /// Many folders have one that is called log in them.
    private static func isServers(_ path: String, _ disk: ReadOnlyDisk) -> Bool {
        let names = (try? disk.list(path + "/log")) ?? []
        return disk.exists(path + "/vote")
            || names.contains { name in
                let digits = name.utf8.prefix(20)
                return digits.count == 20 && digits.allSatisfy { (48...57).contains($0) }
            }
    }

    // MARK: Whose it is

    /// Which process has the folder now; nil when none has.
    package var holder: String? {
        guard let data else { return nil }
        let descriptor = Glibc.open(data + "/LOCK", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let line = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first
        return line.map(String.init) ?? "a process"
    }

    private func identity() throws(StorageError) -> Value? {
        guard let data, let bytes = try disk.contents(of: data + "/identity") else { return nil }
        var fields = Fields()
        for line in String(decoding: bytes.prefix(4096), as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            guard words.count == 2 else { continue }
            switch words[0] {
            case "node", "cluster": fields[String(words[0])] = .string(String(words[1]))
            case "feature-level": fields["featureLevel"] = UInt64(words[1]).map { Value($0) }
            default: continue
            }
        }
        return .map(fields)
    }

    /// What is left to do with a folder that cannot be trusted.
    package static var wayBack: String { StorageError.wayBack }

    // MARK: Looking

    /// All that is there, at one time.
    private struct Findings: Equatable {
        var manifest: SnapshotStore.Manifest?
        var reading: LogFiles.Reading
        var marked: LogIndex
        var damage: SegmentedLog.Damage?
        var vote: HardStateFile.Opening
        /// Why the vote may not be trusted, as it was written down.
        var recovering: String?
        /// Of the snapshot, and of what a node that starts looks at besides the log.
        var problems: [StorageError] = []

        var isWell: Bool { reading.condition == .clean && problems.isEmpty }
    }

    /// - Parameter isThorough: the snapshot's bytes are read too.
    private func look(isThorough: Bool) throws(Problem) -> Findings {
        var (known, failure): (Findings?, StorageError?)
        // While a node writes, what is read of it may be half of two moments: what is wrong is what stays so.
        for _ in 0..<10 {
            do throws(StorageError) {
                let found = try findings(isThorough: isThorough)
                if found.isWell || found == known || holder == nil { return found }
                (known, failure) = (found, nil)
            } catch {
                if holder == nil || failure == error { throw Problem(error) }
                failure = error
            }
            usleep(20_000)
        }
        if let known { return known }
        throw failure.map { Problem($0) } ?? changing
    }

    private var changing: Problem { Problem(.changing, "\(folder): the node that runs took away what was being read; try again") }

    private func findings(isThorough: Bool) throws(StorageError) -> Findings {
        let store = SnapshotStore(disk: disk, folder: folder + "/snapshots")
        let start = StartChecks(data: data, raft: folder, disk: disk)
        var problems = try start.owner()
        let history = try start.historyEnd()
        var (manifest, isKnown) = (SnapshotStore.Manifest?.none, true)
        do throws(StorageError) {
            manifest = try store.newestManifest()
            if let manifest {
                try start.check(manifest)
                _ = try RaftStorage.mark(manifest, folder: folder)
            }
            if isThorough, let manifest { try store.verify(manifest) }
        } catch {
            guard case .damaged = error else { throw error }
            problems.append(error)
            isKnown = false
        }
        let files = try LogFiles(disk: disk, folder: folder + "/log")
        let reading = try files.reading(from: manifest, isKnown: isKnown || manifest != nil)
        let hasLog = try disk.list(folder + "/log").contains { $0.hasSuffix(".log") }
        let vote = try vote(hasLog: hasLog, hasEntries: reading.last.index > .zero)
        let recovering = try disk.contents(of: folder + "/recovering").map { String(decoding: $0.prefix(4096), as: UTF8.self) }
        if let reason = start.staleVote(vote, reading.last) { problems.append(.damaged(path: folder + "/vote", offset: 0, reason: reason)) }
        var found = Findings(
            manifest: manifest, reading: reading, marked: files.marked, damage: files.damage, vote: vote, recovering: recovering,
            problems: problems)
        // A log that is to be repaired is behind whatever was written of it.
        if self.problems(found).isEmpty, let lost = start.lostEnd(reading.last, history: history) { found.problems.append(lost) }
        return found
    }

    private func vote(hasLog: Bool, hasEntries: Bool) throws(StorageError) -> HardStateFile.Opening {
        let path = folder + "/vote"
        let bytes = try disk.contents(of: path)
        // Opening would make or fill such a file.
        if !hasEntries, bytes.map({ !$0.contains { $0 != 0 } }) ?? !hasLog { return .fresh }
        let (file, opening) = try HardStateFile.open(disk: disk, path: path, hasLog: hasLog, hasEntries: hasEntries)
        file.close()
        return opening
    }

    // MARK: Telling

    /// What is there: whose it is, the vote, the snapshots, and every file of the log.
    package func inspection() throws(Problem) -> Value {
        let found = try look(isThorough: false)
        do throws(StorageError) {
            let files = try LogFiles(disk: disk, folder: folder + "/log").files()
            let snapshots = try SnapshotFiles(disk: disk, folder: folder + "/snapshots").items
            return .object([
                "folder": .string(folder), "identity": try identity(), "runs": holder.map(Value.string), "vote": Self.value(found.vote),
                "recovering": found.recovering.map(Value.string), "damage": found.damage.map(Self.value),
                "log": value(found.reading, found.marked), "snapshots": .list(snapshots.map(Self.value)),
                "files": .list(files.map(Self.value)), "problems": .list(problems(found).map(Self.value)),
            ])
        } catch {
            throw holder == nil ? Problem(error) : changing
        }
    }

    /// Reads all of it and judges as the node does that opens it.
    package func verified() throws(Problem) -> Verdict {
        let found = try look(isThorough: true)
        let problems = problems(found)
        var (state, lines) = (Verdict.State.clean, [String]())
        if case .torn(let path, let offset) = found.reading.condition {
            state = .torn
            lines.append("torn: \(path) from byte \(offset) on: what was never acknowledged; the node cuts it off when it starts")
        }
        if !problems.isEmpty {
            state = .damaged
            lines += problems.map { "damaged: \($0.words)" }
        }
        if state == .clean { lines.append("clean: \(summary(found))") }
        let torn: Value? =
            if case .torn(let path, let offset) = found.reading.condition {
                ["path": .string(path), "offset": Value(offset)]
            } else {
                nil
            }
        let value = Value.object([
            "folder": .string(folder), "state": .string(state.rawValue), "runs": holder.map(Value.string), "torn": torn,
            "problems": .list(problems.map(Self.value)), "log": value(found.reading, found.marked), "vote": Self.value(found.vote),
            "snapshot": found.manifest.map { Value($0.position.index.number) },
        ])
        return Verdict(state: state, lines: lines, value: value)
    }

    /// The entries of a range, each as one object, as far as they can be read.
    ///
    /// - Returns: for people, what is wrong in between.
    package func entries(from first: UInt64, through last: UInt64?, visit: (Value) -> Void) throws(Problem) -> [String] {
        let problems: [StorageError]
        do throws(StorageError) {
            let files = try LogFiles(disk: disk, folder: folder + "/log")
            problems = try files.entries(from: LogIndex(first), through: last.map { LogIndex($0) }) { entry throws(StorageError) in
                visit(EntryText.value(entry))
            }
        } catch {
            throw holder == nil ? Problem(error) : changing
        }
        guard !problems.isEmpty else { return [] }
        // A torn tail is no loss.
        if case .torn = try look(isThorough: false).reading.condition { return [] }
        return problems.map { "damaged: \(FoundProblem($0).words)" }
    }

    // MARK: Words

    /// Something that is wrong, and where.
    private struct FoundProblem {
        var path: String
        var offset: Int?
        var reason: String

        init(_ path: String, _ offset: Int?, _ reason: String) { (self.path, self.offset, self.reason) = (path, offset, reason) }

        init(_ error: StorageError) {
            switch error {
            case .damaged(let path, let offset, let reason): self.init(path, offset, reason)
            case .gap(let path, let expected, let found):
                self.init(path, nil, "the log should reach or go on at index \(expected), but what is there ends or begins at \(found)")
            default: self.init("", nil, error.description)
            }
        }

        var words: String { path.isEmpty ? reason : path + (offset.map { ": byte \($0)" } ?? "") + ": " + reason }
    }

    private func problems(_ found: Findings) -> [FoundProblem] {
        var problems = found.problems.map { FoundProblem($0) }
        if case .damaged(let error) = found.reading.condition { problems.append(FoundProblem(error)) }
        if case .lost(let reason) = found.vote { problems.append(FoundProblem(folder + "/vote", nil, reason)) }
        if let damage = found.damage {
            let (good, held) = (damage.lastGood.index, damage.mayHaveHeld)
            let lost = held > good ? "entries \(good.next) to \(held)" : "what followed it"
            problems.append(
                FoundProblem(damage.path, damage.offset, "\(damage.reason); \(lost) may be lost, and no leader has made it good yet"))
        }
        if let reason = found.recovering {
            problems.append(FoundProblem(folder + "/recovering", nil, "the node may not vote until a leader trusts it again: \(reason)"))
        }
        return problems
    }

    private func summary(_ found: Findings) -> String {
        let (reading, last) = (found.reading, found.reading.last)
        var parts = ["\(reading.entries) \(reading.entries == 1 ? "entry" : "entries"), to index \(last.index) of term \(last.term)"]
        if let manifest = found.manifest { parts.append("after a whole snapshot of \(manifest.position.index)") }
        if case .intact(let state) = found.vote {
            parts.append(state.vote.map { "vote for \($0) in term \(state.term)" } ?? "no vote in term \(state.term)")
        }
        if reading.condition == .replaced { parts.append("the log is older than the snapshot, which takes its place when the node starts") }
        return parts.joined(separator: ", ")
    }

    private func value(_ reading: LogFiles.Reading, _ marked: LogIndex) -> Value {
        let state =
            switch reading.condition {
            case .clean: "clean"
            case .torn: "torn"
            case .replaced: "replaced"
            case .damaged: "damaged"
            }
        return .object([
            "state": .string(state), "last": Value(reading.last.index.number), "term": Value(reading.last.term.number),
            "chain": .string(hexadecimal(reading.last.chain)), "entries": Value(reading.entries), "durable": Value(marked.number),
            "leftovers": .list(reading.leftovers.map { .string($0) }),
        ])
    }

    private static func value(_ problem: FoundProblem) -> Value {
        .object(["path": .string(problem.path), "offset": problem.offset.map { Value($0) }, "reason": .string(problem.reason)])
    }

    private static func value(_ opening: HardStateFile.Opening) -> Value {
        switch opening {
        case .fresh: ["state": "fresh"]
        case .lost(let reason): ["state": "lost", "reason": .string(reason)]
        case .intact(let state): ["state": "intact", "term": Value(state.term.number), "vote": Value(state.vote?.text)]
        }
    }

    private static func value(_ damage: SegmentedLog.Damage) -> Value {
        [
            "path": .string(damage.path), "offset": Value(damage.offset), "reason": .string(damage.reason),
            "lastGood": Value(damage.lastGood.index.number), "mayHaveHeld": Value(damage.mayHaveHeld.number),
        ]
    }

    private static func name(_ path: String) -> Value { .string(path.split(separator: "/").last.map(String.init) ?? path) }

    private static func value(_ item: SnapshotFiles.Item) -> Value {
        let manifest = item.manifest
        return .object([
            "file": name(item.path), "index": manifest.map { Value($0.position.index.number) },
            "term": manifest.map { Value($0.position.term.number) }, "bytes": manifest.map { Value($0.bytes) },
            "onDisk": item.bytes.map { Value($0) }, "configuration": manifest.map { .string($0.configuration) },
            "installed": manifest.map { .bool($0.isInstalled) }, "coming": .bool(item.isComing), "problem": item.problem.map(Value.string),
        ])
    }

    private static func value(_ file: LogFiles.File) -> Value {
        .object([
            "file": name(file.path), "standing": .string(file.standing.rawValue), "generation": file.generation.map { Value(Int($0)) },
            "first": file.before.map { Value($0.index.next.number) }, "last": file.last.map { Value($0.index.number) },
            "terms": file.terms.map { .list([Value($0.lowerBound), Value($0.upperBound)]) }, "entries": Value(file.entries),
            "bytes": Value(file.bytes), "used": Value(file.end), "problem": file.problem.map(Value.string),
        ])
    }
}
