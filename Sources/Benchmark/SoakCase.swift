import Foundation
import Primitives
import Text

/// A node under all that observability does, for as long as wanted: messages, runs that fail, events that become messages, log lines to a file
/// that rotates, spans for a collector that is down, scrapes, and lists that consoles ask for. What it holds must not grow.
struct SoakCase {
    private struct Sample {
        var seconds: Double
        var resident: Double
        var descriptors: Int
        var threads: Int
    }

    let seconds: Double
    let rate: Double
    let report: Report

    private static func workflow(_ name: String, _ value: Value) -> Value {
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": .string(name)],
            "tasks": ["only": ["use": "transform@1", "with": ["value": value]]],
        ]
    }

    private static func rule(_ type: String, starts workflow: String) -> Value {
        [
            "id": .string(workflow), "when": ["field": "type", "operator": "equals", "value": .string(type)],
            "actions": [["workflow": .string(workflow)]],
        ]
    }

    private static let definitions: Value = [
        workflow("works", 1), workflow("fails", "${{ input.data.missing.deeper }}"), workflow("pages", "${{ input.data.text }}"),
        [
            "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "soak"],
            "rules": [rule("works", starts: "works"), rule("fails", starts: "fails"), rule("distric.run.failed", starts: "pages")],
        ],
    ]

    func run() throws {
        let node = try BenchNode([
            "--set", "log.level=info", "--set", "log.levels=http.requests=debug", "--set", "log.rotate_bytes=1MiB", "--set", "log.keep=2",
            "--set", "tracing.otlp_url=http://127.0.0.1:1/v1/traces",
        ])
        defer { node.stop() }
        _ = try node.post("/api/v1/workflows", Self.definitions)
        var samples: [Sample] = []
        var (sent, failed) = (0, 0)
        let began = LoadClient.now()
        var told = began
        while LoadClient.now() - began < seconds {
            let outcome = try LoadClient(port: node.port, connections: 8, rate: rate).run(seconds: min(1, seconds)) { number in
                let id = sent + number
                let type = id % 50 == 0 ? "fails" : "works"
                return LoadClient.request("POST", "/api/v1/messages", Array(#"{"id":"s-\#(id)","type":"\#(type)","data":{}}"#.utf8))
            }
            sent += outcome.requests
            failed += outcome.failures
            for path in ["/metrics", "/api/v1/traces?limit=50", "/api/v1/events?limit=50", "/api/v1/logs?limit=50", "/health/ready"] {
                _ = try LoadClient.once(node.port, "GET", path, [])
            }
            samples.append(try sample(node, LoadClient.now() - began))
            guard LoadClient.now() - told >= 60, !report.json, let last = samples.last else { continue }
            told = LoadClient.now()
            FileHandle.standardError.write(
                Data("\(Int(last.seconds)) s: \(sent) messages, \(Int(last.resident) >> 20) MiB, \(last.descriptors) descriptors\n".utf8))
        }
        tell(samples, sent, failed)
    }

    private func sample(_ node: BenchNode, _ seconds: Double) throws -> Sample {
        let process = "/proc/\(node.process.processIdentifier)"
        return Sample(
            seconds: seconds, resident: Double(node.residentBytes),
            descriptors: try FileManager.default.contentsOfDirectory(atPath: process + "/fd").count,
            threads: try FileManager.default.contentsOfDirectory(atPath: process + "/task").count)
    }

    private func tell(_ samples: [Sample], _ sent: Int, _ failed: Int) {
        // The first half fills what is bounded: rings, the window of ids, allocators.
        let late = Array(samples.suffix(max(1, samples.count / 2)))
        guard let first = samples.first, let middle = late.first, let last = late.last else { return }
        let name = "soak-\(Int(seconds))s"
        report.figure(name, "messages", Double(sent), "messages")
        report.figure(name, "refused", Double(failed), "messages")
        for (when, sample) in [("first", first), ("middle", middle), ("last", last)] {
            report.figure(name, "resident-\(when)", sample.resident / 1_048_576, "MiB")
            report.figure(name, "descriptors-\(when)", Double(sample.descriptors), "descriptors")
            report.figure(name, "threads-\(when)", Double(sample.threads), "threads")
        }
        report.figure(name, "descriptors-most", Double(samples.map(\.descriptors).max() ?? 0), "descriptors")
        report.figure(name, "resident-slope-second-half", Self.slope(late) * 3600 / 1_048_576, "MiB/h")
    }

    /// Bytes a second, by least squares.
    private static func slope(_ samples: [Sample]) -> Double {
        let count = Double(samples.count)
        let (x, y) = (samples.reduce(0) { $0 + $1.seconds } / count, samples.reduce(0) { $0 + $1.resident } / count)
        let across = samples.reduce(0) { $0 + ($1.seconds - x) * ($1.resident - y) }
        let along = samples.reduce(0) { $0 + ($1.seconds - x) * ($1.seconds - x) }
        return along > 0 ? across / along : 0
    }
}
