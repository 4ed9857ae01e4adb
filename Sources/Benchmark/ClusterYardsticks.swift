/// What others reach on such a machine, as it was recorded before the first line was written (two cores, client included). Nothing of it is
/// measured in the run beside which it is told.
struct ClusterYardsticks {
    private struct Row {
        let beside: String
        let test: String
        let metric: String
        let value: Double
        let unit: String
        let who: String
    }

    let report: Report

    private static let note = "recorded before, not measured in this run"
    private static let jetStream = "NATS JetStream R3, fsync always; \(note)"
    private static let celery = "Celery + Redis, not durable; \(note)"
    private static let huey = "huey; \(note)"

    private static let rows = [
        Row(beside: "messages", test: "messages-1", metric: "messages", value: 744, unit: "messages/s", who: jetStream),
        Row(beside: "messages", test: "messages-64", metric: "messages", value: 7355, unit: "messages/s", who: jetStream),
        Row(beside: "messages", test: "messages-256", metric: "messages", value: 10_286, unit: "messages/s", who: jetStream),
        Row(beside: "runs", test: "runs-one", metric: "runs", value: 529, unit: "tasks/s", who: celery),
        Row(beside: "runs", test: "runs-one", metric: "runs", value: 2150, unit: "tasks/s", who: huey),
        Row(beside: "runs", test: "runs-chain", metric: "runs", value: 69, unit: "chains/s", who: celery),
        Row(beside: "runs", test: "runs-chain", metric: "runs", value: 594, unit: "chains/s", who: huey),
        Row(beside: "start", test: "start", metric: "p99", value: 44, unit: "ms", who: celery),
    ]

    func tell(beside name: String) {
        for row in Self.rows where row.beside == name { report.figure(row.test, row.metric, row.value, row.unit, who: row.who) }
    }
}
