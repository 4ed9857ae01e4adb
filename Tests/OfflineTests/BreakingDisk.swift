import Storage
import Synchronization

/// The machine's disk, which is gone after so many changes: what was done before that stays (kill -9 between two of them).
final class BreakingDisk: Disk {
    static let error = StorageError.io(operation: "go on", path: "after the crash", errno: 5)

    private let disk = FileDisk()
    private let left: Mutex<Int>

    init(after changes: Int) { left = Mutex(changes) }

    fileprivate func change() throws(StorageError) {
        let isThere = left.withLock { left in
            left -= 1
            return left >= 0
        }
        if !isThere { throw Self.error }
    }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create, !disk.exists(path) { try change() }
        return BreakingFile(file: try disk.open(path, create: create), disk: self)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }

    func makeFolder(_ path: String) throws(StorageError) {
        if !disk.exists(path) { try change() }
        try disk.makeFolder(path)
    }

    func rename(_ path: String, to newPath: String) throws(StorageError) {
        try change()
        try disk.rename(path, to: newPath)
    }

    func remove(_ path: String) throws(StorageError) {
        if disk.exists(path) { try change() }
        try disk.remove(path)
    }

    func exists(_ path: String) -> Bool { disk.exists(path) }

    func syncFolder(_ path: String) throws(StorageError) {
        try change()
        try disk.syncFolder(path)
    }

    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { (1 << 40, 1 << 40) }
}

private final class BreakingFile: DiskFile {
    private let file: any DiskFile
    private let disk: BreakingDisk

    init(file: any DiskFile, disk: BreakingDisk) {
        self.file = file
        self.disk = disk
    }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try disk.change()
        try file.write(bytes, at: offset)
    }

    func sync() throws(StorageError) {
        try disk.change()
        try file.sync()
    }

    func truncate(to size: Int) throws(StorageError) {
        try disk.change()
        try file.truncate(to: size)
    }

    func close() { file.close() }
}
