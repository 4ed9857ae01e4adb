import Foundation
import Glibc
import Operator
import Primitives
import Testing
import Text

/// Calls with certificates: who is taken and who is not, and files that change while the node runs (TLSSource.swift, NodeCalls.swift).
struct TLSCallsTests {
    private let folder: TemporaryFolder
    private var place: String { folder.path + "/certs" }

    init() throws {
        folder = try TemporaryFolder()
        try certs("init")
        try certs("issue", "--node", "n1", "--host", "127.0.0.1")
        try certs("issue", "--client", "me")
    }

    private func certs(_ words: String..., dir: String? = nil) throws {
        let finished = try run(Built.distric, ["certs"] + words + ["--dir", dir ?? place])
        #expect(finished.code == 0, "\(finished.err)")
    }

    private func settings(_ name: String = "n1") -> [String] {
        [
            ("rpc.tls_certificate", "\(name).pem"), ("rpc.tls_key", "\(name)-key.pem"), ("rpc.tls_authority", "ca.pem"),
        ].flatMap { ["--set", "\($0.0)=\(place)/\($0.1)"] }
    }

    private func started() throws -> (node: RunningNode, address: String) {
        let node = try RunningNode(data: folder.path + "/data", smallNode + ["--rpc", "127.0.0.1:0"] + settings())
        let lines = node.logText.split(separator: "\n").compactMap { try? JSONScanner.parse($0.utf8) }
        let line = lines.first { $0["message"]?.string == "calls" }
        #expect(line?["tls"]?.string == "true")
        return (node, try #require(line?["address"]?.string, "\(node.logText)"))
    }

    private func files(_ name: String, in dir: String? = nil, authority: String? = nil) -> [String] {
        let dir = dir ?? place
        return [
            "--tls-certificate", "\(dir)/\(name).pem", "--tls-key", "\(dir)/\(name)-key.pem", "--tls-authority",
            "\(authority ?? dir)/ca.pem",
        ]
    }

    private func ping(_ address: String, _ more: [String]) throws -> Finished {
        try run(Built.distric, ["ping", address, "-c", "2", "-i", "10ms", "--timeout", "2s"] + more)
    }

    @Test func `who shows a certificate of the authority is answered, and the node shows its own`() throws {
        let (node, address) = try started()
        let answered = try ping(address, files("me"))
        #expect(answered.code == 0, "\(answered.err)")
        #expect(answered.out.contains("TLS 1.3"), "\(answered.out)")
        #expect(answered.out.contains("2 sent, 2 answered"), "\(answered.out)")
        // The local socket needs none.
        #expect(try ping("unix:\(folder.path)/data/rpc.sock", []).code == 0)
        let expiry = try raw(node.url, "GET", "/metrics").body.split(separator: "\n").first {
            $0.hasPrefix("distric_rpc_certificate_not_after_seconds ")
        }
        let seconds = expiry.flatMap { Double($0.split(separator: " ")[1].trimmingCharacters(in: .whitespaces)) } ?? 0
        #expect(seconds > Date().timeIntervalSince1970 + 300 * 86_400)
    }

    @Test func `who shows none, or another authority's, is refused and told what is missing`() throws {
        let (node, address) = try started()
        let bare = try ping(address, [])
        #expect(bare.code == 69, "\(bare.out)")
        let other = folder.path + "/other"
        try certs("init", dir: other)
        try certs("issue", "--client", "me", dir: other)
        // It trusts the node, and the node does not trust it.
        let foreign = try ping(address, files("me", in: other, authority: place))
        #expect(foreign.code == 69, "\(foreign.out)")
        #expect(foreign.err.contains("TLS"), "\(foreign.err)")
        // The node trusts it, and it does not trust the node.
        let wary = try ping(address, files("me", authority: other))
        #expect(wary.code == 69, "\(wary.out)")
        #expect(wary.err.contains("TLS"), "\(wary.err)")
        #expect(node.process.isRunning)
        #expect(try ping(address, files("me")).code == 0)
    }

    @Test func `new certificates are taken at SIGHUP, and no connection is dropped for them`() async throws {
        let (node, address) = try started()
        let before = try serial(address)
        let long = Process()
        let output = folder.path + "/ping.out"
        try Data().write(to: URL(filePath: output))
        long.executableURL = URL(filePath: Built.distric)
        long.arguments = ["ping", address, "-c", "60", "-i", "50ms", "-q"] + files("me")
        long.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
        try long.run()
        defer { long.terminate() }
        try await connections(node, 1)
        try certs("issue", "--node", "n1", "--host", "127.0.0.1", "--force")
        kill(node.process.processIdentifier, SIGHUP)
        try await event(node, "rpc.certificates_reloaded")
        if let before { #expect(try serial(address) != before) }
        #expect(try ping(address, files("me")).code == 0)
        // Files that make no sense change nothing.
        try Data("no certificate".utf8).write(to: URL(filePath: place + "/n1.pem"))
        kill(node.process.processIdentifier, SIGHUP)
        try await event(node, "rpc.certificates_refused")
        #expect(try ping(address, files("me")).code == 0)
        long.waitUntilExit()
        let text = try String(contentsOfFile: output, encoding: .utf8)
        #expect(long.terminationStatus == 0)
        #expect(text.contains("60 sent, 60 answered, 0% lost"), "\(text)")
    }

    private func connections(_ node: RunningNode, _ count: Int) async throws {
        let found = try await eventually {
            try await node.client.get("/api/v1/rpc/connections")
        } until: {
            $0["items"]?.list?.count == count
        }
        #expect(found["items"]?.list?.first?["identity"]?.string == "distric://client/me")
    }

    private func event(_ node: RunningNode, _ kind: String) async throws {
        let found = try await eventually {
            try await node.client.get("/api/v1/events?limit=1000")
        } until: {
            $0["items"]?.list?.contains { $0["kind"]?.string == kind } == true
        }
        #expect(found["items"]?.list?.contains { $0["kind"]?.string == kind } == true, "\(kind)")
    }

    /// Of the certificate that the node shows; nil where there is no openssl.
    private func serial(_ address: String) throws -> String? {
        guard let openssl = Built.tool("openssl") else { return nil }
        let shown = try run(
            openssl,
            [
                "s_client", "-connect", address, "-CAfile", place + "/ca.pem", "-cert", place + "/me.pem", "-key", place + "/me-key.pem",
            ])
        let begin = try #require(shown.out.range(of: "-----BEGIN CERTIFICATE-----"), "\(shown.err)")
        let end = try #require(shown.out.range(of: "-----END CERTIFICATE-----\n"))
        let text = try run(openssl, ["x509", "-noout", "-serial"], input: String(shown.out[begin.lowerBound..<end.upperBound]))
        return text.out
    }

    @Test func `another's certificate is not taken at SIGHUP, and health says so`() async throws {
        let (node, address) = try started()
        try certs("issue", "--node", "n2", "--host", "127.0.0.1")
        for (from, to) in [("n2.pem", "n1.pem"), ("n2-key.pem", "n1-key.pem")] {
            try FileManager.default.removeItem(atPath: "\(place)/\(to)")
            try FileManager.default.copyItem(atPath: "\(place)/\(from)", toPath: "\(place)/\(to)")
        }
        kill(node.process.processIdentifier, SIGHUP)
        try await event(node, "rpc.certificates_refused")
        #expect(try ping(address, files("me")).code == 0)
        let health = try await eventually {
            try await node.client.get("/health/ready")
        } until: {
            $0["status"] == "degraded"
        }
        let part = health["components"]?.list?.first { $0["name"]?.string == "certificates" }
        #expect(part?["status"]?.string == "degraded", "\(health)")
        #expect(part?["reason"]?.string?.contains("distric://node/n2") == true, "\(health)")
    }

    @Test func `SIGHUP does nothing to a node without certificates`() async throws {
        let node = try RunningNode(data: folder.path + "/plain", smallNode)
        kill(node.process.processIdentifier, SIGHUP)
        let isTold = try await eventually {
            .bool(node.logText.contains("there are no certificates to read again"))
        } until: {
            $0 == true
        }
        #expect(isTold == true)
        #expect(try await node.client.get("/health/live")["status"]?.string == "up")
    }

    @Test func `files that do not fit are refused before anything listens`() throws {
        let data = folder.path + "/fresh"
        func refusal(_ sets: [String]) throws -> Finished {
            try run(Built.distric, ["node", "--data", data, "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"] + sets)
        }
        let certificate = "rpc.tls_certificate=\(place)/n1.pem"
        let cases: [(sets: [String], words: String)] = [
            (["node.id=other"] + settings().filter { $0 != "--set" }, "it is of 'distric://node/n1', and this is node 'other'"),
            (
                ["rpc.tls_certificate=\(place)/me.pem", "rpc.tls_key=\(place)/me-key.pem", "rpc.tls_authority=\(place)/ca.pem"],
                "it is of 'distric://client/me'"
            ),
            ([certificate], "rpc.tls_key is not set"),
            ([certificate, "rpc.tls_key=\(place)/n1-key.pem"], "rpc.tls_authority is not set"),
            ([certificate, "rpc.tls_key=\(place)/none.pem", "rpc.tls_authority=\(place)/ca.pem"], "no private key"),
            ([certificate, "rpc.tls_key=\(place)/me-key.pem", "rpc.tls_authority=\(place)/ca.pem"], "do not fit"),
            (
                ["rpc.tls_certificate=\(place)/none.pem", "rpc.tls_key=\(place)/n1-key.pem", "rpc.tls_authority=\(place)/ca.pem"],
                "distric certs"
            ),
        ]
        for (sets, words) in cases {
            let finished = try refusal(sets.flatMap { ["--set", $0] })
            #expect(finished.code == 78, "\(sets): \(finished.err)")
            #expect(finished.err.contains(words), "\(finished.err)")
        }
    }
}
