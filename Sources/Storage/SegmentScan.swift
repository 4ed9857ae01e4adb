import Primitives

/// The first 64 bytes of a segment.
struct SegmentHead: Equatable {
    var before: SegmentedLog.Position

    init(before: SegmentedLog.Position) { self.before = before }

    init(reading bytes: [UInt8], path: String) throws(StorageError) {
        guard bytes.count >= SegmentedLog.headBytes, Array(bytes[..<8]) == SegmentedLog.magic else {
            throw .damaged(path: path, offset: 0, reason: "it does not begin as a log segment")
        }
        let (format, before, isIntact) = bytes.withUnsafeBytes { raw in
            let position = SegmentedLog.Position(index: LogIndex(get(raw, 16)), term: Term(get(raw, 24)), chain: get(raw, 32))
            let intact = checksum(UnsafeRawBufferPointer(rebasing: raw[..<60])) == get(raw, 60) as UInt32
            return (get(raw, 8) as UInt32, position, intact)
        }
        guard isIntact else { throw .damaged(path: path, offset: 0, reason: "checksum of the segment's head differs") }
        guard format <= SegmentedLog.format else {
            throw .newerFormat(path: path, found: "format \(format)", supported: Int(SegmentedLog.format))
        }
        self.before = before
    }

    var bytes: [UInt8] {
        var bytes = SegmentedLog.magic
        put(SegmentedLog.format, &bytes)
        put(0 as UInt32, &bytes)
        put(before.index.number, &bytes)
        put(before.term.number, &bytes)
        put(before.chain, &bytes)
        bytes.append(contentsOf: repeatElement(0, count: 60 - bytes.count))
        put(checksum(bytes), &bytes)
        return bytes
    }
}

/// Walks the records of one segment up to its end or to the first that cannot be read.
struct SegmentScan {
    var position: SegmentedLog.Position
    var offset: Int
    /// Why the walk stopped before the end.
    private(set) var problem: String?
    /// Whether a later record proves that the one at `offset` had been on disk.
    private(set) var wasAcknowledged = false

    init(position: SegmentedLog.Position, offset: Int) {
        self.position = position
        self.offset = offset
    }

    mutating func run(_ bytes: [UInt8], path: String, visit: (Record) throws(StorageError) -> Void) throws(StorageError) {
        while true {
            switch bytes.withUnsafeBytes({ Record.read($0, at: offset) }) {
            case .record(let record):
                guard record.entry.index == position.index.next, record.follows(chain: position.chain) else {
                    return stop("a record that does not continue the one before it (index \(record.entry.index))", bytes)
                }
                try visit(record)
                position = .init(index: record.entry.index, term: record.entry.term, chain: record.chain)
                offset += record.endOffsetFromStart
            case .end:
                if bytes[min(offset, bytes.count)...].contains(where: { $0 != 0 }) { stop("zeros where a record should be", bytes) }
                return
            case .broken(let reason):
                return stop(reason, bytes)
            }
        }
    }

    private mutating func stop(_ reason: String, _ bytes: [UInt8]) {
        problem = reason
        bytes.withUnsafeBytes { raw in
            var later = offset + 8
            while later + Record.headBytes <= raw.count {
                if raw[later + 4] != 0, case .record(let record) = Record.read(raw, at: later), record.entry.index > position.index,
                    record.durable > position.index
                {
                    wasAcknowledged = true
                    return
                }
                later += 8
            }
        }
    }
}
