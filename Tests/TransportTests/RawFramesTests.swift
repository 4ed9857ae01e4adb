import NIOCore
import Primitives
import Synchronization
import Testing
import Wire

@testable import Transport

/// Frames that go one way and are handed over as they came, and ends of connections that nodes had (RPCHandlers.swift, RPCServer.swift).
@Suite(.timeLimit(.minutes(1)))
struct RawFramesTests {
    private struct Seen: Sendable {
        let type: MessageType
        let payload: [UInt8]
        let node: String?
        let isProved: Bool
    }

    /// A pair of handlers that note what they see, and refuse an empty payload.
    private func handlers(_ seen: Kept<Seen>) -> RPCHandlers {
        var handlers = usualHandlers()
        for type in [MessageType.appendEntries, .requestVoteReply] {
            handlers.raw(type) { frame, context throws(CallError) in
                guard frame.payload.readableBytes > 0 else { throw CallError(.invalid, "empty") }
                seen.add(
                    Seen(
                        type: frame.header.type, payload: Array(frame.payload.readableBytesView), node: context.node?.text,
                        isProved: context.isProved))
            }
        }
        return handlers
    }

    private func frame(_ type: MessageType, _ payload: [UInt8], id: UInt64 = 0, flags: FrameFlags = .oneWay) -> ByteBuffer {
        var buffer = ByteBuffer()
        FrameEncoder.frame(FrameHeader(type: type, flags: flags, id: id), payload: ByteBuffer(bytes: payload), into: &buffer)
        return buffer
    }

    @Test func `a handler sees the frame as it came, and the node that sent it`() async throws {
        let seen = Kept<Seen>()
        try await withStage(handlers(seen)) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet(hello("c-2"))
            // No message of its type can be read from it.
            await peer.send(frame(.appendEntries, [1, 2, 3]))
            await peer.send(frame(.requestVoteReply, [4]))
            let client = try RawPeer(to: stage.address)
            try await client.greet(hello(nil))
            let areSeen = await eventually { seen.all.count == 2 }
            #expect(areSeen)
            await client.send(frame(.appendEntries, [5]))
            let isThird = await eventually { seen.all.count == 3 }
            #expect(isThird)
            #expect(seen.all.map(\.type) == [.appendEntries, .requestVoteReply, .appendEntries])
            #expect(seen.all.map(\.payload) == [[1, 2, 3], [4], [5]])
            #expect(seen.all.map(\.node) == ["c-2", "c-2", nil])
            #expect(seen.all.allSatisfy { !$0.isProved })
            let calls = stage.serverTelemetry.count(
                "distric_rpc_calls_total", ["side": "server", "method": "append_entries", "code": "ok"])
            #expect(calls == 2)
        }
    }

    @Test func `an error of a handler is counted and told to nobody, and the connection goes on`() async throws {
        let seen = Kept<Seen>()
        try await withStage(handlers(seen)) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(frame(.appendEntries, []))
            await peer.send(ClientQuery(path: "after").frame(id: 4))
            let answer = await peer.frame()
            #expect(answer?.header.id == 4)
            #expect(answer?.header.type == .clientResponse)
            let failed = stage.serverTelemetry.count(
                "distric_rpc_calls_total", ["side": "server", "method": "append_entries", "code": "invalid"])
            #expect(failed == 1)
            #expect(seen.all.isEmpty)
        }
    }

    @Test func `who waits for an answer is told that there is none, and the handler does not see it`() async throws {
        let seen = Kept<Seen>()
        try await withStage(handlers(seen)) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(frame(.appendEntries, [1], id: 9, flags: []))
            let refusal = await peer.error()
            #expect(refusal?.code == .invalid)
            #expect(refusal?.message.contains("append_entries has no answer") == true)
            #expect(seen.all.isEmpty)
        }
    }

    @Test func `raw frames are heard while a server drains, calls are not`() async throws {
        let (seen, gate, started) = (Kept<Seen>(), Gate(), Tally())
        var handlers = handlers(seen)
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            await gate.wait()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(ClientQuery(path: "long").frame(id: 1))
            let isStarted = await eventually { started.count == 1 }
            #expect(isStarted)
            let draining = Task { await stage.server.drain(grace: .seconds(20)) }
            let isDraining = await eventually { stage.server.core.isDraining.load(ordering: .acquiring) }
            #expect(isDraining)
            await peer.send(Ping(sequence: 1, from: .unnamed).frame(id: 2))
            let refusal = await peer.error()
            #expect(refusal?.code == .draining)
            await peer.send(frame(.appendEntries, [1]))
            let isSeen = await eventually { seen.all.count == 1 }
            #expect(isSeen)
            gate.open()
            await draining.value
        }
    }

    @Test func `a caller is proved when its certificate is a node's and its hello names it`() throws {
        func context(_ node: String?, _ uri: String?) throws -> RPCContext {
            RPCContext(
                peer: try Handshake(own: hello(nil)).accept(hello(node)), remote: "", trace: nil, deadline: nil, session: nil,
                sequence: nil,
                idempotencyKey: nil, identity: uri.map { PeerIdentity(uri: $0) })
        }
        #expect(try context("c-1", "distric://node/c-1").isProved)
        #expect(try context("c-1", "distric://node/c-1").node?.text == "c-1")
        #expect(try !context("c-1", nil).isProved)
        #expect(try !context(nil, "distric://node/c-1").isProved)
        #expect(try !context(nil, "distric://client/c-1").isProved)
    }

    // MARK: Ends

    @Test func `the end of a node's connection is told, and no other's`() async throws {
        try await withPeers { stage in
            let (server, address) = try await stage.serve()
            let node = try RawPeer(to: address)
            try await node.greet(hello("c-2"))
            let other = try RawPeer(to: address)
            try await other.greet(hello("c-3"))
            let client = try RawPeer(to: address)
            try await client.greet(hello(nil))
            let silent = try RawPeer(to: address)
            let areThere = await eventually { server.connectionCount == 4 }
            #expect(areThere)
            #expect(stage.gone.all.isEmpty)
            client.shut()
            silent.shut()
            node.shut()
            let isOne = await eventually { server.connectionCount == 1 }
            #expect(isOne)
            let isTold = await eventually { !stage.gone.all.isEmpty }
            #expect(isTold)
            #expect(stage.gone.all.map(\.text) == ["c-2"])
            await server.drain(grace: .zero)
            let isLast = await eventually { stage.gone.all.count == 2 }
            #expect(isLast)
            #expect(stage.gone.all.map(\.text) == ["c-2", "c-3"])
            other.shut()
        }
    }
}
