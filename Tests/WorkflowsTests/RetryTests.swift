import Primitives
import Testing
import Workflows

/// Rules and workflows, "Must have" 5: retries with backoff, jitter and conditions.
struct RetryTests {
    private func machine(_ retry: String, _ more: String = "") throws -> Machine {
        try Machine.started(#"{"a": \#(transform("1", #""retry": \#(retry), \#(more)"#))}"#)
    }

    /// How long the task waits before its next attempt.
    private func wait(_ machine: Machine) -> Duration? { machine.task("a").dueAt.map { $0.duration(since: machine.now) } }

    @Test func `without jitter every wait is the factor times the one before, up to the maximum`() throws {
        var machine = try machine(
            #"{"limit": {"attempt": {"count": 6}}, "delay": "200ms", "jitter": "none", "#
                + #""backoff": {"exponential": {"factor": 2, "max": "1s"}}}"#
        )
        var waits: [Duration] = []
        for failure in 1...5 {
            machine.attempt("a", failed())
            #expect(machine.task("a").state == .waiting)
            #expect(machine.task("a").failures == failure)
            let pause = try #require(wait(machine))
            waits.append(pause)
            let effects = machine.tick(after: pause)
            #expect(effects == [.enqueue(task: 0)])
        }
        #expect(waits == [200, 400, 800, 1000, 1000].map { Duration.milliseconds($0) })
        machine.attempt("a", failed(4))
        #expect(machine.task("a").state == .failed)
        #expect(machine.task("a").attempts == 6)
        #expect(machine.run.state == .failed)
        #expect(machine.run.error?.status == 4)
    }

    @Test func `an attempt that succeeds after failures leaves no error`() throws {
        var machine = try machine("2")
        machine.attempt("a", failed())
        #expect(machine.task("a").error?.type == "exit_code")
        machine.tick(after: .seconds(60))
        machine.attempt("a", .succeeded(1))
        #expect(machine.task("a").error == nil)
        #expect(machine.task("a").attempts == 2)
        #expect(machine.task("a").failures == 1)
        #expect(machine.run.state == .succeeded)
    }

    @Test func `a wait that is not over is not cut short`() throws {
        var machine = try machine(#"{"delay": "10s", "jitter": "none"}"#)
        machine.attempt("a", failed())
        let early = machine.tick(after: .milliseconds(9999))
        #expect(early.isEmpty)
        #expect(machine.task("a").state == .waiting)
        #expect(machine.run.nextTimer == machine.now.advanced(by: .milliseconds(1)))
        let due = machine.tick(after: .milliseconds(1))
        #expect(due == [.enqueue(task: 0)])
    }

    @Test func `full jitter draws from nothing to the wait, equal jitter from its upper half`() throws {
        for (jitter, least) in [("full", 0.0), ("equal", 0.5)] {
            var seen: [Double] = []
            for seed in UInt64(1)...200 {
                var machine = try machine(
                    #"{"limit": {"attempt": {"count": 4}}, "delay": "1s", "jitter": "\#(jitter)", "#
                        + #""backoff": {"exponential": {"factor": 2}}}"#
                )
                machine.generator = SeededGenerator(seed: seed)
                for whole in [1.0, 2.0, 4.0] {
                    machine.attempt("a", failed())
                    let pause = try #require(wait(machine))
                    #expect(pause.seconds >= whole * least - 0.001 && pause.seconds <= whole, "seed \(seed): \(pause) of \(whole) s")
                    seen.append(pause.seconds / whole)
                    machine.tick(after: pause)
                }
            }
            #expect(seen.contains { $0 < least + 0.1 })
            #expect(seen.contains { $0 > 0.9 })
        }
    }

    @Test func `a bare retry waits up to one second, then up to two`() throws {
        var machine = try machine("2")
        for whole in [1.0, 2.0] {
            machine.attempt("a", failed())
            let pause = try #require(wait(machine))
            #expect(pause.seconds <= whole)
            machine.tick(after: pause)
        }
        machine.attempt("a", failed())
        #expect(machine.task("a").state == .failed)
    }

    @Test func `an attempt that timed out is tried again as a failed one is`() throws {
        var machine = try machine("1")
        let timedOut = AttemptOutcome.timedOut(TaskError(type: "timeout", message: "too slow"))
        machine.attempt("a", timedOut)
        #expect(machine.task("a").state == .waiting)
        machine.tick(after: .seconds(1))
        machine.attempt("a", timedOut)
        #expect(machine.task("a").state == .timedOut)
        #expect(machine.run.state == .failed)
    }

    @Test func `retry when decides by the error`() throws {
        let cases: [(String, AttemptOutcome, TaskState)] = [
            ("error.status >= 500", failed(503, type: "http_status"), .waiting),
            ("error.status >= 500", failed(404, type: "http_status"), .failed),
            ("error.status >= 500", failed(nil), .failed), ("error.type == 'exit_code'", failed(), .waiting),
            ("error.type == 'timeout'", .timedOut(TaskError(type: "timeout", message: "")), .waiting),
            ("error.status == null", failed(nil), .waiting),
            ("error.nope == 1", failed(), .failed), ("error.type", failed(), .failed), ("true", failed(), .waiting),
            ("false", failed(), .failed),
        ]
        for (condition, outcome, expected) in cases {
            var machine = try machine(#"{"when": "${{ \#(condition) }}"}"#)
            machine.attempt("a", outcome)
            #expect(machine.task("a").state == expected, "\(condition) over \(outcome)")
        }
    }

    @Test func `an attempt that never started uses up no retry and begins anew`() throws {
        var machine = try machine("0")
        for _ in 0..<5 {
            let effects = machine.attempt("a", .neverStarted)
            #expect(effects == [.enqueue(task: 0)])
            #expect(machine.task("a").startedAt == nil)
        }
        #expect(machine.task("a").failures == 0)
        #expect(machine.task("a").losses == 0)
        machine.succeed("a")
        #expect(machine.run.state == .succeeded)
    }

    @Test func `the input is resolved once, the fence and the worker are the newest attempt's`() throws {
        var machine = try machine(#"{"delay": 0}"#)
        let first = machine.lease("a")
        let input = machine.task("a").input
        machine.report("a", failed())
        machine.tick(after: .zero)
        #expect(machine.task("a").worker == nil)
        let second = machine.lease("a")
        #expect(first < second)
        #expect(machine.task("a").fence == second)
        #expect(machine.task("a").input == input)
    }
}
