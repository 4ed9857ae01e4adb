import Cluster
import Foundation
import Glibc
import Observability
import Primitives
import Testing
import Text

@testable import API

/// A node that has no cluster yet: its doors say for whom it waits.
struct WaitingTests {
    private static func wait() throws -> ClusterWait {
        ClusterWait(
            node: try NodeID("c-2"), expects: 3, text: "waiting for 3 coordinators, know 2: c-1, c-2",
            known: [
                .init(node: try NodeID("c-1"), address: "127.0.0.1:9001", expects: 3, isHere: false),
                .init(node: try NodeID("c-2"), address: "127.0.0.1:9002", expects: 3, isHere: true),
            ], seeds: ["127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"])
    }

    @Test func `it says how many are missing, who has not answered, and what to type`() throws {
        let wait = try Self.wait()
        #expect(wait.missing == 1 && wait.silent == ["127.0.0.1:9003"])
        #expect(wait.next.contains("start 1 more with the same --bootstrap-expect 3"))
        #expect(wait.next.contains("--join 127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003"))
        #expect(wait.detail.contains("known: c-1 at 127.0.0.1:9001, c-2 at 127.0.0.1:9002 (this node)"), "\(wait.detail)")
        var all = wait
        all.known.append(.init(node: try NodeID("c-3"), address: "127.0.0.1:9003", expects: 3, isHere: false))
        #expect(all.missing == 0 && all.next.hasPrefix("nothing: ") && !all.detail.contains("nobody has answered"))
        let joining = ClusterWait(
            node: wait.node, expects: 0, text: "waiting for a node of a cluster to answer at h:1", known: [], seeds: ["h:1"])
        #expect(joining.missing == 0 && joining.next.contains("--join HOST:PORT") && joining.detail.contains("nobody has answered at h:1"))
    }

    @Test func `on its socket the API says so, and health goes on`() async throws {
        let folder = try TemporaryFolder()
        let wait = try Self.wait()
        let door = HealthDoor(telemetry: Telemetry.quiet(node: wait.node), waiting: { wait })
        let path = folder.path + "/h"
        try await door.open(socket: path)
        for route in ["/api/v1/cluster/status", "/api/v1/raft/status", "/api/v1/runs"] {
            let (head, body) = try Self.get(route, at: path)
            #expect(head.hasPrefix("HTTP/1.1 503 ") && head.contains("Content-Type: application/problem+json"), "\(head)")
            let problem = try JSONScanner.parse(body)
            #expect(problem["code"] == "no_cluster" && problem["status"] == 503)
            #expect(problem["detail"]?.string == wait.detail)
            #expect(problem.at("waiting", "missing") == 1)
            #expect(problem.at("waiting", "known")?.list?.map { $0["id"] } == ["c-1", "c-2"])
        }
        let (live, _) = try Self.get("/health/live", at: path)
        #expect(live.hasPrefix("HTTP/1.1 200 "))
        let (elsewhere, _) = try Self.get("/nope", at: path)
        #expect(elsewhere.hasPrefix("HTTP/1.1 404 "))
        await door.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func `the health door of a node that has a cluster answers for health alone`() async throws {
        let folder = try TemporaryFolder()
        let door = HealthDoor(telemetry: Telemetry.quiet(node: try NodeID("c-1")))
        try await door.open(socket: folder.path + "/h")
        let (head, _) = try Self.get("/api/v1/cluster/status", at: folder.path + "/h")
        #expect(head.hasPrefix("HTTP/1.1 404 "))
        await door.close()
    }

    /// Head and body of what a door on a socket answers.
    private static func get(_ route: String, at path: String) throws -> (head: String, body: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { raw in raw.copyBytes(from: Array(path.utf8).prefix(raw.count - 1)) }
        let isOpen = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        try #require(isOpen)
        let request = Array("GET \(route) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        try #require(send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(descriptor, &chunk, chunk.count, 0), count > 0 { bytes += chunk.prefix(count) }
        let text = String(decoding: bytes, as: UTF8.self)
        let end = try #require(text.range(of: "\r\n\r\n"))
        return (String(text[..<end.lowerBound]), String(text[end.upperBound...]))
    }
}
