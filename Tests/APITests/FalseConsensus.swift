import Cluster
import Primitives
import Raft
import Synchronization

@testable import API

/// A consensus of one's own making: says what it was told to say, and keeps what it was asked.
final class FalseConsensus: Consensus {
    struct Change: Equatable {
        var voters: [NodeID]
        var learners: [NodeID]
        var basedOn: LogIndex?
    }

    enum Follows { case inForce, catchingUp, lostLeadership }

    struct State {
        var isLeading = false
        var status: RaftStatus
        var members: [ClusterMember] = []
        var applied: (index: LogIndex, time: ClusterTime) = (LogIndex(40), .zero)
        /// Answers to changes, and to what hands leadership on.
        var change: Result<LogIndex, RaftRefusal> = .success(LogIndex(41))
        /// What becomes of a change that is in the log.
        var follows = Follows.inForce
        var transfer: Result<NodeID, RaftRefusal>?
        /// Answers to reads, in turn; the last one stays.
        var reads: [Result<LogIndex, RaftRefusal>] = [.success(LogIndex(40))]
        /// Whether an index that is waited for comes.
        var catchesUp = true

        /// Of its log, and why it cannot be read.
        var entries: [RaftLogPage.Entry] = []
        var logProblem: RaftLogProblem?

        var changes: [Change] = []
        var transfers: [NodeID?] = []
        var waited: [LogIndex] = []
        var snapshots = 0
    }

    let node: NodeID
    private let state: Mutex<State>

    init(_ status: RaftStatus) {
        node = status.node
        state = Mutex(State(isLeading: status.isLeader, status: status))
    }

    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
    var now: State { state.withLock { $0 } }

    var isLeading: Bool { now.isLeading }
    var standstill: String? { nil }
    var leader: NodeID? { now.status.leader }
    var status: RaftStatus { now.status }
    var members: [ClusterMember] { now.members }
    func member(_ node: NodeID) -> ClusterMember? { members.first { $0.node == node } }
    var applied: (index: LogIndex, time: ClusterTime) { now.applied }

    func change(voters: [NodeID], learners: [NodeID], basedOn: LogIndex?) async throws(RaftRefusal) -> LogIndex {
        let answer = state.withLock { state in
            state.changes.append(Change(voters: voters, learners: learners, basedOn: basedOn))
            guard case .success(let index) = state.change else { return state.change }
            state.status.configurationIndex = index
            switch state.follows {
            case .inForce: (state.status.voters, state.status.learners, state.status.commitIndex) = (voters, learners, index)
            case .catchingUp: state.status.learners += voters.filter { !state.status.voters.contains($0) }
            case .lostLeadership: (state.status.role, state.status.leader) = ("follower", nil)
            }
            return state.change
        }
        return try answer.get()
    }

    func transfer(to successor: NodeID?) async throws(RaftRefusal) -> NodeID {
        let answer = state.withLock { state in
            state.transfers.append(successor)
            return state.transfer ?? .success(successor ?? node)
        }
        return try answer.get()
    }

    func readIndex() async throws(RaftRefusal) -> LogIndex {
        let answer = state.withLock { state in state.reads.count > 1 ? state.reads.removeFirst() : state.reads[0] }
        return try answer.get()
    }

    func waitApplied(_ index: LogIndex, timeout: Duration) async -> Bool {
        state.withLock { state in
            state.waited.append(index)
            return state.catchesUp
        }
    }

    func log(from start: LogIndex?, count: Int) throws(RaftLogProblem) -> RaftLogPage {
        let now = now
        if let problem = now.logProblem { throw problem }
        let first = now.entries.first?.index ?? LogIndex(1)
        let last = now.entries.last?.index ?? .zero
        let kept = now.entries.filter { entry in start.map { entry.index >= $0 } ?? true }
        return RaftLogPage(
            first: first, last: last, commit: now.status.commitIndex,
            entries: Array(start == nil ? kept.suffix(count) : kept.prefix(count)))
    }

    func requestSnapshot() { set { $0.snapshots += 1 } }
}

extension RaftStatus {
    /// Of three voters c-1 to c-3, all connected, as one of them sees it.
    static func of(_ node: String, leader: String?) throws -> RaftStatus {
        var status = RaftStatus(node: try NodeID(node))
        status.voters = try ["c-1", "c-2", "c-3"].map { try NodeID($0) }
        status.leader = try leader.map { try NodeID($0) }
        status.role = node == leader ? "leader" : "follower"
        status.term = Term(7)
        status.configurationIndex = LogIndex(5)
        status.peers = status.voters.filter { $0 != status.node }.map { voter in
            var peer = Peer(node: voter)
            (peer.isVoter, peer.isConnected) = (true, true)
            guard status.isLeader else { return peer }
            (peer.state, peer.matchIndex, peer.nextIndex, peer.lag) = ("replicate", LogIndex(40), LogIndex(41), 0)
            (peer.inFlightMessages, peer.inFlightBytes, peer.silentFor) = (0, 0, .milliseconds(20))
            return peer
        }
        return status
    }
}

extension ClusterMember {
    static func of(_ node: String, http: String? = nil, roles: [String] = ["coordinator"]) throws -> ClusterMember {
        ClusterMember(
            node: try NodeID(node), address: "127.0.0.1:9001", http: http, roles: roles, featureLevel: 3, software: "distric 0.1.0",
            isConnected: true)
    }
}

func nodes(_ names: String...) throws -> [NodeID] { try names.map { try NodeID($0) } }
