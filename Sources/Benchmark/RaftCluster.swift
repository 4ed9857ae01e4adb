import Foundation
import Glibc
import Primitives

/// One `distric node`, or three that are a cluster, on free ports of loopback with folders of their own.
final class RaftCluster: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    struct Member: Sendable {
        let id: String
        let http: Int
        let rpc: Int
        let data: String
        let child: ChildProcess
    }

    /// What a node says of itself.
    struct Status: Equatable {
        var role: String
        var term: Int
        var commit: Int
        var snapshot: Int
    }

    let members: [Member]
    private let children: ChildProcesses
    private static let patience = 60.0

    /// Starts them, waits until all are ready and one leads, and puts the definitions into force.
    ///
    /// - Parameter arguments: of every node.
    init(
        _ count: Int, _ arguments: [String] = [], definitions: Value, ports chosen: Range<Int> = Loopback.ports, children: ChildProcesses
    ) throws {
        self.children = children
        let program = Self.program
        guard FileManager.default.isExecutableFile(atPath: program) else {
            throw Failed(
                description: "there is no \(program): build it with 'swift build -c release --product distric', beside this program")
        }
        let folder = try children.folder("raft")
        Self.warnOfMemory(folder)
        let ports = try Loopback.freePorts(2 * count, in: chosen)
        let seeds = ports.prefix(count).map { "127.0.0.1:\($0)" }.joined(separator: ",")
        members = (0..<count).map { place in
            let (id, data) = ("c-\(place + 1)", "\(folder)/c-\(place + 1)")
            let own = [
                "node", "--id", id, "--data", data, "--http", "127.0.0.1:\(ports[count + place])", "--rpc", "127.0.0.1:\(ports[place])",
                "--log-level", "warning",
            ]
            let joining = count > 1 ? ["--bootstrap-expect", "\(count)", "--join", seeds] : []
            return Member(
                id: id, http: ports[count + place], rpc: ports[place], data: data,
                child: ChildProcess(id, program, own + joining + arguments, log: data + ".log"))
        }
        for member in members { try children.start(member.child) }
        let leader = try waitUntilWhole()
        try call(leader, "POST", "/api/v1/workflows", definitions)
    }

    /// The `distric` beside this program.
    static var program: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "distric").path(percentEncoded: false)
    }

    /// An fsync of memory takes no time, and the figures would be of another machine.
    private static func warnOfMemory(_ folder: String) {
        guard let found = try? Yardsticks.output(["stat", "-f", "-c", "%T", folder]), found.text.hasPrefix("tmpfs") else { return }
        Progress.tell("\(folder) is in memory, where fsync does nothing: set TMPDIR to a folder on a disk")
    }

    /// One request that must go well.
    @discardableResult
    func call(_ member: Member, _ method: String, _ path: String, _ body: Value? = nil) throws -> Value {
        let answer = try Loopback.ask(member.http, method, path, body)
        guard answer.isGood else { throw Failed(description: "\(member.id) refused \(method) \(path): \(answer.words)") }
        return answer.value
    }

    /// Nil while it does not answer.
    func status(_ member: Member, patience: Int = 1000) -> Status? {
        guard let answer = try? Loopback.ask(member.http, "GET", "/api/v1/raft/status", patience: patience), answer.isGood else {
            return nil
        }
        let value = answer.value
        return Status(
            role: value["role"]?.string ?? "", term: Int(value["term"]?.int ?? 0), commit: Int(value["commitIndex"]?.int ?? 0),
            snapshot: Int(value["snapshotIndex"]?.int ?? 0))
    }

    /// Who leads in the highest term that anybody knows.
    func leader(patience: Int = 1000) -> (member: Member, status: Status)? {
        let found = members.compactMap { member in status(member, patience: patience).map { (member: member, status: $0) } }
        return found.filter { $0.status.role == "leader" }.max { $0.status.term < $1.status.term }
    }

    /// Until every node runs, is ready, knows the leader's term and has committed what the leader had; who leads then.
    @discardableResult
    func waitUntilWhole() throws -> Member {
        let end = LoadClient.now() + Self.patience
        while LoadClient.now() < end {
            if let ended = members.first(where: { !$0.child.isRunning }) {
                throw Failed(description: "\(ended.id) has ended:\n\(ended.child.lastWords)")
            }
            if let (leader, status) = leader(), members.allSatisfy({ isWhole($0, status) }) { return leader }
            usleep(20_000)
        }
        let states = members.map { "\($0.id): \(unreadiness($0))" }.joined(separator: "\n")
        throw Failed(description: "the cluster is not whole after \(Int(Self.patience)) s\n\(states)")
    }

    private func isWhole(_ member: Member, _ leader: Status) -> Bool {
        guard let ready = try? Loopback.ask(member.http, "GET", "/health/ready", patience: 1000), ready.isGood,
            let own = status(member)
        else { return false }
        return own.term == leader.term && own.commit >= leader.commit
    }

    private func unreadiness(_ member: Member) -> String {
        guard let answer = try? Loopback.ask(member.http, "GET", "/health/ready", patience: 1000) else {
            return "does not answer; its log ends with\n\(member.child.lastWords)"
        }
        let down = (answer.value["components"]?.list ?? []).filter { $0["status"]?.string != "up" }
        let reasons = down.map { "\($0["name"]?.string ?? "?") \($0["reason"]?.string ?? "")" }
        let state = status(member).map { "\($0.role) in term \($0.term), commit index \($0.commit)" } ?? "no answer to raft/status"
        return ([state] + reasons).joined(separator: "; ")
    }

    func stop() { children.endAll() }
}

extension RaftCluster {
    /// What goes between this node and the others is lost, both ways; its clients reach it.
    func cut(_ member: Member) throws {
        let others = members.filter { $0.id != member.id }
        try cut(member, to: others)
        for other in others { try cut(other, to: [member]) }
    }

    private func cut(_ member: Member, to others: [Member]) throws {
        let links = others.map { other -> Value in ["to": .string(other.id), "cut": true] }
        try call(member, "POST", Self.chaos + "/links", ["links": .list(links)])
    }

    func heal() throws { for member in members { try call(member, "DELETE", Self.chaos + "/links") } }

    /// Every so often an fsync of this node takes so long.
    func stallDisk(_ member: Member, for stall: String, every: String) throws {
        try call(member, "POST", Self.chaos + "/disk", ["stall": .string(stall), "every": .string(every)])
    }

    private static let chaos = "/api/v1/chaos"
}
