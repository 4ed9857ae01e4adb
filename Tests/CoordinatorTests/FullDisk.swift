import Storage
import Synchronization

/// A real disk on which, once it is full, nothing more can be written.
final class FullDisk: Disk {
    private let disk = FileDisk()
    private let full = Atomic<Bool>(false)

    var isFull: Bool {
        get { full.load(ordering: .relaxed) }
        set { full.store(newValue, ordering: .relaxed) }
    }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile { File(try disk.open(path, create: create), self) }
    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    func rename(_ path: String, to newPath: String) throws(StorageError) { try disk.rename(path, to: newPath) }
    func remove(_ path: String) throws(StorageError) { try disk.remove(path) }
    func exists(_ path: String) -> Bool { disk.exists(path) }
    func syncFolder(_ path: String) throws(StorageError) { try disk.syncFolder(path) }
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }

    private final class File: DiskFile {
        private let file: any DiskFile
        private let disk: FullDisk
        var path: String { file.path }

        init(_ file: any DiskFile, _ disk: FullDisk) { (self.file, self.disk) = (file, disk) }

        func size() throws(StorageError) -> Int { try file.size() }
        func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }
        func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
            guard !disk.isFull else { throw .full(path: path) }
            try file.write(bytes, at: offset)
        }
        func sync() throws(StorageError) { try file.sync() }
        func truncate(to size: Int) throws(StorageError) { try file.truncate(to: size) }
        func close() { file.close() }
    }
}
