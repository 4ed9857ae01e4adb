import Coordinator
import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

/// Restarts at every place where a node can die between two entries.
struct RestartTests {
    private static let seeds: ClosedRange<UInt64> = 1...120

    @Test func `the state rebuilt at every entry boundary is the one that was planned`() throws {
        for seed in Self.seeds {
            var world = try CoordinatorWorld(seed: seed)
            for _ in 0..<60 { world.step() }
            var state = try world.rebuilt(0)
            for (place, entry) in world.log.enumerated() {
                state = try world.rebuilt(place + 1, from: state)
                #expect(state.digest == entry.digest, "seed \(seed), entry \(entry.index)")
            }
        }
    }

    @Test func `a snapshot taken at any boundary gives the same state with the rest of the log`() throws {
        for seed in Self.seeds {
            var world = try CoordinatorWorld(seed: seed)
            for _ in 0..<60 { world.step() }
            let place = Int(seed) * 7 % world.log.count
            let before = try world.rebuilt(place)
            let read = try StateCodec.decode(StateCodec.encode(before), dedup: DedupWindow())
            #expect(read.digest == before.digest, "seed \(seed), entry \(place)")
            let after = try world.rebuilt(world.log.count, from: read)
            #expect(after.digest == world.log.last?.digest, "seed \(seed)")
            #expect(StateCodec.encode(after) == StateCodec.encode(try world.rebuilt(world.log.count)), "seed \(seed)")
        }
    }

    @Test func `after restarts at random boundaries every accepted run ends or is held, and no task succeeds twice`() throws {
        var restarts = 0
        var held = 0
        for seed in Self.seeds {
            var world = try CoordinatorWorld(seed: seed)
            var chance = SeededGenerator(seed: seed ^ 0xC4A5)
            for number in 0..<100 {
                world.step()
                if number % 25 == 24 {
                    // What was acknowledged is durable: a crash keeps all of the log; what was planned after it is gone with the planner.
                    try world.crash(keeping: world.log.count)
                    restarts += 1
                }
                if Int.random(in: 0..<50, using: &chance) == 0 {
                    try world.crash(keeping: world.log.count)
                    restarts += 1
                }
            }
            try world.settle()
            held += try check(world, seed)
        }
        #expect(restarts > 400)
        #expect(held > 0, "no seed held a task: the worlds are too tame")
    }

    /// The number of runs that wait for an operator.
    private func check(_ world: CoordinatorWorld, _ seed: UInt64) throws -> Int {
        var ended: [RunID: WorkflowRun] = [:]
        for item in world.history {
            guard case .run(let run) = item else { continue }
            #expect(ended.updateValue(run, forKey: run.id) == nil, "seed \(seed): run \(run.id) ended twice")
        }
        var held = 0
        for id in world.accepted {
            let open = world.planner.state.runs[id]?.run
            #expect(ended[id] != nil || open?.state == .held, "seed \(seed): run \(id) is lost")
            if open != nil { held += 1 }
        }
        for (task, count) in try successes(world.log) { #expect(count == 1, "seed \(seed): \(task) succeeded \(count) times") }
        return held
    }

    /// How often the log records that a task succeeded.
    private func successes(_ log: [CoordinatorWorld.Logged]) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for entry in log {
            for command in try CommandCodec.decode(entry.payload).commands {
                switch command {
                case .start(let start):
                    for task in start.run.tasks where task.state == .succeeded { counts["\(start.run.id).\(task.name)", default: 0] += 1 }
                case .submit(let submit):
                    for run in submit.runs {
                        for task in run.tasks where task.state == .succeeded { counts["\(run.id).\(task.name)", default: 0] += 1 }
                    }
                case .settle(let settle):
                    for task in settle.tasks where task.record.state == .succeeded {
                        counts["\(settle.run).\(task.record.name)", default: 0] += 1
                    }
                case .stage, .activate, .digest, .featureLevel, .freeze: break
                }
            }
        }
        return counts
    }
}
