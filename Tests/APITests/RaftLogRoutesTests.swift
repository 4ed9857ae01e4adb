import Cluster
import HTTPTypes
import Primitives
import Testing

@testable import API

/// `/api/v1/raft/log`: a part of a node's own log, or of another's.
struct RaftLogRoutesTests {
    /// Entries 101 to 140, of which 138 are committed and 136 applied.
    private func consensus(_ node: String = "c-1", leader: String = "c-1") throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of(node, leader: leader))
        consensus.set { state in
            state.entries = (101...140).map { number in
                let kind: Value = number % 10 == 5 ? "configuration" : "commands"
                var about = Fields([.init("index", .int(Int64(number))), .init("term", 7), .init("kind", kind), .init("bytes", 120)])
                if kind == "commands" {
                    about["commands"] = [
                        ["kind": "submit", "namespace": "shop", "count": 2, "bytes": 80],
                        ["kind": "digest", "namespace": "", "count": 1, "bytes": 40],
                    ]
                }
                return .init(
                    index: LogIndex(UInt64(number)), term: Term(7), about: about, checksum: 0xAB, chain: UInt64(number) << 32)
            }
            (state.status.commitIndex, state.status.durableIndex) = (LogIndex(138), LogIndex(140))
            state.status.firstIndex = LogIndex(101)
            state.applied = (LogIndex(136), .zero)
        }
        return consensus
    }

    private func indexes(_ value: Value) -> [Int64] { (value["items"]?.list ?? []).compactMap { $0["index"]?.int } }

    @Test func `without a beginning the newest entries are answered, upwards`() async throws {
        try await withDoor(try consensus()) { door async throws in
            let answer = try await door.ask(.get, "/api/v1/raft/log?limit=5")
            #expect(answer.status == 200)
            #expect(indexes(answer.value) == [136, 137, 138, 139, 140])
            #expect(answer.value["next"] == .null)
            for (key, number) in [("firstIndex", 101), ("lastIndex", 140), ("commitIndex", 138), ("appliedIndex", 136)] {
                #expect(answer.value[key]?.int == Int64(number), "\(key)")
            }
            #expect(answer.value["node"] == "c-1")
            let items = answer.value["items"]?.list ?? []
            #expect(items.map { $0["state"] } == ["applied", "committed", "committed", "appended", "appended"])
            #expect(items.map { $0["committed"] } == [true, true, true, false, false])
            #expect(items.map { $0["applied"] } == [true, false, false, false, false])
            #expect(items[0]["checksum"] == "000000ab" && items[0]["chain"] == "0000008800000000" && items[0]["namespaces"] == ["shop"])
        }
    }

    @Test func `from an index on it goes upwards, and says where to go on`() async throws {
        try await withDoor(try consensus()) { door async throws in
            let answer = try await door.ask(.get, "/api/v1/raft/log?from=110&limit=3").value
            #expect(indexes(answer) == [110, 111, 112] && answer["next"] == 113)
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?from=139").value) == [139, 140])
            let beyond = try await door.ask(.get, "/api/v1/raft/log?from=500")
            #expect(beyond.status == 200 && indexes(beyond.value).isEmpty && beyond.value["next"] == .null)
        }
    }

    @Test func `what is compacted is refused with the first index that is kept`() async throws {
        try await withDoor(try consensus()) { door async throws in
            let answer = try await door.ask(.get, "/api/v1/raft/log?from=100")
            #expect(answer.status == 404 && answer.code == "compacted")
            #expect(answer.detail.contains("entry 101, which is the first that is kept; ask from=101"), "\(answer.detail)")
            #expect(answer.value.at("limits", "firstIndex") == 101)
        }
    }

    @Test func `what makes no sense is refused`() async throws {
        try await withDoor(try consensus()) { door async throws in
            for query in [
                "from=0", "from=x", "limit=0", "limit=1001", "from=5&limit=2000", "node=NOT%20AN%20ID", "from=99999999999999999999",
            ] {
                #expect(try await door.ask(.get, "/api/v1/raft/log?\(query)").status == 400, "\(query)")
            }
            #expect(try await door.ask(.get, "/api/v1/raft/log?window=0:10&filter=nope=1").code == "invalid_column")
        }
    }

    @Test func `a log that cannot be read is said to be so, and what to do`() async throws {
        let consensus = try consensus()
        consensus.set { $0.logProblem = RaftLogProblem("the log of 'c-1' cannot be read: x. 'distric raft log verify DATA' says more") }
        try await withDoor(consensus) { door async throws in
            let answer = try await door.ask(.get, "/api/v1/raft/log")
            #expect(answer.status == 500 && answer.code == "log_unreadable" && answer.detail.contains("raft log verify"))
        }
    }

    // MARK: As a list

    @Test func `as a list it stands newest first, a window at a time`() async throws {
        try await withDoor(try consensus()) { door async throws in
            let top = try await door.ask(.get, "/api/v1/raft/log?window=0:3").value
            #expect(indexes(top) == [140, 139, 138])
            #expect(top["total"] == 40 && top["matched"] == 40 && top["offset"] == 0)
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?window=38:10").value) == [102, 101])
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?window=40:10").value).isEmpty)
            let anchored = try await door.ask(.get, "/api/v1/raft/log?window=0:3&anchor=120&before=1").value
            #expect(indexes(anchored) == [121, 120, 119] && anchored["offset"] == 19)
            // Beyond its end there is nothing to go with.
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?window=0:2&anchor=900").value) == [140, 139])
        }
    }

    @Test func `a filter and an order are of all that is kept`() async throws {
        try await withDoor(try consensus()) { door async throws in
            let found = try await door.ask(.get, "/api/v1/raft/log?window=0:10&filter=kind=configuration").value
            #expect(indexes(found) == [135, 125, 115, 105] && found["matched"] == 4 && found["total"] == 40)
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?window=0:2&sort=index").value) == [101, 102])
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?window=0:5&filter=state=appended").value) == [140, 139])
        }
    }

    @Test func `an empty log is an empty list`() async throws {
        let consensus = try consensus()
        consensus.set { $0.entries = [] }
        try await withDoor(consensus) { door async throws in
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log").value).isEmpty)
            #expect(try await door.ask(.get, "/api/v1/raft/log?window=0:10").value["total"] == 0)
        }
    }

    // MARK: Another node's

    private func member(_ node: String, http: String?) throws -> ClusterMember { try .of(node, http: http) }

    @Test func `another node is asked for its own log, and a follower asks no leader for it`() async throws {
        let other = try FalseLeader(
            FalseLeader.http("200 OK", #"{"items":[]}"#, "Content-Type: application/json", "Distric-Applied-Index: 7"))
        let consensus = try consensus("c-1", leader: "c-2")
        let members = [try member("c-1", http: nil), try member("c-3", http: other.url)]
        consensus.set { $0.members = members }
        try await withDoor(consensus) { door async throws in
            let answer = try await door.ask(.get, "/api/v1/raft/log?node=c-3&from=120&limit=2&consistency=leader")
            #expect(answer.status == 200 && answer.value == ["items": []])
            #expect(answer.headers[.servedBy] == "c-3" && answer.headers[.appliedIndex] == "7")
            #expect(indexes(try await door.ask(.get, "/api/v1/raft/log?node=c-1&from=139").value) == [139, 140])
        }
        #expect(other.requests.count == 1)
        let request = try #require(other.requests.first)
        #expect(request.hasPrefix("GET /api/v1/raft/log?node=c-3&from=120&limit=2"), "\(request)")
        #expect(request.lowercased().contains("distric-forwarded: c-1"))
    }

    @Test func `a node that is not known, has no address or cannot be reached is told apart`() async throws {
        let gone = try FalseLeader.gone()
        let consensus = try consensus()
        let members = [try member("c-1", http: nil), try member("c-2", http: nil), try member("c-3", http: gone)]
        consensus.set { $0.members = members }
        try await withDoor(consensus) { door async throws in
            let unknown = try await door.ask(.get, "/api/v1/raft/log?node=c-22")
            #expect(unknown.status == 404 && unknown.detail.contains("did you mean 'c-2'?"), "\(unknown.detail)")
            let silent = try await door.ask(.get, "/api/v1/raft/log?node=c-2")
            #expect(silent.status == 503 && silent.code == "node_unreachable" && silent.detail.contains("has not said yet where"))
            let down = try await door.ask(.get, "/api/v1/raft/log?node=c-3")
            #expect(down.status == 503 && down.detail.hasPrefix("node c-3 cannot be reached at \(gone)"), "\(down.detail)")
            // What was passed on once is not passed on again.
            let passed = try await door.ask(.get, "/api/v1/raft/log?node=c-3", headers: [.districForwarded: "c-2"])
            #expect(passed.status == 503 && passed.detail.contains("ask 'c-3' itself"))
            // It is no business of the leader's.
            #expect(Forwarder.Outcome.allCases.allSatisfy { door.count($0) == 0 })
        }
    }
}
