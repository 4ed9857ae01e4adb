import Foundation
import Primitives
import Testing
import Wire

@testable import Transport

/// Links between coordinators that show certificates (PeerChannel.swift, PeerIdentity.swift).
@Suite(.timeLimit(.minutes(1)))
struct PeerCertificatesTests {
    private static let openssl: String? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let found = folders.map { "\($0)/openssl" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        if found == nil, ProcessInfo.processInfo.environment["DISTRIC_CI"] == "1" { Issue.record("openssl is not installed") }
        return found
    }()

    /// An authority, and certificates of two nodes and a client.
    private static let script = """
        set -e
        key() { openssl req "$@" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes; }
        key -x509 -keyout ca-key.pem -out ca.pem -subj /CN=authority -days 2
        for uri in node/server node/client client/app; do
            name=$(echo "$uri" | tr / -)
            printf 'subjectAltName=URI:distric://%s\\n' "$uri" > "$name.ext"
            key -keyout "$name-key.pem" -out "$name.csr" -subj "/CN=$name"
            openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out "$name.pem" -days 2 -extfile "$name.ext"
        done
        """

    private func makeCertificates(in folder: TemporaryFolder) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", Self.script]
        process.currentDirectoryURL = URL(filePath: folder.path)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    private func source(_ name: String, _ folder: TemporaryFolder) throws -> TLSSource {
        try TLSSource(
            TLSSource.Files(
                certificate: "\(folder.path)/\(name).pem", key: "\(folder.path)/\(name)-key.pem", authority: "\(folder.path)/ca.pem"))
    }

    @Test func `nodes with certificates are proved, and who has another's or none is refused`() async throws {
        guard Self.openssl != nil else { return }
        let folder = try TemporaryFolder()
        try makeCertificates(in: folder)
        try await withPeers { stage in
            let own = try source("node-client", folder)
            let (_, address) = try await stage.serve(tls: try source("node-server", folder))
            let told = try await stage.opened(to: address, tls: own)
            try await told.send(1...100, bytes: 1000)
            let areThere = await eventually { stage.came.all.count == 100 }
            #expect(areThere)
            #expect(stage.came.all == Array(1...100))
            #expect(stage.contexts.all.allSatisfy { $0.isProved && $0.node?.text == Stage.clientNode })
            try await told.close()

            // A client that says it is a node, at the one end and at the other.
            let app = try source("client-app", folder)
            let (_, pretender) = try await stage.serve(tls: app)
            for (address, tls, words) in [
                (pretender, own, "certificate is of a client"), (address, app, "certificate is of a client"), (address, nil, "wants TLS"),
            ] {
                let refused = try stage.channel(to: address, tls: tls)
                try await refused.start()
                let isRefused = await eventually { refused.closed.all.contains { $0.error.message.contains(words) } }
                #expect(isRefused, "\(words): \(refused.closed.all)")
                #expect(refused.opened.all.isEmpty)
                try await refused.close()
            }
        }
    }
}
