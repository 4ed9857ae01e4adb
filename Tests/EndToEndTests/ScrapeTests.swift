import Foundation
import Primitives
import Testing
import Text

/// `/metrics` as scrapers ask for it, the table of names, service discovery, and what monitoring stacks load.
struct ScrapeTests {
    private func started(_ folder: TemporaryFolder) throws -> RunningNode { try RunningNode(data: folder.path + "/data", smallNode) }

    private static let openMetrics = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

    @Test func `metrics are what Prometheus reads`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        #expect(try await node.outcome(of: script("echo 1"), "metered")["state"]?.string == "succeeded")
        let answer = try raw(node.url, "GET", "/metrics")
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        for line in [
            "distric_task_attempts_started_total 1", "distric_http_requests_total{class=\"2xx\"} ", "process_resident_memory_bytes ",
            "distric_health_status{component=\"raft\"} 1",
        ] {
            #expect(answer.body.contains("\n\(line)"), "\(line)")
        }
        let open = try raw(node.url, "GET", "/metrics", [Self.openMetrics])
        #expect(open.headers["content-type"]?.hasPrefix("application/openmetrics-text; version=1.0.0") == true)
        #expect(open.body.trimmingCharacters(in: .newlines).hasSuffix("# EOF"))
        #expect(open.body.contains("\ndistric_task_attempts_started_created "))
        // The request that submitted the message was sampled: its trace can be looked up from the bucket.
        let exemplar = open.body.split(separator: "\n").first {
            $0.hasPrefix("distric_http_request_duration_seconds_bucket") && $0.contains(" # ")
        }
        let id = try #require(exemplar?.firstMatch(of: /trace_id="([0-9a-f]{32})"/)?.output.1, "\(open.body)")
        #expect(try raw(node.url, "GET", "/api/v1/traces/\(id)").status == 200)
        guard let promtool = Built.tool("promtool") else { return }
        let checked = try run(promtool, ["check", "metrics"], input: answer.body)
        #expect(checked.code == 0, "\(checked.err)")
        #expect(checked.err.isEmpty, "\(checked.err)")
    }

    @Test func `metrics are packed for who asks`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        let place = folder.path + "/metrics.gz"
        let fetched = try run("/usr/bin/env", ["curl", "-s", "-D", "-", "-H", "Accept-Encoding: gzip", "-o", place, node.url + "/metrics"])
        #expect(fetched.out.lowercased().contains("content-encoding: gzip"))
        let unpacked = try run("/usr/bin/env", ["gzip", "-dc", place])
        #expect(unpacked.code == 0, "\(unpacked.err)")
        #expect(unpacked.out.contains("\n# TYPE distric_raft_term gauge\n"))
        #expect(try raw(node.url, "GET", "/metrics", ["Accept-Encoding: gzip;q=0, br"]).headers["content-encoding"] == nil)
    }

    /// Names of families with their labels' names and types.
    private func families(_ text: String) -> Set<String> {
        var types: [Substring: Substring] = [:]
        var labels: [Substring: Set<Substring>] = [:]
        for line in text.split(separator: "\n") {
            if let found = line.firstMatch(of: /^# TYPE (\S+) (\S+)$/) { types[found.output.1] = found.output.2 }
            guard !line.hasPrefix("#"), let found = line.firstMatch(of: /^([a-z_]+)\{(.*)\}[ ]/) else { continue }
            let names = found.output.2.matches(of: /([a-z_]+)="(?:[^"\\]|\\.)*"/).map(\.output.1).filter { $0 != "le" && $0 != "quantile" }
            let base = found.output.1.replacing(/_(?:bucket|sum|count)$/, with: "")
            for name in [Substring(base), found.output.1] { labels[name, default: []].formUnion(names) }
        }
        return Set(
            types.map { name, type in
                let own = labels[name]?.sorted().joined(separator: ",") ?? ""
                return "\(name)\(own.isEmpty ? "" : "{\(own)}") \(type)"
            })
    }

    @Test func `the table of names is what a node tells, both ways`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(data: folder.path + "/data", smallNode + ["--allow-chaos"])
        _ = try raw(node.url, "GET", "/metrics")
        let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Sources/DistriC/DistriC.docc/MetricNames.md")
        let rows = try String(contentsOf: page, encoding: .utf8).matches(of: /\| `([^`]+)` \| (\w+) \| [^|]+ \|/)
        let listed = Set(rows.map { "\($0.output.1) \($0.output.2)" })
        let live = families(try raw(node.url, "GET", "/metrics").body)
        #expect(listed.subtracting(live).sorted() == [], "in the table, and not on the node")
        #expect(live.subtracting(listed).sorted() == [], "on the node, and not in the table")
        for name in live { #expect(name.hasPrefix("distric_") || name.hasPrefix("process_"), "\(name)") }
    }

    @Test func `a real Prometheus finds a node by http_sd and scrapes it`() async throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        guard let prometheus = Built.tool("prometheus") else { return }
        let config = """
            global: {scrape_interval: 1s}
            scrape_configs:
              - job_name: distric
                http_sd_configs: [{url: "\(node.url)/api/v1/sd", refresh_interval: 1s}]
            """
        try config.write(toFile: folder.path + "/prometheus.yml", atomically: true, encoding: .utf8)
        let port = Int.random(in: 30_000..<45_000)
        let process = Process()
        process.executableURL = URL(filePath: prometheus)
        process.arguments = [
            "--config.file=\(folder.path)/prometheus.yml", "--storage.tsdb.path=\(folder.path)/tsdb",
            "--web.listen-address=127.0.0.1:\(port)",
        ]
        (process.standardError, process.standardOutput) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        defer {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let query = "http://127.0.0.1:\(port)/api/v1/query?query=up%20and%20on(instance)%20distric_raft_is_leader%20%3D%3D%201"
        let found = try await eventually(60) {
            let asked = try run("/usr/bin/env", ["curl", "-s", query])
            return (try? JSONScanner.parse(asked.out.utf8)) ?? nil
        } until: {
            ($0["data"]?["result"]?.list?.isEmpty ?? true) == false
        }
        let sample = try #require(found["data"]?["result"]?.list?.first, "\(found)")
        #expect(sample["metric"]?["node"]?.string == "n1")
        #expect(sample["value"]?.list?.last?.string == "1")
        let targets = try run("/usr/bin/env", ["curl", "-s", "http://127.0.0.1:\(port)/api/v1/targets"])
        let target = try JSONScanner.parse(targets.out.utf8)["data"]?["activeTargets"]?.list?.first
        #expect(target?["health"]?.string == "up")
        #expect(target?["lastError"]?.string?.isEmpty == true)
    }

    @Test func `the dashboard and the alerts speak of metrics that there are`() throws {
        let folder = try TemporaryFolder()
        let node = try started(folder)
        _ = try raw(node.url, "GET", "/metrics")
        let place = folder.path + "/monitoring"
        let written = try run(Built.distric, ["dashboards", "export", "--dir", place])
        #expect(written.code == 0, "\(written.err)")
        let dashboard = try String(contentsOfFile: place + "/distric-dashboard.json", encoding: .utf8)
        let alerts = try String(contentsOfFile: place + "/distric-alerts.yml", encoding: .utf8)
        #expect((try JSONScanner.parse(dashboard.utf8)["panels"]?.list?.count ?? 0) >= 20)
        let live = try raw(node.url, "GET", "/metrics").body
        for found in (dashboard + alerts).matches(of: /(?:distric|process)_[a-z_]+/) {
            #expect(live.contains("\n\(found.output)"), "\(found.output)")
        }
        // A second time nothing is replaced unasked.
        let again = try run(Built.distric, ["dashboards", "export", "--dir", place])
        #expect(again.code == 73)
        #expect(again.err.contains("--force"))
        #expect(try run(Built.distric, ["dashboards", "export", "--dir", place, "--force"]).code == 0)
        #expect(try run(Built.distric, ["dashboards", "export", "--dir", "/proc/none"]).code == 73)
        guard let promtool = Built.tool("promtool") else { return }
        let checked = try run(promtool, ["check", "rules", place + "/distric-alerts.yml"])
        #expect(checked.code == 0, "\(checked.out)\(checked.err)")
        #expect(checked.out.contains("16 rules found"), "\(checked.out)")
    }
}
