import Glibc

/// What the rooms above need of a file system; the simulator brings one that fails on purpose.
package protocol Disk: Sendable {
    func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile
    /// Names in a folder, sorted by bytes; empty when there is no such folder.
    func list(_ folder: String) throws(StorageError) -> [String]
    func makeFolder(_ path: String) throws(StorageError)
    func rename(_ path: String, to newPath: String) throws(StorageError)
    func remove(_ path: String) throws(StorageError)
    func exists(_ path: String) -> Bool
    /// Makes creations, renames and removals in the folder durable.
    func syncFolder(_ path: String) throws(StorageError)
    /// Bytes that an ordinary user may still write, and the size of the file system.
    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64)
}

/// An open file. Writes are durable after `sync`, not before.
package protocol DiskFile: AnyObject, Sendable {
    var path: String { get }
    func size() throws(StorageError) -> Int
    /// As many of `count` bytes as the file has from `offset` on.
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8]
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError)
    /// fdatasync. An error is final: what it covered must be taken as not written.
    func sync() throws(StorageError)
    func truncate(to size: Int) throws(StorageError)
    func close()
}

extension Disk {
    /// A folder that is there for good: its name lies in the folder above, and is lost with the power until that is synced.
    package func makeDurableFolder(_ path: String) throws(StorageError) {
        try makeFolder(path)
        let above = parentFolder(of: path)
        guard above != path, above != "." else { return }
        try syncFolder(above)
    }

    /// The whole of a file; nil when there is none.
    package func contents(of path: String) throws(StorageError) -> [UInt8]? {
        guard exists(path) else { return nil }
        let file = try open(path, create: false)
        defer { file.close() }
        return try file.read(at: 0, count: try file.size())
    }

    /// Replaces a file so that a crash leaves the old or the new one: write beside, sync, rename, sync the folder.
    package func replace(_ path: String, with bytes: [UInt8]) throws(StorageError) {
        let temporary = path + ".tmp"
        let file = try open(temporary, create: true)
        defer { file.close() }
        try file.truncate(to: 0)
        try file.write(bytes, at: 0)
        try file.sync()
        try rename(temporary, to: path)
        try syncFolder(parentFolder(of: path))
    }
}

package func parentFolder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
