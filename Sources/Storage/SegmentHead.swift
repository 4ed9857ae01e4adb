import Primitives

/// The first 64 bytes of a segment.
struct SegmentHead: Equatable {
    var before: SegmentedLog.Position
    /// Zero in a file of format 1 and in a log's first.
    var generation: UInt32

    init(before: SegmentedLog.Position, generation: UInt32) {
        self.before = before
        self.generation = generation
    }

    init(reading bytes: [UInt8], path: String) throws(StorageError) {
        guard bytes.count >= SegmentedLog.headBytes, Array(bytes[..<8]) == SegmentedLog.magic else {
            throw .damaged(path: path, offset: 0, reason: "it does not begin as a log segment")
        }
        let (format, generation, before, isIntact) = bytes.withUnsafeBytes { raw in
            let position = SegmentedLog.Position(index: LogIndex(get(raw, 16)), term: Term(get(raw, 24)), chain: get(raw, 32))
            let intact = checksum(UnsafeRawBufferPointer(rebasing: raw[..<60])) == get(raw, 60) as UInt32
            return (get(raw, 8) as UInt32, get(raw, 12) as UInt32, position, intact)
        }
        guard isIntact else { throw .damaged(path: path, offset: 0, reason: "checksum of the segment's head differs") }
        guard format <= SegmentedLog.format else {
            throw .newerFormat(path: path, found: "format \(format)", supported: Int(SegmentedLog.format))
        }
        guard before.index.number <= SegmentedLog.indexLimit, generation < .max, (format < SegmentedLog.format) == (generation == 0) else {
            throw .damaged(path: path, offset: 0, reason: "the segment's head says what no log writes")
        }
        self.before = before
        self.generation = generation
    }

    var bytes: [UInt8] {
        var bytes = SegmentedLog.magic
        put(generation == 0 ? 1 : SegmentedLog.format, &bytes)
        put(generation, &bytes)
        put(before.index.number, &bytes)
        put(before.term.number, &bytes)
        put(before.chain, &bytes)
        bytes.append(contentsOf: repeatElement(0, count: 60 - bytes.count))
        put(checksum(bytes), &bytes)
        return bytes
    }
}
