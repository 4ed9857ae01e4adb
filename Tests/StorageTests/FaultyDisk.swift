import Synchronization

@testable import Storage

/// The machine's disk, until it is told to refuse every sync.
final class FaultyDisk: Disk {
    static let error = StorageError.io(operation: "sync", path: "faulty", errno: 5)

    private let disk = FileDisk()
    private let failing = Atomic<Bool>(false)

    func fail() { failing.store(true, ordering: .relaxed) }

    fileprivate func check() throws(StorageError) {
        if failing.load(ordering: .relaxed) { throw Self.error }
    }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        FaultyFile(file: try disk.open(path, create: create), disk: self)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    func rename(_ path: String, to newPath: String) throws(StorageError) { try disk.rename(path, to: newPath) }
    func remove(_ path: String) throws(StorageError) { try disk.remove(path) }
    func exists(_ path: String) -> Bool { disk.exists(path) }
    func syncFolder(_ path: String) throws(StorageError) { try disk.syncFolder(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
}

private final class FaultyFile: DiskFile {
    private let file: any DiskFile
    private let disk: FaultyDisk

    init(file: any DiskFile, disk: FaultyDisk) {
        self.file = file
        self.disk = disk
    }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { try file.write(bytes, at: offset) }

    func sync() throws(StorageError) {
        try disk.check()
        try file.sync()
    }

    func truncate(to size: Int) throws(StorageError) { try file.truncate(to: size) }
    func close() { file.close() }
}
