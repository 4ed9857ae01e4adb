import Primitives
import Testing

@testable import Storage

/// Damage to what was acknowledged is told apart from a torn tail, told to the caller, and remembered until peers have made it good
/// (SegmentedLog+Recovery.swift).
struct LogRepairTests {
    private let temporary: TemporaryFolder
    private var folder: String { temporary.path + "/log" }
    private static let size = SampleLog.recordBytes
    private let before = SampleLog.entries

    init() throws { temporary = try TemporaryFolder() }

    /// A place in one of the log's files, and the last entry that stands before it.
    struct Wound: CustomTestStringConvertible, Sendable {
        var file: UInt64
        var offset: Int
        var place: Int
        var lastGood: UInt64
        var testDescription: String { "byte \(offset + place) of file \(file)" }

        var name: String { SegmentName(first: LogIndex(file), generation: nil).text }
    }

    /// Head, and length, index, chain, checksum and body of a record, in the first, a middle and the last file.
    static let wounds: [Wound] = SampleLog.firsts.flatMap { first in
        [0, 9, 20, 60].map { Wound(file: first, offset: 0, place: $0, lastGood: first - 1) }
            + [0, 4].flatMap { record in
                [0, 3, 16, 32, 44, 48, 120].map {
                    Wound(file: first, offset: SegmentedLog.headBytes + record * size, place: $0, lastGood: first - 1 + UInt64(record))
                }
            }
    }

    private func wound(_ wound: Wound, in folder: String) throws {
        var bytes = try readFile(folder + "/" + wound.name)
        bytes[wound.offset + wound.place] ^= 0x41
        try writeFile(folder + "/" + wound.name, bytes)
    }

    /// That nothing which was in a folder is lost: it is there under its name or set aside.
    private func expectKept(_ old: [String: [UInt8]], in folder: String) throws {
        let new = try contents(folder)
        for name in old.keys.sorted() where name.hasSuffix(".log") {
            #expect(new[name] == old[name] || new[name + ".damaged"] == old[name], "\(name)")
        }
    }

    @Test(arguments: wounds)
    func `damage stops an opening that does not repair, and nothing is changed`(wound: Wound) throws {
        try SampleLog.write(to: folder)
        try self.wound(wound, in: folder)
        let files = try contents(folder)
        let error = storageError { _ = try readLog(folder) }
        guard case .damaged(let path, let offset, _)? = error else {
            Issue.record("\(String(describing: error)) is no damage")
            return
        }
        #expect(path == folder + "/" + wound.name)
        #expect(offset == wound.offset)
        let after = try contents(folder)
        #expect(after == files)
    }

    @Test(arguments: wounds)
    func `repairing, what stands before it stays, the rest is set aside, and the loss is remembered until it is made good`(wound: Wound)
        throws
    {
        try SampleLog.write(to: folder)
        try self.wound(wound, in: folder)
        let files = try contents(folder)
        let kept = Array(before.prefix(Int(wound.lastGood)))

        let (served, recovery) = try readLog(folder, repairing: true)
        #expect(served == kept)
        #expect(recovery.last == position(after: kept))
        let damage = try #require(recovery.damage)
        #expect(damage.path == folder + "/" + wound.name)
        #expect(damage.offset == wound.offset)
        #expect(damage.lastGood == position(after: kept))
        #expect(damage.mayHaveHeld == LogIndex(60))
        try expectKept(files, in: folder)

        for repairing in [false, true] {
            let (again, next) = try readLog(folder, repairing: repairing)
            #expect(again == kept)
            #expect(next.damage == damage)
        }
        let new = (wound.lastGood + 1...60).map { entry($0, term: 2, bytes: 200, mark: 2) }
        try withLog(folder) { log in
            #expect(log.damage == damage)
            try log.append(new)
            try log.sync()
            try log.compact(through: LogIndex(60))
        }
        try expectKept(files.filter { $0.key >= wound.name }, in: folder)
        try withLog(folder, from: position(after: kept + new)) { log in
            try log.didRepair()
            try log.compact(through: LogIndex(59))
            let held = try FileDisk().list(folder).filter { $0.hasSuffix(".damaged") }
            #expect(!held.isEmpty)
            try log.compact(through: LogIndex(60))
            let left = try FileDisk().list(folder).filter { $0.hasSuffix(".damaged") }
            #expect(left.isEmpty)
        }
        let (_, last) = try readLog(folder, from: position(after: kept + new))
        #expect(last.damage == nil)
        #expect(last.last == position(after: kept + new))
    }

    @Test(arguments: [
        Wound(file: 17, offset: 0, place: 20, lastGood: 16), Wound(file: 49, offset: 0, place: 20, lastGood: 48),
        Wound(file: 17, offset: SegmentedLog.headBytes, place: 60, lastGood: 16),
        Wound(file: 33, offset: SegmentedLog.headBytes + 4 * size, place: 60, lastGood: 36),
        Wound(file: 49, offset: SegmentedLog.headBytes + 4 * size, place: 60, lastGood: 52),
    ])
    func `a crash at any change of a repair is repaired the same way`(wound: Wound) throws {
        let kept = Array(before.prefix(Int(wound.lastGood)))
        var files: [String: [UInt8]] = [:]
        try Crash.atEveryChange(
            prepare: { folder in
                try SampleLog.write(to: folder, isMarked: true)
                try self.wound(wound, in: folder)
                files = try contents(folder)
            },
            act: { disk, folder in
                let log = SegmentedLog(disk: disk, folder: folder, segmentBytes: 4096)
                defer { log.close() }
                _ = try log.open(from: .start, repairing: true) { _ in }
            },
            check: { crash in
                let (served, recovery) = try readLog(crash.folder, repairing: true)
                #expect(served == kept, "at change \(crash.point)")
                #expect(recovery.damage?.lastGood == position(after: kept), "at change \(crash.point)")
                #expect(recovery.damage?.mayHaveHeld == LogIndex(60), "at change \(crash.point)")
                try expectKept(files, in: crash.folder)
                let (again, _) = try readLog(crash.folder)
                #expect(again == kept, "at change \(crash.point)")
            })
    }

    @Test func `a torn tail is no damage, repairing or not`() throws {
        try SampleLog.write(to: folder)
        try wound(Wound(file: 49, offset: SegmentedLog.headBytes + 11 * Self.size, place: 60, lastGood: 59), in: folder)
        let files = try contents(folder)
        for repairing in [false, true] {
            let place = folder + "-\(repairing)"
            try FileDisk().makeFolder(place)
            for name in files.keys.sorted() { try writeFile(place + "/" + name, files[name] ?? []) }
            let (served, recovery) = try readLog(place, repairing: repairing)
            #expect(served == Array(before.prefix(59)))
            #expect(recovery.damage == nil)
            #expect(recovery.cut?.offset == SegmentedLog.headBytes + 11 * Self.size)
        }
    }

    @Test func `the mark makes damage of what would else be a torn tail, and of a lost end`() throws {
        let last = Wound(file: 49, offset: SegmentedLog.headBytes + 11 * Self.size, place: 60, lastGood: 59)
        try SampleLog.write(to: folder, isMarked: true)
        var bytes = try readFile(folder + "/" + last.name)
        let whole = bytes
        try wound(last, in: folder)
        guard case .damaged? = storageError({ _ = try readLog(folder) }) else {
            Issue.record("what the mark names was cut")
            return
        }
        // The last six entries gone without a trace.
        bytes.replaceSubrange(
            SegmentedLog.headBytes + 6 * Self.size..<bytes.count,
            with: [UInt8](repeating: 0, count: bytes.count - SegmentedLog.headBytes - 6 * Self.size))
        try writeFile(folder + "/" + last.name, bytes)
        let error = storageError { _ = try readLog(folder) }
        #expect(error == StorageError.gap(path: folder, expected: LogIndex(60), found: LogIndex(54)))
        let (served, recovery) = try readLog(folder, repairing: true)
        #expect(served == Array(before.prefix(54)))
        #expect(recovery.damage?.lastGood.index == LogIndex(54))
        #expect(recovery.damage?.mayHaveHeld == LogIndex(60))
        let (again, next) = try readLog(folder)
        #expect(again == served)
        #expect(next.damage == recovery.damage)
        #expect(whole.count == bytes.count)
    }

    @Test func `a mark that cannot be read proves nothing, and the log opens by its records`() throws {
        try SampleLog.write(to: folder, isMarked: true)
        let mark = try readFile(folder + "/durable")
        var changed: [[UInt8]] = [[], [1], mark + [0], [UInt8](repeating: 0xFF, count: 12)]
        for place in mark.indices {
            var bytes = mark
            bytes[place] ^= 0x10
            changed.append(bytes)
        }
        for bytes in changed {
            try writeFile(folder + "/durable", bytes)
            for repairing in [false, true] {
                let (served, recovery) = try readLog(folder, repairing: repairing)
                #expect(served == before)
                #expect(recovery.damage == nil)
            }
        }
    }

    @Test(arguments: [UInt64(1), 17, 33, 49])
    func `a missing file is damage that ends before it`(file: UInt64) throws {
        try SampleLog.write(to: folder, isMarked: true)
        try FileDisk().remove(folder + "/" + SegmentName(first: LogIndex(file), generation: nil).text)
        let files = try contents(folder)
        let error = storageError { _ = try readLog(folder) }
        guard case .gap? = error else {
            Issue.record("\(String(describing: error)) is no gap")
            return
        }
        let unchanged = try contents(folder)
        #expect(unchanged == files)
        let (served, recovery) = try readLog(folder, repairing: true)
        #expect(served == Array(before.prefix(Int(file) - 1)))
        #expect(recovery.damage?.lastGood.index == LogIndex(file - 1))
        #expect(recovery.damage?.mayHaveHeld == LogIndex(60))
        try expectKept(files, in: folder)
    }

    @Test func `damage below a snapshot costs nothing of what follows it`() throws {
        let base = position(after: before.prefix(20))
        for wound in [
            Wound(file: 1, offset: 0, place: 20, lastGood: 0), Wound(file: 1, offset: 64 + 2 * Self.size, place: 60, lastGood: 2),
        ] {
            let place = folder + "-\(wound.offset)"
            try SampleLog.write(to: place)
            try self.wound(wound, in: place)
            let files = try contents(place)
            guard case .damaged? = storageError({ _ = try readLog(place, from: base) }) else {
                Issue.record("\(wound.testDescription) was not seen")
                continue
            }
            let (served, recovery) = try readLog(place, from: base, repairing: true)
            #expect(served == Array(before[20...]))
            #expect(recovery.damage == nil)
            #expect(recovery.setAside == [place + "/" + wound.name])
            try expectKept(files, in: place)
            let (again, _) = try readLog(place, from: base)
            #expect(again == served)
        }
    }

    @Test func `damage between a file's beginning and the snapshot ends the log at the snapshot`() throws {
        let base = position(after: before.prefix(24))
        try SampleLog.write(to: folder)
        try wound(Wound(file: 17, offset: SegmentedLog.headBytes + 2 * Self.size, place: 60, lastGood: 18), in: folder)
        let files = try contents(folder)
        let (served, recovery) = try readLog(folder, from: base, repairing: true)
        #expect(served.isEmpty)
        #expect(recovery.last == base)
        #expect(recovery.damage?.lastGood == base)
        #expect(recovery.damage?.mayHaveHeld == LogIndex(60))
        try expectKept(files, in: folder)
    }

    @Test func `two losses before the first is repaired are told as one that reaches as far as either`() throws {
        try SampleLog.write(to: folder)
        try wound(Wound(file: 33, offset: SegmentedLog.headBytes, place: 60, lastGood: 32), in: folder)
        let (_, first) = try readLog(folder, repairing: true)
        #expect(first.damage?.lastGood.index == LogIndex(32))
        try wound(Wound(file: 1, offset: SegmentedLog.headBytes + 3 * Self.size, place: 60, lastGood: 3), in: folder)
        let (served, second) = try readLog(folder, repairing: true)
        #expect(served == Array(before.prefix(3)))
        #expect(second.damage?.lastGood.index == LogIndex(3))
        #expect(second.damage?.mayHaveHeld == LogIndex(60))
    }

    @Test func `a record of damage that is damaged itself still says that there was a loss`() throws {
        try SampleLog.write(to: folder)
        try wound(Wound(file: 33, offset: SegmentedLog.headBytes, place: 60, lastGood: 32), in: folder)
        _ = try readLog(folder, repairing: true)
        let path = folder + "/damage"
        var bytes = try readFile(path)
        bytes[30] ^= 1
        try writeFile(path, bytes)
        let (served, recovery) = try readLog(folder)
        #expect(served == Array(before.prefix(32)))
        #expect(recovery.damage?.path == path)
        #expect(recovery.damage?.mayHaveHeld == LogIndex(32))
    }

    @Test func `the record of damage is these lines`() throws {
        try withLog(folder) { log in
            try log.write(
                SegmentedLog.Damage(
                    path: "/data/log/x.log", offset: 64, reason: "checksum of a record's payload differs",
                    lastGood: .init(index: LogIndex(5), term: Term(3), chain: 0xAB), mayHaveHeld: LogIndex(9)))
        }
        let text = String(decoding: try readFile(folder + "/damage"), as: UTF8.self)
        let expected = """
            distric-damage 1
            path /data/log/x.log
            offset 64
            index 5
            term 3
            chain 00000000000000ab
            may-have-held 9
            reason checksum of a record's payload differs
            damage-crc32c b6a193b2

            """
        #expect(text == expected)
    }

    @Test func `files of any bytes are opened or refused, repairing or not, and never trap`() throws {
        try SampleLog.write(to: folder)
        let whole = try contents(folder)
        let names = whole.keys.sorted()
        let seed: UInt64 = 96
        var generator = SeededGenerator(seed: seed)
        for round in 0..<200 {
            let place = folder + "-\(round)"
            try FileDisk().makeFolder(place)
            for name in names {
                var bytes = whole[name] ?? []
                for _ in 0..<Int.random(in: 0...2, using: &generator) {
                    bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
                }
                if Int.random(in: 0..<8, using: &generator) == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator)) }
                if Int.random(in: 0..<12, using: &generator) > 0 { try writeFile(place + "/" + name, bytes) }
            }
            let (served, recovery) = try readLog(place, repairing: true)
            #expect(served == Array(before.prefix(served.count)), "seed \(seed), round \(round)")
            #expect(recovery.last == position(after: served), "seed \(seed), round \(round)")
            let (again, _) = try readLog(place)
            #expect(again == served, "seed \(seed), round \(round)")
        }
    }
}
