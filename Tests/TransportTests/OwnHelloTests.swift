import NIOCore
import NIOPosix
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// What a node says of itself may change while it runs (OwnHello.swift).
@Suite(.timeLimit(.minutes(1)))
struct OwnHelloTests {
    private let ours = UUIDv7(high: 1, low: 1)

    private func change(_ own: OwnHello) {
        own.change { hello in
            hello.cluster = ours
            hello.address = "127.0.0.1:9001"
            hello.http = "http://127.0.0.1:8081"
        }
    }

    /// What a server says to who connects now.
    private func said(_ address: PeerAddress) async throws -> Hello {
        let peer = try RawPeer(to: address)
        await peer.send(try hello(nil).frame())
        let frame = await peer.frame()
        return try Hello.decode(try #require(frame).payload)
    }

    @Test func `a server says what is known when a connection begins, and refuses by it`() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let own = OwnHello(try hello(Stage.serverNode))
        let server = RPCServer(
            hello: own, handlers: usualHandlers(), group: group, telemetry: Telemetry.quiet(node: try NodeID(Stage.serverNode)))
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        let stranger = try hello("stranger", cluster: UUIDv7(high: 2, low: 2))
        let early = try RawPeer(to: address)
        try await early.greet(stranger)
        let before = try await said(address)
        #expect(before.cluster == nil)
        #expect(before.address == nil)
        change(own)
        let after = try await said(address)
        #expect(after == own.current)
        #expect(after.cluster == ours)
        #expect(after.http == "http://127.0.0.1:8081")
        let late = try RawPeer(to: address)
        await late.send(stranger.frame())
        let refusal = await late.error()
        #expect(refusal?.code == .wrongCluster)
        await server.drain(grace: .zero)
        try await group.shutdownGracefully()
    }

    @Test func `a client says what is known when a connection begins`() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let own = OwnHello(try hello(Stage.clientNode))
        let client = RPCClient(hello: own, group: group, telemetry: Telemetry.quiet(node: try NodeID(Stage.clientNode)))
        let server = try RawServer()
        for isKnown in [false, true] {
            if isKnown { change(own) }
            let asked = Task { try await client.peer(at: server.address, timeout: .seconds(10)) }
            let peer = try await server.next()
            let frame = await peer.frame()
            let found = try #require(frame)
            let heard = try Hello.decode(found.payload)
            #expect(heard == own.current)
            #expect(heard.cluster == (isKnown ? ours : nil))
            await peer.send(try hello("raw").frame(flags: .response))
            _ = try await asked.value
            peer.shut()
            let isGone = await eventually { client.peers.allSatisfy { $0.connections == 0 } }
            #expect(isGone)
        }
        client.close()
        try await group.shutdownGracefully()
    }
}
