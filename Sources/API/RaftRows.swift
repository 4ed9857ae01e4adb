import Cluster
import Primitives

/// The members of the consensus as the API shows them: one row each.
struct RaftRows: Sendable {
    static let columns = [
        "id", "role", "isVoter", "state", "matchIndex", "nextIndex", "lag", "inFlightMessages", "inFlightBytes", "silentForMs",
        "isConnected", "isRecovering", "isLeaving", "snapshotChunks", "snapshotChunksOf", "featureLevel", "address", "http",
    ]

    private let status: RaftStatus
    private let peers: [NodeID: RaftStatus.Peer]
    private let members: [NodeID: ClusterMember]

    init(_ status: RaftStatus, _ members: [ClusterMember]) {
        self.status = status
        peers = Dictionary(status.peers.map { ($0.node, $0) }) { first, _ in first }
        self.members = Dictionary(members.map { ($0.node, $0) }) { first, _ in first }
    }

    /// Everybody who gets the log, sorted.
    private var nodes: [NodeID] { Set(status.voters + status.outgoing + status.learners).sorted() }

    var values: [Value] { nodes.map { row($0) } }

    /// Without this server itself.
    var peerValues: [Value] { nodes.filter { $0 != status.node }.map { row($0) } }

    /// What a node is to the consensus; nil when it takes no part. Of itself a server knows whether it stands for election.
    static func role(of node: NodeID, in status: RaftStatus) -> String? {
        if node == status.node, status.role != "follower" { return status.role }
        if node == status.leader { return "leader" }
        if status.voters.contains(node) || status.outgoing.contains(node) { return "follower" }
        return status.learners.contains(node) ? "learner" : nil
    }

    private func row(_ node: NodeID) -> Value {
        let member = members[node]
        let isHere = node == status.node
        let peer = isHere ? own : peers[node]
        let isLeaving = status.outgoing.contains(node) && !status.voters.contains(node)
        return .object([
            "id": .string(node.text), "node": .string(node.text), "role": Value(Self.role(of: node, in: status)),
            "isVoter": .bool(status.voters.contains(node) || status.outgoing.contains(node)), "state": Value(peer?.state),
            "matchIndex": number(peer?.matchIndex?.number), "nextIndex": number(peer?.nextIndex?.number), "lag": number(peer?.lag),
            "inFlightMessages": number(peer?.inFlightMessages), "inFlightBytes": number(peer?.inFlightBytes),
            "silentForMs": number(peer?.silentFor?.milliseconds),
            "isConnected": .bool(isHere || (peer?.isConnected ?? member?.isConnected ?? false)),
            "isRecovering": .bool(peer?.isRecovering ?? false), "isLeaving": .bool(isLeaving),
            "snapshotChunks": number(peer?.snapshotChunks), "snapshotChunksOf": number(peer?.snapshotChunksOf),
            "featureLevel": number(member?.featureLevel), "address": Value(member?.address ?? peer?.address), "http": Value(member?.http),
        ])
    }

    /// Of itself a server knows what it has, and nothing is on its way to it.
    private var own: RaftStatus.Peer {
        var own = RaftStatus.Peer(node: status.node)
        own.matchIndex = status.durableIndex
        own.isRecovering = status.isRecovering
        if status.isLeader { own.lag = status.lastIndex.number - min(status.lastIndex.number, status.durableIndex.number) }
        return own
    }

    private func number(_ number: (some FixedWidthInteger)?) -> Value { number.map { Value(UInt64(clamping: $0)) } ?? .null }
}

extension RaftStatus {
    /// All of it, as `GET /api/v1/raft/status` shows it.
    ///
    /// - Parameter trouble: what keeps this server from being a good member, in words.
    func value(applied: LogIndex, members: [ClusterMember], trouble: [String] = []) -> Value {
        func names(_ nodes: [NodeID]) -> Value { .list(nodes.map { .string($0.text) }) }
        return .object([
            "node": .string(node.text), "role": .string(role), "term": Value(term.number), "leader": Value(leader?.text),
            "quorum": Quorum(self).value, "lastIndex": Value(lastIndex.number), "durableIndex": Value(durableIndex.number),
            "commitIndex": Value(commitIndex.number), "appliedIndex": Value(applied.number),
            "lag": Value(commitIndex.number - min(commitIndex.number, applied.number)), "firstIndex": Value(firstIndex.number),
            "snapshotIndex": Value(snapshotIndex.number), "logBytes": Value(logBytes), "voters": names(voters), "learners": names(learners),
            "outgoing": names(outgoing), "joint": .bool(!outgoing.isEmpty), "configurationIndex": Value(configurationIndex.number),
            "isRecovering": .bool(isRecovering), "transferTo": Value(transferTo?.text),
            "peers": .list(RaftRows(self, members).peerValues), "elections": .list(elections.map(\.value)),
            "trouble": .list(trouble.map { .string($0) }),
        ])
    }
}

extension RaftStatus.Election {
    var value: Value {
        .object([
            "term": Value(term.number), "reason": .string(reason), "at": .string(at.rfc3339), "leader": Value(leader?.text),
            "tookMs": took.map { .int($0.milliseconds) } ?? .null,
        ])
    }
}
