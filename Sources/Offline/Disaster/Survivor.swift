import Cluster
import Coordinator
package import Primitives
package import Raft
package import Storage

/// The data folder of a coordinator whose cluster may be gone: what it holds, found without changing anything. Its LOCK is held as long as
/// this lives.
package struct Survivor: Sendable {
    package let path: String
    package let identity: DataFolder.Identity
    /// The highest that it knows of, by its vote and by its log.
    package let term: Term
    /// The last entry that reads back.
    package let lastIndex: LogIndex
    package let lastTerm: Term
    /// Up to here entries were committed for certain: the snapshot and the history are made of such. More may have been.
    package let committed: LogIndex
    package let snapshot: LogIndex?
    /// Who belongs to the cluster: by the newest configuration in the log, else by the snapshot's, else by those with whom it began. Empty
    /// where the node joined and has nothing of the log yet.
    package let configuration: Configuration
    /// The node does not start without the file `founding`, and it is missing or damaged.
    package let lacksFounding: Bool
    /// What is wrong with it, a line for each thing.
    package let problems: [String]
    /// What it acknowledged once and does not have.
    package let loss: RecoveryRecord.Loss
    /// Whether it can be gone on with at all, be it with a loss.
    package let isUsable: Bool
    /// Of a recovery that was broken off, or of the last one.
    package let record: RecoveryRecord?
    private let claim: FolderClaim

    package var node: NodeID { identity.node }
    package var cluster: UUIDv7 { identity.cluster }
    /// Everybody else who belongs to the cluster.
    package var others: [NodeID] { configuration.members.filter { $0 != node } }
    package var isHalfRecovered: Bool { record.map { !$0.isFinished } ?? false }

    /// Takes the folder's lock and looks at everything.
    package init(_ path: String) throws(DisasterProblem) {
        let (disk, raft) = (ReadOnlyDisk(), path + "/raft")
        guard disk.exists(path) else { throw DisasterProblem(.usage, "\(path): there is no such folder, or it may not be looked into") }
        guard disk.exists(path + "/identity"), disk.exists(raft) else {
            // One that may not be looked into has nothing of all this either.
            if let denied = disk.denied(path) { throw DisasterProblem(denied) }
            throw DisasterProblem(.usage, "\(path) holds nothing of a coordinator: name the data folder of one (its --data)")
        }
        (self.path, claim) = (path, try DisasterProblem.telling { () throws(StorageError) in try FolderClaim(path) })
        let found = try DisasterProblem.telling { () throws(StorageError) in try Look(path, raft, disk) }
        (identity, problems, isUsable, record) = (found.identity, found.problems, found.isUsable, found.record)
        (lastIndex, lastTerm, term) = (found.last.index, found.last.term, max(found.last.term, found.voteTerm))
        (snapshot, committed) = (found.snapshot, found.committed)
        (configuration, lacksFounding) = (found.configuration, found.lacksFounding)
        // Whoever has nothing cannot tell how much there is.
        loss = found.configuration.isEmpty ? .uncounted : found.loss
    }

    /// Whether it has more of the cluster than another: later epochs, then Raft's own order of logs (section 5.4.1).
    package func isAhead(of other: Survivor) -> Bool {
        (identity.epoch, lastTerm, lastIndex) > (other.identity.epoch, other.lastTerm, other.lastIndex)
    }

    /// Whether it is its own cluster already.
    package var isAlone: Bool { configuration == Configuration(voters: [node]) }
}

/// One look at a folder, put together bit by bit.
private struct Look {
    let identity: DataFolder.Identity
    var problems: [String] = []
    var isUsable = true
    var record: RecoveryRecord?
    var snapshot: LogIndex?
    var last = SegmentedLog.Position.start
    var voteTerm = Term(0)
    var committed = LogIndex.zero
    var configuration = Configuration()
    var lacksFounding = false
    var loss = RecoveryRecord.Loss.none

    init(_ path: String, _ raft: String, _ disk: ReadOnlyDisk) throws(StorageError) {
        let level = CommandCodec.featureLevel
        guard let identity = try DataFolder.readIdentity(at: path, featureLevel: level, disk: disk) else {
            throw .damaged(path: path + "/identity", offset: 0, reason: "it is missing")
        }
        self.identity = identity
        do throws(StorageError) { record = try RecoveryRecord.read(path, disk: disk) } catch { try note(error) }
        try lookAtFounding(path, disk)
        let manifest = try lookAtSnapshot(raft, disk)
        guard isUsable else { return }
        try lookAtLog(raft, disk, manifest)
        try lookAtVote(raft, disk)
        try lookAtHistory(path, disk)
    }

    /// Damage is told of; another problem ends the look.
    private mutating func note(_ error: StorageError) throws(StorageError) {
        switch error {
        case .damaged(let path, let offset, let reason): problems.append("\(path): byte \(offset): \(reason)")
        case .gap(let path, let expected, let found):
            problems.append("\(path): the log should reach or go on at index \(expected), but what is there ends or begins at \(found)")
        default: throw error
        }
    }

    /// With whom it began: what holds until a snapshot or an entry of the log says otherwise, as for the node that starts.
    private mutating func lookAtFounding(_ path: String, _ disk: ReadOnlyDisk) throws(StorageError) {
        do throws(StorageError) {
            if let founding = try Founding.read(path, disk: disk) {
                configuration = Configuration(voters: founding.voters)
                return
            }
        } catch {
            lacksFounding = true
            return try note(error)
        }
        guard identity.isFounded else {
            configuration = Configuration(voters: [identity.node])
            return
        }
        lacksFounding = true
        problems.append("\(path)/founding: it is missing, and a node does not start without it; a recovery writes it anew")
    }

    private mutating func lookAtSnapshot(_ raft: String, _ disk: ReadOnlyDisk) throws(StorageError) -> SnapshotStore.Manifest? {
        let store = SnapshotStore(disk: disk, folder: raft + "/snapshots")
        do throws(StorageError) {
            guard let manifest = try store.newestManifest() else { return nil }
            try store.verify(manifest)
            let own = try RaftStorage.mark(manifest, folder: raft).configuration
            // A snapshot of a program that knew no configurations has none.
            if !own.isEmpty { configuration = own }
            (snapshot, committed) = (manifest.position.index, manifest.position.index)
            return manifest
        } catch {
            try note(error)
            // What it stood for is nowhere else in this folder.
            isUsable = false
            return nil
        }
    }

    private mutating func lookAtLog(_ raft: String, _ disk: ReadOnlyDisk, _ manifest: SnapshotStore.Manifest?) throws(StorageError) {
        let salvage = try LogSalvage(disk: disk, folder: raft + "/log", from: manifest)
        last = salvage.last
        for problem in salvage.problems { try note(problem) }
        if let (path, offset) = salvage.tornTail {
            problems.append("\(path): byte \(offset): a last group that is not whole; nobody was told of it, so it is no loss")
        }
        if salvage.isUncounted { loss = .uncounted } else { lost(through: salvage.mayHaveHeld) }
        let first = manifest?.position.index.next ?? LogIndex(1)
        guard first <= last.index else { return }
        _ = try LogFiles(disk: disk, folder: raft + "/log").entries(from: first, through: last.index) { entry throws(StorageError) in
            guard entry.kind == .configuration else { return }
            guard let found = Configuration(payload: entry.payload) else {
                throw .unreadable(index: entry.index, reason: "a configuration that it cannot read")
            }
            configuration = found
        }
    }

    private mutating func lookAtVote(_ raft: String, _ disk: ReadOnlyDisk) throws(StorageError) {
        let path = raft + "/vote"
        let bytes = try disk.contents(of: path)
        let hasLog = try disk.list(raft + "/log").contains { $0.hasSuffix(".log") }
        // Opening would make or fill such a file.
        if last.index > .zero || (bytes.map { $0.contains { $0 != 0 } } ?? hasLog) {
            let (file, opening) = try HardStateFile.open(disk: disk, path: path, hasLog: hasLog, hasEntries: last.index > .zero)
            file.close()
            switch opening {
            case .intact(let state): voteTerm = state.term
            case .fresh: break
            case .lost(let reason): problems.append("\(path): \(reason); a cluster of one needs no vote of before")
            }
        }
        guard let marker = try disk.contents(of: raft + "/recovering") else { return }
        let reason = String(decoding: marker.prefix(4096), as: UTF8.self)
        problems.append("\(raft)/recovering: what the node lost was not made good yet: \(reason)")
        // A vote that is lost is no entry; of a log that was lost, nothing here says how far it went.
        if !reason.hasPrefix("vote:") { loss = .uncounted }
    }

    private mutating func lookAtHistory(_ path: String, _ disk: ReadOnlyDisk) throws(StorageError) {
        let reached = try HistoryFiles(disk: disk, folder: path + "/history").lastIndex()
        if reached > last.index { problems.append("\(path)/history: it goes to entry \(reached), and the log ends at \(last.index)") }
        lost(through: reached)
        committed = min(max(committed, reached), last.index)
    }

    private mutating func lost(through index: LogIndex) {
        guard index > last.index else { return }
        let count = index.number - last.index.number
        switch loss {
        case .none: loss = .entries(count)
        case .entries(let known): loss = .entries(max(known, count))
        case .uncounted: break
        }
    }
}
