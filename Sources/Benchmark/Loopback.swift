import Foundation
import Glibc
import Primitives
import Text

/// Programs on this machine, asked now and then: one HTTP request on a connection of its own, with its status.
enum Loopback {
    struct Failed: Error, CustomStringConvertible { let description: String }

    /// Below those that the kernel gives to connections.
    static let ports = 20_000..<32_000

    struct Answer {
        var status: Int
        var body: [UInt8]
        var isGood: Bool { (200..<300).contains(status) }
        var value: Value { (try? JSONScanner.parse(body)) ?? .null }
        /// What an error answer says.
        var words: String { "\(status) \(value["detail"]?.string ?? String(decoding: body.prefix(200), as: UTF8.self))" }
    }

    /// - Parameter patience: milliseconds for each piece of the answer.
    static func ask(_ port: Int, _ method: String, _ path: String, _ body: Value? = nil, patience: Int = 5000) throws(Failed) -> Answer {
        let socket = try connect(port, patience)
        defer { close(socket) }
        let payload = body.map { JSONWriter.bytes($0) } ?? []
        let head =
            "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: \(payload.count)\r\n\r\n"
        var outbox = (Array(head.utf8) + payload)[...]
        while !outbox.isEmpty {
            let count = outbox.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failed(description: "port \(port) does not take \(method) \(path)") }
            outbox = outbox.dropFirst(count)
        }
        var inbox: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count >= 0 else { throw Failed(description: "port \(port) does not answer \(method) \(path) within \(patience) ms") }
            guard count > 0 else { break }
            inbox += buffer.prefix(count)
        }
        guard let end = inbox.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Failed(description: "port \(port) closed the connection before it answered \(method) \(path)")
        }
        let line = String(decoding: inbox.prefix(12), as: UTF8.self)
        return Answer(status: Int(line.dropFirst(9)) ?? 0, body: Array(inbox[end.upperBound...]))
    }

    /// A blocking socket, connected.
    static func connect(_ port: Int, _ patience: Int) throws(Failed) -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Failed(description: "no socket: \(String(cString: strerror(errno)))") }
        var limit = timeval(tv_sec: patience / 1000, tv_usec: patience % 1000 * 1000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        let code = with(port) { Glibc.connect(socket, $0, $1) }
        guard code == 0 else {
            close(socket)
            throw Failed(description: "nothing answers on port \(port)")
        }
        return socket
    }

    /// Ports on which nobody listens, from below those that the kernel gives to connections: a program that comes back finds its own free.
    static func freePorts(_ count: Int, in range: Range<Int> = ports) throws(Failed) -> [Int] {
        var (ports, sockets): ([Int], [Int32]) = ([], [])
        // All are held until the last is found.
        defer { for socket in sockets { close(socket) } }
        for _ in 0..<1000 where ports.count < count {
            let port = Int.random(in: range)
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            sockets.append(socket)
            if with(port, { bind(socket, $0, $1) }) == 0 { ports.append(port) }
        }
        guard ports.count == count else {
            throw Failed(description: "no \(count) ports from \(range.lowerBound) to \(range.upperBound - 1) are free on 127.0.0.1")
        }
        return ports
    }

    private static func with(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
