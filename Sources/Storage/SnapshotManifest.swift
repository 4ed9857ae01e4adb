package import Primitives

extension SnapshotStore {
    package static let format = 1

    /// What a manifest says.
    package struct Manifest: Equatable, Sendable {
        package var position: SegmentedLog.Position
        package var digest: StateDigest
        package var featureLevel: UInt16
        package var bytes: Int
        package var crc: UInt32
        /// Who belongs to the cluster there: one line, whose form is the caller's.
        package var configuration: String
        /// It came from a leader, and takes the place of a log that does not reach it.
        package var isInstalled: Bool

        package init(
            position: SegmentedLog.Position, digest: StateDigest, featureLevel: UInt16, bytes: Int = 0, crc: UInt32 = 0,
            configuration: String = "", isInstalled: Bool = false
        ) {
            self.position = position
            self.digest = digest
            self.featureLevel = featureLevel
            self.bytes = bytes
            self.crc = crc
            self.configuration = configuration
            self.isInstalled = isInstalled
        }
    }
}

extension SnapshotStore.Manifest {
    static let seal = "manifest-crc32c"

    /// Whether its lines can be read again: one from a peer may say anything.
    var isWritable: Bool {
        !configuration.utf8.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } && bytes >= 0
            && position.index.number <= SegmentedLog.indexLimit
    }

    /// What was added later is written where it says something.
    var lines: [(String, String)] {
        var lines = [
            ("distric-snapshot", "\(SnapshotStore.format)"), ("index", "\(position.index)"), ("term", "\(position.term)"),
            ("chain", hexadecimal(position.chain)), ("digest", "\(digest)"), ("feature-level", "\(featureLevel)"), ("bytes", "\(bytes)"),
            ("crc32c", hexadecimal(UInt64(crc), digits: 8)),
        ]
        if !configuration.isEmpty { lines.append(("configuration", configuration)) }
        if isInstalled { lines.append(("installed", "yes")) }
        return lines
    }

    var fileBytes: [UInt8] { SealedText(lines).bytes(seal: Self.seal) }

    init(reading bytes: [UInt8], path: String) throws(StorageError) {
        try self.init(try SealedText(reading: bytes, seal: Self.seal, path: path), path: path)
    }

    init(_ text: SealedText, path: String) throws(StorageError) {
        guard let format = text["distric-snapshot"].flatMap({ Int($0) }), format <= SnapshotStore.format else {
            throw .newerFormat(path: path, found: "format \(text["distric-snapshot"] ?? "?")", supported: SnapshotStore.format)
        }
        guard let index = text["index"].flatMap({ UInt64($0) }), let term = text["term"].flatMap({ UInt64($0) }),
            let chain = text["chain"].flatMap({ UInt64($0, radix: 16) }), let digest = text["digest"], digest.utf8.count == 32,
            let high = UInt64(digest.prefix(16), radix: 16), let low = UInt64(digest.suffix(16), radix: 16),
            let level = text["feature-level"].flatMap({ UInt16($0) }), let size = text["bytes"].flatMap({ Int($0) }),
            let crc = text["crc32c"].flatMap({ UInt32($0, radix: 16) }),
            let isInstalled = ["no": false, "yes": true][text["installed"] ?? "no"]
        else { throw .damaged(path: path, offset: 0, reason: "its lines cannot be read") }
        self.init(
            position: .init(index: LogIndex(index), term: Term(term), chain: chain), digest: StateDigest(high: high, low: low),
            featureLevel: level, bytes: size, crc: crc, configuration: text["configuration"] ?? "", isInstalled: isInstalled)
        guard isWritable else { throw .damaged(path: path, offset: 0, reason: "its lines say what no snapshot writes") }
    }
}
