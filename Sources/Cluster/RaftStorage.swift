package import Primitives
package import Raft
package import Storage

/// What one server of a Raft group has on disk: `vote`, `log/`, `snapshots/`, and `recovering` while it may not trust its vote. Owned by one thread at a time.
package final class RaftStorage {
    /// What was found.
    package struct Opened: Sendable {
        package var hardState: HardState
        package var snapshot: SnapshotMark?
        package var manifest: SnapshotStore.Manifest?
        package var recovery: SegmentedLog.Recovery
        /// Why the server must neither vote nor count until its leader says so; nil when it may.
        package var distrust: String?
    }

    package let log: SegmentedLog
    package let votes: HardStateFile
    package let snapshots: SnapshotStore
    private let disk: any Disk
    private let folder: String
    private let chunkBytes: Int
    private var incoming: IncomingSnapshot?

    private init(disk: any Disk, folder: String, log: SegmentedLog, votes: HardStateFile, snapshots: SnapshotStore, chunkBytes: Int) {
        (self.disk, self.folder, self.log, self.votes, self.snapshots) = (disk, folder, log, votes, snapshots)
        self.chunkBytes = chunkBytes
    }

    /// - Parameters:
    ///   - repairing: what was acknowledged and is damaged is left out, to come from the other servers again; else it throws.
    ///   - joins: the server comes to a cluster that is there. Another one may have had its id, and the early part of the log may name it as a voter: it must not act on
    ///     that before it has the whole of it, and so is like one that has lost its log (Decisions/LostVotes).
    ///   - given: the store of the folder `snapshots` in it, where somebody else uses it too.
    ///   - visit: gets each entry after the snapshot.
    package static func open(
        disk: any Disk, folder: String, segmentBytes: Int, chunkBytes: Int, repairing: Bool, joins: Bool = false,
        snapshots given: SnapshotStore? = nil, visit: (LogEntry) throws(StorageError) -> Void
    ) throws(StorageError) -> (storage: RaftStorage, found: Opened) {
        try disk.makeDurableFolder(folder)
        let snapshots = given ?? SnapshotStore(disk: disk, folder: folder + "/snapshots")
        let manifest = try snapshots.newestManifest()
        let mark = try manifest.map { manifest throws(StorageError) in try Self.mark(manifest, folder: folder) }
        let hasLog = try disk.list(folder + "/log").contains { $0.hasSuffix(".log") }
        let isNew = !hasLog && manifest == nil
        // Before there is a log: a restart must not take it for an old one's.
        if isNew, joins { try record(newcomer, folder: folder, disk: disk) }
        // The vote's file is there before the log's are: a log without it has lost it.
        if isNew { try HardStateFile.open(disk: disk, path: folder + "/vote", hasLog: false, hasEntries: false).file.close() }
        let log = SegmentedLog(disk: disk, folder: folder + "/log", segmentBytes: segmentBytes)
        let recovery = try log.open(
            from: manifest?.position ?? .start, isInstalled: manifest?.isInstalled ?? false, repairing: repairing
        ) { record throws(StorageError) in try visit(record.entry) }
        let (votes, opening) = try HardStateFile.open(
            disk: disk, path: folder + "/vote", hasLog: hasLog, hasEntries: recovery.last.index > .zero)
        let storage = RaftStorage(
            disk: disk, folder: folder, log: log, votes: votes, snapshots: snapshots, chunkBytes: chunkBytes)
        var state = HardState(term: recovery.last.term, vote: nil)
        var loss = try storage.lossOnRecord()
        switch opening {
        // A term is on disk before its entries are: an older one is what is left of a newer one.
        case .intact(let own) where own.term < state.term:
            loss = "vote: it is of term \(own.term), and the log has entries of term \(state.term)"
        case .intact(let own): state = own
        case .fresh: break
        case .lost(let reason): loss = "vote: \(reason)"
        }
        // A vote is given by a server that has started, and so has a log.
        if !hasLog, case .intact(let own) = opening, own.term > Term(0) {
            loss = loss ?? "log: no file of it is there, though there is a vote"
        }
        // Compaction leaves the last file, whatever the snapshot.
        if !hasLog, manifest != nil { loss = loss ?? "log: no file of it is there, though there is a snapshot" }
        if let loss {
            guard repairing else { throw .damaged(path: folder, offset: 0, reason: loss) }
            try storage.record(loss)
        }
        let damage = recovery.damage.map { "\($0.path) is damaged at byte \($0.offset): \($0.reason)" }
        if !repairing, let found = recovery.damage { throw .damaged(path: found.path, offset: found.offset, reason: found.reason) }
        return (
            storage, Opened(hardState: state, snapshot: mark, manifest: manifest, recovery: recovery, distrust: loss ?? damage)
        )
    }

    /// Why a server that has just come does not trust itself.
    package static let newcomer = "log: this folder is new, and there may have been another one under this id"

    private static func marker(_ folder: String) -> String { folder + "/recovering" }
    private var marker: String { Self.marker(folder) }

    /// Of a start before this one.
    private func lossOnRecord() throws(StorageError) -> String? {
        try disk.contents(of: marker).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Before a new vote file is written: a restart must not forget it.
    private func record(_ loss: String) throws(StorageError) { try disk.replace(marker, with: Array(loss.utf8)) }

    /// For a loss of which whoever starts the server knows. Durable when it returns; a loss that is on record stays so.
    package static func record(_ loss: String, folder: String, disk: any Disk) throws(StorageError) {
        let known = try disk.contents(of: marker(folder)).map { String(decoding: $0, as: UTF8.self) }
        guard known?.contains(loss) != true else { return }
        // Of many losses the first ones say enough.
        let text = ([known, loss].compactMap(\.self).joined(separator: "; ")).prefix(2000)
        try disk.replace(marker(folder), with: Array(text.utf8))
    }

    /// The server has found out while it runs that it has lost something. Durable when it returns.
    package func distrust(_ loss: String) throws(StorageError) { try record(loss) }

    /// The leader said that the server has all of the log again, and the entries that say so are durable.
    package func trust() throws(StorageError) {
        try log.didRepair()
        guard disk.exists(marker) else { return }
        try disk.remove(marker)
        try disk.syncFolder(folder)
    }

    package static func mark(_ manifest: SnapshotStore.Manifest, folder: String) throws(StorageError) -> SnapshotMark {
        // Nothing was said of it before there was more than one server.
        let text = manifest.configuration
        guard let configuration = text.isEmpty ? Configuration() : Configuration(text) else {
            throw .damaged(path: folder + "/snapshots", offset: 0, reason: "a manifest's configuration '\(text)' cannot be read")
        }
        return SnapshotMark(
            index: manifest.position.index, term: manifest.position.term, chain: manifest.position.chain, configuration: configuration,
            bytes: UInt64(manifest.bytes), checksum: manifest.crc)
    }

    private func manifest(_ mark: SnapshotMark) -> SnapshotStore.Manifest {
        SnapshotStore.Manifest(
            position: .init(index: mark.index, term: mark.term, chain: mark.chain), digest: StateDigest(), featureLevel: 1,
            bytes: Int(clamping: mark.bytes), crc: mark.checksum, configuration: mark.configuration.description, isInstalled: true)
    }

    // MARK: Writing

    /// A core's write as the log's thread does it; chunks of snapshots go another way (`receive`), and before it.
    package func operations(of write: RaftOutput.Write) -> [LogThread.Operation] {
        var operations: [LogThread.Operation] = []
        if let state = write.hardState { operations.append(.hardState(state)) }
        if let mark = write.install { operations.append(.reset(to: .init(index: mark.index, term: mark.term, chain: mark.chain))) }
        if let index = write.truncateAfter { operations.append(.truncate(after: index)) }
        if !write.entries.isEmpty { operations.append(.append(write.entries)) }
        if let index = write.compactThrough { operations.append(.compact(through: index)) }
        return operations
    }

    // MARK: Snapshots

    /// Writes the state machine's snapshot; it is durable when it returns.
    package func save(index: LogIndex, term: Term, configuration: Configuration, pieces: () -> [UInt8]?) throws(StorageError)
        -> SnapshotMark
    {
        let chain = try log.position(at: index)?.chain ?? 0
        let written = try snapshots.write(
            SnapshotStore.Manifest(
                position: .init(index: index, term: term, chain: chain), digest: StateDigest(), featureLevel: 1,
                configuration: configuration.description), next: pieces)
        return try Self.mark(written, folder: folder)
    }

    /// One chunk of a snapshot that is sent.
    package func chunk(_ number: UInt32, of mark: SnapshotMark) throws(StorageError) -> [UInt8] {
        try snapshots.read(manifest(mark), offset: Int(number) * chunkBytes, count: chunkBytes)
    }

    /// Where a snapshot that is coming goes on.
    package func resume(_ mark: SnapshotMark) throws(StorageError) -> UInt32 {
        incoming?.close()
        let coming = try snapshots.receive(begin: manifest(mark), syncBytes: min(1 << 20, 4 * chunkBytes))
        incoming = coming
        return coming.isComplete ? 0 : coming.nextChunk
    }

    /// Takes a chunk. Nil while more are to come, else whether the whole is what it should be.
    package func receive(_ chunk: RaftMessage.SnapshotChunk) throws(StorageError) -> Bool? {
        if incoming?.manifest != manifest(chunk.snapshot) { _ = try resume(chunk.snapshot) }
        guard let coming = incoming else { return nil }
        try coming.receive(chunk: chunk.chunk, offset: Int(chunk.chunk) * chunkBytes, chunk.data)
        guard coming.isComplete else { return nil }
        incoming = nil
        do throws(StorageError) {
            _ = try coming.finishReceiving()
            return true
        } catch {
            guard case .damaged = error else { throw error }
            return false
        }
    }

    package func close() {
        incoming?.close()
        log.close()
        votes.close()
    }
}
