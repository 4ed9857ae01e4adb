import Primitives
import Testing

@testable import SWIM

/// SWIM section 3.1: the failure detector.
struct Section3_1Tests {
    @Test func `a member is pinged once in each period`() throws {
        var bench = try Bench(members: 2...2)
        for _ in 0..<5 {
            let ping = try bench.nextPing()
            #expect(ping.to == gossipAddress(2))
            #expect(ping.ping.from == identity(1))
            #expect(ping.ping.target == identity(2))
            try bench.answer(ping.ping)
            let sent = bench.now
            bench.pass(.milliseconds(999))
            #expect(bench.pings.isEmpty)
            #expect(bench.now.duration(since: sent) < .seconds(1))
        }
        #expect(bench.core.counts.probes == 5)
        #expect(bench.core.counts.probesFailed == 0)
    }

    @Test func `whoever knows nobody pings nobody`() throws {
        var bench = try Bench()
        bench.pass(.seconds(60))
        #expect(bench.output.datagrams.isEmpty)
    }

    @Test func `a ping is answered with its number, by whom it is meant for`() throws {
        var bench = try Bench(members: 2...3)
        bench.receive(.ping(.init(sequence: 77, from: identity(2), target: identity(1))), from: 2)
        #expect(bench.acks.map(\.to) == [gossipAddress(2)])
        #expect(bench.acks.first?.ack == .init(sequence: 77, from: identity(1), incarnation: .zero, isBehind: false))
        bench.output.clear()
        bench.receive(.ping(.init(sequence: 78, from: identity(2), target: identity(3))), from: 2)
        #expect(bench.output.datagrams.isEmpty)
        #expect(bench.core.counts.misdirected == 1)
    }

    @Test func `an answer in time ends the probe, and tells the round trip`() throws {
        var bench = try Bench(members: 2...5)
        let ping = try bench.nextPing()
        bench.now = bench.now.advanced(by: .milliseconds(30))
        try bench.answer(ping.ping)
        bench.pass(.milliseconds(900))
        #expect(bench.requests.isEmpty)
        #expect(bench.output.streamPings.isEmpty)
        let member = try #require(bench.core.member(ping.ping.target.node))
        #expect(member.contact.roundTrip == .milliseconds(30))
        #expect(member.contact.lastAck != nil)
    }

    @Test func `without an answer k others are asked to ping, and a connection is tried`() throws {
        var bench = try Bench(members: 2...9)
        let ping = try bench.nextPing()
        bench.pass(.milliseconds(499))
        #expect(bench.requests.isEmpty)
        bench.pass(.milliseconds(1))
        #expect(bench.requests.count == 3)
        #expect(Set(bench.requests.map(\.to)).count == 3)
        #expect(!bench.requests.map(\.to).contains(ping.to))
        #expect(bench.requests.allSatisfy { $0.request.target == ping.ping.target && $0.request.address == ping.to })
        #expect(bench.output.streamPings.map(\.target) == [ping.ping.target])
        #expect(bench.output.streamPings.map(\.address) == [ping.to.replacing(":7946", with: ":9000")])
    }

    @Test func `an answer through another member is one`() throws {
        var bench = try Bench(members: 2...9)
        let ping = try bench.nextPing()
        bench.pass(.milliseconds(500))
        let request = try #require(bench.requests.first)
        let target = ping.ping.target
        bench.receive(.ack(.init(sequence: request.request.sequence, from: target, incarnation: .zero)), from: 9)
        bench.pass(.milliseconds(500))
        #expect(bench.core.counts.probesFailed == 0)
        #expect(bench.core.counts.indirectAcks == 1)
        // How long it took says nothing of the way to the member itself.
        #expect(bench.core.member(ping.ping.target.node)?.contact.roundTrip == nil)
    }

    @Test func `who answers nobody until the period ends is suspected`() throws {
        var bench = try Bench(members: 2...9)
        let ping = try bench.nextPing()
        let target = ping.ping.target
        bench.pass(.milliseconds(999))
        #expect(bench.core.member(target.node)?.liveness == .alive)
        bench.pass(.milliseconds(1))
        #expect(bench.core.member(target.node)?.liveness == .suspect)
        #expect(bench.core.member(target.node)?.accusers == [node(1)])
        #expect(bench.output.changes == [.suspected(target, by: node(1))])
        #expect(bench.core.counts.suspicions == 1)
    }

    @Test func `who answers over a connection alone is not suspected, but told of`() throws {
        var bench = try Bench(members: 2...9)
        let ping = try bench.nextPing()
        let target = ping.ping.target
        bench.pass(.milliseconds(500))
        let stream = try #require(bench.output.streamPings.first)
        bench.handle(.streamAck(sequence: stream.sequence, by: target))
        bench.pass(.milliseconds(500))
        #expect(bench.core.member(target.node)?.liveness == .alive)
        #expect(bench.output.changes == [.datagramsLost(target)])
        #expect(bench.core.counts.streamAcks == 1)
        // Until it answers by datagrams again.
        for _ in 0..<20 where bench.core.member(target.node)?.contact.hasLostDatagrams == true {
            let next = try bench.nextPing()
            try bench.answer(next.ping)
        }
        #expect(bench.output.changes == [.datagramsBack(target)])
    }

    @Test func `an answer of another member, of an earlier start or to another ping is none`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([alive(2, epoch: 5)])
        let ping = try bench.nextPing()
        bench.receive(.ack(.init(sequence: ping.ping.sequence, from: identity(3, epoch: 5), incarnation: .zero)), from: 3)
        bench.receive(.ack(.init(sequence: ping.ping.sequence, from: identity(2, epoch: 4), incarnation: .zero)), from: 2)
        bench.receive(.ack(.init(sequence: ping.ping.sequence &+ 100, from: identity(2, epoch: 5), incarnation: .zero)), from: 2)
        bench.pass(.seconds(1))
        #expect(bench.liveness(2) == .suspect)
    }

    @Test func `an answer of a later start says that the node is there`() throws {
        var bench = try Bench(members: 2...2)
        let ping = try bench.nextPing()
        try bench.answer(ping.ping, epoch: 9)
        bench.pass(.milliseconds(600))
        #expect(bench.liveness(2) == .alive)
    }

    // MARK: Who is behind

    @Test func `whoever pings and knows too little of this member is told with the answer`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([suspect(1, 4, by: 2)])
        bench.forgetNews()
        func news(epoch: UInt64, known: UInt64) -> [Rumour] {
            bench.output.clear()
            bench.receive(
                .ping(.init(sequence: 1, from: identity(2), target: identity(1, epoch: epoch), known: Incarnation(known))), from: 2)
            return bench.told
        }
        #expect(news(epoch: 1, known: 4) == [alive(1, 5)])
        #expect(news(epoch: 0, known: 9) == [alive(1, 5)])
        #expect(news(epoch: 1, known: 5).isEmpty)
    }

    @Test func `whoever pings and is known too little of is asked, and says what it is`() throws {
        var bench = try Bench(members: 2...3)
        func isBehind(_ number: Int, epoch: UInt64 = 1, incarnation: UInt64 = 0) -> Bool? {
            bench.output.clear()
            let sender = identity(number, epoch: epoch)
            bench.receive(
                .ping(.init(sequence: 1, from: sender, incarnation: Incarnation(incarnation), target: identity(1))), from: number)
            return bench.acks.first?.ack.isBehind
        }
        #expect(isBehind(2) == false)
        #expect(isBehind(2, incarnation: 1) == true)
        #expect(isBehind(2, epoch: 2) == true)
        #expect(isBehind(70) == true)
        let ping = try bench.nextPing()
        let number = ping.ping.target == identity(2) ? 2 : 3
        bench.receive(
            .ack(.init(sequence: ping.ping.sequence, from: ping.ping.target, incarnation: .zero, isBehind: true)), from: number)
        #expect(bench.output.datagrams == [.init(to: gossipAddress(number), .membershipUpdate(.init(from: identity(1), news: [alive(1)])))])
    }

    @Test func `whoever asks for help with one that left is told so`() throws {
        var bench = try Bench(members: 2...3)
        bench.hear([left(3)])
        bench.forgetNews()
        bench.receive(.pingReq(.init(sequence: 40, from: identity(2), target: identity(3), address: gossipAddress(3))), from: 2)
        #expect(bench.output.datagrams.contains(.init(to: gossipAddress(2), .membershipUpdate(.init(from: identity(1), news: [left(3)])))))
    }

    // MARK: Helping others

    @Test func `whoever is asked pings for another, and passes the answer on`() throws {
        var bench = try Bench(members: 2...3)
        bench.receive(.pingReq(.init(sequence: 40, from: identity(2), target: identity(3), address: "elsewhere:1")), from: 2)
        let ping = try #require(bench.pings.first)
        #expect(ping.to == "elsewhere:1")
        #expect(ping.ping.target.node == node(3))
        #expect(ping.ping.sequence != 40)
        bench.output.clear()
        bench.now = bench.now.advanced(by: .milliseconds(5))
        bench.receive(.ack(.init(sequence: ping.ping.sequence, from: identity(3), incarnation: Incarnation(4))), from: 3)
        #expect(bench.acks.map(\.to) == [gossipAddress(2)])
        #expect(bench.acks.first?.ack == .init(sequence: 40, from: identity(3), incarnation: Incarnation(4)))
        bench.pass(.milliseconds(600))
        #expect(bench.nacks.isEmpty)
    }

    /// Lifeguard section IV-A
    @Test func `where no answer came, the asker is told so before its period ends`() throws {
        var bench = try Bench(members: 2...3)
        bench.receive(.pingReq(.init(sequence: 40, from: identity(2), target: identity(3), address: gossipAddress(3))), from: 2)
        let ping = try #require(bench.pings.first)
        bench.output.clear()
        bench.pass(.milliseconds(399))
        #expect(bench.nacks.isEmpty)
        bench.pass(.milliseconds(1))
        #expect(bench.nacks.map(\.nack) == [.init(sequence: 40, from: identity(1))])
        // Late is better than never.
        bench.receive(.ack(.init(sequence: ping.ping.sequence, from: identity(3), incarnation: .zero)), from: 3)
        #expect(bench.acks.map(\.ack.sequence) == [40])
        bench.pass(.seconds(2))
        #expect(bench.core.relays.isEmpty)
    }

    @Test func `pings for others are bounded, and those that are not made are counted`() throws {
        var bench = try Bench(members: 2...3) { $0.relayLimit = 4 }
        for sequence in 0..<10 {
            bench.receive(
                .pingReq(.init(sequence: UInt64(sequence), from: identity(2), target: identity(3), address: gossipAddress(3))), from: 2)
        }
        #expect(bench.pings.count == 4)
        #expect(bench.core.counts.relaysRefused == 6)
        bench.pass(.seconds(1))
        bench.receive(.pingReq(.init(sequence: 11, from: identity(2), target: identity(3), address: gossipAddress(3))), from: 2)
        #expect(bench.core.relays.count == 1)
    }
}
