import Primitives
import Testing

@testable import Storage

/// An installed snapshot takes the place of the log (Raft section 7; SegmentedLog+Truncation.swift).
struct ResetTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private let before = SampleLog.entries
    private let beyond = SegmentedLog.Position(index: LogIndex(100), term: Term(3), chain: 0xABCD)
    private let within = SegmentedLog.Position(index: LogIndex(30), term: Term(3), chain: 0xABCD)

    init() throws { temporary = try TemporaryFolder() }

    private func prepare(_ folder: String) throws { try SampleLog.write(to: folder, isMarked: true) }

    @Test func `the log begins after the snapshot, and is empty`() throws {
        for base in [beyond, within] {
            let place = folder + "-\(base.index)"
            try prepare(place)
            let new = [entry(base.index.number + 1, term: 3)]
            try withLog(place) { log in
                try log.reset(to: base)
                #expect(log.last == base)
                #expect(log.durable == base.index)
                #expect(log.bytesHeld == 0)
                try log.append(new)
                try log.sync()
            }
            let names = try logFiles(place)
            #expect(names.count == 1)
            for isInstalled in [true, false] {
                let (served, recovery) = try readLog(place, from: base, isInstalled: isInstalled)
                #expect(served == new)
                #expect(recovery.damage == nil)
            }
        }
    }

    @Test func `a crash anywhere on the way is finished when it is known that the snapshot was installed`() throws {
        for base in [beyond, within] {
            let new = [entry(base.index.number + 1, term: 3), entry(base.index.number + 2, term: 3)]
            var isStored = false
            try Crash.atEveryChange(
                prepare: prepare,
                act: { disk, folder in
                    isStored = false
                    try withLog(folder, disk: disk) { log in
                        try log.reset(to: base)
                        try log.append(new)
                        try log.sync()
                        isStored = true
                    }
                },
                check: { crash in
                    let (served, recovery) = try readLog(crash.folder, from: base, isInstalled: true)
                    #expect(new.starts(with: served), "at change \(crash.point)")
                    #expect(!isStored || served == new, "at change \(crash.point)")
                    #expect(recovery.last == position(after: served, from: base), "at change \(crash.point)")
                    let (again, _) = try readLog(crash.folder, from: base, isInstalled: true)
                    #expect(again == served, "at change \(crash.point)")
                    let names = try logFiles(crash.folder)
                    #expect(names.count == 1, "at change \(crash.point)")
                })
        }
    }

    /// The last record, which nothing proves to have been on disk.
    private func tear(_ folder: String) throws {
        let path = folder + "/00000000000000000049.log"
        var bytes = try readFile(path)
        bytes[SegmentedLog.headBytes + 11 * SampleLog.recordBytes + 60] ^= 1
        try writeFile(path, bytes)
    }

    @Test func `finishing may crash too, with a torn tail or without`() throws {
        for (base, isTorn) in [(beyond, false), (within, false), (beyond, true)] {
            try Crash.atEveryChange(
                prepare: { folder in
                    try SampleLog.write(to: folder, isMarked: !isTorn)
                    if isTorn { try tear(folder) }
                },
                act: { disk, folder in
                    let log = SegmentedLog(disk: disk, folder: folder, segmentBytes: 4096)
                    defer { log.close() }
                    _ = try log.open(from: base, isInstalled: true) { _ in }
                },
                check: { crash in
                    let (served, recovery) = try readLog(crash.folder, from: base, isInstalled: true)
                    #expect(served.isEmpty, "at change \(crash.point)")
                    #expect(recovery.last == base, "at change \(crash.point)")
                })
        }
    }

    @Test func `a log that ends below a snapshot of its own is a gap, one below an installed snapshot is replaced`() throws {
        try prepare(folder)
        let error = storageError { _ = try readLog(folder, from: beyond) }
        #expect(error == StorageError.gap(path: folder, expected: LogIndex(101), found: LogIndex(61)))
        let (served, recovery) = try readLog(folder, from: beyond, isInstalled: true)
        #expect(served.isEmpty)
        #expect(recovery.last == beyond)
    }

    @Test func `a log of the same history as the installed snapshot keeps what follows it`() throws {
        try prepare(folder)
        for index in [16, 20, 48, 59, 60] {
            let base = position(after: before.prefix(index))
            let (served, _) = try readLog(folder, from: base, isInstalled: true)
            #expect(served == Array(before[index...]), "base \(index)")
        }
        // The snapshot's own writer may not have known the chain.
        let unknown = SegmentedLog.Position(index: LogIndex(20), term: Term(1), chain: 0)
        let (served, _) = try readLog(folder, from: unknown, isInstalled: true)
        #expect(served == Array(before[20...]))
    }

    @Test func `a torn tail below an installed snapshot goes with the log`() throws {
        try SampleLog.write(to: folder)
        try tear(folder)
        let (served, recovery) = try readLog(folder, from: beyond, isInstalled: true)
        #expect(served.isEmpty)
        #expect(recovery.last == beyond)
        #expect(recovery.damage == nil)
    }

    @Test func `what was acknowledged above an installed snapshot and is gone is damage`() throws {
        try prepare(folder)
        // The mark says 60; the files end at 48.
        try FileDisk().remove(folder + "/00000000000000000049.log")
        let base = position(after: before.prefix(50))
        let error = storageError { _ = try readLog(folder, from: base, isInstalled: true) }
        #expect(error == StorageError.gap(path: folder, expected: LogIndex(60), found: LogIndex(48)))
        let (served, recovery) = try readLog(folder, from: base, isInstalled: true, repairing: true)
        #expect(served.isEmpty)
        #expect(recovery.last == base)
        #expect(recovery.damage?.mayHaveHeld == LogIndex(60))
    }
}
