import Cluster
import Hummingbird
import Observability
import Primitives
import SWIM

/// `/api/v1/gossip`: who is there, as this node believes, and how it does in finding that out.
struct GossipRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        let pulse = Pulse(info: info)
        router.get("gossip") { request, _ in try info.object(request) { status } }
        router.get("gossip/members") { request, _ in
            try info.rows(request, GossipRows.columns) {
                let rows = GossipRows(info).values
                // A node that does not gossip knows whom it is connected to.
                return rows.isEmpty ? pulse.members : rows
            }
        }
    }

    private var status: Value {
        guard let gossip = info.gossip, let identity = gossip.current.identity else {
            return [
                "node": .string(info.node.text), "takesPart": false,
                "reason": "gossip needs calls from other nodes: set rpc.address, and gossip.address to something other than none",
            ]
        }
        let view = gossip.current
        let own = view.members.first(where: \.isSelf)?.metadata
        return .object([
            "node": .string(info.node.text), "takesPart": true, "epoch": Value(identity.epoch),
            "incarnation": Value(view.incarnation.number),
            "address": Value(own?.gossip), "sealed": .bool(info.isGossipSealed), "localHealth": Value(view.localHealth),
            "pendingNews": Value(view.pendingNews), "conflict": Value(view.conflict), "members": GossipRows.counts(view),
            "counts": counts(view.counts),
        ])
    }

    private func counts(_ counts: SWIMCounts) -> Value {
        .object([
            "probes": Value(counts.probes), "probesFailed": Value(counts.probesFailed), "indirectAcks": Value(counts.indirectAcks),
            "streamAcks": Value(counts.streamAcks), "suspicions": Value(counts.suspicions),
            "failuresDetected": Value(counts.failuresDetected), "refutations": Value(counts.refutations),
            "standstills": Value(counts.standstills), "rumoursSent": Value(counts.rumoursSent), "exchanges": Value(counts.exchanges),
            "exchangesAnswered": Value(counts.exchangesAnswered), "malformed": Value(counts.malformed),
            "misdirected": Value(counts.misdirected), "membersRefused": Value(counts.membersRefused),
            "membersEvicted": Value(counts.membersEvicted),
        ])
    }
}

/// The members, one row each.
struct GossipRows {
    static let columns = [
        "id", "state", "incarnation", "rttMs", "lastProbeMs", "lastAckMs", "suspicionMs", "suspectedBy", "sinceMs", "role", "version",
        "slots", "labels", "gossip", "address", "http", "datagrams", "epoch", "featureLevel", "raft",
    ]

    private let info: NodeInfo
    private let view: MembershipView.Snapshot
    private let now: Instant

    init(_ info: NodeInfo) {
        (self.info, view, now) = (info, info.gossip?.current ?? MembershipView.Snapshot(), info.telemetry.clock.now)
    }

    var values: [Value] {
        let status = info.consensus.status
        return view.members.map { row($0, raft: RaftRows.role(of: $0.identity.node, in: status)) }
    }

    /// By state.
    static func counts(_ view: MembershipView.Snapshot) -> Value {
        .map(Fields(Liveness.allCases.map { Fields.Member("\($0)", Value(view.count($0))) }))
    }

    private func row(_ member: MemberView, raft: String?) -> Value {
        let facts = member.metadata
        let version = facts.software.hasPrefix("distric ") ? String(facts.software.dropFirst("distric ".count)) : facts.software
        return .object([
            "id": .string(member.identity.node.text), "state": .string("\(member.liveness)"),
            "incarnation": Value(member.incarnation.number), "epoch": Value(member.identity.epoch), "isSelf": .bool(member.isSelf),
            "rttMs": member.contact.roundTrip.map { .double(Double($0.nanoseconds / 10_000) / 100) } ?? .null,
            "lastProbeMs": ago(member.contact.lastProbe), "lastAckMs": ago(member.contact.lastAck), "sinceMs": ago(member.since),
            "suspicionMs": member.suspicionDeadline.map { .int(max(0, $0.duration(since: now).milliseconds)) } ?? .null,
            "suspectedBy": .list(member.accusers.map { .string($0.text) }), "role": .string(facts.roles.joined(separator: ",")),
            "version": .string(version), "slots": facts.roles.contains("worker") ? Value(UInt64(facts.slots)) : .null,
            "labels": .list(facts.labels.map { .string("\($0.name)=\($0.value)") }), "gossip": .string(facts.gossip),
            "address": .string(facts.rpc), "http": Value(facts.http),
            "datagrams": .string(member.contact.hasLostDatagrams ? "lost" : "through"), "featureLevel": Value(UInt64(facts.featureLevel)),
            "raft": Value(raft),
        ])
    }

    private func ago(_ at: Instant?) -> Value { at.map { .int(max(0, now.duration(since: $0).milliseconds)) } ?? .null }
}
