import Primitives
import Testing

@testable import Storage

/// Entries are read from anywhere in the log without going through whole files (SegmentedLog+Reading.swift).
struct LogReadingTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private let all = SampleLog.entries

    init() throws { temporary = try TemporaryFolder() }

    private func indexes(_ entries: [LogEntry]) -> [UInt64] { entries.map(\.index.number) }

    @Test func `every stretch reads as it was written, over files too`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            for first in 1...60 {
                for last in [first, min(60, first + 20), 60] {
                    let read = try log.entries(from: LogIndex(UInt64(first)), through: LogIndex(UInt64(last)), maxBytes: .max)
                    #expect(read == Array(all[first - 1..<last]), "\(first) to \(last)")
                }
            }
        }
    }

    @Test func `at least one entry comes, then as many as fit`() throws {
        try SampleLog.write(to: folder)
        let size = Record.size(payload: 200)
        try withLog(folder) { log in
            for (maxBytes, count) in [(-1, 1), (0, 1), (1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (40 * size, 40)] {
                let read = try log.entries(from: LogIndex(10), through: LogIndex(60), maxBytes: maxBytes)
                #expect(read == Array(all[9..<9 + count]), "\(maxBytes) bytes")
            }
        }
    }

    @Test func `beyond the end there is nothing, and an end before the beginning is empty`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            let beyond = try log.entries(from: LogIndex(61), through: LogIndex(99), maxBytes: .max)
            #expect(beyond.isEmpty)
            let backwards = try log.entries(from: LogIndex(20), through: LogIndex(19), maxBytes: .max)
            #expect(backwards.isEmpty)
            let over = try log.entries(from: LogIndex(59), through: LogIndex(.max), maxBytes: .max)
            #expect(indexes(over) == [59, 60])
        }
    }

    @Test func `what was appended is read before it is synced`() throws {
        try withLog(folder) { log in
            try log.append(all)
            let read = try log.entries(from: LogIndex(1), through: LogIndex(60), maxBytes: .max)
            #expect(read == all)
        }
    }

    @Test func `what is compacted is refused by the first index that is there`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            try log.compact(through: LogIndex(40))
            #expect(log.firstIndex == LogIndex(33))
            for index in [UInt64(0), 1, 32] {
                let error = storageError { _ = try log.entries(from: LogIndex(index), through: LogIndex(60), maxBytes: .max) }
                #expect(error == StorageError.gap(path: folder, expected: LogIndex(index), found: LogIndex(33)))
            }
            let read = try log.entries(from: LogIndex(33), through: LogIndex(60), maxBytes: .max)
            #expect(read == Array(all[32...]))
            let error = storageError { _ = try log.position(at: LogIndex(31)) }
            #expect(error == StorageError.gap(path: folder, expected: LogIndex(31), found: LogIndex(33)))
        }
    }

    @Test func `every entry's position is known, and that of the one before the first`() throws {
        let base = SegmentedLog.Position(index: LogIndex(100), term: Term(4), chain: 77)
        let new = (UInt64(101)...160).map { entry($0, term: $0 / 20, bytes: 200) }
        try withLog(folder, from: base) { log in
            try log.append(new)
            for count in 0...60 {
                let found = try log.position(at: LogIndex(100 + UInt64(count)))
                #expect(found == position(after: new.prefix(count), from: base), "\(count)")
            }
            let beyond = try log.position(at: LogIndex(161))
            #expect(beyond == nil)
        }
    }

    @Test func `a read of a large file reads about as much as it returns`() throws {
        let large = entries(1...1500, bytes: 1000)
        let bytes = ReadBytes()
        let log = SegmentedLog(disk: bytes.disk, folder: folder, segmentBytes: 8 << 20)
        defer { log.close() }
        _ = try log.open(from: .start) { _ in }
        for start in stride(from: 0, to: large.count, by: 500) { try log.append(Array(large[start..<start + 500])) }
        for first in [UInt64(1), 77, 900, 1499] {
            bytes.forget()
            let read = try log.entries(from: LogIndex(first), through: LogIndex(first + 1), maxBytes: .max)
            #expect(indexes(read) == [first, first + 1])
            #expect(bytes.count <= 3 * 128 << 10, "from \(first)")
        }
        log.close()
        // Opening finds the same places.
        let again = SegmentedLog(disk: bytes.disk, folder: folder, segmentBytes: 8 << 20)
        defer { again.close() }
        _ = try again.open(from: .start) { _ in }
        bytes.forget()
        let read = try again.entries(from: LogIndex(1000), through: LogIndex(1000), maxBytes: .max)
        #expect(read == [large[999]])
        #expect(bytes.count <= 3 * 128 << 10)
    }

    @Test func `a byte that changed since is damage to the reader, where it lies`() throws {
        try SampleLog.write(to: folder)
        try withLog(folder) { log in
            let path = folder + "/00000000000000000017.log"
            let whole = try readFile(path)
            let start = SegmentedLog.headBytes + 3 * Record.size(payload: 200)
            for place in [0, 3, 5, 16, 32, 44, 48, 100] {
                var bytes = whole
                bytes[start + place] ^= 0x81
                try writeFile(path, bytes)
                let error = storageError { _ = try log.entries(from: LogIndex(17), through: LogIndex(60), maxBytes: .max) }
                guard case .damaged(let found, let offset, _)? = error else {
                    Issue.record("\(String(describing: error)) is no damage: byte \(place)")
                    continue
                }
                #expect(found == path)
                #expect(offset == start)
            }
            try writeFile(path, Array(whole[..<start]))
            let error = storageError { _ = try log.entries(from: LogIndex(17), through: LogIndex(60), maxBytes: .max) }
            #expect(error == StorageError.damaged(path: path, offset: start, reason: "the file ends inside a record"))
        }
    }

    @Test func `a sparse index leads to the last point that is not after what is wanted`() {
        func place(_ index: UInt64) -> SegmentedLog.Position { .init(index: LogIndex(index), term: Term(1), chain: index) }
        var index = SparseIndex(place(10))
        for number in UInt64(11)...100 { index.note(place(number), at: SegmentedLog.headBytes + Int(number - 10) * 10_000) }
        #expect(index.points.map(\.before.index.number) == [10, 17, 24, 31, 38, 45, 52, 59, 66, 73, 80, 87, 94])
        for number in UInt64(0)...110 {
            let point = index.point(notAfter: LogIndex(number))
            let expected = index.points.last { $0.before.index.number <= number } ?? index.points[0]
            #expect(point == expected, "\(number)")
        }
        index.cut(after: LogIndex(30))
        #expect(index.points.map(\.before.index.number) == [10, 17, 24])
        index.cut(after: LogIndex(0))
        #expect(index.points.count == 1)
    }
}
