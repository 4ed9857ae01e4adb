import Primitives
import Testing

@testable import SWIM

/// Members that come, go and come back, and partitions that end, on simulated clusters: invariants G7 and G10, and two processes under one id.
struct GossipReturnTests {
    // MARK: G7

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `exchanges alone bring all views together`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 8) { $0.retransmitFactor = 0 }
        for place in world.places.indices {
            try world.start(place, seeds: [0])
            try world.run(seconds: 1)
        }
        let agreed = try world.run(atMost: 300) { world.doAgree }
        #expect(agreed != nil, "seed \(seed)")
        var changed = try #require(world.places[3].core?.metadata)
        changed.slots = 99
        try world.handle(.update(changed), at: 3)
        #expect(!world.doAgree)
        #expect(try world.run(atMost: 300) { world.doAgree } != nil, "seed \(seed)")
        #expect(world.places.allSatisfy { $0.core?.counts.rumoursSent == 0 }, "seed \(seed)")
    }

    @Test(arguments: [0, 4], [1, 2, 3] as [UInt64])
    func `two halves that were parted come together by themselves`(retransmitFactor: Int, seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 8) { $0.retransmitFactor = retransmitFactor }
        try world.startAll()
        #expect(try world.run(atMost: 300) { world.doAgree } != nil, "seed \(seed)")
        world.network.split([0, 0, 0, 0, 1, 1, 1, 1])
        try world.run(seconds: 240)
        #expect(world.view(0, of: 7)?.liveness == .dead, "seed \(seed)")
        #expect(world.view(7, of: 0)?.liveness == .dead, "seed \(seed)")
        let before = world.failures.count
        world.network.heal()
        #expect(try world.run(atMost: 400) { world.doAgree } != nil, "seed \(seed)")
        // Nobody is called dead because the other side called it so.
        if retransmitFactor > 0 { #expect(world.failures.count == before, "seed \(seed)") }
    }

    @Test func `two clusters that never knew each other merge by one seed`() throws {
        let world = GossipWorld(seed: 1, places: 8)
        for place in 0..<4 { try world.start(place, seeds: [0]) }
        for place in 4..<8 { try world.start(place, seeds: [4]) }
        try world.run(seconds: 30)
        #expect(world.places[7].core?.livingCount == 4)
        try world.handle(.join(seeds: [rpcAddress(1)]), at: 6)
        #expect(try world.run(atMost: 20) { world.doAgree } != nil)
    }

    // MARK: G10

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `who left comes back`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        world.network.faults.straggling = 50_000
        try world.startAll()
        try world.run(seconds: 20)
        for round in 0..<4 {
            try world.handle(.leave, at: 2)
            let told = try world.run(atMost: 10) { world.places[2].hasLeft }
            #expect(told != nil, "seed \(seed)")
            let known = try world.run(atMost: 15) { world.running.allSatisfy { world.view($0, of: 2)?.liveness == .left } }
            #expect(known != nil, "seed \(seed)")
            world.kill(2)
            try world.run(seconds: round * 10)
            try world.start(2, seeds: [4])
            #expect(try world.run(atMost: 30) { world.doAgree } != nil, "seed \(seed)")
        }
        #expect(world.failures.isEmpty, "seed \(seed)")
    }

    /// memberlist #311
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `who crashed and lost all it knew comes back, while old news of its death is still under way`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        (world.network.faults.straggling, world.network.faults.duplicated) = (200_000, 200_000)
        try world.startAll()
        try world.run(seconds: 20)
        for round in 0..<6 {
            world.kill(2)
            // Before it is noticed, while it is suspected, and after it is dead.
            try world.run(seconds: 1 + round * 6)
            try world.start(2, seeds: [4])
            #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
            try world.run(seconds: 5)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `who comes back with a clock behind takes an epoch above its last one`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 5)
        try world.startAll()
        try world.run(seconds: 20)
        for wait in [2, 60] {
            let former = try #require(world.places[3].core?.identity.epoch)
            world.kill(3)
            try world.run(seconds: wait)
            try world.start(3, epoch: 1, seeds: [0])
            #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
            #expect(try #require(world.places[3].core?.identity.epoch) > former, "seed \(seed)")
            #expect(world.places[3].conflicts.isEmpty, "seed \(seed)")
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func `all that restart at once find each other again`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        world.network.faults.straggling = 100_000
        try world.startAll()
        try world.run(seconds: 30)
        for place in 0..<6 { world.kill(place) }
        try world.run(seconds: 1)
        // Each knows the others from its saved list.
        try world.startAll(seeds: Array(0..<6))
        #expect(try world.run(atMost: 30) { world.doAgree } != nil, "seed \(seed)")
    }

    // MARK: Two with one id

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `of two processes with one id the later stays, and both tell`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        world.places[5].node = node(3)
        for place in 0..<5 { try world.start(place, seeds: [0]) }
        try world.run(seconds: 20)
        try world.start(5, seeds: [0])
        let stopped = try world.run(atMost: 30) { world.places[2].core?.phase == .superseded }
        #expect(stopped != nil, "seed \(seed)")
        let later = try #require(world.places[5].core?.identity)
        #expect(world.places[2].conflicts == [.superseded(by: later, at: gossipAddress(6))], "seed \(seed)")
        #expect(world.places[5].conflicts.count == 1, "seed \(seed)")
        #expect(world.places[5].core?.phase == .running, "seed \(seed)")
        #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `of two processes with one id the earlier is back when the later has ended`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        world.places[5].node = node(3)
        for place in 0..<5 { try world.start(place, seeds: [0]) }
        try world.run(seconds: 20)
        try world.start(5, seeds: [0])
        #expect(try world.run(atMost: 30) { world.places[2].core?.phase == .superseded } != nil, "seed \(seed)")
        try world.run(seconds: 40)
        let later = try #require(world.places[5].core?.identity)
        world.kill(5)
        #expect(try world.run(atMost: 60) { world.places[2].core?.phase == .running } != nil, "seed \(seed)")
        #expect(try #require(world.places[2].core?.identity) > later, "seed \(seed)")
        #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
    }

    /// While they cannot hear each other each believes that the other is a rumour; once they do, one stays.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `of two with one id that are parted one stays in the end`(seed: UInt64) throws {
        let world = GossipWorld(seed: seed, places: 6)
        world.places[5].node = node(3)
        for place in 0..<5 { try world.start(place, seeds: [0]) }
        try world.run(seconds: 20)
        world.network.cut(2, 5)
        world.network.cut(5, 2)
        try world.start(5, seeds: [0])
        try world.run(seconds: 30)
        world.network.heal()
        let single = try world.run(atMost: 120) { [2, 5].count { world.places[$0].core?.phase == .running } == 1 }
        #expect(single != nil, "seed \(seed)")
        #expect(try world.run(atMost: 60) { world.doAgree } != nil, "seed \(seed)")
    }
}
