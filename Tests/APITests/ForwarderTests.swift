import AsyncHTTPClient
import Cluster
import Hummingbird
import NIOCore
import NIOHTTP1
import Observability
import Primitives
import Synchronization
import Testing

@testable import API

/// What is between a node and its leader's front door: how long it is waited for, and how many at once.
struct ForwarderTests {
    private let consensus: FalseConsensus
    private let telemetry: Telemetry

    init() throws {
        consensus = FalseConsensus(try .of("c-1", leader: "c-2"))
        telemetry = .quiet(node: consensus.node)
    }

    private func withForwarder(
        _ change: (inout Forwarder.Settings) -> Void = { _ in }, _ body: (Forwarder) async throws -> Void
    ) async throws {
        var settings = Forwarder.Settings()
        (settings.look, settings.grace) = (.milliseconds(5), .milliseconds(5))
        change(&settings)
        let forwarder = Forwarder(consensus: consensus, telemetry: telemetry, settings: settings)
        let result: Result<Void, any Error>
        do { result = .success(try await body(forwarder)) } catch { result = .failure(error) }
        await forwarder.close()
        try result.get()
    }

    private func ask(
        _ forwarder: Forwarder, _ leader: FalseLeader, method: String = "POST", isStream: Bool = false, within: Duration = .seconds(30)
    ) async throws -> Response {
        var request = HTTPClientRequest(url: leader.url + "/api/v1/messages")
        request.method = .init(rawValue: method)
        return try await forwarder.forward(
            request, isStream: isStream, to: .init(node: try NodeID("c-2"), url: leader.url), within: within)
    }

    private func problem(_ work: () async throws -> Response) async throws -> Problem {
        try #require(await #expect(throws: Problem.self) { _ = try await work() })
    }

    private static let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: rows\ndata: {}\n\n"

    @Test func `a leader that answers nothing is waited for as long as was said`() async throws {
        let leader = try FalseLeader(.silence(after: ""))
        try await withForwarder { forwarder in
            let problem = try await problem { try await ask(forwarder, leader, within: .milliseconds(100)) }
            #expect(problem.type == "leader_unreachable")
            #expect(problem.isUncertain)
            #expect(problem.detail.contains("did not answer within 100ms"), "\(problem.detail)")
        }
    }

    @Test func `a leader that another one follows is waited for no longer`() async throws {
        let leader = try FalseLeader(.silence(after: ""))
        let successor = try NodeID("c-3")
        try await withForwarder { forwarder in
            consensus.set { $0.status.leader = successor }
            let problem = try await problem { try await ask(forwarder, leader) }
            #expect(problem.isUncertain)
            #expect(problem.detail.contains("another node does by now"), "\(problem.detail)")
        }
    }

    @Test func `while nobody is known to lead the one that was asked may still answer`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withForwarder { forwarder in
            consensus.set { $0.status.leader = nil }
            let response = try await ask(forwarder, leader)
            #expect(response.status == .ok)
        }
    }

    @Test func `more than so many at once are refused as busy, and counted`() async throws {
        let leader = try FalseLeader(.silence(after: Self.stream))
        try await withForwarder({ ($0.requests, $0.streams) = (1, 1) }) { forwarder in
            let first = try await ask(forwarder, leader, isStream: true)
            let problem = try await problem { try await ask(forwarder, leader, isStream: true) }
            #expect(problem.type == "busy")
            #expect(problem.retryAfterSeconds == 1)
            #expect(problem.detail.contains("1 streams are with the leader already"), "\(problem.detail)")
            // A stream takes nothing of what requests have.
            let other = try await ask(forwarder, leader)
            #expect(other.status == .ok)
            #expect(telemetry.metrics.counter("distric_http_forwarded_total", "", ["result": "busy"]).count == 1)
            withExtendedLifetime((first, other)) {}
        }
    }

    @Test func `an answer that nobody reads gives its place back`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withForwarder({ $0.requests = 1 }) { forwarder in
            for _ in 0..<5 {
                let response = try await ask(forwarder, leader)
                #expect(response.status == .ok)
            }
        }
    }

    @Test func `a stream ends when its node leads no more`() async throws {
        let leader = try FalseLeader(.silence(after: Self.stream))
        let successor = try NodeID("c-3")
        let consensus = consensus
        try await withForwarder { forwarder in
            let response = try await ask(forwarder, leader, method: "GET", isStream: true)
            let body = Collected { consensus.set { $0.status.leader = successor } }
            try await response.body.write(body)
            #expect(body.text == "event: rows\ndata: {}\n\n")
            #expect(body.isFinished)
        }
    }

    @Test func `an answer that stops in the middle is not taken for a whole one`() async throws {
        let leader = try FalseLeader(.silence(after: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
        try await withForwarder { forwarder in
            let response = try await ask(forwarder, leader, method: "GET", within: .milliseconds(200))
            let body = Collected {}
            await #expect(throws: (any Error).self) { try await response.body.write(body) }
            #expect(body.text == "{")
            #expect(!body.isFinished)
        }
    }

    @Test func `a node that stops passes nothing on`() async throws {
        let leader = try FalseLeader(FalseLeader.http("200 OK", "{}"))
        try await withForwarder { forwarder in
            await forwarder.close()
            let problem = try await problem { try await ask(forwarder, leader) }
            #expect(problem.type == "busy")
            #expect(problem.detail.contains("stopping"))
        }
        #expect(leader.requests.isEmpty)
    }

    /// What a response writes; the first piece sets something off.
    private final class Collected: ResponseBodyWriter, @unchecked Sendable {
        private(set) var text = ""
        private(set) var isFinished = false
        private let onPiece: () -> Void

        init(_ onPiece: @escaping () -> Void) { self.onPiece = onPiece }

        func write(_ buffer: ByteBuffer) async throws {
            text += String(buffer: buffer)
            onPiece()
        }

        func finish(_ trailingHeaders: HTTPFields?) async throws { isFinished = true }
    }
}
