import Observability
import Primitives
import Storage
import Synchronization
import Testing

@testable import Coordinator

/// Full files are made durable beside who writes, and a crash in between loses nothing that anybody relied upon (HistoryStore+Sealing.swift).
struct HistorySealingTests {
    private let temporary: TemporaryFolder
    private let telemetry: Telemetry
    private var folder: String { temporary.path + "/history" }

    init() throws {
        temporary = try TemporaryFolder()
        telemetry = Telemetry.quiet(node: try NodeID("n-1"))
    }

    private func open(_ disk: any Disk) throws -> HistoryStore {
        var settings = HistoryStore.Settings()
        settings.segmentBytes = 2000
        return try HistoryStore(disk: disk, folder: folder, settings: settings, telemetry: telemetry)
    }

    /// What a node does while it applies entries: it syncs nothing by itself.
    private func apply(_ numbers: ClosedRange<UInt64>, to store: HistoryStore) throws {
        for number in numbers {
            try store.append(HistorySamples.entry(number), index: LogIndex(number), time: HistorySamples.time(number))
            try store.flush()
        }
    }

    @Test func `who writes goes on while the disk makes nothing durable, and finds all of it`() throws {
        let disk = ForgetfulDisk()
        let store = try open(disk)
        disk.hold()
        // Each of the syncs that this needs is held up: with one on its way it would not come to an end.
        try apply(1...40, to: store)
        for number in UInt64(1)...40 { #expect(try store.has(number), "\(number)") }
        #expect(try store.listed() == (1...40).reversed().map { UInt64($0) })
        // An entry that comes again is not stored again, wherever it lies.
        try apply(1...40, to: store)
        #expect(try store.listed().count == 40)
        let files = try FileDisk().list(folder)
        #expect(files.count { $0.hasSuffix(".records") } > HistoryStore.unsealedLimit)
        #expect(!files.contains { $0.hasSuffix(".index") })
        disk.letGo()
        store.close()
        #expect(try FileDisk().list(folder).contains { $0.hasSuffix(".index") })
    }

    @Test func `a crash before anything was durable loses what the log still has, and no more`() throws {
        let disk = ForgetfulDisk()
        let store = try open(disk)
        disk.hold()
        try apply(1...30, to: store)
        try disk.crash()
        let again = try open(FileDisk())
        defer { again.close() }
        #expect(try again.listed().isEmpty)
        try apply(1...30, to: again)
        for number in UInt64(1)...30 { #expect(try again.has(number), "\(number)") }
        #expect(try again.listed() == (1...30).reversed().map { UInt64($0) })
    }

    @Test(arguments: [UInt64(9), 17, 30]) func `what a snapshot relied upon survives a crash between a full file and its sync`(last: UInt64)
        throws
    {
        let disk = ForgetfulDisk()
        let store = try open(disk)
        try apply(1...last, to: store)
        // The snapshot is written, and the log below it goes.
        try store.sync()
        disk.hold()
        try apply((last + 1)...60, to: store)
        try disk.crash()
        let again = try open(FileDisk())
        defer { again.close() }
        for number in UInt64(1)...last { #expect(try again.has(number), "\(number)") }
        // The log has the rest; what was durable of it is not stored twice.
        try apply((last + 1)...60, to: again)
        #expect(try again.listed() == (1...60).reversed().map { UInt64($0) })
        #expect(again.lastIndex == LogIndex(60))
    }

    @Test func `a snapshot waits for full files, and says so when one cannot be made durable`() throws {
        let disk = ForgetfulDisk()
        let store = try open(disk)
        disk.fail()
        #expect(throws: ForgetfulDisk.error) {
            try apply(1...30, to: store)
            try store.sync()
        }
        // Not the next time either, although the disk says that all is well: nobody knows what it dropped.
        disk.letGo()
        #expect(throws: ForgetfulDisk.error) { try store.sync() }
        #expect(throws: ForgetfulDisk.error) { try apply(31...31, to: store) }
        store.close()
    }
}

/// The machine's disk, which forgets at a crash whatever was not synced. Syncs can be held up.
private final class ForgetfulDisk: Disk {
    static let error = StorageError.io(operation: "sync", path: "forgetful", errno: 5)

    private enum Mode { case usual, held, failing, gone }

    private struct State {
        var mode = Mode.usual
        /// How much of each file is durable.
        var durable: [String: Int] = [:]
    }

    private let disk = FileDisk()
    private let state = Mutex(State())

    func hold() { state.withLock { $0.mode = .held } }
    func fail() { state.withLock { $0.mode = .failing } }
    func letGo() { state.withLock { $0.mode = .usual } }

    /// Whoever syncs is told that the disk is gone, and what was not durable is.
    func crash() throws {
        let durable = state.withLock { state in
            state.mode = .gone
            return state.durable
        }
        for (path, bytes) in durable where disk.exists(path) {
            let file = try disk.open(path, create: false)
            defer { file.close() }
            if try file.size() > bytes { try file.truncate(to: bytes) }
        }
    }

    fileprivate func sync(_ file: any DiskFile) throws(StorageError) {
        while true {
            let mode = state.withLock { $0.mode }
            switch mode {
            case .held: pause(milliseconds: 1)
            case .failing, .gone: throw Self.error
            case .usual:
                let bytes = try file.size()
                state.withLock { $0.durable[file.path] = bytes }
                return
            }
        }
    }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create, state.withLock({ $0.mode == .gone }) { throw Self.error }
        let file = try disk.open(path, create: create)
        if create { state.withLock { state in state.durable[path] = state.durable[path] ?? 0 } }
        return File(file, self)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    func exists(_ path: String) -> Bool { disk.exists(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
    func syncFolder(_ path: String) throws(StorageError) {}

    func rename(_ path: String, to newPath: String) throws(StorageError) {
        if state.withLock({ $0.mode == .gone }) { throw Self.error }
        try disk.rename(path, to: newPath)
        state.withLock { $0.durable[newPath] = $0.durable.removeValue(forKey: path) }
    }

    func remove(_ path: String) throws(StorageError) {
        if state.withLock({ $0.mode == .gone }) { throw Self.error }
        try disk.remove(path)
        state.withLock { $0.durable[path] = nil }
    }

    private final class File: DiskFile {
        private let file: any DiskFile
        private let disk: ForgetfulDisk
        var path: String { file.path }

        init(_ file: any DiskFile, _ disk: ForgetfulDisk) { (self.file, self.disk) = (file, disk) }

        func size() throws(StorageError) -> Int { try file.size() }
        func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }
        func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { try file.write(bytes, at: offset) }
        func sync() throws(StorageError) { try disk.sync(file) }
        func truncate(to size: Int) throws(StorageError) { try file.truncate(to: size) }
        func close() { file.close() }
    }
}
