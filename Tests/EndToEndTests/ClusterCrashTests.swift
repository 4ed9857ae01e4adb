import Foundation
import Primitives
import Testing
import Text

/// kill -9, and nodes that come back: what was acknowledged is there once, on every node.
struct ClusterCrashTests {
    @Test func `kill -9 of each node in turn, the leader first, loses no acknowledged message and keeps none twice`() async throws {
        let cluster = try await RunningCluster.started()
        let stream = MessageStream(to: cluster.members, type: "held")
        #expect(try await stream.goesOn())
        let first = try await cluster.leader()
        for victim in [first] + cluster.others(first) {
            let rest = cluster.others(victim)
            let term = victim.status["term"]?.int ?? 0
            let wasLeader = victim.role == "leader"
            victim.crash()
            // Nobody has to come back for the others to go on.
            #expect(try await stream.goesOn(), "without \(victim.id)")
            let leader = try await cluster.leader(of: rest)
            if wasLeader { #expect(leader.status["term"]?.int ?? 0 > term) }
            let index = leader.applied
            try victim.start()
            #expect(try await holds { victim.applied >= index }, "\(victim.logText)")
            // It had only to be told the end of the log.
            #expect(victim.hasEvent("node.started") && !victim.hasEvent("raft.snapshot_installed"))
            #expect(try await stream.goesOn(), "with \(victim.id)")
        }
        let (acknowledged, wrong) = await stream.finish()
        #expect(wrong.isEmpty, "\(wrong)")
        #expect(acknowledged.count > 150)
        try await check(cluster, acknowledged)
    }

    private func check(_ cluster: RunningCluster, _ acknowledged: [(id: String, runs: [String])]) async throws {
        #expect(try await cluster.agree())
        let runs = Dictionary(uniqueKeysWithValues: acknowledged.map { ($0.id, $0.runs) })
        #expect(runs.values.allSatisfy { $0.count == 1 } && Set(runs.values).count == runs.count)
        for member in cluster.members {
            let kept = try member.messages()
            #expect(kept.count == runs.count, "\(member.id)")
            // The run that was named is the one there is, also where an acknowledgement was lost and the message came again.
            #expect(Dictionary(kept) { first, _ in first + ["twice"] } == runs, "\(member.id)")
            let status = member.read("/api/v1/cluster/status")
            #expect(status.at("messages", "accepted") == Value(runs.count), "\(member.id)")
            #expect(status.at("runs", "open") == Value(runs.count), "\(member.id)")
        }
        // Each again, through one node after the other.
        for (turn, start) in stride(from: 0, to: acknowledged.count, by: 500).enumerated() {
            let some = acknowledged[start..<min(start + 500, acknowledged.count)]
            let answers = cluster.members[turn % 3].submit(lines: some.map { ["id": .string($0.id), "type": "held", "data": 0] })
            try #require(answers.count == some.count)
            for (sent, answer) in zip(some, answers) {
                #expect(answer["duplicate"] == true, "\(sent.id): \(answer)")
                #expect(answer["runs"]?.list?.compactMap(\.string) == sent.runs, "\(sent.id)")
            }
        }
        #expect(cluster.members[0].read("/api/v1/cluster/status?consistency=leader").at("runs", "open") == Value(runs.count))
    }

    @Test func `a node whose log is compacted elsewhere comes back by the leader's snapshot, equal in everything`() async throws {
        let cluster = try await RunningCluster.started(["--set", "raft.snapshot_bytes=1MiB"])
        let leader = try await cluster.leader()
        let (late, other) = (cluster.others(leader)[0], cluster.others(leader)[1])
        for number in 0..<5 { #expect(leader.submit("early-\(number)", "held")?.status == 202) }
        #expect(try await cluster.agree())
        late.crash()
        let last = try #require(leader.status["lastIndex"]?.int)
        for number in 0..<5 { #expect(leader.submit("late-\(number)", "held")?.status == 202) }
        let more: Value = .list(pair("later", ["use": "wait@1", "with": ["duration": "1h"]]))
        #expect(leader.ask("POST", "/api/v1/workflows", more)?.value["catalogVersion"] == 2)
        try await leader.outgrow(last)
        try late.start()
        #expect(try await holds { late.hasEvent("raft.snapshot_installed") }, "\(late.events)")
        #expect(try await cluster.agree())
        func state(_ member: ClusterMember) -> [Value?] {
            let status = member.read("/api/v1/cluster/status?consistency=linearizable")
            return [status["catalogVersion"], status["appliedIndex"], status.at("runs", "open"), status.at("messages", "accepted")]
        }
        #expect(state(late) == state(leader) && state(other) == state(leader), "\(state(late)) \(state(leader))")
        #expect(leader.hasEvent("raft.snapshot_sent", "sends \(late.id) the snapshot"))
        let open = leader.read("/api/v1/runs?state=running&limit=1000").items
        #expect(open.count == 10)
        #expect(late.read("/api/v1/runs?state=running&limit=1000").items == open)
        // It can lead from what it was given: it knows what came while it was away, and what is open.
        try await cluster.lead(late)
        #expect(late.submit("late-0", "held")?.value["duplicate"] == true)
        #expect(late.submit("big-0-0")?.value["duplicate"] == true)
        let run = try #require(open.first?["id"]?.string)
        #expect(other.ask("POST", "/api/v1/runs/\(run):cancel", ["reason": "enough"])?.status == 200)
        #expect(leader.read("/api/v1/runs/\(run)?consistency=linearizable")["state"] == "cancelled")
        #expect(late.submit("new", "later")?.value["matched"] == ["later/start"])
        // And it starts again from what it was given.
        late.crash()
        try late.start()
        #expect(try await cluster.agree())
        #expect(late.read("/api/v1/cluster/status").at("runs", "open") == 10)
    }
}
