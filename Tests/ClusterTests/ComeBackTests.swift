import Foundation
import Observability
import Primitives
import Raft
import Storage
import Testing
import Transport

@testable import Cluster

/// Servers whose folders have lost something, or were put back from an older copy (RaftDriver+Losses.swift; Decisions/LostVotes, RolledBackFolders).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ComeBackTests {
    private func payloads(_ count: Int) -> [[UInt8]] { (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1000) } }

    private func save(_ member: RaftMember, at index: LogIndex, _ bytes: [UInt8] = [1, 2, 3]) throws {
        var pieces = [bytes].makeIterator()
        _ = try member.driver.save(index: index, digest: StateDigest(), featureLevel: 1, pieces: { pieces.next() })
    }

    private func names(_ folder: String) throws -> [String] { try FileDisk().list(folder) }

    /// One that follows, with its number; all have committed a few entries.
    private func follower(_ stage: RaftStage, entries: Int = 20) async throws -> (member: RaftMember, number: Int) {
        let index = try await stage.commit(payloads(entries))
        #expect(await stage.haveCommitted(index))
        let (leader, _) = try await stage.leader()
        let member = stage.others(than: leader)[0]
        let voters = stage.members.map(\.id).sorted()
        return (member, try #require(voters.firstIndex(of: member.id)) + 1)
    }

    private func voters() throws -> [NodeID] { try (1...3).map { try RaftStage.id($0) } }

    /// Starts it again, and waits until a leader has made good what it lost.
    private func comesBack(
        _ number: Int, _ stage: RaftStage, accept: (SegmentedLog.Recovery) throws(StorageError) -> Void = { _ in }
    ) async throws -> RaftMember {
        let back = try await stage.add(number, voters: try voters(), accept: accept)
        #expect(back.events.contains("raft.recovering"))
        #expect(back.telemetry.health.all.first { $0.name == "raft-recovery" }?.status == .degraded)
        #expect(FileDisk().exists(back.folder + "/raft/recovering"))
        stage.introduce()
        let index = try await stage.commit(payloads(3))
        let isBack = await eventually { back.events.contains("raft.trusted") && back.status.commitIndex >= index }
        #expect(isBack, "\(back.status)")
        #expect(try back.log(through: index, after: back.status.snapshotIndex).last?.index == index)
        let isForgotten = await eventually { !FileDisk().exists(back.folder + "/raft/recovering") }
        #expect(isForgotten)
        return back
    }

    // MARK: Snapshots

    @Test(arguments: ["state", "manifest"])
    func `a damaged snapshot is set aside, and another one comes from the leader`(file: String) async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage, entries: 200)
            let index = member.status.commitIndex
            for member in stage.members { try save(member, at: index) }
            // What its snapshot stood for is in nobody's log any more.
            let isCompacted = try await eventually {
                try stage.members.allSatisfy { try names($0.folder + "/raft/log").filter { $0.hasSuffix(".log") }.count <= 2 }
            }
            #expect(isCompacted)
            await stage.stop(member)
            let folder = member.folder + "/raft/snapshots"
            let name = try #require(try names(folder).first { $0.hasSuffix(file) })
            try FileDisk().replace(folder + "/" + name, with: [9, 9, 9])
            let back = try await comesBack(number, stage)
            #expect(back.restored == nil)
            #expect(back.told.all.contains(.restored(index)))
            let kept = try names(folder)
            #expect(kept.filter { $0.hasSuffix(".damaged") }.count == 2, "\(kept)")
            #expect(try FileDisk().contents(of: folder + "/" + name + ".damaged") == [9, 9, 9])
            #expect(try back.driver.snapshots.newest()?.1 == [1, 2, 3])
            // It is all there at the next start.
            await stage.stop(back)
            let again = try await stage.add(number, voters: try voters())
            #expect(again.restored == [1, 2, 3])
            #expect(!again.events.contains("raft.recovering"))
        }
    }

    @Test func `without anybody to send it the server waits, and says what for`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            try save(member, at: member.status.commitIndex)
            for member in stage.members { await stage.stop(member) }
            let folder = member.folder + "/raft/snapshots"
            let name = try #require(try names(folder).first { $0.hasSuffix("state") })
            try FileDisk().replace(folder + "/" + name, with: [9])
            for _ in 0..<2 {
                let back = try await stage.add(number, voters: try voters())
                #expect(back.status.isRecovering)
                #expect(back.status.role == "follower")
                let reason = back.telemetry.health.all.first { $0.name == "raft-recovery" }?.reason ?? ""
                #expect(reason.contains("\(name) is damaged"), "\(reason)")
                await stage.stop(back)
            }
        }
    }

    @Test func `a server that is alone does not start, and its snapshot stays where it is`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            try save(member, at: try await stage.commit(payloads(3)))
            await stage.stop(member)
            let folder = member.folder + "/raft/snapshots"
            let before = try names(folder)
            let name = try #require(before.first { $0.hasSuffix("state") })
            try FileDisk().replace(folder + "/" + name, with: [9])
            let error = await #expect(throws: StorageError.self) { try await stage.add(1, voters: [member.id]) }
            guard case .damaged(folder + "/" + name, _, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(try names(folder) == before)
        }
    }

    // MARK: Logs

    @Test func `a log that ends before what the history has comes back from the others`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            await stage.stop(member)
            let folder = member.folder + "/raft/log"
            let last = try #require(try names(folder).last { $0.hasSuffix(".log") })
            try FileDisk().remove(folder + "/" + last)
            try FileDisk().remove(folder + "/durable")
            // A file is there, as if it were a log that had just begun.
            let empty = SegmentedLog(disk: FileDisk(), folder: folder, segmentBytes: 64 << 10)
            _ = try empty.open(from: .start) { _ in }
            empty.close()
            _ = try await comesBack(
                number, stage,
                accept: { recovery throws(StorageError) in
                    guard recovery.last.index < LogIndex(10) else { return }
                    throw .gap(path: folder, expected: LogIndex(10), found: recovery.last.index)
                })
        }
    }

    @Test func `so does one that ends before what was written down as committed`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            let mark = try #require(member.driver.commitMark)
            await stage.stop(member)
            let folder = member.folder + "/raft"
            try FileManager.default.removeItem(atPath: folder + "/log")
            let empty = SegmentedLog(disk: FileDisk(), folder: folder + "/log", segmentBytes: 64 << 10)
            _ = try empty.open(from: .start) { _ in }
            empty.close()
            try HardStateFileReset.write(folder, member.status.term)
            try mark.write(folder, disk: FileDisk())
            _ = try await comesBack(number, stage)
        }
    }

    @Test func `a folder whose raft is gone is not taken for a new one`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            _ = try FolderID.of(member.folder, disk: FileDisk()) { folder(9) }
            await stage.stop(member)
            let again = try await stage.add(number, voters: try voters())
            #expect(try FolderID.hasBegun(member.folder, disk: FileDisk()))
            #expect(!again.events.contains("raft.recovering"))
            await stage.stop(again)
            try FileManager.default.removeItem(atPath: member.folder + "/raft")
            let back = try await comesBack(number, stage)
            #expect(try FolderID.of(back.folder, disk: FileDisk()) { folder(8) } == folder(9))
        }
    }

    @Test func `alone it is refused`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            _ = try FolderID.of(member.folder, disk: FileDisk()) { folder(9) }
            await stage.stop(member)
            await stage.stop(try await stage.add(1, voters: [member.id]))
            try FileManager.default.removeItem(atPath: member.folder + "/raft/log")
            let error = await #expect(throws: StorageError.self) { try await stage.add(1, voters: [member.id]) }
            #expect(error?.description.contains("distric backup restore") == true)
            #expect(error?.description.contains("restore the folder from") == false)
        }
    }

    @Test func `one that began alone, and has lost that others came, does not lead beside them`() async throws {
        try await withRaft(1) { stage in
            let member = stage.members[0]
            _ = try await stage.commit(payloads(2))
            await stage.stop(member)
            try FileDisk().replace(member.folder + "/peers", with: Array("c-2 127.0.0.1:9 - member\nc-3 127.0.0.1:9 - member\n".utf8))
            let back = try await stage.add(1, voters: [member.id])
            #expect(back.started.leads == nil)
            #expect(back.status.isRecovering)
            await stage.stop(back)
            try FileDisk().replace(member.folder + "/peers", with: Array("c-2 127.0.0.1:9 -\n".utf8))
            try FileDisk().remove(member.folder + "/raft/recovering")
            #expect(try await stage.add(1, voters: [member.id]).started.leads != nil, "they never belonged to it")
        }
    }

    // MARK: Older copies

    @Test func `a folder that was put back from an older copy is found out, and comes back`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            await stage.stop(member)
            let copy = member.folder + ".copy"
            try FileManager.default.copyItem(atPath: member.folder, toPath: copy)
            let newer = try await stage.add(number, voters: try voters())
            stage.introduce()
            let index = try await stage.commit(payloads(30))
            #expect(await stage.haveCommitted(index))
            let (leader, status) = try await stage.leader()
            try #require(leader !== newer)
            // What it has committed it may not have acknowledged yet.
            let isAcknowledged = await eventually {
                leader.status.peers.contains { $0.node == newer.id && $0.matchIndex ?? .zero >= index }
            }
            #expect(isAcknowledged)
            await stage.stop(newer)
            try FileManager.default.removeItem(atPath: member.folder)
            try FileManager.default.moveItem(atPath: copy, toPath: member.folder)
            let back = try await stage.add(number, voters: try voters())
            #expect(!back.status.isRecovering, "it cannot know")
            stage.introduce()
            let isBack = await eventually { back.events.contains("raft.trusted") && back.status.commitIndex >= index }
            #expect(isBack, "\(back.status)")
            // Another leader would know nothing of what it had acknowledged.
            try #require(stage.members.allSatisfy { $0.status.term == status.term })
            #expect(back.events.contains("raft.rolled_back"))
            #expect(back.driver.rollbacks.count == 1)
            #expect(leader.events.contains("raft.peer_recovering"))
            #expect(try back.log(through: index).count == Int(index.number))
        }
    }

    @Test func `what it found out is not forgotten when it falls before it has everything`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            await stage.stop(member)
            let driver = RaftDriver(
                node: member.id, folder: member.folder + "/raft", disk: FileDisk(), settings: RaftStage.settings,
                telemetry: .quiet(node: member.id))
            _ = try driver.start(
                founders: try voters(), restore: { _, _ in }, replay: { _ in }, accept: { _ in },
                observer: .init(committed: { _ in }, failed: { _ in }))
            let term = driver.status.term
            driver.handle(
                .message(
                    .append(
                        .init(
                            term: term, previousIndex: LogIndex(1_000), previousTerm: term, commitIndex: .zero, entries: [], round: 1)),
                    from: try RaftStage.id(number % 3 + 1)))
            driver.close()
            let back = try await comesBack(number, stage)
            let reasons = back.telemetry.events.latest(100).filter { $0.kind == "raft.recovering" }.map(\.text)
            #expect(reasons.first?.contains("the leader knows of entries that were here") == true, "\(reasons)")
        }
    }

    // MARK: Without the others

    @Test func `a server that starts without the others knows what was committed here`() async throws {
        try await withRaft { stage in
            let (member, number) = try await follower(stage)
            let index = member.status.commitIndex
            // What its own disk does not have yet is not written down.
            #expect(await eventually { member.driver.commitMark?.index == index })
            // As the gathering does it, time and again.
            try member.driver.keep(try #require(member.driver.commitMark))
            for member in stage.members { await stage.stop(member) }
            let back = try await stage.add(number, voters: try voters())
            #expect(back.status.commitIndex == index)
            #expect(back.committed == [index])
            #expect(try back.log(through: index).count == Int(index.number))
            #expect(back.status.leader == nil && back.started.leads == nil)
        }
    }
}

/// A vote file as it is when a term has begun, where the log is new.
private enum HardStateFileReset {
    static func write(_ folder: String, _ term: Term) throws {
        try FileDisk().remove(folder + "/vote")
        let file = try HardStateFile(disk: FileDisk(), path: folder + "/vote")
        try file.persist(HardState(term: term, vote: nil))
        file.close()
    }
}
