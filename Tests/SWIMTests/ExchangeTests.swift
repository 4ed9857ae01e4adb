import Primitives
import Testing

@testable import SWIM

/// Anti-entropy (Demers and others 1987, section 1.3): push/pull of all that is known.
struct ExchangeTests {
    func message(from number: Int, _ members: [Rumour]) -> SWIMMessage.PushPull { .init(from: identity(number), members: members) }

    @Test func `each interval one living member of chance is asked`() throws {
        var bench = try Bench(members: 2...4) { $0.exchangeInterval = .seconds(30) }
        bench.hear([dead(2), left(3)])
        bench.core.reconnectDue = Instant(nanoseconds: .max)
        bench.core.schedule = RoundRobin()
        bench.pass(.seconds(95))
        #expect(bench.output.exchanges.map(\.address).allSatisfy { $0 == rpcAddress(4) })
        #expect((3...4).contains(bench.output.exchanges.count))
        #expect(bench.output.exchanges.first?.message.members.map(\.identity) == [1, 2, 3, 4].map { identity($0) })
        #expect(bench.output.exchanges.first?.message.isJoin == false)
    }

    @Test(arguments: [(2, 1), (32, 1), (33, 2), (64, 2), (65, 3), (1_000, 6)])
    func `among more members each asks less often`(members: Int, times: Int) {
        #expect(SWIMSettings().exchangeInterval(among: members) == .seconds(30) * times)
    }

    @Test func `an exchange is answered with all that is known, after what came was heard`() throws {
        var bench = try Bench(members: 2...3)
        bench.handle(.pushPull(id: 7, message(from: 4, [alive(4), alive(3, 5, version: 5, software: "new")])))
        let answer = try #require(bench.output.answers.first)
        #expect(answer.id == 7)
        #expect(answer.message.members.map(\.identity.node) == (1...4).map(node))
        #expect(answer.message.members.allSatisfy { $0.metadata != nil })
        #expect(answer.message.members[2].incarnation == Incarnation(5))
        #expect(bench.output.changes == [.joined(identity(4)), .updated(identity(3))])
    }

    @Test func `what comes by exchange is told on`() throws {
        var bench = try Bench(members: 2...3)
        bench.handle(.exchanged(message(from: 4, [alive(4)])))
        bench.pass(.milliseconds(1))
        #expect(bench.told.contains { $0.identity == identity(4) })
    }

    @Test func `whom the other side calls dead gets the time to refute it`() throws {
        var bench = try Bench(members: 2...5)
        bench.handle(.exchanged(message(from: 4, [dead(3, by: 5), left(2)])))
        #expect(bench.liveness(3) == .suspect)
        #expect(bench.core.member(node(3))?.accusers == [node(4)])
        // That one left it said itself.
        #expect(bench.liveness(2) == .left)
    }

    @Test func `the dead of others are not taken in, and not raised by old news either`() throws {
        var bench = try Bench(members: 2...2)
        bench.handle(.exchanged(message(from: 2, [dead(3, 4)])))
        #expect(bench.liveness(3) == nil)
        bench.hear([alive(3, 4)])
        #expect(bench.liveness(3) == nil)
        bench.hear([alive(3, 5)])
        #expect(bench.liveness(3) == .alive)
    }

    // MARK: Finding others

    @Test func `seeds are asked at once, and again until somebody is known`() throws {
        var bench = try Bench()
        bench.handle(.join(seeds: ["a:1", "b:1"]))
        #expect(bench.output.exchanges.map(\.address).sorted() == ["a:1", "b:1"])
        #expect(bench.output.exchanges.allSatisfy { $0.message.isJoin && $0.message.members.map(\.identity) == [identity(1)] })
        bench.output.clear()
        bench.pass(.seconds(4))
        #expect(bench.output.exchanges.count == 4)
        bench.handle(.exchanged(message(from: 2, [alive(2)])))
        bench.output.clear()
        bench.pass(.seconds(10))
        #expect(bench.output.exchanges.count { $0.message.isJoin } == 0)
    }

    @Test func `of many seeds some are asked at a time, and more than are kept are left out`() throws {
        var bench = try Bench()
        bench.handle(.join(seeds: (1...200).map { "s\($0):1" }))
        #expect(bench.output.exchanges.count == 3)
        #expect(bench.core.seeds.count == 64)
    }

    @Test func `the dead are tried again, and seeds where nobody is known, but not those who left`() throws {
        var bench = try Bench(members: 2...5) { $0.reconnectInterval = .seconds(30) }
        bench.handle(.join(seeds: ["lost:1", rpcAddress(2)]))
        bench.hear([dead(3), left(4)])
        bench.core.schedule = RoundRobin()
        bench.output.clear()
        bench.pass(.seconds(600))
        #expect(Set(bench.output.exchanges.map(\.address)) == ["lost:1", rpcAddress(3)])
        #expect((19...21).contains(bench.output.exchanges.count))
    }

    @Test func `a suspect that answers over a connection is told what is said of it there`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([suspect(2, by: 1)])
        _ = try bench.nextPing()
        bench.pass(.milliseconds(500))
        let stream = try #require(bench.output.streamPings.first)
        bench.handle(.streamAck(sequence: stream.sequence, by: identity(2)))
        #expect(bench.output.exchanges.map(\.address) == [rpcAddress(2)])
        let told = try #require(bench.output.exchanges.first?.message.members.first { $0.identity.node == node(2) })
        #expect(told.liveness == .suspect)
    }

    // MARK: Metadata

    @Test func `what a member says of itself is spread under its next incarnation`() throws {
        var bench = try Bench(members: 2...3)
        var changed = metadata(1, software: "2.0")
        changed.labels = [.init(name: "zone", value: "a")]
        bench.handle(.update(changed))
        #expect(bench.core.incarnation == Incarnation(1))
        #expect(bench.core.metadata.version == Incarnation(1))
        bench.pass(.milliseconds(1))
        #expect(bench.told.contains { $0.identity == identity(1) && $0.metadata?.labels == changed.labels })
        // The same once more is nothing new.
        bench.handle(.update(changed))
        #expect(bench.core.incarnation == Incarnation(1))
    }

    @Test func `of two that a member said of itself the later stays, though it was suspected in between`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([suspect(3, 2, by: 2)])
        bench.hear([alive(3, 2, version: 2, software: "new")])
        #expect(bench.liveness(3) == .suspect)
        #expect(bench.core.member(node(3))?.metadata.software == "new")
        bench.hear([alive(3, 3, version: 1, software: "old")])
        #expect(bench.core.member(node(3))?.metadata.software == "new")
        #expect(bench.output.changes.contains(.updated(identity(3))))
    }
}
