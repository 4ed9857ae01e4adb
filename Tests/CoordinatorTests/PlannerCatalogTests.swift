import Coordinator
import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

/// Rules and workflows, "Must have" 22: a run is pinned to the versions it started with.
struct PlannerCatalogTests {
    private let changedOrder = workflowText("order", #"{"only": {"use": "transform", "with": {"value": "new"}}}"#)

    @Test func `definitions come into force with their entry, as a new version`() throws {
        var rig = try Rig()
        #expect(rig.planner.state.catalogVersion == 1)
        let output = try rig.activate([changedOrder])
        #expect(output.firstAnswer == .activated(2))
        #expect(output.proposals.compactMap { $0.catalog?.version } == [2])
        #expect(output.notices.contains { $0.notice == .catalogChanged(version: 2) })
        #expect(rig.planner.state.definitions[workflowKey("order")]?.version == 2)
        #expect(rig.planner.state.definitions[workflowKey("note")]?.version == 1)
        let next = rig.submit("order")
        #expect(next.assignments.map(\.task) == ["only"])
    }

    @Test func `a change planned against an older catalog is refused`() throws {
        var rig = try Rig()
        let one = try rig.activation([changedOrder])
        let two = try rig.activation([workflowText("other", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)])
        let output = rig.handle([one, two])
        try #require(output.answers.count == 2)
        #expect(output.answers[0].answer == .activated(2))
        guard case .conflict = output.answers[1].answer else {
            Issue.record("\(output.answers[1].answer)")
            return
        }
        #expect(rig.planner.state.catalogVersion == 2)
    }

    @Test func `an open run keeps the definition that it began with, after a restart too`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order", 1)
        try rig.activate([changedOrder])
        let run = try #require(rig.run(pay.run))
        #expect(rig.planner.state.definition(of: run)?.version == 1)
        let fresh = rig.submit("order", 2)
        #expect(fresh.assignments.map(\.task) == ["only"])
        try rig.restart()
        rig.handle([.join(rig.worker, slots: 4, light: 8)])
        #expect(rig.planner.state.definition(of: run)?.version == 1)
        let next = rig.end(pay)
        #expect(next.assignments.map(\.task) == ["ship"])
        let ship = try #require(next.assignments.first)
        let last = rig.end(ship)
        #expect(last.ended.map(\.state) == [.succeeded])
        #expect(rig.planner.state.definition(of: run) == nil)
    }

    @Test func `an open run outlives the removal of its definition`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order", 1)
        try rig.activate(
            [ruleSetText("[\(ruleText("note", starts: "note"))]")],
            removing: [workflowKey("order"), workflowKey("fragile"), workflowKey("pause")])
        #expect(rig.planner.state.definitions[workflowKey("order")] == nil)
        try rig.restart()
        rig.handle([.join(rig.worker, slots: 4, light: 8)])
        let next = rig.end(pay)
        let ship = try #require(next.assignments.first)
        let last = rig.end(ship)
        #expect(last.ended.map(\.state) == [.succeeded])
    }

    @Test func `a run that follows a failed one goes by the same definition, after a restart too`() throws {
        var rig = try Rig()
        let first = try rig.begin("fragile", 1)
        try rig.activate([
            workflowText(
                "fragile", #"{"a": {"use": "wait", "with": {"duration": "1h"}}, "b": {"use": "exec", "with": {"command": ["b"]}}}"#)
        ])
        let failed = rig.end(first, .failed(TaskError(type: "exit_code", message: "1", status: 1)))
        let second = try #require(failed.assignments.first)
        #expect(second.task == "try")
        let successor = try #require(rig.run(second.run))
        #expect(rig.planner.state.definition(of: successor)?.version == 1)
        try rig.restart()
        let kept = try #require(rig.planner.state.definition(of: successor))
        let original = try record(Rig.definitions[3])
        #expect(kept.json == original.json)
    }

    @Test func `a catalog too large for one entry comes in pieces`() throws {
        var limits = Planner.Limits()
        limits.stageBytes = 300
        limits.entryBytes = 300
        var rig = try Rig(limits: limits)
        #expect(rig.log.count > 3)
        let all = try commands(rig.log)
        let pieces = all.filter { command -> Bool in
            if case .stage = command { return true }
            return false
        }
        #expect(pieces.count > 2)
        guard case .activate(let activate)? = all.last else {
            Issue.record("the last command is no activation")
            return
        }
        #expect(activate.upload != nil)
        #expect(activate.definitions.isEmpty)
        #expect(rig.planner.state.definitions.count == Rig.definitions.count)
        let state = try replayed(rig.log)
        #expect(state.digest == rig.planner.state.digest)
        let (catalog, unreadable) = Catalog.compile(state)
        #expect(unreadable.isEmpty)
        #expect(catalog.allWorkflows.map(\.definition.name) == ["fragile", "note", "order", "pause"])
        let output = rig.submit("order")
        #expect(output.assignments.map(\.task) == ["pay"])
    }

    @Test func `only the entry that activates brings the compiled catalog`() throws {
        var limits = Planner.Limits()
        limits.stageBytes = 300
        limits.entryBytes = 300
        let rig = try Rig(limits: limits)
        let withCatalog = rig.log.filter { $0.catalog != nil }
        #expect(withCatalog.count == 1)
        #expect(withCatalog.first?.state.catalogVersion == 1)
        #expect(rig.log.filter { $0.catalog == nil }.allSatisfy { $0.state.catalogVersion == 0 })
    }
}
