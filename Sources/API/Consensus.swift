package import Cluster
package import Primitives
package import Raft

/// What the front door asks of the consensus that its node takes part in.
package protocol Consensus: Sendable {
    var node: NodeID { get }
    /// Whether this node leads and plans. Asked with every request, and cheap.
    var isLeading: Bool { get }
    /// Who leads, as far as is known here: asked more often than all of the status.
    var leader: NodeID? { get }
    /// Why nothing more is applied here: what is answered stays as old as it is.
    var standstill: String? { get }
    var status: RaftStatus { get }
    /// Everybody who is known here, sorted by id, this node among them.
    var members: [ClusterMember] { get }
    func member(_ node: NodeID) -> ClusterMember?
    /// How far the log is applied here, and the time that its last entry bears.
    var applied: (index: LogIndex, time: ClusterTime) { get }

    /// Returns where the change was put into the log: it goes on by itself from there, and `status` tells how far it is.
    func change(voters: [NodeID], learners: [NodeID], basedOn: LogIndex?) async throws(RaftRefusal) -> LogIndex
    /// Hands leadership on, to whom is furthest when nobody is named; returns who has it then.
    func transfer(to successor: NodeID?) async throws(RaftRefusal) -> NodeID
    /// The index that a linearizable read waits for, asked of a leader or a follower.
    func readIndex() async throws(RaftRefusal) -> LogIndex
    func waitApplied(_ index: LogIndex, timeout: Duration) async -> Bool
    /// A part of this node's own log: from an index on, or the newest entries.
    func log(from start: LogIndex?, count: Int) throws(RaftLogProblem) -> RaftLogPage
    /// Of this node alone, when it gets round to it.
    func requestSnapshot()
}

/// A node of the cluster, as this one knows it.
package struct ClusterMember: Equatable, Sendable {
    package var node: NodeID
    /// Where it takes calls.
    package var address: String
    /// The URL of its front door; nil until it has said.
    package var http: String?
    package var roles: [String]
    package var featureLevel: UInt16
    package var software: String
    package var isConnected: Bool

    package init(
        node: NodeID, address: String, http: String?, roles: [String], featureLevel: UInt16, software: String, isConnected: Bool
    ) {
        self.node = node
        self.address = address
        self.http = http
        self.roles = roles
        self.featureLevel = featureLevel
        self.software = software
        self.isConnected = isConnected
    }
}

/// How many voters this server hears, itself among them, and how many it takes.
struct Quorum: Equatable, Sendable {
    /// A follower that is not heard for so long would be an elector by now.
    private static let silence = RaftSettings().electionTimeout.upperBound

    var have: Int
    var need: Int
    var of: Int

    init(_ status: RaftStatus) {
        (need, of) = status.quorum
        removedAt = status.removedAt
        have = status.voters.count { voter in
            if voter == status.node { return !status.isRecovering }
            guard let peer = status.peers.first(where: { $0.node == voter }) else { return false }
            guard status.isLeader, let silent = peer.silentFor else { return peer.isConnected }
            return silent < Self.silence
        }
    }

    /// Where it was committed that this node is no member any more.
    var removedAt: LogIndex?
    var isThere: Bool { have >= need }

    var value: Value { ["have": Value(have), "need": Value(need), "of": Value(of)] }

    var text: String {
        of == 0
            ? "this node belongs to no cluster yet; its /health/ready says what it waits for"
            : "\(have) of \(of) coordinators answer, \(need) are needed"
    }
}
