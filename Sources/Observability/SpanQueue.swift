import DequeModule
import Synchronization

/// Spans that wait to be sent to a collector. Bounded: what comes when it is full is dropped, counted.
package final class SpanQueue: Sendable {
    private struct State {
        var spans: Deque<Span> = []
    }

    package let limit: Int
    private let state = Mutex(State())
    package let dropped = Counter()

    package init(limit: Int) { self.limit = limit }

    func offer(_ span: Span) {
        let isTaken = state.withLock { state in
            guard state.spans.count < limit else { return false }
            state.spans.append(span)
            return true
        }
        if !isTaken { dropped.increment() }
    }

    /// The oldest, at most so many.
    package func take(_ count: Int) -> [Span] {
        state.withLock { state in
            let taken = Array(state.spans.prefix(count))
            state.spans.removeFirst(taken.count)
            return taken
        }
    }

    package var count: Int { state.withLock { $0.spans.count } }
    /// The one that has waited longest.
    package var oldest: Span? { state.withLock { $0.spans.first } }
}
