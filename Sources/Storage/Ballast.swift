import Primitives

/// A file that only takes room: given back when the disk is full, it leaves the operator (and the log) some to act with.
/// Owned by one thread at a time.
package final class Ballast {
    /// How far taking the room has come.
    package enum Progress: Equatable, Sendable {
        case held
        case partly
        /// There is none to be had: the disk would come to its low mark, or is full after all.
        case refused
    }

    private static let pieceBytes = 1 << 20

    private let disk: any Disk
    private let path: String
    private let bytes: Int
    private let limits: DiskWatermarks.Limits

    /// - Parameters:
    ///   - bytes: 64 MiB is enough for four more log files; 0 is none.
    ///   - limits: the low mark that the disk stays above.
    package init(disk: any Disk, path: String, bytes: Int = 64 << 20, limits: DiskWatermarks.Limits = .init()) {
        precondition(bytes >= 0, "ballast of \(bytes) bytes")
        self.disk = disk
        self.path = path
        self.bytes = bytes
        self.limits = limits
    }

    /// Whether the room is taken.
    package var isHeld: Bool { bytes > 0 && disk.exists(path) }

    /// Bytes of room that are taken now, whole or in part.
    package func takenBytes() throws(StorageError) -> Int {
        if disk.exists(path) { return try size(of: path) }
        return disk.exists(temporaryPath) ? try size(of: temporaryPath) : 0
    }

    /// Takes all of the room when it is not taken and the disk stays above its low mark without it. Also gives up one of another size.
    /// - Returns: whether it is held now. A disk that turns out full is no error.
    @discardableResult
    package func take() throws(StorageError) -> Bool {
        while true {
            switch try take(upTo: bytes) {
            case .held: return true
            case .partly: continue
            case .refused: return false
            }
        }
    }

    /// Takes no more than `step` bytes, durable when it returns: the log's own syncs need not wait for all of it.
    package func take(upTo step: Int) throws(StorageError) -> Progress {
        if disk.exists(path) {
            if try size(of: path) == bytes { return bytes > 0 ? .held : .refused }
            try giveBack()
        }
        guard bytes > 0 else { return .refused }
        let taken = try takenBytes()
        guard hasRoom(for: bytes - min(taken, bytes)) else {
            try disk.remove(temporaryPath)
            return .refused
        }
        do throws(StorageError) {
            return try fill(upTo: step)
        } catch {
            try disk.remove(temporaryPath)
            guard case .full = error else { throw error }
            return .refused
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

    private func hasRoom(for rest: Int) -> Bool {
        let space = disk.space(at: parentFolder(of: path))
        guard space.totalBytes > 0, space.freeBytes > UInt64(rest) else { return false }
        // As from below: it must not be what brings the disk to its low mark.
        var marks = DiskWatermarks(level: .low, limits: limits)
        return marks.classify(freeBytes: space.freeBytes - UInt64(rest), totalBytes: space.totalBytes) == .ok
    }

    private func size(of path: String) throws(StorageError) -> Int {
        let file = try disk.open(path, create: false)
        defer { file.close() }
        return try file.size()
    }

    private func fill(upTo step: Int) throws(StorageError) -> Progress {
        let file = try disk.open(temporaryPath, create: true)
        defer { file.close() }
        var offset = try file.size()
        if offset > bytes {
            try file.truncate(to: 0)
            offset = 0
        }
        let end = min(bytes, offset + max(1, step))
        let piece = piece
        while offset < end {
            let slice = Array(piece.prefix(end - offset))
            try file.write(slice, at: offset)
            offset += slice.count
        }
        try file.sync()
        guard offset == bytes else { return .partly }
        try disk.rename(temporaryPath, to: path)
        try disk.syncFolder(parentFolder(of: path))
        return .held
    }

    /// A file system that compresses would take next to nothing for zeros.
    private var piece: [UInt8] {
        var chance = SeededGenerator(seed: 1)
        var piece: [UInt8] = []
        while piece.count < min(bytes, Self.pieceBytes) { put(chance.next(), &piece) }
        return piece
    }
}
