import Foundation
import Primitives
import Raft
import Storage
import Testing

@testable import Offline

/// What is said of a coordinator's folder when its cluster is gone, without changing it (Survivor.swift).
struct SurvivorTests {
    private let temporary: TemporaryFolder

    init() throws { temporary = try TemporaryFolder() }

    private var path: String { temporary.path + "/c-1" }
    private let terms: [UInt64] = Array(repeating: 1, count: 20) + Array(repeating: 2, count: 20)

    /// Looks, and sees that nothing changed.
    private func look() throws -> Survivor {
        let before = try temporary.contents()
        let survivor = try Survivor(path)
        #expect(try temporary.contents() == before)
        return survivor
    }

    @Test func `a whole folder says who it is and how far it goes`() throws {
        _ = try CoordinatorFolder(path, terms: terms, epoch: 3, snapshot: 25, history: 30)
        let survivor = try look()
        #expect(survivor.node.text == "c-1" && survivor.cluster == CoordinatorFolder.cluster && survivor.identity.epoch == 3)
        #expect(survivor.lastIndex == LogIndex(40) && survivor.lastTerm == Term(2) && survivor.term == Term(2))
        #expect(survivor.snapshot == LogIndex(25) && survivor.committed == LogIndex(30))
        #expect(survivor.configuration.voters.map(\.text) == CoordinatorFolder.voters)
        #expect(survivor.others.map(\.text) == ["c-2", "c-3"])
        #expect(survivor.problems.isEmpty && survivor.loss == .none && survivor.isUsable && !survivor.isAlone)
        #expect(survivor.value["state"] == "whole" && survivor.value["voters"] == ["c-1", "c-2", "c-3"])
    }

    @Test func `what is not compacted counts as committed only as far as something proves it`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        #expect(try look().committed == .zero)
    }

    @Test func `a vote of a later term than the log's is a term that it knows`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        let votes = try HardStateFile(disk: FileDisk(), path: path + "/raft/vote")
        try votes.persist(HardState(term: Term(9), vote: try NodeID("c-2")))
        votes.close()
        let survivor = try look()
        #expect(survivor.term == Term(9) && survivor.lastTerm == Term(2))
    }

    @Test func `a node that runs keeps its folder to itself`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        let running = try FolderClaim(path)
        let refusal = problem { _ = try Survivor(path) }
        #expect(refusal?.kind == .locked)
        #expect(refusal?.description.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
        #expect(running.path == path)
    }

    @Test func `a folder that holds no coordinator is refused`() throws {
        try FileDisk().makeFolder(path)
        #expect(problem { _ = try Survivor(path) }?.kind == .usage)
        #expect(problem { _ = try Survivor(temporary.path + "/none") }?.kind == .usage)
    }

    @Test func `one that a newer program wrote is refused as such`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        let text = "distric-format 1\nfeature-level 999\nnode c-1\ncluster \(CoordinatorFolder.cluster)\n"
        try FileDisk().replace(path + "/identity", with: Array(text.utf8))
        #expect(problem { _ = try Survivor(path) }?.kind == .newer)
    }

    // MARK: Damage

    @Test func `a damaged middle is told with its place and with what is lost`() throws {
        let folder = try CoordinatorFolder(path, terms: terms)
        let files = try folder.logFiles()
        #expect(files.count >= 3)
        // The configuration is the first entry and as long as it is: the third one of the second file.
        try flip(files[1], at: CoordinatorFolder.payloadOffset(2) + 5)
        let survivor = try look()
        let before = survivor.lastIndex.number
        #expect(before < 40)
        #expect(survivor.loss == .entries(40 - before))
        #expect(survivor.problems.count == 1 && survivor.problems.first?.contains(files[1]) == true, "\(survivor.problems)")
        #expect(survivor.value["state"] == "damaged")
    }

    @Test func `a torn end is told, and is no loss`() throws {
        let folder = try CoordinatorFolder(path, terms: terms)
        try FileDisk().remove(path + "/raft/log/durable")
        let last = try #require(try folder.logFiles().last)
        let bytes = try Data(contentsOf: URL(filePath: last))
        let end = try #require(bytes.lastIndex { $0 != 0 })
        try flip(last, at: end - 20)
        let survivor = try look()
        #expect(survivor.lastIndex == LogIndex(39) && survivor.loss == .none)
        #expect(survivor.problems.count == 1 && survivor.problems.first?.contains("no loss") == true, "\(survivor.problems)")
    }

    @Test func `a lost vote is told, and is no loss of entries`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        try FileDisk().remove(path + "/raft/vote")
        let survivor = try look()
        #expect(survivor.loss == .none && survivor.problems.count == 1)
        #expect(survivor.term == Term(2))
    }

    @Test func `a log that is missing beside a snapshot is a loss that nobody can count`() throws {
        let folder = try CoordinatorFolder(path, terms: terms, snapshot: 25)
        for file in try folder.logFiles() { try FileDisk().remove(file) }
        try FileDisk().remove(path + "/raft/log/durable")
        let survivor = try look()
        #expect(survivor.lastIndex == LogIndex(25) && survivor.loss == .uncounted && survivor.isUsable)
    }

    @Test func `a history that goes beyond the log proves a loss`() throws {
        _ = try CoordinatorFolder(path, terms: Array(terms.prefix(10)), history: 14)
        let survivor = try look()
        #expect(survivor.lastIndex == LogIndex(10) && survivor.loss == .entries(4) && survivor.committed == LogIndex(10))
    }

    @Test func `a damaged snapshot leaves nothing to go on with`() throws {
        _ = try CoordinatorFolder(path, terms: terms, snapshot: 25)
        let states = try FileDisk().list(path + "/raft/snapshots").filter { $0.hasSuffix(".state") }
        try flip(path + "/raft/snapshots/" + (try #require(states.first)), at: 100)
        let survivor = try look()
        #expect(!survivor.isUsable && survivor.problems.count == 1 && survivor.value["state"] == "unusable")
    }

    @Test func `what a node was waiting to get back from others is told`() throws {
        _ = try CoordinatorFolder(path, terms: terms)
        try FileDisk().replace(path + "/raft/recovering", with: Array("log: no file of it is there".utf8))
        #expect(try look().loss == .uncounted)
        try FileDisk().replace(path + "/raft/recovering", with: Array("vote: it is cut short".utf8))
        let survivor = try look()
        #expect(survivor.loss == .none && survivor.problems.count == 1)
    }
}
