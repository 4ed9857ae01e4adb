import Primitives

/// A file that only takes room: given back when the disk is full, it leaves the operator (and the log) some to act with.
/// Owned by one thread at a time.
package final class Ballast {
    private let disk: any Disk
    private let path: String
    private let bytes: Int

    /// - Parameter bytes: 64 MiB is enough for four more log files; 0 is none.
    package init(disk: any Disk, path: String, bytes: Int = 64 << 20) {
        precondition(bytes >= 0, "ballast of \(bytes) bytes")
        self.disk = disk
        self.path = path
        self.bytes = bytes
    }

    /// Whether the room is taken.
    package var isHeld: Bool { bytes > 0 && disk.exists(path) }

    /// Takes the room when it is not taken and the disk stays above its low mark without it. Also gives up one of another size.
    /// - Returns: whether it is held now. A disk that turns out full is no error.
    @discardableResult
    package func take() throws(StorageError) -> Bool {
        if disk.exists(path) {
            if try size() == bytes { return bytes > 0 }
            try giveBack()
        }
        guard bytes > 0, hasRoom else { return false }
        do throws(StorageError) {
            try fill()
            return true
        } catch {
            try disk.remove(temporaryPath)
            guard case .full = error else { throw error }
            return false
        }
    }

    /// Removes the file; that there is none is no error.
    package func giveBack() throws(StorageError) {
        try disk.remove(temporaryPath)
        guard disk.exists(path) else { return }
        try disk.remove(path)
        try disk.syncFolder(parentFolder(of: path))
    }

    private var temporaryPath: String { path + ".tmp" }

    private var hasRoom: Bool {
        let space = disk.space(at: parentFolder(of: path))
        guard space.totalBytes > 0, space.freeBytes > UInt64(bytes) else { return false }
        // As from below: it must not be what brings the disk to its low mark.
        var marks = DiskWatermarks(level: .low)
        return marks.classify(freeBytes: space.freeBytes - UInt64(bytes), totalBytes: space.totalBytes) == .ok
    }

    private func size() throws(StorageError) -> Int {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try file.size()
    }

    private func fill() throws(StorageError) {
        let file = try disk.open(temporaryPath, create: true)
        defer { file.close() }
        try file.truncate(to: 0)
        // A file system that compresses would take next to nothing for zeros.
        var chance = SeededGenerator(seed: 1)
        var piece: [UInt8] = []
        while piece.count < min(bytes, 1 << 20) { put(chance.next(), &piece) }
        var offset = 0
        while offset < bytes {
            let slice = Array(piece.prefix(bytes - offset))
            try file.write(slice, at: offset)
            offset += slice.count
        }
        try file.sync()
        try disk.rename(temporaryPath, to: path)
        try disk.syncFolder(parentFolder(of: path))
    }
}
