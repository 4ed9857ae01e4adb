import CEL
import Primitives
import Rules
import Testing
import Text

/// A definition is refused with everything that is wrong in it, each at its JSON Pointer (RFC 6901).
struct RuleReaderTests {
    @Test func `a rule set is read with all that it says`() throws {
        let set = try readSet(
            #"""
            {"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "payments", "namespace": "shop", "labels": {"a": "b"}},
             "match": "first",
             "rules": [
                {"id": "big", "name": "Big", "description": "d", "priority": 100, "stop": true,
                 "when": {"field": "type", "operator": "equals", "value": "payment"},
                 "actions": [{"workflow": "fraud-check", "params": {"amount": "${{ data.amount }}"}, "timeout": "30s", "retry": 3}, {"workflow": "log@1.4.0"}]},
                {"id": "rest", "otherwise": true}],
             "tests": [{"name": "t", "message": {"type": "payment"}, "expect": {"matched": ["big"]}}]}
            """#)
        #expect(set.namespace.text == "shop")
        #expect(set.name == "payments")
        #expect(set.match == .first)
        try #require(set.rules.map(\.id) == ["big", "rest"])
        #expect(set.rules.map(\.priority) == [100, 0])
        #expect(set.rules.map(\.stops) == [true, false])
        #expect(set.rules.map(\.isFallback) == [false, true])
        #expect(set.rules[1].condition == Condition.always)
        try #require(set.rules[0].actions.count == 2)
        let action = set.rules[0].actions[0]
        #expect(action.workflow == "fraud-check")
        #expect(action.timeout == .seconds(30))
        #expect(action.retry == 3)
        #expect(action.params?.isConstant == false)
        #expect(set.rules[0].actions[1].workflow == "log@1.4.0")
        #expect(set.rules[0].actions[1].retry == 0)
        #expect(set.tests.map(\.expected) == [["big"]])
        #expect(set.tests.map(\.pointer) == ["/tests/0"])
    }

    @Test func `an action's templates see the message`() throws {
        let set = try readSet(
            setText(
                #"[{"id": "r", "when": {"all": []}, "actions": [{"workflow": "w", "params": {"t": "${{ type }}", "x": "${{ data.x }}"}}]}]"#
            ))
        let params = try #require(set.rules[0].actions[0].params)
        let value = try params.resolve(in: MessageScope(message(#"{"x": [1]}"#)))
        let expected: Value = ["t": "order.placed", "x": [1]]
        #expect(value == expected)
    }

    /// A rule, and the pointer and the message of the problem in it.
    struct Refusal: Sendable {
        let rule: String
        let pointer: String
        let message: String

        init(_ rule: String, _ pointer: String, _ message: String) {
            self.rule = rule
            self.pointer = pointer
            self.message = message
        }
    }

    static let rules: [Refusal] = [
        Refusal(#"{"when": {"all": []}}"#, "/rules/0", "'id' is missing"),
        Refusal(#"{"id": "A b", "when": {"all": []}}"#, "/rules/0/id", "'A b' is no rule id: 1 to 63 of a-z, 0-9, '_' and '-'"),
        Refusal(#"{"id": "r"}"#, "/rules/0", "'when' is missing; a rule for every message has 'otherwise: true' or 'when: {all: []}'"),
        Refusal(
            #"{"id": "r", "when": {"all": []}, "conditions": []}"#, "/rules/0", "'when' and 'conditions' say the same thing; keep one"),
        Refusal(
            #"{"id": "r", "when": {"all": []}, "prioritty": 1}"#, "/rules/0/prioritty",
            "unknown key 'prioritty'; did you mean 'priority'?"),
        Refusal(#"{"id": "r", "when": {"all": []}, "priority": "high"}"#, "/rules/0/priority", "expected a whole number, found a string"),
        Refusal(#"{"id": "r", "when": {"all": []}, "set": {"data.x": 1}}"#, "/rules/0/set", "'set' is not supported by this version"),
        Refusal(#"{"id": "r", "when": {"all": []}, "chain": ["other"]}"#, "/rules/0/chain", "'chain' is not supported by this version"),
        Refusal(#"{"id": "r", "when": 5}"#, "/rules/0/when", "expected a map, found a number"),
        Refusal(#"{"id": "r", "when": {"all": [], "any": []}}"#, "/rules/0/when/any", "unknown key 'any'; known keys: all"),
    ]

    static let predicates: [Refusal] = [
        Refusal(#"{"operator": "equals", "value": 1}"#, "", "'field' is missing"),
        Refusal(
            #"{"field": "a..b", "operator": "equals", "value": 1}"#, "/field",
            "'a..b' is no path; write a.b, a.\"b.c\" or a JSON Pointer /a/b.c"),
        Refusal(#"{"field": "type", "value": 1}"#, "", "'operator' is missing"),
        Refusal(#"{"field": "type", "operator": "equal", "value": 1}"#, "/operator", "unknown operator 'equal'; did you mean 'equals'?"),
        Refusal(#"{"field": "type", "op": "prefx", "value": "x"}"#, "/op", "unknown operator 'prefx'; did you mean 'prefix'?"),
        Refusal(
            #"{"field": "type", "operator": "regex", "value": "^a"}"#, "/operator", "operator 'regex' is not supported by this version"),
        Refusal(
            #"{"field": "type", "operator": "expr", "value": "true"}"#, "/operator", "operator 'expr' is not supported by this version"),
        Refusal(#"{"field": "type", "operator": "equals"}"#, "", "'value' is missing"),
        Refusal(#"{"field": "type", "operator": "in", "value": "a"}"#, "/value", "expected a list, found a string"),
        Refusal(#"{"field": "type", "operator": "in", "value": []}"#, "/value", "an empty list can never match"),
        Refusal(#"{"field": "type", "operator": "greater", "value": true}"#, "/value", "expected a number or text, found a bool"),
        Refusal(#"{"field": "type", "operator": "in_range", "value": {}}"#, "/value", "a range needs one of gt, gte, lt, lte"),
        Refusal(#"{"field": "type", "operator": "in_range", "value": {"gtt": 1}}"#, "/value/gtt", "unknown key 'gtt'; did you mean 'gt'?"),
        Refusal(
            #"{"field": "type", "operator": "in_range", "value": {"gt": null}}"#, "/value/gt", "expected a number or text, found a null"),
        Refusal(#"{"field": "type", "operator": "in_range", "value": [1, []]}"#, "/value/1", "expected a number or text, found a list"),
        Refusal(#"{"field": "type", "operator": "prefix", "value": 5}"#, "/value", "expected text, found a number"),
        Refusal(
            #"{"field": "type", "operator": "cidr", "value": "10.0.0.0/33"}"#, "/value",
            "'10.0.0.0/33' is no address block; write 10.0.0.0/8 or 2001:db8::/32"),
        Refusal(
            #"{"field": "type", "operator": "cidr", "value": ["::/0", "x"]}"#, "/value/1",
            "'x' is no address block; write 10.0.0.0/8 or 2001:db8::/32"),
        Refusal(#"{"field": "type", "operator": "exists", "value": 1}"#, "/value", "expected true or false, found a number"),
        Refusal(#"{"field": "type", "operator": "equals", "value": 1, "match": "some"}"#, "/match", "'some' is none of any, all, none"),
        Refusal(
            #"{"field": "type", "operator": "equals", "value": 1, "ignore_case": "yes"}"#, "/ignore_case",
            "expected true or false, found a string"),
        Refusal(#"{"field": "type", "operator": "any_element"}"#, "", "'value' is missing"),
        Refusal(#"{"field": "x", "operator": "any_element", "value": 5}"#, "/value", "expected a map, found a number"),
        Refusal(#"{"any": {"field": "x"}}"#, "/any", "expected a list, found a map"),
        Refusal(#"{"not": [1]}"#, "/not", "expected a map, found a list"),
        Refusal(#"{"combinator": "XOR", "conditions": []}"#, "/combinator", "'XOR' is none of AND, OR"),
        Refusal(#"{"combinator": "AND"}"#, "", "'conditions' is missing"),
        Refusal(#"{"conditions": []}"#, "", "'combinator' is missing"),
    ]

    static let actions: [Refusal] = [
        Refusal("{}", "", "'workflow' is missing"),
        Refusal(
            #"{"workflow": "other/flow"}"#, "/workflow",
            "'other/flow' lies in another namespace; a rule starts workflows of its own: use an emit task there"),
        Refusal(#"{"workflow": "w", "parms": {}}"#, "/parms", "unknown key 'parms'; did you mean 'params'?"),
        Refusal(
            #"{"workflow": "w", "timeout": "soon"}"#, "/timeout", "expected a duration such as 30s, 1h30m, PT5M or a number of seconds"),
        Refusal(#"{"workflow": "w", "retry": 101}"#, "/retry", "101 is outside 0 to 100"),
    ]

    private func check(_ text: String, _ refusal: Refusal, base: String) throws {
        let found = try problems(rule: text)
        let expected = ShapeProblem(pointer: base + refusal.pointer, message: refusal.message)
        #expect(found.contains(expected), "\(refusal.rule): \(found)")
    }

    @Test(arguments: RuleReaderTests.rules)
    func `a rule is refused at the place that is wrong`(refusal: Refusal) throws {
        try check(refusal.rule, refusal, base: "")
    }

    @Test(arguments: RuleReaderTests.predicates)
    func `a condition is refused at the place that is wrong`(refusal: Refusal) throws {
        try check(#"{"id": "r", "when": {"all": [{"all": []}, \#(refusal.rule)]}}"#, refusal, base: "/rules/0/when/all/1")
    }

    @Test(arguments: RuleReaderTests.actions)
    func `an action is refused at the place that is wrong`(refusal: Refusal) throws {
        try check(#"{"id": "r", "when": {"all": []}, "actions": [\#(refusal.rule)]}"#, refusal, base: "/rules/0/actions/0")
    }

    @Test func `a template is refused at its own place, with its offset`() throws {
        let action = #"{"workflow": "w", "params": {"a": ["x", "${{ tpye }}"]}}"#
        let found = try problems(rule: #"{"id": "r", "when": {"all": []}, "actions": [\#(action)]}"#)
        #expect(
            found == [
                ShapeProblem(
                    pointer: "/rules/0/actions/0/params/a/1", message: "unknown name 'tpye'; did you mean 'type'? (at character 5)")
            ])
    }

    @Test func `two rules of one id are refused`() throws {
        let rule = #"{"id": "same", "when": {"all": []}}"#
        let found = try problems(setText(#"[\#(rule), {"id": "other", "when": {"all": []}}, \#(rule)]"#))
        #expect(found == [ShapeProblem(pointer: "/rules/2/id", message: "rule id 'same' is used twice in this set")])
    }

    @Test func `everything that is wrong is told at once`() throws {
        let found = try problems(
            #"{"apiVersion": "distric/v2", "kind": "RuleSet", "metadata": {"name": "S p"}, "match": "frist", "#
                + #""rules": [{"id": "r"}], "extra": 1}"#)
        #expect(found.map(\.pointer) == ["/extra", "/apiVersion", "/metadata/name", "/match", "/rules/0"])
        let match = found.first { $0.pointer == "/match" }
        #expect(match?.message == "'frist' is none of all, first; did you mean 'first'?")
    }

    @Test func `a set without rules, of another kind or of another namespace is refused`() throws {
        let missing = try problems(#"{"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "s"}}"#)
        #expect(missing == [ShapeProblem(pointer: "", message: "'rules' is missing")])
        let kind = try problems(#"{"apiVersion": "distric/v1", "kind": "Workflow", "metadata": {"name": "s"}, "rules": []}"#)
        #expect(kind == [ShapeProblem(pointer: "/kind", message: "expected kind RuleSet, found 'Workflow'")])
        let found = Shape.Problems()
        let set = RuleSet(try JSONScanner.parse(setText("[]", namespace: "shop")), namespace: try Namespace("other"), problems: found)
        #expect(set == nil)
        #expect(found.all.map(\.pointer) == ["/metadata/namespace"])
    }

    @Test func `a test in the file is refused where it is wrong`() throws {
        let head = #"{"apiVersion": "distric/v1", "kind": "RuleSet", "metadata": {"name": "s"}, "rules": [], "tests": ["#
        let unnamed = try problems(head + #"{"message": {}, "expect": {"matched": []}}]}"#)
        #expect(unnamed == [ShapeProblem(pointer: "/tests/0", message: "'name' is missing")])
        let set = try problems(head + #"{"name": "t", "message": {}, "expect": {"matched": [], "set": {}}}]}"#)
        #expect(set == [ShapeProblem(pointer: "/tests/0/expect/set", message: "'set' is not supported by this version")])
        let matched = try problems(head + #"{"name": "t", "message": {}, "expect": {"matched": [5]}}]}"#)
        #expect(matched == [ShapeProblem(pointer: "/tests/0/expect/matched/0", message: "expected text, found a number")])
    }
}
