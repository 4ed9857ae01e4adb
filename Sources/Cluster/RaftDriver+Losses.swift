import Observability
import Primitives
import Raft
package import Storage
import Synchronization
import Transport

// What a data folder has lost (Decisions/LostVotes, RolledBackFolders). A server that is alone has nobody to learn it from again, and does not start. One among others
// comes back as one that may not trust itself: it neither votes nor counts until a leader that was elected without it says that it has everything.
extension RaftDriver {
    /// With whom this server is, as its files tell before its log is read.
    struct Company {
        /// The configuration of the newest snapshot; else the one that the cluster began with.
        var base: Configuration
        /// Members beside this server, when the directory was written down last.
        var others: [NodeID]
        /// Nobody could make good what it has lost.
        var isAlone: Bool
    }

    /// The newest snapshot that reads back, and with whom this server is. A damaged one is set aside where there are others, and the loss put on record before that: the
    /// log that is left does not reach back to its beginning, and so the server starts like one without a log, and is sent the leader's snapshot.
    func company(founders: [NodeID]) throws(StorageError) -> (Company, snapshot: (SnapshotStore.Manifest, [UInt8])?) {
        let others = (network?.directory.recordedMembers ?? []).filter { $0 != node }
        while true {
            // Whom it names, whether its bytes can be read or not.
            let claim = snapshots.newestClaim()
            let own = try claim.map { claim throws(StorageError) in try RaftStorage.mark(claim, folder: folder).configuration }
            // A snapshot of a program that knew no configurations has that of one server.
            let base = own.flatMap { $0.isEmpty ? nil : $0 } ?? Configuration(voters: founders)
            let company = Company(base: base, others: others, isAlone: base == Configuration(voters: [node]) && others.isEmpty)
            do throws(StorageError) { return (company, try snapshots.newest()) } catch {
                guard case .damaged(let path, let offset, let reason) = error, !company.isAlone else { throw error }
                try RaftStorage.record(
                    "snapshot: \(path) is damaged at byte \(offset): \(reason); it was set aside", folder: folder, disk: disk)
                let kept = try snapshots.setAsideNewest()
                // A folder that cannot be listed twice the same.
                guard !kept.isEmpty else { throw error }
            }
        }
    }

    /// A log is made when a server starts for the first time, and never goes again: that there is no file of it is a loss.
    func noteLostLog(_ company: Company, _ snapshot: SnapshotStore.Manifest?) throws(StorageError) {
        guard !(try disk.list(folder + "/log").contains { $0.hasSuffix(".log") }) else { return }
        let home = parentFolder(of: folder)
        guard try FolderID.hasBegun(home, disk: disk) || snapshot != nil else { return }
        guard !company.isAlone else {
            throw .gap(path: folder + "/log", expected: snapshot?.position.index ?? LogIndex(1), found: .zero)
        }
        try RaftStorage.record("log: no file of it is there, though this folder had one", folder: folder, disk: disk)
    }

    /// Why a log that reads back is not all that this server had; nil when nothing says so. Throws where the server is alone.
    func missing(
        _ company: Company, _ log: RaftLog, _ found: SegmentedLog.Recovery, _ mark: CommitMark?,
        _ accept: (SegmentedLog.Recovery) throws(StorageError) -> Void
    ) throws(StorageError) -> String? {
        let last = found.last.index
        do throws(StorageError) {
            try accept(found)
            // What is committed is not cut off any more, and it was on this disk when it was written down.
            if let mark, mark.index > last { throw .gap(path: folder + "/log", expected: mark.index, found: last) }
        } catch {
            guard !company.isAlone, case .gap(_, let expected, _) = error else { throw error }
            return "log: it ends at entry \(last), and entry \(expected) was committed here"
        }
        if let mark, mark.index > log.base, let term = log.term(at: mark.index), term != mark.term {
            guard !company.isAlone else {
                throw .damaged(
                    path: folder + "/log", offset: 0,
                    reason: "entry \(mark.index) is of term \(term), and the one that was committed here was of term \(mark.term)")
            }
            return "log: its entry \(mark.index) is not the one that was committed here"
        }
        // It would lead by itself, beside those who go on without it.
        guard company.base == Configuration(voters: [node]), !company.others.isEmpty,
            log.configurationIndex == log.base
        else { return nil }
        return "log: it names no other server, and \(company.others.map { "'\($0)'" }.joined(separator: ", ")) belonged to the cluster"
    }

    // MARK: What was committed

    /// Whether an entry is the committed one can be told from then on without the others.
    package var commitMark: CommitMark? {
        running.withLock { running in
            guard let core = running?.core else { return nil }
            let index = min(core.commitIndex, core.durableIndex)
            guard index > .zero, let term = core.log.term(at: index) else { return nil }
            return CommitMark(index: index, term: term)
        }
    }

    package func keep(_ mark: CommitMark) throws(StorageError) { try mark.write(folder, disk: disk) }

    /// As it was written down; nil when that was before the cluster was begun anew from this folder (`distric cluster recover`), which may have dropped the end of the log.
    func keptCommit() throws(StorageError) -> CommitMark? {
        guard let mark = CommitMark.read(folder, disk: disk) else { return nil }
        do throws(StorageError) {
            guard let anew = try RecoveryRecord.read(parentFolder(of: folder), disk: disk) else { return mark }
            return mark.term >= anew.term || mark.index <= anew.lastIndex ? mark : nil
        } catch {
            // It is a hint: nothing depends on it.
            guard case .damaged = error else { throw error }
            return nil
        }
    }

    // MARK: Telling

    /// The leader's word proves that this folder is an older copy of what it was.
    func tell(_ lost: RaftOutput.Lost) {
        let reason =
            "the leader has this node's word for all entries up to \(lost.acknowledged), and its log, which ends at \(lost.last), has not: the data folder is an older copy, or the disk has lost what it had synced"
        rollbacks.increment()
        events.distrusts(reason)
        telemetry.events.emit("raft.rolled_back", subject: node.text, severity: .error, "\(node) has gone back in time: \(reason)")
    }

    var rollbacks: Counter {
        telemetry.metrics.counter(
            "distric_raft_rolled_back_total", "Times that the leader knew of entries on this node's disk that are not there any more.")
    }
}
