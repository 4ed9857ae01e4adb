/// How long to wait before another try.
package struct Backoff: Equatable, Sendable {
    package enum Jitter: String, Sendable { case none, full, equal }

    /// The wait before the second try.
    package var delay: Duration
    /// Each wait is this many times the one before; 1 keeps it fixed.
    package var factor: Double
    package var maximum: Duration
    package var jitter: Jitter

    package init(delay: Duration, factor: Double, maximum: Duration, jitter: Jitter) {
        self.delay = delay
        self.factor = factor
        self.maximum = maximum
        self.jitter = jitter
    }

    /// The wait after `failures` failed tries (1 for the first). Full jitter draws from 0 to the wait, equal jitter from its
    /// upper half (Brooker, "Exponential Backoff And Jitter", 2015).
    package func wait(afterFailures failures: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        var seconds = delay.seconds
        for _ in 1..<min(max(failures, 1), 10_000) where seconds < maximum.seconds { seconds *= factor }
        seconds = min(seconds, maximum.seconds)
        guard seconds > 0 else { return .zero }
        let drawn =
            switch jitter {
            case .none: seconds
            case .full: Double.random(in: 0...seconds, using: &generator)
            case .equal: Double.random(in: seconds / 2...seconds, using: &generator)
            }
        return .nanoseconds(Int64(min(drawn * 1e9, 9e18)))
    }
}
