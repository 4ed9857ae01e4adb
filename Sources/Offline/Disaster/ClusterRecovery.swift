import Cluster
import Coordinator
package import Primitives
import Raft
package import Storage

/// Begins a cluster again from one of the folders that are left of it, when the majority is gone for good: that node becomes a cluster of
/// its own, of the next epoch.
///
/// In this order: `recovered` says what is about to be done; `identity` gets the new epoch, from when on nobody of the old one is listened
/// to; the
/// vote is written for a term above all; an entry of that term says that the node alone belongs to the cluster; `recovered` says that it
/// is done. Broken off anywhere, the folder is as it was, or of a cluster of which nobody else is and which has no majority: then a second
/// recovery goes on where the first one stopped.
package struct ClusterRecovery: Sendable {
    /// What is lost may have gone on by terms that nobody here knows of, and given out work in them: what is given out from here on must
    /// not bear the same.
    private static let termGap: UInt64 = 1000

    package let survivors: [Survivor]

    /// Takes every folder's lock, and looks at all of them.
    package init(folders: [String]) throws(DisasterProblem) {
        var found: [Survivor] = []
        for folder in folders {
            let survivor = try Survivor(folder)
            if let other = found.first(where: { $0.identity.cluster != survivor.identity.cluster }) {
                throw DisasterProblem(
                    .usage,
                    "\(other.path) is of cluster \(other.identity.cluster), \(folder) of \(survivor.identity.cluster): name the folders of one cluster"
                )
            }
            if let other = found.first(where: { $0.node == survivor.node }) {
                throw DisasterProblem(
                    .usage, "\(other.path) and \(folder) are both of node \(survivor.node): name the one that it ran on last")
            }
            found.append(survivor)
        }
        precondition(!found.isEmpty, "no folder")
        survivors = found
    }

    package var mostAdvanced: Survivor {
        survivors.dropFirst().reduce(survivors[0]) { best, next in next.isUsable && (!best.isUsable || next.isAhead(of: best)) ? next : best
        }
    }

    /// Whether those that are here are a majority by the newest configuration among them: then nothing has to be recovered.
    package var hasQuorum: Bool {
        let best = mostAdvanced
        return !best.isAlone
            && best.configuration.hasQuorum { node in
                survivors.contains {
                    $0.node == node && $0.identity.epoch == best.identity.epoch && $0.isUsable && $0.loss == .none
                }
            }
    }

    /// Who belongs to the cluster, and whose folder is not here: what they have acknowledged without the others, nobody here can tell.
    package var absent: [NodeID] {
        let best = mostAdvanced
        return best.configuration.members.filter { node in !survivors.contains { $0.node == node } }
    }

    /// Whether so many voters are not here that they can have acknowledged something by themselves.
    package var mayLackMore: Bool {
        let (configuration, absent) = (mostAdvanced.configuration, absent)
        return configuration.isEmpty || configuration.hasQuorum { absent.contains($0) }
    }

    /// The folder that is to go on.
    ///
    /// - Parameter node: nil when there is only one.
    package func chosen(_ node: NodeID?) throws(DisasterProblem) -> Survivor {
        guard let node else {
            guard survivors.count == 1 else {
                throw DisasterProblem(
                    .usage, "one of them is to go on: --from says which; --from \(mostAdvanced.node) has the most")
            }
            return survivors[0]
        }
        guard let survivor = survivors.first(where: { $0.node == node }) else {
            throw DisasterProblem(
                .usage, "no folder of node \(node) was given; there are those of \(survivors.map(\.node.text).joined(separator: ", "))")
        }
        return survivor
    }

    /// What was acknowledged and will be gone when it goes on from there: what that folder has lost, or lacks of what another has.
    package func loss(from survivor: Survivor) -> RecoveryRecord.Loss {
        let best = mostAdvanced
        guard best.isAhead(of: survivor) else { return survivor.loss }
        switch survivor.loss {
        case .uncounted: return .uncounted
        case .none, .entries:
            let held = max(best.lastIndex.number, survivor.lastIndex.number)
            var missing = held - survivor.lastIndex.number
            if case .entries(let own) = survivor.loss { missing = max(missing, own) }
            // Another history of the same length: what differs is not known.
            return missing == 0 ? .uncounted : .entries(missing)
        }
    }

    /// Throws when the folder cannot go on, or would lose something and nobody said that this is accepted.
    package func check(_ survivor: Survivor, acceptsLoss: Bool) throws(DisasterProblem) {
        guard survivor.isUsable else {
            throw DisasterProblem(
                .damaged,
                "the snapshot in \(survivor.path) is damaged, and what it stood for is nowhere else there: recover from another folder, or begin again from a backup with 'distric backup restore'"
            )
        }
        if let newer = survivors.first(where: { $0.identity.epoch > survivor.identity.epoch }) {
            throw DisasterProblem(
                .refused,
                "\(survivor.node) is of epoch \(survivor.identity.epoch), and \(newer.node) of \(newer.identity.epoch): the cluster went on without it; recover from \(newer.node), remove \(survivor.path) and let it join"
            )
        }
        let words: String
        switch loss(from: survivor) {
        case .none: return
        case .entries(1): words = "1 entry that may have been acknowledged is"
        case .entries(let count): words = "\(count) entries that may have been acknowledged are"
        case .uncounted: words = "entries that may have been acknowledged are, nobody knows how many,"
        }
        guard !acceptsLoss else { return }
        let other = mostAdvanced.isAhead(of: survivor) ? "--from \(mostAdvanced.node) loses less; " : ""
        throw DisasterProblem(
            .refused,
            "\(words) lost when \(survivor.node) goes on after entry \(survivor.lastIndex): \(other)--accept-loss says that this is meant; nothing was changed"
        )
    }

    // MARK: Doing it

    /// Makes the folder a cluster of its own. The caller has checked it.
    ///
    /// - Parameter now: the time for the record.
    package func recover(
        _ survivor: Survivor, now: ClusterTime, disk: any Disk = FileDisk(), segmentBytes: Int = 16 << 20
    ) throws(DisasterProblem) -> Outcome {
        var record = plan(survivor, now)
        return try DisasterProblem.telling { () throws(StorageError) in
            try record.write(to: survivor.path, disk: disk)
            var identity = survivor.identity
            identity.epoch = record.epoch
            try DataFolder.write(identity, at: survivor.path, disk: disk)
            if survivor.lacksFounding {
                let voters = survivor.configuration.voters
                try Founding(cluster: identity.cluster, voters: voters, epoch: survivor.identity.epoch).write(survivor.path, disk: disk)
            }
            // The history must never be ahead of the log.
            let dropped = try HistoryFiles(disk: disk, folder: survivor.path + "/history").drop(after: survivor.lastIndex)
            try rewrite(survivor, record, disk, segmentBytes)
            record.isFinished = true
            try record.write(to: survivor.path, disk: disk)
            return Outcome(record: record, historyDropped: dropped)
        }
    }

    /// What one that was broken off was about, or a new one.
    private func plan(_ survivor: Survivor, _ now: ClusterTime) -> RecoveryRecord {
        let highest = survivors.reduce(Term(0)) { max($0, $1.term) }
        if let record = survivor.record, !record.isFinished, record.node == survivor.node, record.cluster == survivor.identity.cluster,
            [record.epochBefore, record.epoch].contains(survivor.identity.epoch), record.term >= highest
        {
            return record
        }
        return RecoveryRecord(
            node: survivor.node, cluster: survivor.identity.cluster, epochBefore: survivor.identity.epoch,
            epoch: Self.epoch(after: survivor, now), at: now, lastIndex: survivor.lastIndex, lastTerm: survivor.lastTerm,
            term: Term(highest.number + Self.termGap), configurationBefore: survivor.configuration.description, loss: loss(from: survivor))
    }

    private func rewrite(
        _ survivor: Survivor, _ record: RecoveryRecord, _ disk: any Disk, _ segmentBytes: Int
    ) throws(StorageError) {
        let folder = survivor.path + "/raft"
        let (storage, found) = try RaftStorage.open(
            disk: disk, folder: folder, segmentBytes: segmentBytes, chunkBytes: RaftSettings().chunkBytes, repairing: true
        ) { _ in }
        defer { storage.close() }
        let last = found.recovery.last
        guard last.index == survivor.lastIndex, last.term == survivor.lastTerm else {
            throw .gap(path: folder + "/log", expected: survivor.lastIndex, found: last.index)
        }
        // A term is on disk before its entries are.
        try storage.votes.persist(HardState(term: record.term, vote: survivor.node))
        if last.term < record.term {
            let alone = Configuration(voters: [survivor.node])
            try storage.log.append([
                LogEntry(index: last.index.next, term: record.term, kind: .configuration, payload: alone.payload)
            ])
        }
        try storage.log.sync()
        try storage.log.mark()
        // Nobody is left who could make good what was lost, or was ever told of the vote.
        try storage.trust()
    }

    /// Another one for each survivor and time: two that were recovered apart are not one cluster, and must not take each other for it.
    private static func epoch(after survivor: Survivor, _ now: ClusterTime) -> UInt64 {
        let salt = "\(survivor.node) \(now.milliseconds)".utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01B3
        }
        return survivor.identity.epoch + 1 + salt % 1_000_000
    }
}
