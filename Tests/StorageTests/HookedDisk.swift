import Synchronization
import Testing

@testable import Storage

/// The machine's disk, which tells of every change before it is made; whoever is told may throw instead.
final class HookedDisk: Disk {
    enum Change: Equatable, Sendable {
        case create(String), makeFolder(String), rename(String, to: String), remove(String), syncFolder(String)
        case write(String, bytes: Int), sync(String), truncate(String)
    }

    private let disk = FileDisk()
    private let freeBytes: UInt64
    private let totalBytes: UInt64
    fileprivate let tell: @Sendable (Change) throws(StorageError) -> Void

    /// A disk with room for everything, unless another size is given.
    init(
        freeBytes: UInt64 = 1 << 40, totalBytes: UInt64 = 1 << 40,
        tell: @escaping @Sendable (Change) throws(StorageError) -> Void = { _ in }
    ) {
        self.freeBytes = freeBytes
        self.totalBytes = totalBytes
        self.tell = tell
    }

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

    func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { (freeBytes, totalBytes) }
}

private final class HookedFile: DiskFile {
    private let file: any DiskFile
    private let disk: HookedDisk

    init(file: any DiskFile, disk: HookedDisk) {
        self.file = file
        self.disk = disk
    }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try disk.tell(.write(path, bytes: bytes.count))
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

/// What a process was about when it was killed.
struct Crash {
    static let error = StorageError.io(operation: "go on", path: "after the crash", errno: 5)

    /// How many changes of the disk it made before.
    let point: Int
    let folder: String
    /// It came through: the last of the rounds.
    let isOver: Bool

    /// Runs `act` in a fresh folder again and again: the disk is gone before its first change, its second, and so on, until it comes
    /// through.
    /// What was done before that is there when `check` looks (kill -9 between two changes).
    /// - Returns: how many changes it makes when nothing stops it.
    @discardableResult
    static func atEveryChange(
        prepare: (String) throws -> Void, act: (any Disk, String) throws -> Void, check: (Crash) throws -> Void
    ) throws -> Int {
        for point in 0..<10_000 {
            let temporary = try TemporaryFolder()
            defer { withExtendedLifetime(temporary) {} }
            let folder = temporary.path + "/it"
            try prepare(folder)
            let left = Countdown(point)
            let disk = HookedDisk { _ throws(StorageError) in if !left.take() { throw Crash.error } }
            var isOver = true
            do {
                try act(disk, folder)
            } catch let error as StorageError where error == Crash.error {
                isOver = false
            }
            try check(Crash(point: point, folder: folder, isOver: isOver))
            if isOver { return point }
        }
        Issue.record("it never comes through")
        return 0
    }
}

/// Says yes so many times.
private final class Countdown: Sendable {
    private let left: Mutex<Int>

    init(_ count: Int) { left = Mutex(count) }

    func take() -> Bool {
        left.withLock { left in
            guard left > 0 else { return false }
            left -= 1
            return true
        }
    }
}
