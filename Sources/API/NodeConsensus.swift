import Cluster
import Coordinator
import Primitives
import Raft
import Transport

/// The consensus of a node that runs.
struct NodeConsensus: Consensus {
    let coordinator: CoordinatorNode
    private let reader: RaftLogReader

    init(coordinator: CoordinatorNode) {
        self.coordinator = coordinator
        reader = RaftLogReader(coordinator.raft)
    }

    var node: NodeID { coordinator.raft.node }
    var isLeading: Bool { coordinator.loop.isLeading }
    var standstill: String? { coordinator.loop.standstill }
    var leader: NodeID? { coordinator.raft.leader }
    var status: RaftStatus { coordinator.raft.status }
    var members: [ClusterMember] { coordinator.directory.all.map { ClusterMember($0) } }
    func member(_ node: NodeID) -> ClusterMember? { coordinator.directory.facts(node).map { ClusterMember($0) } }

    var applied: (index: LogIndex, time: ClusterTime) {
        let state = coordinator.loop.current.state
        return (state.applied, state.time)
    }

    func change(voters: [NodeID], learners: [NodeID], basedOn: LogIndex?) async throws(RaftRefusal) -> LogIndex {
        try await coordinator.raft.change(voters: voters, learners: learners, basedOn: basedOn)
    }

    func transfer(to successor: NodeID?) async throws(RaftRefusal) -> NodeID { try await coordinator.raft.transfer(to: successor) }
    func readIndex() async throws(RaftRefusal) -> LogIndex { try await coordinator.raft.readIndex() }

    func waitApplied(_ index: LogIndex, timeout: Duration) async -> Bool {
        await coordinator.loop.waitApplied(index, timeout: timeout)
    }

    func log(from start: LogIndex?, count: Int) throws(RaftLogProblem) -> RaftLogPage { try reader.read(from: start, count: count) }

    func requestSnapshot() { coordinator.loop.requestSnapshot() }
}

extension ClusterMember {
    fileprivate init(_ facts: PeerDirectory.Facts) {
        self.init(
            node: facts.node, address: facts.address.description, http: facts.http, roles: facts.roles, featureLevel: facts.featureLevel,
            software: facts.software, isConnected: facts.isConnected)
    }
}
