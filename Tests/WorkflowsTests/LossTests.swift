import Primitives
import Testing
import Workflows

/// Rules and workflows, "Loss of a worker in the middle of an attempt".
struct LossTests {
    @Test func `what may be tried again is queued anew and uses up no retry`() throws {
        var machine = try Machine.started(#"{"a": \#(transform())}"#)
        let effects = machine.attempt("a", .lost)
        #expect(effects == [.enqueue(task: 0)])
        #expect(machine.task("a").state == .queued)
        #expect(machine.task("a").losses == 1)
        #expect(machine.task("a").failures == 0)
        machine.succeed("a")
        #expect(machine.run.state == .succeeded)
        #expect(machine.task("a").error == nil)
    }

    @Test func `the eleventh loss fails the task`() throws {
        var machine = try Machine.started(#"{"a": \#(exec(#""idempotent": true, "retry": 3, "#))}"#)
        for loss in 1...WorkflowRun.lossLimit {
            machine.attempt("a", .lost)
            #expect(machine.task("a").state == .queued, "loss \(loss)")
        }
        #expect(WorkflowRun.lossLimit == 10)
        machine.attempt("a", .lost)
        #expect(machine.task("a").state == .failed)
        #expect(machine.task("a").losses == 11)
        #expect(machine.task("a").error?.type == "lost")
        #expect(machine.run.state == .failed)
        #expect(machine.run.error?.message == "task a: the worker was lost in the middle of attempt 11")
    }

    @Test func `on_lost fail fails the task at once`() throws {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "exec", "with": {"command": ["true"]}, "on_lost": "fail", "retry": 3},
             "b": {"depends_on": {"a": "failed"}, "use": "transform", "with": {"value": 1}}}
            """#
        )
        machine.attempt("a", .lost)
        #expect(machine.states("a", "b") == [.failed, .queued])
        machine.succeed("b")
        #expect(machine.run.state == .succeeded)
    }

    // MARK: Unknown

    private func held() throws -> Machine {
        var machine = try Machine.started(
            #"""
            {"a": {"use": "exec", "with": {"command": ["pay"]}, "timeout": {"total": "1h"}},
             "b": {"depends_on": ["a"], "use": "transform", "with": {"value": "${{ tasks.a.output }}"}},
             "c": {"use": "transform", "with": {"value": 1}}}
            """#)
        machine.attempt("a", .lost)
        return machine
    }

    @Test func `what must not be tried again is unknown, and the run is held`() throws {
        var machine = try held()
        #expect(machine.states("a", "b", "c") == [.unknown, .pending, .queued])
        #expect(machine.run.state == .held)
        #expect(machine.task("a").nextTimer == nil)
        #expect(machine.task("a").worker == machine.worker)
        machine.succeed("c")
        #expect(machine.run.state == .held)
        #expect(machine.run.nextTimer == nil)
        machine.tick(after: .seconds(100_000))
        #expect(machine.task("a").state == .unknown)
    }

    @Test func `an operator says that it succeeded, and with what`() throws {
        var machine = try held()
        let effects = machine.handle(.resolved(task: 0, .succeeded(["receipt": 5])))
        #expect(effects == [.enqueue(task: 1)])
        #expect(machine.states("a", "b") == [.succeeded, .queued])
        let receipt: Value = ["receipt": 5]
        let input: Value = ["value": ["receipt": 5]]
        #expect(machine.task("a").output == receipt)
        #expect(machine.task("b").input == input)
        #expect(machine.run.state == .running)
        machine.succeed("b", "c")
        #expect(machine.run.state == .succeeded)
    }

    @Test func `a task that an operator resolved as succeeded bears no error`() throws {
        var machine = try held()
        machine.handle(.resolved(task: 0, .succeeded(1)))
        #expect(machine.task("a").error == nil)
    }

    @Test func `an operator says that it failed`() throws {
        var machine = try held()
        machine.handle(.resolved(task: 0, .failed("the bank says no")))
        #expect(machine.states("a", "b") == [.failed, .skipped])
        #expect(machine.task("a").error == TaskError(type: "resolved_failed", message: "the bank says no"))
        machine.succeed("c")
        #expect(machine.run.state == .failed)
        #expect(machine.run.error?.message == "task a: the bank says no")
    }

    @Test func `an operator lets it be tried again`() throws {
        var machine = try held()
        let effects = machine.handle(.resolved(task: 0, .retry))
        #expect(effects == [.enqueue(task: 0)])
        #expect(machine.run.state == .running)
        machine.attempt("a", .succeeded(1))
        #expect(machine.task("a").attempts == 2)
        machine.succeed("b", "c")
        #expect(machine.run.state == .succeeded)
    }

    @Test func `a late report of an unknown task is refused`() throws {
        var machine = try held()
        let before = machine.run
        let effects = machine.report("a", .succeeded(1))
        #expect(effects.areRefusal)
        #expect(machine.run == before)
    }

    @Test func `only an unknown task is resolved`() throws {
        var machine = try held()
        let before = machine.run
        for task in [1, 2] {
            let effects = machine.handle(.resolved(task: task, .succeeded(1)))
            #expect(effects == [.refused("the task is not in state unknown")])
        }
        #expect(machine.run == before)
    }

    @Test func `the run's deadline ends a held run`() throws {
        var machine = try Machine.started(#"{"a": \#(exec())}"#, top: #""timeout": "10m", "#)
        machine.attempt("a", .lost)
        #expect(machine.run.state == .held)
        let effects = machine.tick(after: .seconds(600))
        #expect(effects == [.finished])
        #expect(machine.run.state == .timedOut)
        #expect(machine.task("a").state == .cancelled)
    }

    @Test func `a held run can be cancelled`() throws {
        var machine = try held()
        machine.handle(.cancel(reason: "given up"))
        #expect(machine.run.state == .cancelled)
        #expect(machine.states("a", "b", "c") == [.cancelled, .cancelled, .cancelled])
    }
}
