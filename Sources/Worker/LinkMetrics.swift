import Observability

/// What is counted of a worker's link to the leader.
struct LinkMetrics: Sendable {
    let attached: Gauge
    let attaches: Counter
    let detaches: Counter
    let renewals: Counter
    let renewalFailures: Counter
    let waiting: Gauge
    let sent: Counter
    let stale: Counter
    let refusals: Counter
    let endedAlone: Counter

    init(_ metrics: MetricsRegistry) {
        attached = metrics.gauge("distric_worker_attached", "1 while this node's worker is with the cluster's leader.")
        attaches = metrics.counter("distric_worker_attaches_total", "Times that this node's worker came to a leader in another process.")
        detaches = metrics.counter("distric_worker_detaches_total", "Times that it lost one again.")
        renewals = metrics.counter("distric_worker_renewals_total", "Renewals of this worker's lease that a leader confirmed.")
        renewalFailures = metrics.counter("distric_worker_renewal_failures_total", "Renewals of this worker's lease that failed.")
        waiting = metrics.gauge("distric_worker_reports_waiting", "Reports of this worker that no leader has in its log yet.")
        sent = metrics.counter("distric_worker_reports_sent_total", "Reports that this worker sent to leaders in other processes.")
        stale = metrics.counter(
            "distric_worker_reports_stale_total", "Of those, reports that came too late: the attempt was not this worker's any more.")
        refusals = metrics.counter("distric_worker_refusals_sent_total", "Assignments that this worker sent back to their leader.")
        endedAlone = metrics.counter(
            "distric_worker_attempts_ended_alone_total", "Attempts that were ended, since no leader was heard of for too long.")
    }
}
