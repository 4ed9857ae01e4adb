import Foundation
import Glibc
import Primitives
import Text

/// The same of etcd: three members and one, on the same disk, with as many puts of 256 bytes in flight at the leader.
struct EtcdYardstick {
    struct Failed: Error, CustomStringConvertible { let description: String }

    private struct Member {
        let name: String
        let port: Int
        let child: ChildProcess
    }

    let clients: [Int]
    let seconds: Double
    let warmUp: Double
    /// Proposals a second by cell, where they were measured in this run.
    let own: [String: Double]
    let children: ChildProcesses
    let report: Report

    /// Measured before the first line was written, on two such cores, over gRPC: cell, puts a second, milliseconds of the 99th percentile.
    private static let before: [(cell: String, puts: Double, p99: Double?)] = [
        ("throughput-1", 960, 2.1), ("throughput-64", 4852, 35.8), ("throughput-256", 6911, 101.9), ("single-1", 2013, nil),
        ("single-64", 10_852, nil), ("single-256", 16_229, nil),
    ]
    private static let failoverBefore = 1570.0
    private static let patience = 30.0

    func run() throws {
        tellBefore()
        guard let version = try? Yardsticks.output(["etcd", "--version"]), version.code == 0 else {
            return Progress.tell("no yardstick: etcd is not in PATH; 'apt-get install etcd-server' brings it")
        }
        let words = version.text.split(separator: "\n").first?.split(separator: " ").last ?? "?"
        for (name, count) in [("throughput", 3), ("single", 1)] {
            Progress.tell("etcd: starting \(count) member\(count == 1 ? "" : "s")")
            defer { children.endAll() }
            try measure(name, try start(count), who: "etcd \(words), gRPC puts of 256 B")
        }
    }

    private func tellBefore() {
        let who = "etcd 3.4, gRPC, measured before and not in this run"
        for cell in Self.before {
            report.figure(cell.cell, "proposals", cell.puts, "puts/s", who: who)
            if let p99 = cell.p99 { report.figure(cell.cell, "p99", p99, "ms", who: who) }
        }
        report.figure("failover-kill", "median", Self.failoverBefore, "ms", who: who)
    }

    private func measure(_ name: String, _ leader: Member, who: String) throws {
        for clients in clients {
            let cell = "\(name)-\(clients)"
            Progress.tell("etcd \(cell): \(warmUp) s to warm up, then \(seconds) s")
            let load = EtcdClient(port: leader.port, flights: clients)
            let outcome: LoadClient.Outcome
            do {
                _ = try load.run(seconds: warmUp)
                outcome = try load.run(seconds: seconds)
            } catch { throw Failed(description: "\(leader.name): \(error); its log ends with\n\(leader.child.lastWords)") }
            let (rate, quantiles) = (Double(outcome.requests - outcome.failures) / outcome.seconds, Quantiles(outcome.latencies))
            report.figure(cell, "proposals", rate, "puts/s", who: who)
            report.figure(cell, "p50", quantiles.at(0.5) * 1000, "ms", who: who)
            report.figure(cell, "p99", quantiles.at(0.99) * 1000, "ms", who: who)
            if outcome.failures > 0 { report.figure(cell, "failures", Double(outcome.failures), "puts", who: who) }
            if let own = own[cell] { report.figure(cell, "proposals-to-etcd", own / rate, "times") }
        }
    }

    /// The leader of so many members.
    private func start(_ count: Int) throws -> Member {
        let folder = try children.folder("etcd")
        let ports = try Loopback.freePorts(2 * count)
        let names = (0..<count).map { "m-\($0 + 1)" }
        let peers = names.enumerated().map { "\($1)=http://127.0.0.1:\(ports[count + $0])" }.joined(separator: ",")
        let members = names.enumerated().map { place, name in
            let (client, peer) = ("http://127.0.0.1:\(ports[place])", "http://127.0.0.1:\(ports[count + place])")
            let arguments = [
                "--name", name, "--data-dir", "\(folder)/\(name)", "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", peers, "--initial-cluster-state",
                "new", "--initial-cluster-token", "distric-bench", "--log-level", "error",
            ]
            return Member(name: name, port: ports[place], child: ChildProcess(name, "etcd", arguments, log: "\(folder)/\(name).log"))
        }
        for member in members { try children.start(member.child) }
        return try leader(of: members)
    }

    private func leader(of members: [Member]) throws -> Member {
        let end = LoadClient.now() + Self.patience
        while LoadClient.now() < end {
            for member in members {
                guard member.child.isRunning else { throw Failed(description: "\(member.name) has ended:\n\(member.child.lastWords)") }
                // The gateway writes numbers of 64 bits as texts.
                guard let answer = try? Loopback.ask(member.port, "POST", "/v3/maintenance/status", .map(Fields())), answer.isGood,
                    let leader = answer.value["leader"]?.string, leader != "0",
                    answer.value.at("header", "member_id")?.string == leader
                else { continue }
                return member
            }
            usleep(50_000)
        }
        let words = members.map { "\($0.name): \($0.child.lastWords)" }.joined(separator: "\n")
        throw Failed(description: "etcd has no leader after \(Int(Self.patience)) s\n\(words)")
    }
}
