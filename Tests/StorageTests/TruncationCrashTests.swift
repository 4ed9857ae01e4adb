import Primitives
import Testing

@testable import Storage

/// A crash between any two changes of the disk leaves the log before or after what was being done, never damage
/// (SegmentedLog+Truncation.swift).
struct TruncationCrashTests {
    private let before = SampleLog.entries

    /// A log whose every state is known.
    private struct Course {
        var model: [LogEntry]
        /// The states that it went through, oldest first.
        var states: [[LogEntry]]
        /// The first of them that a crash may leave: those before it were left behind durably.
        var floor = 0

        init(_ entries: [LogEntry]) {
            model = entries
            states = [entries]
        }

        mutating func append(_ count: UInt64, term: UInt64, to log: SegmentedLog) throws {
            let first = UInt64(model.count) + 1
            let new = (first..<first + count).map { entry($0, term: term, bytes: 200, mark: UInt8(term)) }
            for entry in new {
                model.append(entry)
                states.append(model)
            }
            try log.append(new)
            try log.sync()
            floor = states.count - 1
        }

        mutating func truncate(_ index: Int, _ log: SegmentedLog) throws {
            model = Array(model.prefix(index))
            states.append(model)
            try log.truncate(after: LogIndex(UInt64(index)))
            floor = states.count - 1
        }
    }

    private func prepare(_ folder: String) throws { try SampleLog.write(to: folder, isMarked: true) }

    /// Reads the log twice, then writes to it and reads it again.
    private func expect(_ course: Course, _ crash: Crash) throws {
        let (served, recovery) = try readLog(crash.folder)
        #expect(course.states[course.floor...].contains(served), "at change \(crash.point): \(served.count) entries")
        #expect(recovery.damage == nil)
        if crash.isOver { #expect(served == course.model) }
        let (again, _) = try readLog(crash.folder)
        #expect(again == served, "at change \(crash.point)")
        let next = entry(UInt64(served.count) + 1, term: 9, mark: 9)
        try withLog(crash.folder) { log in
            try log.append([next])
            try log.sync()
        }
        let (after, _) = try readLog(crash.folder)
        #expect(after == served + [next], "at change \(crash.point)")
    }

    @Test(arguments: [0, 1, 15, 16, 17, 32, 40, 48, 59])
    func `one truncation and what is appended after it`(index: Int) throws {
        var course = Course(before)
        let changes = try Crash.atEveryChange(
            prepare: prepare,
            act: { disk, folder in
                course = Course(before)
                try withLog(folder, disk: disk) { log in
                    try course.truncate(index, log)
                    try course.append(3, term: 2, to: log)
                }
            }, check: { try expect(course, $0) })
        #expect(changes > 10)
    }

    @Test func `three truncations in a row, over several files and to the base`() throws {
        var course = Course(before)
        try Crash.atEveryChange(
            prepare: prepare,
            act: { disk, folder in
                course = Course(before)
                try withLog(folder, disk: disk) { log in
                    try course.truncate(40, log)
                    try course.append(30, term: 2, to: log)
                    try course.truncate(20, log)
                    try course.append(5, term: 3, to: log)
                    try course.truncate(22, log)
                    try course.truncate(0, log)
                    try course.append(2, term: 4, to: log)
                }
            }, check: { try expect(course, $0) })
    }

    @Test func `a truncation of what is not synced yet`() throws {
        var course = Course(before)
        try Crash.atEveryChange(
            prepare: prepare,
            act: { disk, folder in
                course = Course(before)
                try withLog(folder, disk: disk) { log in
                    let new = (UInt64(61)...70).map { entry($0, bytes: 200) }
                    course.states += (1...new.count).map { before + new.prefix($0) }
                    course.model = before + new
                    try log.append(new)
                    try course.truncate(65, log)
                    try course.append(2, term: 2, to: log)
                }
            }, check: { try expect(course, $0) })
    }

    @Test func `compaction, whatever files its removals leave`() throws {
        let base = position(after: before.prefix(40))
        try Crash.atEveryChange(
            prepare: prepare,
            act: { disk, folder in try withLog(folder, disk: disk) { log in try log.compact(through: LogIndex(40)) } },
            check: { crash in
                let (served, _) = try readLog(crash.folder, from: base)
                #expect(served == Array(before[40...]), "at change \(crash.point)")
            })
        // Removals that were not synced may survive a power loss one by one.
        let temporary = try TemporaryFolder()
        let folder = temporary.path + "/log"
        try prepare(folder)
        try FileDisk().remove(folder + "/00000000000000000017.log")
        let (served, _) = try readLog(folder, from: base)
        #expect(served == Array(before[40...]))
        let names = try logFiles(folder)
        #expect(names == ["00000000000000000033.log", "00000000000000000049.log"])
    }
}
