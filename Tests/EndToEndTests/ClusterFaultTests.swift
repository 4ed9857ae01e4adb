import Foundation
import Glibc
import Primitives
import Testing
import Text

/// A leader that is there and is of no use: stopped, cut off, or on a disk that stalls. Messages come all the while.
struct ClusterFaultTests {
    /// Another node leads what goes on without this one, which has led until now.
    private func successor(_ cluster: RunningCluster, _ old: ClusterMember, _ stream: MessageStream) async throws -> ClusterMember {
        let next = try await cluster.leader(of: cluster.others(old))
        #expect(next !== old)
        #expect(try await stream.goesOn(), "after \(next.id) has taken over")
        return next
    }

    /// All follow one leader, and have all that was acknowledged, once.
    private func check(_ cluster: RunningCluster, _ stream: MessageStream) async throws {
        _ = try await cluster.leader()
        #expect(try await stream.goesOn())
        let (acknowledged, wrong) = await stream.finish()
        #expect(wrong.isEmpty, "\(wrong)")
        #expect(try await cluster.agree())
        let ids = Set(acknowledged.map(\.id))
        #expect(ids.count == acknowledged.count)
        for member in cluster.members {
            let kept = try member.messages().map(\.id)
            #expect(Set(kept) == ids && kept.count == ids.count, "\(member.id): \(kept.count) of \(ids.count)")
        }
    }

    @Test func `a leader that is stopped is replaced, and follows when it is woken`() async throws {
        let cluster = try await RunningCluster.started()
        let old = try await cluster.leader()
        let stream = MessageStream(to: cluster.members, type: "kept")
        #expect(try await stream.goesOn())
        old.send(SIGSTOP)
        let next = try await successor(cluster, old, stream)
        let term = next.status["term"]?.int ?? 0
        old.send(SIGCONT)
        #expect(try await holds { old.role == "follower" && old.status["leader"]?.string != nil && old.status["term"]?.int ?? 0 >= term })
        // It took nobody's leadership away by coming back: it has campaigned once, when it became the first.
        #expect(old.events.count { $0["kind"] == "raft.candidate" } == 1, "\(old.events)")
        try await check(cluster, stream)
    }

    @Test func `a leader whose links are cut both ways steps down, says so, and follows when they are whole`() async throws {
        let cluster = try await RunningCluster.started()
        let old = try await cluster.leader()
        let stream = MessageStream(to: cluster.members, type: "kept")
        #expect(try await stream.goesOn())
        let next = try await isolate(old, cluster, stream)
        #expect(old.ask("GET", "/api/v1/messages?limit=1&consistency=stale")?.status == 200)
        for (method, path, body) in [
            ("GET", "/api/v1/messages?consistency=linearizable&timeout=500ms", nil),
            ("POST", "/api/v1/messages", ["id": "nobody", "type": "kept", "data": 1] as Value),
        ] as [(String, String, Value?)] {
            let refused = try #require(old.ask(method, path, body))
            #expect(refused.status == 503, "\(path): \(refused.body)")
            let detail = refused.value["detail"]?.string ?? ""
            // Its connections are open; nobody answers on them.
            #expect(detail.contains("1 of 3 coordinators answer, 2 are needed"), "\(path): \(detail)")
        }
        #expect(try await holds { !old.isReady })
        let term = next.status["term"]?.int ?? 0
        // While it was alone it asked whether it would be elected, and took no term (pre-vote).
        #expect(old.status["term"]?.int ?? 0 < term)
        #expect(old.events.count { $0["kind"] == "raft.candidate" } == 1, "\(old.events)")
        try cluster.heal()
        #expect(try await holds { old.role == "follower" && old.status["leader"]?.string != nil && old.status["term"]?.int ?? 0 >= term })
        try await check(cluster, stream)
    }

    private func isolate(_ old: ClusterMember, _ cluster: RunningCluster, _ stream: MessageStream) async throws -> ClusterMember {
        try cluster.cut(old)
        let next = try await successor(cluster, old, stream)
        #expect(try await holds { old.role != "leader" && old.status["leader"] == .null })
        #expect(old.hasEvent("raft.follower", "no majority answered for an election timeout"))
        return next
    }

    @Test func `a leader that only hears, and then one that only sends, is replaced`() async throws {
        let cluster = try await RunningCluster.started()
        let stream = MessageStream(to: cluster.members, type: "kept")
        for isMute in [true, false] {
            let old = try await cluster.leader()
            #expect(try await stream.goesOn())
            for (from, to) in cluster.others(old).map({ isMute ? (old, $0) : ($0, old) }) {
                let links: Value = ["links": [["to": .string(to.id), "cut": true]]]
                #expect(from.ask("POST", "/api/v1/chaos/links", links)?.status == 200)
            }
            _ = try await successor(cluster, old, stream)
            try cluster.heal()
        }
        try await check(cluster, stream)
    }

    @Test func `a leader whose disk stalls hands over, and follows when the disk answers`() async throws {
        let cluster = try await RunningCluster.started()
        let old = try await cluster.leader()
        let stream = MessageStream(to: cluster.members, type: "kept")
        #expect(try await stream.goesOn())
        let stalled = try old.distric("chaos", "disk", "--stall", "3s", "--once")
        #expect(stalled.code == 0, "\(stalled.err)")
        let next = try await successor(cluster, old, stream)
        #expect(try await holds { old.hasEvent("raft.follower", "its disk has stalled") }, "\(old.events)")
        #expect(old.status["elections"]?.list?.contains { $0["leader"]?.string == next.id && $0["reason"] == "diskStalled" } == true)
        try await check(cluster, stream)
    }
}
