import Observability
import Primitives
import Storage
import Testing
import Workflows

@testable import Coordinator

/// What has ended, on disk: found by id, listed newest first, whole after any end of the process (HistoryStore.swift).
struct HistoryStoreTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(segmentBytes: Int = 16 << 20, retainedBytes: Int = 2 << 30, retainedAge: Duration = .seconds(7 * 86_400)) throws
        -> HistoryStore
    {
        var settings = HistoryStore.Settings()
        settings.segmentBytes = segmentBytes
        settings.retainedBytes = retainedBytes
        settings.retainedAge = retainedAge
        return try HistoryStore(disk: FileDisk(), folder: folder, settings: settings, telemetry: telemetry)
    }

    // MARK: Samples

    private func time(_ seconds: UInt64) -> ClusterTime { ClusterTime(milliseconds: 1_700_000_000_000 + seconds * 1000) }
    private func id(_ number: UInt64) -> RunID { RunID(high: 0x18F, low: number) }

    private func message(_ number: UInt64) -> Message { Message(id: "m-\(number)", source: "s", type: "t", data: ["n": Value(number)]) }

    private func run(_ number: UInt64, bytes: Int = 0) -> WorkflowRun {
        var run = WorkflowRun(
            id: id(number), namespace: .default, workflow: "flow", definitionVersion: 1, version: nil, rule: "a/b",
            message: message(number),
            params: nil, trace: nil, createdAt: time(number), deadline: nil, retriesLeft: 0, retryOf: nil,
            tasks: [TaskRecord(name: "a", kind: .transform)])
        run.state = .succeeded
        run.output = .string(String(repeating: "x", count: bytes))
        return run
    }

    private func accepted(_ number: UInt64) -> AcceptedMessage {
        AcceptedMessage(
            message: message(number), catalogVersion: 3, matched: ["a/b", "c/d"], runs: [id(number), id(number + 1000)],
            acceptedAt: time(number))
    }

    /// Appends runs, each as an entry of its own.
    private func append(_ numbers: ClosedRange<UInt64>, to store: HistoryStore, bytes: Int = 0) throws {
        for number in numbers {
            try store.append([.run(run(number, bytes: bytes))], index: LogIndex(number), time: time(number))
            try store.flush()
            store.keepUp()
        }
    }

    /// The ids of all runs in the history, newest first.
    private func listed(_ store: HistoryStore, page: Int = 1000) throws -> [UInt64] {
        var numbers: [UInt64] = []
        var cursor: HistoryStore.Cursor?
        repeat {
            let (items, next) = try store.newest(.run, limit: page, before: cursor) { _ in true }
            for item in items { if case .run(let run) = item { numbers.append(run.id.low) } }
            #expect(items.count <= page)
            cursor = next
        } while cursor != nil
        return numbers
    }

    // MARK: Finding

    @Test func `messages and runs are found by id, before and after they are flushed`() throws {
        let store = try open()
        defer { store.close() }
        try store.append([.message(accepted(1)), .run(run(2))], index: LogIndex(1), time: time(1))
        for _ in 0..<2 {
            let foundRun = try store.run(id(2))
            let foundMessage = try store.message("m-1", namespace: .default)
            #expect(foundRun == run(2))
            #expect(foundMessage == accepted(1))
            try store.flush()
        }
        let unknownRun = try store.run(id(3))
        let unknownMessage = try store.message("m-2", namespace: .default)
        let otherNamespace = try store.message("m-1", namespace: try Namespace("shop"))
        #expect(unknownRun == nil)
        #expect(unknownMessage == nil)
        #expect(otherNamespace == nil)
        #expect(store.lastIndex == LogIndex(1))
    }

    @Test func `what is large is found whole`() throws {
        let store = try open()
        defer { store.close() }
        try append(1...3, to: store, bytes: 200_000)
        let found = try store.run(id(2))
        #expect(found == run(2, bytes: 200_000))
    }

    @Test func `all is found again after closing and opening`() throws {
        let first = try open()
        try first.append([.message(accepted(1)), .run(run(2))], index: LogIndex(7), time: time(1))
        first.close()
        let second = try open()
        defer { second.close() }
        #expect(second.lastIndex == LogIndex(7))
        let foundRun = try second.run(id(2))
        let foundMessage = try second.message("m-1", namespace: .default)
        #expect(foundRun == run(2))
        #expect(foundMessage == accepted(1))
        try second.append([.run(run(3))], index: LogIndex(8), time: time(2))
        let numbers = try listed(second)
        #expect(numbers == [3, 2])
    }

    // MARK: Listing

    @Test func `the newest come first, of the kind that is asked for, as far as they are wanted`() throws {
        let store = try open()
        defer { store.close() }
        for number in UInt64(1)...6 {
            try store.append([.message(accepted(number)), .run(run(number))], index: LogIndex(number), time: time(number))
        }
        let (runs, next) = try store.newest(.run, limit: 10) { item in
            guard case .run(let run) = item else { return false }
            return run.id.low % 2 == 0
        }
        #expect(runs == [.run(run(6)), .run(run(4)), .run(run(2))])
        #expect(next == nil)
        let (messages, _) = try store.newest(.message, limit: 2) { _ in true }
        #expect(messages == [.message(accepted(6)), .message(accepted(5))])
    }

    @Test func `pages of any size give all, each once, over files too`() throws {
        for segmentBytes in [1, 2000, 16 << 20] {
            let other = try TemporaryFolder()
            var settings = HistoryStore.Settings()
            settings.segmentBytes = segmentBytes
            let store = try HistoryStore(disk: FileDisk(), folder: other.path, settings: settings, telemetry: telemetry)
            defer { store.close() }
            try append(1...23, to: store)
            for page in [1, 2, 3, 7, 22, 23, 24] {
                let numbers = try listed(store, page: page)
                #expect(numbers == (1...23).reversed().map { UInt64($0) }, "pages of \(page), files of \(segmentBytes)")
            }
        }
    }

    @Test func `a listing looks at no more records than it may, and goes on from there`() throws {
        let store = try open()
        defer { store.close() }
        try append(1...20, to: store)
        let (first, next) = try store.newest(.run, limit: 10, scanLimit: 5) { item in
            guard case .run(let run) = item else { return false }
            return run.id.low <= 14
        }
        #expect(first.isEmpty)
        #expect(next != nil)
        let (second, _) = try store.newest(.run, limit: 10, before: next, scanLimit: 5) { item in
            guard case .run(let run) = item else { return false }
            return run.id.low <= 14
        }
        #expect(second == [14, 13, 12, 11].map { HistoryItem.run(run($0)) })
    }

    // MARK: Recent

    /// The numbers of the recent runs, as they come.
    private func recent(_ store: HistoryStore) throws -> [UInt64] {
        try store.recent(.run).compactMap { item -> UInt64? in
            if case .run(let run) = item { return run.id.low }
            return nil
        }
    }

    private func falling(from last: UInt64, to first: UInt64) -> [UInt64] { (first...last).reversed() }

    @Test func `the recent ones come newest first, in memory and after the store is opened again`() throws {
        let first = try open()
        for number in UInt64(1)...6 {
            try first.append([.message(accepted(number)), .run(run(number))], index: LogIndex(number), time: time(number))
        }
        let runs = falling(from: 6, to: 1).map { HistoryItem.run(run($0)) }
        let messages = falling(from: 6, to: 1).map { HistoryItem.message(accepted($0)) }
        for _ in 0..<2 {
            #expect(try first.recent(.run) == runs)
            #expect(try first.recent(.message) == messages)
            try first.flush()
        }
        first.close()
        let second = try open()
        defer { second.close() }
        #expect(try second.recent(.run) == runs)
        let (newRun, newMessage) = (HistoryItem.run(run(7)), HistoryItem.message(accepted(7)))
        try second.append([newRun, newMessage], index: LogIndex(7), time: time(7))
        #expect(try second.recent(.run) == [newRun] + runs)
        #expect(try second.recent(.message) == [newMessage] + messages)
    }

    @Test func `what came before anybody asked is over what the disk had, each once`() throws {
        let first = try open(segmentBytes: 2000)
        try append(1...30, to: first)
        first.close()
        let second = try open(segmentBytes: 2000)
        defer { second.close() }
        try append(31...40, to: second)
        try second.append([.run(run(41))], index: LogIndex(41), time: time(41))
        #expect(try recent(second) == falling(from: 41, to: 1))
        try append(40...42, to: second)
        #expect(try recent(second) == falling(from: 42, to: 1))
        let numbers = try listed(second)
        #expect(numbers == falling(from: 42, to: 1))
    }

    @Test func `so many recent ones are kept, in memory as on disk`() throws {
        let limit = UInt64(HistoryStore.recentLimit)
        let first = try open()
        let items = falling(from: limit + 5, to: 1).reversed().map { HistoryItem.run(run($0)) }
        try first.append(items, index: LogIndex(1), time: time(1))
        #expect(try recent(first) == falling(from: limit + 5, to: 6))
        first.close()
        let second = try open()
        defer { second.close() }
        #expect(try recent(second) == falling(from: limit + 5, to: 6))
        try second.append([.run(run(limit + 6))], index: LogIndex(2), time: time(2))
        #expect(try recent(second) == falling(from: limit + 6, to: 7))
    }

    // MARK: Files

    @Test func `a full file is closed with its index, and nothing is lost`() throws {
        let store = try open(segmentBytes: 2000)
        try append(1...40, to: store)
        let names = try FileDisk().list(folder)
        #expect(names.filter { $0.hasSuffix(".records") }.count > 3)
        #expect(names.filter { $0.hasSuffix(".index") }.count == names.filter { $0.hasSuffix(".records") }.count - 1)
        for number in UInt64(1)...40 {
            let found = try store.run(id(number))
            #expect(found == run(number), "\(number)")
        }
        store.close()
        let again = try open(segmentBytes: 2000)
        defer { again.close() }
        #expect(again.lastIndex == LogIndex(40))
        for number in UInt64(1)...40 {
            let found = try again.run(id(number))
            #expect(found == run(number), "\(number)")
        }
        let numbers = try listed(again)
        #expect(numbers == (1...40).reversed().map { UInt64($0) })
    }

    @Test func `an index that is lost or cut is made again`() throws {
        let store = try open(segmentBytes: 1)
        try append(1...5, to: store)
        store.close()
        let disk = FileDisk()
        try disk.remove(folder + "/000000000001.index")
        let cut = try disk.open(folder + "/000000000002.index", create: false)
        try cut.truncate(to: 7)
        cut.close()
        let again = try open(segmentBytes: 1)
        defer { again.close() }
        for number in UInt64(1)...5 {
            let found = try again.run(id(number))
            #expect(found == run(number), "\(number)")
        }
        #expect(again.lastIndex == LogIndex(5))
        #expect(disk.exists(folder + "/000000000001.index"))
    }

    @Test func `the oldest files go when all exceed what is kept`() throws {
        let store = try open(segmentBytes: 2000, retainedBytes: 10_000)
        defer { store.close() }
        try append(1...200, to: store)
        #expect(store.bytes < 14_000)
        let old = try store.run(id(1))
        let new = try store.run(id(200))
        #expect(old == nil)
        #expect(new == run(200))
        let numbers = try listed(store)
        #expect(numbers.first == 200)
        #expect(numbers == numbers.sorted(by: >))
        #expect(numbers.count < 100)
    }

    @Test func `files go when their youngest record is too old`() throws {
        let store = try open(segmentBytes: 1, retainedAge: .seconds(100))
        defer { store.close() }
        try append(1...10, to: store)
        let before = try store.run(id(1))
        #expect(before == run(1))
        try append(105...105, to: store)
        for number in UInt64(1)...4 {
            let gone = try store.run(id(number))
            #expect(gone == nil, "\(number)")
        }
        let kept = try store.run(id(5))
        #expect(kept == run(5))
    }

    // MARK: Damage

    @Test func `a tail that is not whole is cut off, and what the log brings again is stored`() throws {
        let store = try open()
        try append(1...5, to: store)
        store.close()
        let path = folder + "/000000000001.records"
        let contents = try FileDisk().contents(of: path)
        let whole = try #require(contents)
        for missing in [1, 20, 47, 48, 60] {
            let file = try FileDisk().open(path, create: false)
            try file.truncate(to: 0)
            try file.write(whole, at: 0)
            try file.truncate(to: whole.count - missing)
            file.close()
            let again = try open()
            #expect(again.lastIndex == LogIndex(4), "\(missing) bytes missing")
            try append(4...5, to: again)
            let numbers = try listed(again)
            #expect(numbers == [5, 4, 3, 2, 1], "\(missing) bytes missing")
            again.close()
        }
    }

    @Test func `a tail whose bytes changed is cut off`() throws {
        let store = try open()
        try append(1...5, to: store)
        store.close()
        let path = folder + "/000000000001.records"
        let contents = try FileDisk().contents(of: path)
        var bytes = try #require(contents)
        bytes[bytes.count - 3] ^= 1
        let file = try FileDisk().open(path, create: false)
        try file.write(bytes, at: 0)
        file.close()
        let again = try open()
        defer { again.close() }
        let numbers = try listed(again)
        #expect(numbers == [4, 3, 2, 1])
        let gone = try again.run(id(5))
        #expect(gone == nil)
    }

    @Test func `damage in the middle is passed over and counted, and a replay brings back what it held`() throws {
        let store = try open()
        try append(1...5, to: store)
        let size = store.bytes / 5
        store.close()
        let path = folder + "/000000000001.records"
        let contents = try FileDisk().contents(of: path)
        var bytes = try #require(contents)
        bytes[size * 2 + size / 2] ^= 1
        let file = try FileDisk().open(path, create: false)
        try file.write(bytes, at: 0)
        file.close()
        let again = try open()
        defer { again.close() }
        let numbers = try listed(again)
        #expect(numbers == [5, 4, 2, 1])
        #expect(again.unreadableBytes > 0)
        #expect(again.lastIndex == LogIndex(5))
        try append(1...5, to: again)
        let found = try again.run(id(3))
        #expect(found == run(3))
        let all = try listed(again)
        #expect(all.sorted() == [1, 2, 3, 4, 5])
    }

    @Test func `zeros after the last record are cut off`() throws {
        let store = try open()
        try append(1...2, to: store)
        store.close()
        let path = folder + "/000000000001.records"
        let file = try FileDisk().open(path, create: false)
        let size = try file.size()
        try file.write([UInt8](repeating: 0, count: 500), at: size)
        file.close()
        let again = try open()
        defer { again.close() }
        try again.append([.run(run(3))], index: LogIndex(3), time: time(3))
        let numbers = try listed(again)
        #expect(numbers == [3, 2, 1])
    }

    // MARK: Replay

    @Test func `what is stored already is not stored again`() throws {
        let store = try open()
        let items: [HistoryItem] = [.message(accepted(1)), .run(run(2))]
        try store.append([.run(run(9))], index: LogIndex(4), time: time(4))
        try store.append(items, index: LogIndex(5), time: time(5))
        try store.append([.run(run(9))], index: LogIndex(4), time: time(4))
        try store.append(items, index: LogIndex(5), time: time(5))
        let once = try listed(store)
        #expect(once == [2, 9])
        store.close()
        let again = try open()
        defer { again.close() }
        try again.append([.run(run(9))], index: LogIndex(4), time: time(4))
        try again.append(items + [.run(run(3))], index: LogIndex(5), time: time(5))
        try again.append([.run(run(4))], index: LogIndex(6), time: time(6))
        let numbers = try listed(again)
        #expect(numbers == [4, 3, 2, 9])
        let (messages, _) = try again.newest(.message, limit: 10) { _ in true }
        #expect(messages == [.message(accepted(1))])
    }

    @Test func `an entry that filled a file is not stored again by a replay`() throws {
        let store = try open(segmentBytes: 1)
        try append(1...3, to: store)
        store.close()
        let again = try open(segmentBytes: 1)
        defer { again.close() }
        try append(1...3, to: again)
        let numbers = try listed(again)
        #expect(numbers == [3, 2, 1])
    }

    @Test func `an entry without items moves the last index on`() throws {
        let store = try open()
        defer { store.close() }
        try store.append([], index: LogIndex(9), time: time(1))
        #expect(store.lastIndex == LogIndex(9))
    }

    // MARK: Chance

    @Test func `a file cut anywhere opens, with the records before the cut`() throws {
        let store = try open()
        try append(1...4, to: store)
        store.close()
        let path = folder + "/000000000001.records"
        let contents = try FileDisk().contents(of: path)
        let whole = try #require(contents)
        let seed: UInt64 = 12
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            let size = Int.random(in: 0...whole.count, using: &generator)
            let file = try FileDisk().open(path, create: false)
            try file.truncate(to: 0)
            try file.write(Array(whole[..<size]), at: 0)
            file.close()
            let again = try open()
            let numbers = try listed(again)
            again.close()
            let expected = (0..<numbers.count).map { UInt64(numbers.count - $0) }
            #expect(numbers == expected, "seed \(seed), \(size) bytes")
            #expect(size < whole.count || numbers.count == 4, "seed \(seed)")
        }
    }
}
