package import Primitives

/// How much of a log there is to go on with, and what of it is lost: what `SegmentedLog.open` with `repairing` would find, found without
/// changing anything.
package struct LogSalvage: Equatable, Sendable {
    /// The end of what can be read; the snapshot's when the log does not reach it.
    package private(set) var last: SegmentedLog.Position
    /// A last group that was never acknowledged and is not whole: no loss.
    package private(set) var tornTail: (path: String, offset: Int)?
    /// What does not read back, or did not at an earlier start.
    package private(set) var problems: [StorageError] = []
    /// The highest index that may have been acknowledged here; `last` when nothing is lost.
    package private(set) var mayHaveHeld: LogIndex
    /// What is lost cannot be counted: nothing is left that would tell.
    package private(set) var isUncounted = false

    /// - Parameter snapshot: the newest one, which must be whole.
    package init(disk: any Disk, folder: String, from snapshot: SnapshotStore.Manifest?) throws(StorageError) {
        let log = SegmentedLog(disk: disk, folder: folder)
        let (marked, onRecord) = (try log.readMark(), try log.readDamage())
        let survey = try LogSurvey(disk: disk, folder: folder)
        let base = snapshot?.position ?? .start
        var reading = LogReading(
            disk: disk, folder: folder, survey: survey, base: base, isInstalled: snapshot?.isInstalled ?? false, repairing: true,
            marked: marked)
        try reading.run { _ in }
        last = reading.needsReset || reading.here.index < base.index ? base : reading.here
        mayHaveHeld = last.index
        tornTail = reading.problem == nil ? reading.tail.map { ($0.path, $0.offset) } : nil
        if let problem = reading.problem {
            problems.append(problem)
            mayHaveHeld = max(mayHaveHeld, try reading.highestHeld(after: last.index))
        } else if survey.paths.isEmpty, base.index > .zero {
            // Compaction leaves the last file, whatever the snapshot.
            problems.append(.gap(path: folder, expected: base.index.next, found: .zero))
            isUncounted = true
        }
        if let onRecord { join(onRecord) }
    }

    /// What an earlier start set aside, as far as the others have not made it good since.
    private mutating func join(_ damage: SegmentedLog.Damage) {
        problems.append(.damaged(path: damage.path, offset: damage.offset, reason: damage.reason))
        mayHaveHeld = max(mayHaveHeld, damage.mayHaveHeld)
        if damage.mayHaveHeld == .zero { isUncounted = true }
    }

    package static func == (left: LogSalvage, right: LogSalvage) -> Bool {
        left.last == right.last && left.tornTail?.path == right.tornTail?.path && left.tornTail?.offset == right.tornTail?.offset
            && left.problems == right.problems && left.mayHaveHeld == right.mayHaveHeld && left.isUncounted == right.isUncounted
    }
}
