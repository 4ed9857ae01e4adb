import NIOCore
import NIOPosix
import Observability
import Primitives
import Storage
import Synchronization
import Transport
import Wire

@testable import Cluster

/// A coordinator that looks for its cluster, as far as others see it: it listens, and tells whoever asks what it knows.
final class GatheringNode: Sendable {
    typealias Answer = @Sendable (PushPull, Hello) throws(CallError) -> PushPull

    let id: NodeID
    let own: OwnHello
    let address: PeerAddress
    /// For what it said it waits.
    let waitings = Kept<String>()
    /// Clusters that it began.
    let begun = Kept<UUIDv7>()
    private let folder: String
    private let telemetry: Telemetry
    private let client: RPCClient
    private let server: RPCServer
    private let current = Mutex<Gathering?>(nil)
    private let answer: AnswerBox
    private let seeds = Mutex<[PeerAddress]>([])

    /// How others are answered: by the gathering, unless a test puts something else in its place.
    private final class AnswerBox: Sendable {
        private let body = Mutex<Answer?>(nil)

        var answer: Answer? {
            get { body.withLock { $0 } }
            set { body.withLock { $0 = newValue } }
        }
    }

    init(_ hello: Hello, id: NodeID, folder: String, group: MultiThreadedEventLoopGroup) async throws {
        let (own, telemetry, box) = (OwnHello(hello), Telemetry.quiet(node: id), AnswerBox())
        var handlers = RPCHandlers()
        handlers.task(PushPull.self) { call, context throws(CallError) in
            guard let answer = box.answer else { throw CallError(.unavailable, "not yet") }
            return try answer(call, context.peer.hello)
        }
        let server = RPCServer(hello: own, handlers: handlers, group: group, telemetry: telemetry)
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        own.change { $0.address = address.description }
        var settings = RPCClient.Settings()
        (settings.connectTimeout, settings.attempts) = (.seconds(1), 1)
        client = RPCClient(hello: own, settings: settings, group: group, telemetry: telemetry)
        (self.id, self.own, self.folder, self.telemetry, self.server, self.address, answer) =
            (id, own, folder, telemetry, server, address, box)
    }

    /// Knows nobody, and asks these.
    func seat(_ addresses: [PeerAddress], founders: [NodeID] = []) throws {
        let directory = try PeerDirectory(
            own: own, node: id, founders: founders, disk: FileDisk(), path: folder + "/peers-\(id)", clock: SystemClock())
        let made = Gathering(directory: directory, client: client, seeds: addresses, telemetry: telemetry)
        seeds.withLock { $0 = addresses }
        current.withLock { $0 = made }
        answer.answer = { call, hello throws(CallError) in try made.answer(call, from: hello) }
    }

    /// From here on it answers as this says.
    func answers(_ body: @escaping Answer) { answer.answer = body }

    var gathering: Gathering {
        guard let found = current.withLock({ $0 }) else { preconditionFailure("\(id) has no seat") }
        return found
    }

    var directory: PeerDirectory { gathering.directory }

    /// Looks for its cluster, and belongs to it from then on.
    func form(_ expects: Int) async throws -> Founding {
        let found = try await gathering.form(
            expects: expects,
            newCluster: {
                let made = UUIDv7(high: 0xC1, low: UInt64(begun.all.count) + 1)
                begun.add(made)
                return made
            }, waiting: { waitings.add($0) })
        try belong(to: found)
        return found
    }

    /// Why it does not find one; nil when it does.
    func failure(_ expects: Int) async throws -> String? {
        do {
            _ = try await form(expects)
            return nil
        } catch let failure as Gathering.Failure {
            return failure.description
        }
    }

    /// As a node does it: it starts again, with its cluster in its hello.
    func belong(to found: Founding) throws {
        own.change { hello in
            (hello.cluster, hello.expects, hello.epoch) = (found.cluster, nil, (hello.epoch ?? 0) + 1)
        }
        try seat(seeds.withLock { $0 }, founders: found.voters)
    }

    /// The news of this node, as it tells them itself.
    func ownNews() -> [MemberNews] { directory.news.filter { $0.node == id } }

    func close() async {
        client.close()
        await server.drain(grace: .zero)
    }
}

/// Nodes on one event loop.
final class GatheringStage {
    private let temporary: TemporaryFolder
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private(set) var nodes: [GatheringNode] = []

    init() throws { temporary = try TemporaryFolder() }

    /// A node with a folder of its own, which knows nobody and asks nobody.
    func add(_ id: String, expects: UInt16? = nil, _ change: (inout Hello) -> Void = { _ in }) async throws -> GatheringNode {
        let number = UInt64(nodes.count + 1)
        let own = try hello(id, at: nil) { hello in
            (hello.folder, hello.expects) = (folder(number), expects)
            change(&hello)
        }
        let made = try await GatheringNode(own, id: try node(id), folder: temporary.path, group: group)
        try made.seat([])
        nodes.append(made)
        return made
    }

    /// Each asks all.
    func introduce() throws { for member in nodes { try member.seat(nodes.map(\.address)) } }

    func close() async {
        for member in nodes { await member.close() }
        try? await group.shutdownGracefully()
    }
}

/// Runs a test with nodes that look for their cluster, and ends them after it.
func withGathering(_ body: (GatheringStage) async throws -> Void) async throws {
    let stage = try GatheringStage()
    do { try await body(stage) } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}
