import Glibc
package import Primitives
import Synchronization

/// A disk whose syncs below one folder are slow or fail on purpose, as it is told while it runs: for chaos that an operator asks for.
/// While nothing is asked for a sync costs one load of an atomic more.
package final class ChaosDisk: Disk {
    private let disk: any Disk
    private let folder: String
    private let clock: any NodeClock
    private let isActive = Atomic(false)
    private let state = Mutex(State())

    private struct State {
        var faults = SyncFaults()
        /// Syncs that stall now; what ends a stall closes its box.
        var stalling: [Int: Mailbox<Void>] = [:]
        var next = 0
    }

    /// - Parameter folder: files in it and below are touched, no others.
    package init(_ disk: any Disk, below folder: String, clock: any NodeClock) {
        self.disk = disk
        self.folder = folder
        self.clock = clock
    }

    // MARK: Faults

    /// Each takes the place of the fault before it, whose stall ends at once.
    ///
    /// - Parameter every: from the beginning of one stall to that of the next; zero stalls every sync.
    package func stall(_ length: Duration, every: Duration) { put(.stalls(length, every: every)) }
    package func stallOnce(_ length: Duration) { put(.stallsOnce(length)) }
    /// Every sync fails with EIO from here on, and whoever writes has to take that for final (StorageError.io).
    package func failSyncs() { put(.fails) }
    package func heal() { put(nil) }

    /// How long a sync stalls; nil when none does.
    package var stallLength: Duration? {
        switch fault {
        case .stalls(let length, _), .stallsOnce(let length): length
        case .fails, nil: nil
        }
    }

    /// Nil for what stalls once, and while nothing stalls.
    package var stallEvery: Duration? { if case .stalls(_, let every) = fault { every } else { nil } }
    package var isFailing: Bool { fault == .fails }
    package var stallCount: Int { state.withLock { $0.faults.stalled } }
    package var failureCount: Int { state.withLock { $0.faults.failed } }
    /// Syncs that stall at this moment.
    package var stallingCount: Int { state.withLock { $0.stalling.count } }

    private var fault: SyncFaults.Fault? { state.withLock { $0.faults.fault } }

    private func put(_ fault: SyncFaults.Fault?) {
        let ended = state.withLock { state in
            state.faults.set(fault)
            isActive.store(fault != nil, ordering: .releasing)
            return Array(state.stalling.values)
        }
        for box in ended { box.close() }
    }

    /// Returns when the sync may be done.
    fileprivate func admitSync(of path: String) throws(StorageError) {
        guard isActive.load(ordering: .acquiring) else { return }
        let (fate, ticket, box) = state.withLock { state -> (SyncFaults.Fate, Int, Mailbox<Void>) in
            let fate = state.faults.fate(now: clock.now)
            if state.faults.fault == nil { isActive.store(false, ordering: .releasing) }
            let box = Mailbox<Void>(limit: 1)
            state.next += 1
            if case .stalled = fate { state.stalling[state.next] = box }
            return (fate, state.next, box)
        }
        switch fate {
        case .done: return
        case .failed: throw Self.failure(path)
        case .stalled(let length):
            _ = box.take(timeout: length)
            // It may have been told to fail meanwhile.
            let fails = state.withLock { state in
                state.stalling[ticket] = nil
                return state.faults.failsNow()
            }
            if fails { throw Self.failure(path) }
        }
    }

    private static func failure(_ path: String) -> StorageError { .io(operation: "sync", path: path, errno: EIO) }

    private func isBelow(_ path: String) -> Bool {
        let (own, other) = (folder.utf8, path.utf8)
        return other.starts(with: own) && (other.count == own.count || other.dropFirst(own.count).first == UInt8(ascii: "/"))
    }

    // MARK: Disk

    package func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        let file = try disk.open(path, create: create)
        return isBelow(path) ? ChaosFile(file, on: self) : file
    }

    package func syncFolder(_ path: String) throws(StorageError) {
        if isBelow(path) { try admitSync(of: path) }
        try disk.syncFolder(path)
    }

    package func list(_ folder: String) throws(StorageError) -> [String] { try disk.list(folder) }
    package func makeFolder(_ path: String) throws(StorageError) { try disk.makeFolder(path) }
    package func rename(_ path: String, to newPath: String) throws(StorageError) { try disk.rename(path, to: newPath) }
    package func remove(_ path: String) throws(StorageError) { try disk.remove(path) }
    package func exists(_ path: String) -> Bool { disk.exists(path) }
    package func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) { disk.space(at: path) }
}

private final class ChaosFile: DiskFile {
    private let file: any DiskFile
    private let disk: ChaosDisk

    init(_ file: any DiskFile, on disk: ChaosDisk) {
        self.file = file
        self.disk = disk
    }

    var path: String { file.path }
    func size() throws(StorageError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] { try file.read(at: offset, count: count) }
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) { try file.write(bytes, at: offset) }

    func sync() throws(StorageError) {
        try disk.admitSync(of: path)
        try file.sync()
    }

    func truncate(to size: Int) throws(StorageError) { try file.truncate(to: size) }
    func close() { file.close() }
}
