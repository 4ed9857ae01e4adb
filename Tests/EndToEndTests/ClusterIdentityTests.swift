import Foundation
import Primitives
import Testing
import Text

/// Nodes that are not who they say, or belong elsewhere: they are told what to do, and the cluster does not notice.
struct ClusterIdentityTests {
    /// Nothing of it has changed, and it works.
    private func isUnmoved(_ cluster: RunningCluster, _ leader: ClusterMember, _ term: Value?, _ id: String) {
        #expect(leader.submit(id)?.status == 202)
        #expect(leader.status["term"] == term && leader.role == "leader", "\(leader.status)")
        #expect(leader.members == ["c-1", "c-2", "c-3"], "\(leader.status)")
    }

    @Test func `newcomers with the wrong flags or somebody else's id end with 78, and the cluster goes on`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        let term = leader.status["term"]
        let follower = cluster.others(leader)[0]
        let expecting = ["--bootstrap-expect", "3", "--join", cluster.seeds]
        let theirs = "belongs to a data folder that is not this one: what it promised was there. Remove it first ('distric raft remove"
        let cases: [(id: String, join: [String], says: String)] = [
            ("c-4", expecting, "start it with --join alone (no --bootstrap-expect) to join that one"),
            (follower.id, ["--join", cluster.seeds], "node id '\(follower.id)' \(theirs) \(follower.id)'"),
            (leader.id, expecting, theirs), (leader.id, ["--join", leader.rpc], theirs),
        ]
        for (turn, (id, join, says)) in cases.enumerated() {
            let newcomer = cluster.newcomer(id, join)
            try newcomer.start()
            #expect(try await newcomer.ended() == 78, "\(id): \(newcomer.logText)")
            // Who is asked first may be the very one whose id it is.
            let isOwn = newcomer.lastWords.contains("this node has the id '\(id)' itself")
            #expect(newcomer.lastWords.contains(says) || isOwn, "\(id): \(newcomer.lastWords)")
            isUnmoved(cluster, leader, term, "after-\(turn)")
        }
        // Whom they sent away they do not look for.
        let nodes = leader.read("/api/v1/cluster/nodes").items.compactMap { $0["id"]?.string }
        #expect(nodes == ["c-1", "c-2", "c-3"])
        #expect(cluster.members.prefix(3).allSatisfy { $0.isReady })
    }

    @Test func `a node with a wiped disk is refused under its id, until it was removed`() async throws {
        let cluster = try await RunningCluster.started()
        var leader = try await cluster.leader()
        let (wiped, other) = (cluster.others(leader)[0], cluster.others(leader)[1])
        #expect(leader.submit("before")?.status == 202)
        // All have written down whose folders they are.
        let folder = String(try String(contentsOfFile: wiped.data + "/folder", encoding: .utf8).prefix { $0 != "\n" })
        try #require(!folder.isEmpty)
        #expect(try await holds { [leader, other].allSatisfy { hasNoted(folder, $0) } })
        wiped.crash()
        try wiped.wipe()
        let term = leader.status["term"]
        try await isRefused(wiped)
        isUnmoved(cluster, leader, term, "once")
        // Nor is it let in by those who know it from their disks alone.
        for member in [leader, other] { member.crash() }
        for member in [leader, other] { try member.start() }
        leader = try await cluster.leader(of: [leader, other])
        try await isRefused(wiped)
        #expect(leader.submit("twice")?.status == 202)
        try await comesBack(wiped, folder, cluster, leader)
    }

    @Test func `a cluster of one that is to join another is not ready, and says how it could`() async throws {
        let other = try await RunningCluster.started()
        _ = try await other.leader()
        let alone = try RunningCluster(of: 1)
        let member = alone.members[0]
        member.arguments = Array(member.arguments.dropFirst(4))
        try member.start()
        #expect(try await holds { member.isReady }, "\(member.logText)")
        try #require(member.ask("POST", "/api/v1/workflows", RunningCluster.kept)?.status == 200)
        #expect(member.submit("own")?.status == 202)
        #expect(standing(member) == .null)
        member.crash()
        member.arguments += ["--join", other.members[0].rpc]
        try member.start()
        #expect(try await holds { standing(member)["status"]?.string == "down" }, "\(member.logText)")
        let (reason, address) = (standing(member)["reason"]?.string ?? "", other.members[0].rpc)
        #expect(reason.contains("'distric node --id NEW-ID --data EMPTY-FOLDER --join \(address)'"), "\(reason)")
        #expect(!member.isReady)
        let trouble = member.read("/api/v1/raft/status")["trouble"]?.list ?? []
        #expect(trouble.contains(.string(reason)), "\(trouble)")
        let table = try run(Built.distric, ["raft", "status", "--connect", "\(member.url),\(other.members[0].url)"])
        let rows = table.out.split(separator: "\n").map(String.init)
        #expect(rows.count == 3 && rows[0].hasSuffix("TROUBLE"), "\(table)")
        #expect(rows.count == 3 && rows[1].contains("\(address): cluster ") && rows[2].hasSuffix(" -"), "\(table)")
        #expect(member.logText.contains("EMPTY-FOLDER --join \(address)"))
        #expect(try member.messages().map(\.id) == ["own"])
    }

    @Test func `a cluster that was recovered goes on beside a node of its older epoch, which says that it is of no use`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        #expect(leader.submit("before")?.status == 202)
        let old = cluster.others(leader)[0]
        for member in cluster.members { member.crash() }
        let recovered = try run(Built.distric, ["cluster", "recover", "--data", leader.data, "--yes"])
        #expect(recovered.code == 0, "\(recovered)")
        // As they always were started: each names the other.
        for member in [old, leader] { try member.start() }
        #expect(try await holds { standing(old)["status"]?.string == "down" }, "\(old.logText)")
        let reason = standing(old)["reason"]?.string ?? ""
        #expect(
            reason.contains("node of the older epoch") && reason.contains("'distric node --id ID --data EMPTY-FOLDER --join "), "\(reason)")
        #expect(old.status["trouble"]?.list?.contains(.string(reason)) == true && !old.isReady)
        #expect(try await holds { leader.isReady && standing(leader)["status"]?.string == "degraded" }, "\(standing(leader))")
        // Whoever did as it says to the one that was recovered would lose all there is.
        #expect(standing(leader)["reason"]?.string?.contains("this folder") == false, "\(standing(leader))")
        #expect(!leader.logText.contains("stop this node"))
        #expect(leader.submit("after")?.status == 202)
        #expect(try Set(leader.messages().map(\.id)) == ["before", "after"])
        old.crash()
        #expect(try await holds { standing(leader)["status"]?.string == "up" }, "\(standing(leader))")
    }

    private func standing(_ member: ClusterMember) -> Value {
        let parts = member.read("/health/ready")["components"]?.list ?? []
        return parts.first { $0["name"]?.string == "standing" } ?? .null
    }

    private func isRefused(_ wiped: ClusterMember) async throws {
        try wiped.start()
        #expect(try await wiped.ended() == 78, "\(wiped.logText)")
        let words = wiped.lastWords
        #expect(words.contains("node id '\(wiped.id)' belongs to a data folder that is not this one"), "\(words)")
        #expect(words.contains("'distric raft remove \(wiped.id)' on a node of the cluster"), "\(words)")
        #expect(words.contains("start this one under a new id (--id) with --join"), "\(words)")
    }

    /// Started as it always was: it began this cluster once, and must not think so now.
    private func comesBack(_ wiped: ClusterMember, _ folder: String, _ cluster: RunningCluster, _ leader: ClusterMember) async throws {
        let removed = try leader.distric("raft", "remove", wiped.id, "--yes")
        #expect(removed.code == 0, "\(removed.err)")
        #expect(try await holds { cluster.others(wiped).allSatisfy { !hasNoted(folder, $0) } })
        try wiped.wipe()
        try wiped.start()
        #expect(try await holds { !wiped.process.isRunning || leader.voters.contains(wiped.id) }, "\(wiped.status)")
        if !wiped.process.isRunning {
            #expect(wiped.lastWords.contains("--join alone (no --bootstrap-expect)"), "\(wiped.lastWords)")
            wiped.arguments = Array(wiped.arguments.dropFirst(2))
            try wiped.wipe()
            try wiped.start()
        }
        #expect(try await holds { cluster.members.allSatisfy { $0.voters == ["c-1", "c-2", "c-3"] } && wiped.isReady }, "\(wiped.logText)")
        #expect(try Set(wiped.messages().map(\.id)) == ["before", "once", "twice"])
    }

    /// Whether it has on its disk whose folder this is.
    private func hasNoted(_ folder: String, _ member: ClusterMember) -> Bool {
        (try? String(contentsOfFile: member.data + "/peers", encoding: .utf8))?.contains(folder) ?? false
    }

    @Test func `a node of one cluster that is sent to another stays with its own, and says why`() async throws {
        let (own, other) = (try await RunningCluster.started(), try await RunningCluster.started())
        let (leader, theirs) = (try await own.leader(), try await other.leader())
        let id = leader.read("/api/v1/cluster/status")["clusterId"]
        let lost = own.others(leader)[0]
        lost.crash()
        lost.arguments = ["--join", other.seeds] + lost.arguments.dropFirst(4)
        try lost.start()
        // It finds its own by what it wrote down.
        #expect(try await own.leader() === leader)
        #expect(lost.read("/api/v1/cluster/status")["clusterId"] == id)
        #expect(try await holds { lost.logText.contains("the address is another cluster's") })
        // It counts where it belongs, and whoever looks is told that it was sent elsewhere.
        #expect(
            try await holds {
                let said = standing(lost)
                return said["status"]?.string == "degraded" && lost.isReady
                    && said["reason"]?.string?.contains("start it without that address in --join") == true
            }, "\(standing(lost)) \(lost.health)")
        // Which of them it is, is what one wants to know.
        #expect(
            other.members.contains { member in
                lost.logText.split(separator: "\n").contains { $0.contains("is another cluster's") && $0.contains(member.rpc) }
            })
        #expect(other.members.contains { $0.logText.contains("is another cluster's") })
        #expect(theirs.members == ["c-1", "c-2", "c-3"] && theirs.role == "leader")
        #expect(theirs.read("/api/v1/cluster/nodes").items.allSatisfy { $0["address"]?.string != lost.rpc })
        for (cluster, word) in [(own, "own"), (other, "other")] {
            for member in cluster.members { #expect(member.submit(word + member.id)?.status == 202) }
            for member in cluster.members { #expect(try member.messages().allSatisfy { $0.id.hasPrefix(word) }) }
        }
    }
}
