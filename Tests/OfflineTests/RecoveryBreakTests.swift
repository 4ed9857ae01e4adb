import Coordinator
import Primitives
import Raft
import Storage
import Testing

@testable import Offline

/// A recovery that is broken off anywhere: the folder is as it was, or waits for a second one (ClusterRecovery.swift).
struct RecoveryBreakTests {
    private let now = ClusterTime(milliseconds: 1_700_000_000_000)

    /// Breaks off before the first change of the disk, before the second, and so on, until it comes through.
    private func atEveryChange(
        terms: [UInt64], history: UInt64 = 0, damaged: Bool = false, _ check: (CoordinatorFolder, _ isDone: Bool) throws -> Void
    ) throws -> Int {
        for point in 0..<10_000 {
            let temporary = try TemporaryFolder()
            defer { withExtendedLifetime(temporary) {} }
            let folder = try CoordinatorFolder(temporary.path + "/c-1", terms: terms, history: history)
            if damaged { try flip(try folder.logFiles()[1], at: CoordinatorFolder.payloadOffset(2) + 5) }
            let isOver = try recover(folder, on: BreakingDisk(after: point))
            // What only is not known to be on disk for good is done.
            let isDone = try isOver || RecoveryRecord.read(folder.path, disk: FileDisk())?.isFinished == true
            try check(folder, isDone)
            if isOver { return point }
        }
        Issue.record("it never comes through")
        return 0
    }

    /// False when the disk broke.
    private func recover(_ folder: CoordinatorFolder, on disk: any Disk) throws -> Bool {
        let recovery = try ClusterRecovery(folders: [folder.path])
        let chosen = try recovery.chosen(nil)
        try recovery.check(chosen, acceptsLoss: true)
        do throws(DisasterProblem) {
            _ = try recovery.recover(chosen, now: now, disk: disk, segmentBytes: CoordinatorFolder.segmentBytes)
            return true
        } catch {
            guard error == DisasterProblem(BreakingDisk.error) else { throw error }
            return false
        }
    }

    @Test func `no half of it is a cluster of the old epoch with one member, and a second one finishes it`() throws {
        let terms = Array(repeating: UInt64(1), count: 20)
        let points = try atEveryChange(terms: terms, history: 15) { folder, isDone in
            let half = try folder.started()
            // Old servers would listen to it and it would need none of them.
            #expect(half.epoch > 1 || !half.isAlone)
            #expect(half.entries.count == (half.isAlone ? 21 : 20))
            #expect(!isDone || half.isAlone)
            let begun = try RecoveryRecord.read(folder.path, disk: FileDisk())
            #expect(try isDone || recover(folder, on: FileDisk()))
            let after = try folder.started()
            #expect(after.epoch > 1 && after.isAlone && after.entries.count == 21)
            let record = try #require(try RecoveryRecord.read(folder.path, disk: FileDisk()))
            #expect(record.isFinished && record.epochBefore == 1 && record.epoch > 1 && record.lastIndex == LogIndex(20))
            #expect(record.configurationBefore == "voters=c-1,c-2,c-3 outgoing= learners= target=")
            #expect(begun == nil || begun?.term == record.term)
            #expect(after.hardState.term == record.term)
        }
        #expect(points > 10)
    }

    @Test func `so it is with a log that loses its end`() throws {
        let terms = Array(repeating: UInt64(1), count: 40)
        let points = try atEveryChange(terms: terms, history: 40, damaged: true) { folder, isDone in
            let identity = try DataFolder.readIdentity(at: folder.path, featureLevel: .max, disk: FileDisk())
            let before = try look(folder)
            #expect((identity?.epoch ?? 1) > 1 || !before.isAlone)
            #expect(isDone || before.loss != .none || before.isAlone)
            #expect(try isDone || recover(folder, on: FileDisk()))
            let after = try folder.started()
            #expect(after.epoch > 1 && after.isAlone)
            let kept = after.entries.count - 1
            #expect(kept > 10 && kept < 40 && after.entries.filter { $0.kind == .configuration }.count == 2)
            let record = try #require(try RecoveryRecord.read(folder.path, disk: FileDisk()))
            #expect(record.isFinished && record.lastIndex == LogIndex(UInt64(kept)) && record.loss == .entries(UInt64(40 - kept)))
            let store = try Samples.history(folder.path + "/history")
            #expect(store.lastIndex == LogIndex(UInt64(kept)))
            store.close()
        }
        #expect(points > 20)
    }

    /// Lets go of the folder's lock when it returns.
    private func look(_ folder: CoordinatorFolder) throws -> (isAlone: Bool, loss: RecoveryRecord.Loss) {
        let survivor = try Survivor(folder.path)
        return (survivor.isAlone, survivor.loss)
    }
}
