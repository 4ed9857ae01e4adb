package import Observability
package import Primitives
package import Storage
package import Wire

/// One replica's state: a snapshot, then every committed entry in order, by the same `apply` that the leader used. What an entry takes out of
/// the state goes to the history with it. Used where a node starts and where it follows; confined to one thread.
///
/// A replica that cannot apply an entry stands still for good, before that entry: one that skipped it would have a state of its own.
package final class ReplicaApplier {
    /// What the next entry is applied to. A leader hands back what is committed when it follows again.
    package var state: CoordinatorState
    /// Where the snapshot stood that the state began with; zero when there was none.
    package private(set) var snapshotIndex = LogIndex.zero
    /// Why no entry is applied any more.
    package private(set) var standstill: Standstill?
    private let dedup: DedupWindow
    private let history: HistoryStore?

    /// - Parameter history: gets what leaves the state; nil leaves it to the caller.
    package init(cluster: UUIDv7, dedup: DedupWindow, history: HistoryStore?) {
        state = CoordinatorState(cluster: cluster, dedup: dedup)
        self.dedup = dedup
        self.history = history
    }

    /// Takes a snapshot in place of the state.
    package func restore(_ bytes: [UInt8], at index: LogIndex) throws(StorageError) {
        if let standstill { throw standstill.storageError }
        let read: CoordinatorState
        do throws(WireError) {
            let found = try StateCodec.decode(bytes, dedup: dedup)
            guard found.applied == index else {
                throw WireError.badValue(tag: 3, reason: "the snapshot is of index \(found.applied), not of \(index)", at: 0)
            }
            read = found
        } catch {
            try stop(.snapshot(index, error))
        }
        guard read.cluster == state.cluster else { try stop(.otherCluster(index, found: read.cluster, own: state.cluster)) }
        state = read
        snapshotIndex = index
    }

    /// Applies the next committed entry and keeps its history, which is on disk only after `HistoryStore.flush`. When it throws, now and ever
    /// after, `standstill` says why, and the state is the one before the entry (except when it is the history that failed: then it is not to be
    /// kept).
    @discardableResult
    package func apply(_ entry: LogEntry) throws(StorageError) -> Applied {
        var applied = Applied()
        try apply(entry.index, entry.term, Self.decode(entry), into: &applied)
        return applied
    }

    /// As above, where somebody has decoded the entry before; what it gave takes the place of what an earlier one did.
    func apply(_ index: LogIndex, _ term: Term, _ decoded: Decoded, into applied: inout Applied) throws(StorageError) {
        if let standstill { throw standstill.storageError }
        applied.clear()
        switch decoded {
        case .nothing: state.begin(index, term: term, time: state.time)
        case .commands(let time, let commands):
            applied.keepsHistory = history.map { index > $0.settledThrough } ?? true
            try apply(index, term, time, commands, &applied)
        case .unreadable(let error, let level): try stop(.unreadable(index, error, level: level))
        }
    }

    private func apply(
        _ index: LogIndex, _ term: Term, _ time: ClusterTime, _ commands: [Command], _ applied: inout Applied
    ) throws(StorageError) {
        // A copy makes what follows dearer: only where it may be wanted.
        let before = commands.contains { if case .digest = $0 { true } else { false } } ? state : nil
        state.begin(index, term: term, time: time)
        do throws(DigestMismatch) {
            for command in commands { try state.apply(command, into: &applied) }
        } catch {
            if let before { state = before }
            try stop(.diverged(error))
        }
        guard let history else { return }
        do throws(StorageError) { try history.append(applied.history, index: index, time: state.time) } catch {
            try stop(.history(index, error))
        }
    }

    /// What an entry holds.
    enum Decoded: Sendable {
        /// One that is Raft's own.
        case nothing
        case commands(ClusterTime, [Command])
        /// - level: that it asks for, where that much can be read.
        case unreadable(WireError, level: UInt16?)
    }

    /// On any thread.
    static func decode(_ entry: LogEntry) -> Decoded {
        guard entry.kind == .commands else { return .nothing }
        do throws(WireError) {
            let (time, commands) = try CommandCodec.decode(entry.payload)
            return .commands(time, commands)
        } catch {
            return .unreadable(error, level: try? LogEnvelope.head(of: entry.payload).featureLevel)
        }
    }

    private func stop(_ reason: Standstill) throws(StorageError) -> Never {
        standstill = reason
        throw reason.storageError
    }
}

extension ReplicaApplier {
    /// Why a replica applies no more.
    package enum Standstill: Equatable, Sendable {
        /// Its state is not the leader's: memory, the disk or the program has failed.
        case diverged(DigestMismatch)
        /// An entry that this program cannot read, with the feature level that it asks for.
        case unreadable(LogIndex, WireError, level: UInt16?)
        case snapshot(LogIndex, WireError)
        /// Its bytes are whole, and the folder says that it is of another cluster.
        case otherCluster(LogIndex, found: UUIDv7, own: UUIDv7)
        /// The history did not take what the entry gave.
        case history(LogIndex, StorageError)
    }
}

extension ReplicaApplier.Standstill: CustomStringConvertible {
    /// What is wrong, and what to do.
    package var description: String {
        switch self {
        case .diverged(let mismatch):
            "\(mismatch): start the node again, it builds its state anew; when it stops at the same index, remove it from the cluster and let a node with an empty folder join in its place"
        case .unreadable(let index, let error, let level):
            "log entry \(index) cannot be applied, and nothing after it: \(error)\(Self.needs(error, level)): start the node with a newer distric"
        case .snapshot(let index, let error):
            "the snapshot at index \(index) cannot be read: \(error): start the node with a newer distric, or with an empty folder"
        case .otherCluster(let index, let found, let own):
            "the snapshot at index \(index) is of cluster \(found), and the file identity beside it of cluster \(own): files of two folders were mixed. Put back the identity that was there (the cluster's id is the one of the snapshot). \(StorageError.wayBack)"
        case .history(let index, let error): "the history of log entry \(index) cannot be kept: \(error)"
        }
    }

    /// What the error itself does not say.
    private static func needs(_ error: WireError, _ level: UInt16?) -> String {
        if case .unsupportedFeatureLevel = error { return "" }
        return level.map { " (an entry of feature level \($0); this program has \(CommandCodec.featureLevel))" } ?? ""
    }

    /// As the log's own errors are told.
    package var storageError: StorageError {
        switch self {
        case .diverged(let mismatch): .unreadable(index: mismatch.index, reason: mismatch.description)
        case .unreadable(let index, let error, let level): .unreadable(index: index, reason: "\(error)\(Self.needs(error, level))")
        case .snapshot(let index, let error): .unreadable(index: index, reason: "snapshot: \(error)")
        case .otherCluster: .mixed(reason: description)
        case .history(_, let error): error
        }
    }

    /// Tells of it once, and puts the node out of service: it takes nothing in any more, and what it answers is as old as its last entry.
    package func announce(_ telemetry: Telemetry) {
        let kind =
            switch self {
            case .diverged: "raft.digest_mismatch"
            case .unreadable, .snapshot, .otherCluster: "raft.unreadable"
            case .history: "storage.failed"
            }
        guard telemetry.health.set("replica", .down, reason: description) else { return }
        telemetry.events.emit(kind, subject: telemetry.node.text, severity: .error, description)
    }
}
