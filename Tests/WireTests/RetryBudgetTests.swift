import Primitives
import Testing

@testable import Wire

/// Which calls are made again, and when (RetryBudget.swift; Google SRE book, chapter 22).
struct RetryBudgetTests {
    private let busy = CallError(.busy, "later")

    private func steady() -> RetryBudget {
        var budget = RetryBudget()
        budget.backoff.jitter = .none
        return budget
    }

    private func wait(
        _ budget: inout RetryBudget, _ error: CallError, mayRepeat: Bool = true, failures: Int = 1, deadline: Int64? = nil
    ) -> Duration? {
        var generator = SeededGenerator(seed: 1)
        return budget.wait(
            after: error, mayRepeat: mayRepeat, failures: failures,
            deadline: deadline.map { Instant(nanoseconds: $0) }, now: Instant(nanoseconds: 0), using: &generator)
    }

    @Test func `what may have been done is repeated only when twice is harmless`() {
        var budget = steady()
        let uncertain = CallError(.unavailable, "it went away", isUncertain: true)
        let certain = CallError(.unavailable, "it cannot be reached")
        let harmful = wait(&budget, uncertain, mayRepeat: false)
        let harmless = wait(&budget, uncertain, mayRepeat: true)
        let neverDone = wait(&budget, certain, mayRepeat: false)
        #expect(harmful == nil)
        #expect(harmless == .milliseconds(20))
        #expect(neverDone == .milliseconds(20))
    }

    @Test func `what cannot fare better is not repeated`() {
        for code in CallError.Code.allCases {
            var budget = steady()
            let repeated = wait(&budget, CallError(code, ""))
            #expect((repeated != nil) == code.isRetryable, "\(code)")
        }
        var budget = steady()
        let said = wait(&budget, CallError(.internal, "", isRetryable: true))
        let denied = wait(&budget, CallError(.busy, "", isRetryable: false))
        #expect(said != nil)
        #expect(denied == nil)
    }

    @Test func `a call is tried 4 times, with longer and longer waits`() {
        var budget = steady()
        let waits = (1...6).map { wait(&budget, busy, failures: $0) }
        let expected: [Duration?] = [.milliseconds(20), .milliseconds(40), .milliseconds(80), nil, nil, nil]
        #expect(waits == expected)
    }

    @Test func `the budget runs dry and refills with calls`() {
        var budget = steady()
        let first = (0..<20).map { _ in wait(&budget, busy) != nil }
        #expect(first.filter { $0 }.count == 10)
        #expect(first.prefix(10).allSatisfy { $0 })
        for _ in 0..<5 { budget.noteCall() }
        let early = wait(&budget, busy)
        #expect(early == nil)
        for _ in 0..<10 { budget.noteCall() }
        let later = wait(&budget, busy)
        let then = wait(&budget, busy)
        #expect(later != nil)
        #expect(then == nil)
    }

    @Test func `while all calls fail, one in ten is repeated`() {
        var budget = steady()
        var retries = 0
        for _ in 0..<1_000 {
            budget.noteCall()
            for failures in 1...3 where wait(&budget, busy, failures: failures) != nil { retries += 1 }
        }
        #expect((100...111).contains(retries), "\(retries)")
    }

    @Test func `a quiet time saves no more than so many`() {
        var budget = steady()
        for _ in 0..<10_000 { budget.noteCall() }
        let allowed = (0..<50).filter { _ in wait(&budget, busy) != nil }
        #expect(allowed.count == 10)
    }

    @Test func `nothing is repeated at or after the deadline, and costs nothing then`() {
        var budget = steady()
        let before = budget
        let at = wait(&budget, busy, deadline: 20_000_000)
        let past = wait(&budget, busy, deadline: -1)
        #expect(at == nil)
        #expect(past == nil)
        #expect(budget == before)
        let inTime = wait(&budget, busy, deadline: 20_000_001)
        #expect(inTime == .milliseconds(20))
        #expect(budget != before)
    }

    @Test func `what was refused costs nothing`() {
        var budget = steady()
        let before = budget
        _ = wait(&budget, CallError(.denied, ""))
        _ = wait(&budget, busy, failures: 4)
        _ = wait(&budget, CallError(.unavailable, "", isUncertain: true), mayRepeat: false)
        #expect(budget == before)
    }

    @Test func `who says when to come again is heard`() {
        var budget = steady()
        let told = CallError(.busy, "in a second", retryAfter: .seconds(1))
        let hint = wait(&budget, told)
        #expect(hint == .seconds(1))
        let short = wait(&budget, CallError(.busy, "at once", retryAfter: .milliseconds(1)))
        #expect(short == .milliseconds(20))
        let late = wait(&budget, told, deadline: 500_000_000)
        #expect(late == nil)
    }

    @Test func `waits are drawn from nothing to the whole`() {
        let seed: UInt64 = 501
        var generator = SeededGenerator(seed: seed)
        var waits: Set<Duration> = []
        for _ in 0..<200 {
            var budget = RetryBudget()
            let wait = budget.wait(
                after: busy, mayRepeat: true, failures: 2, deadline: nil, now: Instant(nanoseconds: 0), using: &generator)
            guard let wait else {
                Issue.record("seed \(seed)")
                continue
            }
            #expect(wait >= .zero && wait <= .milliseconds(40), "seed \(seed)")
            waits.insert(wait)
        }
        #expect(waits.count > 100, "seed \(seed)")
    }
}
