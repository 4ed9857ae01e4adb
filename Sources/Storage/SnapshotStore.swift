package import Primitives

/// Snapshots of the state machine: `<index>-<term>.state`, and a manifest that is written last, so that a snapshot without one
/// does not exist.
package final class SnapshotStore: Sendable {
    package static let format = 1

    /// What a manifest says.
    package struct Manifest: Equatable, Sendable {
        package var position: SegmentedLog.Position
        package var digest: StateDigest
        package var featureLevel: UInt16
        package var bytes: Int
        package var crc: UInt32

        package init(position: SegmentedLog.Position, digest: StateDigest, featureLevel: UInt16, bytes: Int = 0, crc: UInt32 = 0) {
            self.position = position
            self.digest = digest
            self.featureLevel = featureLevel
            self.bytes = bytes
            self.crc = crc
        }

        fileprivate var text: String {
            """
            distric-snapshot \(SnapshotStore.format)
            index \(position.index)
            term \(position.term)
            chain \(hexadecimal(position.chain))
            digest \(digest)
            feature-level \(featureLevel)
            bytes \(bytes)
            crc32c \(hexadecimal(UInt64(crc), digits: 8))

            """
        }
    }

    private let disk: any Disk
    private let folder: String

    package init(disk: any Disk, folder: String) {
        self.disk = disk
        self.folder = folder
    }

    /// Writes a snapshot from the pieces that `next` returns until nil, then its manifest, then removes the ones before it.
    package func write(_ manifest: Manifest, next: () -> [UInt8]?) throws(StorageError) -> Manifest {
        try disk.makeFolder(folder)
        let stem = folder + "/" + Self.stem(manifest.position)
        // The same snapshot again must not touch the files that a durable manifest points to.
        if disk.exists(stem + ".manifest"), let (known, _) = try newest(), known.position == manifest.position { return known }
        let file = try disk.open(stem + ".state", create: true)
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
        let text = Array(written.text.utf8)
        try disk.replace(stem + ".manifest", with: text + Array("manifest-crc32c \(hexadecimal(UInt64(checksum(text)), digits: 8))\n".utf8))
        try removeOlder(than: stem)
        return written
    }

    /// The newest snapshot and its bytes; nil when there is none. One whose bytes do not match its manifest is damage.
    package func newest() throws(StorageError) -> (Manifest, [UInt8])? {
        guard let name = try disk.list(folder).last(where: { $0.hasSuffix(".manifest") }) else { return nil }
        let path = folder + "/" + name
        let manifest = try Self.parse(try disk.contents(of: path) ?? [], path: path)
        let statePath = folder + "/" + name.dropLast(".manifest".count) + ".state"
        guard let bytes = try disk.contents(of: statePath) else {
            throw .damaged(path: statePath, offset: 0, reason: "the file is missing")
        }
        guard bytes.count == manifest.bytes else {
            throw .damaged(
                path: statePath, offset: min(bytes.count, manifest.bytes),
                reason: "\(bytes.count) bytes where its manifest says \(manifest.bytes)")
        }
        guard checksum(bytes) == manifest.crc else {
            throw .damaged(path: statePath, offset: 0, reason: "checksum differs from its manifest's")
        }
        return (manifest, bytes)
    }

    private func removeOlder(than stem: String) throws(StorageError) {
        for name in try disk.list(folder) where !(folder + "/" + name).hasPrefix(stem + ".") { try disk.remove(folder + "/" + name) }
        try disk.syncFolder(folder)
    }

    private static func stem(_ position: SegmentedLog.Position) -> String {
        func padded(_ number: UInt64) -> String { String(repeating: "0", count: 20 - String(number).utf8.count) + String(number) }
        return padded(position.index.number) + "-" + padded(position.term.number)
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(StorageError) -> Manifest {
        let text = String(decoding: bytes, as: UTF8.self)
        var lines: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2 { lines[String(words[0])] = String(words[1]) }
        }
        func damaged(_ reason: String) -> StorageError { .damaged(path: path, offset: 0, reason: reason) }
        guard let own = lines["manifest-crc32c"], let end = text.start(of: "manifest-crc32c ") else { throw damaged("it has no checksum") }
        guard hexadecimal(UInt64(checksum(Array(text[..<end].utf8))), digits: 8) == own else {
            throw damaged("checksum of the manifest differs")
        }
        guard let format = lines["distric-snapshot"].flatMap({ Int($0) }), format <= Self.format else {
            throw .newerFormat(path: path, found: "format \(lines["distric-snapshot"] ?? "?")", supported: Self.format)
        }
        guard let index = lines["index"].flatMap({ UInt64($0) }), let term = lines["term"].flatMap({ UInt64($0) }),
            let chain = lines["chain"].flatMap({ UInt64($0, radix: 16) }), let digest = lines["digest"], digest.utf8.count == 32,
            let high = UInt64(digest.prefix(16), radix: 16), let low = UInt64(digest.suffix(16), radix: 16),
            let level = lines["feature-level"].flatMap({ UInt16($0) }), let size = lines["bytes"].flatMap({ Int($0) }),
            let crc = lines["crc32c"].flatMap({ UInt32($0, radix: 16) })
        else { throw damaged("its lines cannot be read") }
        return Manifest(
            position: .init(index: LogIndex(index), term: Term(term), chain: chain), digest: StateDigest(high: high, low: low),
            featureLevel: level, bytes: size, crc: crc)
    }
}

extension String {
    /// The place of a piece of text.
    fileprivate func start(of piece: String) -> String.Index? {
        var here = startIndex
        while here < endIndex {
            if self[here...].hasPrefix(piece) { return here }
            here = index(after: here)
        }
        return nil
    }
}
