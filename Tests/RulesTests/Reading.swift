import Primitives
import Rules
import Text

/// A definition that was refused, with all that is wrong in it.
struct Refused: Error {
    let problems: [ShapeProblem]
}

/// A rule set as text; `rules` is a JSON list.
func setText(_ rules: String, match: String = "all", name: String = "set", namespace: String = "default") -> String {
    #"{"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "\#(name)", "namespace": "\#(namespace)"}, "#
        + #""match": "\#(match)", "rules": \#(rules)}"#
}

func readSet(_ text: String) throws -> RuleSet {
    let problems = Shape.Problems()
    guard let set = RuleSet(try JSONScanner.parse(text), namespace: .default, problems: problems) else {
        throw Refused(problems: problems.all)
    }
    return set
}

/// What is wrong in a rule set; empty when it can be read.
func problems(_ text: String) throws -> [ShapeProblem] {
    let found = Shape.Problems()
    _ = RuleSet(try JSONScanner.parse(text), namespace: .default, problems: found)
    return found.all
}

/// What is wrong in a rule set whose only rule is this.
func problems(rule: String) throws -> [ShapeProblem] { try problems(setText("[\(rule)]")) }

/// The condition that `when:` brings.
func condition(_ when: String) throws -> Condition {
    let set = try readSet(setText(#"[{"id": "r", "when": \#(when)}]"#))
    return set.rules[0].condition
}

/// A message whose data is this JSON.
func message(_ data: String, type: String = "order.placed", namespace: Namespace = .default) throws -> Message {
    Message(id: "1", source: "test", type: type, namespace: namespace, data: try JSONScanner.parse(data))
}

/// Whether `when:` holds for a message with this data.
func holds(_ when: String, _ data: String) throws -> Bool { try condition(when).holds(for: message(data)) }

/// The names of the rules that match, in order.
func matches(_ sets: [RuleSet], _ message: Message) -> [String] { RuleCatalog(sets).matches(message).map(\.name) }
