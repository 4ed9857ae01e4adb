import Primitives
import Synchronization

/// Snapshots of the state machine: `<index>-<term>.state`, and a manifest that is written last, so that a snapshot without one does not
/// exist. What was damaged stays beside, renamed to `.damaged`.
///
/// One on its way in is `<index>-<term>.partial`, and beside it `.progress` says how much of it is whole.
package final class SnapshotStore: Sendable {
    static let pieceBytes = 1 << 20

    let disk: any Disk
    let folder: String
    /// Snapshots that are being sent.
    private let held = Mutex<[SegmentedLog.Position]>([])

    package init(disk: any Disk, folder: String) {
        self.disk = disk
        self.folder = folder
    }

    /// Writes a snapshot from the pieces that `next` returns until nil, then its manifest, then removes the ones before it.
    package func write(_ manifest: Manifest, next: () -> [UInt8]?) throws(StorageError) -> Manifest {
        precondition(manifest.isWritable, "a manifest of \(manifest.bytes) bytes at \(manifest.position.index): \(manifest.configuration)")
        try disk.makeDurableFolder(folder)
        // The same snapshot again must not touch the files that a durable manifest points to.
        if let known = try known(manifest.position) {
            try verify(known)
            try disk.syncFolder(folder)
            return known
        }
        let file = try disk.open(path(manifest.position, ".state"), create: true)
        defer { file.close() }
        try file.truncate(to: 0)
        var written = manifest
        (written.bytes, written.crc) = (0, 0)
        while let piece = next() {
            try file.write(piece, at: written.bytes)
            written.bytes += piece.count
            written.crc = checksum(piece, seed: written.crc)
        }
        try file.sync()
        // Its name, before the manifest says that it exists.
        try disk.syncFolder(folder)
        try publish(written)
        return written
    }

    /// From here on the snapshot exists, and those before it need not.
    func publish(_ manifest: Manifest) throws(StorageError) {
        try disk.replace(path(manifest.position, ".manifest"), with: manifest.fileBytes)
        try removeOlder(than: Self.stem(manifest.position))
    }

    /// The newest snapshot and its bytes; nil when there is none. One whose bytes do not match its manifest is damage.
    package func newest() throws(StorageError) -> (Manifest, [UInt8])? {
        guard let manifest = try newestManifest() else { return nil }
        let path = path(manifest.position, ".state")
        let bytes = try disk.contents(of: path) ?? []
        guard checksum(bytes) == manifest.crc else {
            throw .damaged(path: path, offset: 0, reason: "checksum differs from its manifest's")
        }
        return (manifest, bytes)
    }

    /// The newest snapshot's manifest; nil when there is none. That its state is there in full length is checked, its bytes are not.
    package func newestManifest() throws(StorageError) -> Manifest? {
        guard let name = try disk.list(folder).last(where: { $0.hasSuffix(".manifest") }) else { return nil }
        // Whoever builds on it must find it again, also when whoever wrote it fell before its name was durable.
        try disk.syncFolder(folder)
        let manifest = try Manifest(reading: try disk.contents(of: folder + "/" + name) ?? [], path: folder + "/" + name)
        try openState(of: manifest, at: folder + "/" + name.dropLast(".manifest".count) + ".state").close()
        return manifest
    }

    /// A part of a snapshot's bytes, to be sent. Throws `.io` with ENOENT when a newer one has taken its place: `hold` it meanwhile.
    package func read(_ manifest: Manifest, offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        guard offset >= 0, offset < manifest.bytes, count > 0 else { return [] }
        let file = try disk.open(path(manifest.position, ".state"), create: false)
        defer { file.close() }
        let wanted = min(count, manifest.bytes - offset)
        let bytes = try file.read(at: offset, count: wanted)
        guard bytes.count == wanted else {
            throw .damaged(
                path: file.path, offset: offset + bytes.count, reason: "it ends before the \(manifest.bytes) bytes of its manifest")
        }
        return bytes
    }

    /// Reads all of a snapshot, a piece at a time. Throws `.damaged` when it is not what its manifest says.
    package func verify(_ manifest: Manifest) throws(StorageError) {
        let file = try openState(of: manifest, at: path(manifest.position, ".state"))
        defer { file.close() }
        try Self.check(file, against: manifest)
    }

    static func check(_ file: any DiskFile, against manifest: Manifest) throws(StorageError) {
        var (offset, crc) = (0, UInt32(0))
        while offset < manifest.bytes {
            let piece = try file.read(at: offset, count: min(pieceBytes, manifest.bytes - offset))
            guard !piece.isEmpty else { break }
            crc = checksum(piece, seed: crc)
            offset += piece.count
        }
        guard offset == manifest.bytes, crc == manifest.crc else {
            throw .damaged(path: file.path, offset: 0, reason: "checksum differs from its manifest's")
        }
    }

    /// A snapshot that is being sent stays when a newer one is written.
    package func hold(_ position: SegmentedLog.Position) { held.withLock { $0.append(position) } }

    /// Ends one `hold`.
    package func release(_ position: SegmentedLog.Position) throws(StorageError) {
        held.withLock { held in
            if let place = held.firstIndex(of: position) { held.remove(at: place) }
        }
        if let newest = try newestManifest() { try removeOlder(than: Self.stem(newest.position)) }
    }

    /// The manifest of a snapshot that exists already.
    func known(_ position: SegmentedLog.Position) throws(StorageError) -> Manifest? {
        let path = path(position, ".manifest")
        guard let bytes = try disk.contents(of: path) else { return nil }
        return try Manifest(reading: bytes, path: path)
    }

    private func openState(of manifest: Manifest, at path: String) throws(StorageError) -> any DiskFile {
        guard disk.exists(path) else { throw .damaged(path: path, offset: 0, reason: "the file is missing") }
        let file = try disk.open(path, create: false)
        let size = try file.size()
        guard size == manifest.bytes else {
            file.close()
            throw .damaged(
                path: path, offset: min(size, manifest.bytes), reason: "\(size) bytes where its manifest says \(manifest.bytes)")
        }
        return file
    }

    /// Removes the snapshots before one, save those that are held, and what else lies there; a later one, whole or on its way in, stays.
    private func removeOlder(than stem: String) throws(StorageError) {
        let kept = held.withLock { $0.map { Self.stem($0) } }
        for name in try disk.list(folder) where !name.hasSuffix(Self.damagedSuffix) {
            let own = String(name.prefix(stem.utf8.count))
            let isSnapshot = own.utf8.count == stem.utf8.count && own.utf8.allSatisfy { $0 == UInt8(ascii: "-") || (48...57).contains($0) }
            if isSnapshot, own >= stem || kept.contains(own) { continue }
            try disk.remove(folder + "/" + name)
        }
        try disk.syncFolder(folder)
    }

    func path(_ position: SegmentedLog.Position, _ suffix: String) -> String { folder + "/" + Self.stem(position) + suffix }

    static func stem(_ position: SegmentedLog.Position) -> String {
        func padded(_ number: UInt64) -> String { String(repeating: "0", count: 20 - String(number).utf8.count) + String(number) }
        return padded(position.index.number) + "-" + padded(position.term.number)
    }
}
