import Testing
import Workflows

/// Rules and workflows, "Workflows": what holds for every graph, whatever workers, clocks and operators do.
struct WorkflowRunPropertyTests {
    @Test func `every run ends, with every task final and none succeeding twice`() throws {
        var ends: [WorkflowRun.State: Int] = [:]
        var held = 0
        for seed in UInt64(1)...2000 {
            var world = try RandomRun(seed: seed)
            world.play()
            #expect(world.run.state.isFinal, "seed \(seed): \(world.run.state)")
            #expect(world.run.tasks.allSatisfy { $0.state.isFinal }, "seed \(seed): \(world.run.tasks.map(\.state))")
            #expect(world.successes.values.allSatisfy { $0 == 1 }, "seed \(seed): \(world.successes)")
            #expect(world.faults.isEmpty, "seed \(seed): \(world.faults)")
            #expect(world.run.endedAt != nil, "seed \(seed)")
            #expect(world.run.nextTimer == nil, "seed \(seed)")
            ends[world.run.state, default: 0] += 1
            if world.wasHeld { held += 1 }
        }
        for state in [WorkflowRun.State.succeeded, .failed, .timedOut] { #expect(ends[state] != nil, "\(ends)") }
        #expect(held > 20)
    }

    @Test func `one seed gives one run`() throws {
        for seed in UInt64(1)...50 {
            var first = try RandomRun(seed: seed)
            var second = try RandomRun(seed: seed)
            first.play()
            second.play()
            #expect(first.run == second.run, "seed \(seed)")
        }
    }
}
