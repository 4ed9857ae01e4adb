package import Cluster
import Glibc
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
package import Observability
import Primitives
import Text

/// The front door of a node that is a worker and nothing else: health, metrics, and what attempts wrote here. All else is asked of a coordinator.
package enum WorkerServer {
    /// Serves until the surrounding service group shuts down.
    ///
    /// - Parameter coordinators: URLs of who else can be asked, for whoever asks for what is not here.
    package static func run(
        worker: any WorkerLink, telemetry: Telemetry, host: String, port: Int, logger: Logger,
        coordinators: @escaping @Sendable () -> [String], didBind: @escaping @Sendable (Int) async -> Void
    ) async throws {
        try await HTTPServer.translatingFailures(host, port) {
            try await Application(
                router: router(
                    worker: worker, telemetry: telemetry, trustsOnlyLoopback: HTTPServer.isLoopback(host), coordinators: coordinators),
                configuration: .init(address: .hostname(host, port: port), serverName: nil, backlog: 256),
                onServerRunning: { channel in await didBind(channel.localAddress?.port ?? port) }, logger: logger
            ).run()
        }
    }

    static func router(
        worker: any WorkerLink, telemetry: Telemetry, trustsOnlyLoopback: Bool, coordinators: @escaping @Sendable () -> [String]
    ) -> Router<NodeRequestContext> {
        let router = Router(context: NodeRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: Elsewhere(node: worker.node, trustsOnlyLoopback: trustsOnlyLoopback, coordinators: coordinators))
        let health = HealthAnswers(node: worker.node, health: telemetry.health)
        router.get("health/live") { _, _ in Response.json(health.live) }
        router.get("health/ready") { _, _ in Response.json(health.ready, status: health.isReady ? .ok : .serviceUnavailable) }
        let scrapes = ScrapeRoute(telemetry: telemetry)
        router.get("metrics") { request, _ in scrapes.answer(request) }
        router.get("api/v1/tasks/{id}/attempts/{n}/log") { _, context in try log(worker, context) }
        return router
    }

    private static func log(_ worker: any WorkerLink, _ context: NodeRequestContext) throws -> Response {
        let (id, text) = (try context.parameter("id"), try context.parameter("n"))
        let halves = id.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard halves.count == 2, let run = RunID(halves[0]), isDefinitionName(halves[1]) else {
            throw Problem.badRequest("invalid_id", "'\(id.prefix(80))' is no task: RUN.TASK names one")
        }
        guard let attempt = Int(text), attempt > 0 else {
            throw Problem.badRequest("invalid_attempt", "'\(text.prefix(40))' is no attempt number")
        }
        guard let bytes = worker.log(run: run, task: halves[1], attempt: attempt) else {
            throw Problem.notFound(
                "nothing is kept on node \(worker.node) of what attempt \(attempt) of task '\(halves[1])' wrote: it wrote nothing, or it was too long ago"
            )
        }
        return Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8"], body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

extension HTTPServer {
    /// What keeps a server from listening, in words.
    static func translatingFailures(_ host: String, _ port: Int, _ serve: () async throws -> Void) async throws {
        do { try await serve() } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw Failure(
                description:
                    "\(host):\(port) is in use by another program; stop it, or choose another --http address (port 0 takes a free one)")
        } catch let error as IOError {
            throw Failure(description: "cannot listen on \(host):\(port): \(String(cString: strerror(error.errnoCode)))")
        } catch let error as SocketAddressError {
            throw Failure(description: "cannot listen on \(host):\(port): no such host (\(error))")
        }
    }
}

/// Says of what is not here where it is, and nothing to pages whose name was made to resolve to this machine.
private struct Elsewhere: RouterMiddleware {
    typealias Context = NodeRequestContext

    let node: NodeID
    let trustsOnlyLoopback: Bool
    let coordinators: @Sendable () -> [String]

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            try refuseForeign(request)
            return try await next(request, context)
        } catch let problem as Problem {
            return try problem.response(from: request, context: context)
        } catch let error as HTTPError where error.status == .notFound {
            let others = coordinators()
            let instead = others.isEmpty ? "ask a coordinator of its cluster" : "ask \(others.joined(separator: " or "))"
            return try Problem(
                status: .misdirectedRequest, type: "not_a_coordinator", title: "Not a coordinator",
                detail: "node \(node) is a worker and nothing else, and answers only health, metrics and logs of attempts: \(instead)"
            ).response(from: request, context: context)
        }
    }

    private func refuseForeign(_ request: Request) throws(Problem) {
        guard trustsOnlyLoopback, let authority = request.head.authority else { return }
        let name = authority.hasPrefix("[") ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        guard HTTPServer.isLoopback(String(name)) else {
            throw Problem(
                status: .forbidden, type: "foreign_host", title: "Forbidden",
                detail: "this node answers only as localhost or a loopback address, not as '\(name.prefix(80))'")
        }
    }
}
