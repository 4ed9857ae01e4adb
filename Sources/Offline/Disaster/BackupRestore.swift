import Coordinator
package import Primitives
import Raft
package import Storage

/// Makes a data folder of a backup: a cluster of its own under a new id, whose timers wait until an operator lets them go.
///
/// `identity` is written last: a folder without it is refused by every node, so one that was broken off never passes for one that is whole.
package struct BackupRestore: Sendable {
    private let backup: BackupFile
    private let disk: any Disk
    private let segmentBytes: Int

    package init(_ backup: BackupFile, disk: any Disk = FileDisk(), segmentBytes: Int = 16 << 20) {
        self.backup = backup
        self.disk = disk
        self.segmentBytes = segmentBytes
    }

    /// What came of it.
    package struct Made: Equatable, Sendable {
        package var node: NodeID
        /// The new one.
        package var cluster: UUIDv7
        package var backup: BackupFile.Verdict
        /// Of the history.
        package var records: Int

        /// For programs.
        package var value: Value {
            [
                "cluster": .string(cluster.description), "node": .string(node.text), "records": Value(records), "backup": backup.value,
            ]
        }
    }

    /// Reads all of the backup before it writes anything.
    ///
    /// - Parameter folder: empty, or not there.
    package func run(into folder: String, node: NodeID, cluster: UUIDv7, now: ClusterTime) throws(DisasterProblem) -> Made {
        try refuseFull(folder)
        let (verdict, state) = try backup.whole()
        let claim = try DisasterProblem.telling { () throws(StorageError) in
            try disk.makeDurableFolder(folder)
            return try FolderClaim(folder)
        }
        defer { withExtendedLifetime(claim) {} }
        // Whoever had it until now may have left something.
        try refuseFull(folder)
        let identity = DataFolder.Identity(node: node, cluster: cluster, featureLevel: CommandCodec.featureLevel)
        try DisasterProblem.telling { () throws(StorageError) in
            let text =
                "restored from cluster \(verdict.cluster) at index \(verdict.index), which node \(verdict.node) backed up at \(verdict.time.rfc3339)\n"
            // With it and without an identity nobody takes the folder for an empty one.
            try disk.makeDurableFolder(folder + "/raft")
            try disk.replace(folder + "/restored", with: Array((text + "at \(now.rfc3339), as cluster \(cluster)\n").utf8))
            try TimersHold.set(folder, reason: "restored from a backup: 'distric cluster resume' lets timers go", disk: disk)
            try writeVote(folder, verdict.term)
            try writeLog(folder, verdict)
        }
        let records = try writeHistory(folder, verdict)
        return try DisasterProblem.telling { () throws(StorageError) in
            try writeSnapshot(state.moved(to: cluster), folder, node)
            try DataFolder.write(identity, at: folder, disk: disk)
            return Made(node: node, cluster: cluster, backup: verdict, records: records)
        }
    }

    private func refuseFull(_ folder: String) throws(DisasterProblem) {
        guard disk.exists(folder) else { return }
        let names = try DisasterProblem.telling { () throws(StorageError) in try disk.list(folder) }
        let found = names.filter { $0 != "LOCK" && $0 != "lost+found" }
        guard !found.isEmpty else { return }
        if found.contains("restored"), !found.contains("identity") {
            throw DisasterProblem(
                .refused, "\(folder) holds the beginning of a restore that was broken off: remove the folder, and restore again")
        }
        throw DisasterProblem(
            .refused,
            "\(folder) is not empty (\(found.prefix(3).joined(separator: ", "))): a restore makes a new cluster and takes the place of none; stop the node that uses the folder and move the folder away, or choose another --data"
        )
    }

    private func writeVote(_ folder: String, _ term: Term) throws(StorageError) {
        let votes = try HardStateFile.open(disk: disk, path: folder + "/raft/vote", hasLog: false, hasEntries: false).file
        defer { votes.close() }
        try votes.persist(HardState(term: term, vote: nil))
    }

    /// Empty, and goes on after the snapshot.
    private func writeLog(_ folder: String, _ verdict: BackupFile.Verdict) throws(StorageError) {
        let log = SegmentedLog(disk: disk, folder: folder + "/raft/log", segmentBytes: segmentBytes)
        defer { log.close() }
        _ = try log.open(from: position(verdict.index, verdict.term), isInstalled: true) { _ in }
    }

    /// The chain is the old log's, which nobody has here.
    private func position(_ index: LogIndex, _ term: Term) -> SegmentedLog.Position { .init(index: index, term: term, chain: 0) }

    private func writeHistory(_ folder: String, _ verdict: BackupFile.Verdict) throws(DisasterProblem) -> Int {
        guard verdict.historyBytes != nil else { return 0 }
        let writer = try DisasterProblem.telling { () throws(StorageError) in
            try HistoryWriter(disk: disk, folder: folder + "/history", segmentBytes: segmentBytes)
        }
        _ = try backup.read { part, _ throws(BackupProblem) in
            guard case .history(let records) = part else { return }
            do throws(StorageError) { try writer.append(records) } catch { throw .storage(error) }
        }
        try DisasterProblem.telling { () throws(StorageError) in try writer.finish() }
        return writer.count
    }

    private func writeSnapshot(_ state: CoordinatorState, _ folder: String, _ node: NodeID) throws(StorageError) {
        let manifest = SnapshotStore.Manifest(
            position: position(state.applied, state.appliedTerm), digest: state.digest, featureLevel: CommandCodec.featureLevel,
            configuration: Configuration(voters: [node]).description, isInstalled: true)
        let pieces = StateCodec.pieces(of: state)
        _ = try SnapshotStore(disk: disk, folder: folder + "/raft/snapshots").write(manifest) { pieces() }
    }
}
