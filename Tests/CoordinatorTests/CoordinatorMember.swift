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
    private let group: MultiThreadedEventLoopGroup

    var state: CoordinatorState { node.loop.current.state }
    var isLeading: Bool { node.loop.isLeading }

    init(
        _ id: NodeID, in path: String, founders: [NodeID], epoch: UInt64, settings: CoordinatorNode.Settings, disk: any Disk,
        prepare: (LinkFaults) -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (telemetry, faults, raft) = (Telemetry.quiet(node: id), LinkFaults(seed: epoch), RaftBox())
        prepare(faults)
        var hello = Hello()
        (hello.node, hello.roles, hello.software) = (id, ["coordinator"], "test")
        (hello.epoch, hello.cluster, hello.featureLevel) = (epoch, Self.cluster, CommandCodec.featureLevel)
        let own = OwnHello(hello)
        let server = RPCServer(hello: own, handlers: Self.handlers(raft), faults: faults, group: group, telemetry: telemetry)
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
        raft.driver = node.raft
        (self.id, self.own, self.faults, self.telemetry, self.server, self.group) = (id, own, faults, telemetry, server, group)
    }

    private final class RaftBox: Sendable {
        private let found = Mutex<RaftDriver?>(nil)

        var driver: RaftDriver? {
            get { found.withLock { $0 } }
            set { found.withLock { $0 = newValue } }
        }
    }

    private static func handlers(_ raft: RaftBox) -> RPCHandlers {
        var handlers = RPCHandlers()
        let types: [MessageType] = [
            .preVote, .preVoteReply, .requestVote, .requestVoteReply, .appendEntries, .appendEntriesReply, .installSnapshot,
            .installSnapshotReply, .timeoutNow, .readIndex, .readIndexReply,
        ]
        for type in types {
            handlers.raw(type) { frame, context throws(CallError) in try raft.driver?.receive(frame, from: context.node) }
        }
        return handlers
    }

    /// Nothing that it sends to these arrives.
    func cut(to others: [NodeID]) { for other in others { faults.set(LinkFault(isCut: true), to: other) } }

    func close() async {
        node.stop()
        await server.drain(grace: .zero)
        try? await group.shutdownGracefully()
    }
}
