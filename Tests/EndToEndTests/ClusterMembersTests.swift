import Foundation
import Primitives
import Testing
import Text

/// Nodes that come to a cluster that is there, lead it, and leave it.
struct ClusterMembersTests {
    /// What the status on this node says.
    private func isVoter(_ id: String, on member: ClusterMember) -> Bool { member.voters.contains(id) }

    /// Milliseconds since the leader heard it.
    private func silence(of id: String, on leader: ClusterMember) -> Int64 {
        leader.status["peers"]?.list?.first { $0["id"]?.string == id }?["silentForMs"]?.int ?? 0
    }

    @Test func `a fourth joins as a learner, votes, leads, is removed while it leads, disturbs nobody, and comes back new`() async throws {
        let cluster = try await RunningCluster.started()
        let founders = cluster.members
        let leader = try await cluster.leader()
        #expect(leader.submit("before")?.status == 202)
        let fourth = cluster.newcomer("c-4", ["--join", cluster.others(leader)[0].rpc])
        try fourth.start()
        try await joins(fourth, cluster, leader)
        // Led by hand.
        let moved = try founders[0].distric("raft", "transfer", "--to", "c-4")
        #expect(moved.code == 0 && moved.out == "c-4 leads\n", "\(moved.err)")
        #expect(try await cluster.leader() === fourth)
        #expect(founders[1].submit("led by c-4")?.headers["distric-leader"] == "c-4")
        let unknown = try founders[0].distric("raft", "transfer", "--to", "c-9")
        #expect(unknown.code == 1 && unknown.err.contains("'c-9' does not vote; the voters are c-1, c-2, c-3, c-4"), "\(unknown.err)")
        try await leaves(fourth, cluster, founders)
        // Its folder is of no more use, and its id is free.
        _ = fourth.stop()
        try fourth.wipe()
        try fourth.start()
        #expect(try await holds { founders.allSatisfy { isVoter("c-4", on: $0) } && fourth.isReady }, "\(fourth.logText)")
        #expect(try Set(fourth.messages().map(\.id)).isSuperset(of: ["before", "led by c-4"]))
    }

    private func joins(_ fourth: ClusterMember, _ cluster: RunningCluster, _ leader: ClusterMember) async throws {
        #expect(try await holds { fourth.isReady }, "\(fourth.health)\n\(leader.status)")
        // It is ready when it belongs to the cluster and has what the cluster has, not before.
        #expect(fourth.members.contains("c-4") && fourth.applied > 2, "\(fourth.status)")
        #expect(try await holds { cluster.members.allSatisfy { $0.voters == ["c-1", "c-2", "c-3", "c-4"] } }, "\(leader.status)")
        #expect(leader.hasEvent("cluster.joining", "a learner now, a voter once it has caught up"))
        #expect(leader.hasEvent("raft.configuration", "voters c-1, c-2, c-3; learners c-4; to vote once caught up c-1, c-2, c-3, c-4"))
        #expect(fourth.read("/api/v1/messages/before?consistency=linearizable")["id"] == "before")
        let id = leader.read("/api/v1/cluster/status")["clusterId"]
        #expect(id != nil && fourth.read("/api/v1/cluster/status")["clusterId"] == id)
        let table = try fourth.distric("raft", "peers")
        #expect(table.code == 0 && table.out.contains(#/\nc-4 +follower +up +replicate /#), "\(table.out)\(table.err)")
    }

    private func leaves(_ fourth: ClusterMember, _ cluster: RunningCluster, _ founders: [ClusterMember]) async throws {
        let removed = try founders[0].distric("raft", "remove", "c-4", "--yes")
        #expect(removed.code == 0 && removed.out == "c-4 is no member any more\n", "\(removed.err)")
        let next = try await cluster.leader(of: founders)
        for member in founders { #expect(member.voters == ["c-1", "c-2", "c-3"]) }
        let status = try founders[1].distric("raft", "status")
        #expect(status.out.contains("voters      c-1, c-2, c-3\n") && status.out.contains("learners    -\n"), "\(status.out)")
        // It knows, and serves nobody who wants a node that is up to date.
        #expect(try await holds { fourth.members == ["c-1", "c-2", "c-3"] && !fourth.isReady }, "\(fourth.status)")
        #expect(try await holds { fourth.health.hasPrefix("raft: this node was removed from the cluster") }, "\(fourth.health)")
        let term = next.status["term"]
        for restarted in [false, true] {
            if restarted {
                _ = fourth.stop()
                try fourth.start()
                #expect(try await holds { fourth.members == ["c-1", "c-2", "c-3"] })
            }
            // Longer than any election timeout.
            for number in 0..<200 { #expect(founders[number % 3].submit("without-\(restarted)-\(number)")?.status == 202) }
            #expect(next.role == "leader" && next.status["term"] == term, "\(next.status)")
            #expect(founders.allSatisfy { $0.members == ["c-1", "c-2", "c-3"] }, "it was let in again")
            #expect(fourth.role != "leader" && fourth.role != "candidate")
        }
    }

    @Test func `of three the leader, and then another, can be removed and added again, down to the last`() async throws {
        let cluster = try await RunningCluster.started()
        let old = try await cluster.leader()
        let others = cluster.others(old)
        let removed = try others[0].distric("raft", "remove", old.id, "--yes")
        #expect(removed.code == 0, "\(removed.err)")
        let next = try await cluster.leader(of: others)
        #expect(try await holds { cluster.members.allSatisfy { $0.voters == others.map(\.id) } && old.role == "follower" })
        #expect(next.submit("of two")?.status == 202)
        let added = try next.distric("raft", "add", old.id)
        #expect(added.code == 0 && added.out == "\(old.id) votes\n", "\(added.err)")
        #expect(try await holds { cluster.members.allSatisfy { $0.voters == ["c-1", "c-2", "c-3"] } })
        #expect(try old.messages().map(\.id) == ["of two"])
        // What would leave too few that answer is refused, and nothing has happened.
        let down = cluster.others(next)[0]
        down.crash()
        let other = cluster.others(next)[1]
        #expect(try await holds { silence(of: down.id, on: next) > 2000 })
        let few = try next.distric("raft", "remove", other.id, "--yes")
        #expect(few.code == 1 && few.err.contains("of the 2 voters that there would be, only 1 answer"), "\(few.err)")
        #expect(next.voters == ["c-1", "c-2", "c-3"])
        // The one that is down can go, and then the other.
        for gone in [down, other] {
            let finished = try next.distric("raft", "remove", gone.id, "--yes")
            #expect(finished.code == 0, "\(gone.id): \(finished.err)")
        }
        #expect(next.voters == [next.id] && next.role == "leader")
        #expect(next.submit("of one")?.status == 202)
        let last = try next.distric("raft", "remove", next.id, "--yes")
        #expect(last.code == 1 && last.err.contains("'\(next.id)' is the last voter, and a cluster without one is none"), "\(last.err)")
    }

    @Test func `two that come at once both get in`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        let newcomers = [cluster.newcomer("c-4"), cluster.newcomer("c-5")]
        for member in newcomers { try member.start() }
        let all = ["c-1", "c-2", "c-3", "c-4", "c-5"]
        #expect(try await holds(30) { cluster.members.allSatisfy { $0.voters == all } }, "\(leader.status)")
        #expect(try await holds { newcomers.allSatisfy { $0.isReady } })
        // Five stand the loss of two.
        for member in cluster.members.prefix(2) { member.crash() }
        let rest = Array(cluster.members.dropFirst(2))
        let next = try await cluster.leader(of: rest)
        #expect(next.submit("of three of five")?.status == 202)
    }
}
