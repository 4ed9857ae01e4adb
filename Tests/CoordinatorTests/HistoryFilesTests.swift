import Observability
import Primitives
import Storage
import Testing
import Workflows

@testable import Coordinator

/// A history's files read beside their writer, cut, and written anew (HistoryFiles.swift, HistoryWriter.swift).
struct HistoryFilesTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }
    private var files: HistoryFiles { HistoryFiles(disk: ReadOnlyDisk(), folder: folder) }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(_ folder: String? = nil, segmentBytes: Int = 4000) throws -> HistoryStore {
        var settings = HistoryStore.Settings()
        settings.segmentBytes = segmentBytes
        return try HistoryStore(disk: FileDisk(), folder: folder ?? self.folder, settings: settings, telemetry: telemetry)
    }

    /// Runs, each of an entry of its own, about five in a file.
    private func fill(_ numbers: ClosedRange<UInt64>, bytes: Int = 500) throws {
        let store = try open()
        for number in numbers {
            try store.append(
                [.run(HistorySamples.run(number, bytes: bytes))], index: LogIndex(number), time: HistorySamples.time(number))
            try store.flush()
        }
        store.close()
    }

    private func records(_ files: HistoryFiles, through end: LogIndex) throws -> [HistoryRecord] {
        var reader = try files.reader(through: end)
        var found: [HistoryRecord] = []
        while let piece = try reader.next() {
            #expect(!piece.isEmpty)
            var offset = 0
            while offset < piece.count {
                let record = try #require(piece.withUnsafeBytes { HistoryRecord.read($0, at: offset) })
                found.append(record)
                offset += HistoryRecord.headBytes + record.payload.count
            }
        }
        return found
    }

    private func names() throws -> [String] { try FileDisk().list(folder) }

    // MARK: Reading

    @Test func `how far it goes is read from full files and from the one in use`() throws {
        #expect(try files.lastIndex() == .zero)
        try fill(1...3)
        #expect(try names().count == 1)
        #expect(try files.lastIndex() == LogIndex(3))
        try fill(4...23)
        #expect(try names().count > 3)
        #expect(try files.lastIndex() == LogIndex(23))
    }

    @Test func `records come oldest first, up to the entry that is asked for`() throws {
        try fill(1...23)
        let all = try records(files, through: LogIndex(23))
        #expect(all.map(\.index.number) == Array(1...23))
        #expect(try all.map { try $0.item } == (UInt64(1)...23).map { .run(HistorySamples.run($0, bytes: 500)) })
        #expect(try records(files, through: LogIndex(9)).map(\.index.number) == Array(1...9))
        #expect(try records(files, through: .zero).isEmpty)
    }

    @Test func `pieces are small, unless one record is not`() throws {
        try fill(1...40, bytes: 100_000)
        var reader = try files.reader(through: LogIndex(40))
        var (pieces, largest) = (0, 0)
        while let piece = try reader.next() {
            pieces += 1
            largest = max(largest, piece.count)
        }
        #expect(pieces > 10 && largest < 400_000)
    }

    @Test func `bytes that are no record are passed over`() throws {
        try fill(1...3)
        let path = folder + "/000000000001.records"
        var bytes = try #require(try FileDisk().contents(of: path))
        let second = HistoryIndex.offsets(in: bytes).offsets[1]
        bytes[second + 60] ^= 1
        try FileDisk().replace(path, with: bytes)
        #expect(try records(files, through: LogIndex(3)).map(\.index.number) == [1, 3])
    }

    // MARK: Cutting

    @Test func `what a log does not reach is dropped, and the files as they were stay beside`() throws {
        try fill(1...23)
        let before = try files.numbers()
        let dropped = try HistoryFiles(disk: FileDisk(), folder: folder).drop(after: LogIndex(12))
        #expect(dropped == 11)
        #expect(try files.lastIndex() == LogIndex(12))
        #expect(try records(files, through: LogIndex(100)).map(\.index.number) == Array(1...12))
        #expect(try names().contains { $0.hasSuffix(".records.lost") })
        #expect(try files.numbers() == before)
        let store = try open()
        #expect(store.lastIndex == LogIndex(12))
        #expect(store.unreadableBytes == 0)
        #expect(try store.run(HistorySamples.id(12)) != nil && store.run(HistorySamples.id(13)) == nil)
        try store.append([.run(HistorySamples.run(99))], index: LogIndex(13), time: HistorySamples.time(99))
        store.close()
        #expect(try records(files, through: LogIndex(100)).map(\.index.number) == Array(1...13))
    }

    @Test func `nothing is touched when the log reaches all of it`() throws {
        try fill(1...23)
        let before = try names()
        let dropped = try HistoryFiles(disk: FileDisk(), folder: folder).drop(after: LogIndex(23))
        #expect(dropped == 0)
        #expect(try names() == before)
        #expect(try HistoryFiles(disk: FileDisk(), folder: temporary.path + "/none").drop(after: .zero) == 0)
    }

    // MARK: Writing anew

    @Test func `records are written into a history that finds and lists them`() throws {
        try fill(1...23)
        let copy = temporary.path + "/copy"
        let writer = try HistoryWriter(disk: FileDisk(), folder: copy, segmentBytes: 4000)
        var reader = try files.reader(through: LogIndex(20))
        while let piece = try reader.next() { try writer.append(piece) }
        try writer.finish()
        #expect(writer.count == 20)
        let store = try open(copy)
        defer { store.close() }
        #expect(store.lastIndex == LogIndex(20) && store.unreadableBytes == 0)
        for number in UInt64(1)...20 { #expect(try store.run(HistorySamples.id(number)) == HistorySamples.run(number, bytes: 500)) }
        #expect(try store.run(HistorySamples.id(21)) == nil)
        let (items, _) = try store.newest(.run, limit: 100) { _ in true }
        #expect(items.count == 20)
    }

    @Test func `what is no record is refused`() throws {
        let writer = try HistoryWriter(disk: FileDisk(), folder: folder)
        let error = #expect(throws: StorageError.self) { try writer.append([UInt8](repeating: 7, count: 100)) }
        guard case .damaged? = error else {
            Issue.record("\(String(describing: error)) is no damage")
            return
        }
        #expect(writer.count == 0)
    }
}
