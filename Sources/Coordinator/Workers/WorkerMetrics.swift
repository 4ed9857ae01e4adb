import Observability

/// What is counted of workers in other processes.
struct WorkerMetrics: Sendable {
    let attached: Gauge
    let attaches: Counter
    let assignments: Counter
    let renewals: Counter
    let expired: Counter
    let refusals: Counter
    let overcommitted: Counter
    let busy: Counter
    let denied: Counter
    let unsent: Counter
    let doubted: Counter
    let cordoned: Gauge
    let drained: Counter

    init(_ metrics: MetricsRegistry) {
        attached = metrics.gauge("distric_workers_attached", "Workers in other processes that are with this node, which leads.")
        attaches = metrics.counter("distric_worker_attachments_total", "Times that a worker in another process came to this node.")
        assignments = metrics.counter("distric_worker_assignments_total", "Assignments handed to workers in other processes.")
        renewals = metrics.counter("distric_worker_leases_renewed_total", "Renewals of workers' leases.")
        expired = metrics.counter("distric_worker_leases_expired_total", "Workers that were silent for longer than their lease.")
        refusals = metrics.counter("distric_worker_assignments_returned_total", "Assignments that workers sent back, to be placed anew.")
        overcommitted = metrics.counter(
            "distric_workers_overcommitted_total", "Times that a worker said that it runs more than it has room for: it gets nothing more.")
        busy = metrics.counter(
            "distric_worker_reports_busy_total", "Calls with reports that were refused, since too many wait for the log.")
        denied = metrics.counter(
            "distric_workers_denied_total", "Workers that were not taken: somebody else has their id, or they are none.")
        unsent = metrics.counter(
            "distric_worker_assignments_unsent_total", "Assignments whose worker had gone before they were sent: placed anew.")
        doubted = metrics.counter(
            "distric_workers_doubted_total", "Workers that got nothing more since gossip had them for dead, until they came again.")
        cordoned = metrics.gauge("distric_workers_cordoned", "Workers that are with this node, which leads, and take nothing new.")
        drained = metrics.counter("distric_workers_drained_total", "Workers that were to be empty, and are.")
    }
}
