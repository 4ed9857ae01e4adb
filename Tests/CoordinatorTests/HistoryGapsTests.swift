import Observability
import Primitives
import Storage
import Testing
import Workflows

@testable import Coordinator

/// What a snapshot passed over, and files that fill it (HistoryGaps.swift, HistoryStore+Gaps.swift, IncomingHistory.swift).
struct HistoryGapsTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(
        _ disk: any Disk = FileDisk(), _ folder: String? = nil, segmentBytes: Int = 4000, retainedBytes: Int = 1 << 30,
        retainedAge: Duration = .seconds(86_400)
    ) throws -> HistoryStore {
        var settings = HistoryStore.Settings()
        (settings.segmentBytes, settings.retainedBytes, settings.retainedAge) = (segmentBytes, retainedBytes, retainedAge)
        return try HistoryStore(disk: disk, folder: folder ?? self.folder, settings: settings, telemetry: telemetry)
    }

    private func kinds() -> [String] { telemetry.events.latest(200).map(\.kind) }

    /// Takes in a file that holds some entries.
    private func fill(_ store: HistoryStore, _ gap: HistoryGap, _ numbers: ClosedRange<UInt64>, bytes: Int = 0) throws {
        let number = try #require(store.nextFile(of: gap))
        let incoming = try IncomingHistory(store, gap, after: LogIndex(numbers.lowerBound - 1), number: number)
        let records = HistorySamples.records(numbers, bytes: bytes)
        for start in stride(from: 0, to: records.count, by: 1000) {
            try incoming.take(Array(records[start..<min(start + 1000, records.count)]))
        }
        try incoming.finish()
    }

    // MARK: Beginning

    @Test func `a snapshot leaves a gap that is known after every start, until it is closed`() throws {
        let store = try open()
        try store.write(1...5)
        try store.noteGap(after: LogIndex(5), through: LogIndex(20))
        #expect(store.gaps.map(\.after.number) == [5] && store.gaps.map(\.through.number) == [20])
        try store.write(21...23)
        let gap = try #require(store.gaps.first)
        #expect(store.reached(gap) == LogIndex(5))
        store.close()
        let again = try open()
        #expect(again.gaps == [gap])
        #expect(try again.listed() == [23, 22, 21, 5, 4, 3, 2, 1])
        #expect(again.lastIndex == LogIndex(23))
        try again.closeGap(gap)
        again.close()
        let last = try open()
        defer { last.close() }
        #expect(last.gaps.isEmpty)
        try last.noteGap(after: .zero, through: LogIndex(20))
        #expect(last.gaps.isEmpty, "it is known, and was filled")
        #expect(kinds().filter { $0 == "history.gap" }.count == 1)
    }

    @Test func `a snapshot over nothing but what is here leaves no gap`() throws {
        let store = try open()
        defer { store.close() }
        try store.write(1...5)
        try store.noteGap(after: LogIndex(5), through: LogIndex(5))
        #expect(store.gaps.isEmpty && kinds().isEmpty)
    }

    @Test func `of too many gaps the oldest is given up, and that is told`() throws {
        let store = try open()
        defer { store.close() }
        for number in UInt64(1)...65 { try store.noteGap(after: LogIndex(10 * number), through: LogIndex(10 * number + 5)) }
        #expect(store.gaps.count == HistoryGaps.limit)
        #expect(store.gaps.first?.after == LogIndex(20))
        #expect(kinds().filter { $0 == "history.lost" }.count == 1)
    }

    @Test func `the file of gaps is read as it was written, and any other is none`() throws {
        var gaps = HistoryGaps()
        gaps.noted = LogIndex(900)
        for number in UInt64(1)...3 {
            gaps.open.append(
                HistoryGap(
                    after: LogIndex(number), through: LogIndex(900), firstFile: number * HistoryGap.fileCount,
                    since: HistorySamples.time(number)))
        }
        let bytes = gaps.bytes
        #expect(HistoryGaps(reading: bytes) == gaps)
        #expect(HistoryGaps(reading: HistoryGaps().bytes) == HistoryGaps())
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1
            #expect(HistoryGaps(reading: changed) == nil, "\(place)")
            #expect(HistoryGaps(reading: Array(bytes[..<place])) == nil, "\(place)")
        }
        #expect(HistoryGaps(reading: bytes + [10]) == nil)
    }

    @Test func `a file of gaps that does not read back is told, and keeps nobody from starting`() throws {
        let store = try open()
        try store.write(1...5)
        try store.noteGap(after: LogIndex(5), through: LogIndex(20))
        try store.write(21...23)
        store.close()
        try FileDisk().replace(HistoryGaps.path(folder), with: Array("gap 1 2\n".utf8))
        let again = try open()
        defer { again.close() }
        #expect(again.unreadableBytes == 8)
        #expect(again.gaps.isEmpty)
        try again.write(24...25)
        #expect(try again.listed() == [25, 24, 23, 22, 21, 5, 4, 3, 2, 1])
    }

    // MARK: Filling

    @Test func `what comes lies where it belongs, beside what is written meanwhile`() throws {
        let store = try open()
        try store.write(1...8, bytes: 500)
        try store.noteGap(after: LogIndex(8), through: LogIndex(30))
        try store.write(31...33, bytes: 500)
        #expect(try store.recentRuns() == [33, 32, 31] + (1...8).reversed())
        let gap = try #require(store.gaps.first)
        try fill(store, gap, 9...15)
        #expect(store.reached(gap) == LogIndex(15))
        try store.write(34...40, bytes: 500)
        try fill(store, gap, 16...30)
        #expect(store.reached(gap) == LogIndex(30))
        try store.closeGap(gap)
        func check(_ store: HistoryStore) throws {
            let all = Array((UInt64(1)...40).reversed())
            #expect(try store.listed() == all)
            #expect(try store.listed(.message) == all)
            #expect(try store.recentRuns() == all)
            for number in all { #expect(try store.has(number), "\(number)") }
            #expect(store.lastIndex == LogIndex(40))
            #expect(store.unreadableBytes == 0)
        }
        try check(store)
        store.close()
        let again = try open()
        defer { again.close() }
        try check(again)
        var reader = try again.files.reader(through: LogIndex(40))
        var found: [UInt64] = []
        while let piece = try reader.next() {
            for offset in HistoryIndex.offsets(in: piece).offsets {
                found.append(try #require(piece.withUnsafeBytes { HistoryRecord.read($0, at: offset) }).index.number)
            }
        }
        #expect(found == (UInt64(1)...40).flatMap { [$0, $0] }, "a backup has them in order, once")
    }

    @Test func `several gaps are filled each in its place`() throws {
        let store = try open()
        defer { store.close() }
        try store.noteGap(after: .zero, through: LogIndex(10))
        try store.write(11...12)
        try store.noteGap(after: LogIndex(12), through: LogIndex(20))
        try store.write(21...22)
        let gaps = store.gaps
        try fill(store, gaps[1], 13...20)
        try fill(store, gaps[0], 1...10)
        #expect(try store.listed() == Array((UInt64(1)...22).reversed()))
    }

    @Test func `an entry of which some is stored is completed, and nothing is stored twice`() throws {
        let store = try open()
        try store.write(1...4)
        // The node ended while it wrote entry 5.
        try store.append([HistorySamples.entry(5)[0]], index: LogIndex(5), time: HistorySamples.time(5))
        store.close()
        let again = try open()
        defer { again.close() }
        // Nothing was applied since it started.
        try again.noteGap(after: .zero, through: LogIndex(9))
        #expect(again.gaps.first?.after == LogIndex(4))
        try fill(again, try #require(again.gaps.first), 5...9)
        #expect(try again.listed() == Array((UInt64(1)...9).reversed()))
        #expect(try again.listed(.message) == Array((UInt64(1)...9).reversed()))
    }

    @Test func `what breaks off leaves its whole entries when they are many, and else nothing`() throws {
        let store = try open(segmentBytes: 16 << 20)
        defer { store.close() }
        try store.noteGap(after: .zero, through: LogIndex(1000))
        let gap = try #require(store.gaps.first)
        let few = try IncomingHistory(store, gap, after: .zero, number: gap.firstFile)
        try few.take(HistorySamples.records(1...20))
        try few.breakOff()
        #expect(try store.listed().isEmpty)
        let many = try IncomingHistory(store, gap, after: .zero, number: gap.firstFile)
        try many.take(HistorySamples.records(1...20, bytes: 100_000))
        // Its message is here, and its run not yet.
        let next = HistorySamples.records(21...21, bytes: 100_000)
        try many.take(Array(next.prefix(next.count / 2)))
        try many.breakOff()
        #expect(store.reached(gap) == LogIndex(20))
        #expect(try store.listed(.message) == Array((UInt64(1)...20).reversed()))
        #expect(try !store.has(21))
        #expect(many.movedRecords == 40)
        #expect(try FileDisk().list(folder).allSatisfy { !$0.hasSuffix(IncomingHistory.ending) })
        try fill(store, gap, 21...30)
        #expect(try store.listed() == Array((UInt64(1)...30).reversed()))
    }

    @Test func `what was not asked for is refused`() throws {
        let store = try open()
        defer { store.close() }
        try store.noteGap(after: LogIndex(10), through: LogIndex(20))
        let gap = try #require(store.gaps.first)
        func problem(_ bytes: [UInt8], finish: Bool = false) throws -> IncomingHistory.Problem? {
            let incoming = try IncomingHistory(store, gap, after: LogIndex(10), number: gap.firstFile)
            defer { try? incoming.breakOff() }
            do throws(IncomingHistory.Problem) {
                try incoming.take(bytes)
                if finish { try incoming.finish() }
                return nil
            } catch {
                return error
            }
        }
        let good = HistorySamples.records(11...12)
        #expect(try problem(good) == nil)
        #expect(try problem(HistorySamples.records(10...11)) != nil)
        #expect(try problem(HistorySamples.records(20...21)) != nil)
        #expect(try problem([UInt8](repeating: 0xFF, count: 48)) == .wrong("a record of 4294967295 bytes"))
        #expect(try problem(Array(good.dropLast(1))) == nil)
        #expect(try problem(Array(good.dropLast(1)), finish: true) == .wrong("half a record at the end"))
        let seed: UInt64 = 5
        var generator = SeededGenerator(seed: seed)
        for place in 4..<good.count {
            // The four bytes that are not looked at may be anything.
            guard !HistoryIndex.offsets(in: good).offsets.contains(where: { (44..<48).contains(place - $0) }) else { continue }
            var bytes = good
            bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(try problem(bytes, finish: true) != nil, "byte \(place), seed \(seed)")
        }
        #expect(try store.listed().isEmpty)
    }

    // MARK: What is kept

    @Test func `what comes counts among what is kept, and the oldest goes first`() throws {
        let store = try open(segmentBytes: 2000, retainedBytes: 14_000)
        defer { store.close() }
        try store.write(1...4, bytes: 500)
        try store.noteGap(after: LogIndex(4), through: LogIndex(12))
        try store.write(13...16, bytes: 500)
        let gap = try #require(store.gaps.first)
        #expect(store.hasRoom(for: gap))
        for number in UInt64(5)...12 { try fill(store, gap, number...number, bytes: 500) }
        let listed = try store.listed()
        #expect(listed == Array((17 - UInt64(listed.count)...16).reversed()), "the youngest, without a hole")
        #expect((5..<16).contains(listed.count))
        try store.write(17...40, bytes: 500)
        #expect(!store.hasRoom(for: gap), "what is younger takes all there is")
    }

    @Test func `what is too old goes as soon as it comes`() throws {
        let store = try open(retainedAge: .seconds(100))
        defer { store.close() }
        try store.noteGap(after: .zero, through: LogIndex(200))
        try store.write(201...202)
        #expect(store.oldestKept == HistorySamples.time(102))
        let gap = try #require(store.gaps.first)
        try fill(store, gap, 1...10)
        #expect(try store.listed() == [202, 201])
        try fill(store, gap, 150...200)
        #expect(try store.listed().count == 53)
    }

    // MARK: The machine goes

    @Test(arguments: [0, 3]) func `wherever it breaks off, the next start has what was there, and the rest comes`(entries: Int) throws {
        var (changes, isWhole) = (0, false)
        while !isWhole {
            changes += 1
            let place = "\(folder)-\(entries)-\(changes)"
            let before = entries == 0 ? [] : Array(UInt64(1)...UInt64(entries))
            let first = try open(FileDisk(), place, segmentBytes: 2000)
            if let last = before.last { try first.write(1...last) }
            first.close()
            let after = UInt64(entries)
            let disk = BreakingDisk(after: changes)
            var written: UInt64 = 20
            if let store = try? open(disk, place, segmentBytes: 2000) {
                do {
                    try store.noteGap(after: LogIndex(after), through: LogIndex(20))
                    try store.write(21...22)
                    written = 22
                    let gap = try #require(store.gaps.first)
                    try fill(store, gap, after + 1...12)
                    try fill(store, gap, 13...20)
                    try store.closeGap(gap)
                    isWhole = true
                } catch let error as StorageError {
                    #expect(error == BreakingDisk.error, "\(changes)")
                } catch let error as IncomingHistory.Problem {
                    #expect(error == .storage(BreakingDisk.error), "\(changes)")
                }
                #expect(disk.isBroken || isWhole)
            }
            try check(place, before, after, written, "broken at change \(changes) after \(entries) entries")
        }
        #expect(changes > 20)
    }

    private func check(_ place: String, _ before: [UInt64], _ after: UInt64, _ written: UInt64, _ comment: Comment) throws {
        let store = try open(FileDisk(), place, segmentBytes: 2000)
        #expect(store.unreadableBytes == 0, comment)
        let listed = try store.listed()
        #expect(listed == listed.sorted(by: >) && Set(listed).count == listed.count, comment)
        #expect(listed.suffix(before.count) == before.reversed()[...], comment)
        if written > 20 { #expect(listed.prefix(2) == [22, 21], comment) }
        for number in listed { #expect(try store.has(number), comment) }
        #expect(try FileDisk().list(place).allSatisfy { !$0.hasSuffix(IncomingHistory.ending) }, comment)
        // As a node that starts does.
        try store.noteGap(after: LogIndex(after), through: LogIndex(20))
        if let gap = store.gaps.first {
            let reached = store.reached(gap).number
            #expect(listed.filter { $0 > after && $0 <= reached }.count == Int(reached - after), comment)
            if reached < 20 { try fill(store, gap, reached + 1...20) }
            try store.closeGap(gap)
        }
        if written == 20 || listed.first ?? 0 < 22 { try store.write((max(20, listed.first ?? 0) + 1)...22) }
        #expect(try store.listed() == Array((UInt64(1)...22).reversed()), comment)
        store.close()
        let again = try open(FileDisk(), place, segmentBytes: 2000)
        defer { again.close() }
        #expect(try again.listed(.message) == Array((UInt64(1)...22).reversed()), comment)
        for number in UInt64(1)...22 { #expect(try again.has(number), comment) }
    }
}
