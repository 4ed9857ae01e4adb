import HTTPTypes
import Hummingbird

/// Every path with its methods: tells a wrong method from a wrong path. A test asks each of them.
enum RouteTable {
    /// `*` stands for one segment.
    static let routes: [(path: String, methods: [String])] = [
        ("/api/v1/messages", ["GET", "POST"]), ("/api/v1/messages/*", ["GET"]), ("/api/v1/rules", ["GET", "POST"]),
        ("/api/v1/rules:validate", ["POST"]),
        ("/api/v1/rules/*", ["DELETE", "GET"]), ("/api/v1/workflows", ["GET", "POST"]), ("/api/v1/workflows:validate", ["POST"]),
        ("/api/v1/workflows/*", ["DELETE", "GET"]), ("/api/v1/runs", ["GET"]), ("/api/v1/runs/*:cancel", ["POST"]),
        ("/api/v1/runs/*:retry", ["POST"]),
        ("/api/v1/messages/*/why", ["GET"]), ("/api/v1/tasks/*/why", ["GET"]), ("/api/v1/rules:stats", ["GET"]),
        ("/api/v1/gossip", ["GET"]), ("/api/v1/gossip/members", ["GET"]),
        ("/api/v1/rpc/connections", ["GET"]), ("/api/v1/metrics/recent", ["GET"]),
        ("/api/v1/logs", ["GET"]),
        ("/api/v1/logs/levels", ["GET", "POST"]), ("/api/v1/sd", ["GET"]),
        ("/api/v1/runs/*", ["GET"]),
        ("/api/v1/tasks", ["GET"]), ("/api/v1/tasks/*:resolve", ["POST"]), ("/api/v1/tasks/*", ["GET"]),
        ("/api/v1/tasks/*/attempts/*/log", ["GET"]),
        ("/api/v1/cluster/status", ["GET"]), ("/api/v1/cluster/nodes", ["GET"]), ("/api/v1/cluster/upgrade", ["GET"]),
        ("/api/v1/cluster/upgrade:finalize", ["POST"]), ("/api/v1/raft/status", ["GET"]),
        ("/api/v1/raft/peers", ["GET"]), ("/api/v1/raft/log", ["GET"]), ("/api/v1/raft/members", ["POST"]),
        ("/api/v1/raft/members/*:promote", ["POST"]),
        ("/api/v1/raft/members/*", ["DELETE"]), ("/api/v1/raft:transfer", ["POST"]), ("/api/v1/raft:snapshot", ["POST"]),
        ("/api/v1/nodes", ["GET"]), ("/api/v1/nodes/*:cordon", ["POST"]), ("/api/v1/nodes/*:uncordon", ["POST"]),
        ("/api/v1/nodes/*:drain", ["POST"]), ("/api/v1/nodes/*", ["GET"]),
        ("/api/v1/config", ["GET"]), ("/api/v1/chaos", ["GET"]), ("/api/v1/chaos/links", ["DELETE", "POST"]),
        ("/api/v1/chaos/disk", ["DELETE", "POST"]),
        ("/api/v1/backup", ["GET"]), ("/api/v1/cluster:resume", ["POST"]), ("/api/v1/cluster:freeze", ["POST"]),
        ("/api/v1/cluster:thaw", ["POST"]),
        ("/api/v1/demo", ["GET"]), ("/api/v1/demo/nodes/*:kill", ["POST"]), ("/api/v1/demo/nodes/*:restart", ["POST"]),
        ("/api/v1/demo/nodes/*:pause", ["POST"]), ("/api/v1/demo/nodes/*:resume", ["POST"]),
        ("/api/v1/events", ["GET"]), ("/api/v1/traces", ["GET"]), ("/api/v1/traces/*", ["GET"]), ("/health/live", ["GET"]),
        ("/health/ready", ["GET"]),
        ("/metrics", ["GET"]),
    ]

    /// 405 with the methods that there are, or 404.
    static func refusal(_ request: Request) -> Problem {
        let path = request.uri.path
        guard let route = routes.first(where: { matches($0.path, path) }), !route.methods.contains(request.method.rawValue) else {
            return .notFound("no route \(request.method) \(path)")
        }
        let allowed = route.methods.joined(separator: ", ")
        return Problem(
            status: .methodNotAllowed, type: "method_not_allowed", title: "Method not allowed",
            detail: "\(path) takes \(allowed), not \(request.method)", allow: allowed)
    }

    private static func matches(_ pattern: String, _ path: String) -> Bool {
        let (wanted, found) = (pattern.split(separator: "/"), path.split(separator: "/"))
        return wanted.count == found.count
            && zip(wanted, found).allSatisfy { want, have in
                want == have || want == "*" || (want.hasPrefix("*:") && have.hasSuffix(want.dropFirst()))
            }
    }
}
