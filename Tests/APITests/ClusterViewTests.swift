import Cluster
import HTTPTypes
import Primitives
import Testing
import Wire

@testable import API

/// How the consensus and its members are shown, by who leads and by who follows.
struct ClusterViewTests {
    private func consensus(_ node: String, leader: String?, http: String? = nil) throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of(node, leader: leader))
        let members = try [ClusterMember.of("c-1"), .of("c-2", http: http), .of("c-3"), .of("w-1", roles: ["worker"])]
        consensus.set { $0.members = members }
        return consensus
    }

    // MARK: Quorum

    @Test func `a leader counts who has answered lately, and itself`() throws {
        var status = try RaftStatus.of("c-1", leader: "c-1")
        #expect(Quorum(status).value == ["have": 3, "need": 2, "of": 3])
        status.peers[0].silentFor = .seconds(3)
        #expect(Quorum(status).have == 2)
        status.peers[1].silentFor = .seconds(3)
        #expect(Quorum(status).have == 1)
        #expect(!Quorum(status).isThere)
    }

    @Test func `a follower counts who is connected, and itself`() throws {
        var status = try RaftStatus.of("c-1", leader: "c-2")
        status.peers[1].isConnected = false
        #expect(Quorum(status).value == ["have": 2, "need": 2, "of": 3])
        // What lost a part of its log counts for nothing.
        status.isRecovering = true
        #expect(Quorum(status).have == 1)
    }

    @Test func `learners and strangers do not count`() throws {
        var status = try RaftStatus.of("c-1", leader: "c-1")
        status.voters = try nodes("c-1", "c-2")
        status.learners = try nodes("c-3")
        #expect(Quorum(status).value == ["have": 2, "need": 2, "of": 2])
        status.voters = []
        #expect(Quorum(status).text.contains("belongs to no cluster yet"))
    }

    // MARK: Status

    @Test func `the status of a follower names the leader, the quorum and all members`() async throws {
        let consensus = try consensus("c-1", leader: "c-2", http: "http://127.0.0.1:1")
        consensus.set { $0.members[2].isConnected = false }
        try await withDoor(consensus) { door in
            let status = try await door.ask(.get, "/api/v1/cluster/status").value
            #expect(status["node"] == "c-1")
            #expect(status["leader"] == "c-2")
            #expect(status["quorum"] == ["have": 3, "need": 2, "of": 3])
            #expect(status["gossip"] == ["alive": 3, "suspect": 1, "dead": 0])
            #expect(status.at("raft", "role") == "follower")
            let rows = try await door.ask(.get, "/api/v1/cluster/nodes").value["items"]?.list ?? []
            #expect(rows == status["members"]?.list)
            #expect(rows.map { $0["id"] } == ["c-1", "c-2", "c-3", "w-1"])
            #expect(rows.map { $0["raft"] } == ["follower", "leader", "follower", .null])
            #expect(rows.map { $0["state"] } == ["alive", "alive", "suspect", "alive"])
            #expect(rows.map { $0["version"] } == ["0.1.0", "0.1.0", "0.1.0", "0.1.0"])
            #expect(rows[1]["http"] == "http://127.0.0.1:1")
            #expect(rows[3]["role"] == "worker")
        }
    }

    @Test func `a node that the directory does not list yet lists itself`() async throws {
        let consensus = FalseConsensus(try .of("c-1", leader: nil))
        try await withDoor(consensus) { door in
            let rows = try await door.ask(.get, "/api/v1/cluster/nodes").value["items"]?.list ?? []
            #expect(rows.map { $0["id"] } == ["c-1"])
        }
    }

    @Test func `the raft status says all of it`() async throws {
        let consensus = try consensus("c-1", leader: "c-1")
        let (learners, outgoing) = (try nodes("c-4"), try nodes("c-2", "c-9"))
        let election = RaftStatus.Election(
            term: Term(7), reason: "timeout", at: ClusterTime(milliseconds: 1_700_000_000_000), leader: consensus.node,
            took: .milliseconds(120))
        consensus.set { state in
            (state.status.learners, state.status.outgoing, state.status.elections) = (learners, outgoing, [election])
            (state.status.commitIndex, state.status.lastIndex, state.status.logBytes) = (LogIndex(44), LogIndex(45), 1000)
        }
        try await withDoor(consensus) { door in
            let raft = try await door.ask(.get, "/api/v1/raft/status").value
            // What was there before there were several.
            for (key, value) in [
                ("node", "c-1"), ("role", "leader"), ("term", 7), ("lastIndex", 45), ("commitIndex", 44), ("appliedIndex", 40), ("lag", 4),
                ("logBytes", 1000),
            ] as [(String, Value)] {
                #expect(raft[key] == value, "\(key)")
            }
            #expect(raft["voters"] == ["c-1", "c-2", "c-3"])
            #expect(raft["learners"] == ["c-4"])
            #expect(raft["outgoing"] == ["c-2", "c-9"])
            #expect(raft["joint"] == true)
            #expect(raft["configurationIndex"] == 5)
            #expect(raft["peers"]?.list?.map { $0["node"] } == ["c-2", "c-3", "c-4", "c-9"])
            #expect(raft["peers"]?.list?.last?["isLeaving"] == true)
            #expect(
                raft["elections"] == [
                    ["term": 7, "reason": "timeout", "at": "2023-11-14T22:13:20.000Z", "leader": "c-1", "tookMs": 120]
                ])
        }
    }

    // MARK: Peers

    @Test func `a leader tells how far each member is`() async throws {
        let consensus = try consensus("c-1", leader: "c-1", http: "http://127.0.0.1:1")
        consensus.set { state in
            (state.status.lastIndex, state.status.durableIndex) = (LogIndex(45), LogIndex(44))
            state.status.peers[1].state = "snapshot"
            (state.status.peers[1].snapshotChunks, state.status.peers[1].snapshotChunksOf) = (12, 40)
        }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/raft/peers").value
            #expect(answer["partial"] == nil)
            let rows = answer["items"]?.list ?? []
            #expect(rows.map { $0["id"] } == ["c-1", "c-2", "c-3"])
            #expect(rows.map { $0["role"] } == ["leader", "follower", "follower"])
            #expect(rows.map { $0["matchIndex"] } == [44, 40, 40])
            #expect(rows.map { $0["lag"] } == [1, 0, 0])
            #expect(rows.map { $0["state"] } == [.null, "replicate", "snapshot"])
            #expect(rows.map { $0["snapshotChunksOf"] } == [.null, .null, 40])
            #expect(rows[1]["silentForMs"] == 20)
            #expect(rows[1]["http"] == "http://127.0.0.1:1")
            #expect(rows[1]["featureLevel"] == 3)
            let sorted = try await door.ask(.get, "/api/v1/raft/peers?sort=-id&filter=role=follower").value
            #expect(sorted["items"]?.list?.map { $0["id"] } == ["c-3", "c-2"])
        }
    }

    @Test func `a follower asks the leader for its peers`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", #"{"items":[]}"#, "Content-Type: application/json"))
        try await withDoor(try consensus("c-1", leader: "c-2", http: leader.url)) { door in
            let answer = try await door.ask(.get, "/api/v1/raft/peers")
            #expect(answer.headers[.servedBy] == "c-2")
            #expect(answer.value == ["items": []])
        }
        #expect(leader.requests.count == 1)
    }

    @Test func `a follower whose leader cannot be asked tells what it knows, and why that is not all`() async throws {
        let gone = try FalseLeader.gone()
        let nobody = try consensus("c-1", leader: nil)
        for (consensus, why) in [
            (try consensus("c-1", leader: "c-2", http: gone), "node c-2 leads, and cannot be reached"), (nobody, "no coordinator leads"),
        ] {
            try await withDoor(consensus) { door in
                let answer = try await door.ask(.get, "/api/v1/raft/peers")
                #expect(answer.status == 200)
                #expect(answer.value["partial"] == true)
                #expect(answer.value["reason"]?.string?.contains(why) == true, "\(answer.text)")
                let rows = answer.value["items"]?.list ?? []
                #expect(rows.map { $0["isConnected"] } == [true, true, true])
                #expect(rows.map { $0["lag"] } == [.null, .null, .null])
            }
        }
    }

    @Test func `what was passed on for the peers is answered by who got it`() async throws {
        try await withDoor(try consensus("c-1", leader: "c-2", http: "http://127.0.0.1:1")) { door in
            let answer = try await door.ask(.get, "/api/v1/raft/peers", headers: [.districForwarded: "c-3"])
            #expect(answer.status == 200)
            #expect(answer.value["partial"] == true)
        }
    }

    // MARK: Calls

    @Test func `a call for the leader says who that is and where it takes calls`() throws {
        let refusal = try #require(try consensus("c-1", leader: "c-2").callRefusal)
        #expect(refusal.code == .notLeader)
        #expect(refusal.leader == (try NodeID("c-2")))
        #expect(refusal.leaderAddress == "127.0.0.1:9001")
        #expect(!refusal.isUncertain)
        let nobody = try #require(try consensus("c-1", leader: nil).callRefusal)
        #expect(nobody.code == .notLeader)
        #expect(nobody.leader == nil)
        #expect(nobody.retryAfter == .seconds(1))
        #expect(nobody.message.contains("3 of 3 coordinators answer"))
        #expect(try consensus("c-1", leader: "c-1").callRefusal == nil)
    }
}
