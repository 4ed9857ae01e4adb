import Synchronization

@testable import Storage

/// Counts the bytes that are read from the machine's disk.
final class ReadBytes: Sendable {
    private let bytes = Atomic<Int>(0)

    var count: Int { bytes.load(ordering: .relaxed) }
    var disk: any Disk { CountingDisk(bytes: self) }

    func forget() { bytes.store(0, ordering: .relaxed) }
    fileprivate func add(_ count: Int) { bytes.add(count, ordering: .relaxed) }

    private struct CountingDisk: Disk {
        let disk = FileDisk()
        let bytes: ReadBytes

        func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
            CountingFile(file: try disk.open(path, create: create), bytes: bytes)
        }

        func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
        func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
        func rename(_ path: String, to newPath: String) throws(StorageError) { try disk.rename(path, to: newPath) }
        func remove(_ path: String) throws(StorageError) { try disk.remove(path) }
        func exists(_ path: String) -> Bool { disk.exists(path) }
        func syncFolder(_ path: String) throws(StorageError) { try disk.syncFolder(path) }
        func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
    }

    private final class CountingFile: DiskFile {
        private let file: any DiskFile
        private let bytes: ReadBytes

        init(file: any DiskFile, bytes: ReadBytes) {
            self.file = file
            self.bytes = bytes
        }

        var path: String { file.path }
        func size() throws(StorageError) -> Int { try file.size() }

        func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
            let read = try file.read(at: offset, count: count)
            bytes.add(read.count)
            return read
        }

        func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { try file.write(bytes, at: offset) }
        func sync() throws(StorageError) { try file.sync() }
        func truncate(to size: Int) throws(StorageError) { try file.truncate(to: size) }
        func close() { file.close() }
    }
}
