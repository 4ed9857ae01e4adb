import Foundation
import Glibc
import Synchronization
import Testing

/// Listens where a leader's front door should, keeps what it was sent, and does with it as it was told.
final class FalseLeader: Sendable {
    enum Answer: Sendable {
        /// These bytes; then the connection is closed.
        case bytes(String)
        /// Nothing; the connection is closed at once.
        case none
        /// These bytes, and then nothing more until the other side goes.
        case silence(after: String)
    }

    let url: String
    private let descriptor: Int32
    private let kept: Kept

    private final class Kept: Sendable {
        let requests = Mutex<[String]>([])
    }

    /// Head and body of each.
    var requests: [String] { kept.requests.withLock { $0 } }

    init(_ answer: Answer) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | getsockname(descriptor, $0, &length)
            }
        }
        try #require(code == 0)
        try #require(listen(descriptor, 64) == 0)
        let kept = Kept()
        self.descriptor = descriptor
        self.kept = kept
        url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        Thread.detachNewThread {
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else { return }
                Thread.detachNewThread { Self.serve(connection, answer, kept) }
            }
        }
    }

    deinit { stop() }

    /// Nothing listens there any more.
    private func stop() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    /// A URL at which nothing listens.
    static func gone() throws -> String { try FalseLeader(.none).url }

    private static func serve(_ connection: Int32, _ answer: Answer, _ kept: Kept) {
        defer { close(connection) }
        guard let request = read(connection) else { return }
        kept.requests.withLock { $0.append(request) }
        switch answer {
        case .bytes(let text): send(text, to: connection)
        case .none: break
        case .silence(let text):
            send(text, to: connection)
            var byte: UInt8 = 0
            while recv(connection, &byte, 1, 0) > 0 {}
        }
    }

    /// To the end of its body; nil when it did not come whole.
    private static func read(_ connection: Int32) -> String? {
        var bytes: [UInt8] = []
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let length = text.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.output.1) } ?? 0
                if text[end.upperBound...].utf8.count >= length { return text }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk.prefix(count)
        }
    }

    private static func send(_ text: String, to connection: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// An answer of HTTP.
    static func http(_ status: String, _ body: String, _ headers: String...) -> Answer {
        let lines = headers.map { "\($0)\r\n" }.joined()
        return .bytes("HTTP/1.1 \(status)\r\n\(lines)Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }
}
