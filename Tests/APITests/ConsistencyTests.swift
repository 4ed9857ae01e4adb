import Cluster
import HTTPTypes
import Observability
import Primitives
import Raft
import Testing

@testable import API

/// How fresh an answer is: `consistency=` and the headers that say it (thesis section 6.4).
struct ConsistencyTests {
    private func follower() throws -> FalseConsensus { FalseConsensus(try .of("c-1", leader: "c-2")) }

    @Test func `a word that is none of the three is refused with the three`() async throws {
        try await withDoor(try follower()) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearisable")
            #expect(answer.status == 400)
            #expect(answer.code == "invalid_consistency")
            #expect(
                answer.detail == "consistency is stale, leader, linearizable, not 'linearisable'; did you mean 'linearizable'?")
        }
    }

    @Test func `a stale read is answered on any node and says how old it is`() async throws {
        let consensus = try follower()
        try await withDoor(consensus) { door in
            let now = door.info.telemetry.clock.wall
            consensus.set { $0.applied = (LogIndex(40), ClusterTime(milliseconds: now.milliseconds - 5_000)) }
            for path in ["runs", "tasks", "messages", "rules", "workflows", "cluster/status", "raft/status", "cluster/nodes"] {
                let answer = try await door.ask(.get, "/api/v1/\(path)?consistency=stale")
                #expect(answer.status == 200, "\(path): \(answer.text)")
                #expect(answer.headers[.appliedIndex] == "40", "\(path)")
                #expect(answer.headers[.districLeader] == "c-2", "\(path)")
                let age = try #require(answer.headers[.appliedAge])
                #expect(Int(age) ?? 0 >= 5_000, "\(path): \(age)")
            }
            #expect(consensus.now.waited.isEmpty)
        }
    }

    @Test func `without a quorum stale reads answer, and nobody is called the leader`() async throws {
        let consensus = FalseConsensus(try .of("c-1", leader: nil))
        consensus.set { state in
            for place in state.status.peers.indices { state.status.peers[place].isConnected = false }
        }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs")
            #expect(answer.status == 200)
            #expect(answer.headers[.districLeader] == nil)
        }
    }

    @Test func `a linearizable read waits on a follower until the read index is applied`() async throws {
        let consensus = try follower()
        consensus.set { $0.reads = [.success(LogIndex(44))] }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable")
            #expect(answer.status == 200)
            #expect(consensus.now.waited == [LogIndex(44)])
        }
    }

    @Test func `a linearizable read asks again while a majority elects`() async throws {
        let consensus = try follower()
        consensus.set { $0.reads = [.failure(.notLeader(hint: nil)), .failure(.notReady), .success(LogIndex(44))] }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(consensus.now.waited == [LogIndex(44)])
        }
    }

    @Test func `without a quorum a linearizable read says to ask for a stale one`() async throws {
        let consensus = FalseConsensus(try .of("c-1", leader: nil))
        consensus.set { state in
            state.reads = [.failure(.notLeader(hint: nil))]
            for place in state.status.peers.indices { state.status.peers[place].isConnected = false }
        }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable")
            #expect(answer.status == 503)
            #expect(answer.code == "no_quorum")
            #expect(answer.headers[.retryAfter] == "1")
            #expect(answer.detail.contains("1 of 3 coordinators answer, 2 are needed"))
            #expect(answer.detail.contains("consistency=stale"))
        }
    }

    @Test func `a leader that never confirms a read is given up`() async throws {
        let consensus = try follower()
        consensus.set { $0.reads = [.failure(.notLeader(hint: nil))] }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable&timeout=80ms")
            #expect(answer.status == 503)
            #expect(answer.code == "no_quorum")
        }
    }

    @Test func `a node that does not catch up says what it has and what the read needs`() async throws {
        let consensus = try follower()
        consensus.set { ($0.reads, $0.catchesUp) = ([.success(LogIndex(44))], false) }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable")
            #expect(answer.status == 503)
            #expect(answer.code == "behind")
            #expect(answer.detail.contains("up to 40, and the read needs 44"))
        }
    }

    @Test func `too many reads at once are refused as busy`() async throws {
        let consensus = try follower()
        consensus.set { $0.reads = [.failure(.busy)] }
        try await withDoor(consensus) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable")
            #expect(answer.status == 503)
            #expect(answer.code == "busy")
        }
    }

    @Test(arguments: ["0", "1h", "soon", "-1s"]) func `a time to wait that is none is refused`(text: String) async throws {
        try await withDoor(try follower()) { door in
            let answer = try await door.ask(.get, "/api/v1/runs?consistency=linearizable&timeout=\(text)")
            #expect(answer.status == 400)
            #expect(answer.code == "invalid_timeout")
        }
    }
}

/// Waiting for what cannot be called back.
struct BoundedWaitTests {
    @Test func `what ends in time is the answer, a refusal too`() async throws {
        #expect(await outcome(within: .seconds(60)) { () async throws(RaftRefusal) in 7 } == .success(7))
        let refused: Result<Int, RaftRefusal>? = await outcome(within: .seconds(60)) { () async throws(RaftRefusal) in throw .noVoters }
        #expect(refused == .failure(.noVoters))
    }

    @Test func `what does not end is left to itself`() async throws {
        let (never, end) = AsyncStream<Int>.makeStream()
        let answer = await outcome(within: .milliseconds(20)) { () async throws(RaftRefusal) in
            for await number in never { return number }
            return 0
        }
        #expect(answer == nil)
        end.finish()
    }
}
