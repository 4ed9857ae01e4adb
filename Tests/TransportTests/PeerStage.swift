import NIOCore
import NIOPosix
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// A channel from `Stage.clientNode` and what its owner was told.
final class ToldChannel: Sendable {
    struct End: Sendable {
        let wasOpen: Bool
        let error: CallError
    }

    let channel: PeerChannel
    let opened = Kept<Peer>()
    let closed = Kept<End>()
    let received = Kept<Frame>()

    init(
        to address: PeerAddress, node: String, _ loop: any EventLoop, _ telemetry: Telemetry, tls: TLSSource?, faults: LinkFaults?,
        bufferLimit: Int, settings: PeerChannel.Settings
    ) throws {
        let (opened, closed, received) = (opened, closed, received)
        channel = PeerChannel(
            node: try NodeID(node), address: address, loop: loop, hello: try hello(Stage.clientNode), tls: tls, faults: faults,
            telemetry: telemetry, label: "control", bufferLimit: bufferLimit, settings: settings,
            events: PeerChannel.Events(
                opened: { opened.add($0) }, closed: { closed.add(End(wasOpen: $0, error: $1)) }, received: { received.add($0) }))
    }

    func onLoop<T: Sendable>(_ body: @escaping @Sendable (PeerChannel) -> T) async throws -> T {
        let channel = channel
        return try await channel.loop.submit { body(channel) }.get()
    }

    func start() async throws { try await onLoop { $0.start() } }
    func close() async throws { try await onLoop { $0.close() } }

    /// Whether it came up so often.
    func isOpen(times: Int = 1) async -> Bool { await eventually { opened.all.count >= times } }

    /// Sends entries with these numbers in one turn; how many were taken.
    @discardableResult
    func send(_ rounds: ClosedRange<UInt64>, bytes: Int = 0) async throws -> Int {
        try await onLoop { channel in
            var taken = 0
            for round in rounds where channel.send({ entries(round, bytes: bytes, into: &$0) }) { taken += 1 }
            channel.flush()
            return taken
        }
    }
}

/// A frame of Raft with a number and so many bytes.
func entries(_ round: UInt64, bytes: Int = 0, into buffer: inout ByteBuffer) {
    let entry = LogEntry(index: LogIndex(1), term: Term(1), kind: .commands, payload: [UInt8](repeating: 7, count: bytes))
    let message = AppendEntries(
        term: Term(1), leader: .unnamed, previousIndex: .zero, previousTerm: Term(0), commitIndex: .zero, entries: bytes > 0 ? [entry] : [],
        round: round)
    message.encode(FrameHeader(type: .appendEntries, flags: .oneWay), nil, into: &buffer)
}

/// Servers that take entries, and channels to them, on one event loop.
final class PeerStage: Sendable {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let serverTelemetry: Telemetry
    let telemetry: Telemetry
    let faults = LinkFaults(seed: 1)
    /// Numbers of the entries that came, in their order, and who sent them.
    let came = Kept<UInt64>()
    let contexts = Kept<RPCContext>()
    /// Nodes of which a connection ended.
    let gone = Kept<NodeID>()

    init() throws {
        serverTelemetry = Telemetry.quiet(node: try NodeID(Stage.serverNode))
        telemetry = Telemetry.quiet(node: try NodeID(Stage.clientNode))
    }

    var server: NodeID { get throws { try NodeID(Stage.serverNode) } }

    func serve(
        _ address: PeerAddress = .tcp(host: "127.0.0.1", port: 0), as node: String = Stage.serverNode, tls: TLSSource? = nil
    ) async throws -> (server: RPCServer, address: PeerAddress) {
        var handlers = RPCHandlers()
        let (came, contexts, gone) = (came, contexts, gone)
        handlers.raw(.appendEntries) { frame, context throws(CallError) in
            do throws(WireError) { came.add(try AppendEntries.decode(frame.payload).round) } catch { throw CallError(.invalid, "\(error)") }
            contexts.add(context)
        }
        let server = RPCServer(
            hello: try hello(node), handlers: handlers, tls: tls, group: group, telemetry: serverTelemetry, peerClosed: { gone.add($0) })
        return (server, try await server.listen(address))
    }

    func channel(
        to address: PeerAddress, node: String = Stage.serverNode, tls: TLSSource? = nil, bufferLimit: Int = 1 << 20,
        _ settings: PeerChannel.Settings = PeerChannel.Settings()
    ) throws -> ToldChannel {
        try ToldChannel(
            to: address, node: node, group.next(), telemetry, tls: tls, faults: faults, bufferLimit: bufferLimit, settings: settings)
    }

    /// A channel that is up, to a server of its own where no other is given.
    func opened(
        to given: PeerAddress? = nil, tls: TLSSource? = nil, bufferLimit: Int = 1 << 20,
        _ settings: PeerChannel.Settings = PeerChannel.Settings()
    ) async throws -> ToldChannel {
        var address = given
        if address == nil { address = try await serve().address }
        let told = try channel(to: try #require(address), tls: tls, bufferLimit: bufferLimit, settings)
        try await told.start()
        let isOpen = await told.isOpen()
        #expect(isOpen)
        return told
    }

    /// A channel to the next that comes to a raw server, which has welcomed it.
    func welcomed(
        by server: RawServer, bufferLimit: Int = 1 << 20, _ settings: PeerChannel.Settings = PeerChannel.Settings()
    ) async throws -> (told: ToldChannel, peer: RawPeer) {
        let told = try channel(to: server.address, bufferLimit: bufferLimit, settings)
        try await told.start()
        let peer = try await server.next()
        try await peer.welcome(hello(Stage.serverNode))
        let isOpen = await told.isOpen()
        #expect(isOpen)
        return (told, peer)
    }

    func count(_ name: String) -> Int { telemetry.count("distric_raft_peer_\(name)_total", ["link": "control"]) }
}

/// Runs a test with servers and channels, and shuts them down after it.
func withPeers(_ body: (PeerStage) async throws -> Void) async throws {
    let stage = try PeerStage()
    do { try await body(stage) } catch {
        try? await stage.group.shutdownGracefully()
        throw error
    }
    try? await stage.group.shutdownGracefully()
}
