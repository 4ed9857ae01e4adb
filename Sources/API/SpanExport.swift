import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
package import Observability
import Primitives

/// Sends recorded spans to a collector over OTLP/HTTP: in batches, packed, and again when the collector is busy or away.
package final class SpanExport: Sendable {
    package struct Settings: Sendable {
        /// `http://host:4318/v1/traces`.
        package var url: String
        package var encoding: OTLPEncoding
        package var headers: [(name: String, value: String)]
        /// Between batches, unless one is full before.
        package var interval: Duration
        package var batch: Int
        /// For one request.
        package var timeout: Duration

        package init(url: String, encoding: OTLPEncoding, headers: [(name: String, value: String)], interval: Duration) {
            self.url = url
            self.encoding = encoding
            self.headers = headers
            self.interval = interval
            batch = 512
            timeout = .seconds(10)
        }
    }

    private enum Answer {
        case taken
        /// With the wait that the collector asks for.
        case busy(String, Duration?)
        case refused(String)
    }

    /// Times that a batch is sent again before it is given up.
    private static let retries = 5
    private static let longestWait: Duration = .seconds(30)

    private let settings: Settings
    private let queue: SpanQueue
    private let resource: OTLPEncoding.Resource
    private let telemetry: Telemetry
    private let logger: Logger
    private let client: HTTPClient
    private let exported: Observability.Counter
    private let lost: Observability.Counter
    private let attempts: Histogram

    package init(settings: Settings, queue: SpanQueue, resource: OTLPEncoding.Resource, telemetry: Telemetry) {
        self.settings = settings
        self.queue = queue
        self.resource = resource
        self.telemetry = telemetry
        logger = telemetry.logger("tracing")
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        // Sending spans makes none.
        configuration.tracing.tracer = nil
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let metrics = telemetry.metrics
        exported = metrics.counter("distric_spans_exported_total", "Spans that a collector has taken.")
        lost = metrics.counter("distric_spans_export_failed_total", "Spans that no collector took, however often they were sent.")
        attempts = metrics.histogram("distric_span_export_duration_seconds", "Time that a collector took to answer.")
        metrics.computed(.gauge, "distric_span_export_queue_spans", "Spans that wait to be sent.") { Double(queue.count) }
        metrics.computed(.counter, "distric_span_export_dropped_total", "Spans that came when the queue to the collector was full.") {
            Double(queue.dropped.count)
        }
        let clock = telemetry.clock
        metrics.computed(.gauge, "distric_span_export_lag_seconds", "Age of the oldest span that waits to be sent.") {
            queue.oldest.map { max(0, clock.wall.duration(since: $0.start).seconds) } ?? 0
        }
        telemetry.health.set("tracing", .up)
    }

    /// Spans that came when the queue was full.
    package var dropped: Counter { queue.dropped }

    /// Until the surrounding task is cancelled; then what waits is sent once.
    package func run() async {
        while (try? await Task.sleep(for: settings.interval)) != nil {
            while queue.count > 0, !Task.isCancelled { await send(queue.take(settings.batch), retries: Self.retries) }
        }
        // The node stops: what waits gets one chance, and not for long.
        await Task.detached { [self] in
            while queue.count > 0 { guard await send(queue.take(settings.batch), retries: 0) else { break } }
            try? await client.shutdown()
        }.value
    }

    @discardableResult
    private func send(_ spans: [Span], retries: Int) async -> Bool {
        let bytes = Gzip.pack(settings.encoding.encode(spans, resource))
        var wait: Duration = .seconds(1)
        for attempt in 0...retries {
            switch await post(bytes) {
            case .taken:
                exported.increment(by: spans.count)
                telemetry.health.set("tracing", .up)
                return true
            case .refused(let why):
                giveUp(spans.count, why)
                return false
            case .busy(let why, let asked):
                guard attempt < retries, !Task.isCancelled else {
                    giveUp(spans.count, why)
                    return false
                }
                // Half of it by chance, so that nodes do not come back together.
                try? await Task.sleep(for: min(asked ?? wait * Double.random(in: 0.5...1), Self.longestWait))
                wait = min(wait * 2, Self.longestWait)
            }
        }
        return false
    }

    private func giveUp(_ count: Int, _ why: String) {
        lost.increment(by: count)
        if telemetry.health.set("tracing", .degraded, reason: "the collector \(settings.url) took no spans: \(why)") {
            logger.warning("spans were not taken", metadata: ["url": "\(settings.url)", "spans": "\(count)", "why": "\(why)"])
        }
    }

    private func post(_ bytes: [UInt8]) async -> Answer {
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: settings.encoding.contentType)
        request.headers.add(name: "Content-Encoding", value: "gzip")
        for header in settings.headers { request.headers.replaceOrAdd(name: header.name, value: header.value) }
        request.body = .bytes(bytes)
        let began = telemetry.clock.now
        defer { attempts.observe(telemetry.clock.now.duration(since: began)) }
        do {
            let response = try await client.execute(request, timeout: .nanoseconds(settings.timeout.nanoseconds))
            // What it says is of no use beyond a few words, and a connection is used again only when it was read.
            let body = try? await response.body.collect(upTo: 64 << 10)
            let status = Int(response.status.code)
            switch status {
            case 200..<300: return .taken
            case 429, 502, 503, 504:
                let asked = response.headers.first(name: "Retry-After").flatMap { Int($0) }.map { Duration.seconds(max(0, min($0, 3600))) }
                return .busy("it answered \(status)", asked)
            default:
                let words = body.map { String(decoding: $0.readableBytesView.prefix(200), as: UTF8.self) } ?? ""
                return .refused("it answered \(status)\(words.isEmpty ? "" : ": \(words)")")
            }
        } catch {
            return .busy("\(error)", nil)
        }
    }
}
