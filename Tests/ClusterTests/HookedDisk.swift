import Storage

/// The machine's disk, which tells of every change before it is made; whoever is told may throw instead.
final class HookedDisk: Disk {
    enum Change: Equatable, Sendable {
        case create(String), makeFolder(String), rename(String, to: String), remove(String), syncFolder(String)
        case write(String), sync(String), truncate(String)
    }

    /// What a disk says that is gone.
    static let error = StorageError.io(operation: "go on", path: "hooked", errno: 5)

    private let disk = FileDisk()
    fileprivate let tell: @Sendable (Change) throws(StorageError) -> Void

    init(tell: @escaping @Sendable (Change) throws(StorageError) -> Void) { self.tell = tell }

    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        if create, !disk.exists(path) { try tell(.create(path)) }
        return HookedFile(file: try disk.open(path, create: create), disk: self)
    }

    func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }

    func makeFolder(_ path: String) throws(StorageError) {
        if !disk.exists(path) { try tell(.makeFolder(path)) }
        try disk.makeFolder(path)
    }

    func rename(_ path: String, to newPath: String) throws(StorageError) {
        try tell(.rename(path, to: newPath))
        try disk.rename(path, to: newPath)
    }

    func remove(_ path: String) throws(StorageError) {
        if disk.exists(path) { try tell(.remove(path)) }
        try disk.remove(path)
    }

    func exists(_ path: String) -> Bool { disk.exists(path) }

    func syncFolder(_ path: String) throws(StorageError) {
        try tell(.syncFolder(path))
        try disk.syncFolder(path)
    }

    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
}

private final class HookedFile: DiskFile {
    private let file: any DiskFile
    private let disk: HookedDisk

    init(file: any DiskFile, disk: HookedDisk) { (self.file, self.disk) = (file, disk) }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try disk.tell(.write(path))
        try file.write(bytes, at: offset)
    }

    func sync() throws(StorageError) {
        try disk.tell(.sync(path))
        try file.sync()
    }

    func truncate(to size: Int) throws(StorageError) {
        try disk.tell(.truncate(path))
        try file.truncate(to: size)
    }

    func close() { file.close() }
}
