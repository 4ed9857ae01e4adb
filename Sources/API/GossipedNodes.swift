import Cluster
import Primitives
import SWIM

/// What gossip knows of nodes, beside what this one has heard from them itself: where they answer, and who has gone silent.
struct GossipedNodes {
    /// One node, as its metadata and the others have it.
    struct Known: Equatable {
        var liveness: Liveness
        var rpc: String
        var http: String?
        var roles: [String]
        var featureLevel: UInt16
        var software: String
    }

    private let known: [NodeID: Known]

    init(_ known: [NodeID: Known]) { self.known = known }

    /// Nobody, where this node takes no part.
    init(_ view: MembershipView?) {
        var known: [NodeID: Known] = [:]
        for member in view?.current.members ?? [] where !member.isSelf {
            let said = member.metadata
            known[member.identity.node] = Known(
                liveness: member.liveness, rpc: said.rpc, http: said.http, roles: said.roles, featureLevel: said.featureLevel,
                software: said.software)
        }
        self.init(known)
    }

    func isAlive(_ node: NodeID) -> Bool { known[node]?.liveness == .alive }
    /// Nobody has heard of it for so long that it counts as dead; one that left has gone by itself.
    func isDead(_ node: NodeID) -> Bool { known[node]?.liveness == .dead }

    /// These nodes with what they left unsaid, and those that are dead: what is lost is looked for among the nodes. Who lives and has not come to this one is none of its nodes yet.
    func completing(_ members: [ClusterMember]) -> [ClusterMember] {
        let all = members.map { member in
            var member = member
            member.http = member.http ?? known[member.node]?.http
            return member
        }
        let here = Set(members.map(\.node))
        return all
            + known.filter { $0.value.liveness == .dead && !here.contains($0.key) }.map { node, said in
                ClusterMember(
                    node: node, address: said.rpc, http: said.http, roles: said.roles, featureLevel: said.featureLevel,
                    software: said.software, isConnected: false)
            }
    }
}
