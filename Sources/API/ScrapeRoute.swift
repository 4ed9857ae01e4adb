import HTTPTypes
import Hummingbird
import NIOCore
import Observability
import Primitives
import Text

/// `/metrics`: in the format and the packing that the scraper asks for.
struct ScrapeRoute: Sendable {
    private let telemetry: Telemetry
    private let durations: Histogram
    private let bytes: Gauge

    init(telemetry: Telemetry) {
        self.telemetry = telemetry
        durations = telemetry.metrics.histogram("distric_scrape_duration_seconds", "Time to write down all metrics, packing included.")
        bytes = telemetry.metrics.gauge("distric_scrape_bytes", "Size of the last answer to a scraper, before packing.")
    }

    func answer(_ request: Request) -> Response {
        let began = telemetry.clock.now
        let format = PrometheusText.Format(accept: request.headers[.accept])
        let text = PrometheusText.render(telemetry.metrics.snapshot, as: format)
        bytes.set(text.count)
        var headers: HTTPFields = [.contentType: format.contentType, .vary: "Accept, Accept-Encoding"]
        let packs = QualityList(request.headers[.acceptEncoding] ?? "").weight(of: "gzip") > 0
        if packs { headers[.contentEncoding] = "gzip" }
        let body = packs ? Gzip.pack(text) : text
        durations.observe(telemetry.clock.now.duration(since: began))
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }
}
