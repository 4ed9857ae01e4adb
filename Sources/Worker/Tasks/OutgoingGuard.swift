import Glibc
import Primitives

/// Keeps outgoing requests away from what only this machine and its neighbours should reach: loopback, link-local, private and unspecified
/// addresses are refused unless the host is allowed by name. Redirects are not followed, so that this is asked for every target.
struct OutgoingGuard {
    /// `host` or `host:port`.
    let allowed: [String]

    @concurrent
    func check(host: String, port: Int) async throws(TaskError) {
        if allowed.contains(host) || allowed.contains("\(host):\(port)") { return }
        let addresses = try resolve(host)
        guard let bad = addresses.first(where: Self.isInternal) else { return }
        throw TaskError(
            type: "not_allowed",
            message:
                "\(host) is the internal address \(bad.map(String.init).joined(separator: ".")); allow it with --allow-http \(host):\(port)"
        )
    }

    /// Addresses of 4 or 16 bytes.
    private func resolve(_ host: String) throws(TaskError) -> [[UInt8]] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let trimmed = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        let code = getaddrinfo(trimmed, nil, &hints, &list)
        guard code == 0 else {
            throw TaskError(type: "connection", message: "cannot resolve \(host): \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        var found: [[UInt8]] = []
        var next = list
        while let entry = next {
            found.append(contentsOf: Self.bytes(entry.pointee))
            next = entry.pointee.ai_next
        }
        return found
    }

    private static func bytes(_ info: addrinfo) -> [[UInt8]] {
        guard let address = info.ai_addr else { return [] }
        switch info.ai_family {
        case AF_INET:
            return [address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) } }]
        case AF_INET6:
            return [
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) } }
            ]
        default: return []
        }
    }

    static func isInternal(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 16 {
            if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF { return isInternal(Array(bytes[12...])) }
            // ::a.b.c.d and 64:ff9b::a.b.c.d (RFC 6052) reach an IPv4 address too.
            if bytes[..<12].allSatisfy({ $0 == 0 }) {
                return bytes[12...15].allSatisfy { $0 == 0 } || bytes[15] <= 1 || isInternal(Array(bytes[12...]))
            }
            if Array(bytes[..<12]) == [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] { return isInternal(Array(bytes[12...])) }
            return bytes[0] & 0xFE == 0xFC || (bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80)
        }
        guard bytes.count == 4 else { return true }
        switch (bytes[0], bytes[1]) {
        case (0, _), (10, _), (127, _), (169, 254), (192, 168): return true
        case (172, 16...31), (100, 64...127): return true
        default: return bytes[0] >= 224
        }
    }
}
