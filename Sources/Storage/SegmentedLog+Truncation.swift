package import Primitives

extension SegmentedLog {
    /// Drops every entry above `index`, as a follower must whose log conflicts with a new leader's (Raft section 5.3); durable when it
    /// returns.
    ///
    /// The disk sees, in this order: the mark lowered, a segment that begins after `index`, the files removed that hold nothing any more. A
    /// crash between two of them leaves the log as it was, or cut. That nothing committed is dropped is the core's to see to.
    package func truncate(after index: LogIndex) throws(StorageError) {
        guard index < last.index else { return }
        precondition(index.next >= firstIndex, "truncate after \(index), the log begins at \(firstIndex)")
        let (place, point) = try locate(index)
        // The new segment says that what stands before it is on disk.
        if index > durable { try active?.sync() }
        try lowerMark(to: index)
        let kept = place.map { $0 + 1 } ?? 0
        let dropped = segments[kept...].map(\.path)
        segments.removeSubrange(kept...)
        if let place {
            segments[place].end = point.offset
            segments[place].index.cut(after: index)
        }
        try begin(after: point.before, removing: dropped)
    }

    /// Replaces the log by a snapshot that was installed and whose manifest is durable already: it begins after `position` and is empty.
    ///
    /// A crash on the way is finished by `open(from:isInstalled:)`.
    package func reset(to position: Position) throws(StorageError) {
        // No torn tail may stay that opening would take for damage.
        if durable < last.index { try active?.sync() }
        try lowerMark(to: position.index)
        let dropped = segments.map(\.path)
        segments = []
        try begin(after: position, removing: dropped)
    }

    private func begin(after position: Position, removing dropped: [String]) throws(StorageError) {
        last = position
        durable = position.index
        closeActive()
        try addSegment()
        try remove(dropped)
    }

    /// Removes files that hold nothing of the log, durably.
    func remove(_ paths: [String]) throws(StorageError) {
        guard !paths.isEmpty else { return }
        for path in paths { try disk.remove(path) }
        try disk.syncFolder(folder)
    }
}
