import Primitives
import SWIM
import Testing

@testable import API

/// What the nodes' view has from gossip.
struct GossipedNodesTests {
    private func known(_ liveness: Liveness, http: String? = nil, role: String = "worker") -> GossipedNodes.Known {
        .init(
            liveness: liveness, rpc: "10.0.0.9:9000", http: http, roles: [role], featureLevel: 4, software: "distric 0.1.0")
    }

    @Test func `a node that had no front door when it came has the one that it tells of since`() throws {
        let worker = try ClusterMember.of("w-1", roles: ["worker"])
        let door = try ClusterMember.of("w-2", http: "http://10.0.0.2:8080", roles: ["worker"])
        let gossip = try GossipedNodes([
            NodeID("w-1"): known(.alive, http: "http://10.0.0.1:8080"), NodeID("w-2"): known(.alive, http: "http://10.0.0.3:8080"),
        ])
        // What a node has said itself is newer than what others say of it.
        #expect(gossip.completing([worker, door]).map(\.http) == ["http://10.0.0.1:8080", "http://10.0.0.2:8080"])
    }

    @Test func `whoever died stays among the nodes, and whoever left or has not come does not`() throws {
        let gossip = try GossipedNodes([
            NodeID("w-1"): known(.dead), NodeID("w-2"): known(.left), NodeID("w-3"): known(.suspect), NodeID("w-4"): known(.alive),
        ])
        let all = gossip.completing([try .of("c-1")])
        #expect(all.map(\.node.text) == ["c-1", "w-1"])
        #expect(all[1].roles == ["worker"] && all[1].address == "10.0.0.9:9000" && !all[1].isConnected)
        #expect(try gossip.isDead(NodeID("w-1")) && !gossip.isDead(NodeID("w-2")) && !gossip.isDead(NodeID("w-9")))
        #expect(try gossip.isAlive(NodeID("w-4")) && !gossip.isAlive(NodeID("w-3")))
    }

    @Test func `a node that does not gossip knows what it has heard`() throws {
        let members = try [ClusterMember.of("c-1"), .of("w-1", roles: ["worker"])]
        #expect(GossipedNodes(nil).completing(members) == members)
    }
}
