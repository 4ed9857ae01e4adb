import Primitives

extension SegmentedLog {
    /// What opening found.
    package struct Recovery: Equatable, Sendable {
        package var last: Position
        package var entries = 0
        package var bytes = 0
        /// Where a tail that was never acknowledged was cut off.
        package var cut: (path: String, offset: Int)?
        /// What was lost, now or at an earlier start, and has not been made good: until it is, the node gives no vote.
        package var damage: Damage?
        /// Files that were renamed to `<name>.damaged`.
        package var setAside: [String] = []

        package static func == (left: Recovery, right: Recovery) -> Bool {
            left.last == right.last && left.entries == right.entries && left.cut?.offset == right.cut?.offset && left.damage == right.damage
        }
    }

    /// Reads the log from the entry after `base` on (the last snapshot, or the start), handing each entry to `visit`. A tail that was
    /// never acknowledged is cut, and what a crash left of a truncation, a compaction or a reset is finished.
    ///
    /// - Parameter isInstalled: the snapshot at `base` came from a leader: a log that ends below it, or is of another history there, is
    ///   one that a reset did not come to replace.
    /// - Parameter repairing: damage in what was acknowledged, or may have been, does not throw: what stands before it stays, the files
    ///   from there on are set aside, and the caller is told. Otherwise it throws and leaves everything as it is.
    package func open(
        from base: Position, isInstalled: Bool = false, repairing: Bool = false, visit: (Record) throws(StorageError) -> Void
    ) throws(StorageError) -> Recovery {
        try disk.makeDurableFolder(folder)
        // A file that a start before this one renamed into place and fell, is in place for good only now.
        try disk.syncFolder(folder)
        marked = try readMark()
        damage = try readDamage()
        let survey = try LogSurvey(disk: disk, folder: folder)
        if !repairing, let file = survey.unreadable.first { throw .damaged(path: file.path, offset: 0, reason: file.reason) }
        var reading = LogReading(
            disk: disk, folder: folder, survey: survey, base: base, isInstalled: isInstalled, repairing: repairing, marked: marked)
        try reading.run(visit)
        generation = survey.generation
        if let problem = reading.problem {
            guard repairing else { throw problem }
            return try repair(problem, reading, survey, base)
        }
        if reading.needsReset { return try finishReset(to: base, survey) }
        return try accept(reading, survey)
    }

    private func accept(_ reading: LogReading, _ survey: LogSurvey) throws(StorageError) -> Recovery {
        var recovery = reading.recovery
        if let tail = reading.tail {
            recovery.cut = (tail.path, tail.offset)
            try cut(tail.path, from: tail.offset, size: tail.size)
        }
        segments = reading.segments
        last = recovery.last
        durable = last.index
        if segments.isEmpty {
            try addSegment()
        } else {
            active = try disk.open(segments[segments.count - 1].path, create: false)
            // A tail that was written and not synced counts as durable only now.
            try active?.sync()
        }
        if let held = damage?.mayHaveHeld, held == .zero { damage?.mayHaveHeld = max(last.index, marked) }
        recovery.setAside = try tidy(reading.leftovers + survey.obsolete, keeping: reading.broken + survey.unreadable.map(\.path))
        recovery.damage = damage
        return recovery
    }

    private func cut(_ path: String, from offset: Int, size: Int) throws(StorageError) {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        try file.write([UInt8](repeating: 0, count: size - offset), at: offset)
        try file.sync()
    }

    private func finishReset(to base: Position, _ survey: LogSurvey) throws(StorageError) -> Recovery {
        try lowerMark(to: base.index)
        segments = []
        last = base
        durable = base.index
        try addSegment()
        var recovery = Recovery(last: base)
        recovery.setAside = try tidy(survey.paths, keeping: [])
        recovery.damage = damage
        return recovery
    }

    /// Clears away what is not the log's any more. While damage is not repaired nothing is removed, but set aside for inspection.
    private func tidy(_ paths: [String], keeping broken: [String]) throws(StorageError) -> [String] {
        guard !paths.isEmpty || !broken.isEmpty else { return [] }
        // What took their place must be there for good before they go.
        try disk.syncFolder(folder)
        let kept = damage == nil ? broken : paths + broken
        if damage == nil { try remove(paths) }
        try setAside(kept)
        return kept
    }

    /// The order matters: the damage is on record, then the log ends before it, then the files go.
    private func repair(
        _ problem: StorageError, _ reading: LogReading, _ survey: LogSurvey, _ base: Position
    ) throws(StorageError) -> Recovery {
        let isBelow = reading.needsReset || reading.here.index < base.index
        let lastGood = isBelow ? base : reading.here
        var kept = isBelow ? [] : reading.segments
        while kept.last?.isEmpty == true { kept.removeLast() }
        let found = Damage(problem, lastGood: lastGood, mayHaveHeld: try reading.highestHeld(after: lastGood.index))
        try write(damage?.joined(by: found) ?? found)
        if let newest = kept.last {
            if newest.path == found.path { try copyAside(newest.path) }
            try sync(newest.path)
        }
        try lowerMark(to: lastGood.index)
        segments = kept
        last = lastGood
        durable = lastGood.index
        try addSegment()
        var recovery = reading.recovery
        recovery.last = lastGood
        recovery.setAside = survey.paths.filter { path in !kept.contains { $0.path == path } }
        try setAside(recovery.setAside)
        recovery.damage = damage
        return recovery
    }

    private func sync(_ path: String) throws(StorageError) {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        try file.sync()
    }
}
