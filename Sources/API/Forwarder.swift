import AsyncHTTPClient
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOPosix
import Observability
import Primitives
import Synchronization

/// Passes requests on to the front door of the leader, or of another node that was asked for, and its answers back, piece by piece.
final class Forwarder: Sendable {
    struct Settings: Sendable {
        /// Requests whose answers are waited for at once; beyond it they are refused as busy.
        var requests = 256
        /// Streams that are passed on at once.
        var streams = 64
        /// Between two looks at who leads while a leader is waited for.
        var look = Duration.milliseconds(250)
        /// For the answer of who leads no more: one that hands over answers what it was asked first.
        var grace = Duration.seconds(1)
        /// To connect, far above a round trip.
        var connect = Duration.seconds(1)
    }

    /// What became of requests that were the leader's.
    enum Outcome: String, CaseIterable {
        /// The leader answered, whatever it said.
        case done
        case noLeader = "no_leader"
        /// It was passed on to this node, which does not lead.
        case notLeader = "not_leader"
        case busy
        /// Certain: the leader never saw it.
        case unreachable
        case uncertain
    }

    /// The other end.
    struct Target: Sendable {
        var node: NodeID
        var url: String
        /// It is asked because it leads, and no longer than it does.
        var leads = true
    }

    private enum Client {
        case none
        case made(HTTPClient)
        case closed
    }

    private let consensus: any Consensus
    private let events: EventRing
    private let settings: Settings
    private let client = Mutex(Client.none)
    private let inFlight = Mutex((requests: 0, streams: 0))
    private let outcomes: [Outcome: Counter]

    init(consensus: any Consensus, telemetry: Telemetry, settings: Settings = Settings()) {
        self.consensus = consensus
        events = telemetry.events
        self.settings = settings
        let metrics = telemetry.metrics
        outcomes = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map { outcome in
                let help = "Requests that were the leader's while this node did not lead, by what became of them."
                return (outcome, metrics.counter("distric_http_forwarded_total", help, ["result": outcome.rawValue]))
            })
        metrics.computed(.gauge, "distric_http_forwards_in_flight", "Requests and streams that are with another node now.") { [weak self] in
            Double(self?.inFlight.withLock { $0.requests + $0.streams } ?? 0)
        }
    }

    func count(_ outcome: Outcome) { outcomes[outcome]?.increment() }

    /// Ends what is under way; nothing is passed on after it.
    func close() async {
        let last = client.withLock { client in
            defer { client = .closed }
            return client
        }
        if case .made(let client) = last { try? await client.shutdown() }
    }

    /// Made when it is first needed: a node that always leads has none. Nil once this node stops.
    private func openClient() -> HTTPClient? {
        client.withLock { client in
            switch client {
            case .closed: return nil
            case .made(let made): return made
            case .none:
                let made = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
                client = .made(made)
                return made
            }
        }
    }

    private var configuration: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .nanoseconds(settings.connect.nanoseconds)
        // A refused connection is told at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.requests + settings.streams
        // The request has its span already.
        configuration.tracing.tracer = nil
        return configuration
    }

    // MARK: There

    /// - Parameters:
    ///   - isStream: whether the answer goes on for as long as both sides want.
    ///   - patience: for the answer, or for a stream's beginning.
    func forward(
        _ request: HTTPClientRequest, isStream: Bool, to target: Target, within patience: Duration
    ) async throws -> Response {
        guard let client = openClient() else { throw Problem.busy("the node is stopping; ask another one") }
        guard let ticket = enter(isStream) else {
            if target.leads { count(.busy) }
            let limit = isStream ? "\(settings.streams) streams are" : "\(settings.requests) requests are"
            let other = target.leads ? "the leader" : "other nodes"
            throw Problem.busy("\(limit) with \(other) already; try again in a second, or ask \(target.node) at \(target.url)")
        }
        var request = request
        request.headers.replaceOrAdd(name: HTTPField.Name.districForwarded.rawName, value: consensus.node.text)
        let end = NIODeadline.now() + .nanoseconds(patience.nanoseconds)
        do {
            let answer = try await answer(to: request, client, target, end)
            if target.leads { count(.done) }
            return relayed(answer, from: target, until: isStream ? nil : end, ticket)
        } catch {
            throw failure(error, target, isRead: request.method == .GET || request.method == .HEAD, patience)
        }
    }

    private struct Succeeded: Error {}

    /// The head of the answer. A leader that is stopped answers nothing, and its successor is not asked the same.
    private func answer(
        to request: HTTPClientRequest, _ client: HTTPClient, _ target: Target, _ end: NIODeadline
    ) async throws -> HTTPClientResponse {
        guard target.leads else { return try await client.execute(request, deadline: end) }
        let leader = target.node
        return try await withThrowingTaskGroup(of: HTTPClientResponse.self) { group in
            group.addTask { try await client.execute(request, deadline: end) }
            group.addTask {
                repeat { try await Task.sleep(for: self.settings.look) } while self.consensus.leader.map { $0 == leader } ?? true
                try await Task.sleep(for: self.settings.grace)
                throw Succeeded()
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    private func failure(_ error: any Error, _ target: Target, isRead: Bool, _ patience: Duration) -> any Error {
        let isUnsent = Self.isUnsent(error)
        guard target.leads else {
            return Problem.nodeUnreachable(
                target.node, Self.words(error, target, patience), instead: "try again in a second, or ask it there")
        }
        let isUncertain = !isUnsent && !isRead
        count(isUncertain ? .uncertain : .unreachable)
        let what =
            error is Succeeded ? "led when it was asked, and another node does by now" : "leads, and " + Self.words(error, target, patience)
        return Problem.leaderUnreachable(target.node, what, isUncertain: isUncertain, isRead: isRead)
    }

    /// The rest of a sentence that begins with the node.
    private static func words(_ error: any Error, _ target: Target, _ patience: Duration) -> String {
        switch error {
        case let error as HTTPClientError where error == .deadlineExceeded: "did not answer within \(patience.text)"
        case let error as HTTPClientError where error == .alreadyShutdown || error == .cancelled:
            "was to be asked, and this node is stopping"
        case let error as NIOConnectionError:
            "cannot be reached at \(target.url): \(error.connectionErrors.first.map { "\($0.error)" } ?? "\(error)")"
        default: "\(isUnsent(error) ? "cannot be reached" : "did not answer") at \(target.url): \(error)"
        }
    }

    /// Whether there was no connection yet that could have brought it there.
    private static func isUnsent(_ error: any Error) -> Bool {
        if error is NIOConnectionError { return true }
        if let error = error as? IOError { return [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL].contains(error.errnoCode) }
        guard let error = error as? HTTPClientError else { return false }
        return [.connectTimeout, .getConnectionFromPoolTimeout, .alreadyShutdown, .invalidURL, .emptyHost, .emptyScheme].contains(error)
    }

    // MARK: Back

    /// Of one connection alone.
    private static let ownHeaders: Set = ["connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te", "proxy-connection"]

    private func relayed(_ answer: HTTPClientResponse, from target: Target, until end: NIODeadline?, _ ticket: Ticket) -> Response {
        var headers = HTTPFields()
        for (name, value) in answer.headers where !Self.ownHeaders.contains(name.lowercased()) {
            if let name = HTTPField.Name(name) { headers.append(HTTPField(name: name, value: value)) }
        }
        headers[.servedBy] = target.node.text
        if target.leads, !headers.contains(.districLeader) { headers[.districLeader] = target.node.text }
        let length = headers[.contentLength].flatMap { Int($0) }
        let pieces = Pieces(answer.body)
        return Response(
            status: .init(code: Int(answer.status.code), reasonPhrase: answer.status.reasonPhrase), headers: headers,
            body: .init(contentLength: length) { writer in
                defer { ticket.close() }
                while let piece = try await self.next(pieces, from: target, until: end) { try await writer.write(piece) }
                try await writer.finish(nil)
            })
    }

    private struct TooLate: Error {}

    /// A stream of the leader's ends when that leads no more: whoever listens asks again, and hears the next leader.
    private func next(_ pieces: Pieces, from target: Target, until end: NIODeadline?) async throws -> ByteBuffer? {
        try await withThrowingTaskGroup(of: ByteBuffer?.self) { group in
            group.addTask { try await pieces.next() }
            group.addTask {
                guard let end else {
                    repeat {
                        try await Task.sleep(for: self.settings.look)
                    } while (!target.leads || self.consensus.leader == target.node) && !self.events.isClosed
                    return nil
                }
                try await Task.sleep(for: .nanoseconds(max(0, (end - .now()).nanoseconds)))
                throw TooLate()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// The body of an answer, read by one task after another.
    private final class Pieces: @unchecked Sendable {
        private var iterator: HTTPClientResponse.Body.AsyncIterator
        init(_ body: HTTPClientResponse.Body) { iterator = body.makeAsyncIterator() }
        func next() async throws -> ByteBuffer? { try await iterator.next() }
    }

    // MARK: How many

    /// One request that is under way, or one stream; closing twice is once.
    final class Ticket: Sendable {
        private let forwarder: Forwarder
        private let isStream: Bool
        private let isOpen = Atomic<Bool>(true)

        init(_ forwarder: Forwarder, isStream: Bool) { (self.forwarder, self.isStream) = (forwarder, isStream) }
        deinit { close() }
        func close() { if isOpen.exchange(false, ordering: .relaxed) { forwarder.leave(isStream) } }
    }

    private func enter(_ isStream: Bool) -> Ticket? {
        let isIn = inFlight.withLock { inFlight in
            if isStream {
                guard inFlight.streams < settings.streams else { return false }
                inFlight.streams += 1
            } else {
                guard inFlight.requests < settings.requests else { return false }
                inFlight.requests += 1
            }
            return true
        }
        return isIn ? Ticket(self, isStream: isStream) : nil
    }

    fileprivate func leave(_ isStream: Bool) {
        inFlight.withLock { inFlight in
            if isStream { inFlight.streams -= 1 } else { inFlight.requests -= 1 }
        }
    }
}
