import Cluster
import Coordinator
import Primitives
import Testing
import Wire
import Workflows

/// The planner turns what comes in into commands, applies them at once, and says what may be done when each is committed (Planner.swift).
struct PlannerTests {
    // MARK: Messages

    @Test func `a message is accepted with its runs, and their first tasks go to workers`() throws {
        var rig = try Rig()
        let output = rig.submit("order")
        try #require(output.accepted.count == 1)
        let id = output.accepted[0]
        #expect(output.firstAnswer == .accepted(runs: [id], duplicate: false))
        #expect(rig.states(id) == [.leased, .pending])
        #expect(output.proposals.count == 1)
        #expect(output.answers.map { $0.index } == output.proposals.map(\.index))
        let assignment = try #require(output.assignments.first)
        #expect(output.dispatches.map { $0.index } == output.proposals.map(\.index))
        #expect(output.dispatches.map { $0.worker } == [rig.worker])
        #expect(assignment.run == id)
        #expect(assignment.task == "pay")
        #expect(assignment.kind == "exec@1")
        #expect(assignment.attempt == 1)
        #expect(assignment.fence.term == Term(1))
        #expect(assignment.key == "\(id)/pay")
        #expect(assignment.timeout == .seconds(300))
        #expect(assignment.journalsStart)
        #expect(
            assignment
                == TaskAssignment(
                    run: id, task: "pay", namespace: .default, kind: "exec@1", attempt: 1, fence: assignment.fence, key: assignment.key,
                    input: ["command": ["pay"]], timeout: .seconds(300), journalsStart: true, trace: nil))
    }

    @Test func `a run goes from task to task by its reports and ends in the history`() throws {
        var rig = try Rig()
        let first = rig.submit("order")
        let pay = try #require(first.assignments.first)
        let second = rig.end(pay, .succeeded(["receipt": 5]))
        let ship = try #require(second.assignments.first)
        #expect(ship.task == "ship")
        #expect(!ship.journalsStart)
        let input: Value = ["value": ["receipt": 5]]
        #expect(ship.input == input)
        #expect(second.acknowledged.map { $0.isFresh } == [true])
        #expect(second.ended.isEmpty)
        let last = rig.end(ship)
        #expect(last.ended.map(\.id) == first.accepted)
        #expect(last.ended.map(\.state) == [.succeeded])
        #expect(rig.openRuns == 0)
        let hasNotice = last.notices.contains { item -> Bool in
            if case .runEnded(let run) = item.notice { return run.state == .succeeded }
            return false
        }
        #expect(hasNotice)
        let totals = rig.planner.state.totals
        #expect([totals.accepted, totals.runsStarted, totals.runsEnded, totals.tasksSucceeded] == [1, 1, 1, 2])
        #expect(rig.planner.placement.runningTasks == 0)
    }

    @Test func `a message that comes again is answered with the same runs`() throws {
        var rig = try Rig()
        let first = rig.submit("order", 7)
        let again = rig.submit("order", 7)
        #expect(again.firstAnswer == .accepted(runs: first.accepted, duplicate: true))
        #expect(again.proposals.isEmpty)
        #expect(again.assignments.isEmpty)
        #expect(rig.openRuns == 1)
        let one = rig.input("note", 8)
        let two = rig.input("note", 8)
        let both = rig.handle([one, two])
        try #require(both.answers.count == 2)
        #expect(both.answers[0].answer == .accepted(runs: both.accepted, duplicate: false))
        #expect(both.answers[1].answer == .accepted(runs: both.accepted, duplicate: true))
        #expect(both.answers[0].index == both.answers[1].index)
    }

    @Test func `a message of another source or namespace is another message`() throws {
        var rig = try Rig()
        rig.submit("note", 1)
        var other = rig.message("note", 1)
        other.source = "elsewhere"
        let made = rig.submission(other)
        let output = rig.handle([.submit(made, token: 99)])
        guard case .accepted(_, false)? = output.firstAnswer else {
            Issue.record("\(output.answers)")
            return
        }
    }

    @Test func `a message matched against an older catalog is to be matched again`() throws {
        var rig = try Rig()
        let early = rig.input("note", 1)
        try rig.activate([workflowText("other", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)])
        let late = rig.handle([early])
        #expect(late.firstAnswer == .rematch(2))
        #expect(late.proposals.isEmpty)
        let same = rig.input("note", 2)
        let change = try rig.activation([workflowText("third", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)])
        let batch = rig.handle([change, same])
        #expect(batch.answers.map { $0.answer } == [.activated(3), .rematch(3)])
        let again = rig.submit("note", 2)
        guard case .accepted(_, false)? = again.firstAnswer else {
            Issue.record("\(again.answers)")
            return
        }
    }

    @Test func `beyond the limit of open runs a message is refused as full`() throws {
        var limits = Planner.Limits()
        limits.openRuns = 2
        var rig = try Rig(limits: limits)
        rig.submit("order", 1)
        let second = rig.submit("order", 2)
        let third = rig.submit("order", 3)
        guard case .full? = third.firstAnswer else {
            Issue.record("\(third.answers)")
            return
        }
        #expect(third.proposals.isEmpty)
        let known = rig.submit("order", 2)
        #expect(known.firstAnswer == .accepted(runs: second.accepted, duplicate: true))
        let pay = try #require(second.assignments.first)
        rig.end(pay, .failed(TaskError(type: "exit_code", message: "1")))
        let fourth = rig.submit("order", 3)
        #expect(fourth.accepted.count == 1)
    }

    @Test func `a run that ended as it began is recorded and not open`() throws {
        var rig = try Rig(definitions: [
            ruleSetText("[\(ruleText("x", starts: "x"))]"),
            workflowText("x", #"{"a": {"use": "transform", "with": {"value": 1}, "when": false}}"#),
        ])
        let output = rig.submit("x")
        #expect(output.accepted.count == 1)
        #expect(output.ended.map(\.state) == [.succeeded])
        #expect(rig.openRuns == 0)
    }

    // MARK: Workers

    @Test func `tasks beyond the workers' room wait, and get the places that become free`() throws {
        var rig = try Rig(slots: 1)
        let first = rig.submit("order", 1)
        let second = rig.submit("order", 2)
        let third = rig.submit("order", 3)
        #expect(first.assignments.map(\.task) == ["pay"])
        #expect(second.assignments.isEmpty)
        #expect(third.assignments.isEmpty)
        #expect(rig.planner.ready.count == 2)
        #expect(rig.planner.placement.runningTasks == 1)
        let pay = try #require(first.assignments.first)
        let next = rig.end(pay)
        #expect(Set(next.assignments.map(\.run)) == Set(first.accepted + second.accepted))
        #expect(rig.planner.ready.count == 1)
        let freed = next.assignments.first { $0.task == "pay" }
        let late = try #require(freed)
        let last = rig.end(late)
        let payments = last.assignments.filter { $0.task == "pay" }
        #expect(payments.map(\.run) == third.accepted)
        #expect(rig.planner.ready.count == 0)
    }

    @Test func `light tasks do not wait for slots`() throws {
        var rig = try Rig(slots: 0, light: 1)
        let order = rig.submit("order", 1)
        let note = rig.submit("note", 2)
        #expect(order.assignments.isEmpty)
        #expect(note.assignments.map(\.task) == ["write"])
    }

    @Test func `a task that waits for a worker is not overtaken by a message that comes with the free place`() throws {
        var rig = try Rig(slots: 1)
        let first = rig.submit("order", 1)
        let second = rig.submit("order", 2)
        let pay = try #require(first.assignments.first)
        let report = rig.report(pay, .succeeded(1))
        let message = rig.input("order", 3)
        let output = rig.handle([report, message])
        let next = output.assignments.filter { $0.task == "pay" }
        #expect(next.map(\.run) == second.accepted)
    }

    @Test func `without workers tasks wait until one joins`() throws {
        var rig = try Rig(slots: 0, light: 0)
        let output = rig.submit("order", 1)
        #expect(output.assignments.isEmpty)
        let other = try NodeID("w-2")
        let joined = rig.handle([.join(other, slots: 1, light: 1)])
        #expect(joined.assignments.map(\.run) == output.accepted)
        #expect(joined.dispatches.map { $0.worker } == [other])
    }

    @Test func `every assignment has a fence above all before it`() throws {
        var rig = try Rig(slots: 50)
        var fences: [Fence] = []
        for number in 1...10 {
            let output = rig.submit("fragile", number)
            fences += output.assignments.map(\.fence)
            let first = try #require(output.assignments.first)
            let next = rig.end(first, .neverStarted)
            fences += next.assignments.map(\.fence)
        }
        #expect(fences.count == 20)
        #expect(zip(fences, fences.dropFirst()).allSatisfy { $0 < $1 })
        try rig.restart()
        rig.handle([.join(rig.worker, slots: 50, light: 8)])
        let output = rig.submit("fragile", 11)
        let later = try #require(output.assignments.first?.fence)
        #expect(fences.allSatisfy { $0 < later })
        #expect(later.term == Term(2))
    }

    // MARK: Reports

    @Test func `a report that comes twice or under another fence is acknowledged and not fresh`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        var stale = pay
        stale.fence = Fence(term: Term(1), assignment: pay.fence.assignment + 100)
        let refused = rig.end(stale)
        #expect(refused.acknowledged.map { $0.isFresh } == [false])
        #expect(refused.proposals.isEmpty)
        #expect(rig.states(pay.run) == [.leased, .pending])
        let taken = rig.end(pay)
        #expect(taken.acknowledged.map { $0.isFresh } == [true])
        let digest = rig.planner.state.digest
        let again = rig.end(pay, .failed(TaskError(type: "x", message: "y")))
        #expect(again.acknowledged.map { $0.isFresh } == [false])
        #expect(rig.planner.state.digest == digest)
        let unknown = rig.end(
            TaskAssignment(
                run: RunID(high: 9, low: 9), task: "pay", namespace: .default, kind: "exec@1", attempt: 1, fence: pay.fence, key: "k",
                input: nil,
                timeout: .seconds(1), journalsStart: false, trace: nil))
        #expect(unknown.acknowledged.map { $0.isFresh } == [false])
    }

    @Test func `a report in the same batch as its double is taken once`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let report = rig.report(pay, .succeeded(1))
        let output = rig.handle([report, report])
        #expect(output.acknowledged.map { $0.isFresh } == [true, false])
        #expect(output.assignments.map(\.task) == ["ship"])
    }

    @Test func `failures and unknown tasks are told of`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let lost = rig.end(pay, .lost)
        let unknown = try #require(rig.run(pay.run))
        #expect(lost.notices.contains { $0.notice == .taskUnknown(run: unknown, task: "pay", attempt: 1) })
        let attempt = try rig.begin("fragile", 2)
        let error = TaskError(type: "exit_code", message: "1", status: 1)
        let failed = rig.end(attempt, .failed(error))
        let ended = try #require(failed.ended.first)
        let expected = Planner.Notice.taskFailed(run: ended, task: "try", attempt: 1, error, willRetry: false)
        #expect(failed.notices.contains { $0.notice == expected })
    }

    // MARK: Operators

    @Test func `an unknown task is resolved by an operator`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let early = rig.handle([.resolve(pay.run, task: "pay", .retry, token: 1)])
        #expect(early.firstAnswer == .conflict("task 'pay' is leased, not unknown"))
        rig.end(pay, .lost)
        #expect(rig.run(pay.run)?.state == .held)
        #expect(rig.planner.placement.runningTasks == 0)
        let nobody = rig.handle([.resolve(RunID(high: 1, low: 1), task: "pay", .retry, token: 2)])
        #expect(nobody.firstAnswer == .notFound("no open run \(RunID(high: 1, low: 1))"))
        let nothing = rig.handle([.resolve(pay.run, task: "play", .retry, token: 3)])
        #expect(nothing.firstAnswer == .notFound("run \(pay.run) has no task 'play'"))
        let done = rig.handle([.resolve(pay.run, task: "pay", .succeeded(5), token: 4)])
        #expect(done.firstAnswer == .done)
        #expect(done.assignments.map(\.task) == ["ship"])
        #expect(done.answers.map { $0.index } == done.proposals.map(\.index))
    }

    @Test func `an unknown task that an operator lets be tried again goes to a worker`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        rig.end(pay, .lost)
        let again = rig.handle([.resolve(pay.run, task: "pay", .retry, token: 1)])
        let second = try #require(again.assignments.first)
        #expect(second.attempt == 2)
        #expect(second.fence > pay.fence)
        #expect(second.key == pay.key)
    }

    @Test func `a cancelled run ends, and its leased attempts are called back`() throws {
        var rig = try Rig()
        let pay = try rig.begin("order")
        let output = rig.handle([.cancel(pay.run, reason: "not wanted", token: 1)])
        #expect(output.firstAnswer == .done)
        #expect(output.ended.map(\.state) == [.cancelled])
        #expect(output.ended.first?.error?.message == "not wanted")
        #expect(output.cancels.map { $0.worker } == [rig.worker])
        #expect(output.cancels.map { $0.held.fence } == [pay.fence])
        #expect(rig.planner.placement.runningTasks == 0)
        let late = rig.end(pay)
        #expect(late.acknowledged.map { $0.isFresh } == [false])
        let again = rig.handle([.cancel(pay.run, reason: "again", token: 2)])
        #expect(again.firstAnswer == .notFound("no open run \(pay.run)"))
    }

    // MARK: Retry of a run

    @Test func `a failed run is followed by another while its rule allows it`() throws {
        var rig = try Rig()
        let first = rig.submit("fragile")
        var attempt = try #require(first.assignments.first)
        var ended: [WorkflowRun] = []
        for left in [1, 0] {
            let output = rig.end(attempt, .failed(TaskError(type: "exit_code", message: "1", status: 1)))
            ended += output.ended
            #expect(rig.openRuns == 1)
            let next = try #require(output.assignments.first)
            #expect(next.run != attempt.run)
            let successor = try #require(rig.run(next.run))
            #expect(successor.retryOf == attempt.run)
            #expect(successor.retriesLeft == left)
            #expect(successor.message == ended.first?.message)
            attempt = next
        }
        let last = rig.end(attempt, .failed(TaskError(type: "exit_code", message: "1", status: 1)))
        ended += last.ended
        #expect(last.assignments.isEmpty)
        #expect(rig.openRuns == 0)
        #expect(ended.map(\.state) == [.failed, .failed, .failed])
        #expect(Set(ended.map(\.id)).count == 3)
        let totals = rig.planner.state.totals
        #expect([totals.accepted, totals.runsStarted, totals.runsEnded] == [1, 3, 3])
    }

    @Test func `a run that succeeds is followed by none`() throws {
        var rig = try Rig()
        let attempt = try rig.begin("fragile")
        let output = rig.end(attempt)
        #expect(output.ended.map(\.state) == [.succeeded])
        #expect(output.assignments.isEmpty)
        #expect(rig.openRuns == 0)
    }

    // MARK: Time

    @Test func `a run's timers strike when their moment has come`() throws {
        var rig = try Rig()
        let output = rig.submit("pause")
        let id = try #require(output.accepted.first)
        #expect(rig.states(id) == [.waiting])
        let first = rig.planner.nextTimer()
        let due = try #require(first)
        #expect(due >= rig.wall.advanced(by: .seconds(90)))
        #expect(due <= rig.wall.advanced(by: .seconds(91)))
        let early = rig.pass(.seconds(89))
        #expect(early.ended.isEmpty)
        let late = rig.pass(.seconds(2))
        #expect(late.ended.map(\.id) == [id])
        let next = rig.planner.nextTimer()
        #expect(next == nil)
    }

    @Test func `timers that are held strike later`() throws {
        var rig = try Rig()
        rig.submit("pause")
        let held = rig.pass(.seconds(1000), firesTimers: false)
        #expect(held.ended.isEmpty)
        let released = rig.pass(.zero)
        #expect(released.ended.count == 1)
    }

    @Test func `a worker that never reports loses its attempt, and the next one has a new fence`() throws {
        var rig = try Rig()
        let first = try rig.begin("fragile")
        let output = rig.pass(.seconds(20))
        #expect(output.cancels.map { $0.held.fence } == [first.fence])
        let second = try #require(output.assignments.first)
        #expect(second.run == first.run)
        #expect(second.attempt == 2)
        #expect(second.fence > first.fence)
        #expect(rig.planner.placement.runningTasks == 1)
        let late = rig.end(first)
        #expect(late.acknowledged.map { $0.isFresh } == [false])
    }

    @Test func `the log's time never falls, whatever the wall clock says`() throws {
        var rig = try Rig()
        rig.submit("order", 1)
        let before = rig.planner.state.time
        rig.wall = ClusterTime(milliseconds: rig.wall.milliseconds - 60_000)
        rig.submit("order", 2)
        #expect(rig.planner.state.time == before)
        for proposal in rig.log {
            let (time, _) = try CommandCodec.decode(proposal.payload)
            #expect(time == proposal.state.time)
        }
    }
}
