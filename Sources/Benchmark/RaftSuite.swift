import ArgumentParser
import Foundation
import Primitives

/// `distric-bench raft`: real coordinators on loopback, and etcd beside them.
struct RaftSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "raft", abstract: "Three coordinators: proposals, failover, stalls, a large snapshot, recovery; etcd beside them.",
        discussion: """
            Cases: throughput (three nodes), single (one), failover, stalls, snapshot, recovery, etcd. Without --case all but stalls and
            snapshot, which take minutes. Nodes run with their defaults, fsync on, in folders under TMPDIR, which must be on a disk. Clients
            send messages of 256 bytes that a rule matches and nothing runs for, one a call, over one connection to the leader; each waits
            for the answer that its message is durable. With --history, what they asked and were told is written down for a checker of
            linearizability, and messages are read besides, of throughput, single, failover and stalls: 'distric simulate check-history FILE'
            judges it; figures are lower then. etcd is measured where it is in PATH (apt-get install etcd-server): puts of 256
            bytes over gRPC, on the same disk. Everything that is started is ended, after Ctrl-C too.
            """)

    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Option(name: .long, help: "Seconds of each measurement, after two to warm up.") var seconds: Double = 10
    @Option(name: .long, help: "Trials of each fault of failover.") var trials = 10
    @Option(name: .long, help: "Minutes of stalls.") var minutes: Double = 10
    @Option(name: .customLong("state"), help: "Megabytes of state of the snapshot.") var megabytes = 1000
    @Option(name: .long, help: "Log entries of the recovery.") var entries = 1_000_000
    @Option(name: .long, help: "Write what clients asked and were told into this file, one JSON object a line.") var history: String?
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    private static let cases = ["throughput", "single", "failover", "stalls", "snapshot", "recovery", "etcd"]
    private static let clients = [1, 64, 256]
    private static let warmUp = 2.0

    private var report: Report { Report(suite: "raft", json: json) }

    func validate() throws {
        if let only, !Self.cases.contains(only) { throw ValidationError("no case '\(only)': \(Self.cases.joined(separator: ", "))") }
        guard history != "" else { throw ValidationError("--history needs the name of a file") }
        guard seconds > 0, trials > 0, minutes > 0, megabytes > 0, entries > 0 else {
            throw ValidationError("--seconds, --trials, --minutes, --state and --entries must be more than 0")
        }
    }

    @concurrent
    func run() async throws {
        let children = ChildProcesses()
        defer { children.endAll() }
        let history = try history.map { path throws(RaftHistory.Failed) in try RaftHistory(path) }
        var own: [String: Double] = [:]
        for name in only.map({ [$0] }) ?? Self.cases.filter({ $0 != "stalls" && $0 != "snapshot" }) {
            switch name {
            case "throughput": try await throughput(name, nodes: 3, children, history, &own)
            case "single": try await throughput(name, nodes: 1, children, history, &own)
            case "failover": try await FailoverCase(trials: trials, children: children, report: report, history: history).run()
            case "stalls":
                try await StallsCase(
                    minutes: minutes, measured: seconds, warmUp: Self.warmUp, children: children, report: report, history: history
                ).run()
            case "snapshot":
                try await SnapshotCase(megabytes: megabytes, seconds: seconds, children: children, report: report).run()
            case "recovery": try RecoveryCase(entries: entries, report: report).run()
            default:
                try EtcdYardstick(
                    clients: Self.clients, seconds: seconds, warmUp: Self.warmUp, own: own, children: children, report: report
                )
                .run()
            }
        }
        try history?.close()
    }

    /// - Parameter own: gets the proposals a second of each cell.
    private func throughput(
        _ name: String, nodes: Int, _ children: ChildProcesses, _ history: RaftHistory?, _ own: inout [String: Double]
    ) async throws {
        Progress.tell("\(name): starting \(nodes) node\(nodes == 1 ? "" : "s")")
        let cluster = try RaftCluster(nodes, definitions: ProposalClient.definitions, children: children)
        defer { cluster.stop() }
        for clients in Self.clients {
            let cell = "\(name)-\(clients)"
            Progress.tell("\(cell): \(Self.warmUp) s to warm up, then \(seconds) s")
            let client = try ProposalClient(cluster)
            var load = ProposalLoad(client: client, clients: clients)
            load.history = history
            _ = try await load.run(seconds: Self.warmUp)
            let outcome = try await load.run(seconds: seconds)
            await client.close()
            own[cell] = outcome.rate
            let quantiles = Quantiles(outcome.latencies)
            report.figure(cell, "proposals", outcome.rate, "proposals/s")
            report.figure(cell, "p50", quantiles.at(0.5) * 1000, "ms")
            report.figure(cell, "p99", quantiles.at(0.99) * 1000, "ms")
            if outcome.failures > 0 { report.figure(cell, "failures", Double(outcome.failures), "proposals") }
        }
    }
}

/// What a long case is at, beside its figures.
enum Progress {
    static func tell(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
}
