import Glibc
package import NIOCore
import NIOPosix

/// Where names lead: asked on threads that may wait, for the system's own resolver blocks.
package enum NameResolver {
    /// An address that is none to be looked up.
    package static func literal(_ host: String, port: Int) -> SocketAddress? { try? SocketAddress(ipAddress: host, port: port) }

    /// The first address of a name; nil when there is none.
    ///
    /// - Parameter isIPv6: of which kind, where only one can be sent to.
    package static func resolve(_ host: String, port: Int, isIPv6: Bool? = nil) async -> SocketAddress? {
        if let found = literal(host, port: port) { return found }
        let found = try? await NIOThreadPool.singleton.runIfActive { lookUp(host, port, isIPv6) }
        return found ?? nil
    }

    private static func lookUp(_ host: String, _ port: Int, _ isIPv6: Bool?) -> SocketAddress? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        hints.ai_family = isIPv6.map { $0 ? AF_INET6 : AF_INET } ?? AF_UNSPEC
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0,
                let found = literal(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port: port)
            {
                return found
            }
            next = entry.pointee.ai_next
        }
        return nil
    }
}
