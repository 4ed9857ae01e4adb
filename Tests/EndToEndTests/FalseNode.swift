import Foundation
import Glibc

/// Listens where a node should, and answers every request as it was told.
final class FalseNode: Sendable {
    let url: String
    private let listener: LoopbackListener

    /// - Parameter answer: the bytes for a path; the connection is closed after them.
    init(_ answer: @escaping @Sendable (String) -> [UInt8]) throws {
        listener = try LoopbackListener { Self.serve($0, answer) }
        url = listener.url
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
        LoopbackListener.send(answer(request.split(separator: " ").dropFirst().first.map(String.init) ?? ""), to: connection)
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
