import Primitives
import Testing

@testable import SWIM

/// Lifeguard (Dadgar, Phillips and Currey 2017), section IV.
struct LifeguardTests {
    // MARK: IV-A, self-awareness

    @Test func `local health falls with what speaks against oneself, and stays within its bounds`() {
        var health = LocalHealth(limit: 8)
        #expect(health.multiplier == 1)
        health.note(.probeAnswered)
        #expect(health.score == 0)
        health.note(.probeFailed)
        health.note(.accused)
        health.note(.stoodStill)
        #expect(health.multiplier == 4)
        health.note(.nacksMissed(3))
        #expect(health.score == 6)
        health.note(.nacksMissed(3))
        #expect(health.multiplier == 8)
        health.note(.probeAnswered)
        #expect(health.score == 6)
        var off = LocalHealth(limit: 1)
        off.note(.probeFailed)
        #expect(off.multiplier == 1)
    }

    @Test func `helpers that say that they had no answer clear whoever asked them`() throws {
        var bench = try Bench(members: 2...9)
        for isAnswered in [true, false] {
            bench = try Bench(members: 2...9)
            _ = try bench.nextPing()
            bench.pass(.milliseconds(500))
            #expect(bench.requests.count == 3)
            for request in bench.requests where isAnswered {
                let number = try #require(Int(request.to.dropFirst().prefix { $0 != ":" }))
                bench.receive(.nack(.init(sequence: request.request.sequence, from: identity(number))), from: number)
            }
            bench.pass(.milliseconds(500))
            #expect(bench.core.localHealth.score == (isAnswered ? 0 : 3))
            #expect(bench.core.counts.suspicions == 1)
        }
    }

    @Test func `who has reason to blame itself probes more slowly and waits longer`() throws {
        var bench = try Bench(members: 2...9)
        bench.core.localHealth.note(.nacksMissed(2))
        _ = try bench.nextPing()
        bench.pass(.milliseconds(1_499))
        #expect(bench.requests.isEmpty)
        bench.pass(.milliseconds(1))
        #expect(bench.requests.count == 3)
        #expect(bench.core.counts.probes == 1)
        bench.pass(.milliseconds(1_499))
        #expect(bench.core.counts.suspicions == 0)
        bench.pass(.milliseconds(1))
        #expect(bench.core.counts.suspicions == 1)
    }

    @Test func `being accused is a reason to blame oneself`() throws {
        var bench = try Bench(members: 2...9)
        bench.hear([suspect(1, by: 2)])
        #expect(bench.core.localHealth.score == 1)
    }

    // MARK: IV-B, suspicion

    /// max − (max − min) · log(C+1) / log(K+1)
    @Test(arguments: [(0, 60.0), (1, 35.0), (2, 20.37), (3, 10.0)])
    func `a suspicion is the shorter, the more confirm it`(confirmations: Int, seconds: Double) {
        let range = Duration.seconds(10)...(.seconds(60))
        var suspicion = Suspicion(by: node(1), lasting: range, wanted: 3, now: Instant(nanoseconds: 0))
        let taken = (0..<confirmations).map { suspicion.confirm(by: node($0 + 2)) }
        #expect(!taken.contains(false))
        #expect(abs(Double(suspicion.deadline.nanoseconds) / 1e9 - seconds) < 0.01)
    }

    @Test func `the same member confirms once, and more than are wanted add nothing`() {
        let range = Duration.seconds(10)...(.seconds(60))
        var suspicion = Suspicion(by: node(1), lasting: range, wanted: 2, now: Instant(nanoseconds: 0))
        let taken = [1, 2, 2, 3, 4].map { suspicion.confirm(by: node($0)) }
        #expect(taken == [false, true, false, true, false])
        #expect(suspicion.accusers == [node(1), node(2), node(3)])
        #expect(suspicion.deadline == Instant(nanoseconds: 10_000_000_000))
    }

    @Test func `where nobody else could confirm it, a suspicion is short at once`() {
        let range = Duration.seconds(10)...(.seconds(60))
        let suspicion = Suspicion(by: node(1), lasting: range, wanted: 0, now: Instant(nanoseconds: 0))
        #expect(suspicion.deadline == Instant(nanoseconds: 10_000_000_000))
    }

    @Test(arguments: [(1, 4.0), (10, 4.0), (100, 8.0), (1_000, 12.0)])
    func `the shortest suspicion is α·log10(N) periods, the longest β times that`(members: Int, seconds: Double) {
        let range = SWIMSettings().suspicion(among: members)
        #expect(abs(range.lowerBound.seconds - seconds) < 1e-6)
        #expect(range.upperBound == range.lowerBound * 6)
    }

    @Test func `confirmations are told on, and each shortens the wait`() throws {
        var bench = try Bench(members: 2...9)
        bench.hear([suspect(9, by: 2)])
        #expect(bench.core.member(node(9))?.suspicionDeadline == bench.now.advanced(by: .seconds(24)))
        bench.forgetNews()
        bench.hear([suspect(9, by: 2)])
        #expect(bench.core.pendingNews == 0)
        bench.hear([suspect(9, by: 3)])
        #expect(bench.core.pendingNews == 1)
        #expect(bench.output.changes == [.suspected(identity(9), by: node(3))])
        bench.hear([suspect(9, by: 4)])
        #expect(bench.core.member(node(9))?.suspicionDeadline == bench.now.advanced(by: .seconds(4)))
        #expect(bench.core.member(node(9))?.accusers == [node(2), node(3), node(4)])
    }

    @Test func `names that nobody knows, and dead ones, confirm nothing`() throws {
        var bench = try Bench(members: 2...9)
        bench.hear([dead(8), suspect(9, by: 2), suspect(9, by: 8), suspect(9, by: 70), suspect(9, by: 71)])
        #expect(bench.core.member(node(9))?.accusers == [node(2)])
    }

    @Test func `whoever probes a suspect in vain confirms the suspicion`() throws {
        var bench = try Bench(members: 2...4)
        bench.hear([suspect(3, by: 2)])
        for _ in 0..<8 where bench.core.member(node(3))?.accusers.count == 1 {
            let ping = try bench.nextPing()
            if ping.ping.target.node != node(3) { try bench.answer(ping.ping) }
            bench.pass(.seconds(1))
        }
        #expect(bench.core.member(node(3))?.accusers == [node(2), node(1)])
    }

    // MARK: IV-C, buddy system

    @Test func `a suspect is told with the next ping to it, however often it was told`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([suspect(2, by: 1)])
        bench.forgetNews()
        let ping = try bench.nextPing()
        #expect(ping.ping.news == [suspect(2, by: 1)])
    }

    // MARK: Standing still

    @Test func `whoever stood still blames nobody for the time in between`() throws {
        var bench = try Bench(members: 2...9)
        let ping = try bench.nextPing()
        bench.hear([suspect(9, by: 2)])
        bench.output.clear()
        let deadline = try #require(bench.core.member(node(9))?.suspicionDeadline)
        let expected = bench.core.nextDeadline
        bench.now = expected.advanced(by: .seconds(60))
        bench.handle(.tick)
        #expect(bench.core.counts.standstills == 1)
        #expect(bench.core.counts.probesFailed == 0)
        #expect(bench.core.member(ping.ping.target.node)?.liveness != .dead)
        #expect(bench.output.changes.isEmpty)
        #expect(bench.core.member(node(9))?.suspicionDeadline == deadline.advanced(by: .seconds(60)))
        #expect(bench.core.localHealth.score == 1)
    }

    @Test func `that is so too where a message is heard before the tick`() throws {
        var bench = try Bench(members: 2...9)
        _ = try bench.nextPing()
        bench.now = bench.now.advanced(by: .seconds(60))
        bench.hear([alive(2)])
        #expect(bench.core.counts.standstills == 1)
        bench.handle(.tick)
        #expect(bench.core.counts.standstills == 1)
        #expect(bench.core.counts.probesFailed == 0)
    }

    @Test func `a long quiet is no standstill`() throws {
        var bench = try Bench(members: 2...9)
        for _ in 0..<100 {
            let ping = try bench.nextPing()
            try bench.answer(ping.ping)
        }
        bench.hear([alive(2, 1), suspect(3, by: 4), suspect(3, by: 5), suspect(3, by: 6)])
        bench.pass(.seconds(30))
        #expect(bench.core.counts.standstills == 0)
    }
}
