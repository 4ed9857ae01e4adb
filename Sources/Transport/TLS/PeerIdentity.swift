import NIOCore
import NIOSSL
import NIOTLS
import Primitives
import Wire

/// Who a certificate says that somebody is: the first URI of its subject's other names, `distric://node/ID` or `distric://client/NAME`.
package struct PeerIdentity: Equatable, Sendable {
    package enum Kind: String, Sendable { case node, client }

    package let uri: String
    /// Nil for a URI of another form, or none.
    package let kind: Kind?
    package let name: String

    package init(uri: String) {
        self.uri = uri
        let parts =
            uri.hasPrefix("distric://") ? uri.dropFirst("distric://".count).split(separator: "/", omittingEmptySubsequences: false) : []
        kind = parts.count == 2 && !parts[1].isEmpty ? Kind(rawValue: String(parts[0])) : nil
        name = kind == nil ? "" : String(parts[1])
    }

    init(_ certificate: NIOSSLCertificate) {
        var uri = ""
        for name in certificate._subjectAlternativeNames() where name.nameType == .uri && uri.isEmpty {
            uri = String(validating: name.contents, as: UTF8.self) ?? ""
        }
        self.init(uri: uri)
    }

    /// Who the other side has shown itself to be, once the handshake that this event may tell of is done.
    static func shown(by event: Any, _ context: ChannelHandlerContext) -> PeerIdentity? {
        guard case .handshakeCompleted = event as? TLSUserEvent else { return nil }
        return (try? context.pipeline.syncOperations.nioSSL_peerCertificate()).flatMap { $0 }.map { PeerIdentity($0) }
    }

    /// A node must be the one of its certificate; a client must not say that it is a node.
    ///
    /// - Parameter isDemanded: whether a connection without a certificate is refused.
    static func check(_ identity: PeerIdentity?, _ hello: Hello, isDemanded: Bool) throws(CallError) {
        guard let identity else {
            guard isDemanded else { return }
            throw CallError(.denied, "no certificate was shown")
        }
        switch identity.kind {
        case .node:
            guard hello.node.map({ sameBytes($0.text, identity.name) }) ?? true else {
                throw CallError(.denied, "the certificate is of node '\(identity.name)', the hello of '\(hello.node?.text ?? "")'")
            }
        case .client:
            guard hello.node == nil else { throw CallError(.denied, "the certificate is of a client, the hello of a node") }
        case nil:
            throw CallError(.denied, "the certificate names nobody: it needs a URI distric://node/ID or distric://client/NAME")
        }
    }
}
