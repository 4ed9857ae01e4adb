import Primitives
import Testing
import Text
import Workflows

/// A template that cannot have a value is refused when the workflow is read (TaskReader.swift, TemplateCheck).
struct TemplateCheckTests {
    private func found(_ tasks: String, top: String = "") throws -> [ShapeProblem] { try problems(tasks: tasks, top: top) }

    @Test func `a template may read only tasks that are sure to have ended`() throws {
        let beside = try found(#"{"a": \#(transform()), "b": \#(transform(#""${{ tasks.a.output }}""#))}"#)
        #expect(
            beside == [
                ShapeProblem(pointer: "/tasks/b/with", message: "tasks.a may not have ended when this is read; add it to 'depends_on'")
            ])
        let itself = try found(#"{"a": \#(transform(#""${{ tasks['a'].output }}""#))}"#)
        #expect(itself.map(\.pointer) == ["/tasks/a/with"])
        let later = try found(#"{"a": \#(transform(#""${{ tasks.b.output }}""#)), "b": \#(transform("1", after("a")))}"#)
        #expect(later.map(\.pointer) == ["/tasks/a/with"])
    }

    @Test func `a template may read what its task depends on, directly or not`() throws {
        let third = transform(#""${{ tasks.a.output }} ${{ tasks.b.status }} ${{ tasks.a.attempts }}""#, after("b"))
        let chain = try found(#"{"a": \#(transform()), "b": \#(transform("1", after("a"))), "c": \#(third)}"#)
        #expect(chain.isEmpty)
    }

    @Test func `a task that does not exist is refused with the one that was meant`() throws {
        let typo = try found(
            #"{"reserve": \#(transform()), "b": \#(transform(#""${{ tasks.resreve.output }}""#, after("reserve")))}"#)
        #expect(
            typo == [
                ShapeProblem(pointer: "/tasks/b/with", message: "tasks.resreve is no task of this workflow; did you mean 'reserve'?")
            ])
    }

    @Test func `a task has output, status and attempts`() throws {
        let typo = try found(#"{"a": \#(transform()), "b": \#(transform(#""${{ tasks.a.result.id }}""#, after("a")))}"#)
        #expect(typo == [ShapeProblem(pointer: "/tasks/b/with", message: "tasks.a.result: a task has output, status and attempts")])
    }

    @Test func `env must be declared`() throws {
        let undeclared = try found(#"{"a": \#(transform(#""${{ env.STOCK }}""#))}"#, top: #""env": {"OTHER": "x"}, "#)
        #expect(
            undeclared == [
                ShapeProblem(pointer: "/tasks/a/with", message: "env.STOCK is not declared; list it under 'env:' of the workflow")
            ])
        let declared = try found(#"{"a": \#(transform(#""${{ env.STOCK }}""#))}"#, top: #""env": {"STOCK": "x"}, "#)
        #expect(declared.isEmpty)
    }

    @Test func `conditions and keys are checked as inputs are`() throws {
        let condition = try found(#"{"a": \#(transform()), "b": \#(transform("1", #""when": "tasks.a.status == 'failed'", "#))}"#)
        #expect(condition.map(\.pointer) == ["/tasks/b/when"])
        let key = try found(#"{"a": \#(transform("1", #""idempotency_key": "${{ env.X }}", "#))}"#)
        #expect(key.map(\.pointer) == ["/tasks/a/idempotency_key"])
        let syntax = try found(#"{"a": \#(transform("1", #""when": "${{ 1 + 1 == 2 }}", "#))}"#)
        #expect(syntax.map(\.pointer) == ["/tasks/a/when"])
        #expect(syntax.first?.message.hasPrefix("'+' is not supported here yet") == true)
    }

    @Test func `a template's problem tells its place in the input and its offset`() throws {
        let unknown = try found(#"{"a": \#(transform(#"{"x": ["${{ secret.key }}"]}"#))}"#)
        let message = "unknown name 'secret'; known here: message, params, input, tasks, run, env (at character 5)"
        #expect(unknown == [ShapeProblem(pointer: "/tasks/a/with/value/x/0", message: message)])
    }

    @Test func `when is true, false, an expression, bare or in braces`() throws {
        for text in ["true", "false", #""true""#, #""${{ input.n == 1 }}""#, #""input.n == 1""#, #"" ${{ true }}""#] {
            let read = try found(#"{"a": \#(transform("1", #""when": \#(text), "#))}"#)
            #expect(read.isEmpty, "\(text): \(read)")
        }
        for text in ["1", "null", #""""#, #""${{ }}""#, "[]"] {
            let read = try found(#"{"a": \#(transform("1", #""when": \#(text), "#))}"#)
            #expect(read.map(\.pointer) == ["/tasks/a/when"], "\(text): \(read)")
        }
    }

    @Test func `the output may read every task`() throws {
        let read = try found(
            #"{"a": \#(transform()), "b": \#(transform())}"#, top: #""output": ["${{ tasks.a.output }}", "${{ tasks.b.status }}"], "#)
        #expect(read.isEmpty)
    }
}
