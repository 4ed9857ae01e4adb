import Foundation
import Primitives
import Testing
import Text

/// Coordinators whose folders are damaged, were put back from an older copy, or run twice: what was acknowledged stays (Decisions/RolledBackFolders).
struct ClusterDamageTests {
    private struct NotCopied: Error { let text: String }

    /// Also of a node that runs, whose sockets are in it.
    private func copy(_ from: String, to path: String) throws {
        let finished = try run("/bin/cp", ["-a", from, path])
        guard finished.code == 0 else { throw NotCopied(text: finished.err) }
    }

    private func names(_ folder: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }

    /// Three of which one has taken a few messages, and a follower that is down since.
    private func stopped(_ messages: ClosedRange<Int> = 1...20) async throws -> (RunningCluster, ClusterMember, ClusterMember) {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        for number in messages { #expect(leader.submit("m-\(number)")?.status == 202) }
        #expect(try await cluster.agree())
        let follower = cluster.others(leader)[0]
        // It has written down what it knew to be committed.
        let committed = try #require(leader.status["commitIndex"]?.int)
        #expect(
            try await holds {
                (try? String(contentsOfFile: follower.data + "/raft/committed", encoding: .utf8))?.contains("index \(committed)\n") ?? false
            })
        return (cluster, leader, follower)
    }

    private func comesBack(_ member: ClusterMember, _ cluster: RunningCluster, _ count: Int) async throws {
        #expect(try await holds { member.hasEvent("raft.trusted") }, "\(member.logText)")
        #expect(try await cluster.agree())
        #expect(try member.messages().count == count)
        #expect(try await holds { member.isReady }, "\(member.health)")
        #expect(!FileManager.default.fileExists(atPath: member.data + "/raft/recovering"))
    }

    @Test func `a folder that was put back from an older copy is found out, and nothing acknowledged is lost`() async throws {
        let (cluster, leader, follower) = try await stopped()
        #expect(follower.stop() == 0)
        try copy(follower.data, to: follower.data + ".copy")
        try follower.start()
        for number in 21...60 { #expect(leader.submit("m-\(number)")?.status == 202) }
        #expect(try await cluster.agree())
        // What it has applied it may not have acknowledged yet.
        #expect(
            try await holds {
                let peer = leader.read("/api/v1/raft/peers").items.first { $0["id"]?.string == follower.id }
                return peer?["matchIndex"] == leader.status["lastIndex"]
            })
        #expect(follower.stop() == 0)
        try follower.wipe()
        try copy(follower.data + ".copy", to: follower.data)
        let term = leader.status["term"]
        try follower.start()
        try await comesBack(follower, cluster, 60)
        // Another leader would not have known of it.
        try #require(leader.status["term"] == term)
        #expect(follower.hasEvent("raft.rolled_back", "the data folder is an older copy"))
        #expect(leader.hasEvent("raft.peer_recovering"))
    }

    @Test func `a node whose snapshot is damaged, or whose raft folder is gone, has everything from the others again`() async throws {
        let (cluster, leader, follower) = try await stopped()
        let asked = try follower.distric("raft", "snapshot", "-o", "json")
        #expect(asked.code == 0, "\(asked.err)")
        let folder = follower.data + "/raft/snapshots"
        #expect(try await holds { names(folder).contains { $0.hasSuffix(".manifest") } })
        follower.crash()
        let state = try #require(names(folder).first { $0.hasSuffix(".state") })
        try Data([1, 2, 3]).write(to: URL(filePath: folder + "/" + state))
        try follower.start()
        try await comesBack(follower, cluster, 20)
        #expect(follower.hasEvent("raft.recovering", "\(state) is damaged"))
        #expect(names(folder).contains(state + ".damaged"))
        follower.crash()
        try FileManager.default.removeItem(atPath: follower.data + "/raft")
        try follower.start()
        try await comesBack(follower, cluster, 20)
        #expect(follower.hasEvent("raft.recovering", "no file of it is there"))
        #expect(leader.submit("after")?.status == 202)
    }

    @Test func `a node that starts without the others answers from what it had applied`() async throws {
        let (cluster, _, follower) = try await stopped()
        let (applied, kept) = (follower.applied, try #require(follower.read("/api/v1/messages?limit=100").items.count as Int?))
        for member in cluster.members { member.crash() }
        try follower.start()
        #expect(try await holds { follower.applied >= applied }, "\(follower.status)")
        #expect(follower.read("/api/v1/messages?limit=100&consistency=stale").items.count == kept)
        #expect(follower.read("/api/v1/cluster/status?consistency=stale").at("messages", "accepted") == Value(kept))
        #expect(!follower.isReady)
    }

    @Test func `a copy beside the node that runs is refused, with both addresses, and the cluster goes on`() async throws {
        let (cluster, leader, follower) = try await stopped()
        let term = leader.status["term"]
        let twin = cluster.newcomer(follower.id)
        try copy(follower.data, to: twin.data)
        try twin.start()
        #expect(
            try await holds {
                twin.health.contains(follower.rpc) && twin.health.contains(twin.rpc) && twin.health.contains("Stop one of them")
            },
            "\(twin.health)")
        #expect(twin.hasEvent("cluster.refused"))
        for number in 1...10 { #expect(leader.submit("beside-\(number)")?.status == 202) }
        #expect(try await holds { follower.applied == leader.applied })
        #expect(leader.status["term"] == term && leader.role == "leader" && follower.isReady)
        twin.crash()
    }

    @Test func `a node that was removed while it was down says so when it is started`() async throws {
        let (cluster, leader, follower) = try await stopped()
        follower.crash()
        let removed = try leader.distric("raft", "remove", follower.id, "--yes")
        #expect(removed.code == 0, "\(removed.err)")
        try follower.start()
        #expect(
            try await holds { follower.health.contains("'\(follower.id)' was removed from the cluster at index ") }, "\(follower.health)")
        #expect(follower.health.contains("distric raft add \(follower.id)"))
        #expect(leader.members.count == 2 && leader.role == "leader" && cluster.members.count == 3)
    }
}
