import Cluster
import Coordinator
import NIOCore
import NIOPosix
import Observability
import Primitives
import SWIM
import ServiceLifecycle
import Storage
import Transport
import Wire

/// What a node talks to other nodes with: what it says of itself, where they are, and the loop on which it hears them.
struct NodeNetwork: Sendable {
    /// One loop for Raft, its links and all calls: a message between coordinators wakes no other thread.
    let group: MultiThreadedEventLoopGroup
    let hello: OwnHello
    let faults: LinkFaults?
    let tls: TLSSource?
    let directory: PeerDirectory
    let gathering: Gathering
    let client: RPCClient
    /// Nil before the node has a cluster, and where it does not gossip.
    let gossip: GossipDriver?
    let gossipPlan: GossipPlan?
    /// Nodes that were named by hand.
    let seeds: [PeerAddress]
    /// Another loop than the log's: a flood of datagrams is not to delay that.
    private let gossipGroup: MultiThreadedEventLoopGroup?

    /// - Parameter founding: nil before the node has a cluster.
    init(
        _ plan: NodeCalls.Plan, _ settings: Settings, node: NodeID, folder: String, founding: Founding?, cluster: UUIDv7?,
        clusterEpoch: UInt64?, startedAt: ClusterTime, disk: any Disk, telemetry: Telemetry
    ) throws(StorageError) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var own = Hello()
        (own.node, own.cluster, own.roles) = (node, cluster, settings.list("node.role"))
        (own.featureLevel, own.software) = (CommandCodec.featureLevel, "distric \(Node.version)")
        own.epoch = startedAt.milliseconds
        // From its first connection on the others can tell it from a copy of itself; a port that the system chooses is said once it is known.
        own.address = (plan.advertised ?? plan.address.flatMap { $0.isFixed ? $0 : nil })?.description
        own.clusterEpoch = clusterEpoch
        let expects = settings.whole("cluster.bootstrap_expect")
        own.expects = cluster == nil && expects > 1 ? UInt16(expects) : nil
        own.folder = try FolderID.of(folder, disk: disk) {
            var generator = SystemRandomNumberGenerator()
            return UUIDv7(at: startedAt, using: &generator)
        }
        hello = OwnHello(own)
        tls = plan.tls
        faults = settings.flag("chaos.allow") ? LinkFaults(seed: .random(in: 0...UInt64.max)) : nil
        directory = try PeerDirectory(
            own: hello, node: node, founders: founding?.voters ?? [], disk: disk, path: folder + "/peers", clock: telemetry.clock)
        var calls = RPCClient.Settings()
        calls.connectTimeout = .seconds(1)
        calls.attempts = 1
        client = RPCClient(hello: hello, settings: calls, tls: tls, faults: faults, group: group, telemetry: telemetry)
        gathering = Gathering(directory: directory, client: client, seeds: plan.seeds, telemetry: telemetry)
        (gossipPlan, seeds) = (plan.gossip, plan.seeds)
        guard let cluster, let keys = plan.gossip else {
            (gossip, gossipGroup) = (nil, nil)
            GossipDriver.registerMetrics(telemetry)
            return
        }
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        gossipGroup = loops
        let gossip = try GossipDriver(
            .init(
                node: node, cluster: cluster, clusterEpoch: clusterEpoch ?? 1, client: client, ring: keys.ring, faults: faults, disk: disk,
                path: folder + "/gossip", telemetry: telemetry), startedAt: startedAt, loop: loops.next())
        self.gossip = gossip
        let hello = hello
        hello.change { $0.epoch = gossip.epoch }
        gossip.whenRenewed { epoch in hello.change { $0.epoch = epoch } }
    }

    /// Of this process, in all that it says of itself.
    var epoch: UInt64 { hello.current.epoch ?? 0 }

    var driver: RaftDriver.Network { .init(loop: group.next(), hello: hello, tls: tls, faults: faults, directory: directory) }

    /// What must not stand still here.
    var probe: StallWatch.Probe {
        let loop = group.next()
        return .init("loops", "the loop of Raft and calls", .asks { answer in loop.execute(answer) })
    }

    /// What other nodes are answered and heard by; `raft` is nil before there is one.
    func add(to handlers: inout RPCHandlers, raft: RaftDriver?) {
        let (gathering, directory) = (gathering, directory)
        if let gossip {
            gossip.add(to: &handlers, refusal: { directory.refusal(of: $0) }) { call, hello throws(CallError) in
                try gathering.answer(call, from: hello)
            }
        } else {
            handlers.task(PushPull.self) { call, context throws(CallError) in try gathering.answer(call, from: context.peer.hello) }
        }
        guard let raft else { return }
        let types: [MessageType] = [
            .preVote, .preVoteReply, .requestVote, .requestVoteReply, .appendEntries, .appendEntriesReply, .installSnapshot,
            .installSnapshotReply, .timeoutNow, .readIndex, .readIndexReply,
        ]
        for type in types {
            handlers.raw(type) { frame, context throws(CallError) in
                guard let node = context.node else { throw CallError(.denied, "\(type) comes from coordinators alone") }
                if let refusal = directory.refusal(of: context.peer.hello) { throw CallError(.denied, refusal) }
                try raft.receive(frame, from: node)
            }
        }
    }

    /// Tells others where this node takes calls.
    func announce(_ bound: PeerAddress, _ advertised: PeerAddress?) { hello.change { $0.address = (advertised ?? bound).description } }
    func announce(http: String) {
        hello.change { $0.http = http }
        gossip?.update { $0.http = http }
    }

    /// What is done there, in turn with all else.
    func onLoop(_ body: @escaping @Sendable () -> Void) { group.next().execute(body) }

    func close() async {
        await gossip?.stop()
        client.close()
        try? await gossipGroup?.shutdownGracefully()
        try? await group.shutdownGracefully()
    }
}

/// Keeps the directory of nodes true for as long as the node serves.
struct GatheringService: Service {
    let gathering: Gathering
    let raft: RaftDriver

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown {
            await gathering.run(raft)
            try? await gracefulShutdown()
        }
    }
}
