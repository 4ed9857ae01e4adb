import Foundation
import Glibc
import Synchronization

/// Listens where a collector of spans should, keeps what it was sent, and answers as it was told.
final class FalseCollector: Sendable {
    struct Request {
        var head: String
        var body: [UInt8]
    }

    let url: String
    private let listener: LoopbackListener
    private let kept: Kept

    /// What came, in order.
    private final class Kept: Sendable {
        let requests = Mutex<[Request]>([])

        func add(_ request: Request) -> Int {
            requests.withLock { requests in
                requests.append(request)
                return requests.count - 1
            }
        }
    }

    var requests: [Request] { kept.requests.withLock { $0 } }

    /// - Parameter answer: the bytes for the request of that number, from 0; the connection is closed after them.
    init(_ answer: @escaping @Sendable (Int) -> [UInt8]) throws {
        let kept = Kept()
        self.kept = kept
        listener = try LoopbackListener { connection in
            defer { close(connection) }
            guard let request = Self.read(connection) else { return }
            LoopbackListener.send(answer(kept.add(request)), to: connection)
        }
        url = listener.url + "/v1/traces"
    }

    private static func read(_ connection: Int32) -> Request? {
        var bytes: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = bytes.firstRange(of: end) {
                let head = String(decoding: bytes[..<range.lowerBound], as: UTF8.self)
                let length = head.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.output.1) } ?? 0
                if bytes.count >= range.upperBound + length {
                    return Request(head: head, body: Array(bytes[range.upperBound..<range.upperBound + length]))
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk.prefix(count)
        }
    }
}
