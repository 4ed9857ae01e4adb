package import Primitives

/// Whether a failed call is made again: only one that may be, within its deadline, and only as long as most calls succeed. Each call adds a
/// share of a try, each retry takes a whole one, so that a cluster in trouble does not get many times its load (Google SRE book, chapter 22).
package struct RetryBudget: Equatable, Sendable {
    /// Tries of one call at most.
    package var attempts = 4
    /// Thousandths of a retry for each call.
    package var share = 100
    /// Retries that may come at once after a quiet time, in thousandths.
    package var most = 10_000
    package var backoff = Backoff(delay: .milliseconds(20), factor: 2, maximum: .seconds(2), jitter: .full)
    private var left = 10_000

    package init() {}

    package mutating func noteCall() { left = min(most, left + share) }

    /// How long to wait before the next try; nil when there is none.
    ///
    /// - Parameters:
    ///   - mayRepeat: the call is idempotent.
    ///   - failures: how often it has failed.
    package mutating func wait(
        after error: CallError, mayRepeat: Bool, failures: Int, deadline: Instant?, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) -> Duration? {
        // What certainly was not done may be done: only an uncertain end asks whether twice is harmless.
        guard error.isRetryable, mayRepeat || !error.isUncertain, failures < attempts, left >= 1000 else { return nil }
        let wait = max(backoff.wait(afterFailures: failures, using: &generator), error.retryAfter ?? .zero)
        if let deadline, now.advanced(by: wait) >= deadline { return nil }
        left -= 1000
        return wait
    }
}
