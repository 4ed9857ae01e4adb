import Coordinator
import Foundation
import Primitives
import Raft
import Storage
import Testing
import Workflows

@testable import Offline

/// A cluster begun again from what is left of it (ClusterRecovery.swift).
struct ClusterRecoveryTests {
    private let temporary: TemporaryFolder
    private let now = ClusterTime(milliseconds: 1_700_000_000_000)

    init() throws { temporary = try TemporaryFolder() }

    private func path(_ node: String) -> String { temporary.path + "/" + node }

    private func make(
        _ node: String, terms: [UInt64], epoch: UInt64 = 1, snapshot: Int = 0, history: UInt64 = 0,
        cluster: UUIDv7 = CoordinatorFolder.cluster
    ) throws -> CoordinatorFolder {
        try CoordinatorFolder(path(node), node, terms: terms, epoch: epoch, cluster: cluster, snapshot: snapshot, history: history)
    }

    private func recovery(_ nodes: String...) throws -> ClusterRecovery { try ClusterRecovery(folders: nodes.map(path)) }

    private func terms(_ counts: Int...) -> [UInt64] {
        counts.enumerated().flatMap { Array(repeating: UInt64($0.offset + 1), count: $0.element) }
    }

    @discardableResult
    private func recover(_ nodes: String..., from: String? = nil, acceptsLoss: Bool = false) throws -> ClusterRecovery.Outcome {
        let recovery = try ClusterRecovery(folders: nodes.map(path))
        let chosen = try recovery.chosen(try from.map { try NodeID($0) })
        try recovery.check(chosen, acceptsLoss: acceptsLoss)
        return try recovery.recover(chosen, now: now, segmentBytes: CoordinatorFolder.segmentBytes)
    }

    // MARK: Doing it

    @Test func `a node alone becomes a cluster of its own, with all that it had`() throws {
        let folder = try make("c-1", terms: terms(10, 20), snapshot: 12, history: 20)
        let before = try folder.started()
        let outcome = try recover("c-1")
        let after = try folder.started()
        #expect(after.epoch > 1)
        #expect(after.entries.dropLast() == before.entries[...])
        #expect(after.entries.last?.kind == .configuration && after.entries.last?.term == outcome.record.term)
        #expect(after.configuration == Configuration(voters: [folder.node]))
        #expect(after.last.index == LogIndex(31))
        #expect(after.hardState == HardState(term: outcome.record.term, vote: folder.node))
        #expect(outcome.record.term > Term(2) && outcome.record.loss == .none && outcome.historyDropped == 0)
        let record = try RecoveryRecord.read(folder.path, disk: FileDisk())
        #expect(record == outcome.record)
        #expect(record?.isFinished == true && record?.at == now && record?.epochBefore == 1 && record?.lastIndex == LogIndex(30))
        #expect(record?.configurationBefore == "voters=c-1,c-2,c-3 outgoing= learners= target=")
    }

    @Test func `it can go on, and be recovered again`() throws {
        let folder = try make("c-1", terms: terms(10))
        let first = try recover("c-1")
        let second = try recover("c-1")
        let after = try folder.started()
        #expect(
            after.epoch > first.record.epoch && second.record.epochBefore == first.record.epoch && second.record.term > first.record.term)
        #expect(after.entries.count == 12 && after.isAlone)
    }

    @Test func `of three the most advanced is the one with the later term, then with more entries`() throws {
        _ = try make("c-1", terms: terms(10, 5))
        _ = try make("c-2", terms: terms(10, 5, 1))
        _ = try make("c-3", terms: terms(12, 30))
        let recovery = try recovery("c-1", "c-2", "c-3")
        #expect(recovery.mostAdvanced.node.text == "c-2")
        #expect(try recovery.chosen(try NodeID("c-2")).node.text == "c-2")
        #expect(recovery.survivors.map(\.node.text) == ["c-1", "c-2", "c-3"])
    }

    @Test func `its term is above all that any of them knew`() throws {
        _ = try make("c-1", terms: terms(10, 20))
        let other = try make("c-2", terms: terms(10))
        let votes = try HardStateFile(disk: FileDisk(), path: other.path + "/raft/vote")
        try votes.persist(HardState(term: Term(77), vote: nil))
        votes.close()
        #expect(try recover("c-1", "c-2", from: "c-1").record.term > Term(77))
    }

    @Test func `the folders that do not go on stay as they are`() throws {
        _ = try make("c-1", terms: terms(10, 20))
        let other = try make("c-2", terms: terms(10))
        try recover("c-1", "c-2", from: "c-1")
        let after = try other.started()
        #expect(after.epoch == 1 && after.entries.count == 10 && after.configuration.voters.count == 3)
        #expect(try RecoveryRecord.read(other.path, disk: FileDisk()) == nil)
    }

    @Test func `a majority that is here is told of: it needs no recovery`() throws {
        _ = try make("c-1", terms: terms(10, 20))
        _ = try make("c-2", terms: terms(10))
        #expect(try recovery("c-1", "c-2").hasQuorum)
        #expect(try !recovery("c-1").hasQuorum)
        try recover("c-1")
        #expect(try !recovery("c-1").hasQuorum)
    }

    // MARK: Refusals

    @Test func `with several, somebody must say which goes on`() throws {
        _ = try make("c-1", terms: terms(10))
        _ = try make("c-2", terms: terms(10, 1))
        let both = try recovery("c-1", "c-2")
        let refusal = problem { _ = try both.chosen(nil) }
        #expect(refusal?.kind == .usage && refusal?.description.contains("--from c-2") == true)
        #expect(problem { _ = try both.chosen(try NodeID("c-9")) }?.description.contains("c-1, c-2") == true)
    }

    @Test func `folders of two clusters, or two of one node, are refused`() throws {
        _ = try make("c-1", terms: terms(10))
        _ = try make("c-2", terms: terms(10), cluster: UUIDv7(high: 1, low: 1))
        #expect(problem { _ = try recovery("c-1", "c-2") }?.kind == .usage)
        _ = try CoordinatorFolder(path("copy"), "c-1", terms: terms(10))
        #expect(problem { _ = try recovery("c-1", "copy") }?.description.contains("both of node c-1") == true)
    }

    @Test func `one that another has more than loses that, and only when it is said`() throws {
        let folder = try make("c-1", terms: terms(10))
        _ = try make("c-2", terms: terms(10, 7))
        let before = try temporary.contents()
        let refusal = problem { try recover("c-1", "c-2", from: "c-1") }
        #expect(refusal?.kind == .refused)
        #expect(
            refusal?.description.contains("7 entries") == true && refusal?.description.contains("--from c-2") == true,
            "\(String(describing: refusal))")
        #expect(try temporary.contents() == before)
        let outcome = try recover("c-1", "c-2", from: "c-1", acceptsLoss: true)
        #expect(outcome.record.loss == .entries(7))
        #expect(try folder.started().isAlone)
    }

    @Test func `one that a recovery left behind is never gone on with`() throws {
        _ = try make("c-1", terms: terms(30))
        _ = try make("c-2", terms: terms(10), epoch: 2)
        let refusal = problem { try recover("c-1", "c-2", from: "c-1", acceptsLoss: true) }
        #expect(refusal?.kind == .refused && refusal?.description.contains("epoch 1") == true)
        #expect(try recovery("c-1", "c-2").mostAdvanced.node.text == "c-2")
    }

    @Test func `a damaged middle is refused untouched, and named; what is before it goes on when that is accepted`() throws {
        let folder = try make("c-1", terms: terms(40))
        let files = try folder.logFiles()
        try flip(files[1], at: CoordinatorFolder.payloadOffset(2) + 5)
        let before = try temporary.contents()
        let kept = try recovery("c-1").survivors[0].lastIndex.number
        let refusal = problem { try recover("c-1") }
        #expect(refusal?.kind == .refused)
        #expect(refusal?.description.contains("\(40 - kept) entries") == true && refusal?.description.contains("--accept-loss") == true)
        #expect(try temporary.contents() == before)
        let outcome = try recover("c-1", acceptsLoss: true)
        #expect(outcome.record.loss == .entries(40 - kept))
        let after = try folder.started()
        #expect(after.entries.count == Int(kept) + 1 && after.isAlone && after.epoch > 1)
        // Nothing is thrown away: what could not be read is beside the log.
        #expect(try FileDisk().list(folder.path + "/raft/log").contains { $0.hasSuffix(".damaged") })
    }

    @Test func `the history is not ahead of a log that lost its end`() throws {
        let folder = try make("c-1", terms: terms(40), history: 40)
        try flip(try folder.logFiles()[1], at: CoordinatorFolder.payloadOffset(2) + 5)
        let kept = try recovery("c-1").survivors[0].lastIndex.number
        let outcome = try recover("c-1", acceptsLoss: true)
        #expect(outcome.historyDropped == Int(40 - kept))
        let store = try Samples.history(folder.path + "/history")
        defer { store.close() }
        #expect(store.lastIndex == LogIndex(kept))
        #expect(try store.run(Samples.ended(kept).id) != nil && store.run(Samples.ended(kept + 1).id) == nil)
    }

    @Test func `a lost vote stands in nobody's way`() throws {
        let folder = try make("c-1", terms: terms(10))
        try FileDisk().remove(folder.path + "/raft/vote")
        try recover("c-1")
        let after = try folder.started()
        #expect(after.isAlone && after.hardState.vote == folder.node)
        #expect(!FileDisk().exists(folder.path + "/raft/recovering"))
    }

    @Test func `a damaged snapshot is never gone on with`() throws {
        let folder = try make("c-1", terms: terms(30), snapshot: 25)
        let states = try FileDisk().list(folder.path + "/raft/snapshots").filter { $0.hasSuffix(".state") }
        try flip(folder.path + "/raft/snapshots/" + (try #require(states.first)), at: 100)
        #expect(problem { try recover("c-1", acceptsLoss: true) }?.kind == .damaged)
    }
}
