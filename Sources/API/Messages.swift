import Coordinator
import HTTPTypes
import HashTreeCollections
import Hummingbird
import NIOCore
import Observability
import Primitives
import Rules
import Text
import Workflows

/// `/api/v1/messages`: the way in.
struct MessageRoutes: Sendable {
    static let batchBytes = 16 << 20
    static let batchItems = 1000
    static let path = "/api/v1/messages"
    private static let longest = Duration.seconds(60)

    let info: NodeInfo
    private let reader: MessageReader
    private let malformed: Counter

    init(info: NodeInfo) {
        self.info = info
        reader = MessageReader(limit: info.payloadLimit)
        malformed = info.coordinator.metrics.refused
    }

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.post("messages") { request, context in try await submit(request, context) }
        router.get("messages") { request, _ in try list(request) }
        router.get("messages/{id}") { request, context in try show(request, context) }
        router.get("messages/{id}/why") { request, context in try why(request, context) }
    }

    private func submit(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let namespace = try request.namespace()
        try info.checkIntake()
        try refuseOtherForms(request)
        try await refuseExcess()
        guard !request.isNDJSON else { return try await submitLines(request, context, namespace) }
        let body = try await request.body(upTo: info.payloadLimit, "a message")
        let message: Message
        do throws(MessageProblem) {
            message = try reader.read(body.readableBytesView, namespace: namespace, client: "http", makeID: newID)
        } catch {
            malformed.increment()
            throw Self.problem(error)
        }
        let verdict = await info.coordinator.intake.submit([message], trace: context.trace, within: try patience(request))[0]
        let value = Presentation.report(verdict, message)
        switch verdict {
        case .accepted:
            let place = "\(Self.path)/\(escaped(message.id))?namespace=\(namespace)"
            return .json(value, status: .accepted, headers: headers([.location: place]))
        case .unmatched: return .json(value, headers: headers())
        case .busy(let why): throw Problem.busy(why)
        case .full(let why): throw Problem.tooManyRuns(why)
        case .uncertain(let why): throw Problem.uncertain(why)
        }
    }

    private func refuseExcess() async throws {
        guard let why = info.refuseExcess() else { return }
        await info.coordinator.intake.gate.holdRefusal()
        throw Problem.busy(why)
    }

    private func patience(_ request: Request) throws -> Duration {
        min(try request.timeout(default: Intake.patience), Self.longest)
    }

    /// Who has put it into the log, or would have.
    private func headers(_ fields: HTTPFields = [:]) -> HTTPFields {
        var fields = fields
        fields[.districLeader] = info.consensus.leader?.text
        return fields
    }

    /// What would be misread is refused.
    private func refuseOtherForms(_ request: Request) throws {
        func unsupported(_ detail: String) -> Problem {
            Problem(status: .unsupportedMediaType, type: "unsupported_media_type", title: "Unsupported media type", detail: detail)
        }
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw unsupported("Content-Encoding '\(encoding.prefix(40))' is not supported; send the body as it is")
        }
        if request.headers[.contentType]?.lowercased().hasPrefix("application/cloudevents-batch") == true {
            throw unsupported("batches of CloudEvents are not supported yet; send application/x-ndjson, one event a line")
        }
        if request.headers.contains(where: { $0.name.canonicalName.hasPrefix("ce-") }) {
            throw unsupported("CloudEvents in binary mode (ce-* headers) are not supported yet; send the event as one JSON object")
        }
    }

    private func newID() -> String { info.coordinator.intake.newID().description }

    private func escaped(_ id: String) -> String {
        id.utf8.reduce(into: "") { text, byte in
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || [45, 46, 95, 126].contains(byte)
            text += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal(UInt64(byte), digits: 2).uppercased()
        }
    }

    private static func problem(_ error: MessageProblem) -> Problem {
        let status: HTTPResponse.Status = error.code == "payload_too_large" ? .contentTooLarge : .badRequest
        return Problem(
            status: status, type: error.code, title: "The message was not accepted", detail: error.detail,
            errors: [.init(pointer: error.pointer, detail: error.detail)])
    }

    /// One status a line, in order: what is refused does not hold up the others.
    private func submitLines(_ request: Request, _ context: NodeRequestContext, _ namespace: Namespace) async throws -> Response {
        let body = try await request.body(upTo: Self.batchBytes, "a batch")
        let lines = Array(body.readableBytesView).split(separator: 0x0A).filter { line in
            !line.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }
        }
        guard lines.count <= Self.batchItems else {
            throw Problem.tooLarge(
                "a batch may have at most \(Self.batchItems) messages, this one has \(lines.count); send several", limit: Self.batchItems)
        }
        guard !lines.isEmpty else { throw Problem.badRequest("empty_batch", "the batch holds no message") }
        var items = [Value](repeating: .null, count: lines.count)
        var messages: [Message] = []
        var places: [Int] = []
        for (place, line) in lines.enumerated() {
            do throws(MessageProblem) {
                messages.append(try reader.read(line, namespace: namespace, client: "http", makeID: newID))
                places.append(place)
            } catch {
                malformed.increment()
                let status = error.code == "payload_too_large" ? 413 : 400
                items[place] = .object(["status": Value(status), "code": .string(error.code), "detail": .string(error.detail)])
            }
        }
        let verdicts = await info.coordinator.intake.submit(messages, trace: context.trace, within: try patience(request))
        if verdicts.count == lines.count, let first = verdicts.first, verdicts.allSatisfy(\.isBusy) {
            if case .busy(let why) = first { throw Problem.busy(why) }
            if case .full(let why) = first { throw Problem.tooManyRuns(why) }
        }
        for (number, verdict) in verdicts.enumerated() { items[places[number]] = Self.line(verdict, messages[number]) }
        return .json(["items": .list(items)], headers: headers())
    }

    private static func line(_ verdict: Intake.Verdict, _ message: Message) -> Value {
        guard case .map(let fields) = Presentation.report(verdict, message) else { return .null }
        let status =
            switch verdict {
            case .accepted: 202
            case .unmatched: 200
            case .full: 429
            case .busy, .uncertain: 503
            }
        return .map(Fields([.init("status", Value(status))] + fields.members))
    }

    private func list(_ request: Request) throws -> Response {
        let namespace = try request.namespaceFilter()
        if let window = try Window(request) { return try info.rows(request, window, MessageRows(info: info, namespace: namespace)) }
        let (cursor, index) = (try HistoryCursor.read(request), info.applied)
        let found = try info.coordinator.history.newest(.message, limit: try request.limit(), before: cursor) { item in
            guard case .message(let accepted) = item else { return false }
            return namespace.map { $0 == accepted.message.namespace } ?? true
        }
        let items = found.items.compactMap { item -> Value? in
            guard case .message(let accepted) = item else { return nil }
            return Presentation.message(accepted)
        }
        return info.list(items, next: found.next.map(HistoryCursor.text), at: index)
    }

    private func show(_ request: Request, _ context: NodeRequestContext) throws -> Response {
        let (id, namespace) = (try context.parameter("id"), try request.namespace())
        guard let accepted = try info.coordinator.history.message(id, namespace: namespace) else {
            if let message = info.coordinator.intake.recentUnmatched.last(where: { sameBytes($0.id, id) && $0.namespace == namespace }) {
                return .json(["id": .string(message.id), "matched": [], "runs": [], "durable": false, "message": message.value])
            }
            throw info.notFound("no message '\(id)' in this namespace; messages that no rule matched are kept only for a while")
        }
        return .json(Presentation.message(accepted))
    }
}

extension MessageRoutes {
    /// Why each rule did or did not match: by the catalog in force, which may be a later one than the message was matched by.
    private func why(_ request: Request, _ context: NodeRequestContext) throws -> Response {
        let (id, namespace) = (try context.parameter("id"), try request.namespace())
        return try info.object(request) { try explanation(id, namespace) }
    }

    private func explanation(_ id: String, _ namespace: Namespace) throws -> Value {
        let accepted = try info.coordinator.history.message(id, namespace: namespace)
        guard
            let message = accepted?.message
                ?? info.coordinator.intake.recentUnmatched.last(where: { sameBytes($0.id, id) && $0.namespace == namespace })
        else {
            throw info.notFound("no message '\(id)' in this namespace; messages that no rule matched are kept only for a while")
        }
        let catalog = info.coordinator.loop.catalog
        let runs = (accepted?.runs ?? []).map { id -> Value in
            let open = info.coordinator.loop.current.state.runs[id]?.run
            guard let run = open ?? (try? info.coordinator.history.run(id)) else { return ["id": .string(id.description)] }
            return [
                "id": .string(id.description), "workflow": .string(run.workflow), "state": .string(run.state.rawValue),
                "rule": .string(run.rule),
            ]
        }
        return .object([
            "id": .string(message.id), "type": .string(message.type), "source": .string(message.source),
            "acceptedAt": Value(accepted?.acceptedAt.rfc3339), "runs": .list(runs), "namespace": .string(message.namespace.text),
            "matched": .list((accepted?.matched ?? []).map(Value.string)),
            "matchedByCatalog": accepted.map { Value($0.catalogVersion) } ?? .null, "catalogVersion": Value(catalog.version),
            "rules": .list(catalog.rules.explain(message).map(\.value)), "message": message.value,
        ])
    }
}

extension Intake.Verdict {
    /// Certainly not kept, and may be later.
    var isBusy: Bool {
        switch self {
        case .busy, .full: true
        case .accepted, .unmatched, .uncertain: false
        }
    }
}

/// Where a page of the history ends, as clients hand it back.
enum HistoryCursor {
    static func text(_ cursor: HistoryStore.Cursor) -> String { "\(cursor.segment)-\(cursor.offset)" }

    static func read(_ request: Request) throws -> HistoryStore.Cursor? {
        guard let text = request.uri.queryParameters["cursor"] else { return nil }
        let parts = text.split(separator: "-").map(String.init)
        guard parts.count == 2, let segment = UInt64(parts[0]), let offset = Int(parts[1]) else {
            throw Problem.badRequest("invalid_cursor", "the cursor is not one that a list gave")
        }
        return HistoryStore.Cursor(segment: segment, offset: offset)
    }
}

extension NodeInfo {
    /// How far the log is applied here.
    var applied: LogIndex { consensus.applied.index }

    /// `{items, next, appliedIndex}`.
    ///
    /// - Parameters:
    ///   - index: up to which the items certainly are: taken before they were.
    ///   - also: what else there is to say of all of them.
    func list(_ items: [Value], next: String? = nil, at index: LogIndex, also: Fields = Fields()) -> Response {
        let fields: [Fields.Member] = [
            .init("items", .list(items)), .init("next", Value(next)), .init("appliedIndex", Value(index.number)),
        ]
        return .json(.map(Fields(fields + also.members)))
    }
}
