import AsyncHTTPClient
import Cluster
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import Primitives

/// Where this node does not lead: passes on to the leader what changes something, and reads that are to be as fresh as the leader is.
struct LeaderForwarding: RouterMiddleware {
    typealias Context = NodeRequestContext

    private enum Need {
        case write
        case read
        /// The leader knows more; what is known here is better than nothing.
        case preferred
    }

    /// Bodies of what has no limit of its own.
    private static let bodyBytes = 64 << 10
    private static let patience = Duration.seconds(10)
    /// The leader's own time is over first, so that it is its answer that is told.
    private static let margin = Duration.seconds(1)

    let info: NodeInfo

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        if Self.bringsMessages(request), info.passesMessagesOn { return try await next(request, context) }
        guard !info.consensus.isLeading, let need = try Self.need(request) else { return try await next(request, context) }
        let status = info.consensus.status
        // Elected, and about to plan: the routes say so.
        if status.leader == info.node { return try await next(request, context) }
        do { return try await forward(request, context, status.leader, Quorum(status)) } catch let problem as Problem {
            guard need == .preferred else { throw problem }
            var context = context
            context.shortfall = problem.detail
            return try await next(request, context)
        }
    }

    private static func bringsMessages(_ request: Request) -> Bool { request.method == .post && request.uri.path == MessageRoutes.path }

    private static func need(_ request: Request) throws -> Need? {
        guard request.isRead else { return isForThisNode(request) ? nil : .write }
        // A log is that of the node that has it.
        if request.uri.path == "/api/v1/raft/log" { return nil }
        switch try request.consistency() {
        case .leader: return .read
        case .stale, .linearizable: return nil
        case nil: return isBetterKnownThere(request.uri.path) ? .preferred : nil
        }
    }

    /// Only the leader hears of how far the others are, and of workers, and knows why a task waits for one.
    private static func isBetterKnownThere(_ path: String) -> Bool {
        path == "/api/v1/raft/peers" || path == "/api/v1/nodes" || path.hasPrefix("/api/v1/nodes/")
            || path.hasPrefix("/api/v1/tasks/") && path.hasSuffix("/why")
    }

    /// What changes this node alone, or nothing.
    private static func isForThisNode(_ request: Request) -> Bool {
        let path = request.uri.path
        return path == "/api/v1/logs/levels" || path == "/api/v1/raft:snapshot" || path.hasPrefix("/api/v1/chaos")
            || path.hasPrefix("/api/v1/demo/")
            || request.method == .post && path.hasSuffix(":validate")
    }

    /// One that has just started says within a moment where it is.
    private func address(of leader: NodeID) async -> String? {
        for _ in 0..<20 {
            if let url = info.consensus.member(leader)?.http { return url }
            guard (try? await Task.sleep(for: .milliseconds(50))) != nil else { break }
        }
        return info.consensus.member(leader)?.http
    }

    private func forward(_ request: Request, _ context: Context, _ leader: NodeID?, _ quorum: Quorum) async throws -> Response {
        let forwarder = info.forwarder
        guard request.headers[.districForwarded] == nil else {
            forwarder.count(.notLeader)
            throw Problem.notLeader(info.node, leader: leader)
        }
        guard let leader else {
            forwarder.count(.noLeader)
            throw Problem.noLeader(quorum)
        }
        guard let url = await address(of: leader) else {
            forwarder.count(.unreachable)
            throw Problem.leaderUnreachable(
                leader, "leads, and has not said yet where its HTTP address is", isUncertain: false, isRead: request.isRead)
        }
        let patience = try patience(request)
        let outgoing = try await outgoing(request, context, Self.base(url))
        return try await forwarder.forward(
            outgoing, isStream: request.isStream, to: Forwarder.Target(node: leader, url: Self.base(url)), within: patience)
    }

    static func base(_ url: String) -> String {
        let whole = url.contains("://") ? url : "http://\(url)"
        return whole.hasSuffix("/") ? String(whole.dropLast()) : whole
    }

    /// As long as the request allows, and what it waits for by itself.
    private func patience(_ request: Request) throws -> Duration {
        let usual = request.uri.path.hasPrefix("/api/v1/raft") ? RaftRoutes.patience : Self.patience
        let wait = request.uri.queryParameters["wait"].flatMap { Duration(text: String($0)) } ?? .zero
        return try request.timeout(default: usual) + min(wait, .seconds(60)) + Self.margin
    }

    // MARK: The request

    /// Of one connection alone, or made anew. The origin was looked at here, and is of this node's own address.
    private static let ownHeaders: Set = [
        "connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te", "proxy-connection", "host", "content-length", "expect",
        "origin", "traceparent",
    ]

    /// The request as it is passed on, as yet without a body.
    static func head(_ request: Request, _ context: Context, _ base: String) -> HTTPClientRequest {
        let uri = request.uri
        var outgoing = HTTPClientRequest(url: base + uri.path + (uri.query.map { "?\($0)" } ?? ""))
        outgoing.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headers where !ownHeaders.contains(field.name.canonicalName) {
            outgoing.headers.add(name: field.name.rawName, value: field.value)
        }
        if let trace = context.trace?.traceparent ?? request.headers[.traceparent] {
            outgoing.headers.add(name: HTTPField.Name.traceparent.rawName, value: trace)
        }
        return outgoing
    }

    private func outgoing(_ request: Request, _ context: Context, _ base: String) async throws -> HTTPClientRequest {
        var outgoing = Self.head(request, context, base)
        guard !request.isRead else { return outgoing }
        // All of it before any is sent: what is too large is refused as the route would, and what cannot be sent was certainly not done.
        let (limit, what) = limit(request)
        outgoing.body = .bytes(try await request.body(upTo: limit, what))
        return outgoing
    }

    /// As the routes have it.
    private func limit(_ request: Request) -> (bytes: Int, what: String) {
        let name = request.uri.path.dropFirst("/api/v1/".count).prefix { $0 != "/" && $0 != ":" }
        return switch name {
        case "rules", "workflows": (DefinitionRoutes.bodyBytes, "definitions")
        case "messages": request.isNDJSON ? (MessageRoutes.batchBytes, "a batch") : (info.payloadLimit, "a message")
        case "tasks": (info.payloadLimit, "a request")
        default: (Self.bodyBytes, "a request")
        }
    }
}

extension Request {
    /// Whether the answer goes on until somebody ends it.
    var isStream: Bool {
        isWatching || uri.queryParameters["follow"] == "true" || headers[.accept]?.contains("text/event-stream") == true
    }
}
