import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// An answer that is too large to hold, taken piece by piece: the node sends no faster than the pieces are taken.
struct ByteStream: Sendable {
    /// Silence after which the node counts as gone.
    private static let silence = TimeAmount.seconds(60)
    private static let refusalBytes = 1 << 20

    let url: String
    let path: String
    let query: [(String, String)]

    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        configuration.timeout.read = silence
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// Hands on every piece. Throws a `CommandFailure` when the answer is none, or does not come to its end.
    func pieces(_ take: ([UInt8]) async throws -> Void) async throws {
        let words = query.map { "\($0)=\(NodeClient.escaped($1))" }.joined(separator: "&")
        let request = HTTPClientRequest(url: url + path + (words.isEmpty ? "" : "?" + words))
        var count = 0
        do {
            let response = try await Self.client.execute(request, timeout: .hours(24 * 7))
            guard response.status == .ok else {
                let bytes = Array(try await response.body.collect(upTo: Self.refusalBytes).readableBytesView)
                throw NodeClient.refusal(NodeClient.Answer(url: url, status: Int(response.status.code), bytes: bytes))
            }
            for try await buffer in response.body {
                count += buffer.readableBytes
                try await take(Array(buffer.readableBytesView))
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch is CancellationError {
            throw CommandFailure(.interrupted, "interrupted after \(count) bytes")
        } catch {
            throw CommandFailure(.unavailable, "\(url): it broke off after \(count) bytes, and is not whole: \(error)")
        }
    }
}
