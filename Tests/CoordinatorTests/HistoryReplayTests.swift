import Observability
import Primitives
import Storage
import Synchronization
import Testing
import Workflows

@testable import Coordinator

/// A log that is applied again finds what it gave in the history already, however many files that has (HistoryStore.swift).
struct HistoryReplayTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(_ disk: any Disk = FileDisk()) throws -> HistoryStore {
        var settings = HistoryStore.Settings()
        settings.segmentBytes = 1000
        return try HistoryStore(disk: disk, folder: folder, settings: settings, telemetry: telemetry)
    }

    private func item(_ number: UInt64) -> HistoryItem {
        .message(
            AcceptedMessage(
                message: Message(id: "m-\(number)", source: "s", type: "t", data: .string(String(repeating: "x", count: 100))),
                catalogVersion: 1, matched: [], runs: [], acceptedAt: ClusterTime(milliseconds: number)))
    }

    /// - Parameter sealing: each file that is full is closed at once, and not when there is time.
    private func apply(_ numbers: ClosedRange<UInt64>, to store: HistoryStore, sealing: Bool = false) throws {
        for number in numbers {
            try store.append([item(number)], index: LogIndex(number), time: ClusterTime(milliseconds: number))
            try sealing ? store.sync() : store.flush()
        }
    }

    private func stored(_ store: HistoryStore) throws -> [HistoryItem] {
        try store.newest(.message, limit: 10_000) { _ in true }.items.reversed()
    }

    private func names(_ ending: String) throws -> [String] { try FileDisk().list(folder).filter { $0.hasSuffix(ending) }.sorted() }

    @Test func `of many full files nothing is stored twice, and none is opened for it`() throws {
        let store = try open()
        try apply(1...200, to: store, sealing: true)
        store.close()
        #expect(try names(".records").count > 30)
        let disk = CountingDisk()
        let again = try open(disk)
        defer { again.close() }
        let before = disk.opened
        try apply(1...190, to: again)
        #expect(disk.opened == before)
        try apply(191...210, to: again)
        #expect(try stored(again) == (1...210).map { item($0) })
    }

    @Test func `a file without its index may have holes, and is looked at item by item`() throws {
        let store = try open()
        try apply(1...60, to: store, sealing: true)
        store.close()
        // Its end never came to the disk: it was closed, and the machine fell before the sync.
        let cut = try names(".records")[3]
        let file = try FileDisk().open(folder + "/" + cut, create: false)
        try file.truncate(to: try file.size() / 2)
        file.close()
        try FileDisk().remove(folder + "/" + cut.replacingSuffix)
        let again = try open()
        defer { again.close() }
        #expect(try stored(again).count < 60)
        try apply(1...60, to: again)
        let back = try stored(again)
        #expect(back.count == 60)
        #expect(Set(back.map(\.number)) == Set(1...60))
    }
}

/// The machine's disk; it counts which files were opened.
private final class CountingDisk: Disk {
    private let disk = FileDisk()
    private let count = Atomic(0)
    var opened: Int { count.load(ordering: .relaxed) }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        count.add(1, ordering: .relaxed)
        return try disk.open(path, create: create)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    func rename(_ path: String, to newPath: String) throws(StorageError) { try disk.rename(path, to: newPath) }
    func remove(_ path: String) throws(StorageError) { try disk.remove(path) }
    func exists(_ path: String) -> Bool { disk.exists(path) }
    func syncFolder(_ path: String) throws(StorageError) { try disk.syncFolder(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
}

extension String {
    fileprivate var replacingSuffix: String { String(dropLast("records".count)) + "index" }
}

extension HistoryItem {
    fileprivate var number: UInt64 {
        guard case .message(let accepted) = self else { return 0 }
        return accepted.acceptedAt.milliseconds
    }
}
