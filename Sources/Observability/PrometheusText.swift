import Primitives
import Text

/// What scrapers read: the Prometheus text exposition format 0.0.4, and OpenMetrics 1.0.
package enum PrometheusText {
    package enum Format: Sendable, CaseIterable {
        case prometheus
        /// With times of creation, units and exemplars.
        case openMetrics

        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }

        /// What a scraper that sent this `Accept` header would rather have.
        package init(accept: String?) {
            let wanted = QualityList(accept ?? "")
            let open = wanted.weight(of: "application/openmetrics-text")
            self = open > 0 && open >= wanted.weight(of: "text/plain") ? .openMetrics : .prometheus
        }
    }

    package static func render(_ families: [MetricsRegistry.Family], as format: Format = .prometheus) -> [UInt8] {
        var writer = Writer(format: format)
        for family in families { writer.write(family) }
        if format == .openMetrics { writer.bytes += Array("# EOF\n".utf8) }
        return writer.bytes
    }

    private struct Writer {
        let format: Format
        var bytes: [UInt8] = []

        mutating func write(_ family: MetricsRegistry.Family) {
            // In OpenMetrics a counter's name is that of its samples without `_total`.
            let isOpen = format == .openMetrics
            let name = isOpen && family.kind == .counter && family.name.hasSuffix("_total") ? String(family.name.dropLast(6)) : family.name
            text("# HELP ", name, " ")
            escape(family.help, quotes: isOpen)
            text("\n# TYPE ", name, " ", family.kind.rawValue, "\n")
            if isOpen, let unit = ["seconds", "bytes"].first(where: { name.hasSuffix("_" + $0) }) {
                text("# UNIT ", name, " ", unit, "\n")
            }
            for series in family.series { write(series, of: family, named: name) }
        }

        private mutating func write(_ series: MetricsRegistry.Series, of family: MetricsRegistry.Family, named name: String) {
            let labels = Array(series.labels)
            let suffix = format == .openMetrics && family.kind == .counter ? "_total" : ""
            switch series.instrument {
            case .counter(let counter): line(name, suffix, labels, Double(counter.count))
            case .gauge(let gauge): line(name, "", labels, gauge.number)
            case .computed(_, let read): line(name, suffix, labels, read())
            case .histogram(let histogram): write(histogram, name, labels)
            case .summary(let summary):
                for (share, value) in zip(Summary.shares, summary.quantiles) {
                    line(name, "", labels, value ?? .nan, ("quantile", share))
                }
                let whole = summary.distribution
                line(name, "_sum", labels, whole.sum)
                line(name, "_count", labels, Double(whole.count))
            }
            if format == .openMetrics, family.kind != .gauge {
                line(name, "_created", labels, Double(series.created.milliseconds) / 1000)
            }
        }

        private mutating func write(_ histogram: Histogram, _ name: String, _ labels: [(name: String, value: String)]) {
            let whole = histogram.distribution
            let exemplars = format == .openMetrics ? histogram.latestExemplars : []
            for (place, bucket) in whole.cumulative.enumerated() {
                start(name, "_bucket", labels, ("le", bucket.bound))
                number(Double(bucket.count), isBound: false)
                if place < exemplars.count, let exemplar = exemplars[place] {
                    text(" # {trace_id=\"", exemplar.traceID, "\"} ")
                    number(exemplar.value, isBound: false)
                }
                bytes.append(0x0A)
            }
            line(name, "_sum", labels, whole.sum)
            line(name, "_count", labels, Double(whole.count))
        }

        private mutating func line(
            _ name: String, _ suffix: String, _ labels: [(name: String, value: String)], _ value: Double, _ extra: (String, Double)? = nil
        ) {
            start(name, suffix, labels, extra)
            number(value, isBound: false)
            bytes.append(0x0A)
        }

        private mutating func start(
            _ name: String, _ suffix: String, _ labels: [(name: String, value: String)], _ extra: (String, Double)?
        ) {
            text(name, suffix)
            if !labels.isEmpty || extra != nil {
                var mark = "{"
                for label in labels {
                    text(mark, label.name, "=\"")
                    escape(label.value, quotes: true)
                    mark = "\","
                }
                if let extra {
                    text(mark, extra.0, "=\"")
                    number(extra.1, isBound: true)
                }
                text("\"}")
            }
            bytes.append(0x20)
        }

        private mutating func text(_ parts: String...) { for part in parts { bytes.append(contentsOf: part.utf8) } }

        /// OpenMetrics wants bounds in one spelling, which for whole numbers has a point.
        private mutating func number(_ value: Double, isBound: Bool) {
            if value == .infinity { return text("+Inf") }
            if value == -.infinity { return text("-Inf") }
            if value.isNaN { return text("NaN") }
            guard value == value.rounded(), abs(value) < 1e18 else { return text(value.description) }
            text(String(Int64(value)))
            if isBound, format == .openMetrics { text(".0") }
        }

        private mutating func escape(_ string: String, quotes: Bool) {
            for byte in string.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): text("\\\\")
                case 0x0A: text("\\n")
                case UInt8(ascii: "\"") where quotes: text("\\\"")
                default: bytes.append(byte)
                }
            }
        }
    }
}
