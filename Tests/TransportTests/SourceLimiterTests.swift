import Primitives
import Testing

@testable import Transport

/// How often each source may come (SourceLimiter.swift).
struct SourceLimiterTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func admitted(_ limiter: inout SourceLimiter, _ source: String, _ times: Int, at now: Instant) -> Int {
        var count = 0
        for _ in 0..<times where limiter.admit(source, now) { count += 1 }
        return count
    }

    @Test func `a source may come so often at once, then as it earns it`() {
        var limiter = SourceLimiter(perSecond: 10, burst: 5)
        let first = admitted(&limiter, "a", 20, at: at(5000))
        #expect(first == 5)
        let early = admitted(&limiter, "a", 5, at: at(5099))
        #expect(early == 0)
        let one = admitted(&limiter, "a", 5, at: at(5101))
        #expect(one == 1)
        let later = admitted(&limiter, "a", 50, at: at(5401))
        #expect(later == 3)
        let long = admitted(&limiter, "a", 50, at: at(1_000_000))
        #expect(long == 5)
    }

    @Test func `a source is not held back by another`() {
        var limiter = SourceLimiter(perSecond: 1, burst: 2)
        let first = admitted(&limiter, "a", 100, at: at(5000))
        let second = admitted(&limiter, "b", 100, at: at(5000))
        #expect(first == 2)
        #expect(second == 2)
        #expect(limiter.sources == 2)
    }

    @Test func `a clock that falls gives nothing`() {
        var limiter = SourceLimiter(perSecond: 1000, burst: 1)
        let first = admitted(&limiter, "a", 2, at: at(5000))
        let before = admitted(&limiter, "a", 2, at: at(1000))
        #expect(first == 1)
        #expect(before == 0)
    }

    @Test func `sources beyond the limit share one allowance`() {
        var limiter = SourceLimiter(perSecond: 0.001, burst: 2, sourceLimit: 3)
        for source in ["a", "b", "c"] {
            let count = admitted(&limiter, source, 3, at: at(5000))
            #expect(count == 2)
        }
        var more = 0
        for number in 0..<1000 { more += admitted(&limiter, "x\(number)", 1, at: at(5000)) }
        #expect(more == 2)
        #expect(limiter.sources <= 4)
        let known = admitted(&limiter, "a", 1, at: at(5000))
        #expect(known == 0)
    }

    @Test func `sources that have their whole allowance back are forgotten when room is needed`() {
        var limiter = SourceLimiter(perSecond: 1, burst: 2, sourceLimit: 3)
        for source in ["a", "b", "c"] { _ = admitted(&limiter, source, 2, at: at(5000)) }
        _ = admitted(&limiter, "c", 1, at: at(7500))
        let new = admitted(&limiter, "d", 3, at: at(7600))
        #expect(new == 2)
        #expect(limiter.sources == 2)
        let kept = admitted(&limiter, "c", 3, at: at(7600))
        #expect(kept == 1)
    }

    @Test func `over any time nobody gets more than was promised`() {
        let seed: UInt64 = 9
        var generator = SeededGenerator(seed: seed)
        var limiter = SourceLimiter(perSecond: 50, burst: 20, sourceLimit: 16)
        var now: Int64 = 10_000
        var counts: [String: Int] = [:]
        for _ in 0..<20_000 {
            now += Int64.random(in: 0...3, using: &generator)
            let source = "s\(Int.random(in: 0..<8, using: &generator))"
            if limiter.admit(source, at(now)) { counts[source, default: 0] += 1 }
        }
        let most = 20 + Int(Double(now - 10_000) / 1000 * 50) + 1
        for (source, count) in counts { #expect(count <= most, "seed \(seed), \(source)") }
        #expect(counts.count == 8)
    }
}
