import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// An answer with its headers, names in lower case.
struct RawAnswer {
    var status: Int
    var headers: [String: String]
    var body: String

    var value: Value { (try? JSONScanner.parse(body)) ?? .null }
}

/// A socket of its own: for what an HTTP client would not send, or would hide.
final class RawConnection {
    struct Failure: Error {}

    private let descriptor: Int32
    private var received: [UInt8] = []
    /// What was asked last: an answer to HEAD has no body, whatever its length says.
    private var method = ""

    init(_ url: String) throws {
        guard let port = UInt16(url.split(separator: ":").last ?? "") else { throw Failure() }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var wait = timeval(tv_sec: 0, tv_usec: 100_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard code == 0 else { throw Failure() }
    }

    deinit { close(descriptor) }

    /// Sends a request; a body gets its length unless the headers say otherwise.
    func send(_ method: String, _ path: String, _ headers: [String] = [], body: [UInt8] = []) throws {
        self.method = method
        var lines = ["\(method) \(path) HTTP/1.1"] + headers
        if !headers.contains(where: { $0.hasPrefix("Host:") }) { lines.append("Host: 127.0.0.1") }
        let isChunked = headers.contains { $0.hasPrefix("Transfer-Encoding:") }
        if !isChunked, !body.isEmpty { lines.append("Content-Length: \(body.count)") }
        var bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        if isChunked {
            bytes += Array("\(String(body.count, radix: 16))\r\n".utf8) + body + Array("\r\n0\r\n\r\n".utf8)
        } else {
            bytes += body
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Everything received so far, once `isEnough` or the other side has closed; at most ten seconds.
    func read(until isEnough: (String) -> Bool) -> String {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end {
            let text = String(decoding: received, as: UTF8.self)
            if isEnough(text) { return text }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { break }
            if count > 0 { received += buffer[..<count] } else if errno != EAGAIN, errno != EINTR { break }
        }
        return String(decoding: received, as: UTF8.self)
    }

    /// One answer that has a length.
    func answer() throws -> RawAnswer {
        let text = read { parse($0) != nil }
        guard let answer = parse(text) else { throw Failure() }
        return answer
    }

    private func parse(_ text: String) -> RawAnswer? {
        guard let gap = text.range(of: "\r\n\r\n") else { return nil }
        let lines = String(text[..<gap.lowerBound]).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count > 1, let status = Int(words[1]) else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let body = String(text[gap.upperBound...])
        guard method == "HEAD" || body.utf8.count >= Int(headers["content-length"] ?? "0") ?? 0 else { return nil }
        return RawAnswer(status: status, headers: headers, body: body)
    }
}

/// One request on a connection of its own.
func raw(_ url: String, _ method: String, _ path: String, _ headers: [String] = [], body: String = "") throws -> RawAnswer {
    let connection = try RawConnection(url)
    try connection.send(method, path, headers, body: Array(body.utf8))
    return try connection.answer()
}

/// What a node tells of itself: metrics, health, events, traces, logs; and the pages about it.
struct ObservationTests {
    private func started(_ folder: TemporaryFolder) throws -> RunningNode { try RunningNode(data: folder.path + "/data", smallNode) }

    @Test func `health says live, ready, and how each part is`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let live = try raw(node.url, "GET", "/health/live")
        #expect(live.status == 200)
        #expect(live.value == ["status": "up", "node": "n1"])
        let ready = try raw(node.url, "GET", "/health/ready")
        #expect(ready.status == 200)
        let parts = ready.value["components"]?.list ?? []
        let names = Set(parts.compactMap { $0["name"]?.string })
        #expect(names.isSuperset(of: ["disk", "http", "raft", "storage"]))
        #expect(parts.allSatisfy { $0["status"]?.string != "down" && $0["since"]?.string?.isEmpty == false })
        let command = try node.distric("health", "-o", "json")
        #expect(command.code == 0)
        #expect(try JSONScanner.parse(command.out).list?.count == parts.count)
        // Probes of load balancers often ask with HEAD.
        #expect(try raw(node.url, "HEAD", "/health/live").status == 200)
    }

    // MARK: Events

    /// The numbers of the events that came, in order.
    private func numbers(_ text: String) -> [UInt64] {
        text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("id: ") }.compactMap { UInt64($0.dropFirst(4)) }
    }

    private func follow(_ node: RunningNode, after: String?, until isEnough: (String) -> Bool) throws -> String {
        let stream = try RawConnection(node.url)
        try stream.send("GET", "/api/v1/events", ["Accept: text/event-stream"] + (after.map { ["Last-Event-ID: \($0)"] } ?? []))
        return stream.read(until: isEnough)
    }

    @Test func `a stream of events resumes after the last one seen, without gap or repeat`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let first = try follow(node, after: "0") { $0.contains("event: raft.leader") && $0.hasSuffix("\n\r\n") }
        #expect(first.contains("content-type: text/event-stream") || first.contains("Content-Type: text/event-stream"))
        #expect(first.contains("event: node.started"))
        let seen = numbers(first)
        #expect(seen.count >= 2)
        #expect(seen == seen.sorted() && Set(seen).count == seen.count)
        let last = try #require(seen.last)
        try await node.apply(pair("evented", script("exit 1")))
        _ = try await node.ended(try await node.submit("evented"))
        let second = try follow(node, after: "\(last)") { $0.contains("event: task.failed") && $0.hasSuffix("\n\r\n") }
        #expect(numbers(second).first == last + 1)
        #expect(second.contains("event: catalog.changed"))
        #expect(!second.contains("event: node.started"))
        let listed = try await node.client.get("/api/v1/events", [("after", "\(last)"), ("limit", "1000")])
        #expect(listed.items.first?["seq"] == Value(last + 1))
    }

    @Test(arguments: ["abc", "-1", "1.5", "99999999999999999999"]) func `an event number that is none is refused`(_ text: String) throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let answer = try raw(node.url, "GET", "/api/v1/events", ["Accept: text/event-stream", "Last-Event-ID: \(text)"])
        #expect(answer.status == 400)
        #expect(answer.value["code"]?.string == "invalid_event_id")
    }

    @Test func `event numbers never come twice, over a crash either`() async throws {
        let folder = try TemporaryFolder()
        var node = try started(folder)
        let before = try await node.client.get("/api/v1/events").items.compactMap { $0["seq"]?.int }
        node.crash()
        node = try started(folder)
        let after = try await node.client.get("/api/v1/events").items.compactMap { $0["seq"]?.int }
        #expect(!before.isEmpty && !after.isEmpty)
        #expect(try #require(after.min()) > #require(before.max()))
    }

    @Test func `event numbers that cannot be read are an error of the folder, not a crash`() throws {
        let folder = try TemporaryFolder()
        #expect(try started(folder).stop() == 0)
        for text in ["18446744073709551615\n", "x\n"] {
            try text.write(toFile: folder.path + "/data/event-numbers", atomically: false, encoding: .utf8)
            let finished = try refusal(folder.path + "/data")
            #expect(finished.code == 65, "\(finished.err)")
        }
    }

    // MARK: Traces

    private static let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func `a walk belongs to its caller's trace, and its spans can be read`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        try await node.apply(pair("traced", script("echo $TRACEPARENT")))
        let answer = try raw(
            node.url, "POST", "/api/v1/messages", ["traceparent: \(Self.incoming)", "tracestate: vendor=1"],
            body: "{\"type\":\"traced\",\"data\":1}")
        #expect(answer.status == 202)
        let outgoing = try #require(answer.headers["traceparent"]).split(separator: "-").map(String.init)
        #expect(outgoing.count == 4)
        #expect(outgoing[1] == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(outgoing[2] != "00f067aa0ba902b7")
        let run = try await node.ended(try #require(answer.value["runs"]?.list?.first?.string))
        #expect(run["traceId"]?.string == outgoing[1])
        // The program was told the span of its attempt.
        let told = try #require(run.firstTask["output"]?.string).split(separator: "-").map(String.init)
        #expect(told.count == 4 && told[1] == outgoing[1])
        let trace = try await eventually {
            try await node.client.get("/api/v1/traces/\(outgoing[1])")
        } until: {
            ($0["spans"]?.list?.count ?? 0) >= 5
        }
        let spans = trace["spans"]?.list ?? []
        let byName = Dictionary(spans.map { ($0["name"]?.string ?? "", $0) }, uniquingKeysWith: { first, _ in first })
        let request = try #require(byName["POST /api/v1/messages"])
        #expect(request["parentId"]?.string == "00f067aa0ba902b7")
        #expect(request["spanId"]?.string == outgoing[2])
        for name in ["rules.match", "raft.propose"] { #expect(byName[name]?["parentId"]?.string == outgoing[2], "\(name)") }
        #expect(byName["run traced"] != nil, "\(byName.keys.sorted())")
        #expect(byName["task only"]?["spanId"]?.string == told[2])
        let ids = Set(spans.compactMap { $0["spanId"]?.string })
        #expect(ids.count == spans.count)
        #expect(spans.allSatisfy { $0["traceId"]?.string == outgoing[1] && ($0["durationMs"]?.number ?? -1) >= 0 })
        #expect(spans.allSatisfy { ids.contains($0["parentId"]?.string ?? "") || $0 == request })
        let shown = try node.distric("traces", "show", outgoing[1])
        #expect(shown.code == 0)
        #expect(shown.out.contains("task only"))
    }

    @Test(arguments: [
        "", "garbage", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ]) func `a traceparent that is none begins a new trace`(_ text: String) throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let answer = try raw(node.url, "POST", "/api/v1/messages", text.isEmpty ? [] : ["traceparent: \(text)"], body: "{\"data\":1}")
        #expect(answer.status == 200)
        let outgoing = try #require(answer.headers["traceparent"]).split(separator: "-")
        #expect(outgoing.count == 4)
        #expect(outgoing[1] != "4bf92f3577b34da6a3ce929d0e0e4736" && outgoing[1].contains { $0 != "0" })
    }

    @Test func `a trace that is not kept is not found`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        #expect(try raw(node.url, "GET", "/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736").status == 404)
        let shown = try node.distric("traces", "show", "nope")
        #expect(shown.code == 1)
        #expect(shown.err.contains("no spans of trace 'nope'"))
    }

    // MARK: Logs and pages

    @Test func `every line of the log is one JSON object`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        #expect(try await node.outcome(of: script("exit 1"), "logged")["state"]?.string == "failed")
        #expect(node.stop() == 0)
        let lines = node.logText.split(separator: "\n")
        #expect(lines.count >= 3)
        for line in lines {
            let value = try JSONScanner.parse(String(line))
            for key in ["time", "level", "label", "message"] { #expect(value[key]?.string?.isEmpty == false, "\(line)") }
        }
        #expect(try JSONScanner.parse(String(try #require(lines.last)))["message"]?.string == "stopped")
    }

    @Test func `man pages are without a warning`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appending(path: "Man").path(percentEncoded: false)
        let pages = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted()
        #expect(!pages.isEmpty)
        guard let mandoc = Built.tool("mandoc") else { return }
        for page in pages {
            let checked = try run(mandoc, ["-T", "lint", "-W", "warning", "\(folder)/\(page)"])
            #expect(checked.code == 0, "\(checked.out)\(checked.err)")
        }
    }
}
