import Foundation
import Glibc
import Logging
import Observability
import Synchronization

/// Metrics of the process itself, by the names that Prometheus clients use, and what observability costs.
enum NodeMetrics {
    static func register(_ telemetry: Telemetry, version: String, sink: LogSink) {
        let metrics = telemetry.metrics
        metrics.gauge("distric_build_info", "Always 1; the label says which version runs.", ["version": version]).set(1)
        registerProcess(metrics)
        registerRuntime(metrics)
        metrics.computed(.counter, "distric_log_lines_total", "Log lines written.") { Double(sink.written.count) }
        metrics.computed(.counter, "distric_log_lines_failed_total", "Log lines that could not be written.") { Double(sink.failed.count) }
        let logs = telemetry.logs
        for (level, counter) in logs.dropped {
            metrics.computed(
                .counter, "distric_log_lines_dropped_total", "Log lines that came faster than they could be written.",
                ["level": level.rawValue]
            ) { Double(counter.count) }
        }
        metrics.computed(.gauge, "distric_log_queue_lines", "Log lines that wait to be written.") { Double(logs.queued) }
        metrics.computed(.gauge, "distric_log_ring_bytes", "Bytes of the newest log lines, kept for consoles.") { Double(logs.bytes) }
        let (events, spans) = (telemetry.events, telemetry.spans)
        metrics.computed(.counter, "distric_events_dropped_total", "Events that a slow follower missed.") { Double(events.dropped.count) }
        metrics.computed(.counter, "distric_spans_recorded_total", "Spans recorded.") { Double(spans.recorded.count) }
        metrics.computed(.counter, "distric_spans_unsampled_total", "Spans of traces that are not recorded.") {
            Double(spans.unsampled)
        }
        metrics.computed(
            .counter, "distric_spans_tail_kept_total", "Of those, spans kept since they failed, took long, or came after one that did."
        ) {
            Double(spans.tailKept.count)
        }
        metrics.computed(.counter, "distric_spans_limited_total", "Spans that were cut to their limits.") { Double(spans.limited.count) }
        metrics.computed(.gauge, "distric_spans_held", "Recent spans kept for console and shell.") { Double(spans.heldCount) }
        metrics.computed(.gauge, "distric_metrics_series", "Series in the registry.") { [weak metrics] in Double(metrics?.seriesCount ?? 0)
        }
        metrics.computed(.counter, "distric_metrics_overflow_total", "Label values that went to the series 'other'.") { [weak metrics] in
            Double(metrics?.overflowed.count ?? 0)
        }
        metrics.computed(.counter, "distric_metrics_conflicts_total", "Metrics asked for with another type than before.") {
            [weak metrics] in Double(metrics?.conflicted.count ?? 0)
        }
    }

    private static func registerProcess(_ metrics: MetricsRegistry) {
        metrics.computed(.counter, "process_cpu_seconds_total", "CPU time used, user and system.") { cpuSeconds() }
        metrics.computed(.gauge, "process_resident_memory_bytes", "Resident memory.") { Double(statm(1) * Int(getpagesize())) }
        metrics.computed(.gauge, "process_virtual_memory_bytes", "Virtual memory.") { Double(statm(0) * Int(getpagesize())) }
        metrics.computed(.gauge, "process_open_fds", "Open file descriptors.") { Double(entries("/proc/self/fd")) }
        metrics.computed(.gauge, "process_max_fds", "Most file descriptors that may be open.") { maxFiles() }
        metrics.computed(.gauge, "process_threads", "Threads of the process.") { Double(entries("/proc/self/task")) }
        metrics.gauge("process_start_time_seconds", "Start of the process since 1970.").set(Date().timeIntervalSince1970)
    }

    private static func registerRuntime(_ metrics: MetricsRegistry) {
        metrics.computed(.counter, "distric_runtime_page_faults_total", "Page faults that had to read from a disk.") {
            Double(usage().ru_majflt)
        }
        metrics.computed(
            .counter, "distric_runtime_context_switches_total", "Times that a thread gave up its processor.", ["kind": "voluntary"]
        ) { Double(usage().ru_nvcsw) }
        metrics.computed(
            .counter, "distric_runtime_context_switches_total", "Times that a thread gave up its processor.", ["kind": "involuntary"]
        ) { Double(usage().ru_nivcsw) }
    }

    private static func usage() -> rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    private static func cpuSeconds() -> Double {
        let usage = usage()
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    private static func maxFiles() -> Double {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return limit.rlim_cur == .max ? .infinity : Double(limit.rlim_cur)
    }

    /// Pages: 0 all, 1 resident.
    private static func statm(_ place: Int) -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let parts = text.split(separator: " ")
        return place < parts.count ? Int(parts[place]) ?? 0 : 0
    }

    private static func entries(_ folder: String) -> Int { (try? FileManager.default.contentsOfDirectory(atPath: folder).count) ?? 0 }
}
