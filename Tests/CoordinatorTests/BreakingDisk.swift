import Storage
import Synchronization

/// The machine's disk until so many changes were made: then the machine is gone, in the middle of the next one.
final class BreakingDisk: Disk {
    static let error = StorageError.io(operation: "go on", path: "breaking", errno: 5)

    private let disk = FileDisk()
    private let left: Atomic<Int>

    init(after changes: Int) { left = Atomic(changes) }

    /// Whether it has broken.
    var isBroken: Bool { left.load(ordering: .relaxed) < 0 }

    fileprivate func change() throws(StorageError) {
        guard left.subtract(1, ordering: .relaxed).newValue >= 0 else {
            left.store(-1, ordering: .relaxed)
            throw Self.error
        }
    }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create, !disk.exists(path) { try change() }
        return BreakingFile(file: try disk.open(path, create: create), disk: self)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    func exists(_ path: String) -> Bool { disk.exists(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }

    func rename(_ path: String, to newPath: String) throws(StorageError) {
        try change()
        try disk.rename(path, to: newPath)
    }

    func remove(_ path: String) throws(StorageError) {
        try change()
        try disk.remove(path)
    }

    func syncFolder(_ path: String) throws(StorageError) {
        try change()
        try disk.syncFolder(path)
    }
}

private final class BreakingFile: DiskFile {
    private let file: any DiskFile
    private let disk: BreakingDisk
    var path: String { file.path }

    init(file: any DiskFile, disk: BreakingDisk) { (self.file, self.disk) = (file, disk) }

    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }

    /// Half of the bytes, when it breaks here.
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        do throws(StorageError) { try disk.change() } catch {
            try file.write(Array(bytes.prefix(bytes.count / 2)), at: offset)
            throw error
        }
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
