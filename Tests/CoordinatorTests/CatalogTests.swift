import Coordinator
import Primitives
import Rules
import Testing
import Text
import Workflows

/// One version of the rules and workflows, checked as a whole before it comes into force (Catalog.swift).
struct CatalogTests {
    private let note = workflowText("note", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)

    private func adding(_ texts: [String], to catalog: Catalog = .empty, removing: [DefinitionKey] = []) throws -> (
        Catalog, [DefinitionRecord]
    ) {
        try catalog.adding(try parsed(texts), removing: removing, namespace: .default)
    }

    private func refusal(_ texts: [String], to catalog: Catalog = .empty, removing: [DefinitionKey] = []) -> Catalog.Refusal? {
        do {
            _ = try adding(texts, to: catalog, removing: removing)
            return nil
        } catch {
            return error as? Catalog.Refusal
        }
    }

    @Test func `definitions make the next version, with their records`() throws {
        let (first, records) = try adding([note, ruleSetText("[\(ruleText("note", starts: "note"))]")])
        #expect(first.version == 1)
        #expect(
            records.map(\.key) == [
                workflowKey("note"), DefinitionKey(kind: RuleSet.kind, namespace: "default", name: "rules"),
            ])
        #expect(records.map(\.version) == [1, 1])
        let value = try JSONScanner.parse(records[0].json)
        let expected = try JSONScanner.parse(note)
        #expect(value == expected)
        let (second, more) = try adding([workflowText("other", #"{"a": {"use": "transform", "with": {"value": 1}}}"#)], to: first)
        #expect(second.version == 2)
        #expect(more.map(\.version) == [2])
        #expect(second.allWorkflows.map(\.definition.name) == ["note", "other"])
        #expect(second.allWorkflows.map(\.version) == [1, 2])
        #expect(second.ruleSets.map(\.name) == ["rules"])
        #expect(first.allWorkflows.count == 1)
    }

    @Test func `a definition of the same name takes the place of the old one`() throws {
        let (first, _) = try adding([note])
        let (second, _) = try adding([workflowText("note", #"{"b": {"use": "transform", "with": {"value": 2}}}"#)], to: first)
        #expect(second.allWorkflows.map(\.version) == [2])
        #expect(second.workflow("note", in: .default)?.definition.tasks.map(\.name) == ["b"])
    }

    @Test func `a removed definition is gone`() throws {
        let (first, _) = try adding([note])
        let (second, records) = try adding([], to: first, removing: [workflowKey("note")])
        #expect(records.isEmpty)
        #expect(second.allWorkflows.isEmpty)
        #expect(second.workflow("note", in: .default) == nil)
    }

    @Test func `a workflow is found by name, and by its version when that is in force`() throws {
        let versioned =
            #"{"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "v", "version": "1.4.0"}, "tasks": "#
            + #"{"a": {"use": "transform", "with": {"value": 1}}}}"#
        let (catalog, _) = try adding([note, versioned])
        #expect(catalog.workflow("note", in: .default) != nil)
        #expect(catalog.workflow("v", in: .default) != nil)
        #expect(catalog.workflow("v@1.4.0", in: .default) != nil)
        for reference in ["v@1.4", "note@1", "", "@1.4.0", "nope"] {
            #expect(catalog.workflow(reference, in: .default) == nil, "\(reference)")
        }
        let shop = try Namespace("shop")
        #expect(catalog.workflow("note", in: shop) == nil)
    }

    // MARK: Refusals

    @Test func `a rule that starts an unknown workflow is refused with the one that was meant`() throws {
        let rules = ruleSetText("[\(ruleText("a", starts: "note")), \(ruleText("b", starts: "noet"))]")
        let found = try #require(refusal([note, rules]))
        let message = "rule 'rules/b' starts workflow 'noet', which is not defined in namespace 'default'; did you mean 'note'?"
        #expect(found.problems.map { $0.definition } == [1])
        #expect(found.problems.map { $0.problem } == [ShapeProblem(pointer: "/rules/1/actions/0/workflow", message: message)])
    }

    @Test func `a rule may not start a version that is not in force`() throws {
        let found = try #require(refusal([note, ruleSetText("[\(ruleText("a", starts: "note@2"))]")]))
        #expect(found.problems.map { $0.problem.pointer } == ["/rules/0/actions/0/workflow"])
    }

    @Test func `a workflow that a rule starts cannot be removed`() throws {
        let (first, _) = try adding([note, ruleSetText("[\(ruleText("a", starts: "note"))]")])
        let found = try #require(refusal([], to: first, removing: [workflowKey("note")]))
        #expect(found.problems.count == 1)
        #expect(found.problems.first?.problem.message.hasPrefix("rule 'rules/a' starts workflow 'note', which is not defined") == true)
        let both = [workflowKey("note"), DefinitionKey(kind: RuleSet.kind, namespace: "default", name: "rules")]
        let (empty, _) = try adding([], to: first, removing: both)
        #expect(empty.ruleSets.isEmpty)
    }

    @Test func `a definition that comes twice is refused`() throws {
        let found = try #require(refusal([note, note]))
        #expect(found.problems.map { $0.definition } == [1])
        #expect(found.problems.map { $0.problem } == [ShapeProblem(pointer: "/metadata/name", message: "Workflow 'note' comes twice")])
    }

    @Test func `a definition of no known kind is refused`() throws {
        let cases: [(String, String)] = [
            (#"{"kind": "Workflw"}"#, "expected RuleSet or Workflow, found 'Workflw'"),
            ("{}", "expected RuleSet or Workflow, found nothing"),
            ("[]", "expected RuleSet or Workflow, found nothing"), (#"{"kind": 5}"#, "expected RuleSet or Workflow, found 'number'"),
        ]
        for (text, message) in cases {
            let found = try #require(refusal([note, text]), "\(text)")
            #expect(found.problems.map { $0.definition } == [1], "\(text)")
            #expect(found.problems.map { $0.problem } == [ShapeProblem(pointer: "/kind", message: message)], "\(text)")
        }
    }

    @Test func `the problems of all definitions are told at once, each with its definition`() throws {
        let found = try #require(
            refusal([ruleSetText(#"[{"id": "r"}]"#), note, workflowText("x", #"{"a": {"use": "nope", "with": {}}}"#), "{}"]))
        #expect(found.problems.map { $0.definition } == [0, 2, 3])
        #expect(found.problems.map { $0.problem.pointer } == ["/rules/0", "/tasks/a/use", "/kind"])
    }

    @Test func `workflows are looked for in the rule's namespace only`() throws {
        let shopRules = ruleSetText("[\(ruleText("a", starts: "note"))]", namespace: "shop")
        let found = try #require(refusal([note, shopRules]))
        #expect(found.problems.count == 1)
        let shopNote = workflowText("note", #"{"a": {"use": "transform", "with": {"value": 1}}}"#, namespace: "shop")
        let (catalog, records) = try adding([shopNote, shopRules])
        #expect(records.map(\.key.namespace) == ["shop", "shop"])
        #expect(catalog.allWorkflows.count == 1)
    }

    // MARK: Out of the log

    @Test func `what the log holds compiles to what was put into force`() throws {
        var rig = try Rig()
        try rig.activate([workflowText("note", #"{"w": {"use": "transform", "with": {"value": 2}}}"#)])
        let (catalog, unreadable) = Catalog.compile(rig.planner.state)
        #expect(unreadable.isEmpty)
        #expect(catalog.version == rig.planner.catalog.version)
        #expect(catalog.allWorkflows.map(\.definition) == rig.planner.catalog.allWorkflows.map(\.definition))
        #expect(catalog.allWorkflows.map(\.version) == rig.planner.catalog.allWorkflows.map(\.version))
        #expect(catalog.ruleSets == rig.planner.catalog.ruleSets)
    }

    @Test func `what this program cannot read is left out and named`() throws {
        var replica = Replica()
        try replica.activate([note])
        let broken = DefinitionRecord(key: workflowKey("broken"), version: 0, json: Array("{".utf8))
        let newer = try record(#"{"apiVersion": "distric/v9", "kind": "Workflow", "metadata": {"name": "newer", "namespace": "default"}}"#)
        let state = try replica.with([broken, newer])
        let (catalog, unreadable) = Catalog.compile(state)
        #expect(catalog.allWorkflows.map(\.definition.name) == ["note"])
        #expect(unreadable.map(\.name).sorted() == ["broken", "newer"])
    }
}
