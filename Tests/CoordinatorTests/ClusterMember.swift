import NIOCore
import NIOPosix
import Observability
import Primitives
import Storage
import Synchronization
import Transport
import Wire

@testable import Cluster
@testable import Coordinator

/// One coordinator of several on loopback: the node, its folder, and the server on which the others reach it.
final class ClusterMember: Sendable {
    static let cluster = UUIDv7(high: 0xC1, low: 0x57E2)

    let id: NodeID
    let own: OwnHello
    /// Of what it sends.
    let faults: LinkFaults
    let telemetry: Telemetry
    let node: CoordinatorNode
    private let server: RPCServer
    private let group: MultiThreadedEventLoopGroup

    var state: CoordinatorState { node.loop.current.state }
    var isLeading: Bool { node.loop.isLeading }

    init(
        _ id: NodeID, in path: String, founders: [NodeID], epoch: UInt64, settings: CoordinatorNode.Settings, disk: any Disk,
        prepare: (LinkFaults) -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (telemetry, faults, raft) = (Telemetry.quiet(node: id), LinkFaults(seed: epoch), RaftBox())
        prepare(faults)
        var hello = Hello()
        (hello.node, hello.roles, hello.software) = (id, ["coordinator"], "test")
        (hello.epoch, hello.cluster, hello.featureLevel) = (epoch, Self.cluster, CommandCodec.featureLevel)
        let own = OwnHello(hello)
        let server = RPCServer(hello: own, handlers: Self.handlers(raft), faults: faults, group: group, telemetry: telemetry)
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        own.change { $0.address = address.description }
        do {
            let folder = try DataFolder.open(path, node: id, fallback: id, featureLevel: CommandCodec.featureLevel, disk: disk) {
                Self.cluster
            }
            let directory = try PeerDirectory(own: own, node: id, disk: disk, path: path + "/peers", clock: telemetry.clock)
            node = try CoordinatorNode(
                folder: folder, disk: disk, settings: settings, telemetry: telemetry, seed: epoch,
                network: .init(loop: group.next(), hello: own, tls: nil, faults: faults, directory: directory), founders: founders)
        } catch {
            await server.drain(grace: .zero)
            try? await group.shutdownGracefully()
            throw error
        }
        raft.driver = node.raft
        (self.id, self.own, self.faults, self.telemetry, self.server, self.group) = (id, own, faults, telemetry, server, group)
    }

    private final class RaftBox: Sendable {
        private let found = Mutex<RaftDriver?>(nil)

        var driver: RaftDriver? {
            get { found.withLock { $0 } }
            set { found.withLock { $0 = newValue } }
        }
    }

    private static func handlers(_ raft: RaftBox) -> RPCHandlers {
        var handlers = RPCHandlers()
        let types: [MessageType] = [
            .preVote, .preVoteReply, .requestVote, .requestVoteReply, .appendEntries, .appendEntriesReply, .installSnapshot,
            .installSnapshotReply, .timeoutNow, .readIndex, .readIndexReply,
        ]
        for type in types {
            handlers.raw(type) { frame, context throws(CallError) in try raft.driver?.receive(frame, from: context.node) }
        }
        return handlers
    }

    /// Nothing that it sends to these arrives.
    func cut(to others: [NodeID]) { for other in others { faults.set(LinkFault(isCut: true), to: other) } }

    func close() async {
        node.stop()
        await server.drain(grace: .zero)
        try? await group.shutdownGracefully()
    }
}

/// Several coordinators of one cluster, that know each other's addresses.
final class ClusterStage {
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
                + #"{"id": "seen", "when": {"field": "type", "operator": "equals", "value": "seen"}, "actions": []}]"#),
        workflowText("note", #"{"write": {"use": "transform", "with": {"value": "${{ input.data.n }}"}}}"#),
        workflowText("pause", #"{"rest": {"use": "wait", "with": {"duration": "1ms"}}}"#),
    ]

    private let temporary: TemporaryFolder
    private let settings: CoordinatorNode.Settings
    let founders: [NodeID]
    private(set) var members: [ClusterMember] = []
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
    ) async throws -> ClusterMember {
        starts += 1
        let made = try await ClusterMember(
            id, in: path(id), founders: founders, epoch: starts, settings: settings, disk: disk, prepare: prepare)
        members.append(made)
        for member in members { for other in members { member.node.directory.heard(other.own.current) } }
        return made
    }

    func stop(_ member: ClusterMember) async {
        members.removeAll { $0 === member }
        await member.close()
    }

    func close() async {
        for member in members { await member.close() }
        members = []
    }

    func others(than member: ClusterMember) -> [ClusterMember] { members.filter { $0 !== member } }

    // MARK: Leading

    /// Asks whoever leads and plans until it has an answer. Leaders may change at any time where a machine has much to do, and then it is asked again.
    func withLeader<T>(_ body: (ClusterMember) async throws -> T?) async throws -> T {
        var found: T?
        _ = try await eventually {
            let leaders = members.map { ($0, $0.node.raft.status) }.filter { $0.0.isLeading && $0.1.isLeader }
            guard let leader = leaders.max(by: { $0.1.term < $1.1.term })?.0 else { return false }
            found = try await body(leader)
            return found != nil
        }
        guard let found else { throw Stuck(description: "no leader with an answer: \(members.map(\.node.raft.status))") }
        return found
    }

    /// Puts the definitions into force.
    func activate() async throws {
        let values = try parsed(Self.definitions)
        try await withLeader { leader -> Bool? in
            let catalog = leader.node.loop.catalog
            guard catalog.version == 0 else { return true }
            let (next, records) = try catalog.adding(values, removing: [], namespace: .default)
            let answer = await leader.node.loop.ask([.activate(next, records: records, removed: [])])
            return answer == [.activated(1)] ? true : nil
        }
    }

    /// Sends a message to whoever leads, again where it is not known whether it was kept: the runs that it started.
    @discardableResult
    func submit(_ message: Message) async throws -> [RunID] {
        try await withLeader { leader in
            let verdicts = await leader.node.intake.submit([message], trace: nil)
            guard case .accepted(_, _, let runs, _)? = verdicts.first, verdicts.count == 1 else { return nil }
            return runs
        }
    }

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

/// A message of a type with a number.
func message(_ type: String, _ number: Int) -> Message {
    Message(id: "\(type)-\(number)", source: "test", type: type, data: ["n": Value(number)])
}

/// Runs a test with so many coordinators, and ends them after it.
func withCluster(
    _ count: Int = 3, _ settings: CoordinatorNode.Settings = ClusterStage.settings, _ body: (ClusterStage) async throws -> Void
) async throws {
    let stage = try ClusterStage(count, settings)
    do {
        for id in stage.founders { try await stage.start(id) }
        try await body(stage)
    } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}

/// Asks until it holds, at most so long.
func eventually(_ limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now.advanced(by: limit)
    while true {
        let holds = try await condition()
        if holds { return true }
        guard ContinuousClock.now < end else { return false }
        try? await Task.sleep(for: .milliseconds(2))
    }
}
