package import Observability
package import Workflows

/// The counters of the walk; names are a contract (see the table in the documentation).
package struct CoordinatorMetrics: Sendable {
    package let received: Counter
    package let accepted: Counter
    package let duplicates: Counter
    package let unmatched: Counter
    package let refused: Counter
    package let evaluation: Histogram
    package let runsStarted: Counter
    package let runsFinished: [WorkflowRun.State: Counter]
    package let runDuration: Histogram
    package let startLatency: Histogram
    package let taskFailures: Counter
    package let staleReports: Counter
    package let commitLatency: Histogram
    package let snapshots: Counter
    package let queueDepth: Gauge
    package let tasksRunning: Gauge
    package let openRuns: Gauge
    package let frozen: [Freeze.Part: Gauge]

    package init(_ metrics: MetricsRegistry) {
        received = metrics.counter("distric_messages_received_total", "Messages that arrived, whatever became of them.")
        accepted = metrics.counter("distric_messages_accepted_total", "Messages made durable with their runs.")
        duplicates = metrics.counter("distric_messages_duplicate_total", "Messages that had been accepted before.")
        unmatched = metrics.counter("distric_messages_unmatched_total", "Messages that no rule matched.")
        refused = metrics.counter("distric_messages_refused_total", "Messages refused: malformed, too large, or the node was busy.")
        evaluation = metrics.histogram(
            "distric_rule_evaluation_duration_seconds", "Time to match one message against the catalog.", scale: .quick)
        runsStarted = metrics.counter("distric_runs_started_total", "Runs started.")
        runsFinished = Dictionary(
            uniqueKeysWithValues: WorkflowRun.State.allCases.filter(\.isFinal).map { state in
                (state, metrics.counter("distric_runs_finished_total", "Runs ended, by their final state.", ["state": state.rawValue]))
            })
        runDuration = metrics.histogram("distric_run_duration_seconds", "Time from a run's start to its end.")
        startLatency = metrics.histogram("distric_task_start_latency_seconds", "Time from a task being ready to its assignment.")
        taskFailures = metrics.counter("distric_task_attempts_failed_total", "Attempts that failed or timed out.")
        staleReports = metrics.counter("distric_reports_stale_total", "Reports refused because their attempt is not the current one.")
        commitLatency = metrics.histogram("distric_commit_duration_seconds", "Time from proposing an entry to its commit.")
        snapshots = metrics.counter("distric_snapshots_total", "Snapshots written.")
        queueDepth = metrics.gauge("distric_task_queue_depth", "Tasks that wait for a worker.")
        tasksRunning = metrics.gauge("distric_tasks_running", "Tasks that are with a worker.")
        openRuns = metrics.gauge("distric_runs_open", "Runs that have not ended.")
        frozen = Dictionary(
            uniqueKeysWithValues: Freeze.Part.allCases.map { part in
                (part, metrics.gauge("distric_cluster_frozen", "1 while an operator has stopped this part.", ["part": part.rawValue]))
            })
    }
}
