import Primitives

/// The Prometheus text exposition format 0.0.4.
package enum PrometheusText {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package static func render(_ families: [MetricsRegistry.Family]) -> String {
        var text = ""
        for family in families {
            text += "# HELP \(family.name) \(escaped(family.help, quotes: false))\n# TYPE \(family.name) \(family.kind.rawValue)\n"
            for series in family.series { append(series, of: family.name, to: &text) }
        }
        return text
    }

    private static func append(_ series: MetricsRegistry.Series, of name: String, to text: inout String) {
        switch series.instrument {
        case .counter(let counter): text += line(name, series.labels, Double(counter.count))
        case .gauge(let gauge): text += line(name, series.labels, gauge.number)
        case .computed(_, let read): text += line(name, series.labels, read())
        case .histogram(let histogram):
            let counts = histogram.cumulative
            for (bound, count) in zip(histogram.bounds + [.infinity], counts) {
                text += line(name + "_bucket", series.labels + [("le", number(bound))], Double(count))
            }
            text += line(name + "_sum", series.labels, histogram.sum)
            text += line(name + "_count", series.labels, Double(counts[counts.count - 1]))
        }
    }

    private static func line(_ name: String, _ labels: [(name: String, value: String)], _ value: Double) -> String {
        let list = labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",")
        return "\(name)\(labels.isEmpty ? "" : "{\(list)}") \(number(value))\n"
    }

    private static func number(_ value: Double) -> String {
        if value == .infinity { return "+Inf" }
        if value == -.infinity { return "-Inf" }
        if value.isNaN { return "NaN" }
        return value == value.rounded() && abs(value) < 1e18 ? String(Int64(value)) : value.description
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}
