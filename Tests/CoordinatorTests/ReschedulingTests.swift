import Primitives
import Testing
import Workflows

@testable import Cluster
@testable import Coordinator

/// Settings of scheduling that change while a node leads, and what it says of what waits (LoopThread+Following.swift).
@Suite(.serialized, .timeLimit(.minutes(4)))
struct ReschedulingTests {
    @Test func `the queue is made anew, and nothing that waits or comes is lost`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            var runs: [RunID] = []
            for round in 0..<5 {
                var settings = SchedulingSettings()
                settings.ageing = .seconds(1 + round)
                for member in stage.members { member.node.loop.schedule(settings) }
                // What comes in the middle of it is held, and planned then.
                for number in 0..<4 { runs += try await stage.submit(numbered("note", round * 4 + number)) }
            }
            let found = try await stage.withLeader { leader -> (Int, Blocked?, Blocked?)? in
                let loop = leader.node.loop
                guard loop.queue.queued == runs.count else { return nil }
                return (loop.queue.queued, await loop.blocked(run: runs[0], task: 0), await loop.blocked(run: runs[0], task: 7))
            }
            #expect(found.0 == 20 && found.1 == .noWorker && found.2 == nil)
            let states = try await stage.settled()
            #expect(states.allSatisfy { $0.runs.count == 20 && $0.digest == states[0].digest })
        }
    }

    @Test func `only who leads says why a task waits`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            let run = try await stage.submit(numbered("note", 1))[0]
            _ = try await stage.settled()
            let isKnown = await eventually {
                var answers: [Blocked?] = []
                for member in stage.members { answers.append(await member.node.loop.blocked(run: run, task: 0)) }
                return answers.count { $0 == .noWorker } == 1 && answers.count { $0 == nil } == 2
            }
            #expect(isKnown)
            let isShown = await eventually {
                stage.members.count { member in
                    member.node.loop.waiting.why(.init(namespace: .default, shape: TaskShape(.transform))) == .noWorker
                } == 1
            }
            #expect(isShown)
        }
    }
}
