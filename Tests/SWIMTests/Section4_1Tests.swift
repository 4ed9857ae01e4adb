import Primitives
import Testing

@testable import SWIM

/// SWIM section 4.1: news that spreads as an infection does.
struct Section4_1Tests {
    /// Invariant G6
    @Test(arguments: [(2, 4), (9, 4), (10, 8), (50, 8), (120, 12)])
    func `each piece of news is sent λ·⌈log10(N+1)⌉ times`(members: Int, times: Int) throws {
        var bench = try Bench(members: 2...members)
        #expect(bench.core.settings.retransmissions(among: members) == times)
        bench.hear([alive(2, 1)])
        bench.pass(.seconds(20))
        let tellings = bench.told.count { $0.precedence == alive(2, 1).precedence && $0.identity.node == node(2) }
        #expect(tellings == times)
    }

    @Test func `news goes round by itself, apart from probes`() throws {
        var bench = try Bench(members: 2...9)
        bench.core.probeDue = Instant(nanoseconds: .max / 2)
        bench.hear([alive(2, 1)])
        bench.handle(.tick)
        #expect(bench.output.datagrams.count == 3)
        let first = bench.output.datagrams.map(\.address)
        #expect(Set(first).count == 3)
        bench.output.clear()
        bench.pass(.milliseconds(199))
        #expect(bench.output.datagrams.isEmpty)
        bench.pass(.milliseconds(1))
        // Others than before.
        #expect(bench.output.datagrams.map(\.address).allSatisfy { !first.contains($0) })
    }

    @Test func `nothing is sent, and no tick wanted, while there is no news`() throws {
        var bench = try Bench(members: 2...9)
        #expect(bench.core.gossipDue == nil)
        bench.pass(.seconds(1))
        #expect(bench.output.datagrams.allSatisfy { if case .membershipUpdate = $0.message { false } else { true } })
    }

    @Test func `news rides on pings, requests and answers`() throws {
        var bench = try Bench(members: 2...9) {
            ($0.retransmitFactor, $0.gossipInterval, $0.stallTolerance) = (16, .seconds(1), .seconds(1))
        }
        bench.hear([alive(2, 1)])
        bench.receive(.ping(.init(sequence: 1, from: identity(3), target: identity(1))), from: 3)
        #expect(bench.acks.first?.ack.news.map(\.precedence) == [alive(2, 1).precedence])
        let ping = try bench.nextPing()
        #expect(ping.ping.news.map(\.precedence) == [alive(2, 1).precedence])
        bench.pass(.milliseconds(500))
        #expect(bench.requests.first?.request.news.map(\.precedence) == [alive(2, 1).precedence])
    }

    @Test func `what was sent least goes first, and of that the newest`() {
        var queue = Dissemination()
        for slot in 1...4 { queue.put(slot, accuser: nil, bytes: 100) }
        func take(_ budget: Int) -> [Int] {
            var slots: [Int] = []
            queue.take(within: budget, first: nil, limit: 3) { slots.append($0.slot) }
            return slots
        }
        #expect(take(200) == [4, 3])
        #expect(take(200) == [2, 1])
        #expect(take(300) == [4, 3, 2])
        queue.put(5, accuser: nil, bytes: 100)
        #expect(take(200) == [5, 1])
        #expect(take(100) == [5])
        #expect(take(500) == [5, 4, 3, 2, 1])
        #expect(queue.isEmpty)
    }

    @Test func `what does not fit waits, and lets shorter news pass`() {
        var queue = Dissemination()
        queue.put(1, accuser: nil, bytes: 90)
        queue.put(2, accuser: nil, bytes: 600)
        queue.put(3, accuser: nil, bytes: 60)
        var slots: [Int] = []
        queue.take(within: 200, first: nil, limit: 1) { slots.append($0.slot) }
        #expect(slots == [3, 1])
        queue.take(within: 600, first: nil, limit: 1) { slots.append($0.slot) }
        #expect(slots == [3, 1, 2])
    }

    @Test func `later news of a member takes the place of earlier news, and begins anew`() throws {
        var bench = try Bench(members: 2...9)
        bench.hear([alive(2, 1)])
        bench.pass(.milliseconds(10))
        bench.hear([alive(2, 2)])
        #expect(bench.core.pendingNews == 1)
        bench.output.clear()
        bench.pass(.seconds(10))
        #expect(bench.told.count { $0.precedence == alive(2, 1).precedence } == 0)
        #expect(bench.told.count { $0.precedence == alive(2, 2).precedence } == 4)
    }

    /// Invariant G8
    @Test func `no datagram is longer than it may be, whatever there is to tell`() throws {
        var bench = try Bench(members: 2...400) { $0.memberLimit = 500 }
        var news: [Rumour] = []
        for number in 2...400 { news.append(number % 3 == 0 ? suspect(number, by: 2) : alive(number, 1, version: 1, software: "x")) }
        for start in stride(from: 0, to: news.count, by: 7) { bench.hear(Array(news[start..<min(start + 7, news.count)])) }
        #expect(bench.core.pendingNews > 255)
        for step in 0..<20 {
            bench.receive(.ping(.init(sequence: UInt64(step), from: identity(3), target: identity(1))), from: 3)
            bench.receive(.pingReq(.init(sequence: 1, from: identity(2), target: identity(3), address: gossipAddress(3))), from: 2)
            bench.pass(.milliseconds(300))
        }
        let settings = bench.core.settings
        #expect(bench.output.datagrams.count > 100)
        for datagram in bench.output.datagrams {
            #expect(datagram.message.estimatedBytes + settings.envelopeBytes <= 1_400)
        }
        // And none is wasted.
        #expect(bench.output.datagrams.contains { $0.message.news.count >= 5 })
    }

    /// Invariant G8
    @Test func `the longest that a member may say of itself fits beside the longest ping`() throws {
        var bench = try Bench(members: 2...2)
        let name = try NodeID(String(repeating: "a", count: 63))
        var long = MemberMetadata(
            gossip: String(repeating: "g", count: MemberMetadata.addressBytes), rpc: String(repeating: "r", count: 200))
        while long.estimatedBytes < MemberMetadata.limit { long.software += "s" }
        let rumour = Rumour(MemberIdentity(node: name, epoch: 1), incarnation: .zero, .alive, metadata: long)
        try long.check()
        bench.hear([rumour])
        bench.pass(.seconds(1))
        #expect(bench.told.contains(rumour))
        let message = SWIMMessage.ping(
            .init(sequence: 1, from: .init(node: name, epoch: 1), target: .init(node: name, epoch: 1), news: [rumour]))
        #expect(message.estimatedBytes <= SWIMSettings().messageBytes)
    }

    /// Invariant G8; cortex #4326
    @Test func `more than 255 pieces of news in one message are all heard`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear((2...1_000).map { alive($0) })
        #expect(bench.core.livingCount == 1_000)
        bench.hear((2...1_000).map { left($0) })
        #expect(bench.core.livingCount == 1)
    }

    /// Invariant G9
    @Test func `what a member sends in a period does not grow with the number of members`() throws {
        var sent: [Int] = []
        for members in [10, 100, 1_000] {
            var bench = try Bench(members: 2...members)
            bench.pass(.seconds(1))
            bench.output.clear()
            bench.hear([alive(2, 1)])
            bench.pass(.milliseconds(1_000))
            sent.append(bench.output.datagrams.count)
        }
        // Five rounds of gossip to three members, a ping, three requests.
        #expect(sent.allSatisfy { $0 <= 5 * 3 + 3 + 1 + 3 })
    }

    @Test func `where nobody is left to tell, news is dropped`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([left(2)])
        bench.pass(.seconds(1))
        #expect(bench.core.pendingNews == 0)
        #expect(bench.core.gossipDue == nil)
    }
}
