/// What keeps a socket, a certificate or a key from being used.
package enum TransportError: Error, Equatable, CustomStringConvertible {
    case cannotListen(address: String, reason: String)
    case badAddress(String)
    case badCertificate(path: String, reason: String)
    case badKey(reason: String)
    case tooLong(bytes: Int, limit: Int)
    case closed

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason): "cannot listen for calls on \(address): \(reason)"
        case .badAddress(let text): "'\(text)' is no address: write host:port, [::1]:port or unix:/path"
        case .badCertificate(let path, let reason): "\(path): \(reason)"
        case .badKey(let reason): "the key ring: \(reason)"
        case .tooLong(let bytes, let limit): "a datagram of \(bytes) bytes; at most \(limit) are sent"
        case .closed: "closed"
        }
    }
}
