import Foundation
import Glibc
import Primitives
import Testing
import Text

/// From nodes that know nobody to one cluster of them, and what is refused on the way.
struct ClusterFormingTests {
    private func clusterID(_ member: ClusterMember) -> String? { member.read("/api/v1/cluster/status")["clusterId"]?.string }

    @Test func `three nodes wait for each other, begin one cluster, and have it again when all of them were down`() async throws {
        let cluster = try RunningCluster()
        let (one, two, three) = (cluster.members[0], cluster.members[1], cluster.members[2])
        try one.start()
        #expect(try await holds { one.health.hasPrefix("cluster: waiting for 3 coordinators, know 1: c-1") }, "\(one.logText)")
        #expect(one.ask("GET", "/health/live")?.status == 200 && !one.isReady)
        // Nothing else is there before there is a cluster, and nobody is led to think so.
        #expect(one.submit("early")?.status == 503)
        try two.start()
        #expect(try await holds { [one, two].allSatisfy { $0.health == "cluster: waiting for 3 coordinators, know 2: c-1, c-2" } })
        #expect(!one.isReady && !two.isReady)
        try three.start()
        let leader = try await cluster.leader()
        // From the first time on that it says so, a node knows who leads.
        for member in cluster.members {
            #expect(try await holds { member.isReady }, "\(member.id): \(member.health)")
            #expect(member.status["leader"]?.string == leader.id)
            #expect(member.voters == ["c-1", "c-2", "c-3"])
        }
        let id = try #require(clusterID(one))
        #expect(cluster.members.allSatisfy { clusterID($0) == id })
        #expect(leader.ask("POST", "/api/v1/workflows", RunningCluster.kept)?.status == 200)
        let run = try #require(leader.submit("first", "held")?.value["runs"]?.list?.first?.string)
        #expect(leader.submit("second")?.status == 202)
        // Half of them by the book, the leader without a warning.
        for member in cluster.others(leader) { #expect(member.stop() == 0) }
        leader.crash()
        for member in cluster.members { try member.start() }
        let next = try await cluster.leader()
        for member in cluster.members {
            #expect(clusterID(member) == id)
            #expect(Set(try member.messages().map(\.id)) == ["first", "second"])
            #expect(member.read("/api/v1/runs/\(run)?consistency=linearizable")["state"]?.string == "running")
        }
        #expect(next.submit("first", "held")?.value["duplicate"] == true)
        #expect(cluster.members.allSatisfy { !$0.logText.contains("Fatal error") && !$0.logText.contains("crashed") })
    }

    @Test func `coordinators that expect different numbers begin nothing`() async throws {
        let cluster = try RunningCluster()
        let (one, other) = (cluster.members[0], cluster.members[1])
        try one.start()
        #expect(try await holds { one.health.contains("know 1") })
        other.arguments[1] = "5"
        try other.start()
        #expect(try await other.ended() == 78)
        #expect(other.lastWords.contains("this node expects 5 coordinators, and 'c-1' at \(one.rpc) expects 3"), "\(other.lastWords)")
        #expect(other.lastWords.contains("the same --bootstrap-expect"), "\(other.lastWords)")
        for member in [one, other] { #expect(!FileManager.default.fileExists(atPath: member.data + "/founding")) }
    }

    @Test func `a second node under an id that waits already is told so, and the first waits on`() async throws {
        let cluster = try RunningCluster()
        let one = cluster.members[0]
        try one.start()
        #expect(try await holds { one.health.contains("know 1") })
        let twin = cluster.newcomer("c-1", Array(one.arguments.prefix(4)))
        try twin.start()
        #expect(try await twin.ended() == 78)
        #expect(
            twin.lastWords.contains("this node has the id 'c-1' itself: give the other one an id of its own (--id)"), "\(twin.lastWords)")
        #expect(one.process.isRunning && one.health.contains("know 1"))
    }

    @Test func `a node that nobody answers says for whom it waits, ends when it is told to, and joins later`() async throws {
        let cluster = try RunningCluster()
        let early = cluster.newcomer("c-4", ["--join", cluster.members[0].rpc])
        try early.start()
        let reason = "cluster: waiting for a node of a cluster to answer at \(cluster.members[0].rpc)"
        #expect(try await holds { early.health == reason }, "\(early.health)")
        #expect(early.ask("GET", "/health/ready")?.status == 503)
        #expect(early.stop() == 0)
        #expect(!FileManager.default.fileExists(atPath: early.data + "/identity"))
        // Its folder is as good as new.
        try early.start()
        #expect(try await holds { early.health == reason }, "\(early.health)")
        for member in cluster.members.prefix(3) { try member.start() }
        let leader = try await cluster.leader(of: Array(cluster.members.prefix(3)))
        #expect(try await holds { leader.voters == ["c-1", "c-2", "c-3", "c-4"] }, "\(leader.status)")
    }

    private static let refused: [(words: [String], code: Int32, says: String)] = [
        (
            ["--bootstrap-expect", "3"], 78,
            "cluster.bootstrap_expect = 3 without cluster.join: name the addresses for calls of all of them"
        ),
        (["--role", "worker", "--bootstrap-expect", "3", "--join", "127.0.0.1:1"], 78, "node.role"),
        (
            ["--rpc", "none", "--bootstrap-expect", "3", "--join", "127.0.0.1:1"], 78,
            "rpc.address is none: nodes of a cluster need one that the others reach"
        ),
        (["--rpc", "none", "--join", "127.0.0.1:1"], 78, "rpc.address is none: nodes of a cluster need one that the others reach"),
        (["--bootstrap-expect", "10", "--join", "127.0.0.1:1"], 78, "expected a whole number from 0 to 9"),
        (["--bootstrap-expect=-1", "--join", "127.0.0.1:1"], 78, "expected a whole number from 0 to 9"),
        (["--bootstrap-expect", "many", "--join", "127.0.0.1:1"], 78, "expected a whole number from 0 to 9"),
        (["--join", "here:there:1"], 78, "cluster.join = 'here:there:1': expected host:port"),
        (["--bootstrap-expect", "3", "--join", "127.0.0.1:99999"], 78, "cluster.join = '127.0.0.1:99999': expected host:port"),
    ]

    @Test(arguments: 0..<refused.count) func `flags that contradict each other are refused, with what to write`(_ place: Int) throws {
        let (words, code, says) = Self.refused[place]
        let folder = try TemporaryFolder()
        let place = ["--id", "c-1", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"]
        let finished = try run(Built.distric, ["node"] + place + words)
        #expect(finished.code == code, "\(words): \(finished.err)")
        #expect(finished.err.contains(says), "\(words): \(finished.err)")
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/data/identity"))
    }
}
