import Foundation
import Glibc
import Primitives
import Testing
import Text

/// Nodes that are emptied, frozen clusters, and clusters whose nodes are started again one after the other.
struct DrainTests {
    private func coordinators(_ cluster: RunningCluster) -> [ClusterMember] { cluster.members.filter { $0.id.hasPrefix("c-") } }
    private func urls(_ cluster: RunningCluster) -> String { coordinators(cluster).map(\.url).joined(separator: ",") }

    private func task(_ message: String, _ member: ClusterMember) -> Value {
        let runs = member.read("/api/v1/messages/\(message)")["runs"]?.list ?? []
        guard let run = runs.first.flatMap({ $0.string ?? $0["id"]?.string }) else { return .null }
        return member.read("/api/v1/tasks/\(run).only")
    }

    private func begun(_ message: String, _ cluster: RunningCluster) -> [String] {
        let text = (try? String(contentsOfFile: "\(cluster.folder.path)/\(message)", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    private func node(_ id: String, _ member: ClusterMember) -> Value { member.read("/api/v1/nodes/\(id)") }

    // MARK: Workers

    @Test func `a worker is emptied: what may be done again goes elsewhere at the deadline, and the rest ends where it runs`() async throws
    {
        let (cluster, _) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try #require(leader.submit("again-1", "again", 10)?.status == 202)
        try #require(leader.submit("once-1", "once", 10)?.status == 202)
        #expect(try await holds { begun("again-1", cluster) == ["1"] && begun("once-1", cluster) == ["1"] })
        let refused = try run(Built.distric, ["nodes", "drain", "w-1", "--deadline", "1s", "--connect", urls(cluster)])
        #expect(refused.code == 1 && refused.err.contains("last worker") && refused.err.contains("--force"), "\(refused)")
        let other = cluster.newcomer("w-2", ["--role", "worker", "--join", cluster.seeds, "--slots", "4"])
        try other.start()
        #expect(try await holds { node("w-2", leader)["standing"] == "available" })
        let done = try run(Built.distric, ["nodes", "drain", "w-1", "--deadline", "1s", "--connect", urls(cluster)])
        #expect(done.code == 0 && done.out == "w-1 is empty: 1 ended, 1 given back; it can be stopped\n", "\(done)")
        #expect(try await holds { task("again-1", leader)["state"] == "succeeded" && task("once-1", leader)["state"] == "succeeded" })
        #expect(task("again-1", leader)["worker"] == "w-2" && begun("once-1", cluster) == ["1"])
        #expect(try await holds { leader.hasEvent("node.drained", "w-1") })
        #expect(node("w-1", leader)["standing"] == "drained" && node("w-1", leader)["running"] == 0)
        try #require(leader.submit("again-2", "again", 0)?.status == 202)
        #expect(try await holds { task("again-2", leader)["worker"] == "w-2" })
        let lifted = try run(Built.distric, ["nodes", "uncordon", "w-1", "--connect", urls(cluster)])
        #expect(lifted.code == 0 && node("w-1", leader)["standing"] == "available", "\(lifted)")
    }

    @Test func `a drain goes on whoever leads, and one whose worker goes away says so`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(2)
        let leader = try await cluster.leader(of: coordinators(cluster))
        for id in (1...4).map({ "once-\($0)" }) { try #require(leader.submit(id, "once", 30)?.status == 202) }
        #expect(try await holds { (node("w-1", leader)["running"]?.int ?? 0) > 0 })
        let begun = try run(Built.distric, ["nodes", "drain", "w-1", "--deadline", "10m", "--no-wait", "--connect", urls(cluster)])
        #expect(begun.code == 0, "\(begun)")
        #expect(try await holds { node("w-1", leader)["standing"] == "draining" })
        leader.crash()
        let next = try await cluster.leader(of: coordinators(cluster).filter { $0 !== leader })
        #expect(try await holds { node("w-1", next)["standing"] == "draining" }, "\(node("w-1", next))")
        #expect((node("w-1", next).at("drain", "leftMs")?.int ?? 0) > 500_000)
        workers[0].crash()
        #expect(try await holds { node("w-1", next)["state"] == "lost" })
        let gone = try run(Built.distric, ["nodes", "drain", "w-1", "--connect", next.url])
        #expect(gone.code == 1 && gone.err.contains("not with the leader"), "\(gone)")
    }

    // MARK: The cluster

    @Test func `what is frozen stays so when another one leads`() async throws {
        let (cluster, _) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        let rest = coordinators(cluster).filter { $0 !== leader }
        for part in ["intake", "dispatch"] {
            let frozen = try run(Built.distric, ["cluster", "freeze", part, "--reason", "moving", "--connect", urls(cluster)])
            #expect(frozen.code == 0 && frozen.out == "\(part) is frozen\n", "\(frozen)")
        }
        leader.crash()
        let next = try await cluster.leader(of: rest)
        let refused = try #require(next.submit("m-1", "again", 0))
        #expect(refused.status == 503 && refused.value["code"] == "intake_frozen", "\(refused.body)")
        #expect(
            try await holds {
                next.read("/health/ready")["components"]?.list?.contains { $0["name"] == "freeze" && $0["status"] == "degraded" } == true
            })
        #expect(try run(Built.distric, ["cluster", "thaw", "intake", "--connect", urls(cluster)]).out == "intake goes on\n")
        #expect(next.submit("m-1", "again", 0)?.status == 202)
        #expect(try await holds { task("m-1", next).at("blocked", "reason") == "dispatch_frozen" }, "\(task("m-1", next))")
        #expect(try run(Built.distric, ["cluster", "thaw", "dispatch", "--connect", urls(cluster)]).code == 0)
        #expect(try await holds { task("m-1", next)["state"] == "succeeded" })
    }

    @Test func `a coordinator that is to be empty does not go on leading when it is elected again`() async throws {
        let cluster = try await RunningCluster.started()
        let drained = try await cluster.leader()
        // Somebody else takes what comes, once they are all there.
        #expect(try await holds { drained.read("/api/v1/nodes").items.filter { $0["standing"] == "available" }.count == 3 })
        let done = try drained.distric("nodes", "drain", drained.id)
        #expect(done.code == 0, "\(done)")
        let next = try await cluster.leader()
        try #require(next !== drained)
        let back = try next.distric("raft", "transfer", "--to", drained.id)
        #expect(back.code == 0, "\(back)")
        let isGiven = try await holds { cluster.others(drained).contains { $0.role == "leader" } }
        #expect(isGiven, "\(drained.status)")
        #expect(try await cluster.leader() !== drained)
        // Its worker has to find the new leader first.
        #expect(try await holds { try drained.distric("nodes", "uncordon", drained.id).code == 0 })
        try await cluster.lead(drained)
        // Longer than the look at which it would hand over.
        try await Task.sleep(for: .seconds(2))
        #expect(try await cluster.leader() === drained)
    }

    @Test func `a coordinator leaves, also the one that leads, and none that could not be done without`() async throws {
        let (cluster, _) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        let rest = coordinators(cluster).filter { $0 !== leader }
        let left = try run(Built.distric, ["cluster", "leave", leader.id, "--yes", "--connect", urls(cluster)])
        #expect(left.code == 0 && left.out.contains("is no member any more"), "\(left)")
        let next = try await cluster.leader(of: rest)
        #expect(try await holds { Set(next.voters) == Set(rest.map(\.id)) })
        let other = try #require(rest.first { $0 !== next })
        other.crash()
        // Until the leader misses it.
        try await Task.sleep(for: .seconds(2))
        let refused = try run(Built.distric, ["cluster", "leave", next.id, "--yes", "--connect", next.url])
        #expect(refused.code != 0 && !refused.err.isEmpty, "\(refused)")
        #expect(Set(next.voters) == Set(rest.map(\.id)))
    }

    @Test func `a node that is told twice to stop stops now`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try #require(leader.submit("once-1", "once", 60)?.status == 202)
        #expect(try await holds { begun("once-1", cluster) == ["1"] })
        workers[0].send(SIGTERM)
        #expect(try await holds { node("w-1", leader)["cordoned"] == true })
        // What comes together with the first is no second request.
        try await Task.sleep(for: .milliseconds(300))
        #expect(workers[0].isRunning)
        workers[0].send(SIGTERM)
        #expect(try await workers[0].ended() == 130)
    }

    @Test func `a supervisor that tells the process and its group has asked once`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(1)
        let leader = try await cluster.leader(of: coordinators(cluster))
        try #require(leader.submit("once-1", "once", 1)?.status == 202)
        #expect(try await holds { begun("once-1", cluster) == ["1"] })
        // Two kinds, as the kernel makes one of two that are alike.
        workers[0].send(SIGTERM)
        workers[0].send(SIGINT)
        #expect(try await workers[0].ended() == 0, "\(workers[0].lastWords)")
        #expect(try await holds { task("once-1", leader)["state"] == "succeeded" })
    }

    // MARK: Rolling restart

    @Test func `every node is started again under messages: none is refused, nothing fails, and nothing is done twice`() async throws {
        let (cluster, workers) = try await RunningCluster.withWorkers(2)
        let count = 400
        let lines = (1...count).map { #"{"id":"m-\#($0)","type":"once","data":0.05}"# }.joined(separator: "\n")
        let file = "\(cluster.folder.path)/messages.ndjson"
        try lines.write(toFile: file, atomically: true, encoding: .utf8)
        let client = Process()
        let (out, err) = (Pipe(), Pipe())
        client.executableURL = URL(filePath: Built.distric)
        client.arguments = ["messages", "submit", file, "--rate", "20", "--timeout", "3m", "--connect", urls(cluster)]
        (client.standardOutput, client.standardError, client.standardInput) = (out, err, FileHandle.nullDevice)
        try client.run()
        defer { if client.isRunning { client.terminate() } }
        for member in coordinators(cluster) + workers {
            #expect(member.stop() == 0, "\(member.id): \(member.lastWords)")
            try member.start()
            #expect(try await holds { member.isReady }, "\(member.id): \(member.health)")
        }
        client.waitUntilExit()
        let said = String(decoding: err.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let told = String(decoding: out.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(client.terminationStatus == 0, "\(told) \(said)")
        // One whose answer was lost is sent again, and known as the same.
        #expect((told + said).contains(" 0 refused"), "\(told) \(said)")
        let leader = try await cluster.leader(of: coordinators(cluster))
        #expect(
            try await holds { leader.read("/api/v1/cluster/status").at("runs", "open") == 0 },
            "\(leader.read("/api/v1/cluster/status").at("runs") ?? .null)")
        let wrong = (1...count).map { "m-\($0)" }.filter { begun($0, cluster).count != 1 }
        #expect(wrong.isEmpty, "begun more or less than once: \(wrong)")
        let failed = leader.read("/api/v1/runs?filter=state!=succeeded&window=0:100").items
        #expect(failed.isEmpty, "\(failed.prefix(3))")
    }
}
