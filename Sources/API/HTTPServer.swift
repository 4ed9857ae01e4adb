import Foundation
import Glibc
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
import Observability
import Primitives

/// What is known of one request.
struct NodeRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The span that the request's work belongs to.
    var trace: TraceContext?
    /// Why the leader, which knows more, was not asked.
    var shortfall: String?

    init(source: ApplicationRequestContextSource) { coreContext = .init(source: source) }

    /// Of a question that came over no HTTP.
    init(logger: Logger) { coreContext = .init(source: LocalSource(logger: logger)) }

    private struct LocalSource: RequestContextSource {
        let logger: Logger
    }

    /// A path parameter, percent-decoded.
    func parameter(_ name: String) throws -> String {
        let text = try parameters.require(name)
        guard let decoded = text.removingPercentEncoding else {
            throw Problem.badRequest("invalid_path", "'\(name)' is not percent-encoded UTF-8")
        }
        return decoded
    }
}

/// The front door: every route of a node over HTTP/1.1.
package enum HTTPServer {
    /// Why the door could not be opened.
    package struct Failure: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Serves until the surrounding service group shuts down.
    package static func run(
        info: NodeInfo, host: String, port: Int, logger: Logger, didBind: @escaping @Sendable (Int) async -> Void
    ) async throws {
        try await translatingFailures(host, port) {
            try await serve(info: info, host: host, port: port, logger: logger, didBind: didBind)
        }
    }

    private static func serve(
        info: NodeInfo, host: String, port: Int, logger: Logger, didBind: @escaping @Sendable (Int) async -> Void
    ) async throws {
        do {
            try await application(info: info, host: host, port: port, logger: logger, didBind: didBind).run()
        } catch {
            await info.forwarder.close()
            throw error
        }
        await info.forwarder.close()
    }

    /// A name or an address that can only mean this machine.
    package static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func application(
        info: NodeInfo, host: String, port: Int, logger: Logger, didBind: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        Application(
            router: router(info: info, trustsOnlyLoopback: isLoopback(host)),
            configuration: .init(address: .hostname(host, port: port), serverName: nil, backlog: 4096),
            onServerRunning: { channel in await didBind(channel.localAddress?.port ?? port) }, logger: logger)
    }

    static func router(info: NodeInfo, trustsOnlyLoopback: Bool) -> Router<NodeRequestContext> {
        let router = Router(context: NodeRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: RequestObservation(info: info, trustsOnlyLoopback: trustsOnlyLoopback))
        router.add(middleware: RedactedAnswers(settings: info.settings))
        let api = router.group("api/v1")
        api.add(middleware: LeaderForwarding(info: info))
        api.add(middleware: ReadFreshness(consensus: info.consensus, clock: info.telemetry.clock))
        MessageRoutes(info: info).add(to: api)
        DefinitionRoutes(info: info).add(to: api)
        RunRoutes(info: info).add(to: api)
        RaftRoutes(info: info).add(to: api)
        GossipRoutes(info: info).add(to: api)
        RaftLogRoutes(info: info).add(to: api)
        NodesRoutes(info: info).add(to: api)
        FreezeRoutes(info: info).add(to: api)
        UpgradeRoutes(info: info).add(to: api)
        BackupRoutes(info: info).add(to: api)
        ChaosRoutes(node: info.node, control: info.chaos, peers: { info.consensus.members.map(\.node) }).add(to: api)
        DemoRoutes(info: info).add(to: api)
        let node = NodeRoutes(info: info)
        node.add(to: api)
        node.addRoot(to: router)
        return router
    }
}

/// Counts and times requests, opens their span, refuses what a browser page of another origin sends, and turns every error into a problem.
struct RequestObservation: RouterMiddleware {
    typealias Context = NodeRequestContext

    private let info: NodeInfo
    private let durations: Histogram
    private let byClass: [Counter]
    private let trustsOnlyLoopback: Bool
    private let log: LogChannel?

    init(info: NodeInfo, trustsOnlyLoopback: Bool) {
        self.info = info
        self.trustsOnlyLoopback = trustsOnlyLoopback
        log = info.telemetry.channel("http.requests")
        let metrics = info.telemetry.metrics
        durations = metrics.histogram("distric_http_request_duration_seconds", "Time to answer an HTTP request.")
        byClass = (1...5).map { metrics.counter("distric_http_requests_total", "HTTP requests by class of status.", ["class": "\($0)xx"]) }
    }

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let began = info.telemetry.clock.now
        var context = context
        let isWork = request.method == .post
        // Looking takes nothing of what may be recorded each second.
        let incoming =
            isWork
            ? info.telemetry.spans.context(traceparent: request.headers[.traceparent], tracestate: request.headers[.tracestate]) : nil
        let span = isWork ? info.telemetry.spans.begin("\(request.method) \(request.uri.path)", service: "api", in: incoming) : nil
        context.trace = span?.context ?? incoming
        var response: Response
        do {
            try refuseForeignOrigin(request)
            response = try await inScope(of: context.trace) { try await next(request, context) }
        } catch let problem as Problem {
            response = try problem.response(from: request, context: context)
        } catch let error as HTTPError {
            response = try translated(error, request).response(from: request, context: context)
        } catch {
            info.telemetry.logger("api").error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            let problem = Problem(
                status: .internalServerError, type: "internal", title: "Internal error", detail: "the node's log says more")
            response = try problem.response(from: request, context: context)
        }
        if let trace = context.trace { response.headers[.traceparent] = trace.traceparent }
        let took = info.telemetry.clock.now.duration(since: began)
        durations.observe(took, in: context.trace)
        log?.log(
            .debug, "request", .text("method", request.method.rawValue), .text("path", request.uri.path),
            .int("status", response.status.code),
            .milliseconds("ms", took))
        byClass[max(1, min(5, response.status.code / 100)) - 1].increment()
        info.telemetry.spans.end(
            span, error: response.status.code >= 500 ? response.status.reasonPhrase : nil, ["status": Value(response.status.code)])
        return response
    }

    /// Log lines of the work name its trace.
    private func inScope<T>(of trace: TraceContext?, _ work: () async throws -> T) async rethrows -> T {
        guard let trace else { return try await work() }
        return try await trace.scope(work)
    }

    /// A node on loopback without keys trusts its machine, not the pages that a browser on it shows: neither those of another origin, nor
    /// those whose name was made to resolve to this machine.
    private func refuseForeignOrigin(_ request: Request) throws {
        if trustsOnlyLoopback, let authority = request.head.authority {
            let name = authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
            guard HTTPServer.isLoopback(String(name)) else {
                throw Problem(
                    status: .forbidden, type: "foreign_host", title: "Forbidden",
                    detail: "this node answers only as localhost or a loopback address, not as '\(name.prefix(80))'")
            }
        }
        guard let origin = request.headers[.origin], let authority = request.head.authority else { return }
        guard origin == "http://\(authority)" || origin == "https://\(authority)" else {
            throw Problem(
                status: .forbidden, type: "foreign_origin", title: "Forbidden", detail: "requests from pages of \(origin) are refused")
        }
    }

    private func translated(_ error: HTTPError, _ request: Request) -> Problem {
        switch error.status {
        case .notFound: RouteTable.refusal(request)
        default:
            Problem(
                status: error.status, type: error.status == .contentTooLarge ? "payload_too_large" : "bad_request",
                title: error.status.reasonPhrase, detail: error.body ?? error.status.reasonPhrase)
        }
    }
}
