import Foundation
import Primitives
import Testing
import Text

/// Spans to a collector (SpanExport.swift): what it gets, and what becomes of them when it is down, busy, or answers garbage.
struct SpanExportTests {
    private func started(_ folder: TemporaryFolder, _ url: String, _ encoding: String = "json") throws -> RunningNode {
        try RunningNode(
            data: folder.path + "/data",
            smallNode + [
                "--set", "tracing.otlp_url=\(url)", "--set", "tracing.otlp_encoding=\(encoding)", "--set", "tracing.otlp_interval=50ms",
            ])
    }

    private func unpacked(_ request: FalseCollector.Request, _ folder: TemporaryFolder) throws -> [UInt8] {
        let place = folder.path + "/body.gz"
        try Data(request.body).write(to: URL(filePath: place))
        #expect(try run("/usr/bin/env", ["gzip", "-dkf", place]).code == 0)
        return try Array(Data(contentsOf: URL(filePath: folder.path + "/body")))
    }

    private func spans(_ requests: [FalseCollector.Request], _ folder: TemporaryFolder) throws -> [Value] {
        try requests.flatMap { request in
            let sent = try JSONScanner.parse(unpacked(request, folder))["resourceSpans"]?.list?.first
            return (sent?["scopeSpans"]?.list ?? []).flatMap { $0["spans"]?.list ?? [] }
        }
    }

    private func metric(_ node: RunningNode, _ name: String) throws -> Double {
        let line = try raw(node.url, "GET", "/metrics").body.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Double($0.split(separator: " ")[1].trimmingCharacters(in: .whitespaces)) } ?? .nan
    }

    private func runOnce(_ node: RunningNode) async throws {
        try await node.apply(pair("traced", script("exit 0")))
        _ = try await node.ended(try await node.submit("traced"))
    }

    @Test func `a run's spans come to the collector, each once, under their parents`() async throws {
        let folder = try TemporaryFolder()
        let collector = try FalseCollector { _ in FalseNode.http("{}") }
        let node = try started(folder, collector.url)
        try await runOnce(node)
        // A node that stops sends what waits.
        let recorded = try metric(node, "distric_spans_recorded_total")
        #expect(node.stop() == 0)
        let requests = collector.requests
        let first = try #require(requests.first)
        #expect(first.head.hasPrefix("POST /v1/traces HTTP/1.1"))
        #expect(first.head.lowercased().contains("content-encoding: gzip"))
        #expect(first.head.lowercased().contains("content-type: application/json"))
        let found = try spans(requests, folder)
        #expect(Double(found.count) == recorded)
        #expect(Set(found.compactMap { $0["spanId"]?.string }).count == found.count)
        let task = try #require(found.first { $0["name"]?.string?.hasPrefix("task ") == true })
        let parent = found.first { $0["spanId"] == task["parentSpanId"] && $0["traceId"] == task["traceId"] }
        #expect(parent?["name"]?.string?.hasPrefix("run ") == true)
        let (start, end) = (
            task["startTimeUnixNano"]?.string.flatMap { UInt64($0) } ?? 0, task["endTimeUnixNano"]?.string.flatMap { UInt64($0) } ?? 0
        )
        #expect(start > 1_700_000_000_000_000_000 && end >= start)
    }

    @Test func `a collector that is busy gets the same batch again`() async throws {
        let folder = try TemporaryFolder()
        let collector = try FalseCollector { number in
            number < 2
                ? FalseNode.http("later", status: number == 0 ? "503 Service Unavailable" : "429 Too Many Requests") : FalseNode.http("{}")
        }
        let node = try started(folder, collector.url, "protobuf")
        try await runOnce(node)
        let end = Date().addingTimeInterval(30)
        while collector.requests.count < 3, Date() < end { usleep(50_000) }
        let requests = collector.requests
        #expect(requests.count >= 3)
        #expect(requests.prefix(3).allSatisfy { $0.body == requests[0].body })
        #expect(requests[0].head.lowercased().contains("content-type: application/x-protobuf"))
        // Protobuf: field 1 of the request, then field 1 of the resource.
        #expect(try unpacked(requests[0], folder).first == 0x0A)
        #expect(try metric(node, "distric_spans_export_failed_total") == 0)
    }

    static let useless: [(String, [UInt8])] = [
        ("garbage", Array("%%%% no HTTP \u{1B}[2J\r\n\r\n".utf8)),
        ("a refusal", FalseNode.http("no such tenant", status: "401 Unauthorized")),
        ("nothing", []),
    ]

    @Test(arguments: SpanExportTests.useless)
    func `a collector that is of no use costs spans, not the node`(name: String, answer: [UInt8]) async throws {
        let folder = try TemporaryFolder()
        let collector = try FalseCollector { _ in answer }
        let node = try started(folder, collector.url)
        try await runOnce(node)
        if name == "a refusal" {
            let health = try await eventually {
                try raw(node.url, "GET", "/health/ready").value
            } until: { value in
                value["components"]?.list?.contains { $0["name"] == "tracing" && $0["status"] == "degraded" } ?? false
            }
            let part = health["components"]?.list?.first { $0["name"] == "tracing" }
            #expect(part?["reason"]?.string?.contains("401: no such tenant") == true, "\(health)")
            #expect(health["status"] == "degraded")
            #expect(try metric(node, "distric_spans_export_failed_total") > 0)
        }
        #expect(try raw(node.url, "GET", "/health/live").status == 200)
        #expect(node.stop() == 0)
    }

    @Test func `a collector that is away fills the queue, and the rest is dropped, counted`() async throws {
        let folder = try TemporaryFolder()
        let node = try RunningNode(
            data: folder.path + "/data",
            smallNode + [
                "--set", "tracing.otlp_url=http://127.0.0.1:9/v1/traces", "--set", "tracing.otlp_queue=4", "--set",
                "tracing.otlp_interval=1h",
            ])
        try await runOnce(node)
        #expect(try metric(node, "distric_span_export_queue_spans") == 4)
        #expect(try metric(node, "distric_span_export_dropped_total") >= 1)
        #expect(try metric(node, "distric_span_export_lag_seconds") >= 0)
        #expect(node.stop() == 0)
    }

    @Test(arguments: ["not a url", "ftp://host/x", "http://", "tracing.otlp_encoding=xml", "tracing.otlp_interval=1ms"])
    func `settings that cannot be meant are told at the start`(text: String) throws {
        let folder = try TemporaryFolder()
        let sets = text.contains("=") ? ["tracing.otlp_url=http://127.0.0.1:9/", text] : ["tracing.otlp_url=\(text)"]
        let refused = try run(
            Built.distric,
            ["node", "--data", folder.path + "/data", "--http", "127.0.0.1:0", "--rpc", "none"] + sets.flatMap { ["--set", $0] })
        #expect(refused.code == 78, "\(refused.err)")
        #expect(refused.err.contains("tracing.otlp_"), "\(refused.err)")
    }
}
