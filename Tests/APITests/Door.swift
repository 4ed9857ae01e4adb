import Coordinator
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Observability
import Primitives
import Storage
import Text

@testable import API

/// A front door whose consensus is a false one, asked without a socket. What it reads is a coordinator's own, alone in a folder.
struct Door {
    let consensus: FalseConsensus
    let info: NodeInfo

    /// What was answered.
    struct Answer {
        var status: Int
        var headers: HTTPFields
        var text: String
        var value: Value { (try? JSONScanner.parse(text)) ?? .null }
        var detail: String { value["detail"]?.string ?? "" }
        var code: String { value["code"]?.string ?? "" }

        init(_ response: Response) async throws {
            status = response.status.code
            headers = response.headers
            let body = Body()
            try await response.body.write(body)
            text = String(decoding: body.bytes, as: UTF8.self)
        }
    }

    private final class Body: ResponseBodyWriter, @unchecked Sendable {
        var bytes: [UInt8] = []
        func write(_ buffer: ByteBuffer) async throws { bytes += buffer.readableBytesView }
        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    func ask(_ method: HTTPRequest.Method = .get, _ path: String, headers: HTTPFields = [:], body: String = "") async throws -> Answer {
        var head = HTTPRequest(method: method, scheme: nil, authority: nil, path: path, headerFields: headers)
        if !body.isEmpty { head.headerFields[.contentLength] = String(body.utf8.count) }
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body)))
        let responder = HTTPServer.router(info: info, trustsOnlyLoopback: true).buildResponder()
        return try await Answer(try await responder.respond(to: request, context: NodeRequestContext(logger: Self.logger)))
    }

    /// How often requests that were the leader's came to this end.
    func count(_ outcome: Forwarder.Outcome) -> UInt64 {
        info.telemetry.metrics.counter("distric_http_forwarded_total", "", ["result": outcome.rawValue]).count
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A door for as long as `body` takes.
func withDoor<T>(_ consensus: FalseConsensus, _ body: (Door) async throws -> T) async throws -> T {
    let folder = try TemporaryFolder()
    let telemetry = Telemetry.quiet(node: consensus.node)
    let coordinator = try openCoordinator(folder.path, consensus.node, telemetry)
    let info = NodeInfo(
        node: consensus.node, cluster: UUIDv7(high: 1, low: 1), version: "0.1.0", coordinator: coordinator, worker: nil,
        telemetry: telemetry, payloadLimit: 64 << 10, startedAt: telemetry.clock.wall, settings: [], consensus: consensus)
    let result: Result<T, any Error>
    do { result = .success(try await body(Door(consensus: consensus, info: info))) } catch { result = .failure(error) }
    await info.forwarder.close()
    coordinator.stop()
    return try withExtendedLifetime(folder) { try result.get() }
}

/// Alone in a folder it leads at once.
private func openCoordinator(_ path: String, _ node: NodeID, _ telemetry: Telemetry) throws -> CoordinatorNode {
    let disk = FileDisk()
    let folder = try DataFolder.open(path, node: node, fallback: node, featureLevel: 1, disk: disk) { UUIDv7(high: 1, low: 1) }
    return try CoordinatorNode(folder: folder, disk: disk, settings: CoordinatorNode.Settings(), telemetry: telemetry, seed: 1)
}

/// Serves a door on a port of this machine; `body` gets its URL.
func serving<T: Sendable>(_ door: Door, _ body: (String) async throws -> T) async throws -> T {
    let (ports, bound) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let info = door.info
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { bound.finish() }
            try await HTTPServer.run(info: info, host: "127.0.0.1", port: 0, logger: Door.logger) { bound.yield($0) }
        }
        defer { group.cancelAll() }
        for await port in ports { return try await body("http://127.0.0.1:\(port)") }
        throw CancellationError()
    }
}

/// A folder of its own for one test; it goes with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "distric-api-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
