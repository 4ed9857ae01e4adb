import Primitives
import Testing

@testable import Storage

/// What is left of a log and what is lost, found without changing it (LogSalvage.swift).
struct LogSalvageTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }

    init() throws { temporary = try TemporaryFolder() }

    private func salvage(from snapshot: SnapshotStore.Manifest? = nil) throws -> LogSalvage {
        let before = try contents(folder)
        let found = try LogSalvage(disk: ReadOnlyDisk(), folder: folder, from: snapshot)
        let after = try contents(folder)
        #expect(after == before)
        return found
    }

    private func snapshot(_ index: Int, isInstalled: Bool = false) -> SnapshotStore.Manifest {
        SnapshotStore.Manifest(
            position: position(after: SampleLog.prefix(index)), digest: StateDigest(), featureLevel: 1, isInstalled: isInstalled)
    }

    private func flip(_ name: String, at offset: Int) throws {
        var bytes = try readFile(folder + "/" + name)
        bytes[offset] ^= 0x10
        try writeFile(folder + "/" + name, bytes)
    }

    @Test func `a whole log is whole`() throws {
        try SampleLog.write(to: folder, isMarked: true)
        let found = try salvage()
        #expect(found.last == position(after: SampleLog.entries))
        #expect(found.mayHaveHeld == LogIndex(60))
        #expect(found.problems.isEmpty && found.tornTail == nil && !found.isUncounted)
    }

    @Test func `an empty folder has nothing, and has lost nothing`() throws {
        let found = try LogSalvage(disk: ReadOnlyDisk(), folder: folder, from: nil)
        #expect(found.last == .start && found.mayHaveHeld == .zero)
        #expect(found.problems.isEmpty && !found.isUncounted)
    }

    @Test func `a last group that nobody was told of is torn, and no loss`() throws {
        try SampleLog.write(to: folder)
        let names = try logFiles(folder)
        let last = try #require(names.last)
        try flip(last, at: SegmentedLog.headBytes + 11 * SampleLog.recordBytes + 20)
        let found = try salvage()
        #expect(found.last.index == LogIndex(59) && found.mayHaveHeld == LogIndex(59))
        #expect(found.problems.isEmpty)
        #expect(found.tornTail?.path == folder + "/" + last)
        #expect(found.tornTail?.offset == SegmentedLog.headBytes + 11 * SampleLog.recordBytes)
    }

    /// What it says is what a repair does: of every file, at a record's head, in a payload, and in the file's own head.
    @Test func `damage anywhere is told as opening repairs it`() throws {
        let count = SampleLog.firsts.count
        for file in 0..<count {
            for offset in [8, 40, SegmentedLog.headBytes + 2, SegmentedLog.headBytes + 5 * SampleLog.recordBytes + 100] {
                for isMarked in [false, true] {
                    let temporary = try TemporaryFolder()
                    defer { withExtendedLifetime(temporary) {} }
                    let other = LogSalvageTests(in: temporary)
                    try SampleLog.write(to: other.folder, isMarked: isMarked)
                    let names = try logFiles(other.folder)
                    try other.flip(names[file], at: offset)
                    let found = try other.salvage()
                    let recovery = try readLog(other.folder, repairing: true).recovery
                    #expect(found.last == recovery.last, "file \(file) at \(offset)")
                    #expect(found.mayHaveHeld == recovery.damage?.mayHaveHeld ?? recovery.last.index, "file \(file) at \(offset)")
                    #expect(found.problems.isEmpty == (recovery.damage == nil), "file \(file) at \(offset)")
                    // Once it is on record, it is still told.
                    let later = try other.salvage()
                    #expect(later.last == found.last && later.mayHaveHeld == found.mayHaveHeld, "file \(file) at \(offset)")
                    #expect(later.problems.isEmpty == found.problems.isEmpty, "file \(file) at \(offset)")
                }
            }
        }
    }

    private init(in temporary: TemporaryFolder) { self.temporary = temporary }

    @Test func `damage below a snapshot is no loss`() throws {
        try SampleLog.write(to: folder)
        let names = try logFiles(folder)
        try flip(names[0], at: SegmentedLog.headBytes + 100)
        let found = try salvage(from: snapshot(40))
        #expect(found.last == position(after: SampleLog.entries))
        #expect(found.problems.isEmpty && found.mayHaveHeld == LogIndex(60))
    }

    @Test func `a log that ends below its snapshot goes on after the snapshot, and says what it lacks`() throws {
        try writeLog(folder, groups: SampleLog.prefix(20).map { [$0] })
        let found = try salvage(from: snapshot(40))
        #expect(found.last == position(after: SampleLog.prefix(40)))
        #expect(found.problems.count == 1)
        let installed = try salvage(from: snapshot(40, isInstalled: true))
        #expect(installed.last == position(after: SampleLog.prefix(40)))
        #expect(installed.problems.isEmpty && installed.mayHaveHeld == LogIndex(40))
    }

    @Test func `of a log whose files are all gone nobody knows how far it went`() throws {
        try FileDisk().makeFolder(folder)
        let found = try salvage(from: snapshot(40))
        #expect(found.last == position(after: SampleLog.prefix(40)))
        #expect(found.problems.count == 1 && found.isUncounted)
    }
}
