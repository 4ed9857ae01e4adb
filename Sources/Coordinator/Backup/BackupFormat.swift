package import Primitives
import Storage

/// A backup as bytes: a line of text, sections, and a last one that bears witness of them all.
///
/// The line: `distric-backup 1 cluster=ID node=ID index=N term=N time=RFC3339 feature=N history=yes crc32c=XXXXXXXX`. In whatever version,
/// it begins
/// with `distric-backup N `, and ends with the CRC-32C of all before ` crc32c=`.
///
/// A section, little-endian: kind u8, three zeros, length u32, CRC-32C of the payload u32, CRC-32C of these 12 bytes u32, payload. Kinds: 1
/// a part of
/// the state as `StateCodec` writes it, 2 whole records of the history, 255 the end: bytes before it u64, sections before it u32, CRC-32C
/// of all before it u32.
enum BackupFormat {
    static let version = 1
    static let headBytes = 16
    static let endBytes = 16
    /// Of a payload: no record of a history is larger, and the state is cut in smaller parts.
    static let payloadLimit = 32 << 20
    static let lineLimit = 4096

    enum Kind: UInt8 {
        case state = 1
        case history = 2
        case end = 255
    }

    static func put(_ value: some FixedWidthInteger, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    static func number<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, at offset: Int, as type: T.Type = T.self) -> T {
        bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }
}

/// What a backup says of itself in its first line.
package struct BackupHeader: Equatable, Sendable {
    package var cluster: UUIDv7
    /// Who made it.
    package var node: NodeID
    /// The last entry that its state has taken in.
    package var index: LogIndex
    package var term: Term
    /// When it was made.
    package var time: ClusterTime
    /// What a program must know to read it.
    package var featureLevel: UInt16
    package var hasHistory: Bool

    package init(
        cluster: UUIDv7, node: NodeID, index: LogIndex, term: Term, time: ClusterTime, featureLevel: UInt16, hasHistory: Bool
    ) {
        (self.cluster, self.node, self.index, self.term) = (cluster, node, index, term)
        (self.time, self.featureLevel, self.hasHistory) = (time, featureLevel, hasHistory)
    }
}

extension BackupHeader {
    private static let start = Array("distric-backup ".utf8)
    private static let seal = Array(" crc32c=".utf8)

    /// With its newline.
    var line: [UInt8] {
        let text =
            "distric-backup \(BackupFormat.version) cluster=\(cluster) node=\(node) index=\(index) term=\(term) time=\(time.rfc3339) "
            + "feature=\(featureLevel) history=\(hasHistory ? "yes" : "no")"
        let bytes = Array(text.utf8)
        return bytes + Self.seal + Array("\(hexadecimal(UInt64(checksum(bytes)), digits: 8))\n".utf8)
    }

    /// - Parameter line: without its newline.
    init(reading line: [UInt8], featureLevel known: UInt16) throws(BackupProblem) {
        guard line.starts(with: Self.start) else { throw .damaged(offset: 0, reason: "it does not begin as a backup") }
        let end = line.count - Self.seal.count - 8
        guard end > 0, line[end...].starts(with: Self.seal),
            Array(line[(line.count - 8)...]) == Array(hexadecimal(UInt64(checksum(Array(line[..<end]))), digits: 8).utf8)
        else { throw .damaged(offset: 0, reason: "the checksum of its first line differs") }
        let words = String(decoding: line[..<end], as: UTF8.self).split(separator: " ").dropFirst()
        guard let version = words.first.flatMap({ Int($0) }), version == BackupFormat.version else {
            throw .newer(found: "format \(words.first ?? "?")", supported: "format \(BackupFormat.version)")
        }
        var values: [Substring: String] = [:]
        for word in words.dropFirst() {
            let halves = word.split(separator: "=", maxSplits: 1)
            if halves.count == 2 { values[halves[0]] = String(halves[1]) }
        }
        guard let cluster = values["cluster"].flatMap({ UUIDv7($0) }), let node = values["node"].flatMap({ try? NodeID($0) }),
            let index = values["index"].flatMap({ UInt64($0) }), let term = values["term"].flatMap({ UInt64($0) }),
            let time = values["time"].flatMap({ ClusterTime(rfc3339: $0) }), let level = values["feature"].flatMap({ UInt16($0) }),
            let hasHistory = ["yes": true, "no": false][values["history"] ?? ""]
        else { throw .damaged(offset: 0, reason: "its first line cannot be read") }
        guard level <= known else { throw .newer(found: "feature level \(level)", supported: "feature level \(known)") }
        self.init(
            cluster: cluster, node: node, index: LogIndex(index), term: Term(term), time: time, featureLevel: level, hasHistory: hasHistory)
    }
}

/// Makes the bytes of a backup, part by part in their order.
struct BackupWriter {
    private var bytes = 0
    private var sections: UInt32 = 0
    private var crc: UInt32 = 0

    private mutating func passed(_ part: [UInt8]) -> [UInt8] {
        bytes += part.count
        crc = checksum(part, seed: crc)
        return part
    }

    mutating func header(_ header: BackupHeader) -> [UInt8] { passed(header.line) }

    mutating func section(_ kind: BackupFormat.Kind, _ payload: some Collection<UInt8>) -> [UInt8] {
        precondition(payload.count <= BackupFormat.payloadLimit, "a section of \(payload.count) bytes")
        let payload = Array(payload)
        var part = [kind.rawValue, 0, 0, 0]
        BackupFormat.put(UInt32(payload.count), &part)
        BackupFormat.put(checksum(payload), &part)
        BackupFormat.put(checksum(part), &part)
        sections += 1
        return passed(part + payload)
    }

    mutating func end() -> [UInt8] {
        var witness: [UInt8] = []
        BackupFormat.put(UInt64(bytes), &witness)
        BackupFormat.put(sections, &witness)
        BackupFormat.put(crc, &witness)
        return section(.end, witness)
    }
}
