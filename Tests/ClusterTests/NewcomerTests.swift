import Foundation
import NIOCore
import Observability
import Primitives
import Raft
import Storage
import Synchronization
import Testing
import Wire

@testable import Cluster

/// A server that joins under an id that another folder had: what the early part of the log says of its id holds for the other one (Decisions/LostVotes).
@Suite(.serialized, .timeLimit(.minutes(2)))
struct NewcomerTests {
    private let temporary: TemporaryFolder
    private let (id, leader): (NodeID, NodeID)
    private let telemetry: Telemetry

    init() throws {
        temporary = try TemporaryFolder()
        (id, leader) = (try node("c-1"), try node("c-2"))
        telemetry = Telemetry.quiet(node: id)
    }

    private var folder: String { temporary.path + "/raft" }
    private var marker: String { folder + "/recovering" }
    private var kinds: [String] { telemetry.events.latest(100).map(\.kind) }

    private func started(founders: [NodeID] = [], _ disk: any Disk = FileDisk()) throws -> (RaftDriver, RaftDriver.Started) {
        let driver = RaftDriver(node: id, folder: folder, disk: disk, settings: RaftStage.settings, telemetry: telemetry)
        let started = try driver.start(
            founders: founders, restore: { _, _ in }, replay: { _ throws(StorageError) in }, accept: { _ throws(StorageError) in },
            observer: .init(committed: { _ in }, failed: { _ in }))
        return (driver, started)
    }

    /// The log as it was when the cluster had shrunk to this id alone, before anybody else was let in.
    private func sendItsPast(_ driver: RaftDriver) async throws {
        let entry = LogEntry(index: LogIndex(1), term: Term(1), kind: .configuration, payload: Configuration(voters: [id]).payload)
        let message = RaftMessage.append(
            .init(term: Term(4), previousIndex: .zero, previousTerm: Term(0), commitIndex: LogIndex(1), entries: [entry], round: 1))
        var (buffer, decoder) = (ByteBuffer(), FrameDecoder())
        RaftCodec.encode(message, from: leader, chunkBytes: 1, into: &buffer)
        decoder.append(buffer)
        try driver.receive(try #require(try decoder.next()), from: leader)
        let isThere = await eventually { driver.status.commitIndex == LogIndex(1) }
        #expect(isThere, "\(driver.status)")
    }

    @Test func `one whose log names it as the only voter neither leads nor votes, also when it is started again`() async throws {
        let (first, start) = try started()
        #expect(start.leads == nil)
        try await sendItsPast(first)
        #expect(first.status.voters == [id])
        #expect(first.status.isRecovering)
        first.close()
        let (second, again) = try started()
        defer { second.close() }
        #expect(again.leads == nil)
        #expect(second.status.isRecovering)
        #expect(!second.status.isLeader)
        #expect(kinds.filter { $0 == "raft.newcomer" }.count == 2)
        #expect(!kinds.contains("raft.recovering"), "it has lost nothing")
        #expect(telemetry.health.all.allSatisfy { $0.name != "raft-recovery" })
    }

    @Test func `it is on record before there is a log, so that a fall in between forgets nothing`() throws {
        for step in 0..<40 {
            let changes = Mutex(0)
            let disk = HookedDisk { _ throws(StorageError) in
                let count = changes.withLock { count in
                    count += 1
                    return count
                }
                if count > step { throw HookedDisk.error }
            }
            do {
                let (driver, _) = try started(disk)
                driver.close()
            } catch {}
            let hasLog = ((try? FileDisk().list(folder + "/log")) ?? []).contains { $0.hasSuffix(".log") }
            if hasLog || FileDisk().exists(folder + "/vote") { #expect(FileDisk().exists(marker), "step \(step)") }
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    @Test func `those with whom a cluster begins trust themselves`() throws {
        let (driver, _) = try started(founders: [id, leader])
        defer { driver.close() }
        #expect(!driver.status.isRecovering)
        #expect(!FileDisk().exists(marker))
    }
}
