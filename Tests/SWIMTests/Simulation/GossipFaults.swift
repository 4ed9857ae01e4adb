import Primitives

@testable import SWIM

/// What goes wrong in one seed, drawn from it.
struct GossipFaults {
    var nodes: Int
    var seconds: Int

    init(drawnFor world: GossipWorld, seconds: Int) {
        (nodes, self.seconds) = (world.places.count, seconds)
        func draw(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &world.generator) }
        // Each class of faults is there in half of the seeds.
        if draw(0...1) == 1 { world.network.faults.dropped = draw(1...200_000) }
        if draw(0...1) == 1 { world.network.faults.duplicated = draw(1...200_000) }
        if draw(0...1) == 1 { world.network.faults.delay = 100_000..<Int64(draw(1...300)) * 1_000_000 + 100_001 }
        if draw(0...1) == 1 { world.network.faults.straggling = draw(1...50_000) }
        if draw(0...1) == 1 {
            for place in world.places.indices { world.places[place].rate = 1 + Double(draw(-20...20)) / 1_000 }
        }
    }

    /// One thing goes wrong, or right again, about each three seconds; the first place always runs, so that there is one to come back to.
    func run(_ world: GossipWorld) throws {
        var passed = 0
        while passed < seconds {
            let step = Int.random(in: 1...5, using: &world.generator)
            try world.run(seconds: step)
            passed += step
            try fault(world)
        }
    }

    private func fault(_ world: GossipWorld) throws {
        func draw(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &world.generator) }
        let place = draw(1...nodes - 1)
        switch draw(0...9) {
        case 0: world.kill(place)
        case 1, 2:
            if world.places[place].core == nil { try world.start(place, seeds: [0]) }
        case 3: world.network.split((0..<nodes).map { _ in draw(0...1) })
        case 4: world.network.cut(draw(0...nodes - 1), place)
        case 5: world.network.deaf[place] = true
        case 6: world.network.heal()
        case 7: world.pause(place, for: Int64(draw(10...8_000)) * 1_000_000)
        case 8:
            guard let core = world.places[place].core, core.phase == .running else { return }
            var changed = core.metadata
            changed.slots += 1
            try world.handle(.update(changed), at: place)
        default:
            guard world.places[place].core != nil else { return }
            try world.handle(.leave, at: place)
        }
    }

    /// Everything works again, and whoever is away comes back.
    func heal(_ world: GossipWorld) throws {
        world.network.heal()
        world.network.faults.dropped = 0
        world.network.faults.duplicated = 0
        for place in world.places.indices where world.places[place].core?.phase != .running {
            world.kill(place)
            try world.start(place, seeds: [0])
        }
    }
}
