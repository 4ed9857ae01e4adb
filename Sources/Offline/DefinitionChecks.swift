package import Definitions
package import Primitives
import Rules
import Text
import Workflows

/// What can be said of definitions without a node: their shape, their references among themselves, and the tests inside rule files.
package struct DefinitionChecks: Sendable {
    package init() {}

    package func problems(_ documents: [SourceDocument], namespace: Namespace) -> [Diagnostic] {
        var found: [Diagnostic] = []
        for document in documents {
            let problems = Shape.Problems()
            switch document.value["kind"]?.string {
            case RuleSet.kind:
                if let set = RuleSet(document.value, namespace: namespace, problems: problems) { found += failedTests(of: set, document) }
            case WorkflowDefinition.kind: _ = WorkflowDefinition(document.value, namespace: namespace, problems: problems)
            default:
                let kind = document.value["kind"]?.string.map { "'\($0)'" } ?? "nothing"
                found.append(document.diagnostic(pointer: "/kind", message: "expected kind RuleSet or Workflow, found \(kind)"))
            }
            found += problems.all.map { document.diagnostic(pointer: $0.pointer, message: $0.message) }
        }
        return found
    }

    /// Rules in files say by example what they match.
    private func failedTests(of set: RuleSet, _ document: SourceDocument) -> [Diagnostic] {
        let catalog = RuleCatalog([set])
        return set.tests.compactMap { test in
            let message = Message(
                id: test.message["id"]?.string ?? "test", source: test.message["source"]?.string ?? "test",
                type: test.message["type"]?.string ?? "message",
                time: test.message["time"]?.string ?? "", subject: test.message["subject"]?.string, namespace: set.namespace,
                data: test.message["data"] ?? .null)
            let matched = catalog.matches(message).map { String($0.name.dropFirst(set.name.count + 1)) }
            guard matched != test.expected else { return nil }
            let text =
                "test '\(test.name)': expected [\(test.expected.joined(separator: ", "))] to match, but [\(matched.joined(separator: ", "))] did"
            return document.diagnostic(pointer: test.pointer + "/expect", message: text)
        }
    }
}
