import NIOCore
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// A client and what answers it by mistake or with bad intent (ClientConnection.swift, ConnectionPool.swift).
@Suite(.timeLimit(.minutes(1)))
struct HostileServersTests {
    /// How a call fails whose connection is served so.
    private func served(
        cluster: UUIDv7? = nil, _ serve: @escaping @Sendable (RawPeer) async throws -> Void
    ) async throws -> (error: CallError?, telemetry: Telemetry) {
        let server = try RawServer()
        var found: (CallError?, Telemetry)?
        try await withClient(cluster: cluster) { client, telemetry in
            let serving = Task {
                let peer = try await server.next()
                try await serve(peer)
                return peer
            }
            let error = await failure {
                try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(5))
            }
            let peer = try await serving.value
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            found = (error, telemetry)
        }
        let (error, telemetry) = try #require(found)
        return (error, telemetry)
    }

    @Test func `a server that accepts and says nothing is unavailable when the time to connect is over`() async throws {
        let server = try RawServer()
        var settings = RPCClient.Settings()
        settings.connectTimeout = .milliseconds(200)
        try await withClient(settings) { client, telemetry in
            let began = ContinuousClock.now
            let error = await failure {
                try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(20))
            }
            #expect(error?.code == .unavailable)
            #expect(error?.isUncertain == false)
            #expect(error?.message.contains("did not say hello") == true)
            #expect(began.duration(to: .now) < .seconds(8))
            let failures = telemetry.count("distric_rpc_connect_failures_total")
            #expect(failures == RetryBudget().attempts)
        }
    }

    @Test func `a server that answers garbage does not speak the protocol`() async throws {
        let (error, telemetry) = try await served { peer in await peer.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.isRetryable == false)
        let cut = telemetry.count("distric_rpc_connections_cut_total", ["side": "client", "reason": "protocol_violation"])
        #expect(cut == 1)
    }

    @Test func `a server of another cluster is refused`() async throws {
        let (error, _) = try await served(cluster: UUIDv7(high: 1, low: 1)) { peer in
            try await peer.welcome(hello("other", cluster: UUIDv7(high: 2, low: 2)))
        }
        #expect(error?.code == .wrongCluster)
    }

    @Test func `a server of another version is refused`() async throws {
        let (error, _) = try await served { peer in
            var other = try hello("other")
            other.lowest = WireVersion(major: 2, minor: 0)
            other.highest = WireVersion(major: 2, minor: 1)
            try await peer.welcome(other)
        }
        #expect(error?.code == .unsupportedVersion)
        #expect(error?.message.contains("2.0 to 2.1") == true)
    }

    @Test func `a server whose hello cannot be read is refused`() async throws {
        let (error, _) = try await served { peer in
            var bytes = ByteBuffer()
            FrameEncoder.frame(FrameHeader(type: .hello, flags: .response), payload: ByteBuffer(bytes: [1, 2, 3]), into: &bytes)
            await peer.send(bytes)
        }
        #expect(error?.code == .protocolViolation)
    }

    @Test func `a server that refuses the connection is heard`() async throws {
        let (error, _) = try await served { peer in
            await peer.send(ErrorReply(.denied, "not you").frame(flags: [.response, .error]))
        }
        #expect(error?.code == .denied)
        #expect(error?.message == "not you")
    }

    @Test func `a server that answers with another message, or one that cannot be read, is told apart from a good one`() async throws {
        let server = try RawServer()
        try await withClient { client, _ in
            let serving = Task {
                let peer = try await server.next()
                try await peer.welcome()
                for number in 0..<3 {
                    guard let frame = await peer.frame() else { return peer }
                    switch number {
                    case 0: await peer.send(Ack(sequence: 1, from: .unnamed).frame(id: frame.header.id, flags: .response))
                    case 1:
                        var bytes = ByteBuffer()
                        FrameEncoder.frame(
                            FrameHeader(type: .taskStatus, flags: .response, id: frame.header.id), payload: ByteBuffer(bytes: [1, 2]),
                            into: &bytes)
                        await peer.send(bytes)
                    default:
                        // To what was never asked, twice, and to what was.
                        await peer.send(TaskStatus().frame(id: 1 << 40, flags: .response))
                        await peer.send(TaskStatus().frame(id: 1 << 40, flags: .response))
                        var status = TaskStatus()
                        status.task = "right"
                        await peer.send(status.frame(id: frame.header.id, flags: .response))
                    }
                }
                return peer
            }
            for _ in 0..<2 {
                let error = await failure {
                    try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(5))
                }
                #expect(error?.code == .protocolViolation)
                #expect(error?.isUncertain == true)
            }
            let status = try await client.call(TaskAssignment(), to: server.address, timeout: .seconds(5))
            #expect(status.task == "right")
            let peer = try await serving.value
            peer.shut()
        }
    }

    // MARK: The breaker

    @Test func `a peer that fails several times is left alone for a while, then tried once`() async throws {
        let address = try RawServer.closedPort()
        var settings = RPCClient.Settings()
        settings.breakerLimit = 3
        try await withStage(client: settings) { stage in
            for _ in 0..<3 {
                let error = await failure { try await stage.client.peer(at: address, timeout: .seconds(5)) }
                #expect(error?.code == .unavailable)
                #expect(error?.message.contains("connection refused") == true)
                #expect(error?.retryAfter == nil)
            }
            let refused = await failure { try await stage.client.peer(at: address, timeout: .seconds(5)) }
            #expect(refused?.code == .unavailable)
            #expect(refused?.message.contains("failed several times") == true)
            #expect(refused?.retryAfter != nil)
            #expect(refused?.isUncertain == false)
            let failures = stage.clientTelemetry.count("distric_rpc_connect_failures_total")
            #expect(failures == 3)
            let refusals = stage.clientTelemetry.count("distric_rpc_breaker_refusals_total")
            #expect(refusals == 1)
            #expect(stage.client.peers.map(\.breaker) == ["open"])
            #expect(stage.client.peers.first?.lastError?.contains("connection refused") == true)
            // Nobody is there still: one try, and it is left alone again, for longer.
            stage.clock.advance(by: .seconds(1))
            let again = await failure { try await stage.client.peer(at: address, timeout: .seconds(5)) }
            #expect(again?.message.contains("connection refused") == true)
            let still = await failure { try await stage.client.peer(at: address, timeout: .seconds(5)) }
            #expect(still?.message.contains("failed several times") == true)
            let more = stage.clientTelemetry.count("distric_rpc_connect_failures_total")
            #expect(more == 4)
            // Somebody is there now.
            _ = try await stage.server.listen(address)
            stage.clock.advance(by: .seconds(20))
            let answer = try await stage.client.call(ClientQuery(path: "x"), to: address)
            #expect(text(answer) == "x")
            #expect(stage.client.peers.map(\.breaker) == ["closed"])
            #expect(stage.client.peers.first?.lastError == nil)
        }
    }
}
