import Primitives
import Rules
import Testing

/// Rules and workflows, "Rules": priority, `match`, `stop` and `otherwise`.
struct RuleCatalogTests {
    private func rule(_ id: String, priority: Int = 0, above: Int = 0, more: String = "") -> String {
        #"{"id": "\#(id)", "priority": \#(priority), "when": {"field": "data.n", "operator": "greater", "value": \#(above)}\#(more)}"#
    }

    private func list(_ rules: String...) -> String { "[\(rules.joined(separator: ", "))]" }

    @Test func `higher priority comes first, ties go by id`() throws {
        let set = try readSet(
            setText(list(rule("b", priority: 1), rule("c", priority: 2), rule("a", priority: 1), rule("d", priority: -5))))
        let found = matches([set], try message(#"{"n": 1}"#))
        #expect(found == ["set/c", "set/a", "set/b", "set/d"])
    }

    @Test func `match first takes the first that holds`() throws {
        let set = try readSet(
            setText(list(rule("low"), rule("high", priority: 9, above: 100), rule("middle", priority: 5, above: 10)), match: "first"))
        let cases: [(Int, [String])] = [(1, ["set/low"]), (11, ["set/middle"]), (101, ["set/high"]), (0, [])]
        for (n, expected) in cases {
            let found = matches([set], try message(#"{"n": \#(n)}"#))
            #expect(found == expected, "n \(n)")
        }
    }

    @Test func `after a rule that stops nothing of lower priority is evaluated`() throws {
        let set = try readSet(
            setText(
                list(
                    rule("first", priority: 3), rule("second", priority: 2, above: 10, more: #", "stop": true"#), rule("third", priority: 1)
                )))
        let below = matches([set], try message(#"{"n": 5}"#))
        #expect(below == ["set/first", "set/third"])
        let above = matches([set], try message(#"{"n": 15}"#))
        #expect(above == ["set/first", "set/second"])
    }

    @Test func `otherwise holds when no other rule of its set did`() throws {
        let set = try readSet(
            setText(
                list(
                    rule("small", above: 10), #"{"id": "any", "otherwise": true}"#,
                    #"{"id": "norse", "priority": 5, "otherwise": true, "when": {"field": "data.c", "operator": "equals", "value": "NO"}}"#)
            ))
        let matched = matches([set], try message(#"{"n": 11, "c": "NO"}"#))
        #expect(matched == ["set/small"])
        let none = matches([set], try message(#"{"n": 1}"#))
        #expect(none == ["set/any"])
        let both = matches([set], try message(#"{"n": 1, "c": "NO"}"#))
        #expect(both == ["set/norse", "set/any"])
    }

    @Test func `under match first only the first otherwise holds`() throws {
        let rules = list(#"{"id": "a", "otherwise": true}"#, #"{"id": "b", "priority": 1, "otherwise": true}"#)
        let set = try readSet(setText(rules, match: "first"))
        let found = matches([set], try message("{}"))
        #expect(found == ["set/b"])
    }

    @Test func `sets are asked one by one in the order of their names`() throws {
        let b = try readSet(setText(list(rule("x", priority: 9)), name: "b"))
        let a = try readSet(setText(list(#"{"id": "y", "otherwise": true}"#), match: "first", name: "a"))
        let found = matches([b, a], try message(#"{"n": 1}"#))
        #expect(found == ["a/y", "b/x"])
    }

    @Test func `a message is matched only by sets of its namespace`() throws {
        let own = try readSet(setText(list(rule("x")), name: "own", namespace: "shop"))
        let other = try readSet(setText(list(rule("x")), name: "other", namespace: "bank"))
        let found = matches([own, other], try message(#"{"n": 1}"#, namespace: try Namespace("shop")))
        #expect(found == ["own/x"])
        let none = matches([own, other], try message(#"{"n": 1}"#))
        #expect(none.isEmpty)
    }

    @Test func `a match brings the rule's actions`() throws {
        let set = try readSet(setText(list(rule("x", more: #", "actions": [{"workflow": "a"}, {"workflow": "b", "retry": 2}]"#))))
        let found = RuleCatalog([set]).matches(try message(#"{"n": 1}"#))
        #expect(found.map(\.actions) == [set.rules[0].actions])
        #expect(found.first?.actions.map(\.workflow) == ["a", "b"])
    }

    @Test func `the example of the documentation matches its own test`() throws {
        let set = try readSet(
            setText(
                #"""
                [{"id": "big-payment", "priority": 100, "when": {"all": [
                    {"field": "type", "operator": "equals", "value": "payment.received"},
                    {"field": "data.amount", "operator": "in_range", "value": {"gt": 1000, "lte": 50000}},
                    {"any": [{"field": "data.country", "operator": "in", "value": ["NO", "SE"]},
                             {"not": {"field": "data.channel", "operator": "equals", "value": "branch"}}]},
                    {"field": "data.items", "operator": "any_element", "value": {"all": [
                        {"field": "sku", "operator": "prefix", "value": "GC-", "ignore_case": true},
                        {"field": "qty", "operator": "greater", "value": 3}]}}]}},
                 {"id": "fallback", "otherwise": true}]
                """#))
        let data = #"{"amount": 25000, "country": "NO", "channel": "web", "items": [{"sku": "gc-1", "qty": 5}]}"#
        let found = matches([set], try message(data, type: "payment.received"))
        #expect(found == ["set/big-payment"])
        let other = matches([set], try message(data, type: "payment.sent"))
        #expect(other == ["set/fallback"])
    }

    @Test func `without sets nothing matches`() throws {
        let found = matches([], try message("{}"))
        #expect(found.isEmpty)
    }
}
