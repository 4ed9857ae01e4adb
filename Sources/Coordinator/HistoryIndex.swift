import Primitives
import Storage

/// Keys of one file of the history and where they stand: 20 bytes each, sorted by key, so that a look-up reads a few
/// blocks and nothing is held in memory. Its last 16 bytes are the time of the newest record and the highest log index.
enum HistoryIndex {
    private static let entryBytes = 20
    private static let trailerBytes = 16

    static func encode(_ places: [UUIDv7: Int], newest: ClusterTime, lastIndex: LogIndex) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(places.count * entryBytes)
        for (key, place) in places.sorted(by: { $0.key < $1.key }) {
            for word in [key.high, key.low] { withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) } }
            withUnsafeBytes(of: UInt32(place).bigEndian) { bytes.append(contentsOf: $0) }
        }
        for word in [newest.milliseconds, lastIndex.number] { withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) } }
        return bytes
    }

    /// Nil when the index cannot be used and must be made again.
    static func trailer(of file: any DiskFile) throws(StorageError) -> (newest: ClusterTime, lastIndex: LogIndex)? {
        let size = try file.size()
        guard size >= trailerBytes, (size - trailerBytes) % entryBytes == 0 else { return nil }
        let bytes = try file.read(at: size - trailerBytes, count: trailerBytes)
        let words = bytes.withUnsafeBytes { raw in [0, 8].map { UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: $0, as: UInt64.self)) }
        }
        return (ClusterTime(milliseconds: words[0]), LogIndex(words[1]))
    }

    static func find(_ key: UUIDv7, in file: any DiskFile) throws(StorageError) -> Int? {
        var low = 0
        var high = max(0, try file.size() - trailerBytes) / entryBytes
        while low < high {
            let middle = (low + high) / 2
            let entry = try file.read(at: middle * entryBytes, count: entryBytes)
            guard entry.count == entryBytes else { return nil }
            let found = entry.withUnsafeBytes { raw in
                (
                    UUIDv7(
                        high: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                        low: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))),
                    Int(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
                )
            }
            if found.0 == key { return found.1 }
            if found.0 < key { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// Where the records of a file begin. Bytes that are no record are passed over to the next one that is whole, and counted.
    static func offsets(in bytes: [UInt8]) -> (offsets: [Int], unreadable: Int) {
        bytes.withUnsafeBytes { raw in
            var offsets: [Int] = []
            var unreadable = 0
            var offset = 0
            while offset + HistoryRecord.headBytes <= raw.count {
                if let length = wholeRecord(raw, at: offset) {
                    offsets.append(offset)
                    offset += HistoryRecord.headBytes + length
                    continue
                }
                guard let next = nextRecord(raw, from: offset + 1) else { break }
                unreadable += next - offset
                offset = next
            }
            return (offsets, unreadable)
        }
    }

    /// The length of the payload of a record that reads back.
    private static func wholeRecord(_ raw: UnsafeRawBufferPointer, at offset: Int) -> Int? {
        guard (1...2).contains(raw[offset + 4]), raw[offset + 5] == HistoryRecord.version else { return nil }
        return HistoryRecord.read(raw, at: offset)?.payload.count
    }

    private static func nextRecord(_ raw: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start + HistoryRecord.headBytes <= raw.count else { return nil }
        return (start...raw.count - HistoryRecord.headBytes).first { wholeRecord(raw, at: $0) != nil }
    }
}
