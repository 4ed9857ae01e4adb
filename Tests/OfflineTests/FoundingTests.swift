import Cluster
import Coordinator
import Foundation
import Primitives
import Raft
import Storage
import Testing

@testable import Offline

/// Whom a folder knows that has neither a snapshot nor a configuration in its log, and what is said of a cluster that needs no recovery
/// (Survivor.swift, SurvivorText.swift).
struct FoundingTests {
    private let temporary: TemporaryFolder
    private let now = ClusterTime(milliseconds: 1_700_000_000_000)

    init() throws { temporary = try TemporaryFolder() }

    private func path(_ node: String) -> String { temporary.path + "/" + node }

    /// A folder as it is between the founding and the first entry that says who belongs to the cluster.
    private func make(_ node: String, founders: [String]?, entries: Int = 0) throws {
        let disk = FileDisk()
        try disk.makeFolder(path(node))
        var identity = DataFolder.Identity(
            node: try NodeID(node), cluster: CoordinatorFolder.cluster, featureLevel: CommandCodec.featureLevel)
        if let founders {
            try Founding(cluster: identity.cluster, voters: try founders.map { try NodeID($0) }).write(path(node), disk: disk)
            identity.isFounded = true
        }
        try DataFolder.write(identity, at: path(node), disk: disk)
        let (storage, _) = try RaftStorage.open(
            disk: disk, folder: path(node) + "/raft", segmentBytes: CoordinatorFolder.segmentBytes, chunkBytes: 4096, repairing: false
        ) { _ in }
        defer { storage.close() }
        try storage.votes.persist(HardState(term: Term(1), vote: nil))
        for index in 0..<UInt64(entries) {
            try storage.log.append([LogEntry(index: LogIndex(index + 1), term: Term(1), kind: .leaderStart, payload: [])])
        }
        try storage.log.sync()
        try storage.log.mark()
    }

    private func recovery(_ nodes: String...) throws -> ClusterRecovery { try ClusterRecovery(folders: nodes.map(path)) }

    private func recover(_ node: String, acceptsLoss: Bool = false) throws -> ClusterRecovery.Outcome {
        let recovery = try recovery(node)
        let chosen = try recovery.chosen(nil)
        try recovery.check(chosen, acceptsLoss: acceptsLoss)
        return try recovery.recover(chosen, now: now, segmentBytes: CoordinatorFolder.segmentBytes)
    }

    // MARK: Whom it knows

    @Test(arguments: [0, 2]) func `the founders are the voters where nothing newer says so`(entries: Int) throws {
        try make("c-1", founders: CoordinatorFolder.voters, entries: entries)
        let found = try recovery("c-1")
        let survivor = found.survivors[0]
        #expect(survivor.configuration.voters.map(\.text) == CoordinatorFolder.voters)
        #expect(survivor.others.map(\.text) == ["c-2", "c-3"] && !survivor.isAlone && survivor.loss == .none && survivor.problems.isEmpty)
        #expect(survivor.value["voters"] == ["c-1", "c-2", "c-3"])
        #expect(!found.hasQuorum && found.needless == nil)
    }

    @Test func `the log's configuration counts for more than the founders`() throws {
        _ = try CoordinatorFolder(path("c-1"), terms: [1, 1], voters: ["c-1", "c-7"])
        try Founding(cluster: CoordinatorFolder.cluster, voters: try CoordinatorFolder.voters.map { try NodeID($0) })
            .write(path("c-1"), disk: FileDisk())
        #expect(try recovery("c-1").survivors[0].configuration.voters.map(\.text) == ["c-1", "c-7"])
    }

    @Test func `one that began alone is its own voter`() throws {
        try make("c-1", founders: nil)
        #expect(try recovery("c-1").survivors[0].isAlone)
    }

    @Test func `one that joined and has nothing yet is empty, and goes on only when that is accepted`() throws {
        try make("c-4", founders: [])
        let found = try recovery("c-4")
        #expect(found.survivors[0].value["state"] == "empty" && found.survivors[0].loss == .uncounted && !found.survivors[0].isAlone)
        #expect(found.unknownLoss?.contains("c-4 joined the cluster and has nothing of its log") == true)
        #expect(problem { try found.check(found.survivors[0], acceptsLoss: false) }?.kind == .refused)
        #expect(problem { try found.check(found.survivors[0], acceptsLoss: true) } == nil)
    }

    @Test func `a founding that is missing or damaged is told, and a recovery writes it anew`() throws {
        for text in [nil, "voters ?\n"] as [String?] {
            try? FileManager.default.removeItem(atPath: path("c-1"))
            try make("c-1", founders: CoordinatorFolder.voters, entries: 3)
            try FileDisk().remove(path("c-1") + "/founding")
            if let text { try FileDisk().replace(path("c-1") + "/founding", with: Array(text.utf8)) }
            let (isLacking, problems) = try founding("c-1")
            #expect(isLacking && problems.count == 1 && problems[0].contains("/founding"), "\(problems)")
            _ = try recover("c-1", acceptsLoss: true)
            #expect(try Founding.read(path("c-1"), disk: FileDisk())?.cluster == CoordinatorFolder.cluster)
            #expect(try recovery("c-1").survivors[0].isAlone)
        }
    }

    /// Lets go of the folder's lock when it returns.
    private func founding(_ node: String) throws -> (isLacking: Bool, problems: [String]) {
        let survivor = try Survivor(path(node))
        return (survivor.lacksFounding, survivor.problems)
    }

    // MARK: What is said

    @Test func `a majority of the founders needs no recovery`() throws {
        for node in ["c-1", "c-2"] { try make(node, founders: CoordinatorFolder.voters) }
        let found = try recovery("c-1", "c-2")
        #expect(found.hasQuorum && found.unknownLoss == nil && found.absent.map(\.text) == ["c-3"])
        let words = try #require(found.needless)
        #expect(
            words.hasPrefix("c-1, c-2 of c-1, c-2, c-3 are here, a majority of the voters: the cluster needs no recovery. Start the nodes"))
    }

    @Test func `folders of an older epoch make no majority`() throws {
        _ = try CoordinatorFolder(path("c-1"), "c-1", terms: [1, 1], epoch: 2)
        _ = try CoordinatorFolder(path("c-2"), "c-2", terms: [1, 1])
        #expect(try !recovery("c-1", "c-2").hasQuorum)
    }

    @Test func `what the others may have is not counted as nothing`() throws {
        _ = try CoordinatorFolder(path("c-1"), "c-1", terms: [1, 1])
        _ = try CoordinatorFolder(path("c-2"), "c-2", terms: [1, 1, 1, 1, 1], voters: ["c-1", "c-2", "c-3", "c-4", "c-5"])
        let alone = try recovery("c-1")
        #expect(alone.value(of: alone.survivors[0])["lostAtLeast"] == true && alone.value(of: alone.survivors[0])["lost"] == 0)
        #expect(alone.unknownLoss?.hasPrefix("c-2, c-3 may have acknowledged more") == true)
    }

    @Test func `what another folder has and one does not is lost with that one`() throws {
        _ = try CoordinatorFolder(path("c-1"), "c-1", terms: [1, 1])
        _ = try CoordinatorFolder(path("c-2"), "c-2", terms: [1, 1, 1, 1, 1])
        let both = try recovery("c-1", "c-2")
        #expect(both.survivors.map { both.value(of: $0)["lost"] } == [3, 0])
        #expect(both.survivors.map { both.value(of: $0)["most"] } == [false, true])
        #expect(both.value(of: both.survivors[0])["lostAtLeast"] == false)
    }

    @Test func `one that was raised is said to need nothing, with its epoch and when that was`() throws {
        _ = try CoordinatorFolder(path("c-1"), terms: [1, 1])
        let outcome = try recover("c-1")
        let words = try #require(try recovery("c-1").needless)
        #expect(words.contains("of epoch \(outcome.record.epoch), which 'cluster recover' began at \(now.rfc3339)"), "\(words)")
        #expect(words.contains("needs no recovery. Start the node"))
    }

    @Test func `a recovery that was broken off is not taken for one that is done`() throws {
        _ = try CoordinatorFolder(path("c-1"), terms: [1, 1])
        var record = try recover("c-1").record
        record.isFinished = false
        try record.write(to: path("c-1"), disk: FileDisk())
        #expect(try recovery("c-1").needless == nil)
    }
}
