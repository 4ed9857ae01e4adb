import Cluster
import Coordinator
import Primitives
import Raft
import Storage

/// What a node that starts on a data folder looks at besides its log: whose the folder is and who wrote it, with whom its cluster began, who
/// wrote the snapshot, and how far the history goes. Nothing is changed.
struct StartChecks {
    /// The node's data folder; nil where the folder `raft` stands alone, and only what is in that can be judged.
    let data: String?
    /// The folder `raft` in it.
    let raft: String
    let disk: ReadOnlyDisk

    /// Whose folder it is, and what the node refuses to begin with. Throws what only a newer program can read.
    func owner() throws(StorageError) -> [StorageError] {
        guard let data else { return [] }
        do throws(StorageError) {
            let identity = try DataFolder.readIdentity(at: data, featureLevel: CommandCodec.featureLevel, disk: disk)
            guard let identity else {
                return [.damaged(path: data + "/identity", offset: 0, reason: "it is missing, though the folder holds a log")]
            }
            guard try Founding.read(data, disk: disk) == nil, identity.isFounded else { return [] }
            return [
                .damaged(
                    path: data + "/founding", offset: 0,
                    reason:
                        "it is missing: without it this node would take itself for a cluster of its own; put it back, or begin with an empty folder (--join)"
                )
            ]
        } catch {
            guard case .damaged = error else { throw error }
            return [error]
        }
    }

    /// Throws when a newer program wrote the snapshot.
    func check(_ manifest: SnapshotStore.Manifest) throws(StorageError) {
        guard manifest.featureLevel > CommandCodec.featureLevel else { return }
        throw .newerFormat(
            path: raft + "/snapshots", found: "feature level \(manifest.featureLevel)", supported: Int(CommandCodec.featureLevel))
    }

    /// How far the history goes. It is written of what is committed: read before the log, it is never ahead of a log that is whole.
    func historyEnd() throws(StorageError) -> LogIndex {
        guard let data else { return .zero }
        return try HistoryFiles(disk: disk, folder: data + "/history").lastIndex()
    }

    /// A log that ends before something that it has given.
    func lostEnd(_ last: SegmentedLog.Position, history: LogIndex) -> StorageError? {
        history > last.index ? .gap(path: raft + "/log", expected: history, found: last.index) : nil
    }

    /// A term is on disk before its entries are: a vote of an older one is what is left of a newer one.
    func staleVote(_ vote: HardStateFile.Opening, _ last: SegmentedLog.Position) -> String? {
        guard case .intact(let own) = vote, own.term < last.term else { return nil }
        return "it is of term \(own.term), and the log has entries of term \(last.term)"
    }
}
