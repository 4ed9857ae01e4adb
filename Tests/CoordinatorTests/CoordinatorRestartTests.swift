import HashTreeCollections
import Observability
import Primitives
import Raft
import Storage
import Testing
import Transport
import Wire
import Workflows

@testable import Cluster
@testable import Coordinator

/// What a coordinator has when it starts again, what it waits for, and what time may do (LoopThread.swift, CoordinatorLoop.swift).
@Suite(.serialized, .timeLimit(.minutes(4)))
struct CoordinatorRestartTests {
    // MARK: Starting again

    @Test func `a node that is alone has all of it again, and leads`() async throws {
        try await withCoordinators(1) { stage in
            try await stage.activate()
            var runs: [RunID] = []
            for number in 0..<10 { runs += try await stage.submit(numbered("note", number)) }
            let member = stage.members[0]
            let before = try await stage.settled()[0]
            await stage.stop(member)
            let again = try await stage.start(member.id)
            #expect(again.node.recovery.entries == Int(before.applied.number))
            #expect(again.node.recovery.openRuns == 10)
            let after = try await stage.settled()[0]
            #expect(after.applied == before.applied.next, "the first entry of its new term")
            #expect(after.totals == before.totals)
            #expect(runs.allSatisfy { after.runs[$0] != nil })
            let repeated = try await stage.submit(numbered("note", 3))
            #expect(repeated == [runs[3]], "and knows what it took")
        }
    }

    @Test func `of an end of the log that nobody else has, nothing is applied`() async throws {
        var settings = CoordinatorStage.settings
        // It leads on where nobody hears it.
        settings.raft.raft.checkQuorum = false
        try await withCoordinators(3, settings) { stage in
            try await stage.activate()
            _ = try await stage.settled()
            let lonely = try await stage.withLeader { $0 }
            let others = stage.others(than: lonely)
            lonely.cut(to: others.map(\.id))
            for other in others { other.cut(to: [lonely.id]) }
            let before = lonely.node.raft.status
            let node = lonely.node
            let asked = Task { await node.intake.submit([numbered("note", 99)], trace: nil) }
            let isLogged = await eventually {
                let now = node.raft.status
                return now.lastIndex > before.lastIndex && now.durableIndex == now.lastIndex
            }
            #expect(isLogged)
            await stage.stop(lonely)
            guard case .uncertain(let why)? = await asked.value.first else {
                Issue.record("accepted, and nobody else has it")
                return
            }
            #expect(why == "the node is stopping")
            let runs = try await stage.submit(numbered("note", 1))

            let back = try await stage.start(lonely.id) { faults in
                for other in others { faults.set(LinkFault(isCut: true), to: other.id) }
            }
            #expect(back.node.raft.status.lastIndex > before.lastIndex, "it is there")
            #expect(back.state.applied == .zero, "and nobody has said what of it is committed")
            #expect(back.state.runs.isEmpty)
            for member in stage.members { member.faults.clear() }
            let states = try await stage.settled()
            #expect(states.count == 3)
            for state in states {
                #expect(state.digest == states[0].digest)
                #expect(state.totals.accepted == 1)
                #expect(state.runs.keys.sorted() == runs)
            }
        }
    }

    @Test func `a node that was away for long gets the state whole, says what its history lacks, and starts again with it`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            _ = try await stage.settled()
            let leader = try await stage.withLeader { $0 }
            let away = stage.others(than: leader)[0]
            let end = away.node.raft.status.lastIndex
            await stage.stop(away)
            var runs: [RunID] = []
            for number in 0..<30 { runs += try await stage.submit(numbered("note", number)) }
            _ = try await stage.settled()
            for member in stage.members { member.node.loop.requestSnapshot() }
            let isCompacted = await eventually { stage.members.allSatisfy { $0.node.raft.status.firstIndex > end.next } }
            #expect(isCompacted)

            let back = try await stage.start(away.id)
            let states = try await stage.settled()
            #expect(states.count == 3)
            for state in states {
                #expect(state.digest == states[0].digest)
                #expect(runs.allSatisfy { state.runs[$0] != nil })
            }
            #expect(back.telemetry.events.latest(200).contains { $0.kind == "history.gap" })
            #expect(back.node.loop.catalog.version == 1)
            let manifest = try #require(try back.node.raft.snapshots.newestManifest())
            #expect(manifest.isInstalled)

            await stage.stop(back)
            let again = try await stage.start(away.id)
            #expect(again.node.recovery.snapshotIndex == manifest.position.index)
            #expect(again.node.recovery.openRuns == 30)
            #expect(again.node.loop.catalog.version == 1)
            let after = try await stage.settled()
            #expect(after.allSatisfy { $0.digest == after[0].digest })
        }
    }

    // MARK: Waiting

    @Test func `who waits for an entry is told when it is applied, or that it was not in time`() async throws {
        try await withCoordinators { stage in
            try await stage.activate()
            for number in 0..<5 {
                try await stage.submit(numbered("note", number))
                let index = try await stage.withLeader { $0.state.applied }
                for member in stage.members {
                    let isApplied = await member.node.loop.waitApplied(index, timeout: .seconds(60))
                    #expect(isApplied)
                    #expect(member.state.applied >= index)
                    #expect(member.state.totals.accepted >= UInt64(number + 1), "what was acknowledged before is in it")
                }
            }
            let member = stage.members[0]
            let loop = member.node.loop
            let far = LogIndex(member.state.applied.number + 1_000_000)
            let isFar = await loop.waitApplied(far, timeout: .milliseconds(50))
            #expect(!isFar)
            let next = member.state.applied.next
            async let waiting = loop.waitApplied(next, timeout: .seconds(60))
            try await stage.submit(numbered("seen", 1))
            let hasCome = await waiting
            #expect(hasCome)
            let left = Task { await loop.waitApplied(far, timeout: .seconds(600)) }
            left.cancel()
            let isLeft = await left.value
            #expect(!isLeft)
        }
    }

    // MARK: Time

    /// A worker that takes whatever it is given and never says anything.
    private struct SilentWorker: WorkerLink {
        let node: NodeID
        let capacity = WorkerCapacity(slots: 0, light: 0)
        func assign(_ assignments: [TaskAssignment]) {}
        func cancel(_ held: HeldAssignment) {}
        func committed(_ reports: [TaskReport]) {}
        func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport] { [] }
        func log(run: RunID, task: String, attempt: Int) -> [UInt8]? { nil }
        func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) { (0, []) }
    }

    @Test func `of a cluster that was restored no timer fires before somebody says so`() async throws {
        try await withCoordinators(1) { stage in
            try await stage.activate()
            let id = stage.members[0].id
            await stage.stop(stage.members[0])
            try TimersHold.set(stage.path(id), reason: "a backup was restored")
            let member = try await stage.start(id)
            let loop = member.node.loop
            // A new leader gives workers time to say what became of their tasks: from here on nothing else holds timers.
            loop.join(SilentWorker(node: try NodeID("w-1")))
            func pause(_ number: Int) async throws -> RunID {
                let run = try #require(try await stage.submit(numbered("pause", number)).first)
                let due = try #require(member.state.runs[run]?.run.nextTimer)
                let isDue = await eventually { member.telemetry.clock.wall > due }
                #expect(isDue)
                return run
            }
            let first = try await pause(1)
            for number in 0..<10 { try await stage.submit(numbered("seen", number)) }
            #expect(member.state.runs[first] != nil, "it was due, and the planner has looked")
            #expect(loop.resumeTimers())
            let hasEnded = await eventually { member.state.runs[first] == nil }
            #expect(hasEnded)
            #expect(try member.node.history.run(first)?.state == .succeeded)
            #expect(!loop.resumeTimers(), "nothing is held any more")
            let second = try await stage.submit(numbered("pause", 2))
            let endsByItself = await eventually { second.allSatisfy { member.state.runs[$0] == nil } }
            #expect(endsByItself)
        }
    }
}
