import Glibc
import Synchronization

/// The disk of a node that shares its process with others and may have to die without them: once severed it takes nothing more, so that what the
/// node still does on its way out reaches no file. What was written before stays, as after a crash.
package final class SeverableDisk: Disk {
    private let disk: any Disk
    private let isSevered = Atomic(false)

    package init(_ disk: any Disk) { self.disk = disk }

    /// From here on every change fails with EIO; it cannot be taken back.
    package func sever() { isSevered.store(true, ordering: .releasing) }

    fileprivate func admit(_ operation: String, _ path: String) throws(StorageError) {
        guard isSevered.load(ordering: .acquiring) else { return }
        throw .io(operation: operation, path: path, errno: EIO)
    }

    package func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create { try admit("open", path) }
        return SeverableFile(try disk.open(path, create: create), on: self)
    }

    package func makeFolder(_ path: String) throws(StorageError) {
        try admit("mkdir", path)
        try disk.makeFolder(path)
    }

    package func rename(_ path: String, to newPath: String) throws(StorageError) {
        try admit("rename", path)
        try disk.rename(path, to: newPath)
    }

    package func remove(_ path: String) throws(StorageError) {
        try admit("remove", path)
        try disk.remove(path)
    }

    package func syncFolder(_ path: String) throws(StorageError) {
        try admit("sync", path)
        try disk.syncFolder(path)
    }

    package func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    package func exists(_ path: String) -> Bool { disk.exists(path) }
    package func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
}

private final class SeverableFile: DiskFile {
    private let file: any DiskFile
    private let disk: SeverableDisk

    init(_ file: any DiskFile, on disk: SeverableDisk) {
        self.file = file
        self.disk = disk
    }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try disk.admit("write", path)
        try file.write(bytes, at: offset)
    }

    func sync() throws(StorageError) {
        try disk.admit("sync", path)
        try file.sync()
        // Whoever waited for it died meanwhile: it must not be told that it is safe.
        try disk.admit("sync", path)
    }

    func truncate(to size: Int) throws(StorageError) {
        try disk.admit("truncate", path)
        try file.truncate(to: size)
    }

    func close() { file.close() }
}
