import Coordinator
import Primitives
import Text
import Workflows

/// A rule set as text; `rules` is a JSON list.
func ruleSetText(_ rules: String, name: String = "rules", namespace: String = "default") -> String {
    #"{"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "\#(name)", "namespace": "\#(namespace)"}, "rules": \#(rules)}"#
}

/// A workflow as text; `top` are members beside the tasks, each with its comma.
func workflowText(_ name: String, _ tasks: String, top: String = "", namespace: String = "default") -> String {
    #"{"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "\#(name)", "namespace": "\#(namespace)"}, "#
        + #"\#(top)"tasks": \#(tasks)}"#
}

/// A rule that starts a workflow for messages of one type.
func ruleText(_ type: String, starts workflow: String, more: String = "") -> String {
    #"{"id": "\#(type)", "when": {"field": "type", "operator": "equals", "value": "\#(type)"}, "#
        + #""actions": [{"workflow": "\#(workflow)"\#(more)}]}"#
}

func parsed(_ texts: [String]) throws -> [Value] { try texts.map { try JSONScanner.parse($0) } }

/// A definition as the log holds it, with the version that it says.
func record(_ text: String, version: UInt64 = 1) throws -> DefinitionRecord {
    let value = try JSONScanner.parse(text)
    let key = DefinitionKey(
        kind: value["kind"]?.string ?? "", namespace: value.at("metadata", "namespace")?.string ?? "",
        name: value.at("metadata", "name")?.string ?? "")
    return DefinitionRecord(key: key, version: version, json: JSONWriter.bytes(value))
}

func workflowKey(_ name: String) -> DefinitionKey { DefinitionKey(kind: WorkflowDefinition.kind, namespace: "default", name: name) }
