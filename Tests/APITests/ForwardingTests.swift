import Cluster
import HTTPTypes
import Primitives
import Testing

@testable import API

/// A node that does not lead passes on what is the leader's, over HTTP, once.
struct ForwardingTests {
    /// c-1, which follows c-2 at a URL.
    private func follower(leaderAt url: String?) throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of("c-1", leader: "c-2"))
        let members = try [ClusterMember.of("c-1"), .of("c-2", http: url), .of("c-3")]
        consensus.set { $0.members = members }
        return consensus
    }

    @Test func `the leader's answer comes back whole, with who gave it`() async throws {
        let leader = try FalseLeader(
            FalseLeader.http(
                "202 Accepted", #"{"messageId":"m-1"}"#, "Content-Type: application/json", "Location: /api/v1/messages/m-1",
                "Distric-Applied-Index: 44"))
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            let answer = try await door.ask(
                .post, "/api/v1/messages?namespace=shop", headers: [.contentType: "application/json", .districNamespace: "shop"],
                body: #"{"type":"a"}"#)
            #expect(answer.status == 202)
            #expect(answer.value["messageId"] == "m-1")
            #expect(answer.headers[.location] == "/api/v1/messages/m-1")
            #expect(answer.headers[.appliedIndex] == "44")
            #expect(answer.headers[.servedBy] == "c-2")
            #expect(answer.headers[.districLeader] == "c-2")
            #expect(answer.headers[.connection] == nil)
            #expect(door.count(.done) == 1)
        }
        let request = try #require(leader.requests.first)
        #expect(request.hasPrefix("POST /api/v1/messages?namespace=shop HTTP/1.1\r\n"))
        #expect(request.hasSuffix("\r\n\r\n" + #"{"type":"a"}"#))
        let head = request.lowercased()
        for line in ["distric-forwarded: c-1", "content-type: application/json", "distric-namespace: shop", "content-length: 12"] {
            #expect(head.contains("\r\n\(line)\r\n"), "\(line) is not in \(request)")
        }
    }

    @Test func `the leader sees the trace that this node began, and not where the request came from`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            let traceparent = try #require(HTTPField.Name("traceparent"))
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let answer = try await door.ask(
                .post, "/api/v1/runs/r:cancel", headers: [traceparent: trace, .connection: "x-own", .expect: "100-continue"])
            #expect(answer.status == 200)
            let own = try #require(answer.headers[traceparent])
            #expect(own != trace)
            let head = try #require(leader.requests.first).lowercased()
            #expect(head.contains("traceparent: \(own)\r\n"))
            #expect(!head.contains("b7ad6b7169203331"))
            #expect(!head.contains("x-own"))
            #expect(!head.contains("expect:"))
        }
    }

    @Test func `a path goes on as it is spelled`() async throws {
        let leader = try FalseLeader(FalseLeader.http("404 Not Found", ""))
        try await withDoor(try follower(leaderAt: leader.url)) { door async throws in
            #expect(try await door.ask(.get, "/api/v1/messages/a%2Fb?consistency=leader&namespace=a%20b").status == 404)
            #expect(try await door.ask(.head, "/api/v1/runs?consistency=leader").status == 404)
        }
        let lines = leader.requests.compactMap { $0.split(separator: "\r\n").first }
        #expect(
            lines == [
                "GET /api/v1/messages/a%2Fb?consistency=leader&namespace=a%20b HTTP/1.1", "HEAD /api/v1/runs?consistency=leader HTTP/1.1",
            ])
    }

    @Test func `a real leader does what a follower was asked`() async throws {
        let (leading, url) = (FalseConsensus(try .of("c-2", leader: "c-2")), "127.0.0.1")
        try await withDoor(leading) { leader in
            try await serving(leader) { served in
                #expect(served.contains(url))
                let consensus = try follower(leaderAt: String(served.dropFirst("http://".count)))
                try await withDoor(consensus) { door in
                    let sent = try await door.ask(.post, "/api/v1/messages", body: #"{"id":"m-1","source":"s","type":"t"}"#)
                    #expect(sent.status == 200, "\(sent.text)")
                    #expect(sent.value["durable"] == false)
                    #expect(sent.headers[.servedBy] == "c-2")
                    let read = try await door.ask(.get, "/api/v1/raft/status?consistency=leader")
                    #expect(read.value["node"] == "c-2")
                    #expect(try await door.ask(.get, "/api/v1/raft/status").value["node"] == "c-1")
                }
            }
        }
    }

    @Test func `what concerns this node alone stays here`() async throws {
        let leader = try FalseLeader(FalseLeader.http("500 Internal Server Error", "{}"))
        let consensus = try follower(leaderAt: leader.url)
        try await withDoor(consensus) { door async throws in
            #expect(try await door.ask(.post, "/api/v1/logs/levels", body: #"{"raft":"debug"}"#).status == 200)
            #expect(try await door.ask(.post, "/api/v1/raft:snapshot").status == 202)
            #expect(try await door.ask(.post, "/api/v1/rules:validate", body: "[]").status == 400)
            #expect(try await door.ask(.get, "/api/v1/runs").status == 200)
        }
        #expect(consensus.now.snapshots == 1)
        #expect(leader.requests.isEmpty)
    }

    @Test func `a node that leads passes nothing on`() async throws {
        let leader = try FalseLeader(FalseLeader.http("500 Internal Server Error", "{}"))
        let consensus = FalseConsensus(try .of("c-1", leader: "c-1"))
        let members = try [ClusterMember.of("c-1", http: leader.url)]
        consensus.set { $0.members = members }
        try await withDoor(consensus) { door async throws in
            #expect(try await door.ask(.post, "/api/v1/messages", body: #"{"id":"m-1","source":"s","type":"t"}"#).status == 200)
            #expect(try await door.ask(.get, "/api/v1/runs?consistency=leader").headers[.servedBy] == nil)
        }
        #expect(leader.requests.isEmpty)
    }

    @Test func `what was passed on is not passed on again`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            let answer = try await door.ask(.post, "/api/v1/messages", headers: [.districForwarded: "c-3"], body: "{}")
            #expect(answer.status == 503)
            #expect(answer.code == "not_leader")
            #expect(answer.value["leader"] == "c-2")
            #expect(answer.value["uncertain"] == nil)
            #expect(answer.headers[.districLeader] == "c-2")
            #expect(door.count(.notLeader) == 1)
        }
        #expect(leader.requests.isEmpty)
    }

    @Test func `without a leader the answer says how many are there`() async throws {
        let consensus = FalseConsensus(try .of("c-1", leader: nil))
        consensus.set { $0.status.peers[0].isConnected = false }
        try await withDoor(consensus) { door in
            for (method, path) in [(HTTPRequest.Method.post, "messages"), (.delete, "rules/a"), (.get, "runs?consistency=leader")] {
                let answer = try await door.ask(method, "/api/v1/\(path)", body: method == .post ? "{}" : "")
                #expect(answer.status == 503)
                #expect(answer.code == "no_leader")
                #expect(answer.headers[.retryAfter] == "1")
                #expect(answer.detail.contains("2 of 3 coordinators answer, 2 are needed"), "\(answer.detail)")
            }
            #expect(door.count(.noLeader) == 3)
        }
    }

    @Test func `a leader that has not said where it is cannot be asked`() async throws {
        try await withDoor(try follower(leaderAt: nil)) { door in
            let answer = try await door.ask(.post, "/api/v1/messages", body: "{}")
            #expect(answer.status == 503)
            #expect(answer.code == "leader_unreachable")
            #expect(answer.detail.contains("nothing was done"))
            #expect(door.count(.unreachable) == 1)
        }
    }

    @Test func `where nobody listens nothing was done, and the answer says so`() async throws {
        try await withDoor(try follower(leaderAt: try FalseLeader.gone())) { door in
            let answer = try await door.ask(.post, "/api/v1/messages", body: "{}")
            #expect(answer.status == 503)
            #expect(answer.code == "leader_unreachable")
            #expect(answer.value["uncertain"] == nil)
            #expect(answer.detail.contains("nothing was done"), "\(answer.detail)")
            let read = try await door.ask(.get, "/api/v1/runs?consistency=leader")
            #expect(read.detail.contains("consistency=stale"), "\(read.detail)")
            #expect(door.count(.unreachable) == 2)
        }
    }

    @Test func `a leader that goes in the middle leaves it uncertain`() async throws {
        let leader = try FalseLeader(.none)
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            let answer = try await door.ask(.post, "/api/v1/messages", body: "{}")
            #expect(answer.status == 503)
            #expect(answer.value["uncertain"] == true)
            #expect(answer.detail.contains("whether it was done is not known"), "\(answer.detail)")
            #expect(door.count(.uncertain) == 1)
            // To read twice harms nobody.
            #expect(try await door.ask(.get, "/api/v1/runs?consistency=leader").value["uncertain"] == nil)
        }
        #expect(leader.requests.count == 2)
    }

    @Test func `what is too large is refused here as the leader would`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            let large = String(repeating: "x", count: (64 << 10) + 1)
            for path in ["messages", "raft:transfer", "tasks/a.b:resolve"] {
                let answer = try await door.ask(.post, "/api/v1/\(path)", body: large)
                #expect(answer.status == 413, "\(path)")
                #expect(answer.value.at("limits", "bytes") == 65_536, "\(path)")
            }
            #expect(leader.requests.isEmpty)
            #expect(try await door.ask(.post, "/api/v1/rules", body: large).status == 200)
        }
        #expect(leader.requests.count == 1)
    }

    @Test func `an unknown path or method is refused here`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withDoor(try follower(leaderAt: leader.url)) { door in
            #expect(try await door.ask(.post, "/api/v1/nope").status == 404)
            let wrong = try await door.ask(.put, "/api/v1/messages")
            #expect(wrong.status == 405)
            #expect(wrong.headers[.allow] == "GET, POST")
        }
        #expect(leader.requests.isEmpty)
    }
}
