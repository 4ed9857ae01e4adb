import CEL
import Primitives
import Text

/// Reads one rule.
struct RuleReader {
    let shape: Shape

    func rule() -> Rule? {
        shape.only(
            ["id", "name", "description", "priority", "when", "conditions", "otherwise", "actions", "stop", "enabled"],
            later: ["set", "chain"])
        guard let named = shape.required("id"), let id = named.string() else { return nil }
        if !isDefinitionName(id) { named.fail("'\(id)' is no rule id: 1 to 63 of a-z, 0-9, '_' and '-'") }
        let isFallback = shape["otherwise"]?.bool() ?? false
        let condition = condition(isFallback: isFallback)
        let actions = shape["actions"]?.items()?.compactMap { action($0) } ?? []
        return Rule(
            id: id, priority: shape["priority"].map { $0.int(in: -1_000_000...1_000_000) ?? 0 } ?? 0, condition: condition ?? .always,
            isFallback: isFallback, actions: actions, stops: shape["stop"]?.bool() ?? false,
            isEnabled: shape["enabled"]?.bool() ?? true)
    }

    private func condition(isFallback: Bool) -> Condition? {
        switch (shape["when"], shape["conditions"]) {
        case (let when?, nil): return ConditionReader().condition(when)
        case (nil, let conditions?): return ConditionReader().original(conditions)
        case (.some, .some):
            shape.fail("'when' and 'conditions' say the same thing; keep one")
            return nil
        case (nil, nil):
            if !isFallback { shape.fail("'when' is missing; a rule for every message has 'otherwise: true' or 'when: {all: []}'") }
            return nil
        }
    }

    private func action(_ shape: Shape) -> Rule.Action? {
        shape.only(["workflow", "params", "timeout", "retry"], later: ["idempotency_key"])
        guard let named = shape.required("workflow"), let workflow = named.string() else { return nil }
        if workflow.contains("/") {
            named.fail("'\(workflow)' lies in another namespace; a rule starts workflows of its own: use an emit task there")
        }
        return Rule.Action(
            workflow: workflow, params: shape["params"].flatMap { template($0) }, timeout: shape["timeout"]?.duration(),
            retry: shape["retry"].map { $0.int(in: 0...100) ?? 0 } ?? 0)
    }

    private func template(_ shape: Shape) -> Template? {
        do throws(Template.Problem) {
            return try Template(shape.value, names: RuleSet.templateNames)
        } catch {
            shape.fail(at: shape.pointer + error.pointer, error.error.description)
            return nil
        }
    }
}
