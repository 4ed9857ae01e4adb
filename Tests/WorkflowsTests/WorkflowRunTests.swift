import Primitives
import Testing
import Workflows

/// Rules and workflows, "Workflows": how a run goes through its graph.
struct WorkflowRunTests {
    private let chain = #"{"a": \#(transform()), "b": \#(transform("1", after("a"))), "c": \#(transform("1", after("b")))}"#

    @Test func `tasks in a line run one after the other`() throws {
        var machine = try Machine(chain)
        let first = machine.handle(.start)
        #expect(first == [.enqueue(task: 0)])
        #expect(machine.states("a", "b", "c") == [.queued, .pending, .pending])
        machine.lease("a")
        #expect(machine.states("a", "b", "c") == [.leased, .pending, .pending])
        #expect(machine.task("a").attempts == 1)
        #expect(machine.task("a").worker == machine.worker)
        let second = machine.report("a", .succeeded(5))
        #expect(second == [.enqueue(task: 1)])
        #expect(machine.states("a", "b", "c") == [.succeeded, .queued, .pending])
        #expect(machine.task("a").output == .int(5))
        machine.succeed("b")
        #expect(machine.run.state == .running)
        machine.lease("c")
        let last = machine.report("c", .succeeded(nil))
        #expect(last == [.finished])
        #expect(machine.run.state == .succeeded)
        #expect(machine.run.endedAt == machine.now)
        #expect(machine.run.error == nil)
    }

    @Test func `a task with several dependencies waits for all`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": \#(transform()), "c": {"depends_on": ["a", "b"], "use": "transform", "with": {"value": 1}}}"#)
        #expect(machine.states("a", "b", "c") == [.queued, .queued, .pending])
        machine.succeed("b")
        #expect(machine.states("a", "b", "c") == [.queued, .succeeded, .pending])
        machine.succeed("a")
        #expect(machine.task("c").state == .queued)
        machine.succeed("c")
        #expect(machine.run.state == .succeeded)
    }

    // MARK: Results

    private let branch = #"""
        {"charge": {"use": "exec", "with": {"command": ["true"]}},
         "ship": {"depends_on": {"charge": "succeeded"}, "use": "transform", "with": {"value": 1}},
         "refund": {"depends_on": {"charge": "failed"}, "use": "transform", "with": {"value": 1}},
         "log": {"depends_on": {"charge": "done"}, "use": "transform", "with": {"value": 1}},
         "thank": {"depends_on": {"refund": "skipped"}, "use": "transform", "with": {"value": 1}}}
        """#

    @Test func `after a success go those that wanted it`() throws {
        var machine = try Machine.started(branch)
        machine.attempt("charge", .succeeded(nil))
        #expect(machine.states("ship", "refund", "log", "thank") == [.queued, .skipped, .queued, .queued])
        machine.succeed("ship", "log", "thank")
        #expect(machine.run.state == .succeeded)
    }

    @Test func `after a failure go those that wanted it, and the run succeeds`() throws {
        var machine = try Machine.started(branch)
        machine.attempt("charge", failed())
        #expect(machine.states("charge", "ship", "refund", "log", "thank") == [.failed, .skipped, .queued, .queued, .pending])
        machine.succeed("refund", "log")
        #expect(machine.task("thank").state == .skipped)
        #expect(machine.run.state == .succeeded)
    }

    @Test func `a task that timed out counts as failed`() throws {
        var machine = try Machine.started(branch)
        machine.attempt("charge", .timedOut(TaskError(type: "timeout", message: "too slow")))
        #expect(machine.states("charge", "ship", "refund", "log") == [.timedOut, .skipped, .queued, .queued])
    }

    @Test func `a failure that nothing takes up fails the run once all has ended`() throws {
        var machine = try Machine.started(#"{"a": \#(transform()), "b": \#(transform()), "c": \#(transform("1", after("a")))}"#)
        machine.attempt("a", failed(3))
        #expect(machine.states("a", "b", "c") == [.failed, .queued, .skipped])
        #expect(machine.run.state == .running)
        machine.succeed("b")
        #expect(machine.run.state == .failed)
        #expect(machine.run.error == TaskError(type: "exit_code", message: "task a: it went wrong", status: 3))
    }

    @Test func `a handler that was itself skipped takes nothing up`() throws {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "transform", "with": {"value": 1}},
             "b": {"depends_on": {"a": "failed"}, "when": false, "use": "transform", "with": {"value": 1}}}
            """#)
        machine.attempt("a", failed())
        #expect(machine.states("a", "b") == [.failed, .skipped])
        #expect(machine.run.state == .failed)
    }

    @Test func `a handler that fails too fails the run`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": {"depends_on": {"a": "done"}, "use": "transform", "with": {"value": 1}}}"#)
        machine.attempt("a", failed())
        machine.attempt("b", failed(9))
        #expect(machine.run.state == .failed)
        #expect(machine.run.error?.message == "task b: it went wrong")
    }

    @Test func `a cancelled attempt ends its task and fails the run`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": {"depends_on": {"a": "failed"}, "use": "transform", "with": {"value": 1}}}"#)
        machine.attempt("a", .cancelled)
        #expect(machine.states("a", "b") == [.cancelled, .skipped])
        #expect(machine.run.state == .failed)
    }

    // MARK: when

    @Test func `a task whose condition is false is skipped, and so is what wanted its success`() throws {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "transform", "with": {"value": 1}, "when": "${{ input.data.n > 3 }}"},
             "b": {"depends_on": ["a"], "use": "transform", "with": {"value": 1}},
             "c": {"depends_on": ["b"], "use": "transform", "with": {"value": 1}},
             "d": {"depends_on": {"a": "skipped"}, "use": "transform", "with": {"value": 1}},
             "e": {"depends_on": {"c": "done"}, "use": "transform", "with": {"value": 1}},
             "f": {"depends_on": {"a": "failed"}, "use": "transform", "with": {"value": 1}}}
            """#, data: ["n": 3])
        #expect(machine.states("a", "b", "c", "d", "e", "f") == [.skipped, .skipped, .skipped, .queued, .queued, .skipped])
        machine.succeed("d", "e")
        #expect(machine.run.state == .succeeded)
        let more = try Machine.started(#"{"a": \#(transform("1", #""when": "${{ input.data.n > 3 }}", "#))}"#, data: ["n": 4])
        #expect(more.task("a").state == .queued)
    }

    @Test func `a run whose tasks are all skipped succeeds at once`() throws {
        var machine = try Machine(#"{"a": \#(transform("1", #""when": false, "#)), "b": \#(transform("1", after("a")))}"#)
        let effects = machine.handle(.start)
        #expect(effects == [.finished])
        #expect(machine.states("a", "b") == [.skipped, .skipped])
        #expect(machine.run.state == .succeeded)
    }

    @Test func `a condition sees what its ancestors gave`() throws {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "transform", "with": {"value": 1}},
             "b": {"depends_on": {"a": "done"}, "when": "tasks.a.status == 'failed' && tasks.a.attempts == 1 && tasks.a.output == null",
                   "use": "transform", "with": {"value": 1}}}
            """#)
        machine.attempt("a", failed())
        #expect(machine.task("b").state == .queued)
    }

    // MARK: Templates

    @Test func `templates see message, params, input, tasks, run and env`() throws {
        let value = #"""
            {"type": "${{ message.type }}", "n": "${{ message.data.n }}", "p": "${{ params.x }}", "i": "${{ input.x }}",
             "e": "${{ env.STOCK }}/${{ env.PLAIN }}", "r": "${{ run.id }}", "w": "${{ run.workflow }}@${{ run.namespace }}",
             "t": "${{ tasks.a.output }}", "s": "${{ tasks.a.status }}", "c": "${{ tasks.a.attempts }}"}
            """#
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": \#(transform(value, after("a")))}"#, top: #""env": {"STOCK": "http://default", "PLAIN": "p"}, "#,
            data: ["n": 5], params: ["x": [1]], environment: ["STOCK": "http://node", "OTHER": "unseen"])
        machine.attempt("a", .succeeded(["k": 1]))
        let expected: Value = [
            "value": [
                "type": "order", "n": 5, "p": [1], "i": [1], "e": "http://node/p", "r": .string(machine.run.id.description),
                "w": "flow@default",
                "t": ["k": 1], "s": "succeeded", "c": 1,
            ]
        ]
        #expect(machine.task("b").input == expected)
    }

    @Test func `without params the input is the message`() throws {
        let machine = try Machine.started(
            #"{"a": \#(transform(#"["${{ input.data.n }}", "${{ input.id }}", "${{ input.source }}"]"#))}"#, data: ["n": 5])
        let expected: Value = ["value": [5, "m-1", "test"]]
        #expect(machine.task("a").input == expected)
    }

    static let broken: [(String, String)] = [
        (transform(#""${{ input.data.nope }}""#), "/value: no such field: input.data.nope (at character 15)"),
        (transform(#"["x", "${{ params.x }}"]"#), "/value/1: no such field: params (at character 5)"),
        (transform("1", #""when": "${{ input.data.nope }}", "#), "/when: no such field: input.data.nope (at character 15)"),
        (transform("1", #""when": "input.data", "#), "'when' gave a map, not true or false"),
        (transform("1", #""idempotency_key": "${{ input.data.nope }}", "#), "no such field: input.data.nope (at character 15)"),
        (#"{"use": "wait", "with": {"duration": "${{ input.source }}"}}"#, "'test' is no duration"),
    ]

    @Test(arguments: WorkflowRunTests.broken)
    func `a template that has no value fails its task`(task: String, message: String) throws {
        let machine = try Machine.started(#"{"a": \#(task)}"#)
        #expect(machine.task("a").state == .failed)
        #expect(machine.task("a").error == TaskError(type: "template_error", message: message))
        #expect(machine.task("a").attempts == 0)
        #expect(machine.run.state == .failed)
        #expect(machine.run.error == TaskError(type: "template_error", message: "task a: " + message))
    }

    @Test func `a template error can be taken up`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform(#""${{ params.x }}""#)), "b": {"depends_on": {"a": "failed"}, "use": "transform", "with": {"value": 1}}}"#)
        #expect(machine.states("a", "b") == [.failed, .queued])
        machine.succeed("b")
        #expect(machine.run.state == .succeeded)
    }

    @Test func `the key is the task's own, the same for every attempt, unless the task says another`() throws {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "transform", "with": {"value": 1}, "retry": {"delay": 0}},
             "b": {"use": "transform", "with": {"value": 1}, "idempotency_key": "${{ input.data.k }}/b"},
             "c": {"use": "transform", "with": {"value": 1}, "idempotency_key": "${{ input.data.list }}"}}
            """#, data: ["k": "order-1", "list": [1, 2]])
        let own = "\(machine.run.id)/a"
        #expect(machine.task("a").key == own)
        machine.attempt("a", failed())
        machine.tick(after: .seconds(1))
        #expect(machine.task("a").state == .queued)
        #expect(machine.task("a").key == own)
        #expect(machine.task("b").key == "order-1/b")
        #expect(machine.task("c").key == "[1,2]")
    }

    @Test func `a run's output is its template, over all tasks`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": \#(transform("1", #""when": false, "#))}"#,
            top: #""output": {"a": "${{ tasks.a.output }}", "b": "${{ tasks.b.status }}", "none": "${{ tasks.b.output }}"}, "#)
        machine.attempt("a", .succeeded(["x": 1]))
        #expect(machine.run.state == .succeeded)
        let expected: Value = ["a": ["x": 1], "b": "skipped", "none": nil]
        #expect(machine.run.output == expected)
    }

    @Test func `an output that has no value fails the run`() throws {
        var machine = try Machine.started(#"{"a": \#(transform())}"#, top: #""output": "${{ tasks.a.output.id }}", "#)
        machine.attempt("a", .succeeded([:]))
        #expect(machine.run.state == .failed)
        #expect(machine.run.error?.type == "template_error")
        #expect(machine.run.output == nil)
    }

    // MARK: What does not fit

    @Test func `a report with another fence is refused and changes nothing`() throws {
        var machine = try Machine.started(#"{"a": \#(transform("1", #""retry": {"delay": 0}, "#))}"#)
        let first = machine.lease("a")
        machine.report("a", failed())
        machine.tick(after: .seconds(1))
        let second = machine.lease("a")
        #expect(first < second)
        let before = machine.run
        for fence in [first, Fence.none, Fence(term: Term(2), assignment: second.assignment)] {
            let place = machine.place("a")
            let effects = machine.handle(.reported(task: place, fence: fence, .succeeded(1), startedAt: machine.now, endedAt: machine.now))
            #expect(effects == [.refused("attempt \(fence) is not the one that is running")])
            #expect(machine.run == before)
        }
        machine.report("a", .succeeded(2))
        #expect(machine.task("a").output == .int(2))
    }

    @Test func `a report that comes twice is refused the second time`() throws {
        var machine = try Machine.started(chain)
        machine.attempt("a", .succeeded(1))
        let before = machine.run
        let effects = machine.report("a", .succeeded(9))
        #expect(effects.areRefusal)
        #expect(machine.run == before)
    }

    @Test func `a report of a task that is not there is refused`() throws {
        var machine = try Machine.started(chain)
        for task in [-1, 3, Int.max] {
            let effects = machine.handle(.reported(task: task, fence: .none, .lost, startedAt: machine.now, endedAt: machine.now))
            #expect(effects.areRefusal)
            let resolved = machine.handle(.resolved(task: task, .retry))
            #expect(resolved.areRefusal)
        }
    }

    @Test func `only a queued task is assigned`() throws {
        var machine = try Machine.started(chain)
        machine.lease("a")
        let before = machine.run
        for name in ["a", "b"] {
            let fence = Fence(term: Term(9), assignment: 9)
            let effects = machine.handle(.assigned(task: machine.place(name), worker: machine.worker, fence: fence))
            #expect(effects == [.refused("task \(name) is not queued")])
            #expect(machine.run == before)
        }
    }

    @Test func `after the end every event is refused and nothing changes`() throws {
        var machine = try Machine.started(#"{"a": \#(transform())}"#)
        let fence = machine.lease("a")
        machine.report("a", .succeeded(1))
        let ended = machine.run
        let now = machine.now
        let events: [WorkflowRun.Event] = [
            .start, .tick, .cancel(reason: "late"), .resolved(task: 0, .retry), .assigned(task: 0, worker: machine.worker, fence: fence),
            .reported(task: 0, fence: fence, .succeeded(2), startedAt: now, endedAt: now),
        ]
        for event in events {
            let effects = machine.handle(event)
            #expect(effects == [.refused("the run has ended")], "\(event)")
            #expect(machine.run == ended)
        }
    }

    @Test func `every event that is taken raises the revision by one`() throws {
        var machine = try Machine(chain)
        #expect(machine.run.revision == 0)
        machine.handle(.start)
        #expect(machine.run.revision == 1)
        machine.lease("a")
        #expect(machine.run.revision == 2)
        machine.report("a", .succeeded(1))
        #expect(machine.run.revision == 3)
        machine.report("a", .succeeded(1))
        #expect(machine.run.revision == 3)
    }

    // MARK: Cancel

    @Test func `cancelling ends everything and calls leased attempts back`() throws {
        var machine = try Machine.started(
            #"{"a": \#(exec()), "b": \#(exec()), "c": \#(exec(after("a"))), "d": {"use": "wait", "with": {"duration": "1h"}}}"#)
        let fence = machine.lease("a")
        let effects = machine.handle(.cancel(reason: "not wanted"))
        #expect(effects == [.cancelAttempt(task: 0, worker: machine.worker, fence: fence), .finished])
        #expect(machine.run.state == .cancelled)
        #expect(machine.run.error == TaskError(type: "cancelled", message: "not wanted"))
        #expect(machine.states("a", "b", "c", "d") == [.cancelled, .cancelled, .cancelled, .cancelled])
        #expect(machine.run.nextTimer == nil)
    }

    @Test func `cancelling leaves what has ended as it is`() throws {
        var machine = try Machine.started(chain)
        machine.succeed("a")
        machine.handle(.cancel(reason: "enough"))
        #expect(machine.states("a", "b", "c") == [.succeeded, .cancelled, .cancelled])
    }
}
