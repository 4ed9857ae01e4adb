import Foundation
package import NIOSSL
import Synchronization

/// Certificate, key and authority of this process, from files that may change while it runs: `reload` takes what is there then for new
/// connections, and those that are open go on. TLS 1.3 alone; both sides show certificates of the same authority.
package final class TLSSource: Sendable {
    /// Where they are, all PEM.
    package struct Files: Equatable, Sendable {
        package var certificate: String
        package var key: String
        package var authority: String

        package init(certificate: String, key: String, authority: String) {
            self.certificate = certificate
            self.key = key
            self.authority = authority
        }
    }

    private struct Contexts: Sendable {
        var server: NIOSSLContext
        var client: NIOSSLContext
        var identity: PeerIdentity
        var expiresAt: Int
    }

    package let files: Files
    private let contexts: Mutex<Contexts>

    package init(_ files: Files) throws(TransportError) {
        self.files = files
        contexts = Mutex(try Self.load(files))
    }

    /// What is wrong with the files leaves those in force that were.
    package func reload() throws(TransportError) {
        let found = try Self.load(files)
        contexts.withLock { $0 = found }
    }

    package var server: NIOSSLContext { contexts.withLock { $0.server } }
    package var client: NIOSSLContext { contexts.withLock { $0.client } }
    /// Of this process.
    package var identity: PeerIdentity { contexts.withLock { $0.identity } }
    /// When its certificate expires, seconds since 1970.
    package var expiresAt: Int { contexts.withLock { $0.expiresAt } }

    private static func load(_ files: Files) throws(TransportError) -> Contexts {
        let chain = try certificates(files.certificate)
        let authority = try certificates(files.authority)
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(file: files.key, format: .pem) } catch {
            throw .badCertificate(path: files.key, reason: "no private key can be read from it: \(reason(error))")
        }
        let sources = chain.map { NIOSSLCertificateSource.certificate($0) }
        var server = TLSConfiguration.makeServerConfiguration(certificateChain: sources, privateKey: .privateKey(key))
        var client = TLSConfiguration.makeClientConfiguration()
        client.certificateChain = sources
        client.privateKey = .privateKey(key)
        server.minimumTLSVersion = .tlsv13
        client.minimumTLSVersion = .tlsv13
        server.trustRoots = .certificates(authority)
        client.trustRoots = .certificates(authority)
        server.certificateVerification = .noHostnameVerification
        // Who is at an address is told by the certificate's URI, which the hello must fit.
        client.certificateVerification = .noHostnameVerification
        do {
            return Contexts(
                server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client),
                identity: PeerIdentity(chain[0]), expiresAt: Int(chain[0].notValidAfter))
        } catch {
            throw .badCertificate(path: files.certificate, reason: "certificate and key do not fit: \(reason(error))")
        }
    }

    private static func certificates(_ path: String) throws(TransportError) -> [NIOSSLCertificate] {
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw .badCertificate(path: path, reason: "cannot be read; 'distric certs issue' makes certificates")
        }
        let found: [NIOSSLCertificate]
        do { found = try NIOSSLCertificate.fromPEMFile(path) } catch {
            throw .badCertificate(path: path, reason: "no certificate can be read from it: \(reason(error))")
        }
        guard !found.isEmpty else { throw .badCertificate(path: path, reason: "there is no certificate in it") }
        return found
    }

    private static func reason(_ error: any Error) -> String { "\(error)" }
}
