import Primitives

/// Walks the records of one segment up to a limit, to its end, or to the first that cannot be read.
struct SegmentScan {
    /// What readable records say of the log's length.
    struct Reach: Equatable {
        /// The highest index that a record bears.
        var index = LogIndex.zero
        /// The highest index that a record calls durable.
        var durable = LogIndex.zero
    }

    var position: SegmentedLog.Position
    var offset: Int
    /// Why the walk stopped before the end.
    private(set) var problem: String?
    /// What stands behind the record that cannot be read: when it calls that one durable, it had been on disk.
    private(set) var beyond = Reach()

    init(position: SegmentedLog.Position, offset: Int) {
        self.position = position
        self.offset = offset
    }

    /// - Parameter limit: the last index of interest; nil goes to the end.
    mutating func run(
        _ bytes: [UInt8], through limit: LogIndex?, noting index: inout SparseIndex, visit: (Record) throws(StorageError) -> Void
    ) throws(StorageError) {
        while limit.map({ position.index < $0 }) ?? true {
            switch bytes.withUnsafeBytes({ Record.read($0, at: offset) }) {
            case .record(let record):
                guard record.entry.index == position.index.next, record.follows(chain: position.chain) else {
                    return stop("a record that does not continue the one before it (index \(record.entry.index))", bytes)
                }
                try visit(record)
                index.note(position, at: offset)
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
        beyond = Self.reach(of: bytes, from: offset + 8, above: position.index)
    }

    /// How far the log reached, by the records that can be read anywhere from an offset on.
    static func reach(of bytes: [UInt8], from offset: Int, above index: LogIndex = .zero) -> Reach {
        bytes.withUnsafeBytes { raw in
            var reach = Reach()
            var here = offset
            while here + Record.headBytes <= raw.count {
                guard raw[here + 4] != 0, raw[here + 5] == Record.version, case .record(let record) = Record.read(raw, at: here) else {
                    here += 8
                    continue
                }
                if record.entry.index > index, record.entry.index.number <= SegmentedLog.indexLimit {
                    reach.index = max(reach.index, record.entry.index)
                    reach.durable = max(reach.durable, min(record.durable, record.entry.index))
                }
                here += record.endOffsetFromStart
            }
            return reach
        }
    }
}
