import HTTPTypes
import Hummingbird
import NIOCore
import Primitives
import Text

extension Request {
    /// `?namespace=` or the header `Distric-Namespace`; `default` when neither is there.
    func namespace() throws -> Namespace {
        let named = uri.queryParameters["namespace"].map(String.init) ?? headers[.districNamespace]
        guard let named else { return .default }
        do { return try Namespace(named) } catch { throw Problem.badRequest("invalid_namespace", error.description) }
    }

    /// Whether the caller asked for a namespace at all; lists show all of them when not.
    func namespaceFilter() throws -> Namespace? {
        uri.queryParameters["namespace"] == nil && headers[.districNamespace] == nil ? nil : try namespace()
    }

    func limit(default usual: Int = 50) throws -> Int {
        guard let text = uri.queryParameters["limit"] else { return usual }
        guard let number = Int(text), (1...1000).contains(number) else {
            throw Problem.badRequest("invalid_limit", "limit must be 1 to 1000")
        }
        return number
    }

    /// The body, refused as soon as it exceeds `limit`.
    func body(upTo limit: Int, _ what: String) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw Self.tooLarge(what, limit) }
        do {
            return try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw Self.tooLarge(what, limit)
        }
    }

    private static func tooLarge(_ what: String, _ limit: Int) -> Problem {
        .tooLarge("\(what) may have at most \(limit) bytes; store large payloads elsewhere and send their URL and hash", limit: limit)
    }

    /// An object of these keys, of at most 64 KiB; no body is an empty one.
    func jsonFields(_ keys: [String]) async throws -> Fields {
        let body = try await body(upTo: 64 << 10, "a request")
        guard body.readableBytes > 0 else { return Fields() }
        let value: Value
        do throws(JSONError) { value = try JSONScanner.parse(body.readableBytesView) } catch {
            throw Problem.badRequest("invalid_json", "not JSON: \(error)", pointer: "")
        }
        guard let fields = value.map else {
            throw Problem.badRequest("invalid_request", "expected an object of \(keys.joined(separator: ", "))", pointer: "")
        }
        for member in fields.members where !keys.contains(member.key) {
            let name = member.key.prefix(80)
            let there = keys.isEmpty ? "none is taken" : "there are \(keys.joined(separator: ", "))"
            let meant = suggestion(for: String(name), among: keys).map { "did you mean '\($0)'?" } ?? there
            throw Problem.badRequest("invalid_request", "no field '\(name)'; \(meant)", pointer: "/\(name)")
        }
        return fields
    }

    var isNDJSON: Bool { headers[.contentType]?.lowercased().hasPrefix("application/x-ndjson") == true }
}

extension HTTPField.Name {
    static let districNamespace = checked("Distric-Namespace")
    static let traceparent = checked("traceparent")
    static let tracestate = checked("tracestate")
    static let appliedIndex = checked("Distric-Applied-Index")
    /// Milliseconds since the time that the last applied entry bears.
    static let appliedAge = checked("Distric-Applied-Age-Ms")
    static let districLeader = checked("Distric-Leader")
    /// Why what is answered gets no newer here.
    static let districStale = checked("Distric-Stale")
    /// The node that passed the request on: it is not passed on again.
    static let districForwarded = checked("Distric-Forwarded")
    /// The node that answered in place of the one that was asked.
    static let servedBy = checked("Distric-Served-By")
    static let lastEventID = checked("Last-Event-ID")

    private static func checked(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("header name '\(text)'") }
        return name
    }
}
