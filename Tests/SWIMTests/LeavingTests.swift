import Primitives
import Testing

@testable import SWIM

/// A member that goes says so first.
struct LeavingTests {
    @Test func `a member that leaves tells it often enough before it stops`() throws {
        var bench = try Bench(members: 2...9)
        bench.handle(.leave)
        #expect(!bench.output.hasLeft)
        bench.pass(.seconds(1))
        #expect(bench.output.hasLeft)
        #expect(bench.core.phase == .left)
        #expect(bench.told.count { $0 == left(1) } == 4)
        #expect(bench.core.nextDeadline == Instant(nanoseconds: .max))
    }

    @Test func `while it leaves it probes nobody, and answers`() throws {
        var bench = try Bench(members: 2...9)
        bench.handle(.leave)
        bench.receive(.ping(.init(sequence: 1, from: identity(2), target: identity(1))), from: 2)
        #expect(bench.acks.count == 1)
        bench.pass(.seconds(3))
        #expect(bench.pings.isEmpty)
    }

    @Test func `who is alone leaves at once, and who left does nothing more`() throws {
        var bench = try Bench()
        bench.handle(.leave)
        #expect(bench.take().hasLeft)
        bench.handle(.join(seeds: ["a:1"]))
        bench.hear([suspect(1, by: 2)])
        bench.handle(.tick)
        #expect(bench.output == SWIMOutput())
        bench.handle(.pushPull(id: 3, .init(from: identity(2), members: [])))
        #expect(bench.output.answers == [.init(id: 3, message: .init(from: identity(1), members: []))])
    }

    @Test func `it does not wait for ever`() throws {
        var bench = try Bench(members: 2...300) { $0.retransmitFactor = 16 }
        // There is always something newer to tell.
        bench.handle(.leave)
        for step in 1...60 {
            bench.hear((2...300).map { alive($0, UInt64(step)) })
            bench.pass(.milliseconds(100))
        }
        #expect(bench.output.hasLeft)
    }

    @Test func `that one left outweighs that it is dead, so that views agree`() throws {
        for rumours in [[dead(2), left(2)], [left(2), dead(2)]] {
            var bench = try Bench(members: 2...3)
            bench.hear(rumours)
            #expect(bench.liveness(2) == .left)
        }
    }

    @Test func `who left comes back with its next start`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([left(2)])
        bench.hear([alive(2)])
        #expect(bench.liveness(2) == .left)
        bench.output.clear()
        bench.hear([alive(2, epoch: 2)])
        #expect(bench.output.changes == [.joined(identity(2, epoch: 2))])
    }

    // MARK: Forgetting

    @Test func `the dead and those who left are shown for a while, and old news does not raise them`() throws {
        var bench = try Bench(members: 2...4)
        bench.hear([dead(2), left(3)])
        bench.pass(.seconds(3_500))
        #expect(bench.liveness(3) == .left)
        bench.pass(.seconds(200))
        #expect(bench.liveness(3) == nil)
        #expect(bench.liveness(2) == .dead)
        bench.hear([alive(3)])
        #expect(bench.liveness(3) == nil)
        bench.pass(.seconds(23 * 3_600))
        #expect(bench.liveness(2) == nil)
        #expect(bench.output.changes.contains(.forgotten(identity(2))))
        bench.hear([suspect(2, by: 4), alive(2), dead(2)])
        #expect(bench.liveness(2) == nil)
        bench.hear([alive(2, 1)])
        #expect(bench.liveness(2) == .alive)
    }

    @Test func `who was forgotten as dead and pings hears what is said of it`() throws {
        var bench = try Bench(members: 2...2)
        bench.handle(.exchanged(.init(from: identity(2), members: [dead(3, 6)])))
        bench.receive(.ping(.init(sequence: 1, from: identity(3), target: identity(1))), from: 3)
        #expect(bench.acks.first?.ack.news.map(\.precedence) == [dead(3, 6).precedence])
        bench.handle(.pushPull(id: 1, .init(from: identity(3), members: [alive(3, 2)])))
        #expect(bench.output.answers.first?.message.members.last?.precedence == dead(3, 6).precedence)
        #expect(bench.liveness(3) == nil)
    }

    @Test func `what is remembered of the forgotten is bounded, and lapses`() {
        var stones = Tombstones(limit: 3)
        let precedence = dead(1).precedence
        let dropped = [(1, 1), (2, 2), (3, 3), (1, 9), (4, 10)].map { number, until in
            stones.put(node(number), precedence, until: Instant(nanoseconds: until))
        }
        #expect(dropped == [false, false, false, false, true])
        #expect(stones.count == 3)
        // The oldest, which is not the one that came first.
        #expect(stones[node(2)] == nil)
        #expect(stones.cover(alive(1).precedence, of: node(1)))
        #expect(!stones.cover(alive(1, 1).precedence, of: node(1)))
        stones.expire(Instant(nanoseconds: 9))
        #expect(stones.count == 1)
        #expect(stones[node(4)] != nil)
        for _ in 0..<10_000 { _ = stones.put(node(4), precedence, until: Instant(nanoseconds: 20)) }
        stones.expire(Instant(nanoseconds: 20))
        #expect(stones.count == 0)
    }
}
