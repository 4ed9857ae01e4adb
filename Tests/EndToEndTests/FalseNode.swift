import Foundation
import Glibc
import Testing

/// Listens where a node should, and answers every request as it was told.
final class FalseNode: Sendable {
    let url: String
    private let listener: Int32

    /// - Parameter answer: the bytes for a path; the connection is closed after them.
    init(_ answer: @escaping @Sendable (String) -> [UInt8]) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, length) | getsockname(listener, $0, &length) }
        }
        try #require(code == 0)
        try #require(listen(listener, 64) == 0)
        self.listener = listener
        url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        Thread.detachNewThread {
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                Thread.detachNewThread { Self.serve(connection, answer) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func serve(_ connection: Int32, _ answer: (String) -> [UInt8]) {
        defer { close(connection) }
        var request = ""
        while !request.contains("\r\n\r\n") {
            var bytes = [UInt8](repeating: 0, count: 8192)
            let count = recv(connection, &bytes, bytes.count, 0)
            guard count > 0 else { return }
            request += String(decoding: bytes.prefix(count), as: UTF8.self)
        }
        var rest = answer(request.split(separator: " ").dropFirst().first.map(String.init) ?? "")[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// An answer of HTTP.
    static func http(_ body: String, type: String = "application/json", status: String = "200 OK") -> [UInt8] {
        Array("HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    /// A stream of events as a node sends them.
    static func stream(_ events: (name: String, data: String)...) -> [UInt8] {
        let text = events.map { "event: \($0.name)\ndata: \($0.data)\n\n" }.joined()
        return Array("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\(text)".utf8)
    }
}
