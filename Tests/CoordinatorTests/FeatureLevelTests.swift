import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// Which commands may be in the log, and how that is raised (FeatureLevels.swift, PlannerLevels.swift, Decisions/FeatureLevels.md).
struct FeatureLevelTests {
    private let (a, b, c): (NodeID, NodeID, NodeID)

    init() throws { (a, b, c) = (try NodeID("c-1"), try NodeID("c-2"), try NodeID("c-3")) }

    // MARK: The state

    @Test func `a state that nobody raised is at the level of programs that knew none`() {
        let state = CoordinatorState(cluster: Rig.cluster)
        #expect(state.featureLevel == FeatureLevels.unspoken)
        #expect(state.isUntouched)
        #expect(FeatureLevels.unspoken < FeatureLevels.newest)
    }

    @Test func `the level rises by one, and never falls`() throws {
        var replica = Replica()
        replica.state.featureLevel = 1
        for wrong: UInt16 in [0, 1, 3, .max] {
            let outcome = try replica.apply(.featureLevel(wrong))
            #expect(outcome == .stale("the feature level is 1, and rises by one"), "\(wrong)")
            #expect(replica.state.featureLevel == 1)
        }
        #expect(try replica.apply(.featureLevel(2)) == .done)
        #expect(try replica.apply(.featureLevel(3)) == .done)
        #expect(try replica.apply(.featureLevel(2)) == .stale("the feature level is 3, and rises by one"))
        #expect(replica.state.featureLevel == 3)
        replica.state.featureLevel = .max
        #expect(try replica.apply(.featureLevel(0)) == .stale("the feature level is 65535, and rises by one"))
    }

    @Test func `a level that was raised is in the digest, and one that was not is not`() throws {
        var silent = Replica()
        var raised = silent
        try silent.apply(.featureLevel(9))
        try raised.apply(.featureLevel(3))
        #expect(silent.state.digest != raised.state.digest)
        raised.state.featureLevel = FeatureLevels.unspoken
        #expect(silent.state.digest == raised.state.digest)
    }

    @Test func `a snapshot keeps the level, and one without it reads as before`() throws {
        var replica = Replica()
        let before = StateCodec.encode(replica.state)
        #expect(try StateCodec.decode(before, dedup: DedupWindow()).featureLevel == FeatureLevels.unspoken)
        try replica.apply(.featureLevel(3))
        let read = try StateCodec.decode(StateCodec.encode(replica.state), dedup: DedupWindow())
        #expect(read.featureLevel == 3)
        #expect(read.digest == replica.state.digest)
        var reader = TLVReader(before[...], repeating: ~0)
        let head = try reader.next()
        var fields = try #require(head).message()
        var tags: [UInt16] = []
        while let field = try fields.next() { tags.append(field.tag) }
        #expect(tags == Array(1...11), "programs before the level refuse a field that they do not know")
    }

    @Test func `a command needs the level that brought it, and an entry asks for that of its commands`() throws {
        let run = try Replica.sample()
        let commands: [(Command, UInt16)] = [
            (.submit(Submit(message: run.message, catalogVersion: 1, matched: [], runs: [])), 1), (.settle(Settle(from: run, to: run)), 1),
            (.stage(Stage(upload: UUIDv7(high: 1, low: 1), offset: 0, bytes: [])), 1),
            (.activate(Activate(expectedVersion: 0, upload: nil, definitions: [], removed: [])), 1), (.digest(StateDigest()), 1),
            (.start(Start(run: run)), 2), (.featureLevel(1), 3), (.featureLevel(3), 3), (.featureLevel(7), 7),
        ]
        for (command, level) in commands {
            #expect(command.neededLevel == level, "\(command.kind)")
            let envelope = try LogEnvelope.head(of: CommandCodec.encode([.digest(StateDigest()), command], time: .zero))
            #expect(envelope.featureLevel == level, "\(command.kind)")
        }
    }

    @Test func `a command is permitted from its level on, and a level only as the next`() throws {
        let start = Command.start(Start(run: try Replica.sample()))
        var state = CoordinatorState(cluster: Rig.cluster)
        state.featureLevel = 1
        #expect(state.permits(.digest(StateDigest())))
        #expect(!state.permits(start))
        #expect(state.permits(.featureLevel(2)))
        #expect(!state.permits(.featureLevel(3)) && !state.permits(.featureLevel(1)) && !state.permits(.featureLevel(0)))
        state.featureLevel = 2
        #expect(state.permits(start))
    }

    // MARK: Raising

    private func raise(_ rig: inout Rig, to level: UInt16?, _ announced: [NodeID: UInt16]) -> Planner.Output {
        let token = rig.token()
        return rig.handle([.raiseFeatureLevel(to: level, announced: announced, token: token)])
    }

    private func conflict(_ output: Planner.Output) -> String? {
        if case .conflict(let text)? = output.firstAnswer { return text }
        return nil
    }

    @Test func `the level is raised when every voter knows it`() throws {
        var rig = try Rig()
        let output = raise(&rig, to: 3, [a: 3, b: 4, c: 3])
        #expect(output.firstAnswer == .done)
        #expect(try commands(output.proposals) == [.featureLevel(3)])
        #expect(output.answers.map { $0.index } == output.proposals.map(\.index))
        #expect(rig.planner.state.featureLevel == 3)
        #expect(try replayed(rig.log).featureLevel == 3)
    }

    @Test func `levels are raised one after the other`() throws {
        var state = CoordinatorState(cluster: Rig.cluster)
        state.featureLevel = 1
        var planner = Planner(term: Term(1), state: state, catalog: .empty, seed: 1, wall: ClusterTime(milliseconds: 5))
        let output = planner.handle([.raiseFeatureLevel(to: 3, announced: [a: 3], token: 1)], wall: ClusterTime(milliseconds: 5))
        #expect(try commands(output.proposals) == [.featureLevel(2), .featureLevel(3)])
        #expect(planner.state.featureLevel == 3)
    }

    @Test func `who does not know the level is named, and nothing is proposed`() throws {
        var rig = try Rig()
        let output = raise(&rig, to: 3, [c: 0, a: 3, b: 2])
        #expect(
            conflict(output)
                == "feature level 3 needs every voter to know it: c-2 has 2, c-3 is not connected; start these with the newer distric, or remove them"
        )
        #expect(output.proposals.isEmpty)
        #expect(rig.planner.state.featureLevel == 2)
    }

    @Test func `the next level is the most that a voter knows, and never less than there is`() {
        #expect(FeatureLevels.target(from: 2, [a: 3, b: 4, c: 0]) == 4)
        #expect(FeatureLevels.target(from: 3, [a: 2, b: 0]) == 3)
        #expect(FeatureLevels.target(from: 3, [:]) == 3)
        #expect(FeatureLevels.common([a: 3, b: 4]) == 3)
        #expect(FeatureLevels.common([a: 3, b: 0]) == 0)
    }

    @Test func `a level is not lowered, nor raised above the leader's own program, nor for nobody`() throws {
        var rig = try Rig()
        let newer = FeatureLevels.newest + 1
        #expect(conflict(raise(&rig, to: 1, [a: 3])) == "the cluster is at feature level 2, and a level is never lowered")
        #expect(
            conflict(raise(&rig, to: newer, [a: newer]))
                == "the leader's own program has feature level \(FeatureLevels.newest), not \(newer)")
        #expect(conflict(raise(&rig, to: 3, [:])) == "no voter is known")
        #expect(rig.planner.state.featureLevel == 2)
    }

    @Test func `raising to the level that there is does nothing`() throws {
        var rig = try Rig()
        _ = raise(&rig, to: 3, [a: 3])
        let again = raise(&rig, to: 3, [a: 1])
        #expect(again.firstAnswer == .done)
        #expect(again.proposals.isEmpty)
    }

    @Test func `a new cluster begins at the most that all know`() throws {
        func begun(_ announced: [NodeID: UInt16]) throws -> [Command] {
            let wall = ClusterTime(milliseconds: 5)
            var planner = Planner(
                term: Term(1), state: CoordinatorState(cluster: Rig.cluster), catalog: .empty, seed: 1, wall: wall)
            let output = planner.handle([.raiseFeatureLevel(to: nil, announced: announced, token: nil)], wall: wall)
            #expect(output.answers.isEmpty)
            return try commands(output.proposals)
        }
        #expect(try begun([a: 3, b: 3, c: 3]) == [.featureLevel(3)])
        #expect(try begun([a: 3, b: 9, c: 8]) == [.featureLevel(3)])
        #expect(try begun([a: 3, b: 2, c: 3]).isEmpty)
        #expect(try begun([a: 3, b: 0, c: 3]).isEmpty)
        #expect(try begun([:]).isEmpty)
    }

    @Test func `a cluster that is not new is raised by nobody but an operator`() throws {
        var rig = try Rig()
        #expect(!rig.planner.state.isUntouched)
        #expect(raise(&rig, to: nil, [a: 3]).proposals.isEmpty)
        #expect(rig.planner.state.featureLevel == 2)
        var started = CoordinatorState(cluster: Rig.cluster)
        started.begin(LogIndex(1), term: Term(1), time: started.time)
        #expect(started.isUntouched, "what Raft puts into the log itself is no command")
    }

    // MARK: The gate

    @Test func `what the cluster's level does not permit is refused with the way to it`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let old = try #require(rig.end(pay, .failed(TaskError(type: "exit_code", message: "1"))).ended.first)
        var state = rig.planner.state
        state.featureLevel = 1
        let (catalog, _) = Catalog.compile(state)
        rig.planner = Planner(term: Term(1), state: state, catalog: catalog, seed: 6, wall: rig.wall)
        let token = rig.token()
        let refused = rig.handle([.retry(old, trace: nil, token: token)])
        #expect(
            conflict(refused)
                == "this needs feature level 2, and the cluster is at 1: when every voter runs the newer distric, raise it with 'distric cluster upgrade finalize'"
        )
        #expect(refused.proposals.isEmpty)
        #expect(rig.openRuns == 0)
        _ = raise(&rig, to: 2, [a: 2])
        let taken = rig.handle([.retry(old, trace: nil, token: token)])
        guard case .started? = taken.firstAnswer else {
            Issue.record("\(String(describing: taken.firstAnswer))")
            return
        }
        #expect(rig.openRuns == 1)
    }

    @Test func `workflows that say where tasks go wait for programs that can read them`() throws {
        let text = workflowText("pinned", #"{"go": {"use": "exec", "with": {"command": ["go"]}, "labels": {"zone": "north"}}}"#)
        var rig = try Rig()
        let refused = try rig.activate([text])
        #expect(
            conflict(refused)?.hasPrefix(
                "tasks with priority, cost, labels, prefer, sticky or apart: this needs feature level 4, and the cluster is at 2: ")
                == true,
            "\(String(describing: refused.firstAnswer))")
        #expect(refused.proposals.isEmpty && rig.planner.catalog.workflow("pinned", in: .default) == nil)
        _ = raise(&rig, to: 4, [a: 4])
        for limit in [Planner.Limits().stageBytes, 40] {
            var limits = Planner.Limits()
            limits.stageBytes = limit
            var other = try Rig(limits: limits)
            _ = raise(&other, to: 4, [a: 4])
            let taken = try other.activate([text])
            let activate = try commands(taken.proposals).compactMap { if case .activate(let activate) = $0 { activate } else { nil } }
            #expect(activate.map(\.level) == [4])
            #expect((activate.first?.upload == nil) == (limit > 40))
            #expect(other.planner.catalog.workflow("pinned", in: .default) != nil)
        }
        let plain = try rig.activate([workflowText("plain", #"{"go": {"use": "exec", "with": {"command": ["go"]}}}"#)])
        #expect(try commands(plain.proposals).map(\.neededLevel).max() == 1, "what says nothing of it is read by all")
    }
}

extension Replica {
    /// Some run.
    static func sample() throws -> WorkflowRun {
        var replica = Replica()
        try replica.activate([workflowText("note", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)])
        return try replica.begun("note", 1)
    }
}
