package import Primitives

/// Whether it is worth while to connect to a peer. Closed while it answers; open after `failures` in a row, for a time that doubles; then
/// half-open: one try decides (Nygard, "Release It!", chapter 5).
package struct CircuitBreaker: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        case closed(failures: Int)
        case open(until: Instant, failures: Int)
        case halfOpen(failures: Int)

        package var word: String {
            switch self {
            case .closed: "closed"
            case .open: "open"
            case .halfOpen: "half-open"
            }
        }
    }

    /// Failures in a row that open it.
    package var limit = 5
    package var backoff = Backoff(delay: .milliseconds(200), factor: 2, maximum: .seconds(10), jitter: .equal)
    package private(set) var state = State.closed(failures: 0)

    package init(limit: Int = 5) { self.limit = limit }

    /// Whether to try now; nil: yes. Else until when not.
    package mutating func admit(_ now: Instant) -> Instant? {
        switch state {
        case .closed: return nil
        case .open(let until, let failures):
            guard now >= until else { return until }
            state = .halfOpen(failures: failures)
            return nil
        // One is trying: whoever comes meanwhile waits for what becomes of it.
        case .halfOpen: return now
        }
    }

    package mutating func succeeded() { state = .closed(failures: 0) }

    package mutating func failed(_ now: Instant, using generator: inout some RandomNumberGenerator) {
        switch state {
        case .closed(let failures):
            guard failures + 1 >= limit else { return state = .closed(failures: failures + 1) }
            open(failures + 1, now, &generator)
        case .halfOpen(let failures): open(failures + 1, now, &generator)
        case .open: break
        }
    }

    private mutating func open(_ failures: Int, _ now: Instant, _ generator: inout some RandomNumberGenerator) {
        let wait = backoff.wait(afterFailures: failures - limit + 1, using: &generator)
        state = .open(until: now.advanced(by: wait), failures: failures)
    }
}
