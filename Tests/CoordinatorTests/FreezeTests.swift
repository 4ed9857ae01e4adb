import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// What operators stop in the whole cluster (State/Freeze.swift, PlannerFreeze.swift).
struct FreezeTests {
    private func rig(level: UInt16 = FeatureLevels.newest) throws -> Rig {
        var rig = try Rig()
        guard level > FeatureLevels.unspoken else { return rig }
        let token = rig.token()
        rig.handle([.raiseFeatureLevel(to: level, announced: [rig.worker: level], token: token)])
        return rig
    }

    @discardableResult
    private func change(_ rig: inout Rig, _ part: Freeze.Part, _ isFrozen: Bool, _ reason: String = "") -> Planner.Output {
        let token = rig.token()
        return rig.handle([.freeze(FreezeChange(part, isFrozen: isFrozen, reason: reason), token: token)])
    }

    @Test func `while intake is frozen no message is taken, and whoever sends is told why`() throws {
        var rig = try rig()
        #expect(change(&rig, .intake, true, "moving the database").firstAnswer == .done)
        let refused = rig.submit("order", 1)
        guard case .busy(let why)? = refused.firstAnswer else { return #expect(refused.firstAnswer == nil) }
        #expect(why.contains("moving the database") && why.contains("cluster thaw intake"))
        #expect(rig.planner.state.runs.isEmpty)
        #expect(change(&rig, .intake, false).firstAnswer == .done)
        rig.submit("order", 1)
        #expect(rig.planner.state.runs.count == 1)
    }

    @Test func `while dispatch is frozen tasks are queued, and go when it is thawed`() throws {
        var rig = try rig()
        change(&rig, .dispatch, true)
        let taken = rig.submit("order", 1)
        #expect(taken.dispatches.isEmpty)
        let task = try #require(rig.planner.state.runs.values.first?.run.tasks.first)
        #expect(task.state == .queued)
        let thawed = change(&rig, .dispatch, false)
        #expect(thawed.dispatches.count == 1)
        #expect(try replayed(rig.log).digest == rig.planner.state.digest)
    }

    @Test func `said twice it is done once, and a newer reason takes the place of the older`() throws {
        var rig = try rig()
        #expect(change(&rig, .intake, false).proposals.isEmpty, "nothing was frozen")
        change(&rig, .intake, true, "a")
        let since = try #require(rig.planner.state.frozen.intake).since
        #expect(change(&rig, .intake, true, "a").proposals.isEmpty)
        rig.pass(.seconds(5))
        #expect(change(&rig, .intake, true, "b").proposals.count == 1)
        #expect(rig.planner.state.frozen.intake == Freeze.Stop(since: since, reason: "b"))
        #expect(rig.planner.state.frozen.dispatch == nil)
    }

    @Test func `before the cluster knows of it, it is refused with what to do`() throws {
        var rig = try rig(level: 3)
        let refused = change(&rig, .dispatch, true)
        guard case .conflict(let text)? = refused.firstAnswer else { return #expect(refused.firstAnswer == nil) }
        #expect(text.contains("feature level 4") && text.contains("cluster upgrade finalize"))
        #expect(refused.proposals.isEmpty)
    }

    @Test func `a snapshot keeps it, and one that has none is as it was before there was any`() throws {
        var replica = Replica()
        let (plain, digest) = (StateCodec.encode(replica.state), replica.state.digest)
        for level: UInt16 in 3...4 { try replica.apply(.featureLevel(level)) }
        try replica.apply(.freeze(FreezeChange(.dispatch, isFrozen: true, reason: "é")))
        let read = try StateCodec.decode(StateCodec.encode(replica.state), dedup: DedupWindow())
        #expect(read.frozen == replica.state.frozen && read.digest == replica.state.digest)
        #expect(try replica.apply(.freeze(FreezeChange(.intake, isFrozen: false))) == .stale("intake is not frozen"))
        var untouched = Replica()
        untouched.state.frozen.intake = .init(since: .zero, reason: "")
        #expect(untouched.state.digest != digest)
        untouched.state.frozen.intake = nil
        #expect(untouched.state.digest == digest && StateCodec.encode(untouched.state) == plain)
    }
}
