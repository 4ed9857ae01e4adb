import Primitives
import Text
import Workflows

/// A definition that was refused, with all that is wrong in it.
struct Refused: Error {
    let problems: [ShapeProblem]
}

/// A workflow as text: `tasks` is JSON, `top` are members that stand beside it, each with its comma.
func workflowText(_ tasks: String, top: String = "") -> String {
    #"{"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "flow"}, \#(top)"tasks": \#(tasks)}"#
}

func readWorkflow(_ text: String) throws -> WorkflowDefinition {
    let problems = Shape.Problems()
    guard let definition = WorkflowDefinition(try JSONScanner.parse(text), namespace: .default, problems: problems) else {
        throw Refused(problems: problems.all)
    }
    return definition
}

func workflow(_ tasks: String, top: String = "") throws -> WorkflowDefinition { try readWorkflow(workflowText(tasks, top: top)) }

/// What is wrong in a workflow; empty when it can be read.
func problems(_ text: String) throws -> [ShapeProblem] {
    let found = Shape.Problems()
    _ = WorkflowDefinition(try JSONScanner.parse(text), namespace: .default, problems: found)
    return found.all
}

func problems(tasks: String, top: String = "") throws -> [ShapeProblem] { try problems(workflowText(tasks, top: top)) }

/// A `transform@1` task with further members, each with its comma.
func transform(_ value: String = "1", _ members: String = "") -> String {
    #"{"use": "transform@1", \#(members)"with": {"value": \#(value)}}"#
}

/// The member that makes a task wait for another.
func after(_ task: String) -> String { #""depends_on": "\#(task)", "# }

/// An `exec@1` task with further members, each with its comma.
func exec(_ members: String = "") -> String { #"{"use": "exec@1", \#(members)"with": {"command": ["true"]}}"# }
