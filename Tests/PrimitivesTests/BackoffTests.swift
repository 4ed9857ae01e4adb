import Testing

@testable import Primitives

/// Brooker, "Exponential Backoff And Jitter", 2015.
struct BackoffTests {
    @Test func `without jitter each wait is the factor times the one before, up to the maximum`() {
        var generator = SeededGenerator(seed: 1)
        let backoff = Backoff(delay: .seconds(1), factor: 2, maximum: .seconds(10), jitter: .none)
        let waits = [0, 1, 2, 3, 4, 5, 6, 100].map { backoff.wait(afterFailures: $0, using: &generator) }
        let expected = [1, 1, 2, 4, 8, 10, 10, 10].map { Duration.seconds($0) }
        #expect(waits == expected)
    }

    @Test func `factor 1 keeps the wait fixed, and a delay above the maximum is cut to it`() {
        var generator = SeededGenerator(seed: 1)
        let fixed = Backoff(delay: .seconds(3), factor: 1, maximum: .seconds(60), jitter: .none)
        let waits = (1...5).map { fixed.wait(afterFailures: $0, using: &generator) }
        #expect(waits == Array(repeating: Duration.seconds(3), count: 5))
        let cut = Backoff(delay: .seconds(90), factor: 2, maximum: .seconds(60), jitter: .none)
        let first = cut.wait(afterFailures: 1, using: &generator)
        #expect(first == Duration.seconds(60))
    }

    @Test(arguments: [Backoff.Jitter.full, .equal])
    func `jitter draws within its bounds and uses them`(jitter: Backoff.Jitter) {
        let seed: UInt64 = 2015
        var generator = SeededGenerator(seed: seed)
        let backoff = Backoff(delay: .seconds(1), factor: 2, maximum: .seconds(8), jitter: jitter)
        for (failures, whole) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (9, 8.0)] {
            let waits = (0..<500).map { _ in backoff.wait(afterFailures: failures, using: &generator).seconds }
            let low = jitter == .full ? 0 : whole / 2
            #expect(waits.allSatisfy { $0 >= low && $0 <= whole }, "seed \(seed), \(failures) failures")
            #expect(waits.contains { $0 < low + (whole - low) / 8 }, "seed \(seed), \(failures) failures")
            #expect(waits.contains { $0 > whole - (whole - low) / 8 }, "seed \(seed), \(failures) failures")
        }
    }

    @Test(arguments: [Backoff.Jitter.none, .full, .equal])
    func `no delay is no wait`(jitter: Backoff.Jitter) {
        var generator = SeededGenerator(seed: 1)
        let backoff = Backoff(delay: .zero, factor: 2, maximum: .seconds(8), jitter: jitter)
        let wait = backoff.wait(afterFailures: 5, using: &generator)
        #expect(wait == Duration.zero)
    }

    @Test func `one seed gives one row of waits`() {
        let backoff = Backoff(delay: .milliseconds(100), factor: 1.5, maximum: .seconds(5), jitter: .full)
        func row(_ seed: UInt64) -> [Duration] {
            var generator = SeededGenerator(seed: seed)
            return (1...20).map { backoff.wait(afterFailures: $0, using: &generator) }
        }
        #expect(row(4) == row(4))
        #expect(row(4) != row(5))
    }
}
