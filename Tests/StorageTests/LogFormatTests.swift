import Primitives
import Testing

@testable import Storage

/// The formats of the log's files: what was written before there were generations is read for ever (SegmentHead.swift, Segment.swift).
struct LogFormatTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private let before = SampleLog.entries

    init() throws { temporary = try TemporaryFolder() }

    /// A log as it was written before: every file of generation zero, named for its first index.
    private func writeOldLog() throws {
        try FileDisk().makeFolder(folder)
        var last = SegmentedLog.Position.start
        for start in stride(from: 0, to: before.count, by: 16) {
            var bytes = SegmentHead(before: last, generation: 0).bytes
            for entry in before[start..<min(start + 16, before.count)] {
                let chain = Record.append(entry, durable: last.index, chain: last.chain, to: &bytes)
                last = .init(index: entry.index, term: entry.term, chain: chain)
            }
            bytes += [UInt8](repeating: 0, count: 4096 - bytes.count)
            try writeFile(folder + "/" + SegmentName(first: LogIndex(UInt64(start) + 1), generation: nil).text, bytes)
        }
    }

    @Test func `a head without a generation is of format 1, one with it of format 2, and these are its bytes`() throws {
        let before = SegmentedLog.Position(index: LogIndex(5), term: Term(3), chain: 0x1122_3344_5566_7788)
        let head = SegmentHead(before: before, generation: 7)
        let golden = bytes(
            hex: """
                445354524c4f4731 02000000 07000000 0500000000000000 0300000000000000 8877665544332211
                0000000000000000000000000000000000000000 e02c077e
                """)
        #expect(head.bytes == golden)
        let read = try SegmentHead(reading: golden, path: "it")
        #expect(read == head)
        let old = SegmentHead(before: .start, generation: 0)
        let oldRead = try SegmentHead(reading: old.bytes, path: "it")
        #expect(oldRead == old)
        #expect(old.bytes[8] == 1)
    }

    @Test func `a head that says what no log writes is damage, though its checksum is right`() {
        func error(_ change: (inout [UInt8]) -> Void) -> StorageError? {
            var bytes = SegmentHead(before: .init(index: LogIndex(5), term: Term(3), chain: 1), generation: 7).bytes
            change(&bytes)
            var seal: [UInt8] = []
            put(checksum(Array(bytes[..<60])), &seal)
            bytes.replaceSubrange(60..<64, with: seal)
            return storageError { _ = try SegmentHead(reading: bytes, path: "it") }
        }
        let impossible = StorageError.damaged(path: "it", offset: 0, reason: "the segment's head says what no log writes")
        #expect(error { $0[8] = 1 } == impossible)
        #expect(error { $0[12] = 0 } == impossible)
        #expect(error { for place in 12..<16 { $0[place] = 0xFF } } == impossible)
        #expect(error { for place in 16..<24 { $0[place] = 0xFF } } == impossible)
        #expect(error { $0[8] = 3 } == StorageError.newerFormat(path: "it", found: "format 3", supported: 2))
        #expect(error { _ in } == nil)
    }

    @Test func `an old log is read, appended to, truncated and read again`() throws {
        try writeOldLog()
        let (served, recovery) = try readLog(folder)
        #expect(served == before)
        #expect(recovery.last == position(after: before))
        let more = (UInt64(61)...90).map { entry($0, term: 2, bytes: 200) }
        try withLog(folder) { log in
            try log.append(more)
            try log.sync()
        }
        let (appended, _) = try readLog(folder)
        #expect(appended == before + more)
        let new = (UInt64(21)...40).map { entry($0, term: 3, bytes: 200, mark: 3) }
        try withLog(folder) { log in
            try log.truncate(after: LogIndex(20))
            try log.append(new)
            try log.sync()
        }
        let (truncated, _) = try readLog(folder)
        #expect(truncated == Array(before.prefix(20)) + new)
        let names = try logFiles(folder)
        #expect(
            names == [
                "00000000000000000001.log", "00000000000000000017.log", "00000000000000000021.log", "00000000000000000037.log",
            ])
    }

    @Test func `an old file that holds more than the next begins with is no truncation`() throws {
        try writeOldLog()
        // The second file lost, and the third begins inside the first by a head of the old format.
        try FileDisk().remove(folder + "/00000000000000000017.log")
        let path = folder + "/00000000000000000033.log"
        var bytes = try readFile(path)
        bytes.replaceSubrange(0..<64, with: SegmentHead(before: position(after: before.prefix(8)), generation: 0).bytes)
        try writeFile(path, bytes)
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.gap(path: path, expected: LogIndex(17), found: LogIndex(9)))
    }

    @Test func `a later file that begins inside the log by another history is damage`() throws {
        try writeOldLog()
        var strange = position(after: before.prefix(20))
        strange.chain ^= 1
        var bytes = SegmentHead(before: strange, generation: 1).bytes
        bytes += [UInt8](repeating: 0, count: 4096 - bytes.count)
        let path = folder + "/00000000000000000021.log"
        try writeFile(path, bytes)
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.damaged(path: path, offset: 0, reason: "it does not continue the segment before it"))
    }

    @Test func `two files of one generation are damage`() throws {
        try SampleLog.write(to: folder)
        let copy = try readFile(folder + "/00000000000000000033.log")
        let path = folder + "/00000000000000000033.7.log"
        try writeFile(path, copy)
        let error = storageError { _ = try readLog(folder) }
        guard case .damaged(_, 0, let reason)? = error else {
            Issue.record("\(String(describing: error)) is no damage")
            return
        }
        #expect(reason == "another segment has its place in the log")
    }

    @Test(
        arguments: [
            ("00000000000000000001.log", 1, nil), ("00000000000000000017.4.log", 17, 4),
            ("00000000000000000017.4294967295.log.damaged", 17, 4_294_967_295),
            ("7.log.damaged", 7, nil),
        ] as [(String, UInt64, UInt32?)])
    func `a name tells the first index, and the generation where it is there`(text: String, first: UInt64, generation: UInt32?) {
        let name = SegmentName(text)
        #expect(name == SegmentName(first: LogIndex(first), generation: generation))
    }

    @Test(arguments: [
        "", ".log", "x.log", "next.tmp", "durable", "00000000000000000000.log", "1.log.old", "1.2.3.log", "1..log", "-1.log", "+1.log",
        "1.x.log",
        "18446744073709551615.log", "99999999999999999999999.log", "1.4294967296.log",
    ])
    func `a name that no log gives tells nothing`(text: String) {
        #expect(SegmentName(text) == nil)
    }

    @Test func `names are made as they are read`() {
        #expect(SegmentName(first: LogIndex(1), generation: nil).text == "00000000000000000001.log")
        #expect(SegmentName(first: LogIndex(4_611_686_018_427_387_905), generation: 12).text == "04611686018427387905.12.log")
    }
}
