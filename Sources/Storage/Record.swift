import CChecksum
package import Primitives

/// CRC-32C of bytes.
package func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    distric_crc32c(seed, bytes.baseAddress, bytes.count)
}

package func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 { bytes.withUnsafeBytes { checksum($0, seed: seed) } }

/// How a log entry lies on disk: a head of 48 bytes, little-endian, the payload, and zeros up to a multiple of 8.
///
///     0  length u32         payload bytes
///     4  kind u8            LogEntry.Kind; 0 marks the end of what was written
///     5  version u8         1
///     6  zero u16
///     8  term u64
///     16 index u64
///     24 durable u64        the last index that was known to be on disk when this record was written
///     32 chain u64          hash over all records before and this one
///     40 payload CRC-32C u32
///     44 head CRC-32C u32   over bytes 0 to 43
///
/// `durable` tells a torn tail from damage: a record that does not read back, while a later one says that it was
/// on disk, was acknowledged and is lost; otherwise it was never acknowledged.
package struct Record: Equatable, Sendable {
    package static let headBytes = 48
    package static let version: UInt8 = 1
    /// Far above what one entry may have (1 MiB of commands); a larger length is damage.
    package static let payloadLimit = 64 << 20

    package var entry: LogEntry
    package var durable: LogIndex
    package var chain: UInt64
    /// Of the payload.
    private let checksum: UInt32

    init(entry: LogEntry, durable: LogIndex, chain: UInt64) {
        self.init(entry: entry, durable: durable, chain: chain, checksum: Storage.checksum(entry.payload))
    }

    private init(entry: LogEntry, durable: LogIndex, chain: UInt64, checksum: UInt32) {
        (self.entry, self.durable, self.chain, self.checksum) = (entry, durable, chain, checksum)
    }

    package var endOffsetFromStart: Int { Self.size(payload: entry.payload.count) }

    package static func size(payload: Int) -> Int { headBytes + (payload + 7) / 8 * 8 }

    /// Appends the record's bytes and returns the chain after it.
    package static func append(_ entry: LogEntry, durable: LogIndex, chain: UInt64, to bytes: inout [UInt8]) -> UInt64 {
        let payloadChecksum = Storage.checksum(entry.payload)
        let next = link(chain, entry.term, entry.index, payloadChecksum)
        let start = bytes.count
        put(UInt32(entry.payload.count), &bytes)
        bytes.append(entry.kind.rawValue)
        bytes.append(version)
        put(0 as UInt16, &bytes)
        put(entry.term.number, &bytes)
        put(entry.index.number, &bytes)
        put(durable.number, &bytes)
        put(next, &bytes)
        put(payloadChecksum, &bytes)
        let head = bytes.withUnsafeBytes { Storage.checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        put(head, &bytes)
        bytes.append(contentsOf: entry.payload)
        bytes.append(contentsOf: repeatElement(0, count: size(payload: entry.payload.count) - headBytes - entry.payload.count))
        return next
    }

    /// What stands at an offset.
    package enum Reading: Equatable, Sendable {
        case record(Record)
        /// Zeros: nothing was written here.
        case end
        /// Bytes that are no whole record.
        case broken(String)
    }

    package static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Reading {
        guard offset + headBytes <= bytes.count else {
            return bytes[min(offset, bytes.count)...].allSatisfy { $0 == 0 } ? .end : .broken("the file ends inside a record's head")
        }
        let head = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + headBytes])
        if head.allSatisfy({ $0 == 0 }) { return .end }
        guard Storage.checksum(UnsafeRawBufferPointer(rebasing: head[..<44])) == get(head, 44) as UInt32 else {
            return .broken("checksum of a record's head differs")
        }
        guard head[5] == version else { return .broken("record version \(head[5])") }
        guard let kind = LogEntry.Kind(rawValue: head[4]) else { return .broken("record kind \(head[4])") }
        let length = Int(get(head, 0) as UInt32)
        guard length <= payloadLimit, offset + headBytes + length <= bytes.count else {
            return .broken("a record of \(length) bytes goes beyond the file")
        }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[offset + headBytes..<offset + headBytes + length])
        let found = Storage.checksum(payload)
        guard found == get(head, 40) as UInt32 else { return .broken("checksum of a record's payload differs") }
        let entry = LogEntry(index: LogIndex(get(head, 16)), term: Term(get(head, 8)), kind: kind, payload: Array(payload))
        return .record(Record(entry: entry, durable: LogIndex(get(head, 24)), chain: get(head, 32), checksum: found))
    }

    /// Whether the record continues a log whose chain is `chain`.
    package func follows(chain previous: UInt64) -> Bool {
        chain == Self.link(previous, entry.term, entry.index, checksum)
    }

    private static func link(_ chain: UInt64, _ term: Term, _ index: LogIndex, _ payload: UInt32) -> UInt64 {
        var hasher = StableHasher(key: chain)
        hasher.combine(term.number)
        hasher.combine(index.number)
        hasher.combine(UInt64(payload))
        return hasher.finish().low
    }
}

func put(_ value: some FixedWidthInteger, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
}

func get<T: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> T {
    T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
}
