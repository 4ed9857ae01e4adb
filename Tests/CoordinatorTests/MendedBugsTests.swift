import Observability
import Primitives
import Raft
import Storage
import Testing
import Transport
import Wire

@testable import Cluster
@testable import Coordinator

/// To CoordinatorRestartTests: each fails by the code of 14:50.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct MendedBugsTests {
    /// What is held while leadership is handed over (`LoopThread.held`) is in no batch that the end of the thread refuses: who asked waits for ever.
    @Test func `who is held when a node stops is answered`() async throws {
        var settings = CoordinatorStage.settings
        // So long a transfer to a server that does not hear of it lasts.
        settings.raft.raft.electionTimeout = .milliseconds(150)..<(.seconds(5))
        try await withCoordinators(3, settings) { stage in
            try await stage.activate()
            _ = try await stage.settled()
            let leader = try await stage.withLeader { $0 }
            let target = stage.others(than: leader)[0].id
            leader.cut(to: [target])
            let (node, answered) = (leader.node, Kept<[Intake.Verdict]>())
            let handing = Task { try? await node.raft.transfer(to: target) }
            let isHanding = await eventually { node.raft.status.transferTo == target }
            #expect(isHanding)
            let asking = Task { answered.add(await node.intake.submit([numbered("seen", 1)], trace: nil)) }
            _ = await eventually { node.metrics.received.count > 0 && node.loop.mail.count == 0 }
            await withCheckedContinuation { waiting in node.loop.probe { waiting.resume() } }
            await stage.stop(leader)
            _ = await handing.value
            let isAnswered = await eventually(.seconds(10)) { answered.all.count == 1 }
            #expect(isAnswered)
            asking.cancel()
        }
    }

    /// A timer that strikes before the waiter is in the list finds nobody, and nobody is let go later.
    @Test func `who waits for no time at all is told at once`() async throws {
        try await withCoordinators(1) { stage in
            let loop = stage.members[0].node.loop
            for _ in 0..<2_000 {
                let isApplied = await loop.waitApplied(LogIndex(1 << 40), timeout: .zero)
                #expect(!isApplied)
            }
        }
    }
}
