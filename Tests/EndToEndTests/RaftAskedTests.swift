import Foundation
import Glibc
import Primitives
import Synchronization
import Testing
import Text

/// A node of a Raft group that is not there: keeps what it is asked, and answers by method and path.
private final class AskedNode: Sendable {
    struct Asked: Equatable {
        var line: String
        var query: String
        var body: String
    }

    let url: String
    private let listener: LoopbackListener
    private let kept: Kept

    private final class Kept: Sendable { let all = Mutex<[Asked]>([]) }

    var asked: [Asked] { kept.all.withLock { $0 } }

    /// - Parameter answer: for `POST /api/v1/raft/members`; nil says nothing until whoever asks gives up.
    init(_ answer: @escaping @Sendable (String) -> [UInt8]?) throws {
        let kept = Kept()
        self.kept = kept
        listener = try LoopbackListener { connection in
            defer { close(connection) }
            guard let asked = Self.read(connection) else { return }
            kept.all.withLock { $0.append(asked) }
            if let bytes = answer(asked.line) { return LoopbackListener.send(bytes, to: connection) }
            var byte: UInt8 = 0
            while recv(connection, &byte, 1, 0) > 0 {}
        }
        url = listener.url
    }

    private static func read(_ connection: Int32) -> Asked? {
        var bytes: [UInt8] = []
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                let length = head.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.output.1) } ?? 0
                if bytes.count >= end.upperBound + length {
                    let words = head.split(separator: " ").prefix(2).map(String.init)
                    let parts = (words.last ?? "").split(separator: "?", maxSplits: 1).map(String.init)
                    return Asked(
                        line: "\(words.first ?? "") \(parts.first ?? "")", query: parts.count > 1 ? parts[1] : "",
                        body: String(decoding: bytes[end.upperBound...], as: UTF8.self))
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk.prefix(count)
        }
    }
}

/// `distric raft status`, `peers`, and what changes the members: what is asked, what is printed, how it ends.
struct RaftAskedTests {
    private static func status(_ node: String, _ role: String) -> String {
        #"""
        {"node": "\#(node)", "role": "\#(role)", "term": 7, "leader": "c-1", "lastIndex": 120334, "durableIndex": 120334,
         "commitIndex": 120331, "appliedIndex": 120331, "snapshotIndex": 118001, "firstIndex": 118002, "lag": 0, "logBytes": 512,
         "voters": ["c-1", "c-2", "c-3"], "learners": [], "outgoing": [], "configurationIndex": 12, "isRecovering": false,
         "transferTo": null, "quorum": {"have": 2, "need": 2, "of": 3},
         "elections": [{"term": 7, "reason": "leaderDisconnected", "at": "2026-11-23T14:31:49.000Z", "leader": "c-1", "tookMs": 240}],
         "peers": [{"node": "c-2", "role": "follower", "isConnected": true, "state": "replicate", "matchIndex": 120331, "lag": 3},
                   {"node": "c-3", "role": "follower", "isConnected": false, "state": "probe", "matchIndex": 118240, "lag": 2094}]}
        """#
    }

    private static func problem(_ status: String, _ detail: String) -> [UInt8] {
        FalseNode.http(
            #"{"type": "urn:distric:problem:x", "title": "No", "status": 409, "detail": "\#(detail)"}"#, type: "application/problem+json",
            status: status)
    }

    private func raft(_ words: [String], _ url: String) throws -> Finished {
        try run(Built.distric, ["raft"] + words + ["--connect", url])
    }

    // MARK: Looking

    @Test func `one node is told with its election, its log and its members`() throws {
        let node = try AskedNode { _ in FalseNode.http(Self.status("c-1", "leader")) }
        for words in [[], ["status"]] {
            let finished = try raft(words, node.url)
            #expect(finished.code == 0, "\(finished.err)")
            for line in [
                "node        c-1, leader of term 7", "leader      c-1", "quorum      2 of 3 voters, 2 needed", "voters      c-1, c-2, c-3",
                "log         118002 to 120334, committed 120331, applied 120331, durable 120334",
                "snapshot    up to 118001, 512B logged since",
            ] { #expect(finished.out.contains(line + "\n"), "\(line)\n\(finished.out)") }
            #expect(
                finished.out.contains(#/\nelection    term 7: c-1 leads, \w+ ago, leader disconnected, took 240ms\n/#), "\(finished.out)")
            #expect(finished.out.contains(#/\nc-3 +follower +down +probe +118240 /#), "\(finished.out)")
        }
        let json = try raft(["status", "-o", "json"], node.url)
        #expect(try JSONScanner.parse(json.out) == JSONScanner.parse(Self.status("c-1", "leader")))
        #expect(try raft(["status", "-o", "name"], node.url).out == "c-1\n")
    }

    @Test func `each of several nodes has a row, and a dead one has the reason in it`() throws {
        let one = try AskedNode { _ in FalseNode.http(Self.status("c-1", "leader")) }
        let two = try AskedNode { _ in FalseNode.http(Self.status("c-2", "follower")) }
        let stopped = try AskedNode { _ in nil }
        let urls = [one.url, "http://127.0.0.1:1", two.url, stopped.url]
        let table = try raft(["status"], urls.joined(separator: ","))
        #expect(table.code == 0, "\(table.err)")
        let lines = table.out.split(separator: "\n").map(String.init)
        #expect(lines.count == 5, "\(table.out)")
        for (line, url) in zip(lines.dropFirst(), urls) { #expect(line.hasPrefix(url), "\(table.out)") }
        #expect(lines[1].contains(#/c-1 +leader +7 +c-1 +120331/#) && lines[3].contains(#/c-2 +follower +7 +c-1 /#), "\(table.out)")
        #expect(lines[2].contains("connection refused") && lines[4].contains("did not answer"), "\(table.out)")
        let json = try raft(["status", "-o", "json"], urls.joined(separator: ","))
        let items = try JSONScanner.parse(json.out).list ?? []
        #expect(items.map { $0["url"]?.string ?? "" } == urls)
        #expect(items.map { $0["error"] == nil } == [true, false, true, false])
    }

    @Test func `when no node answers it ends with 69, and the rows say why`() throws {
        let finished = try raft(["status"], "127.0.0.1:1,127.0.0.1:2")
        #expect(finished.code == 69)
        #expect(finished.out.split(separator: "\n").count == 3, "\(finished.out)")
        #expect(finished.err.contains("none of the 2 nodes answers"), "\(finished.err)")
        let alone = try raft(["status"], "127.0.0.1:1")
        #expect(alone.code == 69 && alone.out.isEmpty)
    }

    @Test func `peers are a row each, and what is not all is said to be`() throws {
        let node = try AskedNode { _ in
            FalseNode.http(
                #"""
                {"items": [{"node": "c-1", "role": "leader", "isConnected": true, "matchIndex": 9},
                           {"node": "c-4", "role": "learner", "isConnected": true, "state": "snapshot", "matchIndex": 0, "lag": 9,
                            "inFlightMessages": 1, "inFlightBytes": 262144, "silentForMs": 8, "address": "10.0.0.4:9000",
                            "snapshotChunks": 12, "snapshotChunksOf": 40}],
                 "partial": true, "reason": "c-1 does not lead"}
                """#)
        }
        let finished = try raft(["peers"], node.url)
        #expect(finished.code == 0, "\(finished.err)")
        #expect(
            finished.out.contains(#/\nc-4 +learner +up +snapshot +0 +9 +1 message, 262.1kB +8ms +10.0.0.4:9000 +12 of 40 chunks/#),
            "\(finished.out)")
        #expect(finished.err == "this is not all that there is to know: c-1 does not lead\n", "\(finished.err)")
        #expect(node.asked.map(\.line) == ["GET /api/v1/raft/peers"])
    }

    @Test func `how fresh an answer must be is asked with it`() throws {
        let node = try AskedNode { _ in FalseNode.http(Self.status("c-1", "leader")) }
        for word in ["stale", "leader", "linearizable"] {
            #expect(try raft(["status", "--consistency", word], node.url).code == 0)
        }
        #expect(try raft(["status"], node.url).code == 0)
        #expect(node.asked.map(\.query) == ["consistency=stale", "consistency=leader", "consistency=linearizable", ""])
        let wrong = try raft(["status", "--consistency", "strong"], node.url)
        #expect(wrong.code == 64 && wrong.err.contains("linearizable"), "\(wrong.err)")
    }

    // MARK: Changing

    @Test func `a change is asked for, and told with what to type next`() throws {
        let node = try AskedNode { line in
            switch line {
            case "POST /api/v1/raft:transfer": FalseNode.http(#"{"leader": "c-2", "changed": true}"#)
            case "POST /api/v1/raft:snapshot":
                FalseNode.http(#"{"node": "c-1", "requested": true, "appliedIndex": 120331, "snapshotIndex": 7}"#, status: "202 Accepted")
            default: FalseNode.http(#"{"done": true, "changed": true, "configurationIndex": 13}"#)
            }
        }
        let changes: [(words: [String], line: String, body: String, says: String, next: String)] = [
            (["add", "c-4"], "POST /api/v1/raft/members", #"{"add":"c-4","role":"voter"}"#, "c-4 votes", "raft peers"),
            (
                ["add", "c-4", "--learner"], "POST /api/v1/raft/members", #"{"add":"c-4","role":"learner"}"#, "c-4 is a learner",
                "raft promote c-4"
            ),
            (["promote", "c-4"], "POST /api/v1/raft/members/c-4:promote", "{}", "c-4 votes", "raft status"),
            (["remove", "c-3", "--yes"], "DELETE /api/v1/raft/members/c-3", "", "c-3 is no member any more", "raft status"),
            (["transfer", "--to", "c-2"], "POST /api/v1/raft:transfer", #"{"to":"c-2"}"#, "c-2 leads", "raft status"),
            (["transfer"], "POST /api/v1/raft:transfer", "{}", "c-2 leads", "raft status"),
            (["snapshot"], "POST /api/v1/raft:snapshot", "{}", "c-1 writes a snapshot of the state up to entry 120331", "raft status"),
        ]
        for (words, line, body, says, next) in changes {
            let finished = try raft(words, node.url)
            #expect(finished.code == 0, "\(words): \(finished.err)")
            #expect(finished.out == says + "\n", "\(words)")
            #expect(finished.err.hasPrefix("next: 'distric ") && finished.err.contains(next) || words[0] == "remove", "\(finished.err)")
            let asked = try #require(node.asked.last)
            #expect(asked.line == line && asked.body == body, "\(words): \(asked)")
            // The node is to give up first, and say how far it is.
            #expect(asked.query == "timeout=9s", "\(words): \(asked)")
        }
        let json = try raft(["transfer", "-o", "json"], node.url)
        #expect(try JSONScanner.parse(json.out)["leader"] == "c-2")
        #expect(json.err.isEmpty)
    }

    @Test func `a member is removed only when that was meant`() throws {
        let node = try AskedNode { _ in FalseNode.http("{}") }
        let finished = try raft(["remove", "c-3"], node.url)
        #expect(finished.code == 64 && finished.out.isEmpty)
        #expect(finished.err.contains("'distric raft remove c-3 --yes' does it"), "\(finished.err)")
        let reading = try run(Built.distric, ["shell", "--read-only", "--connect", node.url, "-c", "raft remove c-3 --yes"])
        #expect(reading.code == 77, "\(reading.err)")
        #expect(node.asked.isEmpty)
    }

    @Test func `a refusal is told in the node's words, what goes on as under way, what is not answered as unknown`() throws {
        let refusing = try AskedNode { _ in Self.problem("409 Conflict", "of the 2 voters that there would be, only 1 answer") }
        let refused = try raft(["remove", "c-3", "--yes"], refusing.url)
        #expect(refused.code == 1 && refused.out.isEmpty)
        #expect(refused.err == "distric: of the 2 voters that there would be, only 1 answer\n")
        let slow = try AskedNode { _ in FalseNode.http(#"{"done": false, "detail": "it goes on"}"#, status: "202 Accepted") }
        let late = try raft(["add", "c-4"], slow.url)
        #expect(late.code == 75 && late.err.contains("under way: 'distric raft status' shows"), "\(late.err)")
        let silent = try AskedNode { _ in nil }
        let unknown = try raft(["transfer", "--timeout", "300ms"], silent.url)
        #expect(unknown.code == 75 && unknown.err.contains("may be done all the same: 'distric raft status' tells"), "\(unknown.err)")
        #expect(silent.asked.map(\.query) == ["timeout=240ms"])
        let same = try AskedNode { _ in FalseNode.http(#"{"done": true, "changed": false}"#) }
        #expect(try raft(["promote", "c-2"], same.url).out == "nothing was changed: c-2 votes already\n")
    }

    @Test(arguments: [
        ["add"], ["add", "C 4"], ["add", ""], ["remove", "c/4", "--yes"], ["promote"], ["transfer", "--to", "Ü"], ["peers", "x"],
    ])
    func `what is no id is misuse, before anything is asked`(_ words: [String]) throws {
        let node = try AskedNode { _ in FalseNode.http("{}") }
        let finished = try raft(words, node.url)
        #expect(finished.code == 64 && finished.out.isEmpty, "\(words): \(finished.err)")
        #expect(node.asked.isEmpty)
    }

    @Test(arguments: ["status", "peers", "add", "remove", "promote", "transfer", "snapshot"])
    func `each has help`(_ word: String) throws {
        let finished = try run(Built.distric, ["raft", word, "--help"])
        #expect(finished.code == 0 && finished.err.isEmpty)
        #expect(finished.out.contains("USAGE: distric raft \(word)"), "\(finished.out)")
    }
}
