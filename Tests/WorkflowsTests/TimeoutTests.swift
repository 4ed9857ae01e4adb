import Primitives
import Testing
import Workflows

/// Rules and workflows, "Must have" 6, and the kind `wait@1`.
struct TimeoutTests {
    // MARK: wait@1

    @Test func `wait ends by itself and takes no worker`() throws {
        var machine = try Machine(#"{"a": {"use": "wait@1", "with": {"duration": "90s"}}, "b": \#(transform("1", after("a")))}"#)
        let start = machine.now
        let effects = machine.handle(.start)
        #expect(effects.isEmpty)
        #expect(machine.task("a").state == .waiting)
        #expect(machine.run.nextTimer == start.advanced(by: .seconds(90)))
        let early = machine.tick(after: .milliseconds(89_999))
        #expect(early.isEmpty)
        let due = machine.tick(after: .milliseconds(1))
        #expect(due == [.enqueue(task: 1)])
        #expect(machine.task("a").state == .succeeded)
        #expect(machine.task("a").attempts == 0)
    }

    @Test func `wait takes its duration from a template, as text or as seconds`() throws {
        let cases: [(Value, Int)] = [("1m", 60), (90, 90), ("PT2M", 120), (0, 0), (0.5, 0)]
        for (written, expected) in cases {
            let machine = try Machine.started(#"{"a": {"use": "wait", "with": {"duration": "${{ input.data.d }}"}}}"#, data: ["d": written])
            let due = try #require(machine.task("a").dueAt)
            #expect(Int(due.duration(since: machine.now).seconds) == expected, "\(written)")
        }
    }

    // MARK: Queue

    @Test func `a task that no worker takes in time has timed out`() throws {
        var machine = try Machine.started(#"{"a": \#(transform("1", #""timeout": {"queue": "30s"}, "retry": 5, "#))}"#)
        let early = machine.tick(after: .milliseconds(29_999))
        #expect(early.isEmpty)
        #expect(machine.task("a").state == .queued)
        let late = machine.tick(after: .milliseconds(1))
        #expect(late == [.finished])
        #expect(machine.task("a").state == .timedOut)
        #expect(machine.task("a").error == TaskError(type: "queue_timeout", message: "no worker became free in time"))
        #expect(machine.run.state == .failed)
    }

    @Test func `a task with a worker has no queue timeout`() throws {
        var machine = try Machine.started(#"{"a": \#(transform("1", #""timeout": {"queue": "1s", "attempt": "1h"}, "#))}"#)
        machine.lease("a")
        machine.tick(after: .seconds(100))
        #expect(machine.task("a").state == .leased)
    }

    // MARK: Attempt

    @Test func `a worker that never reports is lost ten seconds after the attempt's timeout`() throws {
        var machine = try Machine.started(#"{"a": \#(transform("1", #""timeout": "5s", "on_lost": "fail", "#))}"#)
        let fence = machine.lease("a")
        #expect(machine.run.nextTimer == machine.now.advanced(by: .seconds(5) + WorkflowRun.reportGrace))
        let early = machine.tick(after: .milliseconds(14_999))
        #expect(early.isEmpty)
        #expect(machine.task("a").state == .leased)
        let late = machine.tick(after: .milliseconds(1))
        #expect(late == [.cancelAttempt(task: 0, worker: machine.worker, fence: fence), .finished])
        #expect(machine.task("a").state == .failed)
        #expect(machine.task("a").error?.type == "lost")
        #expect(machine.task("a").losses == 1)
    }

    @Test func `after that the task goes on as a lost one does`() throws {
        var machine = try Machine.started(#"{"a": \#(transform("1", #""timeout": "5s", "#))}"#)
        let fence = machine.lease("a")
        let effects = machine.tick(after: .seconds(15))
        #expect(effects == [.cancelAttempt(task: 0, worker: machine.worker, fence: fence), .enqueue(task: 0)])
        #expect(machine.task("a").state == .queued)
        let late = machine.report("a", .succeeded(1))
        #expect(late.areRefusal)
    }

    // MARK: Total

    @Test func `all attempts together have a bound, whatever the task is doing`() throws {
        let members = #""timeout": {"attempt": "1h", "total": "20s"}, "retry": {"delay": "1h", "jitter": "none"}, "#
        let expected = TaskError(type: "total_timeout", message: "all attempts together took longer than they may")
        var queued = try Machine.started(#"{"a": \#(transform("1", members))}"#)
        let fromQueue = queued.tick(after: .seconds(20))
        #expect(fromQueue == [.finished])
        #expect(queued.task("a").state == .timedOut)
        #expect(queued.task("a").error == expected)

        var leased = try Machine.started(#"{"a": \#(transform("1", members))}"#)
        let fence = leased.lease("a")
        let early = leased.tick(after: .milliseconds(19_999))
        #expect(early.isEmpty)
        let fromLease = leased.tick(after: .milliseconds(1))
        #expect(fromLease == [.cancelAttempt(task: 0, worker: leased.worker, fence: fence), .finished])
        #expect(leased.task("a").error == expected)

        var waiting = try Machine.started(#"{"a": \#(transform("1", members))}"#)
        waiting.attempt("a", failed())
        #expect(waiting.task("a").state == .waiting)
        #expect(waiting.run.nextTimer == waiting.now.advanced(by: .seconds(20)))
        let fromWait = waiting.tick(after: .seconds(20))
        #expect(fromWait == [.finished])
        #expect(waiting.task("a").error == expected)
    }

    @Test func `the bound runs from when the task became ready`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": \#(transform("1", after("a") + #""timeout": {"total": "20s"}, "#))}"#)
        machine.pass(.seconds(100))
        machine.succeed("a")
        machine.tick(after: .milliseconds(19_999))
        #expect(machine.task("b").state == .queued)
        machine.tick(after: .milliseconds(1))
        #expect(machine.task("b").state == .timedOut)
    }

    // MARK: Run

    @Test func `the run's deadline ends it and calls leased attempts back`() throws {
        var machine = try Machine.started(
            #"{"a": \#(exec(#""timeout": "1h", "#)), "b": \#(exec()), "c": \#(exec(after("a")))}"#, top: #""timeout": {"after": "10m"}, "#)
        #expect(machine.run.deadline == machine.now.advanced(by: .seconds(600)))
        let fence = machine.lease("a")
        let early = machine.tick(after: .seconds(599))
        #expect(early.isEmpty)
        #expect(machine.run.state == .running)
        let late = machine.tick(after: .seconds(1))
        #expect(late == [.cancelAttempt(task: 0, worker: machine.worker, fence: fence), .finished])
        #expect(machine.run.state == .timedOut)
        #expect(machine.run.error == TaskError(type: "run_timeout", message: "the run took longer than it may"))
        #expect(machine.states("a", "b", "c") == [.cancelled, .cancelled, .cancelled])
        let afterwards = machine.report("a", .succeeded(1))
        #expect(afterwards.areRefusal)
    }

    @Test func `the shorter of the workflow's and the action's timeout counts`() throws {
        for (own, action, expected) in [("10s", 20, 10), ("30s", 20, 20)] {
            let machine = try Machine(#"{"a": \#(transform())}"#, top: #""timeout": "\#(own)", "#, timeout: .seconds(action))
            #expect(machine.run.deadline == machine.now.advanced(by: .seconds(expected)))
        }
        let without = try Machine(#"{"a": \#(transform())}"#, timeout: .seconds(5))
        #expect(without.run.deadline == without.now.advanced(by: .seconds(5)))
        let none = try Machine(#"{"a": \#(transform())}"#)
        #expect(none.run.deadline == nil)
    }

    @Test func `a tick before anything is due changes no task`() throws {
        var machine = try Machine.started(
            #"{"a": \#(transform()), "b": {"use": "wait", "with": {"duration": "5s"}}}"#, top: #""timeout": "1m", "#)
        let before = machine.run.tasks
        let effects = machine.tick(after: .seconds(4))
        #expect(effects.isEmpty)
        #expect(machine.run.tasks == before)
    }
}
