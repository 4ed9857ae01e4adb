import Primitives
import Testing

@testable import Storage

/// A tail that was never acknowledged is cut; damage anywhere else stops the node and changes nothing (Record.swift).
struct SegmentedLogDamageTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private var first: String { folder + "/00000000000000000001.log" }

    init() throws { temporary = try TemporaryFolder() }

    /// Where a record of 16 bytes begins when all before it are alike.
    private func start(of index: Int) -> Int { SegmentedLog.headBytes + (index - 1) * Record.size(payload: 16) }

    /// Opens the log and expects damage, with the file as it was.
    private func expectDamage(_ path: String, at offset: Int, _ comment: Comment) throws {
        let before = try readFile(path)
        let error = storageError { _ = try readLog(folder) }
        guard case .damaged(let foundPath, let foundOffset, _)? = error else {
            Issue.record("\(String(describing: error)) is no damage: \(comment)")
            return
        }
        #expect(foundPath == path, comment)
        #expect(foundOffset == offset, comment)
        let after = try readFile(path)
        #expect(after == before, comment)
    }

    @Test func `a torn tail is cut and told, and the log goes on after it`() throws {
        try writeLog(folder, groups: entries(1...6).map { [$0] })
        let garbage = (0..<Record.size(payload: 16)).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
        var file = try readFile(first)
        file.replaceSubrange(start(of: 6)..<start(of: 7), with: garbage)
        try writeFile(first, file)
        let (served, recovery) = try readLog(folder)
        #expect(served == entries(1...5))
        #expect(recovery.last.index == LogIndex(5))
        #expect(recovery.cut?.path == first)
        #expect(recovery.cut?.offset == start(of: 6))
        let cut = try readFile(first)
        #expect(cut.count == 4096)
        #expect(cut[start(of: 6)...].allSatisfy { $0 == 0 })

        let log = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 4096)
        let again = try log.open(from: .start) { _ in }
        #expect(again.cut?.offset == nil)
        try log.append([entry(6, term: 2, mark: 9), entry(7, term: 2)])
        try log.sync()
        log.close()
        let (after, _) = try readLog(folder)
        let expected = entries(1...5) + [entry(6, term: 2, mark: 9), entry(7, term: 2)]
        #expect(after == expected)
    }

    @Test func `of a torn group, what stands before the tear is kept and all after it is cut`() throws {
        try writeLog(folder, groups: [entries(1...2), entries(3...6)])
        var file = try readFile(first)
        file[start(of: 4) + 50] ^= 0x10
        try writeFile(first, file)
        let (served, recovery) = try readLog(folder)
        #expect(served == entries(1...3))
        #expect(recovery.cut?.offset == start(of: 4))
        let cut = try readFile(first)
        #expect(cut[start(of: 4)...].allSatisfy { $0 == 0 })
    }

    @Test func `a last group torn anywhere, by garbage or by zeros, leaves a true beginning of the log`() throws {
        var groups = entries(1...3).map { [$0] }
        groups.append(entries(4...7))
        try writeLog(folder, groups: groups)
        let all = entries(1...7)
        let whole = try readFile(first)
        let seed: UInt64 = 64
        var generator = SeededGenerator(seed: seed)
        for round in 0..<150 {
            let tear = Int.random(in: start(of: 4)..<start(of: 8), using: &generator)
            let isZeroed = Bool.random(using: &generator)
            var file = whole
            for place in tear..<start(of: 8) { file[place] = isZeroed ? 0 : UInt8.random(in: 0...255, using: &generator) }
            try writeFile(first, file)
            let (served, recovery) = try readLog(folder)
            let intact = (tear - SegmentedLog.headBytes) / Record.size(payload: 16)
            #expect(served == Array(all.prefix(served.count)), "seed \(seed), round \(round)")
            #expect(served.count >= intact, "seed \(seed), round \(round)")
            #expect(recovery.last.index == LogIndex(UInt64(served.count)), "seed \(seed), round \(round)")
        }
    }

    @Test func `damage before a record that proves it was durable stops, and changes nothing`() throws {
        try writeLog(folder, groups: entries(1...8).map { [$0] })
        let whole = try readFile(first)
        for (index, place) in [(1, 0), (3, 20), (3, 55), (5, 47), (7, 60)] {
            var file = whole
            file[start(of: index) + place] ^= 0x80
            try writeFile(first, file)
            try expectDamage(first, at: start(of: index), "record \(index), byte \(place)")
        }
        for index in [1, 4, 7] {
            var file = whole
            for place in start(of: index)..<start(of: index + 1) { file[place] = 0 }
            try writeFile(first, file)
            try expectDamage(first, at: start(of: index), "record \(index) zeroed")
        }
        try writeFile(first, whole)
        let (served, _) = try readLog(folder)
        #expect(served == entries(1...8))
    }

    @Test func `damage in any file but the last stops, even at its end`() throws {
        try writeLog(folder, groups: [entries(1...200)])
        let names = try FileDisk().list(folder)
        try #require(names.count > 2)
        let path = folder + "/" + names[1]
        var file = try readFile(path)
        let lastByte = file.lastIndex { $0 != 0 }
        let end = try #require(lastByte)
        file[end] ^= 1
        try writeFile(path, file)
        let record = (end - SegmentedLog.headBytes) / Record.size(payload: 16)
        try expectDamage(path, at: SegmentedLog.headBytes + record * Record.size(payload: 16), "the last record of the second file")
    }

    @Test func `a lost end of any file but the last is a gap`() throws {
        try writeLog(folder, groups: [entries(1...200)])
        let names = try FileDisk().list(folder)
        try #require(names.count > 2)
        let second = try #require(UInt64(names[1].dropLast(4)))
        var file = try readFile(first)
        for place in start(of: Int(second) - 1)..<file.count { file[place] = 0 }
        try writeFile(first, file)
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.gap(path: folder + "/" + names[1], expected: LogIndex(second - 1), found: LogIndex(second)))
    }

    @Test func `a whole record of another history is not served`() throws {
        let other = temporary.path + "/other"
        try writeLog(folder, groups: entries(1...4).map { [$0] })
        try writeLog(other, groups: entries(1...4, mark: 40).map { [$0] })
        let foreign = try readFile(other + "/00000000000000000001.log")
        var file = try readFile(first)
        file.replaceSubrange(start(of: 2)..<start(of: 3), with: foreign[start(of: 2)..<start(of: 3)])
        try writeFile(first, file)
        try expectDamage(first, at: start(of: 2), "record 2 of another log")
    }

    @Test func `every single flipped bit is refused, cut off an end that nothing proves, or harmless; never served`() throws {
        try writeLog(folder, groups: entries(1...3).map { [$0] })
        let whole = try readFile(first)
        for bit in 0..<(start(of: 4) + 8) * 8 {
            var file = whole
            file[bit / 8] ^= 1 << UInt8(bit % 8)
            try writeFile(first, file)
            do {
                let (served, recovery) = try readLog(folder)
                let proven = bit / 8 >= start(of: 4) ? 3 : 2
                #expect(bit / 8 >= start(of: 3), "bit \(bit) was not seen")
                #expect(served == entries(1...UInt64(proven)), "bit \(bit)")
                #expect(recovery.cut?.offset == start(of: proven + 1), "bit \(bit)")
            } catch StorageError.damaged(let path, let offset, _) {
                let record = (bit / 8 - SegmentedLog.headBytes) / Record.size(payload: 16) + 1
                #expect(path == first, "bit \(bit)")
                #expect(bit / 8 < start(of: 3), "bit \(bit) is not damage")
                #expect(offset == (bit / 8 < SegmentedLog.headBytes ? 0 : start(of: record)), "bit \(bit)")
                let after = try readFile(first)
                #expect(after == file, "bit \(bit)")
            }
        }
    }

    @Test func `a file of a newer format is refused by name`() throws {
        try writeLog(folder, groups: [entries(1...3)])
        var file = try readFile(first)
        file[8] = 3
        var seal: [UInt8] = []
        put(checksum(Array(file[..<60])), &seal)
        file.replaceSubrange(60..<64, with: seal)
        try writeFile(first, file)
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.newerFormat(path: first, found: "format 3", supported: 2))
        // Not damage that could be repaired, either.
        let repairing = storageError { _ = try readLog(folder, repairing: true) }
        #expect(repairing == error)
    }

    @Test func `a file that is no segment, or too short for one, is damage`() throws {
        try FileDisk().makeFolder(folder)
        let contents: [[UInt8]] = [
            [], Array("hello".utf8), [UInt8](repeating: 0, count: 4096), [UInt8](repeating: 7, count: 4096),
        ]
        for content in contents {
            try writeFile(first, content)
            try expectDamage(first, at: 0, "\(content.count) bytes")
        }
    }
}
