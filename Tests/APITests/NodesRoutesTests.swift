import Cluster
import Coordinator
import HTTPTypes
import Observability
import Primitives
import Synchronization
import Testing
import Wire

@testable import API

/// Nodes in one view, and what is said to workers.
struct NodesRoutesTests {
    /// A worker in the leader's process that keeps what it is told.
    private final class Hand: WorkerLink {
        let node: NodeID
        let capacity = WorkerCapacity(slots: 4)
        private let said = Mutex<(isCordoned: Bool, drain: DrainProgress?)>((false, nil))

        init(_ name: String) throws { node = try NodeID(name) }

        var isCordoned: Bool { said.withLock { $0.isCordoned } }
        var draining: DrainProgress? { said.withLock { $0.drain } }
        var room: WorkerRoom? { WorkerRoom(running: 0, free: 4, load: 0.123) }
        func cordon(_ flag: Bool) { said.withLock { $0 = (flag, flag ? $0.drain : nil) } }
        func drain(within limit: Duration) { said.withLock { $0 = (true, DrainProgress(left: limit)) } }
        func assign(_ assignments: [TaskAssignment]) {}
        func cancel(_ held: HeldAssignment) {}
        func committed(_ reports: [TaskReport]) {}
        func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport] { [] }
        func log(run: RunID, task: String, attempt: Int) -> [UInt8]? { nil }
        func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) { (0, []) }
    }

    private func consensus(_ node: String = "c-1", leader: String? = "c-1") throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of(node, leader: leader))
        let members = try [ClusterMember.of("c-1"), .of("c-2"), .of("c-3"), .of("w-1", roles: ["worker"]), .of("w-2", roles: ["worker"])]
        consensus.set { $0.members = members }
        return consensus
    }

    private func with(_ workers: [String], _ consensus: FalseConsensus, _ body: (Door) async throws -> Void) async throws {
        try await withDoor(consensus) { door in
            for name in workers { door.info.coordinator.loop.join(try Hand(name)) }
            try await body(door)
        }
    }

    private func row(_ door: Door, _ id: String) async throws -> Value { try await door.ask(.get, "/api/v1/nodes/\(id)").value }

    @Test func `coordinators and workers are in one list, each with what it is`() async throws {
        try await with(["w-1"], consensus()) { door in
            let rows = try await door.ask(.get, "/api/v1/nodes").value["items"]?.list ?? []
            #expect(rows.map { $0["id"] } == ["c-1", "c-2", "c-3", "w-1", "w-2"])
            #expect(rows.map { $0["raft"] } == ["leader", "follower", "follower", .null, .null])
            #expect(rows.map { $0["standing"] } == [.null, .null, .null, "available", .null])
            #expect(rows.map { $0["state"] } == ["alive", "alive", "alive", "alive", "lost"])
            #expect(rows[3]["slots"] == 4 && rows[3]["free"] == 4 && rows[3]["running"] == 0 && rows[3]["load"] == 0.12)
            #expect(rows[0]["clockOffsetMs"] == 0)
            let filtered = try await door.ask(.get, "/api/v1/nodes?filter=state=lost").value["items"]?.list ?? []
            #expect(filtered.map { $0["id"] } == ["w-2"])
            #expect(Set(rows[3].map?.members.map(\.key) ?? []) == Set(NodeRows.columns))
        }
    }

    @Test func `who does not lead asks the leader, and else says that it knows little`() async throws {
        let gone = try FalseLeader.gone()
        let consensus = try consensus(leader: "c-2")
        let members = try [ClusterMember.of("c-1"), .of("c-2", http: gone), .of("w-1", roles: ["worker"])]
        consensus.set { $0.members = members }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/nodes")
            #expect(answer.value["partial"] == true)
            #expect(answer.value["reason"]?.string?.contains("only the leader knows how workers are") == true)
        }
    }

    @Test func `a cordon is taken once, and lifted`() async throws {
        try await with(["w-1", "w-2"], consensus()) { door in
            for (verb, changed, standing) in [
                ("cordon", true, "cordoned"), ("cordon", false, "cordoned"), ("uncordon", true, "available"),
                ("uncordon", false, "available"),
            ] as [(String, Bool, Value)] {
                let answer = try await door.ask(.post, "/api/v1/nodes/w-1:\(verb)")
                #expect(answer.status == 200 && answer.value["changed"] == .bool(changed), "\(verb): \(answer.text)")
                #expect(answer.value.at("node", "standing") == standing)
            }
            let kinds = door.info.telemetry.events.latest(20).map(\.kind)
            #expect(kinds.count { $0 == "node.cordoned" } == 1 && kinds.count { $0 == "node.uncordoned" } == 1)
        }
    }

    @Test func `a drain begins once, takes the newer deadline, and ends with the cordon`() async throws {
        try await with(["w-1", "w-2"], consensus()) { door in
            let first = try await door.ask(.post, "/api/v1/nodes/w-1:drain", body: #"{"deadline":"2m"}"#)
            #expect(first.status == 202 && first.value["changed"] == true)
            #expect(first.value.at("node", "drain", "leftMs") == 120_000)
            let second = try await door.ask(.post, "/api/v1/nodes/w-1:drain", body: #"{"deadline":"5s"}"#)
            #expect(second.status == 202)
            #expect(door.info.telemetry.events.latest(20).count { $0.kind == "node.draining" } == 1)
            // Nothing runs there.
            #expect(try await row(door, "w-1")["standing"] == "drained")
            _ = try await door.ask(.post, "/api/v1/nodes/w-1:uncordon")
            #expect(try await row(door, "w-1")["drain"] == .null)
        }
    }

    @Test func `the last worker that takes tasks is emptied only by force`() async throws {
        try await with(["w-1", "w-2"], consensus()) { door in
            #expect(try await door.ask(.post, "/api/v1/nodes/w-2:cordon").status == 200)
            let refused = try await door.ask(.post, "/api/v1/nodes/w-1:drain")
            #expect(refused.status == 409 && refused.code == "last_worker")
            #expect(refused.detail.contains("would wait") && refused.detail.contains("--force"))
            #expect(try await row(door, "w-1")["standing"] == "available")
            #expect(try await door.ask(.post, "/api/v1/nodes/w-1:drain", body: #"{"force":true}"#).status == 202)
        }
    }

    @Test func `what cannot be is refused with what to do`() async throws {
        try await with(["w-1"], consensus()) { door in
            for (path, body, status, code, words) in [
                ("x-9:drain", "", 404, "not_found", "they are c-1, c-2, c-3, w-1, w-2"),
                ("c-2:cordon", "", 409, "not_a_worker", "takes no tasks"), ("w-2:drain", "", 409, "worker_away", "nodes show w-2"),
                ("w-2:uncordon", "", 409, "worker_away", "nodes show w-2"),
                ("w-1:drain", #"{"deadline":"-5s"}"#, 400, "invalid_duration", "up to 24h"),
                ("w-1:drain", #"{"deadline":"25h"}"#, 400, "invalid_duration", "up to 24h"),
                ("w-1:drain", #"{"deadline":60}"#, 400, "invalid_duration", "as 60s"),
                ("w-1:drain", #"{"force":"yes"}"#, 400, "invalid_request", "true or false"),
                ("w-1:drain", #"{"dedline":"5s"}"#, 400, "invalid_request", "did you mean 'deadline'"),
                ("w-1:cordon", #"{"x":1}"#, 400, "invalid_request", "none is taken"), ("w-1:cordon", "[", 400, "invalid_json", "not JSON"),
                ("a%20b:cordon", "", 400, "invalid_id", "id"),
            ] {
                let answer = try await door.ask(.post, "/api/v1/nodes/\(path)", body: body)
                #expect(answer.status == status && answer.code == code, "\(path) \(body): \(answer.text)")
                #expect(answer.detail.contains(words), "\(path): \(answer.detail)")
            }
            #expect(try await door.ask(.get, "/api/v1/nodes/x-9").status == 404)
        }
    }

    @Test func `a coordinator that leads hands over, and one that could not be done without stays`() async throws {
        let consensus = try consensus()
        try await with([], consensus) { door in
            let other = try NodeID("c-2")
            consensus.set { $0.transfer = .success(other) }
            let answer = try await door.ask(.post, "/api/v1/nodes/c-1:drain")
            #expect(answer.status == 202 && answer.value["leader"] == "c-2", "\(answer.text)")
            #expect(consensus.now.transfers == [nil])
            #expect(try await door.ask(.post, "/api/v1/nodes/c-3:drain").value["changed"] == false)
            consensus.set { $0.status.peers[1].silentFor = .seconds(9) }
            let refused = try await door.ask(.post, "/api/v1/nodes/c-2:drain", body: #"{"leaving":true}"#)
            #expect(refused.status == 409 && refused.code == "without_quorum", "\(refused.text)")
            #expect(refused.detail.contains("of the 2 voters that there would be, only 1 answer"))
            #expect(try await door.ask(.post, "/api/v1/nodes/c-3:drain", body: #"{"leaving":true}"#).status == 202, "it is the silent one")
            let alone = try NodeID("c-1")
            consensus.set { $0.status.voters = [alone] }
            #expect(try await door.ask(.post, "/api/v1/nodes/c-1:drain").code == "last_voter")
            #expect(try await door.ask(.post, "/api/v1/nodes/c-1:drain", body: #"{"leaving":true}"#).code == "last_voter")
        }
    }

    // MARK: Freezing

    @Test func `a frozen intake answers 503 with the reason and when to come again`() async throws {
        try await with(["w-1"], consensus()) { door in
            let frozen = try await door.ask(.post, "/api/v1/cluster:freeze", body: #"{"part":"intake","reason":"moving"}"#)
            #expect(frozen.status == 200 && frozen.value["changed"] == true, "\(frozen.text)")
            #expect(frozen.value.at("frozen", "intake", "reason") == "moving")
            let refused = try await door.ask(.post, "/api/v1/messages", body: #"{"type":"a"}"#)
            #expect(refused.status == 503 && refused.code == "intake_frozen" && refused.headers[.retryAfter] == "30", "\(refused.text)")
            #expect(refused.detail.contains("moving"))
            #expect(try await door.ask(.get, "/api/v1/cluster/status").value.at("frozen", "intake", "reason") == "moving")
            #expect(try await door.ask(.post, "/api/v1/cluster:thaw", body: #"{"part":"intake"}"#).value["changed"] == true)
            #expect(try await door.ask(.post, "/api/v1/messages", body: #"{"type":"a"}"#).status == 200)
            #expect(try await door.ask(.post, "/api/v1/cluster:thaw", body: #"{"part":"intake"}"#).value["changed"] == false)
            let kinds = door.info.telemetry.events.latest(20).map(\.kind)
            #expect(kinds.contains("cluster.frozen") && kinds.contains("cluster.thawed"))
        }
    }

    @Test(arguments: [#"{}"#, #"{"part":"all"}"#, #"{"part":1}"#, #"{"part":"intake","reason":7}"#, #"{"part":"intake","why":"x"}"#])
    func `what is no part is refused`(body: String) async throws {
        try await with([], consensus()) { door in
            let refused = try await door.ask(.post, "/api/v1/cluster:freeze", body: body)
            #expect(refused.status == 400)
            let long = String(repeating: "x", count: 401)
            let endless = try await door.ask(.post, "/api/v1/cluster:freeze", body: #"{"part":"intake","reason":"\#(long)"}"#)
            #expect(endless.status == 400)
        }
    }
}
