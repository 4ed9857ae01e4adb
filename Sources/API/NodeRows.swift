import Cluster
import Coordinator
import Observability
import Primitives
import Raft

/// Every node of the cluster, coordinators and workers alike: what it is to the consensus, and what it is to placement. Of workers only the leader knows more than
/// that they exist.
struct NodeRows: Sendable {
    static let columns = [
        "id", "role", "state", "standing", "raft", "slots", "free", "running", "load", "cordoned", "version", "clockOffsetMs", "heardMs",
        "since", "address", "http", "featureLevel", "labels", "kinds", "drain",
    ]

    let info: NodeInfo

    private var sessions: WorkerSessions { info.coordinator.loop.sessions }
    /// Whether what is not with this node is with nobody.
    private var isKnown: Bool { info.coordinator.loop.isLeading }

    var values: [Value] {
        let (status, gossip) = (info.consensus.status, GossipedNodes(info.gossip))
        let work = info.openWork.look(info).byWorker
        return members(gossip).map { row($0, status, gossip, work[$0.node] ?? 0) }
    }

    /// Nil for a node that is not known here.
    func value(_ node: NodeID) -> Value? {
        let gossip = GossipedNodes(info.gossip)
        return members(gossip).first { $0.node == node }.map {
            row($0, info.consensus.status, gossip, info.openWork.look(info).byWorker[node] ?? 0)
        }
    }

    /// Everybody who is known here, this node among them, in the order of their ids.
    var members: [ClusterMember] { members(GossipedNodes(info.gossip)) }

    private func members(_ gossip: GossipedNodes) -> [ClusterMember] {
        let known = gossip.completing(info.consensus.members)
        guard !known.contains(where: { $0.node == info.node }) else { return known.sorted { $0.node < $1.node } }
        let own = ClusterMember(
            node: info.node, address: "", http: nil, roles: info.worker == nil ? ["coordinator"] : ["coordinator", "worker"],
            featureLevel: CommandCodec.featureLevel, software: "distric \(info.version)", isConnected: true)
        return (known + [own]).sorted { $0.node < $1.node }
    }

    private func row(_ member: ClusterMember, _ status: RaftStatus, _ gossip: GossipedNodes, _ leased: Int) -> Value {
        let isSelf = member.node == info.node
        let worker = sessions.worker(member.node)
        let isWorker = worker != nil || member.roles.contains("worker") && !isSelf
        var roles = member.roles
        if isSelf, info.worker != nil, !roles.contains("worker") { roles.append("worker") }
        var row = Fields()
        row["id"] = .string(member.node.text)
        row["role"] = .string(roles.joined(separator: ","))
        row["state"] = Value(state(member, gossip, worker != nil, isSelf))
        row["raft"] = Value(RaftRows.role(of: member.node, in: status))
        row["running"] = isWorker ? Value(leased) : .null
        work(worker, leased, &row)
        let software = isSelf ? "distric \(info.version)" : member.software
        row["version"] = .string(software.hasPrefix("distric ") ? String(software.dropFirst("distric ".count)) : software)
        said(worker as? WorkerSession, isSelf, &row)
        row["address"] = member.address.isEmpty ? .null : .string(member.address)
        row["http"] = Value(member.http)
        row["featureLevel"] = Value(UInt64(member.featureLevel))
        return .map(row)
    }

    /// What it is to placement, and how much it has.
    private func work(_ worker: (any WorkerLink)?, _ leased: Int, _ row: inout Fields) {
        for key in ["standing", "slots", "free", "load", "cordoned", "drain"] { row[key] = .null }
        guard let worker else { return }
        row["standing"] = .string(standing(worker, leased))
        row["slots"] = Value(worker.capacity.slots)
        row["cordoned"] = .bool(worker.isCordoned)
        if let room = worker.room {
            row["free"] = Value(worker.isCordoned ? 0 : room.free)
            row["load"] = .double((room.load * 100).rounded() / 100)
        }
        guard let drain = worker.draining else { return }
        row["drain"] = [
            "leftMs": .int(drain.left.milliseconds), "finished": Value(drain.finished), "givenBack": Value(drain.givenBack),
        ]
    }

    /// What it said of itself, and when.
    private func said(_ session: WorkerSession?, _ isSelf: Bool, _ row: inout Fields) {
        let (now, said) = (info.telemetry.clock.now, session?.said)
        row["clockOffsetMs"] = said?.clockOffset.map { .int($0.milliseconds) } ?? .null
        if isSelf, isKnown { row["clockOffsetMs"] = 0 }
        row["heardMs"] = said?.renewedAt.map { .int(max(0, now.duration(since: $0).milliseconds)) } ?? .null
        row["since"] = since(session, isSelf, now)
        row["labels"] = .list((session?.origin.labels ?? []).map { .string($0) })
        row["kinds"] = .list((session?.origin.kinds ?? []).map { .string($0) })
    }

    /// A node that cannot be reached from here may be well all the same; of a worker alone only the leader can say, to whom it comes.
    private func state(_ member: ClusterMember, _ gossip: GossipedNodes, _ isAttached: Bool, _ isSelf: Bool) -> String? {
        if isSelf || isAttached { return "alive" }
        if member.roles.contains("coordinator") { return member.isConnected ? "alive" : gossip.isDead(member.node) ? "lost" : "suspect" }
        guard isKnown else { return gossip.isDead(member.node) ? "lost" : nil }
        // One that lives is on its way to a leader that has just begun, or was refused by it.
        return sessions.isBelieved(member.node) || gossip.isAlive(member.node) ? "suspect" : "lost"
    }

    /// Since when this process is with the cluster's leader, or serves.
    private func since(_ session: WorkerSession?, _ isSelf: Bool, _ now: Instant) -> Value {
        if isSelf { return .string(info.startedAt.rfc3339) }
        guard let session else { return .null }
        let ago = max(.zero, now.duration(since: session.origin.attachedAt))
        let wall = info.telemetry.clock.wall.milliseconds
        return .string(ClusterTime(milliseconds: wall - min(wall, UInt64(ago.milliseconds))).rfc3339)
    }

    /// What it is to placement, in one word.
    private func standing(_ worker: any WorkerLink, _ leased: Int) -> String {
        if let drain = worker.draining {
            if leased == 0, worker.room?.running ?? 0 == 0 { return "drained" }
            return drain.left > .zero ? "draining" : "overdue"
        }
        if worker.isCordoned { return "cordoned" }
        if (worker as? WorkerSession)?.isDistrusted == true { return "distrusted" }
        return worker.room.map { $0.free > 0 ? "available" : "full" } ?? "available"
    }
}
