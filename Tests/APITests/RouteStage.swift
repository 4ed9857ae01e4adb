import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Primitives
import Text

@testable import API

/// Routes that are asked without a socket.
struct RouteStage {
    struct Answer {
        var status: Int
        var value: Value
        var detail: String { value["detail"]?.string ?? "" }
        /// Where the first of its errors points to.
        var pointer: String? { value["errors"]?.list?.first?["pointer"]?.string }
    }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private let respond: @Sendable (Request, NodeRequestContext) async throws -> Response

    init(_ add: (RouterGroup<NodeRequestContext>) -> Void) {
        let router = Router(context: NodeRequestContext.self)
        add(router.group("api/v1"))
        let responder = router.buildResponder()
        respond = { request, context in try await responder.respond(to: request, context: context) }
    }

    /// - Parameter path: what comes after `/api/v1/`.
    func ask(_ method: HTTPRequest.Method, _ path: String, _ body: String = "") async throws -> Answer {
        let head = HTTPRequest(method: method, scheme: nil, authority: nil, path: "/api/v1/" + path)
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body)))
        do {
            let response = try await respond(request, NodeRequestContext(logger: Self.logger))
            let written = Written()
            try await response.body.write(written)
            return Answer(status: response.status.code, value: try JSONScanner.parse(written.bytes))
        } catch let problem as Problem {
            return Answer(status: problem.status.code, value: problem.value)
        }
    }

    private final class Written: ResponseBodyWriter, @unchecked Sendable {
        var bytes: [UInt8] = []
        func write(_ buffer: ByteBuffer) async throws { bytes.append(contentsOf: buffer.readableBytesView) }
        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
}
