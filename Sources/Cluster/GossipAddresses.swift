import NIOCore
import Primitives
import Transport

/// Where texts lead: numbers at once, names once they were looked up.
struct GossipAddresses {
    /// Beyond it all are forgotten, and read again.
    private static let limit = 8_192
    /// Names that are looked up at once; more wait for another datagram.
    private static let lookUpsAtOnce = 16
    /// For how long a name is believed to lead where it did, or nowhere.
    private static let freshFor = Duration.seconds(30)

    let isIPv6: Bool
    private var known: [String: SocketAddress] = [:]
    /// Names, and when they were looked up last.
    private var lookedUp: [String: Instant] = [:]
    private var open: Set<String> = []

    init(isIPv6: Bool) { self.isIPv6 = isIPv6 }

    /// Where something came from.
    mutating func note(_ address: SocketAddress) -> String {
        let text = address.hostAndPort
        remember(text, address)
        return text
    }

    /// Nil for a name that leads nowhere yet.
    mutating func find(_ text: String) -> SocketAddress? {
        if let found = known[text], lookedUp[text] == nil { return found }
        guard case .tcp(let host, let port)? = try? PeerAddress(text) else { return nil }
        if let found = NameResolver.literal(host, port: port) {
            remember(text, found)
            return found
        }
        return known[text]
    }

    private mutating func remember(_ text: String, _ address: SocketAddress) {
        if known.count >= Self.limit { (known, lookedUp) = ([:], [:]) }
        known[text] = address
    }

    /// Whether it is time to look it up.
    mutating func beginLookUp(_ text: String, now: Instant) -> Bool {
        if let at = lookedUp[text], now.duration(since: at) < Self.freshFor { return false }
        guard open.count < Self.lookUpsAtOnce, open.insert(text).inserted else { return false }
        if lookedUp.count >= Self.limit { (known, lookedUp) = ([:], [:]) }
        lookedUp[text] = now
        return true
    }

    mutating func endLookUp(_ text: String, _ found: SocketAddress?) {
        open.remove(text)
        if let found { remember(text, found) }
    }
}
