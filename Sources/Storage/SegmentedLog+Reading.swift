package import Primitives

extension SegmentedLog {
    /// Entries in a row for a follower or a state machine that lags: at least one when there is one, then as many as fit.
    ///
    /// Throws `.gap` when `first` is compacted: a snapshot stands for it. Throws `.damaged` for bytes that no longer read back.
    /// - Parameter maxBytes: counted as records lie on disk, so that empty entries count too.
    package func entries(from first: LogIndex, through end: LogIndex, maxBytes: Int) throws(StorageError) -> [LogEntry] {
        guard let oldest = segments.first else { throw .closed }
        guard first > oldest.before.index else { throw .gap(path: folder, expected: first, found: oldest.first) }
        let end = min(end, last.index)
        guard first <= end else { return [] }
        var found: [LogEntry] = []
        var bytes = 0
        try walk(from: first) { record in
            bytes += record.endOffsetFromStart
            guard found.isEmpty || bytes <= maxBytes else { return false }
            found.append(record.entry)
            return record.entry.index < end
        }
        return found
    }

    /// The term and chain of an entry, or of the one before the first that is held; nil beyond the log's end. Throws `.gap` when it is
    /// compacted.
    package func position(at index: LogIndex) throws(StorageError) -> Position? {
        guard let oldest = segments.first else { throw .closed }
        guard index <= last.index else { return nil }
        guard index >= oldest.before.index else { throw .gap(path: folder, expected: index, found: oldest.first) }
        return index == last.index ? last : try locate(index).point.before
    }

    /// The segment that holds an entry (nil for the one before the first that is held), and the byte behind the entry.
    func locate(_ index: LogIndex) throws(StorageError) -> (segment: Int?, point: SparseIndex.Point) {
        guard let place = segments.lastIndex(where: { $0.before.index < index }) else {
            return (nil, segments[0].index.point(notAfter: index))
        }
        let file = try disk.open(segments[place].path, create: false)
        defer { file.close() }
        var cursor = SegmentCursor(segments[place], file: file, notAfter: index)
        while cursor.point.before.index < index {
            guard try cursor.next() != nil else {
                throw .damaged(path: file.path, offset: cursor.point.offset, reason: "the segment ends before index \(index)")
            }
        }
        return (place, cursor.point)
    }

    /// Hands on the records from one that is held on, until `visit` says that it has enough.
    private func walk(from first: LogIndex, visit: (Record) -> Bool) throws(StorageError) {
        var place = segments.lastIndex { $0.before.index < first } ?? 0
        while place < segments.count {
            let file = try disk.open(segments[place].path, create: false)
            defer { file.close() }
            var cursor = SegmentCursor(segments[place], file: file, notAfter: LogIndex(first.number - 1))
            while let record = try cursor.next() {
                if record.entry.index >= first, !visit(record) { return }
            }
            place += 1
        }
    }
}
