import Primitives
import Testing

@testable import SWIM

/// Whatever comes over the network never traps, never takes more than its share, and is counted.
struct BadInputTests {
    @Test(arguments: [
        Rumour(identity(3), incarnation: Incarnation(.max), .alive, metadata: metadata(3)),
        Rumour(identity(3), incarnation: Incarnation(UInt64(UInt32.max) + 1), .dead),
        Rumour(identity(3, epoch: .max), incarnation: .zero, .suspect, accuser: node(2)),
        Rumour(identity(3, epoch: MemberIdentity.highestEpoch + 1), incarnation: .zero, .left),
        Rumour(identity(3), incarnation: .zero, .alive),
        alive(3, 4, version: 5),
        alive(3, 1, version: 1, software: "bell \u{7}"),
        alive(3, 1, version: 1, software: "umlaut ä"),
        alive(3, 1, version: 1, software: String(repeating: "x", count: 600)),
        Rumour(identity(3), incarnation: Incarnation(1), .alive, metadata: MemberMetadata(gossip: "", rpc: "a:1")),
        Rumour(
            identity(3), incarnation: Incarnation(1), .alive,
            metadata: MemberMetadata(gossip: String(repeating: "a", count: 261), rpc: "a:1")),
        Rumour(identity(1), incarnation: Incarnation(.max), .suspect, accuser: node(2)),
        Rumour(identity(1, epoch: .max), incarnation: .zero, .dead, accuser: node(2)),
    ])
    func `news that nobody could have said is counted and left aside`(rumour: Rumour) throws {
        var bench = try Bench(members: 2...3)
        let before = bench.core.members
        bench.hear([rumour])
        #expect(bench.core.counts.malformed == 1)
        #expect(bench.core.members == before)
        #expect(bench.output == SWIMOutput())
    }

    @Test func `messages of senders with an epoch beyond all are left aside`() throws {
        var bench = try Bench(members: 2...3)
        let sender = identity(2, epoch: .max)
        bench.handle(.message(.ping(.init(sequence: 1, from: sender, target: identity(1))), from: gossipAddress(2)))
        bench.handle(.message(.membershipUpdate(.init(from: sender, news: [dead(3)])), from: gossipAddress(2)))
        #expect(bench.core.counts.malformed == 2)
        #expect(bench.output == SWIMOutput())
    }

    @Test func `a push/pull in a datagram is none`() throws {
        var bench = try Bench(members: 2...3)
        bench.receive(.pushPull(.init(from: identity(2), members: [alive(7)])), from: 2)
        #expect(bench.liveness(7) == nil)
        #expect(bench.core.counts.malformed == 1)
    }

    @Test func `suspects and dead of whom nobody heard are not taken in`() throws {
        var bench = try Bench(members: 2...2)
        bench.hear([suspect(7, by: 2), dead(8), left(9)])
        #expect(bench.core.memberCount == 2)
        #expect(bench.core.suspects.isEmpty)
    }

    @Test func `strangers are answered, and not taken in for that`() throws {
        var bench = try Bench(members: 2...2)
        bench.receive(.ping(.init(sequence: 1, from: identity(70), target: identity(1))), from: 70)
        #expect(bench.acks.count == 1)
        bench.receive(.ack(.init(sequence: 1, from: identity(71), incarnation: .zero)), from: 71)
        bench.receive(.nack(.init(sequence: 1, from: identity(72))), from: 72)
        bench.handle(.streamAck(sequence: 1, by: identity(73)))
        #expect(bench.core.memberCount == 2)
    }

    @Test func `a flood of members is bounded, and what was there stays`() throws {
        var bench = try Bench(members: 2...5) { $0.memberLimit = 100 }
        for start in stride(from: 6, to: 5_000, by: 50) { bench.hear((start..<start + 50).map { alive($0) }) }
        #expect(bench.core.memberCount == 100)
        #expect(bench.core.counts.membersRefused == 4_905)
        #expect(bench.core.pendingNews <= 100)
        for number in 1...5 { #expect(bench.liveness(number) == .alive) }
        bench.handle(.pushPull(id: 1, .init(from: identity(2), members: (6_000..<9_000).map { alive($0) })))
        #expect(bench.output.answers.first?.message.members.count == 100)
    }

    @Test func `room is made of the longest dead`() throws {
        var bench = try Bench(members: 2...9) { $0.memberLimit = 10 }
        bench.hear([dead(4)])
        bench.pass(.milliseconds(10))
        bench.hear([dead(3)])
        bench.hear([alive(20), alive(21), alive(22)])
        #expect(bench.liveness(4) == nil)
        #expect(bench.liveness(3) == nil)
        #expect(bench.core.memberCount == 10)
        #expect(bench.core.counts.membersEvicted == 2)
        #expect(bench.core.counts.membersRefused == 0)
        bench.hear([alive(4)])
        #expect(bench.liveness(4) == nil)
    }

    @Test func `a flood of dead strangers is bounded`() throws {
        var bench = try Bench(members: 2...2) { $0.tombstoneLimit = 64 }
        for start in stride(from: 10, to: 5_010, by: 100) { bench.hear((start..<start + 100).map { dead($0) }) }
        #expect(bench.core.tombstones.count == 64)
        #expect(bench.core.counts.tombstonesDropped == 5_000 - 64)
        #expect(bench.core.memberCount == 2)
    }

    @Test func `a node does not start with what others would not take`() {
        func start(_ metadata: MemberMetadata, epoch: UInt64 = 1) throws(SWIMError) {
            _ = try SWIMCore(
                identity: identity(1, epoch: epoch), metadata: metadata, settings: SWIMSettings(), generator: SeededGenerator(seed: 1),
                now: Instant(nanoseconds: 0))
        }
        var labels = metadata(1)
        labels.labels = (0..<100).map { .init(name: "label-\($0)", value: "value") }
        #expect(throws: SWIMError.metadataTooLarge(bytes: labels.estimatedBytes, limit: 600)) { try start(labels) }
        #expect(throws: SWIMError.badAddress(bytes: 0, limit: 260)) { try start(MemberMetadata(gossip: "a:1", rpc: "")) }
        #expect(throws: SWIMError.unprintable("software")) { try start(metadata(1, software: "\n")) }
        #expect(throws: SWIMError.epochTooHigh(.max)) { try start(metadata(1), epoch: .max) }
        for error in [SWIMError.metadataTooLarge(bytes: 700, limit: 600), .badAddress(bytes: 0, limit: 260), .unprintable("role")] {
            #expect(error.description.contains(":") && error.description.count > 40)
        }
    }

    /// Whatever comes, in whatever order: no trap, nothing beyond its bounds, no belief that falls.
    @Test(arguments: 1...30)
    func `random messages never trap and never lower a belief`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var bench = try Bench(members: 2...6, seed: seed) {
            ($0.memberLimit, $0.tombstoneLimit, $0.relayLimit) = (12, 8, 4)
            ($0.exchangeInterval, $0.reconnectInterval) = (.seconds(1), .seconds(1))
        }
        func number(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
        func anyNumber() -> UInt64 { [0, 1, 2, 3, UInt64(UInt32.max), .max, 1 << 62].randomElement(using: &generator) ?? 0 }
        func anyRumour() -> Rumour {
            let subject = MemberIdentity(node: node(number(1...15)), epoch: anyNumber())
            let liveness = Liveness.allCases.randomElement(using: &generator) ?? .alive
            var told: MemberMetadata? = metadata(number(1...20), version: UInt64(number(0...3)))
            if number(0...3) == 0 { told = nil }
            return Rumour(
                subject, incarnation: Incarnation(anyNumber()), liveness, accuser: number(0...3) == 0 ? nil : node(number(1...15)),
                metadata: told)
        }
        func anyEvent() -> SWIMCore.Event {
            let sender = MemberIdentity(node: node(number(1...15)), epoch: anyNumber())
            let news = (0..<number(0...5)).map { _ in anyRumour() }
            let sequence = number(0...2) == 0 ? anyNumber() : (bench.core.sequence &- UInt64(number(0...9)))
            let address = gossipAddress(number(1...20))
            switch number(0...9) {
            case 0:
                return .message(.ping(.init(sequence: sequence, from: sender, target: identity(number(1...3)), news: news)), from: address)
            case 1: return .message(.ack(.init(sequence: sequence, from: sender, incarnation: .zero, news: news)), from: address)
            case 2:
                return .message(
                    .pingReq(
                        .init(
                            sequence: sequence, from: sender, target: .init(node: node(number(1...15)), epoch: anyNumber()),
                            address: number(0...3) == 0 ? "" : address, news: news)), from: address)
            case 3: return .message(.nack(.init(sequence: sequence, from: sender)), from: address)
            case 4, 5: return .message(.membershipUpdate(.init(from: sender, news: news)), from: address)
            case 6: return .pushPull(id: sequence, .init(from: sender, members: news))
            case 7: return .exchanged(.init(from: sender, members: news))
            case 8: return .streamAck(sequence: sequence, by: sender)
            default: return .tick
            }
        }
        var known: [NodeID: Precedence] = [:]
        for _ in 0..<1_500 where bench.core.phase != .superseded {
            bench.now = bench.now.advanced(by: .milliseconds(Int64(number(0...700))))
            bench.handle(anyEvent())
            bench.output.clear()
            #expect(bench.core.memberCount <= 12 && bench.core.relays.count <= 4 && bench.core.tombstones.count <= 8)
            #expect(bench.core.pendingNews <= bench.core.memberCount)
            #expect(Set(bench.core.suspects).count == bench.core.members.count { $0.liveness == .suspect }, "seed \(seed)")
            #expect(bench.core.schedule.slots.count == bench.core.livingCount - 1, "seed \(seed)")
            for member in bench.core.members {
                let precedence = Precedence(epoch: member.identity.epoch, incarnation: member.incarnation, liveness: member.liveness)
                // Who was forgotten so long ago that not even that is remembered may come back.
                if let before = known[member.identity.node], bench.core.counts.tombstonesDropped == 0 {
                    #expect(precedence >= before, "seed \(seed): \(member.identity.node)")
                }
                known[member.identity.node] = precedence
            }
        }
    }
}
