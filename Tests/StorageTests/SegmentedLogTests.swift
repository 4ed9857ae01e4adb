import Primitives
import Testing

@testable import Storage

/// The log on disk: what was written reads back, in files of a fixed size (SegmentedLog.swift).
struct SegmentedLogTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }

    init() throws { temporary = try TemporaryFolder() }

    private func files() throws -> [String] { try FileDisk().list(folder).filter { $0.hasSuffix(".log") } }

    @Test func `an empty log opens at its start, and again`() throws {
        for _ in 0..<2 {
            let (served, recovery) = try readLog(folder)
            #expect(served.isEmpty)
            #expect(recovery == SegmentedLog.Recovery(last: SegmentedLog.Position.start))
        }
        let names = try files()
        #expect(names == ["00000000000000000001.log"])
    }

    @Test func `the head of a first segment is these bytes for ever`() throws {
        try writeLog(folder, groups: [])
        let file = try readFile(folder + "/00000000000000000001.log")
        let golden = bytes(hex: "445354524c4f4731 01000000" + String(repeating: "00", count: 48) + "bf7f88a6")
        #expect(Array(file[..<64]) == golden)
        #expect(file.count == 4096)
        #expect(file[64...].allSatisfy { $0 == 0 })
    }

    @Test func `entries of any size read back equal`() throws {
        let written = [0, 1, 7, 8, 9, 300, 1000].enumerated().map { position, size in entry(UInt64(position + 1), bytes: size) }
        try writeLog(folder, groups: written.map { [$0] })
        let (served, recovery) = try readLog(folder)
        #expect(served == written)
        #expect(recovery.last.index == LogIndex(7))
        #expect(recovery.entries == 7)
        let size = written.reduce(0) { $0 + Record.size(payload: $1.payload.count) }
        #expect(recovery.bytes == size)
        #expect(recovery.cut?.offset == nil)
    }

    @Test func `an entry is served with what was durable when it was written, and the chain goes on over reopening`() throws {
        try writeLog(folder, groups: [entries(1...2), entries(3...3)])
        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        defer { log.close() }
        var records: [Record] = []
        _ = try log.open(from: .start) { records.append($0) }
        #expect(records.map(\.durable.number) == [0, 0, 2])
        #expect(log.durable == LogIndex(3))
        #expect(log.last == SegmentedLog.Position(index: LogIndex(3), term: Term(1), chain: records[2].chain))
        try log.append([entry(4)])
        #expect(log.durable == LogIndex(3))
        #expect(log.last.index == LogIndex(4))
        try log.sync()
        #expect(log.durable == LogIndex(4))
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...4))
    }

    @Test func `many entries fill many files of one size, whatever the groups`() throws {
        for seed in UInt64(1)...3 {
            let place = folder + "-\(seed)"
            var generator = SeededGenerator(seed: seed)
            let written = (UInt64(1)...300).map { entry($0, term: $0 / 50 + 1, bytes: Int.random(in: 0...400, using: &generator)) }
            var rest = written[...]
            var groups: [[LogEntry]] = []
            while !rest.isEmpty {
                groups.append(Array(rest.prefix(Int.random(in: 1...60, using: &generator))))
                rest = rest.dropFirst(groups[groups.count - 1].count)
            }
            try writeLog(place, groups: groups)
            let names = try FileDisk().list(place)
            #expect(names.count > 10, "seed \(seed)")
            for name in names {
                let file = try readFile(place + "/" + name)
                #expect(file.count == 4096, "seed \(seed), \(name)")
            }
            let (served, recovery) = try readLog(place)
            #expect(served == written, "seed \(seed)")
            #expect(recovery.cut?.offset == nil, "seed \(seed)")
        }
    }

    @Test func `a log closed after every group goes on where it was`() throws {
        for index in UInt64(1)...40 {
            let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
            let recovery = try log.open(from: .start) { _ in }
            #expect(recovery.last.index == LogIndex(index - 1))
            try log.append([entry(index, bytes: 200)])
            try log.sync()
            try log.prepareAhead()
            log.close()
        }
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...40, bytes: 200))
    }

    @Test(arguments: [UInt64(1), 2, 20])
    func `an entry larger than a file gets one of its own size`(large: UInt64) throws {
        let written = (UInt64(1)...30).map { entry($0, bytes: $0 == large ? 10_000 : 200) }
        try writeLog(folder, groups: written.map { [$0] })
        let (served, recovery) = try readLog(folder)
        #expect(served == written)
        #expect(recovery.cut?.offset == nil)
        let together = folder + "-together"
        try writeLog(together, groups: [written])
        let (again, _) = try readLog(together)
        #expect(again == written)
    }

    @Test func `files prepared ahead are used, and change nothing`() throws {
        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        _ = try log.open(from: .start) { _ in }
        for index in UInt64(1)...100 {
            try log.append([entry(index, bytes: 100)])
            try log.sync()
            try log.prepareAhead()
        }
        let held = log.bytesHeld
        log.close()
        let (served, recovery) = try readLog(folder)
        #expect(served == entries(1...100, bytes: 100))
        #expect(recovery.bytes == held)
    }

    @Test func `opening from a base serves what comes after it`() throws {
        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        _ = try log.open(from: .start) { _ in }
        var positions = [SegmentedLog.Position.start]
        for index in UInt64(1)...60 {
            try log.append([entry(index, bytes: 200)])
            positions.append(log.last)
        }
        try log.sync()
        log.close()
        for base in [0, 1, 17, 18, 59, 60] {
            let (served, recovery) = try readLog(folder, from: positions[base])
            let expected = Array((UInt64(base) + 1)..<61)
            #expect(served.map(\.index.number) == expected, "base \(base)")
            #expect(recovery.last == positions[60], "base \(base)")
            #expect(recovery.entries == 60 - base, "base \(base)")
        }
        let beyond = SegmentedLog.Position(index: LogIndex(61), term: Term(1), chain: 0)
        let error = storageError { _ = try readLog(folder, from: beyond) }
        #expect(error == StorageError.gap(path: folder, expected: LogIndex(62), found: LogIndex(61)))
    }

    @Test func `a log may begin at a snapshot's position`() throws {
        let base = SegmentedLog.Position(index: LogIndex(100), term: Term(4), chain: 77)
        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        _ = try log.open(from: base) { _ in }
        try log.append([entry(101, term: 5)])
        try log.sync()
        log.close()
        let names = try files()
        #expect(names == ["00000000000000000101.log"])
        let (served, _) = try readLog(folder, from: base)
        #expect(served == [entry(101, term: 5)])
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.gap(path: folder + "/" + names[0], expected: LogIndex(1), found: LogIndex(101)))
    }

    @Test func `compaction removes only files whose every entry is in the snapshot`() throws {
        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        defer { log.close() }
        _ = try log.open(from: .start) { _ in }
        var positions = [SegmentedLog.Position.start]
        for index in UInt64(1)...100 {
            try log.append([entry(index, bytes: 200)])
            positions.append(log.last)
        }
        try log.sync()
        let firsts = try files().compactMap { UInt64($0.dropLast(4)) }
        try #require(firsts.count > 4)
        var held = log.bytesHeld
        for through in [UInt64(0), firsts[1] - 2, firsts[1] - 1, firsts[2], firsts[4] - 1, 100] {
            try log.compact(through: LogIndex(through))
            let left = try files().compactMap { UInt64($0.dropLast(4)) }
            let firstKept = firsts.lastIndex { $0 <= through + 1 } ?? 0
            let expected = Array(firsts[firstKept...])
            #expect(left == expected, "through \(through)")
            #expect(log.bytesHeld <= held, "through \(through)")
            held = log.bytesHeld
            let (served, _) = try readLog(folder, from: positions[Int(through)])
            let kept = positions[(Int(through) + 1)...].map { entry($0.index.number, bytes: 200) }
            #expect(served == kept, "through \(through)")
        }
        try log.append([entry(101, bytes: 200)])
        try log.sync()
        let (served, _) = try readLog(folder, from: positions[100])
        #expect(served == [entry(101, bytes: 200)])
    }

    @Test func `a missing file is a gap`() throws {
        try writeLog(folder, groups: entries(1...80, bytes: 200).map { [$0] })
        let names = try files()
        try #require(names.count > 3)
        let firsts = names.compactMap { UInt64($0.dropLast(4)) }
        let middle = try readFile(folder + "/" + names[1])
        try FileDisk().remove(folder + "/" + names[1])
        let inside = storageError { _ = try readLog(folder) }
        #expect(inside == StorageError.gap(path: folder + "/" + names[2], expected: LogIndex(firsts[1]), found: LogIndex(firsts[2])))
        try writeFile(folder + "/" + names[1], middle)
        let (served, _) = try readLog(folder)
        #expect(served.count == 80)
        try FileDisk().remove(folder + "/" + names[0])
        let first = storageError { _ = try readLog(folder) }
        #expect(first == StorageError.gap(path: folder + "/" + names[1], expected: LogIndex(1), found: LogIndex(firsts[1])))
    }
}
