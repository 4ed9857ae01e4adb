import Glibc
import Primitives
import Synchronization
import Testing

@testable import Storage

/// Syncs that are slow or fail on purpose (SyncFaults.swift).
struct SyncFaultsTests {
    private func fates(_ faults: inout SyncFaults, at milliseconds: [Int64]) -> [SyncFaults.Fate] {
        milliseconds.map { faults.fate(now: Instant(nanoseconds: $0 * 1_000_000)) }
    }

    @Test func `without a fault every sync is done`() {
        var faults = SyncFaults()
        let found = fates(&faults, at: [0, 1, 2])
        #expect(found == [.done, .done, .done])
        #expect(faults == SyncFaults())
    }

    @Test func `a stall comes at once, and again when its time has passed since it began`() {
        var faults = SyncFaults()
        let slow = SyncFaults.Fate.stalled(.milliseconds(250))
        faults.set(.stalls(.milliseconds(250), every: .seconds(5)))
        let found = fates(&faults, at: [100, 101, 5099, 5100, 5101, 20_000, 24_999])
        #expect(found == [slow, .done, .done, slow, .done, slow, .done])
        #expect(faults.stalled == 3)
        #expect(faults.failed == 0)
    }

    @Test func `a stall every no time is one every sync`() {
        var faults = SyncFaults()
        faults.set(.stalls(.milliseconds(1), every: .zero))
        let found = fates(&faults, at: [7, 7, 7])
        #expect(found == Array(repeating: .stalled(.milliseconds(1)), count: 3))
    }

    @Test func `what stalls once is gone after it`() {
        var faults = SyncFaults()
        faults.set(.stallsOnce(.seconds(3)))
        let found = fates(&faults, at: [0, 1])
        #expect(found == [.stalled(.seconds(3)), .done])
        #expect(faults.fault == nil)
        #expect(faults.stalled == 1)
    }

    @Test func `failing goes on until it is taken away, and what it did stays counted`() {
        var faults = SyncFaults()
        faults.set(.fails)
        let failing = fates(&faults, at: [0, 1])
        #expect(failing == [.failed, .failed])
        faults.set(nil)
        let healed = fates(&faults, at: [2])
        #expect(healed == [.done])
        #expect(faults.failed == 2)
        let failsNow = faults.failsNow()
        #expect(!failsNow)
    }

    @Test func `a fault that is set again begins anew`() {
        var faults = SyncFaults()
        for _ in 0..<2 {
            faults.set(.stalls(.milliseconds(1), every: .seconds(60)))
            let found = fates(&faults, at: [0, 1])
            #expect(found == [.stalled(.milliseconds(1)), .done])
        }
    }
}

/// A disk that is disturbed while it runs (ChaosDisk.swift).
@Suite(.timeLimit(.minutes(1)))
struct ChaosDiskTests {
    private let temporary: TemporaryFolder
    private let syncs = Syncs()
    private let disk: ChaosDisk
    private var folder: String { temporary.path + "/raft" }

    /// Paths that the disk below was asked to sync.
    private final class Syncs: Sendable {
        private let paths = Mutex<[String]>([])
        var all: [String] { paths.withLock { $0 } }
        func add(_ path: String) { paths.withLock { $0.append(path) } }
    }

    init() throws {
        temporary = try TemporaryFolder()
        let syncs = syncs
        let below = HookedDisk { change throws(StorageError) in
            switch change {
            case .sync(let path), .syncFolder(let path): syncs.add(path)
            case .create, .makeFolder, .rename, .remove, .write, .truncate: break
            }
        }
        disk = ChaosDisk(below, below: temporary.path + "/raft", clock: StoppedClock())
        try disk.makeFolder(temporary.path + "/raft")
        try disk.makeFolder(temporary.path + "/raft-not")
    }

    private func file(_ path: String) throws -> any DiskFile { try disk.open(temporary.path + path, create: true) }

    private static func failure(_ path: String) -> StorageError { .io(operation: "sync", path: path, errno: EIO) }

    @Test func `without a fault it is the disk below`() throws {
        try disk.replace(folder + "/a", with: [1, 2, 3])
        let bytes = try disk.contents(of: folder + "/a")
        #expect(bytes == [1, 2, 3])
        #expect(syncs.all == [folder + "/a.tmp", folder])
        #expect(disk.stallLength == nil && disk.stallEvery == nil && !disk.isFailing)
        #expect(disk.space(at: folder).totalBytes == 1 << 40)
    }

    @Test func `failing syncs fail with EIO in the folder and below, and nowhere else`() throws {
        let inside = try ["/raft/log", "/raft/b"].map { try file($0) }
        try disk.makeFolder(folder + "/snapshots")
        let deep = try file("/raft/snapshots/s")
        let outside = try ["/x", "/raft-not/y"].map { try file($0) }
        disk.failSyncs()
        #expect(disk.isFailing)
        for file in inside + [deep] {
            try file.write([1], at: 0)
            let error = storageError { try file.sync() }
            #expect(error == Self.failure(file.path))
        }
        for folder in [folder, folder + "/snapshots"] {
            let error = storageError { try disk.syncFolder(folder) }
            #expect(error == Self.failure(folder))
        }
        #expect(syncs.all.isEmpty)
        #expect(disk.failureCount == 5)
        for file in outside { try file.sync() }
        try disk.syncFolder(temporary.path)
        #expect(syncs.all == outside.map(\.path) + [temporary.path])
        disk.heal()
        try deep.sync()
        #expect(syncs.all.last == deep.path)
        #expect(disk.failureCount == 5)
    }

    @Test func `a fault touches files that were open before it`() throws {
        let file = try file("/raft/log")
        try file.sync()
        disk.failSyncs()
        let error = storageError { try file.sync() }
        #expect(error == Self.failure(file.path))
    }

    @Test func `what is asked for can be read back`() {
        disk.stall(.milliseconds(250), every: .seconds(5))
        #expect(disk.stallLength == .milliseconds(250))
        #expect(disk.stallEvery == .seconds(5))
        disk.stallOnce(.seconds(3))
        #expect(disk.stallLength == .seconds(3))
        #expect(disk.stallEvery == nil)
        disk.failSyncs()
        #expect(disk.stallLength == nil)
    }

    @Test func `a stalled sync is done after it`() throws {
        let file = try file("/raft/log")
        disk.stallOnce(.milliseconds(1))
        try file.sync()
        #expect(syncs.all == [file.path])
        #expect(disk.stallCount == 1)
        #expect(disk.stallLength == nil)
        try file.sync()
        #expect(disk.stallCount == 1)
    }

    /// A sync on a thread of its own, which stalls for longer than the test may take.
    private func stalled(_ path: String) throws -> (NamedThread, Outcome) {
        let file = try file(path)
        let outcome = Outcome()
        disk.stall(.seconds(3600), every: .zero)
        let thread = NamedThread("stalled") {
            do throws(StorageError) {
                try file.sync()
                outcome.set("done")
            } catch {
                outcome.set(error.description)
            }
        }
        while disk.stallingCount == 0 { usleep(1000) }
        #expect(syncs.all.isEmpty)
        #expect(outcome.text == nil)
        return (thread, outcome)
    }

    private final class Outcome: Sendable {
        private let held = Mutex<String?>(nil)
        var text: String? { held.withLock { $0 } }
        func set(_ text: String) { held.withLock { $0 = text } }
    }

    @Test func `healing ends a stall that is under way`() throws {
        let (thread, outcome) = try stalled("/raft/log")
        disk.heal()
        thread.join()
        #expect(outcome.text == "done")
        #expect(syncs.all == [folder + "/log"])
        #expect(disk.stallingCount == 0)
    }

    @Test func `a sync that stalls when all are told to fail fails`() throws {
        let (thread, outcome) = try stalled("/raft/log")
        disk.failSyncs()
        thread.join()
        #expect(outcome.text == Self.failure(folder + "/log").description)
        #expect(syncs.all.isEmpty)
        #expect(disk.failureCount == 1)
    }

    @Test func `the log's thread takes a failing sync for final, as the machine's own`() throws {
        let log = try openedLog(folder, disk: disk)
        let reports = LogThreadReports()
        let thread = LogThread(log: log, clock: StoppedClock(), observer: reports.observer)
        disk.failSyncs()
        _ = thread.append([entry(1)])
        while reports.failures.isEmpty { usleep(1000) }
        disk.heal()
        _ = thread.append([entry(2)])
        thread.close()
        #expect(reports.failures.count == 1)
        #expect(reports.durable.isEmpty)
        #expect(disk.failureCount == 1)
    }
}
