import Observability
import Primitives
import Storage
import Testing
import Wire
import Workflows

@testable import Coordinator

/// What a node sends of its history to one that lacks it (HistorySpan.swift).
struct HistorySpanTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(segmentBytes: Int = 4000, retainedBytes: Int = 1 << 30) throws -> HistoryStore {
        var settings = HistoryStore.Settings()
        (settings.segmentBytes, settings.retainedBytes) = (segmentBytes, retainedBytes)
        return try HistoryStore(disk: FileDisk(), folder: folder, settings: settings, telemetry: telemetry)
    }

    private func asked(
        _ after: UInt64, _ through: UInt64, limit: UInt32 = .max, notBefore: ClusterTime = .zero
    ) -> HistoryRead {
        HistoryRead(after: LogIndex(after), through: LogIndex(through), notBefore: notBefore, limitBytes: limit)
    }

    /// The entries of the records that come, in order, and what is said after them.
    private func sent(_ store: HistoryStore, _ call: HistoryRead, applied: UInt64 = 1000) throws -> ([UInt64], HistoryReadReply) {
        let span = try store.span(call, applied: LogIndex(applied))
        var numbers: [UInt64] = []
        while let piece = try span.next() {
            #expect(!piece.isEmpty)
            var offset = 0
            while offset < piece.count {
                let record = try #require(piece.withUnsafeBytes { HistoryRecord.read($0, at: offset) })
                numbers.append(record.index.number)
                offset += HistoryRecord.headBytes + record.payload.count
            }
        }
        #expect(span.reply.records == UInt64(numbers.count))
        return (numbers, span.reply)
    }

    /// Each entry gave two.
    private func twice(_ numbers: ClosedRange<UInt64>) -> [UInt64] { numbers.flatMap { [$0, $0] } }

    @Test func `what lies in the range comes in order, from full files and the one in use`() throws {
        let store = try open()
        defer { store.close() }
        try store.write(1...50)
        // Not at the system yet.
        try store.append(HistorySamples.entry(51), index: LogIndex(51), time: HistorySamples.time(51))
        for (after, through) in [(0, 51), (0, 1), (17, 33), (50, 51), (49, 900)] as [(UInt64, UInt64)] {
            let (numbers, reply) = try sent(store, asked(after, through))
            #expect(numbers == twice(after + 1...min(through, 51)), "\(after) \(through)")
            #expect(reply.reached == LogIndex(through) && !reply.lacks && reply.unreadableBytes == 0)
            #expect(reply.oldest == LogIndex(1))
        }
    }

    @Test func `it ends between two entries once enough has come, and goes on where it ended`() throws {
        let store = try open()
        defer { store.close() }
        try store.write(1...60)
        for limit in [1, 700, 5000, 20_000] as [UInt32] {
            var (all, after, turns) = ([UInt64](), UInt64(0), 0)
            while after < 60 {
                let (numbers, reply) = try sent(store, asked(after, 60, limit: limit))
                #expect(numbers.count.isMultiple(of: 2) && !numbers.isEmpty)
                #expect(reply.reached.number == numbers.last ?? 0 || reply.reached == LogIndex(60))
                all += numbers
                after = reply.reached.number
                turns += 1
            }
            #expect(all == twice(1...60))
            #expect(limit > 1 || turns == 60)
            #expect(limit < 20_000 || turns < 5)
        }
    }

    @Test func `nothing comes of entries that are not applied here`() throws {
        let store = try open()
        defer { store.close() }
        try store.write(1...20)
        let (numbers, reply) = try sent(store, asked(5, 40), applied: 12)
        #expect(numbers == twice(6...12))
        #expect(reply.reached == LogIndex(12) && !reply.lacks)
        let (none, behind) = try sent(store, asked(15, 40), applied: 12)
        #expect(none.isEmpty && behind.reached == LogIndex(15) && !behind.lacks)
    }

    @Test func `what is missing here itself is told, and what came of it is sent on`() throws {
        let store = try open()
        defer { store.close() }
        try store.write(1...5)
        try store.noteGap(after: LogIndex(5), through: LogIndex(20))
        try store.write(21...25)
        let (numbers, reply) = try sent(store, asked(0, 25))
        #expect(numbers == twice(1...5))
        #expect(reply.reached == LogIndex(5) && reply.lacks)
        let (none, refused) = try sent(store, asked(7, 25))
        #expect(none.isEmpty && refused.reached == LogIndex(7) && refused.lacks)
        #expect(try sent(store, asked(20, 25)).0 == twice(21...25))
        let gap = try #require(store.gaps.first)
        let incoming = try IncomingHistory(store, gap, after: LogIndex(5), number: gap.firstFile)
        try incoming.take(HistorySamples.records(6...11))
        try incoming.finish()
        let (more, half) = try sent(store, asked(2, 25))
        #expect(more == twice(3...11))
        #expect(half.reached == LogIndex(11) && half.lacks)
        let (exact, whole) = try sent(store, asked(2, 11))
        #expect(exact == twice(3...11) && whole.reached == LogIndex(11) && !whole.lacks)
    }

    @Test func `damage is passed over and its bytes are counted once, however often it is asked`() throws {
        let store = try open(segmentBytes: 1 << 20)
        try store.write(1...30)
        store.close()
        let path = folder + "/000000000001.records"
        var bytes = try #require(try FileDisk().contents(of: path))
        let offsets = HistoryIndex.offsets(in: bytes).offsets
        for place in [0, 21, 22, 40] { bytes[offsets[place] + 50] ^= 1 }
        try FileDisk().replace(path, with: bytes)
        let damaged = [(0, 1), (21, 23), (40, 41)].reduce(0) { $0 + offsets[$1.1] - offsets[$1.0] }
        let again = try open(segmentBytes: 1 << 20)
        defer { again.close() }
        var (records, unreadable, after) = (0, UInt64(0), UInt64(0))
        while after < 30 {
            let (numbers, reply) = try sent(again, asked(after, 30, limit: 1500))
            records += numbers.count
            unreadable += reply.unreadableBytes
            after = reply.reached.number
        }
        #expect(records == 56)
        #expect(unreadable == UInt64(damaged))
    }

    @Test func `of what is no longer kept the rest comes, and it is told where that begins`() throws {
        let store = try open(segmentBytes: 2000, retainedBytes: 10_000)
        defer { store.close() }
        try store.write(1...200)
        let kept = try #require(try store.listed().last)
        #expect(kept > 100)
        let (numbers, reply) = try sent(store, asked(0, 200))
        #expect(Set(numbers) == Set(kept...200))
        #expect(reply.reached == LogIndex(200))
        let oldest = try #require(reply.oldest)
        #expect(oldest <= LogIndex(kept) && oldest > LogIndex(100))
        let (none, over) = try sent(store, asked(0, 50))
        #expect(none.isEmpty && over.reached == LogIndex(50) && over.oldest == oldest)
    }

    @Test func `files of what is too old for whoever asks are left out`() throws {
        let store = try open(segmentBytes: 1)
        defer { store.close() }
        try store.write(1...20)
        let (numbers, reply) = try sent(store, asked(0, 20, notBefore: HistorySamples.time(15)))
        #expect(numbers == twice(15...20))
        #expect(reply.reached == LogIndex(20))
    }

    @Test func `an empty history says so`() throws {
        let store = try open()
        defer { store.close() }
        let (numbers, reply) = try sent(store, asked(0, 50))
        #expect(numbers.isEmpty && reply.reached == LogIndex(50) && reply.oldest == nil)
    }
}
