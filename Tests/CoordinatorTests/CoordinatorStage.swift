import Observability
import Primitives
import Raft
import Storage
import Testing
import Text
import Transport
import Wire

@testable import Cluster
@testable import Coordinator

/// Several coordinators of one cluster, that know each other's addresses.
final class CoordinatorStage {
    /// What was waited for did not come.
    struct Stuck: Error, CustomStringConvertible { let description: String }

    /// Elections at once, and nothing kept behind a snapshot.
    static var settings: CoordinatorNode.Settings {
        var settings = CoordinatorNode.Settings()
        settings.raft.segmentBytes = 64 << 10
        (settings.raft.raft.electionTimeout, settings.raft.raft.heartbeat) = (.milliseconds(150)..<(.milliseconds(300)), .milliseconds(20))
        (settings.raft.raft.keptBytes, settings.raft.raft.tailEntries, settings.raft.raft.chunkBytes) = (16 << 10, 2, 4 << 10)
        return settings
    }

    /// `note` starts a run that waits for a worker; `seen` is only observed; `pause` rests for a millisecond.
    static let definitions: [String] = [
        ruleSetText(
            "[\(ruleText("note", starts: "note")), \(ruleText("pause", starts: "pause")), "
                + #"{"id": "seen", "when": {"field": "type", "operator": "equals", "value": "seen"}}]"#),
        workflowText("note", #"{"write": {"use": "transform", "with": {"value": "${{ input.data.n }}"}}}"#),
        workflowText("pause", #"{"rest": {"use": "wait", "with": {"duration": "1ms"}}}"#),
    ]

    private let temporary: TemporaryFolder
    private let settings: CoordinatorNode.Settings
    let founders: [NodeID]
    private(set) var members: [CoordinatorMember] = []
    private var starts: UInt64 = 0

    init(_ count: Int, _ settings: CoordinatorNode.Settings) throws {
        temporary = try TemporaryFolder()
        self.settings = settings
        founders = try (1...count).map { try NodeID("c-\($0)") }
    }

    // MARK: Members

    func path(_ id: NodeID) -> String { temporary.path + "/" + id.text }

    /// Starts one in its folder; all that run hear of each other.
    ///
    /// - Parameter prepare: what is done to its links before it says anything.
    @discardableResult
    func start(
        _ id: NodeID, disk: any Disk = FileDisk(), prepare: (LinkFaults) -> Void = { _ in }
    ) async throws -> CoordinatorMember {
        starts += 1
        let made = try await CoordinatorMember(
            id, in: path(id), founders: founders, epoch: starts, settings: settings, disk: disk, prepare: prepare)
        members.append(made)
        for member in members { for other in members { member.node.directory.heard(other.own.current) } }
        return made
    }

    func stop(_ member: CoordinatorMember) async {
        members.removeAll { $0 === member }
        await member.close()
    }

    func close() async {
        for member in members { await member.close() }
        members = []
    }

    func others(than member: CoordinatorMember) -> [CoordinatorMember] { members.filter { $0 !== member } }

    // MARK: Leading

    func withLeader<T>(_ body: (CoordinatorMember) async throws -> T?) async throws -> T { try await members.withLeader(body) }

    /// Puts the definitions into force.
    func activate() async throws {
        let values = try parsed(Self.definitions)
        _ = try await withLeader { leader -> Bool? in
            let catalog = leader.node.loop.catalog
            guard catalog.version == 0 else { return true }
            let (next, records) = try catalog.adding(values, removing: [], namespace: .default)
            let answer = await leader.node.loop.ask([.activate(next, records: records, removed: [])])
            return answer == [.activated(1)] ? true : nil
        }
    }

    /// Sends a message until it is kept: the runs that it started.
    @discardableResult
    func submit(_ message: Message) async throws -> [RunID] { try await members.submit([message])[0] }

    // MARK: Agreeing

    /// Whether all that run have applied all that there is: then their states are told.
    func settled() async throws -> [CoordinatorState] {
        var states: [CoordinatorState] = []
        let isSettled = await eventually {
            let ends = members.map(\.node.raft.status)
            states = members.map(\.state)
            guard let last = ends.map(\.lastIndex).max(), ends.contains(where: \.isLeader) else { return false }
            return ends.allSatisfy { $0.lastIndex == last && $0.commitIndex == last } && states.allSatisfy { $0.applied == last }
        }
        guard isSettled else { throw Stuck(description: "not settled: \(members.map { ($0.node.raft.status, $0.state.applied) })") }
        return states
    }
}

extension [CoordinatorMember] {
    /// Asks whoever leads and plans until it has an answer. Leaders may change at any time where a machine has much to do, and then it is
    /// asked again.
    func withLeader<T>(_ body: (CoordinatorMember) async throws -> T?) async throws -> T {
        var found: T?
        _ = try await eventually {
            // One that nobody hears may believe that it still leads.
            let leaders = map { ($0, $0.node.raft.status) }.filter { $0.0.isLeading && $0.1.isLeader }
            guard let leader = leaders.max(by: { $0.1.term < $1.1.term })?.0 else { return false }
            found = try await body(leader)
            return found != nil
        }
        guard let found else { throw CoordinatorStage.Stuck(description: "no leader with an answer: \(map(\.node.raft.status))") }
        return found
    }

    /// Sends messages to whoever leads, those again of which it is not known whether they were kept: the runs that each started.
    func submit(_ messages: [Message]) async throws -> [[RunID]] {
        var accepted = [[RunID]?](repeating: nil, count: messages.count)
        return try await withLeader { leader in
            let open = messages.indices.filter { accepted[$0] == nil }
            let verdicts = await leader.node.intake.submit(open.map { messages[$0] }, trace: nil)
            #expect(verdicts.count == open.count, "each is answered once")
            for (place, verdict) in zip(open, verdicts) {
                switch verdict {
                case .accepted(_, _, let runs, _): accepted[place] = runs
                case .busy, .full, .uncertain: continue
                case .unmatched: Issue.record("\(messages[place].id) is unmatched")
                }
            }
            let done = accepted.compactMap(\.self)
            return done.count == messages.count ? done : nil
        }
    }
}

/// A message of a type with a number.
func numbered(_ type: String, _ number: Int) -> Message {
    Message(id: "\(type)-\(number)", source: "test", type: type, data: ["n": Value(number)])
}

/// Runs a test with so many coordinators, and ends them after it.
func withCoordinators(
    _ count: Int = 3, _ settings: CoordinatorNode.Settings = CoordinatorStage.settings, _ body: (CoordinatorStage) async throws -> Void
) async throws {
    let stage = try CoordinatorStage(count, settings)
    do {
        for id in stage.founders { try await stage.start(id) }
        try await body(stage)
    } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}
