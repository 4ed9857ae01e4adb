import Cluster
import Primitives
import Synchronization
import Wire

/// Which of the reports that wait are on their way: so that none is sent twice at once, and not too many at once.
final class ReportOutbox: Sendable {
    enum Batch: Sendable {
        case results([TaskReport])
        /// What was never taken; with the word why.
        case refusal(TaskReport, code: String)

        var reports: [TaskReport] {
            switch self {
            case .results(let reports): reports
            case .refusal(let report, _): [report]
            }
        }
    }

    private struct State {
        var sending: Set<Journal.Key> = []
        var open = 0
        var failure: CallError?
    }

    private static let batchReports = 256
    /// Of one batch; a single report may be larger.
    private static let batchBytes = 1 << 20
    /// Batches on their way at once.
    private static let openLimit = 4

    private let runner: TaskRunner
    private let state = Mutex(State())

    init(runner: TaskRunner) { self.runner = runner }

    /// The next batch; nil when nothing waits, or enough is on its way.
    func take() -> Batch? {
        let waiting = runner.waitingReports
        return state.withLock { state in
            guard state.open < Self.openLimit else { return nil }
            var (reports, bytes) = ([TaskReport](), 0)
            for report in waiting where !state.sending.contains(Journal.Key(report)) {
                if case .neverStarted = report.outcome, let code = runner.refusalCode(of: report) {
                    // Apart, and at once: its task waits for another worker.
                    return Self.begin(.refusal(report, code: code), &state)
                }
                guard reports.count < Self.batchReports, bytes < Self.batchBytes else { continue }
                reports.append(report)
                bytes += report.fieldBytes
            }
            return reports.isEmpty ? nil : Self.begin(.results(reports), &state)
        }
    }

    private static func begin(_ batch: Batch, _ state: inout State) -> Batch {
        state.open += 1
        state.sending.formUnion(batch.reports.map { Journal.Key($0) })
        return batch
    }

    /// Why nothing more goes to this leader.
    var failure: CallError? { state.withLock { $0.failure } }

    /// It was answered, or will not be.
    func done(_ batch: Batch, _ failure: CallError? = nil) {
        state.withLock { state in
            state.failure = state.failure ?? failure
            state.open -= 1
            state.sending.subtract(batch.reports.map { Journal.Key($0) })
        }
    }
}
