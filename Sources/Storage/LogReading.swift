import Primitives

/// Reads the log from its files and judges what does not read back; changes nothing on disk.
struct LogReading {
    private let disk: any Disk
    private let folder: String
    private let survey: LogSurvey
    private let base: SegmentedLog.Position
    private let isInstalled: Bool
    private let repairing: Bool
    private let marked: LogIndex
    /// A file whose head is lost may have dropped what older ones hold from here on.
    private let cap: (index: LogIndex, file: LogSurvey.Unreadable)?

    private(set) var segments: [SegmentedLog.Segment] = []
    /// The end of what was read.
    private(set) var here = SegmentedLog.Position.start
    private(set) var recovery: SegmentedLog.Recovery
    /// Files that compaction or a reset would have removed had it come to its end.
    private(set) var leftovers: [String] = []
    /// Files that do not read back, and need not: a snapshot stands for all of them.
    private(set) var broken: [String] = []
    /// A last group that was never acknowledged and is not whole.
    private(set) var tail: (path: String, offset: Int, size: Int)?
    /// Why what was acknowledged, or may have been, cannot be read.
    private(set) var problem: StorageError?
    /// The snapshot at the base was installed, and the log is still the one before it.
    private(set) var needsReset = false

    init(
        disk: any Disk, folder: String, survey: LogSurvey, base: SegmentedLog.Position, isInstalled: Bool, repairing: Bool, marked: LogIndex
    ) {
        self.disk = disk
        self.folder = folder
        self.survey = survey
        self.base = base
        self.isInstalled = isInstalled
        self.repairing = repairing
        self.marked = marked
        recovery = SegmentedLog.Recovery(last: base)
        let caps = survey.unreadable.compactMap { file in file.first.map { (index: LogIndex($0.number - 1), file: file) } }
        // Nothing below a snapshot is ever dropped, so such a file was older than what stands there.
        cap = caps.filter { $0.index >= base.index }.min { $0.index < $1.index }
    }

    mutating func run(_ visit: (Record) throws(StorageError) -> Void) throws(StorageError) {
        for member in survey.members where problem == nil && !needsReset {
            if let cap, member.head.before.index >= cap.index { break }
            guard connects(member) else { break }
            try read(member, visit)
        }
        if problem == nil, !needsReset, cap == nil { conclude() }
        if problem == nil, cap != nil || needsReset || segments.isEmpty { blameUnreadable() }
        if here.index >= base.index, !needsReset { recovery.last = here }
    }

    /// Whether a file goes on where the ones before it end.
    private mutating func connects(_ member: LogSurvey.Member) -> Bool {
        let before = member.head.before
        if segments.isEmpty {
            guard before.index <= base.index else {
                problem = .gap(path: member.path, expected: base.index.next, found: before.index.next)
                return false
            }
            recovery.bytes = 0
        } else if before != here {
            // All that stands before it is in the snapshot.
            guard before.index <= base.index, here.index <= base.index else {
                problem =
                    before.index == here.index
                    ? .damaged(path: member.path, offset: 0, reason: "it does not continue the segment before it")
                    : .gap(path: member.path, expected: here.index.next, found: before.index.next)
                return false
            }
            leftovers += segments.map(\.path)
            segments = []
            recovery.bytes = 0
        }
        here = before
        return true
    }

    private mutating func read(_ member: LogSurvey.Member, _ visit: (Record) throws(StorageError) -> Void) throws(StorageError) {
        guard let bytes = try disk.contents(of: member.path) else {
            throw .damaged(path: member.path, offset: 0, reason: "the file is missing")
        }
        var segment = SegmentedLog.Segment(head: member.head, path: member.path, size: bytes.count)
        var scan = SegmentScan(position: here, offset: SegmentedLog.headBytes)
        let limit = [member.isCut ? member.limit : nil, cap?.index].compactMap { $0 }.min()
        let stops = holdsBase(member) ? [min(base.index, limit ?? base.index), limit] : [limit]
        for stop in stops where scan.problem == nil && !needsReset {
            try scan.run(bytes, through: stop, noting: &segment.index) { record throws(StorageError) in
                recovery.bytes += record.endOffsetFromStart
                guard record.entry.index > base.index else { return }
                recovery.entries += 1
                try visit(record)
            }
            if isInstalled, scan.position.index == base.index, holdsBase(member), !scan.position.agrees(with: base) { needsReset = true }
        }
        here = scan.position
        segment.end = scan.offset
        segments.append(segment)
        if let reason = scan.problem, !needsReset { judge(member, reason, scan, bytes.count) }
    }

    /// Whether it is this file that tells if the log and an installed snapshot are of one history.
    private func holdsBase(_ member: LogSurvey.Member) -> Bool {
        isInstalled && member.head.before.index <= base.index && (member.limit.map { base.index < $0 } ?? true)
    }

    /// What a snapshot stands for was durable before the snapshot was; so was what the mark names, and what a later record calls durable.
    private mutating func judge(_ member: LogSurvey.Member, _ reason: String, _ scan: SegmentScan, _ size: Int) {
        if let limit = member.limit, here.index <= limit, limit <= base.index, isInstalled || repairing {
            broken.append(member.path)
            segments.removeLast()
        } else if member.limit == nil, cap == nil, scan.beyond.durable <= here.index, here.index >= max(base.index, marked) {
            tail = (member.path, scan.offset, size)
        } else if member.limit == nil, cap == nil, isInstalled, here.index < base.index, max(scan.beyond.durable, marked) <= base.index {
            needsReset = true
        } else {
            problem = .damaged(path: member.path, offset: scan.offset, reason: reason)
        }
    }

    private mutating func conclude() {
        if here.index < marked, base.index < marked {
            problem = .gap(path: folder, expected: marked, found: here.index)
        } else if !segments.isEmpty, here.index < base.index {
            if isInstalled {
                needsReset = true
            } else {
                problem = .gap(path: folder, expected: base.index.next, found: here.index.next)
            }
        }
    }

    private mutating func blameUnreadable() {
        guard let file = cap?.file ?? survey.unreadable.first else { return }
        problem = .damaged(path: file.path, offset: 0, reason: file.reason)
    }

    /// The highest index that may have been acknowledged, by all that can still be read.
    func highestHeld(after lastGood: LogIndex) throws(StorageError) -> LogIndex {
        var highest = max(lastGood, marked)
        for member in survey.members { highest = max(highest, member.head.before.index) }
        for path in [survey.members.last?.path].compactMap({ $0 }) + survey.unreadable.map(\.path) {
            let reach = SegmentScan.reach(of: try disk.contents(of: path) ?? [], from: SegmentedLog.headBytes)
            highest = max(highest, reach.index)
        }
        for file in survey.unreadable { highest = max(highest, file.first.map { LogIndex($0.number - 1) } ?? .zero) }
        return highest
    }
}
