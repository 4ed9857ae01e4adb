import Primitives
import Testing

@testable import SWIM

/// SWIM section 4.2: suspicion, and how it is refuted.
struct Section4_2Tests {
    static let states: [Rumour] = [0, 1].flatMap { incarnation in
        [alive(3, incarnation), suspect(3, incarnation, by: 2), dead(3, incarnation), left(3, incarnation)]
    }

    /// Invariant G2
    @Test(arguments: states, states)
    func `of two beliefs the one of higher precedence stays, in whatever order they come`(first: Rumour, second: Rumour) throws {
        var bench = try Bench(members: 2...3)
        bench.hear([first])
        bench.hear([second])
        let expected = max(first.precedence, second.precedence)
        #expect(bench.core.table[node(3)]?.precedence == expected)
    }

    @Test func `suspicion becomes death at its deadline, and not before`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([suspect(2, by: 1)])
        let deadline = try #require(bench.core.member(node(2))?.suspicionDeadline)
        #expect(deadline == bench.now.advanced(by: .seconds(4)))
        bench.pass(.nanoseconds(deadline.duration(since: bench.now).nanoseconds - 1))
        #expect(bench.liveness(2) == .suspect)
        bench.output.clear()
        bench.pass(.nanoseconds(1))
        #expect(bench.liveness(2) == .dead)
        #expect(bench.output.changes == [.failed(identity(2), suspectedBy: [node(1)])])
        #expect(bench.core.counts.failuresDetected == 1)
    }

    @Test func `who is suspected refutes it by a higher incarnation, and spreads that`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([suspect(1, 0, by: 3)])
        #expect(bench.core.incarnation == Incarnation(1))
        #expect(bench.output.changes == [.accused(.suspect, by: node(3))])
        bench.pass(.milliseconds(1))
        #expect(bench.told.contains { $0.identity.node == node(1) && $0.liveness == .alive && $0.incarnation == Incarnation(1) })
        // What was refuted is refuted.
        bench.hear([suspect(1, 0, by: 2)])
        #expect(bench.core.incarnation == Incarnation(1))
        #expect(bench.core.counts.refutations == 1)
    }

    @Test(arguments: [dead(1, 7), left(1, 7), suspect(1, 7, by: 2)])
    func `whatever is said of oneself is refuted above it`(rumour: Rumour) throws {
        var bench = try Bench(members: 2...3)
        bench.hear([rumour])
        #expect(bench.core.incarnation == Incarnation(8))
        #expect(bench.liveness(1) == .alive)
    }

    @Test func `a higher incarnation ends a suspicion`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([suspect(3, by: 2)])
        bench.output.clear()
        bench.hear([alive(3, 1)])
        #expect(bench.liveness(3) == .alive)
        #expect(bench.output.changes == [.refuted(identity(3))])
        #expect(bench.core.suspicionDue == nil)
    }

    /// Invariant G1
    @Test func `the dead are raised by a higher incarnation or a later start, and by nothing else`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([dead(3, 4)])
        #expect(bench.liveness(3) == .dead)
        bench.hear([alive(3, 4), alive(3, 3), suspect(3, 4, by: 2)])
        #expect(bench.liveness(3) == .dead)
        bench.output.clear()
        bench.hear([alive(3, 5)])
        #expect(bench.liveness(3) == .alive)
        #expect(bench.output.changes == [.joined(identity(3))])
        bench.hear([dead(3, 5)])
        bench.hear([alive(3, 0, epoch: 2)])
        #expect(bench.liveness(3) == .alive)
    }

    /// Invariant G1
    @Test func `nobody raises the incarnation of another`() throws {
        var bench = try Bench(members: 2...2)
        let ping = try bench.nextPing()
        bench.pass(.seconds(1))
        #expect(ping.ping.target.node == node(2))
        #expect(bench.core.member(node(2))?.incarnation == .zero)
        bench.pass(.seconds(60))
        #expect(bench.core.member(node(2))?.incarnation == .zero)
        #expect(bench.liveness(2) == .dead)
    }

    @Test func `a later start takes the place of an earlier one, whose news is old from then on`() throws {
        var bench = try Bench(members: 2...3)
        bench.output.clear()
        bench.hear([alive(3, 0, epoch: 8)])
        #expect(bench.output.changes == [.restarted(identity(3, epoch: 8), formerEpoch: 1)])
        bench.hear([dead(3, 900, epoch: 1), suspect(3, 900, epoch: 7, by: 2)])
        #expect(bench.liveness(3) == .alive)
        #expect(bench.core.member(node(3))?.identity.epoch == 8)
    }

    @Test func `the dead are told so for a while, and nothing else`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([dead(3)])
        func pass(_ seconds: Int) throws -> [SWIMOutput.Datagram] {
            var sent: [SWIMOutput.Datagram] = []
            for _ in 0..<seconds * 10 {
                bench.pass(.milliseconds(100))
                for ping in bench.pings { try bench.answer(ping.ping) }
                sent += bench.take().datagrams
            }
            return sent.filter { $0.address == gossipAddress(3) }
        }
        _ = try pass(2)
        bench.hear([alive(2, 1)])
        let toTheDead = try pass(20)
        #expect(toTheDead.count >= 19)
        #expect(toTheDead.allSatisfy { $0.message.news.map(\.precedence) == [dead(3).precedence] })
        _ = try pass(10)
        #expect(try pass(60).isEmpty)
    }

    @Test func `who pings and is thought dead hears of it in the answer`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([dead(3)])
        bench.forgetNews()
        bench.receive(.ping(.init(sequence: 1, from: identity(3), target: identity(1))), from: 3)
        #expect(bench.acks.first?.ack.news.map(\.precedence) == [dead(3).precedence])
    }
}
