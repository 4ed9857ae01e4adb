import Foundation
import Glibc
import Observability

/// Metrics of the process itself, by the names that Prometheus clients use.
enum NodeMetrics {
    static func register(_ telemetry: Telemetry, version: String, sink: LogSink) {
        let metrics = telemetry.metrics
        metrics.gauge("distric_build_info", "Always 1; the label says which version runs.", ["version": version]).set(1)
        metrics.computed(.counter, "process_cpu_seconds_total", "CPU time used, user and system.") { cpuSeconds() }
        metrics.computed(.gauge, "process_resident_memory_bytes", "Resident memory.") { Double(statm(1) * Int(getpagesize())) }
        metrics.computed(.gauge, "process_virtual_memory_bytes", "Virtual memory.") { Double(statm(0) * Int(getpagesize())) }
        metrics.computed(.gauge, "process_open_fds", "Open file descriptors.") { Double(openFiles()) }
        let start = Date().timeIntervalSince1970
        metrics.gauge("process_start_time_seconds", "Start of the process since 1970.").set(start)
        metrics.computed(.counter, "distric_log_lines_total", "Log lines written.") { Double(sink.written.count) }
        metrics.computed(.counter, "distric_log_lines_failed_total", "Log lines that could not be written.") { Double(sink.failed.count) }
        let (events, spans) = (telemetry.events, telemetry.spans)
        metrics.computed(.counter, "distric_events_dropped_total", "Events that a slow follower missed.") { Double(events.dropped.count) }
        metrics.computed(.counter, "distric_spans_recorded_total", "Spans recorded.") { Double(spans.recorded.count) }
    }

    private static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Pages: 0 all, 1 resident.
    private static func statm(_ place: Int) -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let parts = text.split(separator: " ")
        return place < parts.count ? Int(parts[place]) ?? 0 : 0
    }

    private static func openFiles() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }
}
