import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
package import Primitives
import Synchronization
import Text

/// Talks to a node's HTTP API.
package struct NodeClient: Sendable {
    /// An answer: its status, and its body.
    package struct Answer: Sendable {
        package var url: String
        package var status: Int
        package var bytes: [UInt8]
        /// The body as a value; nil when it is no JSON.
        package var json: Value?
        package var value: Value { json ?? .null }

        init(url: String, status: Int, bytes: [UInt8]) {
            (self.url, self.status, self.bytes) = (url, status, bytes)
            json = try? JSONScanner.parse(bytes, maximumDepth: 512)
        }
    }

    private static let answerLimit = 64 << 20

    /// Several nodes, of which one that answers is used.
    private final class Targets: Sendable {
        let urls: [String]
        private let place = Atomic<Int>(0)

        init(_ urls: [String]) { self.urls = urls }
        var current: String { urls[place.load(ordering: .relaxed) % urls.count] }
        /// On to the next one, unless somebody else has moved on already.
        func leave(_ url: String) { if current == url { place.wrappingAdd(1, ordering: .relaxed) } }
    }

    private let targets: Targets
    package let timeout: Duration
    /// Refuses whatever would change something, before it is sent.
    package let isReadOnly: Bool
    private let refusal: String?
    /// How fresh what is read must be; nil for what a node has.
    private let consistency: String?
    private let client: HTTPClient

    package var url: String { targets.current }
    /// Every node that it may ask.
    package var urls: [String] { targets.urls }

    /// - Parameter url: one URL, or several separated by commas: when one cannot be reached the next is tried.
    package init(url: String, timeout: Duration, isReadOnly: Bool = false, refusal: String? = nil, consistency: String? = nil) {
        let urls = url.split(separator: ",").map { part -> String in
            let text = part.trimmingCharacters(in: .whitespaces)
            let whole = text.contains("://") ? text : "http://\(text)"
            return whole.hasSuffix("/") ? String(whole.dropLast()) : whole
        }
        targets = Targets(urls.isEmpty ? ["http://127.0.0.1:8080"] : urls)
        self.timeout = timeout
        self.isReadOnly = isReadOnly
        self.refusal = refusal
        self.consistency = consistency
        client = Self.sharedClient
    }

    /// The same for one node alone.
    func alone(_ url: String, timeout: Duration) -> NodeClient {
        NodeClient(url: url, timeout: timeout, isReadOnly: isReadOnly, refusal: refusal, consistency: consistency)
    }

    /// One for the process, never shut down: it ends with it. A refused connection is told at once.
    private static let sharedClient: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// For streams that beat at least every two seconds.
    private static let streamClient: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        configuration.timeout.read = .seconds(8)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    package func get(_ path: String, _ query: [(String, String?)] = []) async throws -> Value {
        try Self.value(try await send("GET", path, query))
    }

    package func post(_ path: String, _ query: [(String, String?)] = [], body: Value) async throws -> Value {
        try Self.value(try await send("POST", path, query, body: JSONWriter.bytes(body), type: "application/json"))
    }

    /// What a node answers is JSON, or it is no node.
    package static func value(_ answer: Answer) throws(CommandFailure) -> Value {
        guard (200..<300).contains(answer.status), let value = answer.json else { throw refusal(answer) }
        return value
    }

    /// The answer whatever its status.
    ///
    /// - Parameter patience: for all the nodes together that are tried; nil waits for each as long as `timeout` says.
    package func send(
        _ method: String, _ path: String, _ query: [(String, String?)] = [], body: [UInt8]? = nil, type: String = "application/json",
        patience: Duration? = nil
    ) async throws -> Answer {
        guard !path.contains("//"), !path.hasSuffix("/") else { throw CommandFailure(.usage, "an id or a name is empty") }
        guard !isReadOnly || method == "GET" else {
            throw CommandFailure(.denied, "read-only: \(method) \(path) was not sent\(refusal.map { "; \($0)" } ?? "")")
        }
        var failure = CommandFailure(.unavailable, "no URL")
        let query = method == "GET" && path.hasPrefix("/api/") ? query + [("consistency", consistency)] : query
        let end = patience.map { ContinuousClock.now + $0 }
        for _ in targets.urls {
            let url = url
            let left = end.map { max(.milliseconds(1), $0 - .now) } ?? timeout
            do {
                let answer = try await sendOnce(url, method, path, query, body: body, type: type, timeout: left)
                guard answer.status == 503, targets.urls.count > 1 else { return answer }
                targets.leave(url)
                return answer
            } catch {
                targets.leave(url)
                failure = error.failure
                failure.isUncertain = method != "GET" && !error.isUnsent && [.temporary, .unavailable].contains(failure.code)
                // What may have been done already is not done again.
                guard failure.code == .unavailable, method == "GET" || error.isUnsent else { throw failure }
            }
        }
        throw failure
    }

    private struct Failure: Error {
        var failure: CommandFailure
        /// The node has not seen the request.
        var isUnsent = false
    }

    private func sendOnce(
        _ url: String, _ method: String, _ path: String, _ query: [(String, String?)], body: [UInt8]?, type: String, timeout: Duration
    ) async throws(Failure) -> Answer {
        var request = HTTPClientRequest(url: url + path + Self.text(query))
        request.method = HTTPMethod(rawValue: method)
        if let body {
            request.headers.add(name: "Content-Type", value: type)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            let response = try await client.execute(request, timeout: .nanoseconds(timeout.nanoseconds))
            let bytes = Array(try await response.body.collect(upTo: Self.answerLimit).readableBytesView)
            return Answer(url: url, status: Int(response.status.code), bytes: bytes)
        } catch {
            throw Self.failure(error, url, timeout)
        }
    }

    private static let lineLimit = 32 << 20

    /// Lines of a stream until it ends.
    ///
    /// - Parameter beats: whether silence of some seconds means that the node is gone.
    package func stream(
        _ path: String, _ query: [(String, String?)], beats: Bool = false, onLine: (String) async throws -> Void
    ) async throws {
        let url = url
        var request = HTTPClientRequest(url: url + path + Self.text(query))
        request.headers.add(name: "Accept", value: "text/event-stream")
        var rest: [UInt8] = []
        do {
            let response = try await (beats ? Self.streamClient : client).execute(request, timeout: .hours(24 * 365))
            guard response.status == .ok else {
                let bytes = Array(try await response.body.collect(upTo: Self.answerLimit).readableBytesView)
                throw Self.refusal(Answer(url: url, status: Int(response.status.code), bytes: bytes))
            }
            guard response.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") == true else {
                throw CommandFailure(.protocolError, "\(url) answers with what is no stream of events; is it a node?")
            }
            for try await buffer in response.body {
                rest += buffer.readableBytesView
                guard rest.count <= Self.lineLimit else { throw CommandFailure(.protocolError, "\(url) sends what is no stream of lines") }
                while let end = rest.firstIndex(of: 0x0A) {
                    try await onLine(String(decoding: rest[..<end], as: UTF8.self))
                    rest.removeSubrange(...end)
                }
            }
        } catch let error as CommandFailure {
            if error.code == .temporary { targets.leave(url) }
            throw error
        } catch {
            targets.leave(url)
            throw Self.failure(error, url, timeout).failure
        }
    }

    /// For answers that are text: those of metrics and of attempts' logs.
    package func checked(_ answer: Answer) throws(CommandFailure) -> Answer {
        guard (200..<300).contains(answer.status) else { throw Self.refusal(answer) }
        return answer
    }

    /// What a node's problem means for a command.
    package static func refusal(_ answer: Answer) -> CommandFailure {
        if let problem = answer.json { return refusal(status: answer.status, problem) }
        // A proxy in front of a node has words of its own.
        if [502, 503, 504].contains(answer.status) { return CommandFailure(.temporary, "\(answer.url) answers \(answer.status)") }
        return CommandFailure(.protocolError, "\(answer.url) answers \(answer.status) with what is no JSON; is it a node?")
    }

    /// A problem (RFC 9457) as a failure.
    package static func refusal(status: Int, _ problem: Value) -> CommandFailure {
        let code: CommandFailure.Code =
            switch status {
            case 400, 413, 422: .badData
            case 401, 403: .denied
            case 404, 409, 412: .failed
            case 429, 502, 503, 504: .temporary
            default: .protocolError
            }
        let detail = problem["detail"]?.string ?? ""
        return CommandFailure(code, detail.isEmpty ? "status \(status)" : detail)
    }

    private static func failure(_ error: any Error, _ url: String, _ timeout: Duration) -> Failure {
        func made(_ code: CommandFailure.Code, _ text: String, isUnsent: Bool = false) -> Failure {
            Failure(failure: CommandFailure(code, text), isUnsent: isUnsent)
        }
        if let error = error as? HTTPClientError {
            switch error {
            case .invalidURL, .emptyHost, .emptyScheme: return made(.usage, "'\(url)' is no URL; write http://127.0.0.1:8080")
            case .deadlineExceeded, .readTimeout: return made(.temporary, "\(url) did not answer within \(shown(timeout))")
            case .connectTimeout: return made(.unavailable, "\(url) cannot be reached", isUnsent: true)
            default: break
            }
        }
        let reason = (error as? NIOConnectionError)?.connectionErrors.first.map { "\($0.error)" } ?? "\(error)"
        if reason.contains("refused") {
            return made(
                .unavailable, "\(url) cannot be reached: connection refused; is a node running? Start one with 'distric node'",
                isUnsent: true)
        }
        if error is NIOConnectionError { return made(.unavailable, "\(url) cannot be reached: \(reason)", isUnsent: true) }
        if error is HTTPParserError { return made(.protocolError, "\(url) does not speak HTTP as a node does; is it a node?") }
        if reason.contains("unsupportedScheme") { return made(.usage, "'\(url)' is no http or https URL") }
        if error is CancellationError { return made(.interrupted, "interrupted") }
        return made(.unavailable, "\(url): \(error)")
    }

    /// In tenths of a second, where it is what was left of some time.
    private static func shown(_ timeout: Duration) -> String {
        let tenth = Duration.milliseconds(100)
        return timeout < tenth ? timeout.text : (tenth * Int((timeout / tenth).rounded())).text
    }

    private static func text(_ query: [(String, String?)]) -> String {
        let parts = query.compactMap { name, value in value.map { "\(name)=\(escaped($0))" } }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }

    /// One segment of a path or one value of a query, percent-encoded.
    package static func escaped(_ text: String) -> String {
        text.utf8.reduce(into: "") { out, byte in
            let isPlain = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-._~".utf8.contains(byte)
            out += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal(UInt64(byte), digits: 2).uppercased()
        }
    }
}
