import Foundation
import Glibc
import Primitives

/// Coordinators that are nothing else, and workers that are nothing else, each a process.
final class ClusterStage: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    struct Worker: Sendable {
        let id: String
        let http: Int
        let child: ChildProcess
    }

    let coordinators: RaftCluster
    let workers: [Worker]
    private static let patience = 60.0

    /// Returns when all are ready and the definitions are in force.
    init(_ plan: ClusterPlan, workers count: Int? = nil) throws {
        let count = count ?? plan.workers
        Progress.tell("starting 3 coordinators\(count > 0 ? " and \(count) workers" : "")")
        let cluster = try RaftCluster(
            3, ["--role", "coordinator"], definitions: ClusterWork.definitions, ports: plan.ports, children: plan.children)
        coordinators = cluster
        let seeds = cluster.members.map { "127.0.0.1:\($0.rpc)" }.joined(separator: ",")
        let folder = try plan.children.folder("workers")
        let program = RaftCluster.program
        let ports = try Loopback.freePorts(2 * count, in: plan.ports)
        workers = (0..<count).map { place in
            let (id, data) = ("w-\(place + 1)", "\(folder)/w-\(place + 1)")
            let arguments = [
                "node", "--id", id, "--data", data, "--http", "127.0.0.1:\(ports[place])", "--rpc", "127.0.0.1:\(ports[count + place])",
                "--log-level", "warning", "--role", "worker", "--join", seeds,
            ]
            return Worker(id: id, http: ports[place], child: ChildProcess(id, program, arguments, log: data + ".log"))
        }
        for worker in workers { try plan.children.start(worker.child) }
        try waitUntilReady()
    }

    /// Until every worker is with the leader.
    func waitUntilReady() throws {
        let end = LoadClient.now() + Self.patience
        var left = workers
        while !left.isEmpty {
            if let ended = left.first(where: { !$0.child.isRunning }) {
                throw Failed(description: "\(ended.id) has ended:\n\(ended.child.lastWords)")
            }
            left.removeAll { (try? Loopback.ask($0.http, "GET", "/health/ready", patience: 1000))?.isGood ?? false }
            guard !left.isEmpty else { return }
            guard LoadClient.now() < end else {
                throw Failed(
                    description:
                        "\(left[0].id) is not with a leader after \(Int(Self.patience)) s; its log ends with\n\(left[0].child.lastWords)")
            }
            usleep(20_000)
        }
    }

    func leader() throws -> RaftCluster.Member { try coordinators.waitUntilWhole() }

    func read(_ member: RaftCluster.Member, _ path: String) throws -> Value {
        let answer = try Loopback.ask(member.http, "GET", path, patience: 30_000)
        guard answer.isGood else { throw Failed(description: "\(member.id) refused GET \(path): \(answer.words)") }
        return answer.value
    }

    func runs(_ member: RaftCluster.Member) throws -> (open: Int, ended: Int) {
        let runs = try read(member, "/api/v1/cluster/status")["runs"]
        guard let open = runs?["open"]?.int, let ended = runs?["ended"]?.int else {
            throw Failed(description: "\(member.id) does not say how many runs it has")
        }
        return (Int(open), Int(ended))
    }

    /// Until so many runs have ended by one coordinator; when that was.
    @discardableResult
    func wait(ended: Int, _ member: RaftCluster.Member, patience: Double = 120) throws -> Double {
        let end = LoadClient.now() + patience
        while true {
            let found = try runs(member)
            let now = LoadClient.now()
            if found.ended >= ended { return now }
            guard now < end else {
                throw Failed(description: "\(found.ended) of \(ended) runs have ended after \(Int(patience)) s, \(found.open) are open")
            }
            usleep(10_000)
        }
    }

    /// Rows of a list, newest first, page by page, while they are wanted.
    func rows(_ member: RaftCluster.Member, _ path: String, while goesOn: (Value) -> Bool) throws {
        var cursor: String?
        repeat {
            let page = try read(member, path + (cursor.map { "&cursor=\($0)" } ?? ""))
            for row in page["items"]?.list ?? [] where !goesOn(row) { return }
            cursor = page["next"]?.string
        } while cursor != nil
    }

    func stop() { coordinators.stop() }
}

/// What a process has used.
struct ProcessUse {
    /// With what it shares with others: programs and libraries.
    let residentBytes: Int
    /// Its own.
    let anonymousBytes: Int
    /// Of all its threads that still run.
    let processorSeconds: Double

    init?(_ child: ChildProcess) {
        guard let number = child.number else { return nil }
        guard let statm = try? String(contentsOfFile: "/proc/\(number)/statm", encoding: .utf8),
            let pages = statm.split(separator: " ").dropFirst().first.flatMap({ Int($0) }),
            let threads = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(number)/task")
        else { return nil }
        residentBytes = pages * Int(getpagesize())
        let rollup = (try? String(contentsOfFile: "/proc/\(number)/smaps_rollup", encoding: .utf8)) ?? ""
        let line = rollup.split(separator: "\n").first { $0.hasPrefix("Anonymous:") }
        anonymousBytes = (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
        processorSeconds = threads.reduce(0) { sum, thread in
            let text = (try? String(contentsOfFile: "/proc/\(number)/task/\(thread)/schedstat", encoding: .utf8)) ?? ""
            return sum + (text.split(separator: " ").first.flatMap { Double($0) } ?? 0) / 1e9
        }
    }
}
