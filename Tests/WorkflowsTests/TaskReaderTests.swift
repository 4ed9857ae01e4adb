import Primitives
import Testing
import Text

@testable import Workflows

/// Rules and workflows, "Workflows": what a task may say.
struct TaskReaderTests {
    /// The only task of a workflow; `members` are further ones, each with its comma.
    private func read(_ members: String, use: String = "transform@1") throws -> TaskDefinition {
        let task = use.hasPrefix("exec") ? exec(members) : transform("1", members)
        let definition = try workflow(#"{"a": \#(task)}"#)
        return definition.tasks[0]
    }

    // MARK: Retry

    @Test func `a bare retry is a count of further attempts with the default backoff`() throws {
        let task = try read(#""retry": 3, "#)
        #expect(task.retry == RetryPolicy(furtherAttempts: 3, backoff: RetryPolicy.defaultBackoff, condition: nil))
        let none = try read("")
        #expect(none.retry == RetryPolicy.none)
    }

    @Test func `a retry map counts all attempts`() throws {
        let task = try read(
            #""retry": {"limit": {"attempt": {"count": 5}}, "delay": "200ms", "jitter": "none", "#
                + #""backoff": {"exponential": {"factor": 3, "max": "10s"}}}, "#)
        let expected = Backoff(delay: .milliseconds(200), factor: 3, maximum: .seconds(10), jitter: .none)
        #expect(task.retry == RetryPolicy(furtherAttempts: 4, backoff: expected, condition: nil))
        let bare = try read(#""retry": {}, "#)
        #expect(bare.retry.furtherAttempts == 2)
        let once = try read(#""retry": {"limit": {"attempt": {"count": 1}}}, "#)
        #expect(once.retry.furtherAttempts == 0)
    }

    @Test func `a constant backoff keeps the delay`() throws {
        let task = try read(#""retry": {"delay": "2s", "backoff": {"constant": {}}, "jitter": "equal"}, "#)
        #expect(task.retry.backoff.factor == 1)
        #expect(task.retry.backoff.delay == .seconds(2))
        #expect(task.retry.backoff.jitter == .equal)
    }

    @Test func `a constant delay above the default maximum is kept`() throws {
        let task = try read(#""retry": {"delay": "5m", "backoff": {"constant": {}}, "jitter": "none"}, "#)
        var generator = SeededGenerator(seed: 1)
        let wait = task.retry.backoff.wait(afterFailures: 1, using: &generator)
        #expect(wait == .seconds(300))
    }

    @Test func `retry when is an expression over error`() throws {
        let task = try read(#""retry": {"when": "${{ error.status >= 500 }}"}, "#)
        #expect(task.retry.condition != nil)
        let bare = try read(#""retry": {"when": "error.type == 'timeout'"}, "#)
        #expect(bare.retry.condition != nil)
        let found = try problems(tasks: #"{"a": \#(transform("1", #""retry": {"when": "${{ tasks.a.output }}"}, "#))}"#)
        #expect(found.map(\.pointer) == ["/tasks/a/retry/when"])
    }

    // MARK: Timeouts

    @Test func `a bare timeout is for each attempt`() throws {
        for text in ["10", #""10s""#, #""PT10S""#, "10.0"] {
            let task = try read(#""timeout": \#(text), "#)
            #expect(task.timeouts == Timeouts(queue: nil, attempt: .seconds(10), total: nil), "\(text)")
        }
        let none = try read("")
        #expect(none.timeouts == Timeouts(queue: nil, attempt: .seconds(300), total: nil))
    }

    @Test func `timeouts have their own bounds`() throws {
        let task = try read(#""timeout": {"queue": "30s", "attempt": 5, "total": "1m"}, "#)
        #expect(task.timeouts == Timeouts(queue: .seconds(30), attempt: .seconds(5), total: .seconds(60)))
        let total = try read(#""timeout": {"total": "1m"}, "#)
        #expect(total.timeouts == Timeouts(queue: nil, attempt: .seconds(300), total: .seconds(60)))
    }

    // MARK: Loss

    @Test func `without a word what has effects is held when lost, what has none is tried again`() throws {
        let cases: [(String, String, TaskDefinition.OnLost)] = [
            ("exec@1", "", .hold), ("transform@1", "", .retry), ("exec@1", #""idempotent": true, "#, .retry),
            ("exec@1", #""idempotent": false, "#, .hold), ("exec@1", #""on_lost": "fail", "#, .fail),
            ("exec@1", #""idempotent": true, "on_lost": "hold", "#, .hold), ("transform@1", #""on_lost": "hold", "#, .hold),
        ]
        for (use, members, expected) in cases {
            let task = try read(members, use: use)
            #expect(task.onLost == expected, "\(use) \(members)")
        }
    }

    // MARK: Kinds

    @Test func `a kind is named with its version or without`() {
        for kind in TaskKind.allCases {
            #expect(TaskKind(name: kind.rawValue) == kind)
            #expect(TaskKind(name: String(kind.rawValue.dropLast(2))) == kind)
        }
        for name in ["", "@1", "exec@2", "exec@", "Exec", "exec@1@1"] { #expect(TaskKind(name: name) == nil, "\(name)") }
    }

    @Test func `an unknown kind is refused with the one that was meant`() throws {
        let close = try problems(tasks: #"{"a": {"use": "htp", "with": {}}}"#)
        #expect(close == [ShapeProblem(pointer: "/tasks/a/use", message: "no task kind 'htp'; did you mean 'http@1'?")])
        let old = try problems(tasks: #"[{"id": "a", "type": "exce@1", "config": {}}]"#)
        #expect(old == [ShapeProblem(pointer: "/tasks/0/type", message: "no task kind 'exce@1'; did you mean 'exec@1'?")])
        let far = try problems(tasks: #"{"a": {"use": "approval@1", "with": {}}}"#)
        #expect(
            far == [
                ShapeProblem(
                    pointer: "/tasks/a/use", message: "no task kind 'approval@1'; known: exec@1, http@1, transform@1, wait@1")
            ])
    }

    // MARK: Refusals

    /// A task, and the pointer below it and the message of the problem in it.
    struct Refusal: Sendable {
        let task: String
        let pointer: String
        let message: String

        init(_ task: String, _ pointer: String, _ message: String) {
            self.task = task
            self.pointer = pointer
            self.message = message
        }
    }

    static let members: [Refusal] = [
        Refusal(#"{"with": {}}"#, "", "'use' is missing"),
        Refusal(#"{"use": "transform@1"}"#, "", "'with' is missing"),
        Refusal(transform("1", #""for_each": {}, "#), "/for_each", "'for_each' is not supported by this version"),
        Refusal(transform("1", #""compensate": {}, "#), "/compensate", "'compensate' is not supported by this version"),
        Refusal(transform("1", #""depend_on": "a", "#), "/depend_on", "unknown key 'depend_on'; did you mean 'depends_on'?"),
        Refusal(
            transform("1", #""type": "exec", "#), "/type",
            "unknown key 'type'; known keys: use, with, depends_on, when, timeout, retry, idempotent, on_lost, on_disconnect, lost_after, idempotency_key, description, priority, cost, labels, prefer, sticky, apart, group"
        ),
        Refusal(transform("1", #""idempotent": "yes", "#), "/idempotent", "expected true or false, found a string"),
        Refusal(transform("1", #""on_lost": "retri", "#), "/on_lost", "'retri' is none of retry, fail, hold; did you mean 'retry'?"),
        Refusal(transform("1", #""timeout": 0, "#), "/timeout", "a timeout of zero can never be met"),
        Refusal(transform("1", #""timeout": -1, "#), "/timeout", "expected a duration such as 30s, 1h30m, PT5M or a number of seconds"),
        Refusal(transform("1", #""timeout": {"heartbeat": 1}, "#), "/timeout/heartbeat", "'heartbeat' is not supported by this version"),
        Refusal(transform("1", #""timeout": {"queue": "0s"}, "#), "/timeout/queue", "a timeout of zero can never be met"),
        Refusal(transform("1", #""timeout": {"atempt": 1}, "#), "/timeout/atempt", "unknown key 'atempt'; did you mean 'attempt'?"),
        Refusal(transform("1", #""retry": 101, "#), "/retry", "101 is outside 0 to 100"),
        Refusal(transform("1", #""retry": "3", "#), "/retry", "expected a whole number, found a string"),
        Refusal(transform("1", #""retry": {"limit": {"attempt": {}}}, "#), "/retry/limit/attempt", "'count' is missing"),
        Refusal(transform("1", #""retry": {"limit": {"attempt": {"count": 0}}}, "#), "/retry/limit/attempt/count", "0 is outside 1 to 101"),
        Refusal(
            transform("1", #""retry": {"limit": {"duration": "1m"}}, "#), "/retry/limit/duration",
            "'duration' is not supported by this version"),
        Refusal(
            transform("1", #""retry": {"backoff": {"linear": {}}}, "#), "/retry/backoff/linear", "'linear' is not supported by this version"
        ),
        Refusal(
            transform("1", #""retry": {"backoff": {"exponential": {"factor": 0.5}}}, "#), "/retry/backoff/exponential/factor",
            "expected a number from 1 to 100"),
        Refusal(
            transform("1", #""retry": {"jitter": "ful"}, "#), "/retry/jitter", "'ful' is none of none, full, equal; did you mean 'full'?"),
        Refusal(
            transform("1", #""retry": {"delay": "x"}, "#), "/retry/delay",
            "expected a duration such as 30s, 1h30m, PT5M or a number of seconds"),
    ]

    static let inputs: [Refusal] = [
        Refusal(#"{"use": "transform", "with": {}}"#, "/with", "'value' is missing"),
        Refusal(#"{"use": "transform", "with": {"value": 1, "vale": 2}}"#, "/with/vale", "unknown key 'vale'; did you mean 'value'?"),
        Refusal(#"{"use": "exec", "with": {}}"#, "/with", "'command' is missing"),
        Refusal(#"{"use": "exec", "with": {"command": []}}"#, "/with/command", "the command is empty"),
        Refusal(#"{"use": "exec", "with": {"command": "ls"}}"#, "/with/command", "expected a list, found a string"),
        Refusal(#"{"use": "exec", "with": {"command": ["ls"], "env": ["A"]}}"#, "/with/env", "expected a map, found a list"),
        Refusal(
            #"{"use": "exec", "with": {"command": ["ls"], "limits": {"memory_bytes": 0}}}"#, "/with/limits/memory_bytes",
            "0 is outside 1 to 4611686018427387903"),
        Refusal(#"{"use": "http", "with": {}}"#, "/with", "'url' is missing"),
        Refusal(
            #"{"use": "http", "with": {"url": "u", "method": "PSOT"}}"#, "/with/method",
            "'PSOT' is none of GET, POST, PUT, PATCH, DELETE, HEAD; did you mean 'POST'?"),
        Refusal(#"{"use": "http", "with": {"url": 5}}"#, "/with/url", "expected text, found a number"),
        Refusal(#"{"use": "wait", "with": {}}"#, "/with", "'duration' is missing"),
        Refusal(
            #"{"use": "wait", "with": {"duration": "soon"}}"#, "/with/duration",
            "expected a duration such as 30s, 1h30m, PT5M or a number of seconds"),
        Refusal(#"{"use": "transform", "with": 5}"#, "/with", "expected a map, found a number"),
    ]

    private func check(_ refusal: Refusal) throws {
        let found = try problems(tasks: #"{"a": \#(refusal.task)}"#)
        #expect(found.contains(ShapeProblem(pointer: "/tasks/a" + refusal.pointer, message: refusal.message)), "\(refusal.task): \(found)")
    }

    @Test(arguments: TaskReaderTests.members)
    func `a task is refused at the place that is wrong`(refusal: Refusal) throws { try check(refusal) }

    @Test(arguments: TaskReaderTests.inputs)
    func `a task's input is refused at the place that is wrong`(refusal: Refusal) throws { try check(refusal) }
}
