import Primitives
import Raft
import Storage
import Transport
import Wire

@testable import Cluster

/// Several servers of one group, that know each other's addresses.
final class RaftStage {
    /// What was waited for did not come.
    struct Stuck: Error, CustomStringConvertible { let description: String }

    /// Elections at once, small files, and little kept in memory, so that everything happens.
    static var settings: RaftDriver.Settings {
        var settings = RaftDriver.Settings()
        settings.segmentBytes = 64 << 10
        (settings.raft.electionTimeout, settings.raft.heartbeat) = (.milliseconds(150)..<(.milliseconds(300)), .milliseconds(20))
        (settings.raft.keptBytes, settings.raft.appendBytes) = (16 << 10, 4 << 10)
        (settings.raft.chunkBytes, settings.raft.tailEntries) = (4 << 10, 4)
        return settings
    }

    private let temporary: TemporaryFolder
    private let settings: RaftDriver.Settings
    private(set) var members: [RaftMember] = []
    private var starts: UInt64 = 0

    init(_ settings: RaftDriver.Settings) throws {
        temporary = try TemporaryFolder()
        self.settings = settings
    }

    // MARK: Members

    static func id(_ number: Int) throws -> NodeID { try node("c-\(number)") }

    /// Starts one in its folder, known to nobody.
    @discardableResult
    func add(
        _ number: Int, voters: [NodeID], disk: any Disk = FileDisk(),
        accept: (SegmentedLog.Recovery) throws(StorageError) -> Void = { _ in }
    ) async throws -> RaftMember {
        starts += 1
        let made = try await RaftMember(
            try Self.id(number), in: temporary.path + "/c-\(number)", voters: voters, epoch: starts, folderID: folder(UInt64(number)),
            settings: settings, disk: disk, accept: accept)
        members.append(made)
        return made
    }

    /// All that run say hello to each other.
    func introduce() { for member in members { for other in members { member.directory.heard(other.own.current) } } }

    func stop(_ member: RaftMember) async {
        members.removeAll { $0 === member }
        await member.close()
    }

    func close() async {
        for member in members { await member.close() }
        members = []
    }

    func others(than member: RaftMember) -> [RaftMember] { members.filter { $0 !== member } }

    // MARK: Leading

    /// Asks whoever leads until it has an answer. Leaders may change at any time where a machine has much to do, and then it is asked again.
    func withLeader<T>(_ body: (RaftMember, RaftStatus) async throws -> T?) async throws -> T {
        var found: T?
        _ = try await eventually {
            // One that nobody hears may believe that it still leads.
            let leaders = members.map { ($0, $0.status) }.filter { $0.1.isLeader }
            guard let (member, status) = leaders.max(by: { $0.1.term < $1.1.term }) else { return false }
            found = try await body(member, status)
            return found != nil
        }
        guard let found else { throw Stuck(description: "no leader with an answer: \(members.map(\.status))") }
        return found
    }

    /// A leader that has committed an entry of its own term, as it is then.
    func leader() async throws -> (leader: RaftMember, status: RaftStatus) {
        try await withLeader { leader, status in
            guard let from = leader.start(of: status.term), status.commitIndex >= from else { return nil }
            return (leader, status)
        }
    }

    /// Proposes, again where a leader has lost it, until all of it is committed: where the last of it is.
    @discardableResult
    func commit(_ payloads: [[UInt8]]) async throws -> LogIndex {
        try await withLeader { leader, status in
            let first = status.lastIndex.next
            guard leader.driver.propose(payloads, at: first, term: status.term) == .taken else { return nil }
            let last = LogIndex(first.number + UInt64(payloads.count) - 1)
            var now = leader.status
            let isOver = await eventually {
                now = leader.status
                return now.commitIndex >= last || now.term != status.term || !now.isLeader
            }
            return isOver && now.isLeader && now.term == status.term ? last : nil
        }
    }

    /// Whether all that run have committed so much.
    func haveCommitted(_ index: LogIndex) async -> Bool {
        await eventually { members.allSatisfy { $0.status.commitIndex >= index } }
    }
}

extension RaftMember {
    /// Up to where it was told that entries are committed, in order.
    var committed: [LogIndex] { told.all.compactMap { item in if case .committed(let index) = item { index } else { nil } } }

    /// The first entry of a term that it leads or led in.
    func start(of term: Term) -> LogIndex? {
        for case .role(.leads(term, let from)) in told.all { return from }
        return nil
    }
}

/// Runs a test with so many voters, and ends them after it.
func withRaft(
    _ count: Int = 3, _ settings: RaftDriver.Settings = RaftStage.settings, _ body: (RaftStage) async throws -> Void
) async throws {
    let stage = try RaftStage(settings)
    do {
        let voters = try (1...count).map { try RaftStage.id($0) }
        for number in 1...count { try await stage.add(number, voters: voters) }
        stage.introduce()
        try await body(stage)
    } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}
