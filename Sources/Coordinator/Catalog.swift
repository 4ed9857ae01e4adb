import HashTreeCollections
package import Primitives
package import Rules
package import Text
package import Workflows

/// One version of the rules and workflows, compiled and immutable: what a message is matched against.
package final class Catalog: Sendable {
    package struct Workflow: Sendable {
        package let definition: WorkflowDefinition
        /// The catalog version that brought it.
        package let version: UInt64
    }

    /// Why definitions cannot be put into force together.
    package struct Refusal: Error, Equatable {
        /// By definition, in the order given; the pointer leads into that definition.
        package var problems: [(definition: Int, problem: ShapeProblem)]

        package static func == (left: Refusal, right: Refusal) -> Bool {
            left.problems.elementsEqual(right.problems) { $0.definition == $1.definition && $0.problem == $1.problem }
        }
    }

    package let version: UInt64
    package let rules: RuleCatalog
    package let ruleSets: [RuleSet]
    let ruleCount: Int
    private let workflows: [DefinitionKey: Workflow]

    package static let empty = Catalog(version: 0, ruleSets: [], workflows: [:])

    private init(version: UInt64, ruleSets: [RuleSet], workflows: [DefinitionKey: Workflow]) {
        self.version = version
        self.ruleSets = ruleSets
        self.workflows = workflows
        rules = RuleCatalog(ruleSets)
        ruleCount = ruleSets.reduce(0) { $0 + $1.rules.count }
    }

    /// The workflow that a name means: `name`, or `name@1.4.0` when that is the version in force.
    package func workflow(_ reference: String, in namespace: Namespace) -> Workflow? {
        let parts = reference.split(separator: "@", maxSplits: 1)
        guard let name = parts.first,
            let found = workflows[DefinitionKey(kind: WorkflowDefinition.kind, namespace: namespace.text, name: String(name))],
            parts.count == 1 || found.definition.version.map({ sameBytes($0, String(parts[1])) }) == true
        else { return nil }
        return found
    }

    /// What a rule (`set/rule`) says of the runs of a workflow that it starts.
    func action(ofRule name: String, workflow: String, in namespace: Namespace) -> Rule.Action? {
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2, let set = ruleSets.first(where: { $0.namespace == namespace && sameBytes($0.name, parts[0]) }),
            let rule = set.rules.first(where: { sameBytes($0.id, parts[1]) })
        else { return nil }
        return rule.actions.first { $0.workflow.split(separator: "@").first.map { sameBytes(String($0), workflow) } ?? false }
    }

    /// A definition out of the log, compiled by itself.
    package static func workflow(_ record: DefinitionRecord) -> WorkflowDefinition? {
        guard let value = try? JSONScanner.parse(record.json, maximumDepth: 256), let namespace = try? Namespace(record.key.namespace)
        else { return nil }
        return WorkflowDefinition(value, namespace: namespace, problems: Shape.Problems())
    }

    package var allWorkflows: [Workflow] {
        workflows.sorted { DefinitionKey.precedes($0.key, $1.key) }.map(\.value)
    }

    /// What the log says is in force. It was checked before it was proposed; what an older program accepted and this one cannot read is
    /// left out and named.
    package static func compile(_ state: CoordinatorState) -> (Catalog, unreadable: [DefinitionKey]) {
        var unreadable: [DefinitionKey] = []
        var sets: [RuleSet] = []
        var workflows: [DefinitionKey: Workflow] = [:]
        for record in state.definitions.values {
            let problems = Shape.Problems()
            guard let value = try? JSONScanner.parse(record.json, maximumDepth: 256), let namespace = try? Namespace(record.key.namespace)
            else {
                unreadable.append(record.key)
                continue
            }
            if record.key.kind == RuleSet.kind, let set = RuleSet(value, namespace: namespace, problems: problems) {
                sets.append(set)
            } else if record.key.kind == WorkflowDefinition.kind,
                let definition = WorkflowDefinition(value, namespace: namespace, problems: problems)
            {
                workflows[record.key] = Workflow(definition: definition, version: record.version)
            } else {
                unreadable.append(record.key)
            }
        }
        return (Catalog(version: state.catalogVersion, ruleSets: sets, workflows: workflows), unreadable)
    }

    /// Reads new definitions and puts them over the ones in force.
    package func adding(_ values: [Value], removing: [DefinitionKey], namespace: Namespace) throws(Refusal) -> (Catalog, [DefinitionRecord])
    {
        var refusal = Refusal(problems: [])
        var records: [DefinitionRecord] = []
        var sets = Dictionary(uniqueKeysWithValues: ruleSets.map { (Self.key($0), $0) })
        var workflows = workflows
        for key in removing {
            sets[key] = nil
            workflows[key] = nil
        }
        var places: [DefinitionKey: Int] = [:]
        for (place, value) in values.enumerated() {
            let problems = Shape.Problems()
            if let key = Self.read(value, namespace, problems, version: version + 1, &sets, &workflows) {
                if places.updateValue(place, forKey: key) != nil {
                    refusal.problems.append(
                        (place, ShapeProblem(pointer: "/metadata/name", message: "\(key.kind) '\(key.name)' comes twice")))
                }
                records.append(DefinitionRecord(key: key, version: version + 1, json: JSONWriter.bytes(value)))
            }
            refusal.problems += problems.all.map { (place, $0) }
        }
        let next = Catalog(
            version: version + 1, ruleSets: sets.sorted { DefinitionKey.precedes($0.key, $1.key) }.map(\.value), workflows: workflows)
        if refusal.problems.isEmpty { refusal.problems += next.danglingReferences(places) }
        guard refusal.problems.isEmpty else { throw refusal }
        return (next, records)
    }

    private static func read(
        _ value: Value, _ namespace: Namespace, _ problems: Shape.Problems, version: UInt64, _ sets: inout [DefinitionKey: RuleSet],
        _ workflows: inout [DefinitionKey: Workflow]
    ) -> DefinitionKey? {
        switch value["kind"]?.string {
        case RuleSet.kind:
            guard let set = RuleSet(value, namespace: namespace, problems: problems) else { return nil }
            sets[key(set)] = set
            return key(set)
        case WorkflowDefinition.kind:
            guard let definition = WorkflowDefinition(value, namespace: namespace, problems: problems) else { return nil }
            let key = DefinitionKey(kind: WorkflowDefinition.kind, namespace: definition.namespace.text, name: definition.name)
            workflows[key] = Workflow(definition: definition, version: version)
            return key
        default:
            let found = value["kind"].map { "'\($0.string ?? $0.kind)'" } ?? "nothing"
            Shape(value, problems: problems).fail(at: "/kind", "expected RuleSet or Workflow, found \(found)")
            return nil
        }
    }

    private static func key(_ set: RuleSet) -> DefinitionKey {
        DefinitionKey(kind: RuleSet.kind, namespace: set.namespace.text, name: set.name)
    }

    /// Every workflow that a rule names must be defined.
    private func danglingReferences(_ places: [DefinitionKey: Int]) -> [(definition: Int, problem: ShapeProblem)] {
        var found: [(definition: Int, problem: ShapeProblem)] = []
        for set in ruleSets {
            let known = allWorkflows.filter { $0.definition.namespace == set.namespace }.map(\.definition.name)
            for (position, rule) in set.rules.enumerated() {
                for (number, action) in rule.actions.enumerated() where workflow(action.workflow, in: set.namespace) == nil {
                    let meant = suggestion(for: action.workflow, among: known).map { "; did you mean '\($0)'?" } ?? ""
                    let message =
                        "rule '\(set.name)/\(rule.id)' starts workflow '\(action.workflow)', which is not defined in namespace '\(set.namespace)'\(meant)"
                    found.append(
                        (
                            places[Self.key(set)] ?? 0,
                            ShapeProblem(pointer: "/rules/\(position)/actions/\(number)/workflow", message: message)
                        ))
                }
            }
        }
        return found
    }
}
