import Foundation
import Glibc
import Primitives
import Testing
import Text

/// Who is there, as real processes tell each other: one seed is enough for a worker, who dies is seen, and the log's members stay what the log says.
struct ClusterGossipTests {
    private func states(_ member: ClusterMember) -> [String: String] {
        Dictionary(
            member.read("/api/v1/gossip/members").items.compactMap { row in row["id"]?.string.map { ($0, row["state"]?.string ?? "") } }
        ) { $1 }
    }

    private static let all = ["c-1": "alive", "c-2": "alive", "c-3": "alive", "w-1": "alive"]

    private func stage(_ arguments: [String] = []) async throws -> (cluster: RunningCluster, coordinators: [ClusterMember]) {
        let cluster = try RunningCluster()
        for member in cluster.members {
            member.arguments += ["--role", "coordinator", "--gossip", "127.0.0.1:0"] + arguments
            try member.start()
        }
        _ = try await cluster.leader()
        return (cluster, cluster.members)
    }

    private func worker(_ cluster: RunningCluster, seed: String, _ more: [String] = []) throws -> ClusterMember {
        cluster.newcomer("w-1", more + ["--role", "worker", "--gossip", "127.0.0.1:0", "--join", seed])
    }

    @Test func `a worker that knows one seed finds all; killed, it is dead to all, and so is a voter, which stays one (G14)`() async throws
    {
        let (cluster, coordinators) = try await stage()
        let leader = try await cluster.leader()
        let follower = try #require(coordinators.first { $0 !== leader })
        let worker = try worker(cluster, seed: follower.rpc)
        try worker.start()
        #expect(try await holds { worker.isReady }, "\(worker.health)")
        #expect(try await holds { coordinators.allSatisfy { states($0) == Self.all } }, "\(coordinators.map { states($0) })")
        let row = leader.read("/api/v1/gossip/members").items.first { $0["id"] == "w-1" }
        #expect(row?["role"] == "worker" && row?["address"]?.string == worker.rpc && row?["http"]?.string == worker.url, "\(row ?? .null)")

        // The seed goes; the worker is started anew with it alone, and comes to the leader by what gossip told it before.
        follower.crash()
        worker.crash()
        try worker.start()
        let rest = coordinators.filter { $0 !== follower }
        #expect(try await holds { worker.isReady }, "\(worker.health)")
        #expect(try await holds { rest.allSatisfy { states($0)["w-1"] == "alive" && states($0)[follower.id] == "dead" } })
        let status = leader.read("/api/v1/raft/status")
        #expect(status["voters"] == ["c-1", "c-2", "c-3"], "gossip takes nobody's vote away: \(status)")

        worker.crash()
        #expect(try await holds { rest.allSatisfy { states($0)["w-1"] == "dead" } }, "\(rest.map { states($0) })")
        #expect(try await holds { rest.contains { $0.hasEvent("gossip.failed", "w-1") } })
        let shown = try leader.distric("gossip", "members", "-o", "tsv")
        #expect(shown.code == 0 && shown.out.split(separator: "\n").contains { $0.hasPrefix("w-1\tdead") }, "\(shown.out)\(shown.err)")
        #expect(leader.read("/api/v1/gossip").at("members", "dead") == 2)
        try follower.start()
        #expect(try await holds { rest.allSatisfy { states($0)[follower.id] == "alive" } })
    }

    @Test func `whoever is told to stop says that it leaves, and is no death`() async throws {
        let (cluster, coordinators) = try await stage()
        let worker = try worker(cluster, seed: cluster.seeds)
        try worker.start()
        #expect(try await holds { coordinators.allSatisfy { states($0) == Self.all } })
        #expect(worker.stop() == 0)
        #expect(try await holds { coordinators.allSatisfy { states($0)["w-1"] == "left" } })
        #expect(!coordinators.contains { $0.hasEvent("gossip.failed", "w-1") })
    }

    @Test func `with a key: who has it takes part, who has another does not, and keys are changed by SIGHUP`() async throws {
        let keys = try TemporaryFolder()
        func write(_ name: String, _ lines: [String]) throws -> String {
            let path = "\(keys.path)/\(name)"
            try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }
        let (first, second) = ("1 " + String(repeating: "0a", count: 32), "2 " + String(repeating: "0b", count: 32))
        let path = try write("right", [first + "  # the only one"])
        let (cluster, coordinators) = try await stage(["--set", "gossip.key_file=\(path)"])
        #expect(try await holds { coordinators.allSatisfy { states($0).count == 3 } })
        #expect(coordinators[0].read("/api/v1/gossip")["sealed"] == true)
        let stranger = try worker(cluster, seed: cluster.seeds, ["--set", "gossip.key_file=\(try write("wrong", [second]))"])
        try stranger.start()
        #expect(
            try await holds { stranger.ask("GET", "/metrics")?.body.contains("distric_gossip_dropped_total{reason=\"key\"}") == true })
        #expect(try await holds { stranger.ask("GET", "/health/ready")?.body.contains("nobody gossips with this node") == true })
        #expect(coordinators.allSatisfy { $0.ask("GET", "/health/ready")?.body.contains("nobody gossips") == false })
        #expect(coordinators.allSatisfy { states($0)["w-1"] == nil })
        for lines in [[first, second], [second, first], [second]] {
            _ = try write("right", lines)
            for member in coordinators { member.send(SIGHUP) }
            let wanted = lines.count
            #expect(
                try await holds {
                    coordinators.allSatisfy { member in member.events.count { $0["kind"] == "gossip.keys_reloaded" } >= 1 } && wanted > 0
                })
            try await Task.sleep(for: .milliseconds(300))
        }
        #expect(try await holds { coordinators.allSatisfy { states($0)["w-1"] == "alive" } }, "its key is everybody's now")
    }

    @Test(
        arguments: [
            (["--gossip", "0.0.0.0:7946"], "gossip.advertise"), (["--gossip", "nonsense"], "expected host:port"),
            (["--gossip", "0.0.0.0:0", "--set", "gossip.advertise=10.0.0.1:0"], "gossip.key_file"),
            (["--set", "gossip.key_file=/nonexistent"], "cannot read /nonexistent"),
            (["--set", "gossip.key_file=/etc/hostname"], "64 hexadecimal digits"),
        ]) func `what cannot be meant exits 78 and says what to do`(_ words: [String], _ remedy: String) throws
    {
        let folder = try TemporaryFolder()
        let finished = try run(
            Built.distric, ["node", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"] + words)
        #expect(finished.code == 78, "\(finished.err)")
        #expect(finished.err.contains(remedy), "\(finished.err)")
    }

    @Test func `a chosen port that is taken exits 69 and says what to do; the usual one that is taken is another`() async throws {
        let (cluster, coordinators) = try await stage()
        let taken = try #require(coordinators[0].read("/api/v1/gossip")["address"]?.string)
        let folder = try TemporaryFolder()
        let finished = try run(
            Built.distric,
            ["node", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0", "--gossip", taken])
        #expect(finished.code == 69 && finished.err.contains("choose another --gossip address"), "\(finished.err)")
        _ = cluster
    }
}
