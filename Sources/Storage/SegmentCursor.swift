import Primitives

/// Goes through the records of one file from a known point on, a window of bytes at a time.
struct SegmentCursor {
    private static let windowBytes = 128 << 10

    private let file: any DiskFile
    private let end: Int
    /// The next record's first byte, and the log up to the record before it.
    private(set) var point: SparseIndex.Point
    private var window: [UInt8] = []
    private var windowOffset = 0

    init(_ segment: SegmentedLog.Segment, file: any DiskFile, notAfter index: LogIndex) {
        self.file = file
        end = segment.end
        point = segment.index.point(notAfter: index)
    }

    /// Nil at the end of what the file holds. Throws `.damaged` for bytes that are no longer what was written.
    mutating func next() throws(StorageError) -> Record? {
        guard point.offset < end else { return nil }
        try fill(Record.headBytes)
        let payloadBytes = Int(window.withUnsafeBytes { get($0, point.offset - windowOffset) as UInt32 })
        guard payloadBytes <= Record.payloadLimit, point.offset + Record.size(payload: payloadBytes) <= end else {
            throw damaged("a record of \(payloadBytes) bytes goes beyond what was written")
        }
        try fill(Record.headBytes + payloadBytes)
        switch window.withUnsafeBytes({ Record.read($0, at: point.offset - windowOffset) }) {
        case .record(let record):
            guard record.entry.index == point.before.index.next, record.follows(chain: point.before.chain) else {
                throw damaged("a record that does not continue the one before it (index \(record.entry.index))")
            }
            point.before = .init(index: record.entry.index, term: record.entry.term, chain: record.chain)
            point.offset += record.endOffsetFromStart
            return record
        case .end: throw damaged("zeros where a record should be")
        case .broken(let reason): throw damaged(reason)
        }
    }

    private mutating func fill(_ count: Int) throws(StorageError) {
        guard point.offset < windowOffset || point.offset + count > windowOffset + window.count else { return }
        window = try file.read(at: point.offset, count: min(max(count, Self.windowBytes), end - point.offset))
        windowOffset = point.offset
        guard window.count >= count else { throw damaged("the file ends inside a record") }
    }

    private func damaged(_ reason: String) -> StorageError { .damaged(path: file.path, offset: point.offset, reason: reason) }
}
