/// A snapshot on its way in from a leader, chunk after chunk; what was durable when the transfer or the node stopped need not come again.
/// Owned by one thread at a time.
package final class IncomingSnapshot {
    package let manifest: SnapshotStore.Manifest
    /// The chunk that is wanted next; those before it have come.
    package private(set) var nextChunk: UInt32
    /// What has come.
    package private(set) var bytes: Int

    private let store: SnapshotStore
    private let syncBytes: Int
    private var durableBytes: Int
    /// Nil when nothing is to be written: the snapshot is here in full.
    private var file: (any DiskFile)?

    fileprivate init(_ store: SnapshotStore, _ progress: SnapshotStore.Progress, file: (any DiskFile)?, syncBytes: Int) {
        self.store = store
        self.file = file
        self.syncBytes = syncBytes
        manifest = progress.manifest
        nextChunk = progress.nextChunk
        bytes = progress.bytes
        durableBytes = progress.bytes
    }

    /// Whether all of it has come, and can be finished.
    package var isComplete: Bool { bytes == manifest.bytes }

    /// Takes the next chunk; one that came before, or comes too early, changes nothing.
    /// - Returns: the number of the chunk that is wanted now.
    @discardableResult
    package func receive(chunk number: UInt32, offset: Int, _ chunk: [UInt8]) throws(StorageError) -> UInt32 {
        guard let file, !isComplete, number == nextChunk, offset == bytes else { return nextChunk }
        guard chunk.count <= manifest.bytes - bytes, number < .max else {
            throw .damaged(
                path: file.path, offset: bytes, reason: "a chunk of \(chunk.count) bytes goes beyond the manifest's \(manifest.bytes)")
        }
        try file.write(chunk, at: bytes)
        bytes += chunk.count
        nextChunk += 1
        if isComplete || bytes - durableBytes >= syncBytes { try record() }
        return nextChunk
    }

    /// What has come is on disk before the file beside it says so.
    private func record() throws(StorageError) {
        try file?.sync()
        let progress = SnapshotStore.Progress(manifest: manifest, nextChunk: nextChunk, bytes: bytes)
        try store.disk.replace(store.path(manifest.position, ".progress"), with: progress.fileBytes)
        durableBytes = bytes
    }

    /// Verifies the whole, and makes it the newest snapshot: its manifest, which says that it was installed, is written last.
    ///
    /// Throws `.damaged` when something is missing, or the bytes are not what the manifest says: then they are dropped and must come again.
    package func finishReceiving() throws(StorageError) -> SnapshotStore.Manifest {
        defer { close() }
        if let known = try store.known(manifest.position) { return known }
        let (partial, state) = (store.path(manifest.position, ".partial"), store.path(manifest.position, ".state"))
        guard isComplete else { throw .damaged(path: partial, offset: bytes, reason: "\(bytes) of \(manifest.bytes) bytes have come") }
        if let file {
            do throws(StorageError) {
                try file.sync()
                try SnapshotStore.check(file, against: manifest)
            } catch {
                if case .damaged = error { try store.drop(manifest.position) }
                throw error
            }
            try store.disk.rename(partial, to: state)
            try store.disk.syncFolder(store.folder)
        } else {
            // The transfer before was cut off between the last two steps.
            do throws(StorageError) { try store.verify(manifest) } catch {
                if case .damaged = error {
                    try store.drop(manifest.position)
                    try store.disk.remove(state)
                }
                throw error
            }
        }
        try store.publish(manifest)
        try store.disk.remove(store.path(manifest.position, ".progress"))
        return manifest
    }

    /// Lets go; what is durable stays for the next time.
    package func close() {
        file?.close()
        file = nil
    }
}

extension SnapshotStore {
    /// How much of a snapshot is whole on disk.
    struct Progress: Equatable {
        var manifest: Manifest
        var nextChunk: UInt32
        var bytes: Int

        private static let seal = "progress-crc32c"

        init(manifest: Manifest, nextChunk: UInt32, bytes: Int) {
            self.manifest = manifest
            self.nextChunk = nextChunk
            self.bytes = bytes
        }

        init(reading text: [UInt8], path: String) throws(StorageError) {
            let text = try SealedText(reading: text, seal: Self.seal, path: path)
            manifest = try Manifest(text, path: path)
            guard let next = text["next-chunk"].flatMap({ UInt32($0) }), let bytes = text["whole-bytes"].flatMap({ Int($0) }),
                (0...manifest.bytes).contains(bytes)
            else { throw .damaged(path: path, offset: 0, reason: "its lines cannot be read") }
            nextChunk = next
            self.bytes = bytes
        }

        var fileBytes: [UInt8] {
            SealedText(manifest.lines + [("next-chunk", "\(nextChunk)"), ("whole-bytes", "\(bytes)")]).bytes(seal: Self.seal)
        }
    }

    /// Begins to receive a snapshot, or goes on where an earlier transfer of the same one was cut; what came of another is removed.
    ///
    /// Throws `.damaged` for a manifest that cannot be written.
    /// - Parameter syncBytes: what may come before it is made durable; so much must come again after a crash.
    package func receive(begin manifest: Manifest, syncBytes: Int = 1 << 20) throws(StorageError) -> IncomingSnapshot {
        var manifest = manifest
        manifest.isInstalled = true
        let partial = path(manifest.position, ".partial")
        guard manifest.isWritable else { throw .damaged(path: partial, offset: 0, reason: "its manifest says what no snapshot writes") }
        try disk.makeDurableFolder(folder)
        try removePartials(except: Self.stem(manifest.position))
        if try known(manifest.position) != nil {
            return IncomingSnapshot(self, whole(manifest), file: nil, syncBytes: syncBytes)
        }
        let progress = try progress(of: manifest)
        if let progress, !disk.exists(partial) { return IncomingSnapshot(self, progress, file: nil, syncBytes: syncBytes) }
        // An old word must not vouch for new bytes.
        if progress == nil { try drop(manifest.position) }
        let file = try disk.open(partial, create: true)
        try file.truncate(to: progress?.bytes ?? 0)
        return IncomingSnapshot(
            self, progress ?? Progress(manifest: manifest, nextChunk: 0, bytes: 0), file: file, syncBytes: syncBytes)
    }

    /// The first chunk that is not here yet of a snapshot that is offered: 0 unless a transfer of the same bytes was cut.
    package func resumeNumber(for manifest: Manifest) throws(StorageError) -> UInt32 {
        var manifest = manifest
        manifest.isInstalled = true
        return try progress(of: manifest)?.nextChunk ?? 0
    }

    private func whole(_ manifest: Manifest) -> Progress { Progress(manifest: manifest, nextChunk: 0, bytes: manifest.bytes) }

    /// Nil when nothing of just this snapshot is whole.
    private func progress(of manifest: Manifest) throws(StorageError) -> Progress? {
        let path = path(manifest.position, ".progress")
        guard let text = try disk.contents(of: path), let progress = try? Progress(reading: text, path: path), progress.manifest == manifest
        else { return nil }
        for suffix in [".partial", ".state"] {
            let candidate = self.path(manifest.position, suffix)
            guard disk.exists(candidate) else { continue }
            let file = try disk.open(candidate, create: false)
            defer { file.close() }
            let size = try file.size()
            // A state that bears its name already was cut off from its manifest.
            return (suffix == ".partial" ? size >= progress.bytes : size == manifest.bytes && progress.bytes == size) ? progress : nil
        }
        return nil
    }

    /// Removes what came of a snapshot.
    func drop(_ position: SegmentedLog.Position) throws(StorageError) {
        try disk.remove(path(position, ".progress"))
        try disk.syncFolder(folder)
        try disk.remove(path(position, ".partial"))
    }

    private func removePartials(except stem: String) throws(StorageError) {
        for name in try disk.list(folder) where !name.hasPrefix(stem + ".") {
            guard [".partial", ".progress", ".progress.tmp"].contains(where: { name.hasSuffix($0) }) else { continue }
            try disk.remove(folder + "/" + name)
        }
    }
}
