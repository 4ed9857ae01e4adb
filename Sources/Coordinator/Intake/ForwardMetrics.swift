import Observability
import Wire

/// What is counted of messages that one coordinator took and another one put into the log.
struct ForwardMetrics: Sendable {
    let answered: Counter
    let refused: Counter
    let uncertain: Counter
    let retries: Counter
    let duration: Histogram
    let taken: Counter
    let replayed: Counter
    private let accepted: Counter
    private let duplicates: Counter
    private let outcomes: [ForwardOutcome: Counter]

    init(_ metrics: MetricsRegistry) {
        func batches(_ outcome: String) -> Counter {
            metrics.counter(
                "distric_intake_forward_batches_total", "Batches of messages passed on to the leader, by what became of them.",
                ["outcome": outcome])
        }
        func messages(_ outcome: String) -> Counter {
            metrics.counter(
                "distric_intake_forward_messages_total", "Messages passed on to the leader, by what it said of them.",
                ["outcome": outcome])
        }
        (answered, refused, uncertain) = (batches("answered"), batches("refused"), batches("uncertain"))
        (accepted, duplicates) = (messages("accepted"), messages("duplicate"))
        outcomes = [
            .rematch: messages("rematch"), .busy: messages("busy"), .full: messages("full"), .uncertain: messages("uncertain"),
        ]
        retries = metrics.counter(
            "distric_intake_forward_retries_total", "Times that a batch was sent again, to the same leader or the next.")
        duration = metrics.histogram(
            "distric_intake_forward_duration_seconds", "Time from sending a batch to the leader until it was answered, retries included.")
        taken = metrics.counter("distric_intake_forward_taken_total", "Messages that other coordinators passed on to this one.")
        replayed = metrics.counter(
            "distric_intake_forward_replayed_total", "Batches that came again and got the answer of the first.")
    }

    func note(_ result: ForwardResult) {
        if result.outcome == .accepted {
            (result.isDuplicate == true ? duplicates : accepted).increment()
        } else {
            outcomes[result.outcome]?.increment()
        }
    }
}
