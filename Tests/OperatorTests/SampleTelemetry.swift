import Primitives
import Text

/// Events, log lines and metrics of the sample cluster.
extension SampleData {
    private static let happenings: [(kind: String, severity: String, subject: String, text: String)] = [
        ("node.started", "info", "c-1", "node c-1 started as coordinator,worker"), ("raft.leader", "info", "c-1", "c-1 leads term 7"),
        ("catalog.changed", "info", "12", "catalog version 12 is in force"),
        ("run.failed", "warning", runID(newest - 2), "run of geo-audit failed: the card was refused"),
        ("raft.slow", "warning", "c-3", "c-3 slow append 180 ms (threshold 100)"),
        ("gossip.suspect", "warning", "w-07", "w-07 suspected by c-2, c-3"),
        ("task.unknown", "error", runID(newest - 6) + ".pick", "w-07 was lost in the middle of attempt 2 of pick"),
        ("disk.low", "warning", "/var/lib/distric", "1.9 GiB of 40 GiB are free"),
        ("run.succeeded", "info", runID(newest - 1), "run of refund succeeded after 477 ms"),
        ("storage.failed", "error", "c-3", "fsync took 2.4 s"),
    ]

    static let events: [Value] = (0..<20).map { place in
        let happening = happenings[place % happenings.count]
        var fields = Fields()
        fields["seq"] = Value(place + 1)
        fields["node"] = .string("c-1")
        fields["time"] = ago(milliseconds: (20 - place) * 2000)
        fields["kind"] = .string(happening.kind)
        fields["subject"] = .string(happening.subject)
        fields["severity"] = .string(happening.severity)
        fields["text"] = .string(happening.text)
        return .map(fields)
    }

    private static let said: [(level: String, label: String, message: String)] = [
        ("info", "coordinator", "matched 48 messages"), ("debug", "raft", "appended 12 entries"),
        ("notice", "api", "a console watches 3 streams"), ("warning", "raft", "slow append to c-3"),
        ("info", "worker", "attempt 2 of pick began"), ("error", "worker", "exit code 3"), ("trace", "rules", "evaluated order-4711"),
        ("critical", "storage", "the disk is nearly full"),
    ]

    static let logs: [Value] = (1...60).map { logLine($0) }

    static func logLine(_ number: Int) -> Value {
        let line = said[number % said.count]
        var fields = Fields()
        fields["time"] = ago(milliseconds: max(0, 60 - number) * 500)
        fields["level"] = .string(line.level)
        fields["label"] = .string(line.label)
        fields["message"] = .string(line.message)
        fields["run"] = .string(runID(newest - number % 5))
        if number % 4 == 0 { fields["traceId"] = .string(trace) }
        fields["seq"] = Value(number)
        return .map(fields)
    }

    static let metrics: [Value] = [
        metric("distric_task_queue_depth", "gauge", 118, nil, "Tasks that wait for a worker."),
        metric("distric_messages_accepted_total", "counter", 96_214, 48.4, "Messages that were accepted."),
        metric("distric_raft_commit_index", "gauge", 120_331, nil, "The last entry that is committed."),
        metric("distric_task_attempt_duration_seconds", "histogram", 79_811, 31.2, "How long attempts took.", quantiles: (0.042, 0.9104)),
        metric("distric_runs_finished_total", "counter", 8_624, 4.5, "Runs that ended.", label: ("state", "succeeded")),
        metric("distric_runs_finished_total", "counter", 212, 0.2, "Runs that ended.", label: ("state", "failed")),
        metric("distric_http_request_duration_seconds", "histogram", 310_220, 88, "Requests.", quantiles: (0.0004, 0.0121)),
        metric("distric_watch_streams", "gauge", 3, nil, "Streams of changes that are open."),
    ]

    private static func metric(
        _ name: String, _ kind: String, _ value: Int, _ rate: Double?, _ help: String, label: (String, String)? = nil,
        quantiles: (Double, Double)? = nil
    ) -> Value {
        var fields = Fields()
        fields["id"] = .string(label.map { "\(name){\($0.0)=\"\($0.1)\"}" } ?? name)
        fields["name"] = .string(name)
        fields["kind"] = .string(kind)
        fields["value"] = Value(value)
        fields["rate"] = rate.map(Value.double) ?? Value.null
        fields["p50"] = quantiles.map { Value.double($0.0) } ?? Value.null
        fields["p99"] = quantiles.map { Value.double($0.1) } ?? Value.null
        fields["help"] = .string(help)
        fields["labels"] = Value.map(Fields(label.map { [Fields.Member($0.0, .string($0.1))] } ?? []))
        fields["recent"] = wave(40, base: value % 97, swing: 23)
        return .map(fields)
    }
}
