import Storage
import Synchronization

/// A disk in memory that only knows how large its files are, and whose free space is what others leave of it.
final class MeasuredDisk: Disk {
    private struct State {
        var files: [String: Int] = [:]
        var othersBytes: Int
        var failure: StorageError?
        var syncs = 0
    }

    private let totalBytes: Int
    private let state: Mutex<State>

    init(totalBytes: Int, freeBytes: Int) {
        self.totalBytes = totalBytes
        state = Mutex(State(othersBytes: totalBytes - freeBytes))
    }

    /// Others write or remove so much that this is free.
    func setFree(_ bytes: Int) {
        state.withLock { state in state.othersBytes = totalBytes - bytes - state.files.values.reduce(0, +) }
    }

    /// What every change throws from here on; nil ends it.
    func setFailure(_ failure: StorageError?) { state.withLock { $0.failure = failure } }

    var files: [String: Int] { state.withLock { $0.files } }
    var syncs: Int { state.withLock { $0.syncs } }
    var freeBytes: Int { Int(space(at: "/").freeBytes) }

    fileprivate func size(_ path: String) -> Int { state.withLock { $0.files[path] ?? 0 } }

    fileprivate func change(_ path: String, _ size: (Int) -> Int?) throws(StorageError) {
        let failure = state.withLock { state -> StorageError? in
            if let failure = state.failure { return failure }
            state.files[path] = size(state.files[path] ?? 0)
            return nil
        }
        if let failure { throw failure }
    }

    fileprivate func countSync() { state.withLock { $0.syncs += 1 } }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create { try change(path) { $0 } }
        return MeasuredFile(path: path, disk: self)
    }

    func rename(_ path: String, to newPath: String) throws(StorageError) {
        let bytes = size(path)
        try change(newPath) { _ in bytes }
        try change(path) { _ in nil }
    }

    func remove(_ path: String) throws(StorageError) { try change(path) { _ in nil } }
    func exists(_ path: String) -> Bool { state.withLock { $0.files[path] != nil } }
    func list(_ folder: String) throws(StorageError) -> [String] { [] }
    func makeFolder(_ path: String) throws(StorageError) {}
    func syncFolder(_ path: String) throws(StorageError) {}

    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) {
        let used = state.withLock { $0.othersBytes + $0.files.values.reduce(0, +) }
        return (UInt64(max(0, totalBytes - used)), UInt64(totalBytes))
    }
}

private final class MeasuredFile: DiskFile {
    let path: String
    private let disk: MeasuredDisk

    init(path: String, disk: MeasuredDisk) {
        self.path = path
        self.disk = disk
    }

    func size() throws(StorageError) -> Int { disk.size(path) }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { [] }
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { try disk.change(path) { max($0, offset + bytes.count) } }
    func sync() throws(StorageError) { disk.countSync() }
    func truncate(to size: Int) throws(StorageError) { try disk.change(path) { _ in size } }
    func close() {}
}
