import Primitives
import Testing
import Text

@testable import Workflows

/// Rules and workflows, "Workflows": both shapes, the graph and its problems.
struct WorkflowReaderTests {
    @Test func `a workflow is read with all that it says`() throws {
        let definition = try readWorkflow(
            #"""
            {"apiVersion": "distric/v1", "kind": "Workflow", "description": "d",
             "metadata": {"namespace": "shop", "name": "order", "version": "1.4.0"},
             "timeout": {"after": "10m"}, "env": {"STOCK": "http://stock"},
             "tasks": {
                "reserve": {"use": "http@1",
                            "with": {"method": "POST", "url": "${{ env.STOCK }}/reserve", "body": {"o": "${{ input.id }}"}},
                            "timeout": {"queue": "30s", "attempt": "5s", "total": "1m"}, "retry": 2},
                "charge": {"depends_on": ["reserve"], "use": "exec@1",
                           "with": {"command": ["./charge"], "stdin": "${{ tasks.reserve.output }}"},
                           "idempotency_key": "${{ run.id }}/charge", "on_lost": "fail", "when": "${{ tasks.reserve.attempts == 1 }}"},
                "notify": {"depends_on": {"charge": "done"}, "use": "transform", "with": {"value": 1}}},
             "output": {"n": "${{ tasks.notify.output }}"}}
            """#)
        #expect(definition.namespace.text == "shop")
        #expect(definition.name == "order")
        #expect(definition.version == "1.4.0")
        #expect(definition.timeout == .seconds(600))
        #expect(definition.environment == ["STOCK": "http://stock"])
        try #require(definition.tasks.map(\.name) == ["reserve", "charge", "notify"])
        #expect(definition.tasks.map(\.kind) == [.http, .exec, .transform])
        #expect(definition.tasks[0].timeouts == Timeouts(queue: .seconds(30), attempt: .seconds(5), total: .seconds(60)))
        #expect(definition.tasks[0].retry.furtherAttempts == 2)
        #expect(definition.tasks[0].onLost == .hold)
        #expect(definition.tasks[1].dependencies == [TaskDefinition.Dependency(task: 0, result: .succeeded)])
        #expect(definition.tasks[1].onLost == .fail)
        #expect(definition.tasks[1].key != nil)
        #expect(definition.tasks[1].condition != nil)
        #expect(definition.tasks[2].dependencies == [TaskDefinition.Dependency(task: 1, result: .done)])
        #expect(definition.tasks[2].onLost == .retry)
        #expect(definition.tasks[2].timeouts.attempt == Timeouts.defaultAttempt)
        #expect(definition.output != nil)
    }

    @Test func `the list shape stays valid and means the same`() throws {
        let old = try workflow(
            #"""
            [{"id": "a", "type": "transform", "config": {"value": 1}, "timeout": 10, "retry": 2},
             {"id": "b", "type": "exec@1", "depends_on": ["a"], "config": {"command": ["true"]}}]
            """#)
        let new = try workflow(
            #"""
            {"a": {"use": "transform@1", "with": {"value": 1}, "timeout": "10s", "retry": 2},
             "b": {"use": "exec@1", "depends_on": "a", "with": {"command": ["true"]}}}
            """#)
        #expect(old == new)
        #expect(old.tasks.first?.timeouts.attempt == .seconds(10))
    }

    @Test func `tasks stand after all that they depend on, else in the order of the file`() throws {
        let definition = try workflow(
            #"""
            {"d": {"depends_on": ["c", "b"], "use": "transform", "with": {"value": 1}}, "a": \#(transform()),
             "b": \#(transform("1", after("a"))), "c": \#(transform())}
            """#)
        let names = definition.tasks.map(\.name)
        #expect(names.sorted() == ["a", "b", "c", "d"])
        for (place, task) in definition.tasks.enumerated() {
            #expect(task.dependencies.allSatisfy { $0.task < place }, "\(task.name) in \(names)")
        }
        let dependencies = definition.tasks.first { $0.name == "d" }?.dependencies.map { names[$0.task] }
        #expect(dependencies == ["c", "b"])
        let plain = try workflow(#"{"z": \#(transform()), "m": \#(transform()), "a": \#(transform())}"#)
        #expect(plain.tasks.map(\.name) == ["z", "m", "a"])
    }

    @Test func `depends_on is a name, a list of names, or names with results`() throws {
        func dependencies(_ text: String) throws -> [TaskDefinition.Dependency] {
            let definition = try workflow(
                #"{"a": \#(transform()), "b": \#(transform()), "c": \#(transform("1", #""depends_on": \#(text), "#))}"#)
            return definition.tasks[2].dependencies
        }
        let name = try dependencies(#""a""#)
        #expect(name == [TaskDefinition.Dependency(task: 0, result: .succeeded)])
        let list = try dependencies(#"["b", "a"]"#)
        #expect(list.map(\.task) == [1, 0])
        let map = try dependencies(#"{"a": "failed", "b": "skipped"}"#)
        #expect(map == [TaskDefinition.Dependency(task: 0, result: .failed), TaskDefinition.Dependency(task: 1, result: .skipped)])
    }

    // MARK: The graph's problems

    @Test func `a cycle is refused with its path`() throws {
        let found = try problems(
            tasks:
                #"""
                {"a": \#(transform("1", after("c"))), "b": \#(transform("1", after("a"))), "c": \#(transform("1", after("b"))),
                 "d": \#(transform())}
                """#)
        #expect(found == [ShapeProblem(pointer: "/tasks/a/depends_on", message: "tasks wait for each other: a -> c -> b -> a")])
    }

    @Test func `a task that waits for itself is a cycle`() throws {
        let found = try problems(tasks: #"{"a": \#(transform("1", after("a")))}"#)
        #expect(found == [ShapeProblem(pointer: "/tasks/a/depends_on", message: "tasks wait for each other: a -> a")])
    }

    @Test func `a cycle behind other tasks shows only itself`() throws {
        let tasks = #"{"x": \#(transform("1", after("y"))), "y": \#(transform("1", after("z"))), "z": \#(transform("1", after("y")))}"#
        let found = try problems(tasks: tasks)
        #expect(found == [ShapeProblem(pointer: "/tasks/y/depends_on", message: "tasks wait for each other: y -> z -> y")])
    }

    @Test func `an unknown dependency is refused with the one that was meant`() throws {
        let list = try problems(tasks: #"{"reserve": \#(transform()), "b": \#(transform("1", #""depends_on": ["reserv"], "#))}"#)
        #expect(
            list == [
                ShapeProblem(
                    pointer: "/tasks/b/depends_on/0",
                    message: "depends on 'reserv', which is no task of this workflow; did you mean 'reserve'?")
            ])
        let map = try problems(tasks: #"{"b": \#(transform("1", #""depends_on": {"xyz": "done"}, "#))}"#)
        #expect(map == [ShapeProblem(pointer: "/tasks/b/depends_on/xyz", message: "depends on 'xyz', which is no task of this workflow")])
        let result = try problems(tasks: #"{"a": \#(transform()), "b": \#(transform("1", #""depends_on": {"a": "suceeded"}, "#))}"#)
        #expect(
            result == [
                ShapeProblem(
                    pointer: "/tasks/b/depends_on/a",
                    message: "'suceeded' is none of succeeded, failed, skipped, done; did you mean 'succeeded'?")
            ])
    }

    @Test func `a long chain is read without recursion`() throws {
        let count = WorkflowDefinition.taskLimit
        let tasks = (0..<count).map { place in
            let task = transform("1", place + 1 < count ? after("t\(place + 1)") : "")
            return #""t\#(place)": \#(task)"#
        }
        let definition = try workflow("{\(tasks.joined(separator: ", "))}")
        #expect(definition.tasks.first?.name == "t\(count - 1)")
        #expect(definition.tasks.last?.name == "t0")
    }

    // MARK: The whole

    /// Text of a workflow, and the pointer and the message of the problem in it.
    struct Refusal: Sendable {
        let text: String
        let pointer: String
        let message: String

        init(_ text: String, _ pointer: String, _ message: String) {
            self.text = text
            self.pointer = pointer
            self.message = message
        }
    }

    static let refused: [Refusal] = [
        Refusal(workflowText("{}"), "/tasks", "a workflow needs at least one task"),
        Refusal(workflowText("[]"), "/tasks", "a workflow needs at least one task"),
        Refusal(workflowText("5"), "/tasks", "expected a map, found a number"),
        Refusal(#"{"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "f"}}"#, "", "'tasks' is missing"),
        Refusal(#"{"apiVersion": "distric/v1", "kind": "Workflow", "tasks": {}}"#, "", "'metadata' is missing"),
        Refusal(workflowText(#"{"A": \#(transform())}"#), "/tasks/A", "'A' is no task name: 1 to 63 of a-z, 0-9, '_' and '-'"),
        Refusal(
            workflowText(
                #"[{"id": "a", "type": "transform", "config": {"value": 1}}, {"id": "a", "type": "transform", "config": {"value": 1}}]"#),
            "/tasks/1", "task 'a' is defined twice"),
        Refusal(workflowText(#"[{"type": "transform", "config": {"value": 1}}]"#), "/tasks/0", "'id' is missing"),
        Refusal(
            workflowText(#"{"a": \#(transform())}"#, top: #""timeouts": 5, "#), "/timeouts",
            "unknown key 'timeouts'; did you mean 'timeout'?"),
        Refusal(workflowText(#"{"a": \#(transform())}"#, top: #""input": {}, "#), "/input", "'input' is not supported by this version"),
        Refusal(
            workflowText(#"{"a": \#(transform())}"#, top: #""on_failure": {}, "#), "/on_failure",
            "'on_failure' is not supported by this version"),
        Refusal(
            workflowText(#"{"a": \#(transform())}"#, top: #""timeout": {"aftr": 5}, "#), "/timeout/aftr",
            "unknown key 'aftr'; did you mean 'after'?"),
        Refusal(
            workflowText(#"{"a": \#(transform())}"#, top: #""timeout": "soon", "#), "/timeout",
            "expected a duration such as 30s, 1h30m, PT5M or a number of seconds"),
        Refusal(workflowText(#"{"a": \#(transform())}"#, top: #""env": {"X": 5}, "#), "/env/X", "expected text, found a number"),
        Refusal(
            workflowText(#"{"a": \#(transform())}"#, top: #""output": {"x": "${{ tasks.b.output }}"}, "#), "/output",
            "tasks.b is no task of this workflow; did you mean 'a'?"),
    ]

    @Test(arguments: WorkflowReaderTests.refused)
    func `a workflow is refused at the place that is wrong`(refusal: Refusal) throws {
        let found = try problems(refusal.text)
        #expect(found.contains(ShapeProblem(pointer: refusal.pointer, message: refusal.message)), "\(found)")
    }

    @Test func `more tasks than the limit are refused`() throws {
        let tasks = (0...WorkflowDefinition.taskLimit).map { #""t\#($0)": \#(transform())"# }
        let found = try problems(tasks: "{\(tasks.joined(separator: ", "))}")
        #expect(found == [ShapeProblem(pointer: "/tasks", message: "1001 tasks; at most 1000")])
    }

    @Test func `the run's timeout is a duration, bare or after`() throws {
        let forms: [(String, Duration)] = [("30", .seconds(30)), (#""PT5M""#, .seconds(300)), (#"{"after": "1h"}"#, .seconds(3600))]
        for (text, expected) in forms {
            let definition = try workflow(#"{"a": \#(transform())}"#, top: #""timeout": \#(text), "#)
            #expect(definition.timeout == expected)
        }
    }
}
