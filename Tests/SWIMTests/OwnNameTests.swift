import Primitives
import Testing

@testable import SWIM

/// Two processes under one node id, and what an earlier start left behind.
struct OwnNameTests {
    /// n1 somewhere else.
    func twin(epoch: UInt64, incarnation: UInt64 = 0) -> Rumour {
        Rumour(
            identity(1, epoch: epoch), incarnation: Incarnation(incarnation), .alive,
            metadata: MemberMetadata(gossip: "twin:7946", rpc: "twin:9000"))
    }

    @Test func `a later process of this node that answers stands for it, and this one stops`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([twin(epoch: 5)])
        let ping = try #require(bench.pings.first)
        #expect(ping.to == "twin:7946")
        #expect(ping.ping.target.node == node(1))
        #expect(bench.core.phase == .running)
        bench.handle(
            .message(
                .ack(.init(sequence: ping.ping.sequence, from: identity(1, epoch: 5), incarnation: .zero)), from: "twin:7946"))
        #expect(bench.core.phase == .superseded)
        #expect(bench.output.conflicts == [.superseded(by: identity(1, epoch: 5), at: "twin:7946")])
        bench.output.clear()
        bench.hear([alive(7)])
        bench.handle(.tick)
        #expect(bench.output == SWIMOutput())
    }

    /// One that n1 has made way for.
    private func superseded() throws -> Bench {
        var bench = try Bench(members: 2...3)
        bench.hear([twin(epoch: 5)])
        let ping = try #require(bench.pings.first).ping
        bench.handle(.message(.ack(.init(sequence: ping.sequence, from: identity(1, epoch: 5), incarnation: .zero)), from: "twin:7946"))
        #expect(bench.core.phase == .superseded)
        bench.output.clear()
        return bench
    }

    @Test func `a later process that answers when it is asked again goes on standing for this one`() throws {
        var bench = try superseded()
        for _ in 0..<5 {
            bench.pass(bench.core.settings.reconnectInterval)
            let ping = try #require(bench.pings.last)
            #expect(ping.to == "twin:7946" && ping.ping.target == identity(1, epoch: 5))
            bench.handle(
                .message(.ack(.init(sequence: ping.ping.sequence, from: identity(1, epoch: 5), incarnation: .zero)), from: "twin:7946"))
        }
        #expect(bench.core.phase == .superseded && bench.output.renewed == nil)
        #expect(bench.pings.count == 5 && bench.output.datagrams.count == 5)
    }

    @Test func `when the later process has ended this one takes part again, above it, and blames nobody`() throws {
        var bench = try superseded()
        bench.handle(.update(metadata(1, software: "2.0")))
        bench.pass(bench.core.settings.reconnectInterval)
        // An answer to something else, and one of an earlier start, are none.
        bench.handle(.message(.ack(.init(sequence: 1, from: identity(1, epoch: 5), incarnation: .zero)), from: "twin:7946"))
        bench.pass(.milliseconds(1_499))
        #expect(bench.core.phase == .superseded && bench.pings.count == 3)
        bench.pass(.milliseconds(1))
        let renewed = try #require(bench.output.renewed)
        #expect(bench.core.phase == .running && renewed > 5 && bench.core.identity.epoch == renewed)
        #expect(bench.core.metadata.software == "2.0")
        bench.pass(.milliseconds(400))
        #expect(bench.told.contains { $0.identity == identity(1, epoch: renewed) && $0.liveness == .alive && $0.metadata != nil })
        #expect(!bench.told.contains { $0.liveness == .dead }, "\(bench.told)")
        #expect(!bench.output.exchanges.isEmpty, "what happened meanwhile is asked for")
    }

    @Test func `where nobody answers, this process takes an epoch above what is said`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([twin(epoch: 5)])
        bench.pass(.milliseconds(1_499))
        #expect(bench.output.datagrams.count { $0.address == "twin:7946" } == 3)
        #expect(bench.core.identity.epoch == 1)
        bench.pass(.milliseconds(1))
        let renewed = try #require(bench.output.renewed)
        #expect(renewed > 5)
        #expect(bench.core.identity.epoch == renewed)
        #expect(bench.core.incarnation == .zero)
        bench.pass(.milliseconds(300))
        #expect(bench.told.contains { $0.identity == identity(1, epoch: renewed) && $0.liveness == .alive && $0.metadata != nil })
        #expect(bench.output.conflicts.isEmpty)
    }

    @Test func `an earlier start at the same address is over, whatever its clock said`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([alive(1, 3, epoch: 5)])
        #expect(bench.core.identity.epoch > 5)
        #expect(bench.pings.isEmpty)
    }

    @Test(arguments: [dead(1, 3, epoch: 5), left(1, 3, epoch: 5)])
    func `a dead later start is outranked at once`(rumour: Rumour) throws {
        var bench = try Bench(members: 2...3)
        bench.hear([rumour])
        #expect(bench.core.identity.epoch > 5)
        #expect(bench.output.renewed == bench.core.identity.epoch)
    }

    @Test func `a suspected later start may live, and is waited for`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([suspect(1, epoch: 5, by: 2)])
        #expect(bench.core.identity.epoch == 1)
    }

    @Test func `an earlier process that lives is told of once, and answered so that it stops`() throws {
        var bench = try Bench(members: 2...3, epoch: 9)
        for sequence in 1...3 {
            bench.handle(
                .message(
                    .ping(.init(sequence: UInt64(sequence), from: identity(1, epoch: 4), target: identity(1))), from: "twin:7946"))
        }
        #expect(bench.output.conflicts == [.twin(identity(1, epoch: 4), at: "twin:7946")])
        #expect(bench.acks.map(\.to) == ["twin:7946", "twin:7946", "twin:7946"])
        #expect(bench.acks.allSatisfy { $0.ack.from == identity(1, epoch: 9) })
    }

    @Test func `what is said of an earlier start is of no interest`() throws {
        var bench = try Bench(members: 2...3, epoch: 9)
        bench.hear([dead(1, 800, epoch: 8), suspect(1, epoch: 3, by: 2), twin(epoch: 8, incarnation: 1)])
        #expect(bench.core.identity == identity(1, epoch: 9))
        #expect(bench.core.incarnation == .zero)
        #expect(bench.output == SWIMOutput())
    }

    @Test func `two with the same epoch end with different ones`() throws {
        var bench = try Bench(members: 2...3, epoch: 9)
        bench.hear([twin(epoch: 9)])
        #expect(bench.pings.map(\.to) == ["twin:7946"])
        // The twin takes the question for its own echo.
        bench.pass(.milliseconds(1_500))
        #expect(bench.core.identity.epoch > 9)
    }

    @Test func `its own echo is nothing to it`() throws {
        var bench = try Bench(members: 2...3)
        bench.handle(.message(.ping(.init(sequence: 1, from: identity(1), target: identity(1))), from: "echo:1"))
        bench.hear([alive(1)])
        #expect(bench.output == SWIMOutput())
    }

    @Test func `where there is no epoch above, that is told, and nothing is changed`() throws {
        var bench = try Bench(members: 2...3)
        let claimed = identity(1, epoch: MemberIdentity.highestEpoch)
        bench.hear([Rumour(claimed, incarnation: .zero, .dead, accuser: node(2))])
        #expect(bench.output.conflicts == [.outranked(claimed)])
        #expect(bench.core.identity.epoch == 1)
    }

    @Test func `at the highest incarnation a new epoch is taken instead of one more`() throws {
        var bench = try Bench(members: 2...3)
        let highest = Incarnation.highest.number
        bench.hear([suspect(1, highest - 1, by: 2)])
        #expect(bench.core.incarnation == .highest)
        #expect(bench.core.identity.epoch == 1)
        bench.hear([suspect(1, highest, by: 2)])
        #expect(bench.core.incarnation == .zero)
        #expect(bench.core.identity.epoch > 1)
    }

    @Test func `at the highest incarnation a change of metadata takes a new epoch too`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([suspect(1, Incarnation.highest.number - 1, by: 2)])
        bench.handle(.update(metadata(1, software: "2.0")))
        #expect(bench.core.identity.epoch > 1)
        #expect(bench.core.metadata.software == "2.0")
        #expect(bench.core.metadata.version == .zero)
    }
}
