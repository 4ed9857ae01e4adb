package import CoreMetrics

/// What libraries that speak swift-metrics report, in the registry of the node. Names are made valid and end as Prometheus' convention has
/// it: counters in `_total`, timers in `_seconds`. What is destroyed stays, as totals do.
package struct LibraryMetrics: MetricsFactory {
    private static let help = "Reported by a library through swift-metrics."

    private let registry: MetricsRegistry

    package init(registry: MetricsRegistry) { self.registry = registry }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        CountingHandler(counter: registry.counter(Self.name(label, "_total"), Self.help, labels: dimensions))
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        LevelHandler(gauge: registry.gauge(MetricName.valid(label), Self.help, labels: dimensions))
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return LevelHandler(gauge: registry.gauge(MetricName.valid(label), Self.help, labels: dimensions)) }
        // Thousandths: the unit that keeps small fractions and reaches to a million million.
        let scale = Scale.logLinear(unit: 0.001, firstEdge: 0)
        return RecordingHandler(summary: registry.summary(MetricName.valid(label), Self.help, labels: dimensions, scale: scale))
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        TimingHandler(histogram: registry.histogram(Self.name(label, "_seconds"), Self.help, labels: dimensions, scale: .latency))
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private static func name(_ label: String, _ suffix: String) -> String {
        let valid = MetricName.valid(label)
        return valid.hasSuffix(suffix) ? valid : valid + suffix
    }
}

private final class CountingHandler: CounterHandler {
    private let counter: Counter
    init(counter: Counter) { self.counter = counter }
    func increment(by amount: Int64) { counter.increment(by: Int(clamping: amount)) }
    /// A total never falls.
    func reset() {}
}

private final class LevelHandler: MeterHandler, RecorderHandler {
    private let gauge: Gauge
    init(gauge: Gauge) { self.gauge = gauge }
    func set(_ value: Int64) { gauge.set(Double(value)) }
    func set(_ value: Double) { gauge.set(value) }
    func increment(by amount: Double) { gauge.add(amount) }
    func decrement(by amount: Double) { gauge.add(-amount) }
    func record(_ value: Int64) { gauge.set(Double(value)) }
    func record(_ value: Double) { gauge.set(value) }
}

private final class RecordingHandler: RecorderHandler {
    private let summary: Summary
    init(summary: Summary) { self.summary = summary }
    func record(_ value: Int64) { summary.observe(Double(value)) }
    func record(_ value: Double) { summary.observe(value) }
}

private final class TimingHandler: TimerHandler {
    private let histogram: Histogram
    init(histogram: Histogram) { self.histogram = histogram }
    func recordNanoseconds(_ duration: Int64) { histogram.observe(nanoseconds: duration) }
}
