import ArgumentParser
import Foundation
import Primitives
import Text

/// `distric-bench walk`: from a message to a finished run on one durable node; client and node share the machine.
struct WalkSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "walk", abstract: "Messages accepted, runs completed, start latency, recovery, memory.",
        discussion: "Cases: accept, ndjson, runs, start, recovery, memory. Without --case all but memory, which takes minutes.")
    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Flag(name: .long, help: "A JSON object a line.") var json = false
    @Option(name: .long, help: "Seconds that each load lasts.") var seconds: Double = 5
    @Option(name: .long, help: "Log entries of the recovery case.") var entries: Int = 1_000_000
    @Option(name: .long, help: "Finished runs of the memory case.") var runs: Int = 1_000_000

    private var report: Report { Report(suite: "walk", json: json) }

    @concurrent
    func run() async throws {
        let cases = only.map { [$0] } ?? ["accept", "ndjson", "runs", "start", "recovery"]
        for name in cases {
            switch name {
            case "accept": try accept()
            case "ndjson": try batches()
            case "runs": try completedRuns()
            case "start": try startLatency()
            case "recovery": try RecoveryCase(entries: entries, report: report).run()
            case "memory": try memory()
            default: throw ValidationError("no case '\(name)': accept, ndjson, runs, start, recovery, memory")
            }
        }
    }

    // MARK: Load

    /// 250 bytes, unique ids.
    private static func message(_ number: Int, type: String) -> [UInt8] {
        let head =
            #"{"id":"b-\#(number)","source":"/bench","type":"\#(type)","data":{"sent":\#(Int(Date().timeIntervalSince1970 * 1000)),"pad":""#
        return Array((head + String(repeating: "x", count: max(0, 250 - head.utf8.count - 3)) + "\"}}").utf8)
    }

    private static let definitions: Value = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "noop"],
            "tasks": ["only": ["use": "transform@1", "with": ["value": 1]]],
        ],
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "bench"],
            "rules": [
                ["id": "observe", "when": ["field": "type", "operator": "equals", "value": "observed"]],
                ["id": "start", "when": ["field": "type", "operator": "equals", "value": "started"], "actions": [["workflow": "noop"]]],
            ],
        ],
    ]

    private func node(_ arguments: [String] = []) throws -> BenchNode {
        let node = try BenchNode(arguments)
        _ = try node.post("/api/v1/workflows", Self.definitions)
        return node
    }

    private func accept() throws {
        for type in ["observed", "started"] {
            for connections in [1, 64, 256] {
                let node = try node()
                defer { node.stop() }
                let outcome = try LoadClient(port: node.port, connections: connections).run(seconds: seconds) { number in
                    LoadClient.request("POST", "/api/v1/messages", Self.message(number, type: type))
                }
                let name = type == "observed" ? "accept-\(connections)" : "accept-run-\(connections)"
                tell(name, outcome, messagesPerRequest: 1)
            }
        }
    }

    private func tell(_ name: String, _ outcome: LoadClient.Outcome, messagesPerRequest: Int) {
        let quantiles = Quantiles(outcome.latencies)
        report.figure(name, "messages", Double((outcome.requests - outcome.failures) * messagesPerRequest) / outcome.seconds, "messages/s")
        report.figure(name, "p50", quantiles.at(0.5) * 1000, "ms")
        report.figure(name, "p99", quantiles.at(0.99) * 1000, "ms")
        if outcome.failures > 0 { report.figure(name, "failures", Double(outcome.failures), "requests") }
    }

    private static func batch(_ number: Int, size: Int, type: String) -> [UInt8] {
        let body = Array((0..<size).map { message(number * size + $0, type: type) }.joined(separator: [0x0A]))
        return LoadClient.request("POST", "/api/v1/messages", body, type: "application/x-ndjson")
    }

    private func batches() throws {
        let node = try node()
        defer { node.stop() }
        let outcome = try LoadClient(port: node.port, connections: 8).run(seconds: seconds) { Self.batch($0, size: 100, type: "observed") }
        tell("ndjson-100", outcome, messagesPerRequest: 100)
    }

    /// As many runs as can be completed: batches of 100 on 4 connections, until all that was accepted has ended.
    private func completedRuns() throws {
        let node = try node()
        defer { node.stop() }
        let began = LoadClient.now()
        let outcome = try LoadClient(port: node.port, connections: 4).run(seconds: seconds) { Self.batch($0, size: 100, type: "started") }
        let ended = try waitForEnd(node, started: outcome.requests * 100)
        report.figure("noop-run", "runs", Double(ended) / (LoadClient.now() - began), "runs/s")
    }

    private func waitForEnd(_ node: BenchNode, started: Int) throws -> Int {
        while true {
            let status = try node.get("/api/v1/cluster/status")
            let ended = Int(status.at("runs", "ended")?.int ?? 0)
            if ended >= started || status.at("runs", "open")?.int == 0 { return ended }
            usleep(2000)
        }
    }

    /// From the client's send to the worker's start, by wall clock in milliseconds, at half of what 64 connections reached.
    private func startLatency() throws {
        let node = try node()
        defer { node.stop() }
        let full = try LoadClient(port: node.port, connections: 64).run(seconds: min(3, seconds)) { number in
            LoadClient.request("POST", "/api/v1/messages", Self.message(number, type: "started"))
        }
        _ = try waitForEnd(node, started: full.requests)
        var client = LoadClient(port: node.port, connections: 64)
        client.rate = Double(full.requests) / full.seconds / 2
        let outcome = try client.run(seconds: seconds) { number in
            LoadClient.request("POST", "/api/v1/messages", Self.message(10_000_000 + number, type: "started"))
        }
        _ = try waitForEnd(node, started: full.requests + outcome.requests)
        let items = try node.get("/api/v1/tasks?limit=1000")["items"]?.list ?? []
        let runs = try node.get("/api/v1/runs?limit=1000")["items"]?.list ?? []
        let sent = Dictionary(runs.map { ($0["id"]?.string ?? "", $0.at("input", "data", "sent")?.int ?? 0) }, uniquingKeysWith: { $1 })
        let waits = items.compactMap { task -> Double? in
            guard let run = task["run"]?.string, let begin = sent[run], let text = task["startedAt"]?.string,
                let start = ClusterTime(rfc3339: text)
            else { return nil }
            return Double(Int64(start.milliseconds) - begin)
        }
        report.figure("start", "load", client.rate, "messages/s")
        report.figure("start", "p50", Quantiles(waits).at(0.5), "ms")
        report.figure("start", "p99", Quantiles(waits).at(0.99), "ms")
        report.figure("start", "ack-p99", Quantiles(outcome.latencies).at(0.99) * 1000, "ms")
    }

    /// Resident memory while runs come and go.
    private func memory() throws {
        let node = try node(["--set", "dedup.keys=100000"])
        defer { node.stop() }
        let step = runs / 10
        for part in 1...10 {
            var left = step / 100
            let offset = (part - 1) * (step / 100)
            _ = try LoadClient(port: node.port, connections: 4).run(seconds: 3600) { number in
                left -= 1
                return left < 0 ? nil : Self.batch(offset + number, size: 100, type: "started")
            }
            _ = try waitForEnd(node, started: part * step)
            report.figure("memory", "rss-after-\(part * step)", Double(node.residentBytes) / 1e6, "MB")
        }
    }
}
