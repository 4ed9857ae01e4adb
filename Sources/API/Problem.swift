import HTTPTypes
import Hummingbird
import NIOCore
import Primitives
import Text

/// An error answer: RFC 9457 `application/problem+json` with a stable `type`.
struct Problem: Error, HTTPResponseError {
    /// One thing that is wrong, with a JSON Pointer to it.
    struct Detail: Equatable {
        var pointer: String
        var detail: String
        /// Which definition of several.
        var definition: Int?
    }

    var status: HTTPResponse.Status
    /// `payload_too_large`, `invalid_json`, `not_found`, ...
    var type: String
    var title: String
    var detail: String
    var errors: [Detail] = []
    var retryAfterSeconds: Int?
    var limits: Value?
    /// Methods that the path has.
    var allow: String?
    /// Who could do it, where that is known.
    var leader: NodeID?
    /// Whether it may have been done all the same.
    var isUncertain = false

    var value: Value {
        .object([
            "type": .string("urn:distric:problem:\(type)"), "code": .string(type), "title": .string(title), "status": Value(status.code),
            "detail": .string(detail),
            "errors": errors.isEmpty
                ? nil
                : .list(
                    errors.map { error in
                        .object([
                            "pointer": .string(error.pointer), "detail": .string(error.detail),
                            "definition": error.definition.map { Value($0) },
                        ])
                    }),
            "limits": limits, "leader": leader.map { .string($0.text) }, "uncertain": isUncertain ? true : nil,
        ])
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let allow { headers[.allow] = allow }
        if let leader { headers[.districLeader] = leader.text }
        if let retryAfterSeconds { headers[.retryAfter] = String(retryAfterSeconds) }
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: JSONWriter.bytes(value))))
    }

    static func notFound(_ what: String) -> Problem {
        Problem(status: .notFound, type: "not_found", title: "Not found", detail: what)
    }

    static func badRequest(_ type: String, _ detail: String, pointer: String? = nil) -> Problem {
        Problem(
            status: .badRequest, type: type, title: "The request cannot be understood", detail: detail,
            errors: pointer.map { [Detail(pointer: $0, detail: detail)] } ?? [])
    }

    static func tooLarge(_ detail: String, limit: Int) -> Problem {
        Problem(
            status: .contentTooLarge, type: "payload_too_large", title: "Too large", detail: detail, limits: ["bytes": Value(limit)])
    }

    /// It may have been done.
    static func uncertain(_ detail: String) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "uncertain", title: "Whether it was done is not known", detail: detail, retryAfterSeconds: 1,
            isUncertain: true)
    }

    /// Nothing was begun, and nothing will be before some of what is open has ended.
    static func tooManyRuns(_ detail: String) -> Problem {
        Problem(
            status: .tooManyRequests, type: "too_many_open_runs", title: "Too many runs are open", detail: detail, retryAfterSeconds: 5)
    }

    static func busy(_ detail: String) -> Problem {
        Problem(status: .serviceUnavailable, type: "busy", title: "The node cannot take this now", detail: detail, retryAfterSeconds: 1)
    }
}

extension Response {
    /// A value as JSON.
    static func json(_ value: Value, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: JSONWriter.bytes(value))))
    }
}
