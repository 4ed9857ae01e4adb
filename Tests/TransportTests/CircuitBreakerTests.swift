import Primitives
import Testing

@testable import Transport

/// Whether a peer is tried (CircuitBreaker.swift).
struct CircuitBreakerTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// When an open breaker lets one through.
    private func end(_ breaker: CircuitBreaker) -> Instant? {
        if case .open(let until, _) = breaker.state { until } else { nil }
    }

    @Test func `it opens after so many failures in a row`() {
        var generator = SeededGenerator(seed: 1)
        var breaker = CircuitBreaker(limit: 3)
        for _ in 0..<2 {
            breaker.failed(at(0), using: &generator)
            let until = breaker.admit(at(0))
            #expect(until == nil)
        }
        #expect(breaker.state == .closed(failures: 2))
        breaker.failed(at(0), using: &generator)
        #expect(breaker.state.word == "open")
        let until = breaker.admit(at(1))
        #expect(until != nil)
    }

    @Test func `a success begins the count anew`() {
        var generator = SeededGenerator(seed: 1)
        var breaker = CircuitBreaker(limit: 2)
        for _ in 0..<10 {
            breaker.failed(at(0), using: &generator)
            breaker.succeeded()
        }
        #expect(breaker.state == .closed(failures: 0))
    }

    @Test func `when its time is over it lets one through, and that one decides`() throws {
        var generator = SeededGenerator(seed: 2)
        var breaker = CircuitBreaker(limit: 1)
        breaker.failed(at(0), using: &generator)
        let until = try #require(end(breaker))
        let early = breaker.admit(Instant(nanoseconds: until.nanoseconds - 1))
        #expect(early == until)
        let due = breaker.admit(until)
        #expect(due == nil)
        #expect(breaker.state.word == "half-open")
        let second = breaker.admit(until)
        #expect(second == until)
        var failing = breaker
        failing.failed(until, using: &generator)
        #expect(failing.state.word == "open")
        breaker.succeeded()
        #expect(breaker.state == .closed(failures: 0))
        let free = breaker.admit(until)
        #expect(free == nil)
    }

    @Test func `each time it stays open twice as long, ten seconds at most`() throws {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var breaker = CircuitBreaker(limit: 5)
            var now = at(0)
            for _ in 0..<5 { breaker.failed(now, using: &generator) }
            var whole: Int64 = 200
            for _ in 0..<12 {
                let until = try #require(end(breaker))
                let open = until.duration(since: now)
                #expect(open >= .milliseconds(whole / 2), "seed \(seed)")
                #expect(open <= .milliseconds(whole), "seed \(seed)")
                now = until
                let due = breaker.admit(now)
                #expect(due == nil)
                breaker.failed(now, using: &generator)
                whole = min(whole * 2, 10_000)
            }
        }
    }

    @Test func `failures while it is open do not keep it open`() {
        var generator = SeededGenerator(seed: 3)
        var breaker = CircuitBreaker(limit: 1)
        breaker.failed(at(0), using: &generator)
        let before = breaker
        for time in 1..<50 as Range<Int64> { breaker.failed(at(time), using: &generator) }
        #expect(breaker == before)
    }
}
