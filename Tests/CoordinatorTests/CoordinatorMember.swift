import NIOCore
import NIOPosix
import Observability
import Primitives
import Storage
import Synchronization
import Transport
import Wire

@testable import Cluster
@testable import Coordinator

/// One coordinator of several on loopback: the node, its folder, and the server on which the others reach it.
final class CoordinatorMember: Sendable {
    static let cluster = UUIDv7(high: 0xC1, low: 0x57E2)

    let id: NodeID
    let own: OwnHello
    /// Of what it sends.
    let faults: LinkFaults
    let telemetry: Telemetry
    let node: CoordinatorNode
    private let server: RPCServer
    private let client: RPCClient
    private let fetching: Task<Void, Never>
    private let forwarding: Task<Void, Never>
    private let group: MultiThreadedEventLoopGroup

    var state: CoordinatorState { node.loop.current.state }
    var isLeading: Bool { node.loop.isLeading }

    init(
        _ id: NodeID, in path: String, founders: [NodeID], epoch: UInt64, settings: CoordinatorNode.Settings, disk: any Disk,
        prepare: (LinkFaults) -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (telemetry, faults, box) = (Telemetry.quiet(node: id), LinkFaults(seed: epoch), NodeBox())
        prepare(faults)
        var hello = Hello()
        (hello.node, hello.roles, hello.software) = (id, ["coordinator"], "test")
        (hello.epoch, hello.cluster, hello.featureLevel) = (epoch, Self.cluster, CommandCodec.featureLevel)
        let own = OwnHello(hello)
        let server = RPCServer(hello: own, handlers: Self.handlers(box), faults: faults, group: group, telemetry: telemetry)
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        own.change { $0.address = address.description }
        do {
            let folder = try DataFolder.open(path, node: id, fallback: id, featureLevel: CommandCodec.featureLevel, disk: disk) {
                Self.cluster
            }
            let directory = try PeerDirectory(own: own, node: id, disk: disk, path: path + "/peers", clock: telemetry.clock)
            node = try CoordinatorNode(
                folder: folder, disk: disk, settings: settings, telemetry: telemetry, seed: epoch,
                network: .init(loop: group.next(), hello: own, tls: nil, faults: faults, directory: directory), founders: founders)
        } catch {
            await server.drain(grace: .zero)
            try? await group.shutdownGracefully()
            throw error
        }
        box.node = node
        var calls = RPCClient.Settings()
        (calls.attempts, calls.connectTimeout) = (1, .seconds(1))
        let client = RPCClient(hello: own, settings: calls, faults: faults, group: group, telemetry: telemetry)
        let fetch = node.historyFetch
        fetching = Task { await fetch.run(through: client) }
        let forwarder = node.forwarder
        forwarding = Task { await forwarder.run(through: client) }
        self.client = client
        (self.id, self.own, self.faults, self.telemetry, self.server, self.group) = (id, own, faults, telemetry, server, group)
    }

    private final class NodeBox: Sendable {
        private let found = Mutex<CoordinatorNode?>(nil)

        var node: CoordinatorNode? {
            get { found.withLock { $0 } }
            set { found.withLock { $0 = newValue } }
        }
    }

    private static func handlers(_ box: NodeBox) -> RPCHandlers {
        var handlers = RPCHandlers()
        let types: [MessageType] = [
            .preVote, .preVoteReply, .requestVote, .requestVoteReply, .appendEntries, .appendEntriesReply, .installSnapshot,
            .installSnapshotReply, .timeoutNow, .readIndex, .readIndexReply,
        ]
        for type in types {
            handlers.raw(type) { frame, context throws(CallError) in try box.node?.raft.receive(frame, from: context.node) }
        }
        handlers.stream(HistoryRead.self) { call, context, writer async throws(CallError) in
            guard let serving = box.node?.historyServing else { throw CallError(.unavailable, "it starts") }
            return try await serving.answer(call, context, writer)
        }
        handlers.task(ForwardMessages.self) { call, context async throws(CallError) in
            guard let door = box.node?.forwardDoor else { throw CallError(.unavailable, "it starts") }
            return try await door.answer(call, context)
        }
        return handlers
    }

    /// Whoever says that it is a node; nil for a program that is none.
    static func caller(_ node: NodeID?, window: Int? = nil, _ group: MultiThreadedEventLoopGroup) -> RPCClient {
        var hello = Hello()
        (hello.node, hello.software) = (node, "test")
        if node != nil { hello.cluster = cluster }
        var settings = RPCClient.Settings()
        settings.attempts = 1
        if let window { settings.streamWindow = window }
        return RPCClient(hello: OwnHello(hello), settings: settings, group: group, telemetry: .quiet(node: node ?? .unnamed))
    }

    /// The sum of all series of a name whose labels hold some words.
    func metric(_ name: String, _ words: String = "") -> Double {
        let text = String(decoding: PrometheusText.render(telemetry.metrics.snapshot), as: UTF8.self)
        let lines = text.split(separator: "\n").filter { $0.hasPrefix(name) && (words.isEmpty || $0.contains(words)) }
        return lines.reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
    }

    /// Nothing that it sends to these arrives.
    func cut(to others: [NodeID]) { for other in others { faults.set(LinkFault(isCut: true), to: other) } }

    func close() async {
        fetching.cancel()
        forwarding.cancel()
        await fetching.value
        await forwarding.value
        node.stop()
        client.close()
        await server.drain(grace: .zero)
        try? await group.shutdownGracefully()
    }
}
