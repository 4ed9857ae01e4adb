import NIOCore
import NIOPosix
import Observability
import Primitives
import Raft
import Storage
import Transport
import Wire

@testable import Cluster

/// What a driver told its observer.
enum Told: Equatable, Sendable {
    case committed(LogIndex)
    case restored(LogIndex)
    case role(RaftDriver.RoleNews)
    case failed(StorageError)
}

/// One server on loopback, put together as a node does it: a driver, a directory, and the server on which the others reach it.
final class RaftMember: Sendable {
    let id: NodeID
    let folder: String
    let own: OwnHello
    /// Of what it sends.
    let faults: LinkFaults
    let telemetry: Telemetry
    let gathering: Gathering
    let driver: RaftDriver
    /// What it was started from.
    let started: RaftDriver.Started
    let restored: [UInt8]?
    let replayed: [LogEntry]
    /// In the order in which it was told.
    let told: Kept<Told>
    private let client: RPCClient
    private let server: RPCServer
    private let group: MultiThreadedEventLoopGroup

    var directory: PeerDirectory { gathering.directory }
    var status: RaftStatus { driver.status }

    /// - Parameter voters: those of the first configuration; nobody for one that is to join.
    init(
        _ id: NodeID, in folder: String, voters: [NodeID], epoch: UInt64, folderID: UUIDv7, settings: RaftDriver.Settings,
        disk: any Disk = FileDisk(), accept: (SegmentedLog.Recovery) throws(StorageError) -> Void = { _ in }
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (telemetry, faults, told) = (Telemetry.quiet(node: id), LinkFaults(seed: epoch), Kept<Told>())
        var hello = Hello()
        (hello.node, hello.roles, hello.software) = (id, ["coordinator"], "test")
        (hello.epoch, hello.folder, hello.cluster) = (epoch, folderID, UUIDv7(high: 0xC1, low: 1))
        let own = OwnHello(hello)
        let directory = try PeerDirectory(own: own, node: id, disk: disk, path: folder + "/peers", clock: telemetry.clock)
        let driver = RaftDriver(
            node: id, folder: folder + "/raft", disk: disk, settings: settings,
            network: .init(loop: group.next(), hello: own, tls: nil, faults: faults, directory: directory), telemetry: telemetry)
        let client = RPCClient(hello: own, faults: faults, group: group, telemetry: telemetry)
        let gathering = Gathering(directory: directory, client: client, seeds: [], telemetry: telemetry)
        let server = RPCServer(
            hello: own, handlers: Self.handlers(driver, gathering), faults: faults, group: group, telemetry: telemetry)
        let address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        own.change { $0.address = address.description }
        var (restored, replayed) = (nil as [UInt8]?, [LogEntry]())
        do {
            started = try driver.start(
                founders: voters, restore: { _, bytes in restored = bytes }, replay: { replayed.append($0) },
                accept: accept,
                observer: .init(
                    committed: { told.add(.committed($0)) }, restored: { told.add(.restored($0.index)) }, role: { told.add(.role($0)) },
                    failed: { told.add(.failed($0)) }))
        } catch {
            await server.drain(grace: .zero)
            try? await group.shutdownGracefully()
            throw error
        }
        (self.id, self.folder, self.own, self.faults, self.telemetry, self.gathering) = (id, folder, own, faults, telemetry, gathering)
        (self.driver, self.told, self.client, self.server, self.group) = (driver, told, client, server, group)
        (self.restored, self.replayed) = (restored, replayed)
        driver.connect()
    }

    private static func handlers(_ driver: RaftDriver, _ gathering: Gathering) -> RPCHandlers {
        var handlers = RPCHandlers()
        let directory = gathering.directory
        handlers.task(PushPull.self) { call, context throws(CallError) in try gathering.answer(call, from: context.peer.hello) }
        let types: [MessageType] = [
            .preVote, .preVoteReply, .requestVote, .requestVoteReply, .appendEntries, .appendEntriesReply, .installSnapshot,
            .installSnapshotReply, .timeoutNow, .readIndex, .readIndexReply,
        ]
        for type in types {
            handlers.raw(type) { frame, context throws(CallError) in
                if let refusal = directory.refusal(of: context.peer.hello) { throw CallError(.denied, refusal) }
                try driver.receive(frame, from: context.node)
            }
        }
        return handlers
    }

    /// All entries up to one, as many at a time as fit.
    func log(through index: LogIndex, after first: LogIndex = .zero) throws -> [LogEntry] {
        var found: [LogEntry] = []
        while (found.last?.index ?? first) < index {
            let more = try driver.entries(after: found.last?.index ?? first, through: index, maxBytes: 2 << 10)
            guard !more.isEmpty else { return found }
            found += more
        }
        return found
    }

    /// Nothing that it sends to these arrives.
    func cut(to others: [RaftMember]) { for other in others { faults.set(LinkFault(isCut: true), to: other.id) } }

    /// The kinds of its events about its raft.
    var events: [String] { telemetry.events.latest(EventRing.retained).map(\.kind).filter { $0.hasPrefix("raft.") } }

    func close() async {
        driver.close()
        client.close()
        await server.drain(grace: .zero)
        try? await group.shutdownGracefully()
    }
}
