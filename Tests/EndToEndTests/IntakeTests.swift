import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Messages into every coordinator at once, whatever becomes of the leader; and more of them than are taken.
struct IntakeTests {
    /// Every id that was acknowledged has one run, on every node, and there is no other.
    private func check(_ cluster: RunningCluster, _ streams: [MessageStream]) async throws {
        _ = try await cluster.leader()
        var acknowledged: [String: String] = [:]
        for stream in streams {
            #expect(try await stream.goesOn())
            let (found, wrong) = await stream.finish()
            #expect(wrong.isEmpty, "\(wrong)")
            for item in found {
                #expect(item.runs.count == 1, "\(item.id): \(item.runs)")
                #expect(acknowledged.updateValue(item.runs.first ?? "", forKey: item.id) == nil, "\(item.id) twice")
            }
        }
        #expect(acknowledged.count > 0 && Set(acknowledged.values).count == acknowledged.count, "no run is of two messages")
        #expect(try await cluster.agree())
        for member in cluster.members {
            let kept = try member.messages()
            #expect(kept.count == Set(kept.map(\.id)).count)
            let wrong = kept.filter { acknowledged[$0.id] != $0.runs.first || $0.runs.count != 1 }
            #expect(wrong.isEmpty, "\(member.id): \(wrong.prefix(3))")
            #expect(kept.count == acknowledged.count, "\(member.id): \(kept.count) of \(acknowledged.count)")
        }
    }

    /// One stream for each node, so that each of them takes messages all the while.
    private func streams(_ cluster: RunningCluster) -> [MessageStream] {
        cluster.members.map { member in
            MessageStream(to: [member] + cluster.others(member), senders: 3, type: "held", prefix: "\(member.id)-")
        }
    }

    @Test func `each acknowledged message has one run while the leader is killed and comes back, twice`() async throws {
        let cluster = try await RunningCluster.started()
        let streams = streams(cluster)
        for _ in 0..<2 {
            for stream in streams { #expect(try await stream.goesOn()) }
            let leader = try await cluster.leader()
            leader.crash()
            _ = try await cluster.leader(of: cluster.others(leader))
            for stream in streams { #expect(try await stream.goesOn(), "without \(leader.id)") }
            try leader.start()
            _ = try await cluster.leader()
        }
        try await check(cluster, streams)
    }

    @Test func `each acknowledged message has one run while the leader is frozen and thaws`() async throws {
        let cluster = try await RunningCluster.started()
        let streams = streams(cluster)
        for stream in streams { #expect(try await stream.goesOn()) }
        let leader = try await cluster.leader()
        leader.send(SIGSTOP)
        _ = try await cluster.leader(of: cluster.others(leader))
        for stream in streams { #expect(try await stream.goesOn(), "without \(leader.id)") }
        leader.send(SIGCONT)
        #expect(try await holds { leader.role == "follower" })
        try await check(cluster, streams)
    }

    /// Each once, many at a time; the answers.
    private func post(_ ids: [String], to member: ClusterMember, type: String) async throws -> [(id: String, answer: NodeClient.Answer)] {
        let client = NodeClient(url: member.url, timeout: .seconds(90))
        return try await withThrowingTaskGroup(of: (String, NodeClient.Answer).self) { group in
            for id in ids {
                let body = JSONWriter.bytes(["id": .string(id), "type": .string(type), "data": 1])
                group.addTask { (id, try await client.send("POST", "/api/v1/messages", [("timeout", "60s")], body: body)) }
            }
            var found: [(id: String, answer: NodeClient.Answer)] = []
            for try await (id, answer) in group { found.append((id: id, answer: answer)) }
            return found
        }
    }

    @Test func `a follower takes messages that its leader does not live to answer, and the next leader has them`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        let follower = cluster.others(leader)[0]
        leader.send(SIGSTOP)
        // None of them is sent again: whoever took it goes through the election with it.
        let found = try await post((0..<40).map { "in-the-middle-\($0)" }, to: follower, type: "held")
        let next = try await cluster.leader(of: cluster.others(leader))
        leader.send(SIGCONT)
        _ = try await cluster.leader()
        // Those that came while it was known that nobody leads were told so, and nothing was kept of them.
        for (id, answer) in found where answer.status != 202 {
            #expect(answer.status == 503 && answer.value["code"] == "no_leader", "\(id): \(answer.status) \(answer.value)")
        }
        let taken = found.filter { $0.answer.status == 202 }
        #expect(taken.count >= 1, "\(found.map(\.answer.status))")
        #expect(taken.allSatisfy { $0.answer.value["duplicate"] == false })
        #expect(try await cluster.agree())
        let kept = try next.messages()
        #expect(Set(kept.map(\.id)) == Set(taken.map(\.id)))
        #expect(kept.count == taken.count)
        // Where it became the leader itself, it has put them into the log itself.
        #expect(next === follower || follower.hasEvent("intake.resent"))
    }

    @Test func `more messages than are taken at once are refused, and what is taken is kept`() async throws {
        let cluster = try await RunningCluster.started(["--set", "intake.max_waiting=4"])
        let leader = try await cluster.leader()
        let follower = cluster.others(leader)[0]
        // What is in stays in until there is another leader.
        leader.send(SIGSTOP)
        let found = try await post((0..<32).map { "many-\($0)" }, to: follower, type: "kept")
        leader.send(SIGCONT)
        _ = try await cluster.leader()
        let taken = Set(found.filter { $0.answer.status == 202 }.map(\.id))
        let refused = found.filter { $0.answer.status != 202 }.map(\.answer)
        #expect(
            refused.allSatisfy { $0.status == 503 && ["busy", "no_leader"].contains($0.value["code"]?.string) }, "\(refused.map(\.value))")
        let shed = refused.filter { $0.value["detail"]?.string?.contains("intake.max_waiting") == true }
        #expect(shed.count >= 1 && taken.count >= 4, "\(taken.count) taken, \(shed.count) refused")
        #expect(try await cluster.agree())
        let kept = try follower.messages().map(\.id)
        #expect(Set(kept) == taken && kept.count == taken.count)
        #expect(follower.hasEvent("intake.shedding"))
        let calm = try #require(follower.submit("calm"))
        #expect(calm.status == 202, "\(calm.body)")
    }

    @Test func `with as many runs open as may be, a message that would begin one is told to come later`() async throws {
        let cluster = try await RunningCluster.started(["--set", "intake.max_open_runs=3"])
        let leader = try await cluster.leader()
        for (turn, member) in cluster.members.enumerated() { #expect(member.submit("held-\(turn)", "held")?.status == 202) }
        #expect(try await cluster.agree())
        for member in cluster.members {
            let refused = try #require(member.submit("more", "held"))
            #expect(refused.status == 429 && refused.value["code"] == "too_many_open_runs", "\(member.id): \(refused.body)")
            #expect(refused.headers["retry-after"] == "5")
            #expect(member.submit("held-0", "held")?.value["duplicate"] == true, "what it has is known")
            #expect(member.submit("seen-\(member.id)")?.status == 202, "what begins nothing is taken")
            let lines = member.submit(lines: [["id": "l-1", "type": "held", "data": 1], ["id": "l-2", "type": "nobody", "data": 1]])
            #expect(lines.map { $0["status"]?.int } == [429, 200], "\(lines)")
            #expect(member.hasEvent("intake.shedding"), "\(member.id)")
            let ready = try #require(member.ask("GET", "/health/ready"))
            let part = ready.value["components"]?.list?.first { $0["name"] == "intake" }
            #expect(ready.status == 200 && part?["status"] == "degraded", "\(ready.body)")
            #expect(part?["reason"]?.string?.contains("messages are refused: ") == true, "\(ready.body)")
        }
        #expect(try leader.messages().count == 6)
    }
}
