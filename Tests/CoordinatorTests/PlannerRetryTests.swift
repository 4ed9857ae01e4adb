import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Testing
import Wire
import Workflows

/// A run that has ended is begun again by an operator: a new run, of the workflow as it is now (Planner.swift, `retry`).
struct PlannerRetryTests {
    private let changedOrder = workflowText("order", #"{"only": {"use": "transform", "with": {"value": "new"}}}"#)
    private let exit = TaskError(type: "exit_code", message: "1", status: 1)

    /// An `order` whose payment failed.
    private func failed(_ rig: inout Rig, _ number: Int = 1) throws -> WorkflowRun {
        let pay = try rig.begin("order", number)
        let output = rig.end(pay, .failed(exit))
        return try #require(output.ended.first)
    }

    private func retry(_ rig: inout Rig, _ run: WorkflowRun, trace: TraceContext? = nil) -> Planner.Output {
        let token = rig.token()
        return rig.handle([.retry(run, trace: trace, token: token)])
    }

    private func started(_ output: Planner.Output) throws -> RunID {
        var found: RunID?
        if case .started(let id)? = output.firstAnswer { found = id }
        return try #require(found, "\(output.answers)")
    }

    /// The workflows in force but `order`, which no rule names any more.
    private func removeOrder(_ rig: inout Rig) throws {
        let rules = [ruleText("note", starts: "note"), ruleText("pause", starts: "pause"), ruleText("fragile", starts: "fragile")]
        try rig.activate([ruleSetText("[\(rules.joined(separator: ", "))]")], removing: [workflowKey("order")])
    }

    // MARK: The new run

    @Test func `the new run has the message and the parameters of the old one, and names it`() throws {
        var rig = try Rig()
        let workflow = try #require(rig.planner.catalog.workflow("order", in: .default))
        let params: Value = ["amount": 25, "to": ["é"]]
        var old = WorkflowRun(
            id: RunID(high: 1, low: 2), definition: workflow.definition, definitionVersion: workflow.version, rule: "rules/order",
            message: rig.message("order", 1), params: params, timeout: nil, retriesLeft: 3, retryOf: nil, trace: nil, now: rig.wall)
        var context = WorkflowRun.Context(definition: workflow.definition, now: rig.wall, generator: SeededGenerator(seed: 1))
        _ = old.handle(.start, &context)
        _ = old.handle(.cancel(reason: "not wanted"), &context)
        rig.pass(.seconds(7))
        let trace = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true, state: "vendor=1")
        let id = try started(retry(&rig, old, trace: trace))
        let run = try #require(rig.run(id))
        #expect(id != old.id)
        #expect(run.retryOf == old.id)
        #expect(run.message == old.message)
        #expect(run.params == params)
        #expect(run.rule == "rules/order")
        #expect(run.workflow == "order" && run.namespace == .default)
        #expect(run.definitionVersion == workflow.version)
        #expect(run.trace == trace)
        #expect(run.createdAt == rig.wall)
        #expect(run.state == .running && run.error == nil && run.endedAt == nil)
    }

    @Test func `its first task is assigned and dispatched at once when there is room`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let ended = rig.end(pay, .failed(exit)).ended
        let old = try #require(ended.first)
        let output = retry(&rig, old)
        let id = try started(output)
        #expect(output.proposals.count == 1)
        #expect(output.answers.map { $0.index } == output.proposals.map(\.index))
        #expect(output.dispatches.map { $0.index } == output.proposals.map(\.index))
        #expect(output.dispatches.map { $0.worker } == [rig.worker])
        let assignment = try #require(output.assignments.first)
        #expect(assignment.run == id)
        #expect(assignment.task == "pay" && assignment.attempt == 1)
        #expect(assignment.key == "\(id)/pay")
        #expect(assignment.fence > pay.fence)
        #expect(rig.states(id) == [.leased, .pending])
        #expect(rig.openRuns == 1)
        let first = try commands(output.proposals).first
        guard case .start(let start)? = first else {
            Issue.record("the first command is \(String(describing: first))")
            return
        }
        #expect(start.run.id == id)
        let totals = rig.planner.state.totals
        #expect([totals.accepted, totals.runsStarted, totals.runsEnded] == [1, 2, 1])
    }

    @Test func `it goes from task to task and ends like any other`() throws {
        var rig = try Rig()
        let old = try failed(&rig)
        let output = retry(&rig, old)
        let id = try started(output)
        let pay = try #require(output.assignments.first)
        let paid = rig.end(pay)
        let ship = try #require(paid.assignments.first)
        let last = rig.end(ship)
        #expect(last.ended.map(\.id) == [id])
        #expect(last.ended.map(\.state) == [.succeeded])
        #expect(rig.openRuns == 0)
        #expect(rig.planner.placement.runningTasks == 0)
    }

    @Test func `without room its task waits for its turn`() throws {
        var rig = try Rig(slots: 1)
        let old = try failed(&rig, 1)
        let busy = try rig.begin("order", 2)
        let output = retry(&rig, old)
        let id = try started(output)
        #expect(output.assignments.isEmpty)
        #expect(rig.states(id) == [.queued, .pending])
        #expect(rig.planner.ready.count == 1)
        let next = rig.end(busy).assignments.filter { $0.task == "pay" }
        #expect(next.map(\.run) == [id])
        #expect(rig.planner.ready.count == 0)
    }

    @Test func `its task does not overtake one that waits longer`() throws {
        var rig = try Rig(slots: 1)
        let old = try failed(&rig, 1)
        let busy = try rig.begin("order", 2)
        let waiting = rig.submit("order", 3).accepted
        rig.pass(.seconds(1))
        let id = try started(retry(&rig, old))
        let first = rig.end(busy).assignments.filter { $0.task == "pay" }
        #expect(first.map(\.run) == waiting)
        let pay = try #require(first.first)
        let second = rig.end(pay).assignments.filter { $0.task == "pay" }
        #expect(second.map(\.run) == [id])
    }

    @Test func `its timers strike`() throws {
        var rig = try Rig()
        let begun = rig.submit("pause")
        let first = try #require(begun.accepted.first)
        let cancelled = rig.handle([.cancel(first, reason: "x", token: 90)])
        let old = try #require(cancelled.ended.first)
        let id = try started(retry(&rig, old))
        #expect(rig.states(id) == [.waiting])
        let late = rig.pass(.seconds(92))
        #expect(late.ended.map(\.id) == [id])
    }

    @Test func `a run that ends as it begins is recorded and not open`() throws {
        var rig = try Rig(definitions: [
            ruleSetText("[\(ruleText("x", starts: "x"))]"),
            workflowText("x", #"{"a": {"use": "transform", "with": {"value": 1}, "when": false}}"#),
        ])
        let begun = rig.submit("x")
        let old = try #require(begun.ended.first)
        let output = retry(&rig, old)
        let id = try started(output)
        #expect(output.ended.map(\.id) == [id])
        #expect(output.ended.map(\.retryOf) == [old.id])
        #expect(rig.openRuns == 0)
        let hasNotice = output.notices.contains { item -> Bool in
            if case .runEnded(let run) = item.notice { return run.id == id }
            return false
        }
        #expect(hasNotice)
    }

    @Test func `when it fails nothing follows it by itself, whatever its rule allows`() throws {
        var rig = try Rig()
        var attempt = try rig.begin("fragile")
        var old: WorkflowRun?
        for _ in 0..<3 {
            let output = rig.end(attempt, .failed(exit))
            old = output.ended.last
            if let next = output.assignments.first { attempt = next }
        }
        #expect(rig.openRuns == 0)
        let run = try #require(old)
        let output = retry(&rig, run)
        let id = try started(output)
        #expect(rig.run(id)?.retriesLeft == 0)
        let again = try #require(output.assignments.first)
        let last = rig.end(again, .failed(exit))
        #expect(last.ended.map(\.id) == [id])
        #expect(last.assignments.isEmpty)
        #expect(rig.openRuns == 0)
    }

    @Test func `the same run can be begun again and again, each time as another`() throws {
        var rig = try Rig()
        let old = try failed(&rig)
        let one = rig.token()
        let two = rig.token()
        let both = rig.handle([.retry(old, trace: nil, token: one), .retry(old, trace: nil, token: two)])
        #expect(both.answers.map { $0.token } == [one, two])
        let ids = Set(both.assignments.map(\.run))
        #expect(ids.count == 2 && !ids.contains(old.id))
        #expect(rig.openRuns == 2)
    }

    // MARK: The workflow as it is now

    @Test func `the workflow in force is what runs, and what the run is pinned to`() throws {
        var rig = try Rig()
        let old = try failed(&rig)
        try rig.activate([changedOrder])
        let output = retry(&rig, old)
        let id = try started(output)
        #expect(output.assignments.map(\.task) == ["only"])
        let run = try #require(rig.run(id))
        #expect(old.definitionVersion == 1 && run.definitionVersion == 2)
        #expect(run.tasks.map(\.name) == ["only"])
        // A later change does not touch it.
        try rig.activate([workflowText("order", #"{"third": {"use": "transform", "with": {"value": 3}}}"#)])
        #expect(rig.planner.state.definition(of: run)?.version == 2)
        let only = try #require(output.assignments.first)
        let last = rig.end(only)
        #expect(last.ended.map(\.id) == [id])
        #expect(rig.planner.state.definition(of: run) == nil)
    }

    @Test func `a change in the same batch counts`() throws {
        var rig = try Rig()
        let old = try failed(&rig)
        let change = try rig.activation([changedOrder])
        let token = rig.token()
        let output = rig.handle([change, .retry(old, trace: nil, token: token)])
        #expect(output.assignments.map(\.task) == ["only"])
        let state = try replayed(rig.log)
        #expect(state.digest == rig.planner.state.digest)
    }

    private func slow(_ timeout: String) -> String {
        workflowText("slow", #"{"a": {"use": "exec", "with": {"command": ["a"]}}}"#, top: #""timeout": "\#(timeout)", "#)
    }

    @Test func `the workflow's own timeout is the one in force, longer or shorter`() throws {
        for (before, after, seconds) in [("2h", "1h", 3600), ("1h", "2h", 7200)] {
            var rig = try Rig(definitions: [ruleSetText("[\(ruleText("slow", starts: "slow"))]"), slow(before)])
            let attempt = try rig.begin("slow")
            let output = rig.end(attempt, .failed(exit))
            let old = try #require(output.ended.first)
            try rig.activate([slow(after)])
            let id = try started(retry(&rig, old))
            #expect(rig.run(id)?.deadline == rig.wall.advanced(by: .seconds(seconds)), "from \(before) to \(after)")
        }
    }

    @Test func `the timeout that the rule gave holds for the new run too`() throws {
        var rig = try Rig(definitions: [
            ruleSetText("[\(ruleText("quick", starts: "quick", more: #", "timeout": "10m""#))]"),
            workflowText("quick", #"{"a": {"use": "exec", "with": {"command": ["a"]}}}"#),
        ])
        let attempt = try rig.begin("quick")
        let output = rig.end(attempt, .failed(exit))
        let old = try #require(output.ended.first)
        #expect(old.deadline == old.createdAt.advanced(by: .seconds(600)))
        rig.pass(.seconds(30))
        let id = try started(retry(&rig, old))
        #expect(rig.run(id)?.deadline == rig.wall.advanced(by: .seconds(600)))
    }

    // MARK: Refusals

    @Test func `without its workflow it is a conflict, at once and without an entry`() throws {
        var rig = try Rig()
        let old = try failed(&rig)
        try removeOrder(&rig)
        let output = retry(&rig, old)
        #expect(output.firstAnswer == .conflict("workflow 'order' is no longer in force; apply it again first"))
        #expect(output.answers.map { $0.index } == [.zero])
        #expect(output.proposals.isEmpty && output.dispatches.isEmpty && output.notices.isEmpty)
        #expect(rig.openRuns == 0)
        try rig.activate([changedOrder])
        let id = try started(retry(&rig, old))
        #expect(rig.openRuns == 1 && rig.run(id)?.definitionVersion == 3)
    }

    @Test func `at the limit of open runs it is full, and below it again begun`() throws {
        var limits = Planner.Limits()
        limits.openRuns = 2
        var rig = try Rig(limits: limits)
        let old = try failed(&rig, 1)
        let second = try rig.begin("order", 2)
        rig.submit("order", 3)
        let output = retry(&rig, old)
        guard case .full? = output.firstAnswer else {
            Issue.record("\(output.answers)")
            return
        }
        #expect(output.answers.map { $0.index } == [.zero])
        #expect(output.proposals.isEmpty)
        #expect(rig.openRuns == 2)
        rig.end(second, .failed(exit))
        _ = try started(retry(&rig, old))
        #expect(rig.openRuns == 2)
    }

    // MARK: The log

    @Test func `replaying the log gives the planner's state, digests and history`() throws {
        var limits = Planner.Limits()
        limits.digestEvery = 3
        var rig = try Rig(limits: limits, slots: 2)
        var ended: [WorkflowRun] = []
        for number in 1...12 {
            if number == 6 { try rig.activate([workflowText("note", #"{"other": {"use": "transform", "with": {"value": 2}}}"#)]) }
            let output = rig.submit(["order", "note", "fragile"][number % 3], number)
            for assignment in output.assignments { ended += rig.end(assignment, .failed(exit)).ended }
            for run in ended.suffix(2) { for next in retry(&rig, run).assignments { ended += rig.end(next).ended } }
        }
        let starts = try commands(rig.log).filter { command -> Bool in
            if case .start = command { return true }
            return false
        }
        #expect(starts.count > 10)
        var state = try replayed([])
        for proposal in rig.log {
            let (time, commands) = try CommandCodec.decode(proposal.payload)
            state.begin(proposal.index, term: Term(1), time: time)
            var applied = Applied()
            for command in commands { try state.apply(command, into: &applied) }
            let isDone = applied.outcomes.allSatisfy { $0 == .done }
            #expect(isDone, "entry \(proposal.index): \(applied.outcomes)")
            #expect(applied.history == proposal.history, "entry \(proposal.index)")
            #expect(state.digest == proposal.state.digest, "entry \(proposal.index)")
        }
        #expect(state.totals == rig.planner.state.totals)
        #expect(StateCodec.encode(state) == StateCodec.encode(rig.planner.state))
    }

    @Test func `a new leader goes on with it`() throws {
        var rig = try Rig(slots: 1)
        let old = try failed(&rig)
        let output = retry(&rig, old)
        let id = try started(output)
        let pay = try #require(output.assignments.first)
        let waiting = try started(retry(&rig, old))
        try rig.restart()
        #expect(rig.run(id)?.retryOf == old.id && rig.run(waiting)?.retryOf == old.id)
        rig.handle([.join(rig.worker, slots: 1, light: 8)])
        let next = rig.end(pay).assignments
        let (ship, late) = (next.first { $0.task == "ship" }, next.first { $0.task == "pay" })
        #expect(ship?.run == id)
        #expect(late?.run == waiting)
    }
}
