import NIOPosix
import Observability
import Primitives
import Transport
package import Wire

/// Measures round trips of calls to a node, as ping(8) does those of packets.
package struct CallProbe: Sendable {
    /// What answered.
    package struct Target: Equatable, Sendable {
        package var node: String
        package var software: String
        package var version: String
        package var cluster: String?
        package var roles: [String]
        package var isEncrypted: Bool
    }

    /// Certificate, key and authority, where calls need them.
    package struct Certificates: Sendable {
        package var certificate: String
        package var key: String
        package var authority: String

        package init(certificate: String, key: String, authority: String) {
            self.certificate = certificate
            self.key = key
            self.authority = authority
        }
    }

    /// What a probe could not be made of.
    package struct Problem: Error, CustomStringConvertible {
        package let isConfiguration: Bool
        package let description: String
    }

    package let address: String
    private let peer: PeerAddress
    private let client: RPCClient
    private let clock = SystemClock()
    private let isEncrypted: Bool

    package init(_ text: String, certificates: Certificates?, software: String) throws(Problem) {
        do throws(TransportError) {
            peer = try PeerAddress(text)
            var tls: TLSSource?
            if let certificates {
                tls = try TLSSource(
                    .init(certificate: certificates.certificate, key: certificates.key, authority: certificates.authority))
            }
            if case .tcp = peer { isEncrypted = tls != nil } else { isEncrypted = false }
            var hello = Hello()
            hello.software = software
            var settings = RPCClient.Settings()
            // Each ping is to be a try.
            settings.breakerLimit = .max
            client = RPCClient(
                hello: hello, settings: settings, tls: tls, group: MultiThreadedEventLoopGroup.singleton,
                telemetry: Telemetry.quiet(node: .unnamed))
        } catch {
            throw Problem(isConfiguration: true, description: error.description)
        }
        address = peer.description
    }

    /// Connects and shakes hands.
    package func connect(timeout: Duration) async throws(CallError) -> Target {
        let found = try await client.peer(at: peer, timeout: timeout)
        return Target(
            node: found.node?.text ?? "?", software: found.hello.software, version: found.version.description,
            cluster: found.hello.cluster?.description, roles: found.hello.roles, isEncrypted: isEncrypted)
    }

    /// One round trip with so many bytes there and back; and how far the other's wall clock is before this one's, as far as the way tells.
    package func ping(_ sequence: UInt64, bytes: Int, timeout: Duration) async throws(CallError) -> (took: Duration, offset: Duration?) {
        let padding = bytes > 0 ? [UInt8](repeating: 0x2E, count: bytes) : nil
        let (began, wall) = (clock.now, clock.wall)
        let ack = try await client.call(Ping(sequence: sequence, from: .unnamed, padding: padding), to: peer, timeout: timeout)
        let took = clock.now.duration(since: began)
        guard ack.sequence == sequence, ack.padding?.count ?? 0 == bytes else {
            throw CallError(.protocolViolation, "\(address) answered another ping than was sent")
        }
        let offset = ack.time.map { $0.duration(since: wall) - .nanoseconds(took.nanoseconds / 2) }
        return (took, offset)
    }

    package func close() { client.close() }
}
