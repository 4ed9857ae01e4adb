import Cluster
import HTTPTypes
import Observability
import Primitives
import Raft
import Testing

@testable import API

/// Who belongs to the consensus and who leads it, changed by an operator: `/api/v1/raft`.
struct RaftRoutesTests {
    /// c-1 leads c-2 and c-3, and has heard of c-4, a coordinator, and w-1, a worker.
    private func leader() throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of("c-1", leader: "c-1"))
        let members = try [ClusterMember.of("c-1"), .of("c-2"), .of("c-3"), .of("c-4"), .of("w-1", roles: ["worker"])]
        consensus.set { $0.members = members }
        return consensus
    }

    private func change(_ voters: [String], _ learners: [String], basedOn: UInt64) throws -> FalseConsensus.Change {
        .init(voters: try voters.map { try NodeID($0) }, learners: try learners.map { try NodeID($0) }, basedOn: LogIndex(basedOn))
    }

    // MARK: Adding and promoting

    @Test func `a node that has joined is added as a voter, based on what the leader knows`() async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door async throws in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-4"}"#)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.value["changed"] == true)
            #expect(answer.value["configurationIndex"] == 41)
            #expect(answer.value["voters"] == ["c-1", "c-2", "c-3", "c-4"])
            #expect(door.info.telemetry.events.latest(1).first?.kind == "raft.members_changed")
        }
        #expect(consensus.now.changes == [try change(["c-1", "c-2", "c-3", "c-4"], [], basedOn: 5)])
    }

    @Test func `a learner is added beside the voters, and promoted to one`() async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door in
            let added = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-4","role":"learner","basedOn":3}"#)
            #expect(added.value["learners"] == ["c-4"])
            let promoted = try await door.ask(.post, "/api/v1/raft/members/c-4:promote")
            #expect(promoted.value["voters"] == ["c-1", "c-2", "c-3", "c-4"])
            #expect(promoted.value["learners"] == [])
        }
        let voters = ["c-1", "c-2", "c-3"]
        #expect(consensus.now.changes == [try change(voters, ["c-4"], basedOn: 3), try change(voters + ["c-4"], [], basedOn: 41)])
    }

    @Test func `what is so already changes nothing`() async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door in
            for (path, body) in [("members", #"{"add":"c-2"}"#), ("members/c-2:promote", ""), (":transfer", #"{"to":"c-1"}"#)] {
                let answer = try await door.ask(.post, "/api/v1/raft\(path.hasPrefix(":") ? "" : "/")\(path)", body: body)
                #expect(answer.status == 200, "\(path): \(answer.text)")
                #expect(answer.value["changed"] == false, "\(path)")
            }
        }
        #expect(consensus.now.changes.isEmpty)
        #expect(consensus.now.transfers.isEmpty)
    }

    @Test func `a node that nobody has heard of is to be started with --join first`() async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-5"}"#)
            #expect(answer.status == 404)
            #expect(answer.code == "unknown_node")
            #expect(
                answer.detail.contains("start it with --join first ('distric node --id c-5 --join 127.0.0.1:9001')"), "\(answer.detail)")
        }
        #expect(consensus.now.changes.isEmpty)
    }

    @Test func `a node that keeps no log cannot vote`() async throws {
        try await withDoor(try leader()) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"w-1"}"#)
            #expect(answer.status == 409)
            #expect(answer.code == "not_a_coordinator")
            #expect(answer.detail.contains("--role coordinator"))
        }
    }

    @Test func `a voter is not made a learner in one step`() async throws {
        try await withDoor(try leader()) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-2","role":"learner"}"#)
            #expect(answer.status == 409)
            #expect(answer.code == "already_voter")
        }
    }

    @Test(arguments: [
        ("", "expected a node's id"), ("{}", "expected a node's id"), ("[]", "expected an object"), ("{", "not JSON"),
        (#"{"add":"C 4"}"#, "is not valid"), (#"{"add":"c-4","role":"king"}"#, "role is voter or learner"),
        (#"{"add":"c-4","role":7}"#, "role is voter or learner"), (#"{"add":"c-4","rolle":"voter"}"#, "did you mean 'role'?"),
        (#"{"add":"c-4","basedOn":-1}"#, "basedOn is a log index"), (#"{"add":"c-4","basedOn":"5"}"#, "basedOn is a log index"),
    ]) func `a body that says something else is refused`(body: String, detail: String) async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: body)
            #expect(answer.status == 400)
            #expect(answer.detail.contains(detail), "\(answer.detail)")
        }
        #expect(consensus.now.changes.isEmpty)
    }

    @Test func `a newcomer that takes long to catch up is waited for elsewhere`() async throws {
        let consensus = try leader()
        consensus.set { $0.follows = .catchingUp }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members?timeout=50ms", body: #"{"add":"c-4"}"#)
            #expect(answer.status == 202)
            #expect(answer.value["done"] == false)
            #expect(answer.detail.contains("GET /api/v1/raft/status"))
        }
    }

    @Test func `a leader that stops leading in the middle of a change does not know what becomes of it`() async throws {
        let consensus = try leader()
        consensus.set { $0.follows = .lostLeadership }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.delete, "/api/v1/raft/members/c-3")
            #expect(answer.status == 503)
            #expect(answer.value["uncertain"] == true)
            #expect(answer.detail.contains("consistency=leader"))
        }
    }

    // MARK: Removing

    @Test func `a voter is removed, and so is a learner`() async throws {
        let consensus = try leader()
        let learners = try nodes("c-4")
        consensus.set { $0.status.learners = learners }
        try await withDoor(consensus) { door async throws in
            #expect(try await door.ask(.delete, "/api/v1/raft/members/c-3?basedOn=5").value["voters"] == ["c-1", "c-2"])
            #expect(try await door.ask(.delete, "/api/v1/raft/members/c-4").value["learners"] == [])
        }
        #expect(
            consensus.now.changes == [
                try change(["c-1", "c-2"], ["c-4"], basedOn: 5), try change(["c-1", "c-2"], [], basedOn: 41),
            ])
    }

    @Test func `the last voter is not removed`() async throws {
        let consensus = try leader()
        let voters = try nodes("c-1")
        consensus.set { $0.status.voters = voters }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.delete, "/api/v1/raft/members/c-1")
            #expect(answer.status == 409)
            #expect(answer.code == "last_voter")
            #expect(answer.detail.contains("add another voter first"))
        }
        #expect(consensus.now.changes.isEmpty)
    }

    @Test func `who is no member cannot leave or be promoted`() async throws {
        try await withDoor(try leader()) { door in
            for answer in [
                try await door.ask(.delete, "/api/v1/raft/members/c-33"), try await door.ask(.post, "/api/v1/raft/members/c-33:promote"),
            ] {
                #expect(answer.status == 404)
                #expect(answer.detail == "'c-33' is no member: they are c-1, c-2, c-3")
            }
            #expect(try await door.ask(.delete, "/api/v1/raft/members/%20").status == 400)
        }
    }

    // MARK: Refusals

    @Test(
        arguments: [
            (.notLeader(hint: nil), 503, "not_leader", "knows of nobody who does"),
            (.busy, 503, "busy", "nothing was done, try again in a second"),
            (.transferring, 503, "transferring", "nothing was done, try again"),
            (.notReady, 503, "not_ready", "nothing was done, try again"),
            (.changeInProgress, 409, "change_in_progress", "joint: false"),
            (.staleConfiguration(at: LogIndex(9)), 409, "stale_configuration", "basedOn 9"),
            (.noVoters, 409, "no_voters", "add another before"),
            (.withoutQuorum(answering: 1, of: 4), 409, "without_quorum", "only 1 answer"),
            (.transferFailed(.unnamed), 503, "transfer_failed", "did not take over in time"),
        ] as [(RaftRefusal, Int, String, String)])
    func `what the consensus refuses says what to do`(refusal: RaftRefusal, status: Int, code: String, detail: String) async throws {
        let consensus = try leader()
        consensus.set { $0.change = .failure(refusal) }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-4"}"#)
            #expect(answer.status == status)
            #expect(answer.code == code)
            #expect(answer.detail.contains(detail), "\(answer.detail)")
            // Without a quorum nothing is forced.
            #expect(!answer.detail.contains("force"))
            #expect((answer.headers[.retryAfter] == "1") == (status == 503))
            #expect(answer.value["uncertain"] == nil)
        }
    }

    @Test func `a refusal names who leads by now`() async throws {
        let consensus = try leader()
        let other = try NodeID("c-2")
        consensus.set { $0.change = .failure(.notLeader(hint: other)) }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft/members", body: #"{"add":"c-4"}"#)
            #expect(answer.value["leader"] == "c-2")
            #expect(answer.headers[.districLeader] == "c-2")
        }
    }

    // MARK: Leadership and snapshots

    @Test(arguments: [(#"{"to":"c-2"}"#, "c-2"), (#"{"to":null}"#, nil), ("", nil)] as [(String, String?)])
    func `leadership goes to who is named, or to who is furthest`(body: String, to: String?) async throws {
        let consensus = try leader()
        let furthest = try NodeID("c-3")
        if to == nil { consensus.set { $0.transfer = .success(furthest) } }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft:transfer", body: body)
            #expect(answer.status == 200)
            #expect(answer.value["leader"] == .string(to ?? "c-3"))
            #expect(answer.value["changed"] == true)
        }
        #expect(consensus.now.transfers == [try to.map { try NodeID($0) }])
    }

    @Test func `leadership goes to a voter only`() async throws {
        let consensus = try leader()
        let (other, own) = (try NodeID("c-9"), consensus.node)
        consensus.set { $0.transfer = .failure(.notAVoter(other)) }
        try await withDoor(consensus) { door in
            let wrong = try await door.ask(.post, "/api/v1/raft:transfer", body: #"{"to":"c-9"}"#)
            #expect(wrong.status == 404)
            #expect(wrong.code == "not_a_voter")
            #expect(wrong.detail == "'c-9' does not vote; the voters are c-1, c-2, c-3")
            consensus.set { $0.transfer = .failure(.notAVoter(own)) }
            let alone = try await door.ask(.post, "/api/v1/raft:transfer")
            #expect(alone.detail.contains("no other voter that c-1 could hand leadership to"))
        }
    }

    @Test func `what was decided on another configuration is not done`() async throws {
        let consensus = try leader()
        try await withDoor(consensus) { door in
            for path in ["raft:transfer", "raft:snapshot"] {
                let answer = try await door.ask(.post, "/api/v1/\(path)", body: #"{"basedOn":4}"#)
                #expect(answer.status == 409, "\(path)")
                #expect(answer.code == "stale_configuration", "\(path)")
            }
        }
        #expect(consensus.now.transfers.isEmpty)
        #expect(consensus.now.snapshots == 0)
    }

    @Test func `a snapshot is of the node that is asked`() async throws {
        let consensus = FalseConsensus(try .of("c-2", leader: "c-1"))
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.post, "/api/v1/raft:snapshot", body: #"{"basedOn":5}"#)
            #expect(answer.status == 202)
            #expect(answer.value["node"] == "c-2")
            #expect(answer.value["appliedIndex"] == 40)
        }
        #expect(consensus.now.snapshots == 1)
    }
}
