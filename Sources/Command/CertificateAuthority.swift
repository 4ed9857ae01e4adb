import Crypto
import Foundation
import Glibc
import Operator
import Primitives
import SwiftASN1
import X509

/// A certificate and the key that was made for it.
struct CertifiedKey {
    let certificate: Certificate
    let key: P256.Signing.PrivateKey

    /// PEM: the certificate, and nothing else.
    var certificateText: String { get throws { try certificate.serializeAsPEM().pemString + "\n" } }
    /// PKCS #8 in PEM, without a password.
    var keyText: String { key.pemRepresentation + "\n" }
}

/// Who a certificate is made for: the URI is what the other side of a connection goes by.
enum CertificateHolder {
    case node(String)
    case client(String)

    var name: String {
        switch self {
        case .node(let name), .client(let name): name
        }
    }

    var uri: String {
        switch self {
        case .node(let name): "distric://node/\(name)"
        case .client(let name): "distric://client/\(name)"
        }
    }

    /// Nodes both call and are called.
    fileprivate var usages: [ExtendedKeyUsage.Usage] {
        switch self {
        case .node: [.serverAuth, .clientAuth]
        case .client: [.clientAuth]
        }
    }

    /// Fails on a name that could be none, or whose files would have the names of others' files.
    func check() throws(CommandFailure) {
        switch self {
        case .node(let name):
            do { _ = try NodeID(name) } catch { throw CommandFailure(.usage, "\(error)") }
        case .client(let name):
            // The same letters: it becomes a part of a URI and of a file's name.
            do throws(IdentifierError) { _ = try NodeID(name) } catch {
                throw CommandFailure(.usage, "client name '\(name.prefix(80))' is not valid: \(error.rule)")
            }
        }
        guard name != "ca", !name.hasSuffix("-key") else {
            throw CommandFailure(.usage, "'\(name)' will not do: \(name).pem is a name that other files here have; choose another")
        }
    }
}

/// A certificate authority of a cluster's own: it signs the certificates by which nodes and clients know each other.
///
/// P-256 with SHA-256, X.509 v3 (RFC 5280). What it signs is never an authority itself, and never ends after it.
struct CertificateAuthority {
    let certificate: Certificate
    private let key: Certificate.PrivateKey

    /// Clocks of machines differ a little: a certificate is in force this long before it was made.
    private static let backdating: TimeInterval = 300

    static func certificatePath(in folder: String) -> String { CertificateFiles.path(folder, "ca.pem") }
    static func keyPath(in folder: String) -> String { CertificateFiles.path(folder, "ca-key.pem") }

    /// A new one, which signs itself.
    static func made(name: String, days: Int, now: Date) throws -> CertifiedKey {
        let key = P256.Signing.PrivateKey()
        let signer = Certificate.PrivateKey(key)
        let subject = try DistinguishedName { CommonName(name) }
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
            Critical(KeyUsage(keyCertSign: true, cRLSign: true))
            SubjectKeyIdentifier(hash: signer.publicKey)
        }
        let certificate = try Certificate(
            version: .v3, serialNumber: serial(), publicKey: signer.publicKey, notValidBefore: firstMoment(now),
            notValidAfter: lastMoment(now, days), issuer: subject, subject: subject, extensions: extensions, issuerPrivateKey: signer)
        return CertifiedKey(certificate: certificate, key: key)
    }

    /// The one of a folder. Among several certificates in `ca.pem`, as while one follows another, it is the one of the key.
    static func opened(in folder: String, now: Date) throws(CommandFailure) -> CertificateAuthority {
        let (certificatePath, keyPath) = (Self.certificatePath(in: folder), Self.keyPath(in: folder))
        for path in [certificatePath, keyPath] where access(path, R_OK) != 0 {
            let reason = String(cString: strerror(errno))
            throw CommandFailure(
                .badData, "no authority can be read from \(folder): \(path): \(reason); 'distric certs init --dir \(folder)' makes one")
        }
        let found = try CertificateFiles.certificates(in: certificatePath)
        let pem = try CertificateFiles.text(of: keyPath)
        let key: Certificate.PrivateKey
        do { key = try Certificate.PrivateKey(pemEncoded: pem) } catch {
            throw CommandFailure(.badData, "\(keyPath): no private key can be read from it: \(CertificateFiles.reason(error))")
        }
        guard let certificate = found.map(\.certificate).first(where: { $0.publicKey == key.publicKey }) else {
            throw CommandFailure(.badData, "\(keyPath) is not the key of \(certificatePath)")
        }
        guard case .some(.isCertificateAuthority) = try? certificate.extensions.basicConstraints else {
            throw CommandFailure(.badData, "\(certificatePath) is a certificate, but not that of an authority")
        }
        guard now < certificate.notValidAfter else {
            throw CommandFailure(
                .badData,
                "the authority in \(folder) ended on \(certificate.notValidAfter.formatted(.iso8601)); "
                    + "'distric certs init --dir NEW' makes another in a new folder")
        }
        return CertificateAuthority(certificate: certificate, key: key)
    }

    /// When a certificate ends that is to last so many days.
    func end(of days: Int, now: Date) -> (date: Date, isCut: Bool) {
        let asked = Self.lastMoment(now, days)
        return (min(asked, certificate.notValidAfter), asked > certificate.notValidAfter)
    }

    /// A new key, and a certificate for it whose first other name is the holder's URI.
    func issue(to holder: CertificateHolder, hosts: [GeneralName], days: Int, now: Date) throws -> CertifiedKey {
        let made = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(made.publicKey)
        let usage = try ExtendedKeyUsage(holder.usages)
        let signerIdentifier = try certificate.extensions.subjectKeyIdentifier ?? SubjectKeyIdentifier(hash: certificate.publicKey)
        let subject = try DistinguishedName { CommonName(holder.name) }
        let names = [GeneralName.uniformResourceIdentifier(holder.uri)] + hosts
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            usage
            SubjectAlternativeNames(names)
            SubjectKeyIdentifier(hash: publicKey)
            AuthorityKeyIdentifier(keyIdentifier: signerIdentifier.keyIdentifier)
        }
        let signed = try Certificate(
            version: .v3, serialNumber: Self.serial(), publicKey: publicKey,
            notValidBefore: max(Self.firstMoment(now), certificate.notValidBefore), notValidAfter: end(of: days, now: now).date,
            issuer: certificate.subject, subject: subject, extensions: extensions, issuerPrivateKey: key)
        return CertifiedKey(certificate: signed, key: made)
    }

    private static func firstMoment(_ now: Date) -> Date { seconds(now.addingTimeInterval(-backdating)) }

    private static func lastMoment(_ now: Date, _ days: Int) -> Date { seconds(now.addingTimeInterval(TimeInterval(days) * 86_400)) }

    /// Certificates know whole seconds only.
    private static func seconds(_ date: Date) -> Date { Date(timeIntervalSince1970: date.timeIntervalSince1970.rounded(.down)) }

    /// 126 random bits in 16 bytes: positive, and of one length (RFC 5280, 4.1.2.2).
    private static func serial() -> Certificate.SerialNumber {
        var bytes: [UInt8] = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[0] = bytes[0] & 0x3F | 0x40
        return Certificate.SerialNumber(bytes: bytes)
    }
}

/// The other names of a certificate, as people write them.
struct OtherNames {
    /// The first URI.
    var identity: String?
    /// DNS names and addresses.
    var hosts: [String] = []

    init(_ certificate: Certificate) throws {
        guard let names = try certificate.extensions.subjectAlternativeNames else { return }
        for name in names {
            switch name {
            case .uniformResourceIdentifier(let uri): identity = identity ?? uri
            case .dnsName(let host): hosts.append(host)
            case .ipAddress(let address): hosts.append(Self.text(Array(address.bytes)))
            default: continue
            }
        }
    }

    /// An IPv4 or IPv6 address, or a DNS name.
    static func host(_ text: String) throws(CommandFailure) -> GeneralName {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            if inet_pton(family, text, &bytes) == 1 { return .ipAddress(ASN1OctetString(contentBytes: bytes[...])) }
        }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        let isName = text.utf8.count <= 253 && labels.allSatisfy(isLabel)
        // A last part of digits alone is an address with a slip in it (RFC 1123, 2.1).
        guard isName, labels.last?.allSatisfy({ $0.isASCII && $0.isNumber }) == false else {
            throw CommandFailure(.usage, "--host '\(text.prefix(80))' is neither a DNS name nor an IP address (without a port)")
        }
        return .dnsName(text)
    }

    private static func isLabel(_ label: Substring) -> Bool {
        guard (1...63).contains(label.utf8.count), label.first != "-", label.last != "-" else { return false }
        return label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        guard bytes.count == 4 || bytes.count == 16 else { return "address of \(bytes.count) bytes" }
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer -> String in
            guard let start = inet_ntop(family, bytes, buffer.baseAddress, 64) else { return "?" }
            return String(cString: start)
        }
    }
}
