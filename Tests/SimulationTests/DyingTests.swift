import Coordinator
import HashTreeCollections
import Primitives
import Testing
import Workflows

/// Nothing that was acknowledged is lost and nothing is begun twice, wherever in a batch the node dies.
struct DyingTests {
    @Test func `a node that dies inside a batch loses nothing that it acknowledged and begins nothing twice`() throws {
        var deaths = 0
        var messages = 0
        for seed in UInt64(1)...40 {
            var world = try DyingWorld(seed: seed)
            for _ in 0..<60 { try world.step() }
            try world.settle()
            #expect(world.faults.isEmpty, "seed \(seed): \(world.faults)")
            for (task, count) in world.starts { #expect(count <= 1, "seed \(seed): \(task) was begun \(count) times") }
            check(world, seed)
            try replay(world, seed)
            deaths += world.deaths
            messages += world.acknowledged.count
        }
        #expect(deaths > 60)
        #expect(messages > 300)
    }

    /// Every acknowledged run ended once, or waits for an operator.
    private func check(_ world: DyingWorld, _ seed: UInt64) {
        var ended: [RunID: WorkflowRun] = [:]
        for item in world.history {
            guard case .run(let run) = item else { continue }
            #expect(ended.updateValue(run, forKey: run.id) == nil, "seed \(seed): run \(run.id) ended twice")
        }
        for (message, runs) in world.acknowledged {
            for id in runs {
                let isHeld = world.planner.state.runs[id]?.run.state == .held
                #expect(isHeld || ended[id] != nil, "seed \(seed): run \(id) of message \(message) is lost")
            }
        }
    }

    /// The log gives the planned state after each of its entries.
    private func replay(_ world: DyingWorld, _ seed: UInt64) throws {
        var state = CoordinatorState(cluster: DyingWorld.cluster)
        for entry in world.log {
            try DyingWorld.apply(entry, to: &state)
            #expect(state.digest == entry.digest, "seed \(seed), entry \(entry.index)")
        }
        #expect(state.digest == world.planner.state.digest, "seed \(seed)")
    }
}
