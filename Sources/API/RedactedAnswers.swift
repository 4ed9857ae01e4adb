import HTTPTypes
import Hummingbird
import NIOCore
import Primitives
import Text

/// With `?redacted=true` the answer to a GET goes out without what this node's settings call a secret, and without what looks like one:
/// for what is handed on to others. Only the node can do that, since it tells nobody what the secrets are.
struct RedactedAnswers: RouterMiddleware {
    typealias Context = NodeRequestContext

    /// As much as whoever gathers takes of one answer.
    private static let answerBytes = 64 << 20

    let settings: ShownSettings

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard request.method == .get, try request.isRedacted() else { return try await next(request, context) }
        guard !request.isWatching, request.uri.queryParameters["follow"] != "true",
            request.headers[.accept]?.contains("text/event-stream") != true
        else { throw Self.endless }
        // Nothing is found in what is packed.
        var head = request.head
        head.headerFields[.acceptEncoding] = nil
        var response = try await next(Request(head: head, body: request.body), context)
        guard let length = response.body.contentLength else { throw Self.endless }
        guard length <= Self.answerBytes else {
            throw Problem.badRequest("answer_too_large", "redacted=true is for answers of up to \(Self.answerBytes) bytes: ask for less")
        }
        let whole = WholeBody()
        try await response.body.write(whole)
        let bytes = redact(whole.bytes, isJSON: response.headers[.contentType]?.contains("json") == true)
        response.body = .init(byteBuffer: ByteBuffer(bytes: bytes))
        return response
    }

    private static var endless: Problem {
        Problem.badRequest("invalid_flag", "redacted=true is for answers whose length is known: ask without watch, follow or a stream")
    }

    private func redact(_ bytes: [UInt8], isJSON: Bool) -> [UInt8] {
        let redaction = settings.redaction
        guard isJSON, let value = try? JSONScanner.parse(bytes, maximumDepth: 512) else { return redaction.bytes(bytes) }
        return JSONWriter.bytes(redaction.value(value))
    }
}

/// An answer's body in one piece.
private final class WholeBody: ResponseBodyWriter {
    private(set) var bytes: [UInt8] = []
    func write(_ buffer: ByteBuffer) async throws { bytes += buffer.readableBytesView }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

extension Request {
    /// `?redacted=`.
    fileprivate func isRedacted() throws(Problem) -> Bool {
        guard let text = uri.queryParameters["redacted"] else { return false }
        guard let flag = Bool(String(text)) else { throw Problem.badRequest("invalid_flag", "redacted is true or false") }
        return flag
    }
}
