import Cluster
import Coordinator
import Foundation
import HashTreeCollections
import Primitives
import Raft
import Storage
import Testing
import Workflows

@testable import Offline

/// A data folder made of a backup (BackupRestore.swift).
struct BackupRestoreTests {
    private let temporary: TemporaryFolder
    private let cluster = UUIDv7(high: 0x018f_ffff_0000_7000, low: 5)
    private let now = ClusterTime(milliseconds: 1_700_000_500_000)
    private var backup: String { temporary.path + "/monday.backup" }
    private var data: String { temporary.path + "/data" }

    init() throws { temporary = try TemporaryFolder() }

    private func restore(on disk: any Disk = FileDisk(), into folder: String? = nil) throws -> BackupRestore.Made {
        try BackupRestore(BackupFile(backup), disk: disk, segmentBytes: 4096).run(
            into: folder ?? data, node: try NodeID("r-1"), cluster: cluster, now: now)
    }

    private func open() throws -> DataFolder {
        try DataFolder.open(
            data, node: try NodeID("r-1"), fallback: try NodeID("x"), featureLevel: CommandCodec.featureLevel, disk: FileDisk(),
            newCluster: { UUIDv7(high: 1, low: 1) })
    }

    /// As a node finds it that starts, and may repair nothing.
    private func started() throws -> (found: RaftStorage.Opened, state: CoordinatorState) {
        let (storage, found) = try RaftStorage.open(
            disk: FileDisk(), folder: data + "/raft", segmentBytes: 4096, chunkBytes: 4096, repairing: false
        ) { _ in }
        defer { storage.close() }
        let snapshot = try #require(try storage.snapshots.newest())
        return (found, try StateCodec.decode(snapshot.1, dedup: DedupWindow()))
    }

    @Test func `a node starts on it as a cluster of its own, with the state that was backed up`() throws {
        let state = try Samples.state(runs: 4)
        try Samples.writeBackup(backup, of: state)
        let made = try restore()
        #expect(made.node.text == "r-1" && made.cluster == cluster && made.records == 0 && made.backup.openRuns == 4)
        let folder = try open()
        #expect(folder.identity.cluster == cluster && folder.identity.epoch == 1)
        let (found, restored) = try started()
        #expect(restored.cluster == cluster)
        #expect(Set(restored.runs.keys) == Set(state.runs.keys) && restored.definitions == state.definitions)
        #expect(restored.applied == state.applied && restored.assignments == state.assignments && restored.totals == state.totals)
        let alone = Configuration(voters: [made.node])
        #expect(found.snapshot?.index == state.applied && found.snapshot?.configuration == alone)
        #expect(found.recovery.last.index == state.applied && found.recovery.last.term == Term(3))
        #expect(found.hardState == HardState(term: Term(3), vote: nil) && found.distrust == nil)
    }

    @Test func `its log goes on after the state`() throws {
        let state = try Samples.state(runs: 1)
        try Samples.writeBackup(backup, of: state)
        _ = try restore()
        var entries: [LogEntry] = []
        for _ in 0..<2 {
            entries.removeAll()
            let (storage, found) = try RaftStorage.open(
                disk: FileDisk(), folder: data + "/raft", segmentBytes: 4096, chunkBytes: 4096, repairing: false
            ) { entries.append($0) }
            let last = found.recovery.last
            try storage.log.append([LogEntry(index: last.index.next, term: Term(4), kind: .leaderStart, payload: [])])
            try storage.log.sync()
            try storage.votes.persist(HardState(term: Term(4), vote: try NodeID("r-1")))
            storage.close()
        }
        #expect(entries.map(\.index) == [state.applied.next])
    }

    @Test func `timers are held, and the folder says where it came from`() throws {
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1))
        _ = try restore()
        #expect(TimersHold.isSet(data))
        let text = String(decoding: try #require(try FileDisk().contents(of: data + "/restored")), as: UTF8.self)
        #expect(text.contains("\(CoordinatorFolder.cluster)") && text.contains("\(cluster)") && text.contains(now.rfc3339), "\(text)")
    }

    @Test func `the history comes back when it is there`() throws {
        let state = try Samples.state(runs: 3)
        try Samples.writeHistory(temporary.path + "/history", through: 9)
        try Samples.writeBackup(backup, of: state, history: temporary.path + "/history")
        let count = min(9, state.applied.number)
        #expect(try restore().records == Int(count))
        let store = try Samples.history(data + "/history")
        defer { store.close() }
        #expect(store.lastIndex == LogIndex(count) && store.unreadableBytes == 0)
        for number in 1...count { #expect(try store.run(Samples.ended(number).id) == Samples.ended(number)) }
    }

    // MARK: Refusals

    @Test func `a folder with anything in it is refused, and nothing is touched`() throws {
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1))
        _ = try CoordinatorFolder(data, terms: [1, 1, 1])
        let before = try temporary.contents()
        let refusal = problem { _ = try restore() }
        #expect(refusal?.kind == .refused && refusal?.description.contains("is not empty (history") == false)
        #expect(refusal?.description.contains("is not empty") == true && refusal?.description.contains("--data") == true)
        #expect(try temporary.contents() == before)
    }

    @Test func `a folder that a node has just taken is refused`() throws {
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1))
        try FileDisk().makeFolder(data)
        let running = try FolderClaim(data)
        #expect(problem { _ = try restore() }?.kind == .locked)
        #expect(try FileDisk().list(data) == ["LOCK"])
        #expect(running.path == data)
    }

    @Test func `an empty folder that a process has used before will do`() throws {
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1))
        try FileDisk().makeFolder(data)
        _ = try FolderClaim(data)
        _ = try restore()
        #expect(try open().identity.node.text == "r-1")
    }

    @Test func `a damaged backup makes nothing`() throws {
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1))
        try flip(backup, at: 400)
        #expect(problem { _ = try restore() }?.kind == .damaged)
        #expect(!FileDisk().exists(data))
        try Data(try Data(contentsOf: URL(filePath: backup)).dropLast(5)).write(to: URL(filePath: backup))
        #expect(problem { _ = try restore() }?.kind == .damaged)
        #expect(!FileDisk().exists(data))
    }

    // MARK: Broken off

    @Test func `one that is broken off is no node's folder, and says what to do`() throws {
        try Samples.writeHistory(temporary.path + "/history", through: 3)
        try Samples.writeBackup(backup, of: try Samples.state(runs: 1), history: temporary.path + "/history")
        for point in 0..<10_000 {
            try? FileManager.default.removeItem(atPath: data)
            guard let found = problem({ _ = try restore(on: BreakingDisk(after: point)) }) else {
                #expect(point > 20)
                #expect(try open().identity.cluster == cluster)
                return
            }
            #expect(found == DisasterProblem(BreakingDisk.error))
            // With its identity it is whole, and only not known to be on disk for good.
            guard !FileDisk().exists(data + "/identity"), FileDisk().exists(data + "/restored") else { continue }
            #expect(problem { _ = try restore() }?.description.contains("broken off") == true, "after \(point) changes")
            #expect(throws: StorageError.self, "after \(point) changes") { _ = try open() }
        }
        Issue.record("it never comes through")
    }
}
