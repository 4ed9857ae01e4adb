import Foundation
import Glibc
import Primitives
import Testing
import Text

/// Workers that are processes of their own, and coordinators that come and go.
struct ClusterWorkersTests {
    private func coordinators(_ cluster: RunningCluster) -> [ClusterMember] { cluster.members.filter { $0.id.hasPrefix("c-") } }

    /// The one task of the run of a message, as a coordinator has it.
    private func task(_ message: String, _ member: ClusterMember) -> Value {
        let runs = member.read("/api/v1/messages/\(message)")["runs"]?.list ?? []
        guard let run = runs.first.flatMap({ $0.string ?? $0["id"]?.string }) else { return .null }
        return member.read("/api/v1/tasks/\(run).only")
    }

    /// Lines that attempts of a message have written.
    private func begun(_ message: String, _ cluster: RunningCluster) -> [String] {
        let text = (try? String(contentsOfFile: "\(cluster.folder.path)/\(message)", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    private func submit(_ ids: [String], _ type: String, seconds: Double, to member: ClusterMember) throws {
        for id in ids { try #require(member.submit(id, type, .string("\(seconds)"))?.status == 202, "\(id)") }
    }

    // MARK: Tests

    @Test func `tasks run on workers that have no vote, and which say to whoever asks them for more who can answer`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(2)
        let leader = try await cluster.leader(of: coordinators(cluster))
        let follower = try #require(coordinators(cluster).first { $0 !== leader })
        let ids = (1...8).map { "m-\($0)" }
        try submit(ids, "once", seconds: 0.5, to: follower)
        for id in ids {
            #expect(try await holds { task(id, leader)["state"] == "succeeded" }, "\(task(id, leader))")
            #expect(begun(id, cluster) == ["1"])
        }
        let hosts = Set(ids.compactMap { task($0, leader)["worker"]?.string })
        #expect(hosts == ["w-1", "w-2"], "four slots each, and eight tasks")
        #expect(leader.voters == ["c-1", "c-2", "c-3"])
        #expect(leader.members == leader.voters)
        let elsewhere = try #require(workers[0].ask("GET", "/api/v1/runs"))
        #expect(elsewhere.status == 421 && elsewhere.value["code"] == "not_a_coordinator")
        #expect(elsewhere.value["detail"]?.string?.contains("http://127.0.0.1:") == true)
        #expect(workers[0].ask("GET", "/metrics")?.body.contains("\ndistric_worker_attached 1\n") == true)
    }

    @Test func `kill -9 of a worker: what may be done twice is done elsewhere, and the rest is held for somebody to say`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try submit(["again-1"], "again", seconds: 2, to: leader)
        try submit(["once-1"], "once", seconds: 2, to: leader)
        #expect(try await holds { begun("again-1", cluster) == ["1"] && begun("once-1", cluster) == ["1"] })
        let other = cluster.worker("w-9")
        try other.start()
        #expect(try await holds { other.isReady })
        workers[0].crash()
        #expect(try await holds { leader.hasEvent("worker.lost", "w-1") }, "\(leader.events)")
        #expect(try await holds { task("again-1", leader)["state"] == "succeeded" })
        #expect(task("again-1", leader)["worker"] == "w-9" && begun("again-1", cluster) == ["1", "2"])
        #expect(try await holds { task("once-1", leader)["state"] == "unknown" })
        #expect(begun("once-1", cluster) == ["1"], "nobody did it again")
    }

    @Test func `a worker that was killed and comes back soon says itself what became of its attempts`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try submit(["again-1"], "again", seconds: 1, to: leader)
        #expect(try await holds { begun("again-1", cluster) == ["1"] })
        workers[0].crash()
        try workers[0].start()
        #expect(try await holds { task("again-1", leader)["state"] == "succeeded" })
        #expect(begun("again-1", cluster) == ["1", "2"])
        #expect(!leader.hasEvent("worker.lost"), "its lease was not over")
    }

    @Test func `kill -9 of the leader: workers go on, their results reach the next one, and nothing is done twice`() async throws {
        let (cluster, _) = try await RunningCluster.withWorkers(2)
        let leader = try await cluster.leader(of: coordinators(cluster))
        let rest = coordinators(cluster).filter { $0 !== leader }
        let ids = (1...6).map { "m-\($0)" }
        try submit(ids, "once", seconds: 4, to: leader)
        #expect(try await holds { ids.allSatisfy { begun($0, cluster) == ["1"] } })
        leader.crash()
        let next = try await cluster.leader(of: rest)
        for id in ids {
            #expect(try await holds { task(id, next)["state"] == "succeeded" }, "\(id): \(task(id, next))")
            #expect(task(id, next)["attempt"] == 1 && begun(id, cluster) == ["1"])
        }
        #expect(!next.hasEvent("worker.lost"))
    }

    @Test func `what workers in the processes of followers did reaches the leader, and the next one too`() async throws {
        let (cluster, _) = try await RunningCluster.withWorkers(0, roles: "coordinator,worker")
        let leader = try await cluster.leader()
        let isThere = "\ndistric_worker_attached 1\n"
        #expect(try await holds { cluster.members.allSatisfy { $0.ask("GET", "/metrics")?.body.contains(isThere) == true } })
        let ids = (1...6).map { "m-\($0)" }
        try submit(ids, "once", seconds: 4, to: leader)
        #expect(try await holds { ids.allSatisfy { begun($0, cluster) == ["1"] } })
        // What a message has led to is found a moment after it was taken.
        #expect(try await holds { Set(ids.map { task($0, leader)["worker"]?.string }) == ["c-1", "c-2", "c-3"] })
        let own = ids.filter { task($0, leader)["worker"]?.string == leader.id }
        leader.crash()
        let next = try await cluster.leader(of: cluster.others(leader))
        for id in ids where !own.contains(id) {
            #expect(try await holds { task(id, next)["state"] == "succeeded" }, "\(id): \(task(id, next))")
        }
        for id in own { #expect(try await holds { task(id, next)["state"] == "unknown" }, "\(id): \(task(id, next))") }
        #expect(ids.allSatisfy { begun($0, cluster) == ["1"] })
    }

    @Test func `a worker that was stopped for longer than its lease finds its attempts given to others, and its reports refused`()
        async throws
    {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try submit(["once-1"], "once", seconds: 1, to: leader)
        #expect(try await holds { begun("once-1", cluster) == ["1"] })
        workers[0].send(SIGSTOP)
        #expect(try await holds { task("once-1", leader)["state"] == "unknown" })
        workers[0].send(SIGCONT)
        #expect(try await holds { workers[0].isReady && leader.hasEvent("worker.joined", "w-1") })
        #expect(try await holds { workers[0].ask("GET", "/metrics")?.body.contains("distric_worker_reports_waiting 0") == true })
        #expect(task("once-1", leader)["state"] == "unknown", "what it says now is too late")
    }

    @Test func `two workers with one id: the second is refused with what to do`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let second = ClusterMember(
            "w-1", data: "\(cluster.folder.path)/other", http: RunningCluster.freePort(), rpc: RunningCluster.freePort(),
            ["--role", "worker", "--join", cluster.seeds])
        try second.start()
        #expect(
            try await holds { second.health.contains("another data folder") || second.lastWords.contains("data folder") },
            "\(second.health)")
        #expect(workers[0].isReady)
    }

    @Test func `a worker by itself without coordinators to work for is not started`() throws {
        let folder = try TemporaryFolder()
        let finished = try run(
            Built.distric, ["node", "--role", "worker", "--data", folder.path, "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"])
        #expect(finished.code == 78)
        #expect(finished.err.contains("--join host:port"))
    }
}
