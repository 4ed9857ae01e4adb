import NIOCore

/// Where calls are taken.
package enum PeerAddress: Hashable, Sendable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    case unix(path: String)

    package static let standardPort = 9000

    /// Reads `host:port`, `host`, `[::1]:port` and `unix:/path`.
    package init(_ text: String) throws(TransportError) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard !path.isEmpty, path.utf8.count <= 107 else { throw .badAddress(text) }
            self = .unix(path: path)
            return
        }
        var (host, port) = (text[...], Substring())
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw .badAddress(text) }
            port = rest.dropFirst()
            if rest == ":" { throw .badAddress(text) }
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            (host, port) = (text[..<colon], text[text.index(after: colon)...])
            if port.isEmpty { throw .badAddress(text) }
        }
        let isNumber = port.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let number = port.isEmpty ? Self.standardPort : isNumber ? Int(port) ?? -1 : -1
        guard !host.isEmpty, !host.hasPrefix("["), !host.contains("/"), text.hasPrefix("[") || !host.contains(":"),
            (0...65_535).contains(number), !host.contains(where: \.isWhitespace)
        else {
            throw .badAddress(text)
        }
        self = .tcp(host: String(host), port: number)
    }

    /// False where the system is to choose the port.
    package var isFixed: Bool {
        if case .tcp(_, port: 0) = self { false } else { true }
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
