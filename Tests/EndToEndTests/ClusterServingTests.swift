import Foundation
import Primitives
import Testing
import Text

/// What a cluster answers, whichever of its nodes is asked: while all are there, and while most are not.
struct ClusterServingTests {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent()

    @Test func `every node takes writes and answers reads, as fresh as they are asked for, whoever leads`() async throws {
        let cluster = try await RunningCluster.started()
        for leader in cluster.members {
            try await cluster.lead(leader)
            for (turn, member) in (cluster.members + cluster.members + cluster.members).enumerated() {
                let id = "\(leader.id)-\(member.id)-\(turn)"
                let written = try #require(member.submit(id))
                #expect(written.status == 202, "\(id): \(written.body)")
                #expect(written.headers["distric-leader"] == leader.id, "\(id)")
                #expect(written.headers["distric-served-by"] == nil, "\(id): who got it has matched it")
                // The next node has it, though it was not asked before.
                let reader = cluster.members[(turn + 1) % 3]
                let read = try #require(reader.ask("GET", "/api/v1/messages/\(id)?consistency=linearizable"))
                #expect(read.status == 200, "\(id): \(read.body)")
                #expect(read.headers["distric-leader"] == leader.id)
                #expect(read.headers["distric-served-by"] == nil)
            }
        }
    }

    @Test func `a read says how fresh it is`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        for number in 0..<20 { #expect(leader.submit("m-\(number)")?.status == 202) }
        let index = leader.applied
        for member in cluster.members {
            for consistency in ["linearizable", "leader", "stale"] {
                let answer = try #require(member.ask("GET", "/api/v1/messages?limit=100&consistency=\(consistency)"))
                #expect(answer.status == 200, "\(member.id) \(consistency): \(answer.body)")
                let applied = try #require(answer.headers["distric-applied-index"].flatMap { Int64($0) }, "\(answer.headers)")
                if consistency == "stale" { continue }
                #expect(applied >= index, "\(member.id) \(consistency)")
                #expect(answer.value.items.count == 20, "\(member.id) \(consistency)")
                let server = member !== leader && consistency == "leader" ? leader.id : nil
                #expect(answer.headers["distric-served-by"] == server, "\(member.id) \(consistency)")
            }
            let wrong = member.ask("GET", "/api/v1/messages?consistency=strong")
            #expect(wrong?.status == 400 && wrong?.value["code"] == "invalid_consistency")
        }
    }

    @Test func `commands, and calls over the binary protocol, come through any node or are told who leads`() async throws {
        let cluster = try await RunningCluster.started()
        let leader = try await cluster.leader()
        let follower = cluster.others(leader)[0]
        let line = "{\"id\":\"cli\",\"type\":\"held\",\"data\":1}\n"
        let submitted = try follower.distric("messages", "submit", "-", input: line + line)
        #expect(submitted.code == 0, "\(submitted.err)")
        #expect(submitted.out.hasPrefix("1 accepted (1 runs), 0 unmatched, 1 duplicate, 0 refused in "), "\(submitted.out)")
        let open = try #require(leader.read("/api/v1/messages/cli")["runs"]?.list?.first?.string)
        let cancelled = try cluster.others(leader)[1].distric("runs", "cancel", open)
        #expect(cancelled.code == 0, "\(cancelled.err)")
        #expect(follower.read("/api/v1/runs/\(open)?consistency=linearizable")["state"]?.string == "cancelled")
        // Through a follower as good as through the leader.
        let table = try follower.distric("raft", "peers")
        #expect(table.code == 0 && table.err.isEmpty, "\(table.err)")
        let row = table.out.split(separator: "\n").first { $0.hasPrefix(follower.id) }?.split(separator: " ")
        #expect(row?.dropFirst().prefix(3) == ["follower", "up", "replicate"], "\(table.out)")
        guard let python = Built.tool("python3") else { return }
        let client = Self.tests.appending(path: "Clients/calls.py").path(percentEncoded: false)
        let call = "{\"id\":\"rpc\",\"type\":\"kept\",\"data\":1}\n"
        for (place, isDuplicate) in [(follower.rpc, false), (leader.rpc, true)] {
            let taken = try run(python, ["-B", client, place, "submit"], input: call)
            #expect(taken.code == 0, "\(taken.err)")
            let result = try JSONScanner.parse(taken.out)
            #expect(result["status"]?.int == 202, "\(taken.out)")
            #expect(result["is_duplicate"]?.bool == isDuplicate, "\(taken.out)")
        }
        let asked = try run(python, ["-B", client, follower.rpc, "query", "messages/rpc?consistency=linearizable"])
        #expect(asked.code == 0 && asked.out.contains("\"kept\""), "\(asked.err)")
    }

    // MARK: Without a majority

    private static let views = [
        "raft/status", "raft/peers", "cluster/status", "cluster/nodes", "messages", "messages/before", "runs", "tasks", "rules",
        "workflows",
        "events", "traces", "logs", "config", "gossip/members", "rpc/connections", "metrics/recent",
    ]

    @Test func `whoever is left of three shows all that it knows, refuses what it cannot know, and goes on when a second is back`()
        async throws
    {
        let cluster = try await RunningCluster.started()
        // The leader itself: it has to find out first.
        let survivor = try await cluster.leader()
        #expect(survivor.submit("before")?.status == 202)
        let others = cluster.others(survivor)
        for member in others { member.crash() }
        #expect(try await holds { survivor.role != "leader" })
        for path in Self.views {
            let answer = try #require(survivor.ask("GET", "/api/v1/" + path), "\(path)")
            #expect(answer.status == 200, "\(path): \(answer.body)")
        }
        #expect(survivor.ask("GET", "/api/v1/messages?consistency=stale")?.value.items.count == 1)
        #expect(survivor.status["quorum"] == ["have": 1, "need": 2, "of": 3])
        let why = "1 of 3 coordinators answer, 2 are needed"
        for (method, path, body, code) in [
            ("GET", "/api/v1/messages?consistency=linearizable", nil, "no_quorum"),
            ("GET", "/api/v1/messages?consistency=leader", nil, "no_leader"),
            ("POST", "/api/v1/messages", ["id": "lost", "type": "kept", "data": 1] as Value, "no_leader"),
            ("POST", "/api/v1/workflows", RunningCluster.kept, "no_leader"), ("POST", "/api/v1/raft:transfer", [:], "no_leader"),
            ("DELETE", "/api/v1/raft/members/c-2", nil, "no_leader"),
        ] as [(String, String, Value?, String)] {
            let refused = try #require(survivor.ask(method, path, body))
            #expect(refused.status == 503 && refused.value["code"]?.string == code, "\(path): \(refused.body)")
            #expect(refused.value["detail"]?.string?.contains(why) == true, "\(path): \(refused.body)")
            #expect(refused.headers["retry-after"] != nil, "\(path)")
        }
        #expect(try await holds { survivor.health == "raft: no leader is known" }, "\(survivor.health)")
        try show(survivor, cluster)
        // What it says of the same thing again and again is said once.
        #expect(survivor.events.count { $0["kind"] == "raft.pre_candidate" } <= 2, "\(survivor.events)")
        try others[0].start()
        #expect(try await holds { survivor.submit("after")?.status == 202 })
        for member in [survivor, others[0]] {
            #expect(try Set(member.messages().map(\.id)) == ["before", "after"])
            #expect(try await holds { member.isReady }, "\(member.health)")
        }
    }

    private func show(_ survivor: ClusterMember, _ cluster: RunningCluster) throws {
        let status = try survivor.distric("raft", "status")
        #expect(status.code == 0, "\(status.err)")
        #expect(status.out.contains("quorum      1 of 3 voters, 2 needed: nothing can be committed\n"), "\(status.out)")
        let everybody = cluster.members.map(\.url).joined(separator: ",")
        let table = try run(Built.distric, ["raft", "status", "--connect", everybody])
        #expect(table.code == 0, "\(table.err)")
        let lines = table.out.split(separator: "\n")
        #expect(lines.count == 4 && lines.count { $0.contains("connection refused") } == 2, "\(table.out)")
        let stale = try survivor.distric("messages", "list")
        #expect(stale.code == 0 && stale.out.contains("before"), "\(stale.err)")
        let fresh = try survivor.distric("messages", "list", "--consistency", "linearizable")
        #expect(fresh.code == 75 && fresh.err.contains("1 of 3 coordinators answer"), "\(fresh.err)")
        for (view, word) in [("pulse", "quorum 1/3"), ("raft", "1 of 3 voters, 2 needed"), ("messages", "before"), ("nodes", survivor.id)] {
            // Of all of them one answers, and that is enough.
            let shown = try run(
                Built.distric, ["console", "--snapshot", "txt", "--size", "120x40", "--view", view, "--connect", everybody])
            #expect(shown.code == 0 && shown.out.contains(word), "\(view): \(shown.err)\n\(shown.out)")
        }
    }
}
