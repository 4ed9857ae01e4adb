import Cluster
import Observability
import Primitives
import Synchronization

/// Asks the leader, for many at once, from which entry on a read sees all that was acknowledged before (ReadIndex): whoever asks while a round is under way shares the
/// next one with all that do.
final class ReadRounds: Sendable {
    private enum Turn: Sendable {
        case confirmed(LogIndex?)
        /// Whose turn it is makes the round, for the others of it too.
        case leads
    }

    private struct State {
        var isRunning = false
        /// Of the round that runs.
        var company: [CheckedContinuation<Turn, Never>] = []
        /// Of the one after it.
        var next: [CheckedContinuation<Turn, Never>] = []
    }

    /// For one round; whoever needs longer asks again.
    private static let patience = Duration.seconds(2)

    private let raft: RaftDriver
    private let rounds: Counter
    private let state = Mutex(State())

    init(_ raft: RaftDriver, _ metrics: MetricsRegistry) {
        self.raft = raft
        rounds = metrics.counter(
            "distric_intake_read_rounds_total", "Rounds by which it was confirmed which catalog is in force, each for many messages.")
    }

    /// Nil when nobody has confirmed it in time.
    func index() async -> LogIndex? {
        let turn = await withCheckedContinuation { (continuation: CheckedContinuation<Turn, Never>) in
            let leads = state.withLock { state -> Bool in
                guard state.isRunning else {
                    state.isRunning = true
                    return true
                }
                state.next.append(continuation)
                return false
            }
            if leads { continuation.resume(returning: Turn.leads) }
        }
        if case .confirmed(let index) = turn { return index }
        rounds.increment()
        let index = await raft.readIndex(within: Self.patience)
        let (company, successor) = state.withLock { state -> ([CheckedContinuation<Turn, Never>], CheckedContinuation<Turn, Never>?) in
            let company = state.company
            (state.company, state.next) = (Array(state.next.dropFirst()), Array(state.next.prefix(1)))
            let successor = state.next.popLast()
            state.isRunning = successor != nil
            return (company, successor)
        }
        for waiting in company { waiting.resume(returning: .confirmed(index)) }
        successor?.resume(returning: .leads)
        return index
    }
}
