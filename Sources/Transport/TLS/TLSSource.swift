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

    /// What is wrong with the files leaves those in force that were, and so does a certificate of somebody else.
    package func reload() throws(TransportError) {
        let found = try Self.load(files)
        let own = identity
        guard found.identity == own else {
            throw .badCertificate(path: files.certificate, reason: "it is of '\(found.identity.uri)', and this is '\(own.uri)'")
        }
        contexts.withLock { $0 = found }
    }

    /// What went wrong with TLS, for people; nil for what is no failure of it, such as an end without a word.
    static func words(_ error: any Error) -> String? {
        guard error is NIOSSLError || error is BoringSSLError else { return nil }
        if case .uncleanShutdown? = error as? NIOSSLError { return nil }
        let text = "\(error)"
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") { return "the other side does not speak TLS" }
        if text.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") || text.contains("CERTIFICATE_REQUIRED") { return "no certificate was shown" }
        if text.contains("CERTIFICATE_EXPIRED") { return "a certificate has expired" }
        if text.contains("UNKNOWN_CA") || text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate") {
            return "a certificate is signed by another authority, or has expired"
        }
        if text.contains("UNSUPPORTED_PROTOCOL") || text.contains("PROTOCOL_VERSION") { return "the other side does not speak TLS 1.3" }
        return "the handshake broke off"
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
