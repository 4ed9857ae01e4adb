import Primitives
import Testing

extension RunningCluster {
    private static let workerSettings = ["--allow-exec", "/bin/*,/usr/bin/*", "--set", "worker.lease=3s"]
    /// What starts is told by a line in a file; messages of type `again` may be done twice, those of type `once` not.
    private static func definitions(_ folder: String) -> Value {
        let script = Value.string("echo $DISTRIC_ATTEMPT >> \(folder)/$0; sleep $1; echo $0")
        func work(_ kind: String, isIdempotent: Bool) -> [Value] {
            let command: Value = ["sh", "-c", script, "${{ message.id }}", "${{ message.data }}"]
            return pair(kind, ["use": "exec@1", "with": ["command": command], "idempotent": .bool(isIdempotent)])
        }
        return .list(work("again", isIdempotent: true) + work("once", isIdempotent: false))
    }

    /// Three coordinators that are nothing else, with definitions, and workers that are nothing else.
    static func withWorkers(_ count: Int, roles: String = "coordinator") async throws -> (RunningCluster, [ClusterMember]) {
        let cluster = try RunningCluster(workerSettings)
        for member in cluster.members {
            member.arguments += ["--role", roles]
            try member.start()
        }
        let leader = try await cluster.leader()
        try #require(leader.ask("POST", "/api/v1/workflows", definitions(cluster.folder.path))?.status == 200)
        var made: [ClusterMember] = []
        for number in 0..<count { made.append(cluster.worker("w-\(number + 1)")) }
        for worker in made { try worker.start() }
        for worker in made { try #require(try await holds { worker.isReady }, "\(worker.health) \(worker.logText)") }
        return (cluster, made)
    }

    func worker(_ id: String) -> ClusterMember {
        newcomer(id, ["--role", "worker", "--join", seeds, "--slots", "4"])
    }
}
