import Foundation
import NIOCore
import NIOPosix
import Observability
import Primitives
import Synchronization
import Wire

@testable import Transport

/// The machine's clock, that can be put forward.
final class MovingClock: NodeClock {
    private let system = SystemClock()
    private let ahead = Mutex(Duration.zero)

    var now: Instant { system.now.advanced(by: ahead.withLock { $0 }) }
    var coarseNow: Instant { system.coarseNow.advanced(by: ahead.withLock { $0 }) }
    var wall: ClusterTime { system.wall }

    func advance(by duration: Duration) { ahead.withLock { $0 += duration } }
}

/// A server and a client on one event loop.
final class Stage: Sendable {
    static let serverNode = "server"
    static let clientNode = "client"

    let group: MultiThreadedEventLoopGroup
    let clock: MovingClock
    let serverTelemetry: Telemetry
    let clientTelemetry: Telemetry
    let server: RPCServer
    let client: RPCClient
    let address: PeerAddress

    init(
        _ handlers: RPCHandlers, server settings: RPCServer.Settings, client clientSettings: RPCClient.Settings, faults: LinkFaults?,
        serverFaults: LinkFaults?, cluster: UUIDv7?
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let clock = MovingClock()
        let (serverNode, clientNode) = (try NodeID(Self.serverNode), try NodeID(Self.clientNode))
        let serverTelemetry = Telemetry.quiet(node: serverNode, clock: clock)
        let clientTelemetry = Telemetry.quiet(node: clientNode, clock: clock)
        let server = RPCServer(
            hello: try hello(Self.serverNode, cluster: cluster), handlers: handlers, settings: settings, faults: serverFaults, group: group,
            telemetry: serverTelemetry)
        let client = RPCClient(
            hello: try hello(Self.clientNode), settings: clientSettings, faults: faults, group: group, telemetry: clientTelemetry)
        address = try await server.listen(.tcp(host: "127.0.0.1", port: 0))
        self.group = group
        self.clock = clock
        self.serverTelemetry = serverTelemetry
        self.clientTelemetry = clientTelemetry
        self.server = server
        self.client = client
    }

    func close() async {
        client.close()
        await server.drain(grace: .zero)
        try? await group.shutdownGracefully()
    }

    /// The body of the answer to a question.
    func ask(_ path: String, timeout: Duration = .seconds(10)) async throws(CallError) -> String {
        text(try await client.call(ClientQuery(path: path), to: address, timeout: timeout))
    }

    /// Connections that the server refused or cut for this reason.
    func cuts(_ reason: String) -> Int {
        serverTelemetry.count("distric_rpc_connections_cut_total", ["side": "server", "reason": reason])
    }
}

/// Runs a test with a server and a client, and shuts both down after it.
func withStage(
    _ handlers: RPCHandlers = usualHandlers(), server: RPCServer.Settings = RPCServer.Settings(),
    client: RPCClient.Settings = RPCClient.Settings(), faults: LinkFaults? = nil, serverFaults: LinkFaults? = nil,
    cluster: UUIDv7? = nil, _ body: (Stage) async throws -> Void
) async throws {
    let stage = try await Stage(handlers, server: server, client: client, faults: faults, serverFaults: serverFaults, cluster: cluster)
    do { try await body(stage) } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}

/// Runs a test with a client alone.
func withClient(
    _ settings: RPCClient.Settings = RPCClient.Settings(), cluster: UUIDv7? = nil, _ body: (RPCClient, Telemetry) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let telemetry = Telemetry.quiet(node: try NodeID(Stage.clientNode))
    let client = RPCClient(hello: try hello(Stage.clientNode, cluster: cluster), settings: settings, group: group, telemetry: telemetry)
    do { try await body(client, telemetry) } catch {
        client.close()
        try? await group.shutdownGracefully()
        throw error
    }
    client.close()
    try? await group.shutdownGracefully()
}

/// Pings are answered at once with their padding, questions by a task with their path.
func usualHandlers() -> RPCHandlers {
    var handlers = RPCHandlers()
    handlers.immediate(Ping.self) { ping, _ in Ack(sequence: ping.sequence, from: .unnamed, padding: ping.padding) }
    handlers.task(ClientQuery.self) { query, _ in response(query.path) }
    return handlers
}

func hello(_ node: String?, cluster: UUIDv7? = nil) throws -> Hello {
    var hello = Hello()
    if let node { hello.node = try NodeID(node) }
    hello.cluster = cluster
    hello.software = "test"
    return hello
}

func response(_ text: String) -> ClientResponse {
    var response = ClientResponse()
    response.body = Array(text.utf8)
    return response
}

func text(_ response: ClientResponse) -> String { String(decoding: response.body ?? [], as: UTF8.self) }

extension Telemetry {
    /// The sum of a counter's series that bear these labels.
    func count(_ name: String, _ labels: [String: String] = [:]) -> Int {
        var total = 0
        for family in metrics.snapshot where family.name == name {
            for series in family.series {
                let isWanted = labels.allSatisfy { wanted in
                    series.labels.contains { $0.name == wanted.key && $0.value == wanted.value }
                }
                if isWanted, case .counter(let counter) = series.instrument { total += Int(counter.count) }
            }
        }
        return total
    }
}

/// A folder of its own for one test; it goes with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "distric-transport-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
