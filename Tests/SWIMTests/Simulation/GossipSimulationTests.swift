import Foundation
import Primitives
import Testing

@testable import SWIM

/// The SWIM invariants of design 6, on simulated clusters.
struct GossipSimulationTests {
    /// More with `DISTRIC_GOSSIP_SEEDS=1000`.
    static let seeds: ClosedRange<UInt64> = 1...(ProcessInfo.processInfo.environment["DISTRIC_GOSSIP_SEEDS"].flatMap { UInt64($0) } ?? 25)

    /// G1, G2, G6 and G8 are checked after every event.
    @Test(arguments: seeds)
    func `whatever goes wrong, beliefs only rise, and once it is over all agree`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 3 + Int(seed % 6))
        let faults = GossipFaults(drawnFor: world, seconds: 90)
        try world.startAll()
        try faults.run(world)
        try faults.heal(world)
        // Dead members are tried again each 30 s, by each, one at a time.
        let agreed = try world.run(atMost: 400) { world.doAgree }
        #expect(agreed != nil, "seed \(seed)")
        try world.run(seconds: 60)
        #expect(world.doAgree, "seed \(seed)")
    }

    @Test func `the same seed gives the same events`() throws {
        func play() throws -> [String] {
            let world = GossipWorld(seed: 7, places: 5)
            var trace: [String] = []
            world.trace = { trace.append("\($0) \($1) \($2)") }
            let faults = GossipFaults(drawnFor: world, seconds: 20)
            try world.startAll()
            try faults.run(world)
            return trace
        }
        let first = try play()
        #expect(first.count > 300)
        #expect(try play() == first)
    }

    // MARK: G3

    /// A member that crashes is probed by each other one within 2N−1 periods, suspected one period later at the latest, and dead once the longest suspicion is over:
    /// bound(N) = (2N + β·α·max(1, log10 N)) periods. Where others confirm it, it is much sooner.
    @Test(arguments: [2, 3, 5, 8, 13], [1, 2, 3] as [UInt64])
    func `a member that crashes is dead for all within the bound`(count: Int, seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: count)
        try world.startAll()
        #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
        let crashed = Int.random(in: 0..<count, using: &world.generator)
        world.kill(crashed)
        let longest = world.settings.suspicion(among: count).upperBound
        let bound = Int((world.settings.probeInterval * (2 * count) + longest).seconds.rounded(.up))
        let dead = try world.run(atMost: bound) { world.running.allSatisfy { world.view($0, of: crashed)?.liveness == .dead } }
        #expect(dead != nil, "seed \(seed)")
        #expect(world.failures.allSatisfy { $0.1.node == world.places[crashed].node }, "seed \(seed)")
        #expect(world.failures.count == count - 1, "seed \(seed)")
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `half of the members that crash at once are dead for the rest within the bound`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 10)
        try world.startAll()
        try world.run(seconds: 20)
        for place in 5..<10 { world.kill(place) }
        // Whose own probes fail waits longer, so each period counts as often as the healthiest takes it: four times here.
        let longest = world.settings.suspicion(among: 10).upperBound
        let bound = Int((world.settings.probeInterval * (4 * 2 * 10) + longest).seconds.rounded(.up))
        let dead = try world.run(atMost: bound) {
            (0..<5).allSatisfy { live in (5..<10).allSatisfy { world.view(live, of: $0)?.liveness == .dead } }
        }
        #expect(dead != nil, "seed \(seed)")
        #expect((0..<5).allSatisfy { live in (0..<5).allSatisfy { world.view(live, of: $0)?.liveness == .alive } }, "seed \(seed)")
    }

    // MARK: Accuracy

    /// G4 without faults: 24 members for 20 minutes; more with `DISTRIC_GOSSIP_SECONDS=42000`, which makes 10^6 member-seconds.
    @Test func `without a fault nobody is suspected or dead`() throws {
        let seconds = ProcessInfo.processInfo.environment["DISTRIC_GOSSIP_SECONDS"].flatMap { Int($0) } ?? 300
        let world = GossipWorld(seed: 4, places: 24)
        for place in world.places.indices { world.places[place].rate = 1 + Double(place - 12) / 1_000 }
        try world.startAll()
        try world.run(seconds: seconds)
        #expect(world.doAgree)
        #expect(world.failures.isEmpty)
        for place in world.places {
            #expect(place.core?.counts.probesFailed == 0)
            #expect(place.core?.counts.standstills == 0)
            #expect(place.core?.counts.refutations == 0)
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `one datagram in ten lost makes nobody dead`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 8)
        world.network.faults.dropped = 100_000
        try world.startAll()
        try world.run(seconds: 300)
        #expect(world.failures.isEmpty, "seed \(seed)")
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `a process that stands still for 3 s is not dead, and calls nobody so`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        try world.startAll()
        try world.run(seconds: 20)
        for _ in 0..<10 {
            world.pause(Int.random(in: 0..<6, using: &world.generator), for: 3_000_000_000)
            try world.run(seconds: 15)
        }
        #expect(world.failures.isEmpty, "seed \(seed)")
        #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
    }

    /// Not even of 60 s: it is dead for the others, but they are not for it.
    @Test func `a process that stood still for a minute calls nobody dead, and is back at once`() throws {
        let world = GossipWorld(seed: 1, places: 6)
        try world.startAll()
        try world.run(seconds: 20)
        world.pause(3, for: 60_000_000_000)
        try world.run(seconds: 60)
        #expect(world.view(0, of: 3)?.liveness == .dead)
        #expect(try world.run(atMost: 10) { world.doAgree } != nil)
        #expect(world.failures.allSatisfy { $0.1.node == node(4) })
    }

    /// G12
    @Test func `who hears no datagrams, but answers over connections, is not dead`() throws {
        let world = GossipWorld(seed: 1, places: 6)
        try world.startAll()
        try world.run(seconds: 20)
        world.network.deaf[2] = true
        try world.run(seconds: 180)
        #expect(world.failures.allSatisfy { $0.at == 2 })
        #expect(world.running.filter { $0 != 2 }.allSatisfy { world.view($0, of: 2)?.liveness != .dead })
        #expect(world.places[0].changes.contains { if case .datagramsLost(let who) = $0.change { who.node == node(3) } else { false } })
        world.network.heal()
        #expect(try world.run(atMost: 120) { world.doAgree } != nil)
    }

    // MARK: G6

    /// A round is a gossip interval. After 2·λ·⌈log10(N+1)⌉ of them 98 in 100 know; whoever was missed by chance is told by the next ping between the two, in 2N−1 periods.
    @Test(arguments: [8, 16, 32])
    func `news reaches nearly everybody in O(log N) rounds, and the rest by pings`(count: Int) throws {
        var (told, missed) = (0, 0)
        for seed in 1...6 as ClosedRange<UInt64> {
            let world = GossipWorld(seed: seed, places: count) { $0.exchangeInterval = .seconds(3_600) }
            try world.startAll()
            #expect(try world.run(atMost: 2 * count) { world.doAgree } != nil, "seed \(seed)")
            for place in 0..<4 {
                var changed = try #require(world.places[place].core?.metadata)
                changed.slots = 99
                try world.handle(.update(changed), at: place)
                let rounds = 2 * world.settings.retransmissions(among: count)
                try world.run(for: Int64(rounds) * world.settings.gossipInterval.nanoseconds)
                let knowing = world.running.count { world.view($0, of: place)?.metadata.slots == 99 }
                (told, missed) = (told + knowing, missed + count - knowing)
            }
            #expect(try world.run(atMost: 2 * count) { world.doAgree } != nil, "seed \(seed)")
        }
        #expect(missed * 49 <= told, "\(missed) missed, \(told) told")
    }
}
