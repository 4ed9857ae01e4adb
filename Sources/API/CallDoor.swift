import Cluster
import Coordinator
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
import Observability
import Primitives
import Text
package import Transport
import Wire

/// The front door for programs that keep a connection: pings, messages, and questions, over the binary protocol (distric-protocol(7)).
package struct CallDoor: Sendable {
    /// Bodies of answers up to this many bytes.
    private static let bodyLimit = 8 << 20

    private let info: NodeInfo
    private let reader: MessageReader
    private let logger: Logger
    private let answer: @Sendable (Request, NodeRequestContext) async throws -> Response

    package init(info: NodeInfo, logger: Logger) {
        self.info = info
        self.logger = logger
        reader = MessageReader(limit: info.payloadLimit)
        let responder = HTTPServer.router(info: info, trustsOnlyLoopback: true).buildResponder()
        answer = { request, context in try await responder.respond(to: request, context: context) }
    }

    /// What the node's server for calls answers.
    package var handlers: RPCHandlers {
        var handlers = RPCHandlers()
        let (node, clock) = (info.node, info.telemetry.clock)
        handlers.immediate(Ping.self) { ping, _ throws(CallError) in
            if let target = ping.target, target != node { throw CallError(.notFound, "this is node '\(node)', not '\(target)'") }
            return Ack(sequence: ping.sequence, from: node, padding: ping.padding, time: clock.wall)
        }
        let isShort: RPCHandlers.Shortness = { [intake = info.coordinator.intake] in $0 <= RPCHandlers.shortBytes && intake.matchesSoon }
        handlers.task(ClientSubmit.self, door: refuseExcess, isShort: isShort) { call, context throws(CallError) in
            try await submit(call, context)
        }
        handlers.task(ClientQuery.self) { call, context throws(CallError) in try await query(call, context) }
        return handlers
    }

    // MARK: Messages

    private func refuseExcess() -> CallError? {
        info.refuseExcess().map { CallError(.busy, $0, retryAfter: .seconds(1)) }
    }

    private func submit(_ call: ClientSubmit, _ context: RPCContext) async throws(CallError) -> ClientResponse {
        if !info.passesMessagesOn, let refusal = info.consensus.callRefusal { throw refusal }
        let isPacked = call.contentType == "application/msgpack"
        guard isPacked || call.contentType == "application/json" else {
            throw CallError(
                .invalid, "content type '\(call.contentType.prefix(80))' is not taken: application/json or application/msgpack are")
        }
        guard !call.messages.isEmpty else { throw CallError(.invalid, "there is no message in it") }
        guard call.messages.count <= MessageRoutes.batchItems else {
            throw CallError(.tooLarge, "\(call.messages.count) messages at once; send at most \(MessageRoutes.batchItems)")
        }
        var results = [SubmitResult](repeating: SubmitResult(), count: call.messages.count)
        var (messages, places): ([Message], [Int]) = ([], [])
        for (place, bytes) in call.messages.enumerated() {
            do throws(MessageProblem) {
                messages.append(try read(bytes, isPacked, call.namespace ?? .default))
                places.append(place)
            } catch {
                info.coordinator.metrics.refused.increment()
                results[place].status = error.code == "payload_too_large" ? 413 : 400
                (results[place].code, results[place].detail) = (error.code, error.detail)
            }
        }
        let verdicts = await info.coordinator.intake.submit(messages, trace: context.trace, within: patience(context))
        if let first = verdicts.first, verdicts.count == results.count, verdicts.allSatisfy(\.isBusy) {
            if case .busy(let why) = first { throw CallError(.busy, why, retryAfter: .seconds(1)) }
            if case .full(let why) = first { throw CallError(.busy, why, retryAfter: .seconds(5)) }
        }
        for (number, verdict) in verdicts.enumerated() { results[places[number]] = Self.result(verdict, messages[number]) }
        var response = ClientResponse()
        response.results = results
        response.appliedIndex = info.coordinator.loop.current.state.applied
        return response
    }

    /// As long as whoever calls waits, less what the answer takes.
    private func patience(_ context: RPCContext) -> Duration {
        guard let deadline = context.deadline else { return Intake.patience }
        return max(.zero, deadline.duration(since: info.telemetry.clock.now) - .milliseconds(200))
    }

    private func read(_ bytes: [UInt8], _ isPacked: Bool, _ namespace: Namespace) throws(MessageProblem) -> Message {
        func newID() -> String { info.coordinator.intake.newID().description }
        guard isPacked else { return try reader.read(bytes, namespace: namespace, client: "rpc", makeID: newID) }
        return try reader.read(packed: bytes, namespace: namespace, client: "rpc", makeID: newID)
    }

    private static func result(_ verdict: Intake.Verdict, _ message: Message) -> SubmitResult {
        var result = SubmitResult()
        result.messageID = message.id
        switch verdict {
        case .accepted(let version, let matched, let runs, let isDuplicate):
            result.status = 202
            (result.catalogVersion, result.matched, result.runs, result.isDuplicate) = (version, matched, runs, isDuplicate)
        case .unmatched(let version):
            result.status = 200
            result.catalogVersion = version
        case .uncertain(let why):
            result.status = 503
            (result.code, result.detail) = ("uncertain", why)
        case .busy(let why):
            result.status = 503
            (result.code, result.detail) = ("busy", why)
        case .full(let why):
            result.status = 429
            (result.code, result.detail) = ("too_many_open_runs", why)
        }
        return result
    }

    // MARK: Questions

    /// As `GET /api/v1/PATH` answers, by the very same routes.
    private func query(_ call: ClientQuery, _ context: RPCContext) async throws(CallError) -> ClientResponse {
        guard !call.path.hasPrefix("/"), call.path.utf8.count <= 4096, !call.path.contains("watch="), call.path.allSatisfy(\.isASCII) else {
            throw CallError(.invalid, "'\(call.path.prefix(80))' is no path after /api/v1/, such as cluster/status or runs/ID?wait=5s")
        }
        var head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/api/v1/" + call.path)
        if let namespace = call.namespace { head.headerFields[.districNamespace] = namespace.text }
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer()))
        let response: Response
        do { response = try await answer(request, NodeRequestContext(logger: logger)) } catch {
            throw CallError(.internal, "the node's log says more")
        }
        let body: [UInt8]
        do { body = try await Self.collect(response) } catch {
            throw CallError(.tooLarge, "the answer has more than \(Self.bodyLimit) bytes: ask for less")
        }
        guard response.status.code < 300 else { throw Self.error(response.status, body) }
        var reply = ClientResponse()
        reply.contentType = response.headers[.contentType]
        reply.body = body
        reply.appliedIndex = response.headers[.appliedIndex].flatMap { UInt64($0) }.map { LogIndex($0) }
        return reply
    }

    private static func error(_ status: HTTPResponse.Status, _ body: [UInt8]) -> CallError {
        let problem = try? JSONScanner.parse(body)
        let detail = problem?["detail"]?.string ?? status.reasonPhrase
        return switch status.code {
        case 503 where ["no_leader", "not_leader"].contains(problem?["code"]?.string):
            CallError(
                .notLeader, detail, retryAfter: .seconds(1), leader: (problem?["leader"]?.string).flatMap { try? NodeID($0) })
        case 404: CallError(.notFound, detail)
        case 413: CallError(.tooLarge, detail)
        case 401, 403: CallError(.denied, detail)
        case 429, 503: CallError(.busy, detail, retryAfter: .seconds(1))
        case 400..<500: CallError(.invalid, detail)
        default: CallError(.internal, detail)
        }
    }

    private struct TooLong: Error {}

    /// Keeps what a response writes.
    private final class Collector: ResponseBodyWriter, @unchecked Sendable {
        var bytes: [UInt8] = []

        func write(_ buffer: ByteBuffer) async throws {
            guard bytes.count + buffer.readableBytes <= CallDoor.bodyLimit else { throw TooLong() }
            bytes.append(contentsOf: buffer.readableBytesView)
        }

        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    private static func collect(_ response: Response) async throws -> [UInt8] {
        let collector = Collector()
        try await response.body.write(collector)
        return collector.bytes
    }
}

extension Consensus {
    /// What a node answers to a call that only the leader can do; nil where this node leads, or has just been elected.
    var callRefusal: CallError? {
        guard !isLeading else { return nil }
        let status = status
        guard let leader = status.leader else {
            return CallError(.notLeader, "no coordinator leads: \(Quorum(status).text)", retryAfter: .seconds(1))
        }
        guard leader != node else { return nil }
        return CallError(
            .notLeader, "node \(node) does not lead, \(leader) does", leader: leader, leaderAddress: member(leader)?.address)
    }
}
