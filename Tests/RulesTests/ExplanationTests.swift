import Primitives
import Testing
import Text

@testable import Rules

/// A test of `data.x`: data that fails it with what would pass, and data that passes it with what would fail.
struct WordsRow: Sendable {
    let test: String
    let failing: String
    let toPass: String
    let passing: String
    let toFail: String

    init(_ test: String, failing: String, toPass: String, passing: String, toFail: String) {
        self.test = test
        self.failing = failing
        self.toPass = toPass
        self.passing = passing
        self.toFail = toFail
    }
}

/// What each operator says of a change.
enum WordsTable {
    static let equality: [WordsRow] = [
        WordsRow(
            #""operator": "equals", "value": 5"#, failing: #"{"x": 6}"#, toPass: "5", passing: #"{"x": 5}"#, toFail: "anything but 5"),
        WordsRow(
            #""operator": "equals", "value": "no""#, failing: "{}", toPass: #""no""#, passing: #"{"x": "no"}"#,
            toFail: #"anything but "no""#),
        WordsRow(
            #""operator": "equals", "value": null"#, failing: #"{"x": 0}"#, toPass: "null", passing: #"{"x": null}"#,
            toFail: "anything but null"),
        WordsRow(
            #""operator": "not_equals", "value": 5"#, failing: #"{"x": 5}"#, toPass: "anything but 5", passing: #"{"x": 6}"#, toFail: "5"),
        WordsRow(
            #""operator": "in", "value": ["NO", "SE"]"#, failing: #"{"x": "DK"}"#, toPass: #"one of "NO", "SE""#,
            passing: #"{"x": "NO"}"#, toFail: #"none of "NO", "SE""#),
        WordsRow(
            #""operator": "in", "value": [1, 2, 3, 4, 5, 6, 7, 8, 9]"#, failing: #"{"x": 0}"#,
            toPass: "one of 1, 2, 3, 4, 5, 6, 7, 8, ...", passing: #"{"x": 9}"#, toFail: "none of 1, 2, 3, 4, 5, 6, 7, 8, ..."),
        WordsRow(
            #""operator": "not_in", "value": ["a"]"#, failing: #"{"x": "a"}"#, toPass: #"none of "a""#, passing: #"{"x": "b"}"#,
            toFail: #"one of "a""#),
        WordsRow(
            #""operator": "exists", "value": true"#, failing: "{}", toPass: "present", passing: #"{"x": null}"#, toFail: "absent"),
        WordsRow(
            #""operator": "exists", "value": false"#, failing: #"{"x": 1}"#, toPass: "absent", passing: "{}", toFail: "present"),
    ]

    static let order: [WordsRow] = [
        WordsRow(
            #""operator": "greater", "value": 800"#, failing: #"{"x": 5}"#, toPass: "more than 800", passing: #"{"x": 801}"#,
            toFail: "not more than 800"),
        WordsRow(
            #""operator": "greater_or_equal", "value": 10"#, failing: #"{"x": 9}"#, toPass: "at least 10", passing: #"{"x": 10}"#,
            toFail: "not at least 10"),
        WordsRow(
            #""operator": "less", "value": 10"#, failing: #"{"x": 10}"#, toPass: "less than 10", passing: #"{"x": 9}"#,
            toFail: "not less than 10"),
        WordsRow(
            #""operator": "less_or_equal", "value": "m""#, failing: #"{"x": "n"}"#, toPass: #"at most "m""#, passing: #"{"x": "m"}"#,
            toFail: #"not at most "m""#),
        WordsRow(
            #""operator": "in_range", "value": {"gt": 1000, "lte": 50000}"#, failing: #"{"x": 1000}"#,
            toPass: "more than 1000 and at most 50000", passing: #"{"x": 50000}"#, toFail: "not more than 1000 and at most 50000"),
        WordsRow(
            #""operator": "in_range", "value": [1, 3]"#, failing: #"{"x": "2"}"#, toPass: "at least 1 and at most 3",
            passing: #"{"x": 2}"#, toFail: "not at least 1 and at most 3"),
        WordsRow(
            #""operator": "in_range", "value": {"lt": 1.5}"#, failing: "{}", toPass: "less than 1.5", passing: #"{"x": -1}"#,
            toFail: "not less than 1.5"),
    ]

    static let text: [WordsRow] = [
        WordsRow(
            #""operator": "contains", "value": "ell""#, failing: #"{"x": "help"}"#, toPass: #"text with "ell" in it"#,
            passing: #"{"x": "hello"}"#, toFail: #"text without "ell""#),
        WordsRow(
            #""operator": "prefix", "value": "GC-""#, failing: #"{"x": 5}"#, toPass: #"text that begins with "GC-""#,
            passing: #"{"x": "GC-1"}"#, toFail: #"text that does not begin with "GC-""#),
        WordsRow(
            #""operator": "suffix", "value": ".png""#, failing: #"{"x": "png"}"#, toPass: #"text that ends with ".png""#,
            passing: #"{"x": "a.png"}"#, toFail: #"text that does not end with ".png""#),
        WordsRow(
            #""operator": "wildcard", "value": "a?c""#, failing: #"{"x": "ac"}"#, toPass: #"text like "a?c""#, passing: #"{"x": "abc"}"#,
            toFail: #"text unlike "a?c""#),
        WordsRow(
            #""operator": "cidr", "value": "10.0.0.0/8""#, failing: #"{"x": "11.0.0.1"}"#, toPass: #"an address in "10.0.0.0/8""#,
            passing: #"{"x": "10.9.8.7"}"#, toFail: #"an address outside "10.0.0.0/8""#),
    ]

    /// A field that is compared whatever its case must not be told to keep from one spelling only.
    static let anyCase: [WordsRow] = [
        WordsRow(
            #""operator": "equals", "value": "no", "ignore_case": true"#, failing: #"{"x": "yes"}"#, toPass: #""no" (any case)"#,
            passing: #"{"x": "No"}"#, toFail: #"anything but "no" (any case)"#),
        WordsRow(
            #""operator": "prefix", "value": "gc-", "ignore_case": true"#, failing: #"{"x": "ab"}"#,
            toPass: #"text that begins with "gc-" (any case)"#, passing: #"{"x": "GC-1"}"#,
            toFail: #"text that does not begin with "gc-" (any case)"#),
        WordsRow(
            #""operator": "in", "value": ["no"], "ignore_case": true"#, failing: #"{"x": "yes"}"#, toPass: #"one of "no" (any case)"#,
            passing: #"{"x": "NO"}"#, toFail: #"none of "no" (any case)"#),
    ]

    static let elements: [WordsRow] = [
        WordsRow(
            #""operator": "any_element", "value": {"field": "n", "operator": "greater", "value": 1}"#, failing: #"{"x": [{"n": 1}]}"#,
            toPass: "a list with an element that passes", passing: #"{"x": [{"n": 2}]}"#, toFail: "a list with no element that passes"),
        WordsRow(
            #""operator": "all_elements", "value": {"field": "n", "operator": "greater", "value": 1}"#, failing: #"{"x": []}"#,
            toPass: "a list whose elements all pass", passing: #"{"x": [{"n": 2}]}"#,
            toFail: "a list with an element that does not pass"),
        WordsRow(
            #""operator": "no_element", "value": {"field": "n", "operator": "greater", "value": 1}"#, failing: #"{"x": 5}"#,
            toPass: "a list with no element that passes", passing: #"{"x": []}"#, toFail: "a list with an element that passes"),
    ]
}

/// Why a rule did or did not match, and the least that would have to change (Explanation.swift).
struct ExplanationTests {
    /// The explanation of the only rule of a set.
    private func explanation(_ when: String, _ data: String) throws -> Explanation {
        let set = try readSet(setText(#"[{"id": "r", "when": \#(when)}]"#))
        let sent = try message(data)
        return try #require(RuleCatalog([set]).explain(sent).first)
    }

    private func reasons(_ sets: [RuleSet], _ message: Message) -> [String] {
        RuleCatalog(sets).explain(message).map { "\($0.rule) \($0.reason.word)\($0.reason.culprit.map { " by \($0)" } ?? "")" }
    }

    /// What the changes of a condition ask for, as `field: wanted`.
    private func asked(_ when: String, _ data: String) throws -> [String]? {
        try explanation(when, data).changes.map { changes in changes.map { "\($0.field): \($0.wanted)" } }
    }

    // MARK: Words

    private func check(_ row: WordsRow) throws {
        let when = #"{"field": "data.x", \#(row.test)}"#
        for (data, wanted, isMatch) in [(row.failing, row.toPass, false), (row.passing, row.toFail, true)] {
            let found = try explanation(when, data)
            let actual = try JSONScanner.parse(data)["x"]
            #expect(found.condition.holds == isMatch, "\(data)")
            #expect((found.reason == .matched) == isMatch, "\(data)")
            #expect(found.condition.actual == actual, "\(data)")
            #expect(found.changes == [Explanation.Change(field: "data.x", actual: actual, wanted: wanted)], "\(data)")
        }
    }

    @Test(arguments: WordsTable.equality) func `equality, membership and presence in words`(row: WordsRow) throws { try check(row) }

    @Test(arguments: WordsTable.order) func `order and ranges in words`(row: WordsRow) throws { try check(row) }

    @Test(arguments: WordsTable.text) func `pieces of text and addresses in words`(row: WordsRow) throws { try check(row) }

    @Test(arguments: WordsTable.anyCase) func `any case is said in both directions`(row: WordsRow) throws { try check(row) }

    @Test(arguments: WordsTable.elements) func `elements in words`(row: WordsRow) throws { try check(row) }

    @Test func `a list of which no element may pass is not told what an element must be`() throws {
        func wanted(_ match: String) throws -> String? {
            let when = #"{"field": "data.x", "operator": "greater", "value": 3, "match": "\#(match)"}"#
            return try explanation(when, match == "any" ? #"{"x": [1, 2]}"# : #"{"x": [1, 5]}"#).changes?.first?.wanted
        }
        let (one, nothing) = (try wanted("any"), try wanted("none"))
        #expect(one?.contains("more than 3") == true)
        #expect(nothing != nil && nothing != one)
    }

    // MARK: The fewest changes

    private static let n = #"{"field": "data.n", "operator": "greater", "value": 5}"#
    private static let c = #"{"field": "data.c", "operator": "equals", "value": "NO"}"#
    private static let d = #"{"field": "data.d", "operator": "exists"}"#

    @Test func `of all that must hold every part that fails is named, and no other`() throws {
        let when = #"{"all": [\#(Self.n), \#(Self.c), \#(Self.d)]}"#
        #expect(try asked(when, #"{"n": 9, "c": "DK"}"#) == [#"data.c: "NO""#, "data.d: present"])
        #expect(try asked(when, #"{"n": 9, "c": "NO"}"#) == ["data.d: present"])
        // To end the match one is enough: the first.
        #expect(try asked(when, #"{"n": 9, "c": "NO", "d": 1}"#) == ["data.n: not more than 5"])
    }

    @Test func `of several ways the one with the fewest changes is named`() throws {
        let when = #"{"any": [{"all": [\#(Self.n), \#(Self.c)]}, \#(Self.d)]}"#
        #expect(try asked(when, "{}") == ["data.d: present"])
        // Now either way takes one; the first is named.
        #expect(try asked(when, #"{"n": 6}"#) == [#"data.c: "NO""#])
        // To end it, both ways must be closed, each as cheaply as it can be.
        let both = #"{"n": 6, "c": "NO", "d": 0}"#
        #expect(try asked(when, both) == ["data.n: not more than 5", "data.d: absent"])
        #expect(try asked(when, #"{"d": 0}"#) == ["data.d: absent"])
    }

    @Test func `under not the other verdict is wanted`() throws {
        #expect(try asked(#"{"not": \#(Self.c)}"#, #"{"c": "NO"}"#) == [#"data.c: anything but "NO""#])
        #expect(try asked(#"{"not": \#(Self.c)}"#, "{}") == [#"data.c: "NO""#])
        let deep = #"{"not": {"any": [\#(Self.c), {"not": {"all": [\#(Self.n), \#(Self.d)]}}]}}"#
        #expect(try asked(deep, #"{"c": "NO", "n": 6}"#) == [#"data.c: anything but "NO""#, "data.d: present"])
        #expect(try asked(deep, #"{"n": 6, "d": 1}"#) == [#"data.c: "NO""#])
    }

    @Test func `a field that two parts test is one change`() throws {
        let when = #"{"all": [\#(Self.n), {"field": "data.n", "operator": "less", "value": 10}, \#(Self.c)]}"#
        #expect(try asked(when, #"{"n": "seven", "c": "NO"}"#) == ["data.n: more than 5 and less than 10"])
        let twice = #"{"all": [\#(Self.n), \#(Self.n)]}"#
        #expect(try asked(twice, #"{"n": 5}"#) == ["data.n: more than 5"])
    }

    @Test func `what no change of a field turns round has no changes`() throws {
        #expect(try asked(#"{"any": []}"#, "{}") == nil)
        #expect(try asked(#"{"all": []}"#, "{}") == nil)
        #expect(try asked(#"{"all": [{"any": []}, \#(Self.c)]}"#, "{}") == nil)
        #expect(try asked(#"{"any": [{"any": []}, \#(Self.c)]}"#, "{}") == [#"data.c: "NO""#])
    }

    @Test func `attributes are fields like any other`() throws {
        let found = try explanation(#"{"field": "type", "operator": "equals", "value": "payment"}"#, "{}")
        #expect(found.changes == [Explanation.Change(field: "type", actual: "order.placed", wanted: #""payment""#)])
    }

    // MARK: Parts

    @Test func `every part says how it stands, with what it found`() throws {
        let found = try explanation(#"{"all": [\#(Self.n), {"not": \#(Self.c)}, \#(Self.d)]}"#, #"{"n": 6, "c": "NO"}"#)
        let parts = found.condition.children
        try #require(parts.count == 3)
        #expect(found.condition.operation == "all" && !found.condition.holds && found.condition.field == nil)
        #expect(parts.map(\.operation) == ["greater", "not", "exists"])
        #expect(parts.map(\.holds) == [true, false, false])
        let range: Value = ["gt": 5]
        #expect(parts[0].field == "data.n")
        #expect(parts[0].expected == range)
        #expect(parts[0].actual == 6)
        #expect(parts[1].children.map(\.holds) == [true])
        #expect(parts[2].actual == nil)
        #expect(parts[2].expected == .bool(true))
    }

    @Test func `the elements of a list are told one by one, the first twenty of them`() throws {
        let when =
            #"{"field": "data.items", "operator": "any_element", "value": {"field": "n", "operator": "greater", "value": 3}}"#
        let few = try explanation(when, #"{"items": [{"n": 1}, {"n": 5}, 7]}"#).condition
        #expect(few.operation == "any_element" && few.field == "data.items" && few.holds)
        #expect(few.children.map(\.holds) == [false, true, false])
        #expect(few.children.map(\.actual) == [1, 5, nil])
        let many = (1...25).map { #"{"n": \#($0 == 25 ? 4 : 0)}"# }.joined(separator: ", ")
        let long = try explanation(when, #"{"items": [\#(many)]}"#).condition
        #expect(long.holds)
        #expect(long.children.count == 20)
        #expect(long.actual?.list?.count == 25)
        let none = try explanation(when, #"{"items": "text"}"#).condition
        #expect(none.children.isEmpty)
        #expect(none.actual == "text")
        #expect(!none.holds)
    }

    @Test func `as a value it says all that people and programs want`() throws {
        let missing = try explanation(#"{"field": "data.x", "operator": "equals", "value": 5}"#, "{}").value
        let expected: Value = [
            "rule": "set/r", "priority": 0, "matched": false, "reason": "condition_false",
            "condition": ["operation": "equals", "holds": false, "field": "data.x", "expected": 5, "actual": nil, "missing": true],
            "flip": [["field": "data.x", "wanted": "5"]],
        ]
        #expect(missing == expected)
        let there = try explanation(#"{"any": [{"field": "data.x", "operator": "equals", "value": 5}]}"#, #"{"x": null}"#).value
        let part: Value = ["operation": "equals", "holds": false, "field": "data.x", "expected": 5, "actual": nil]
        #expect(there["condition"] == ["operation": "any", "holds": false, "parts": [part]])
        #expect(there["flip"] == [["field": "data.x", "actual": nil, "wanted": "5"]])
        let hopeless = try explanation(#"{"any": []}"#, "{}").value
        #expect(hopeless["flip"] == .null)
    }

    // MARK: Reasons

    private func rule(_ id: String, above: Int, _ more: String = "") -> String {
        #"{"id": "\#(id)", "when": {"field": "data.n", "operator": "greater", "value": \#(above)}\#(more)}"#
    }

    @Test func `under match first the rules after the one that held are shadowed by it`() throws {
        let rules = [rule("a", above: 10), rule("b", above: 0), rule("c", above: 0), rule("d", above: 10)]
        let set = try readSet(setText("[\(rules.joined(separator: ", "))]", match: "first"))
        let sent = try message(#"{"n": 5}"#)
        #expect(
            reasons([set], sent) == [
                "set/a condition_false", "set/b matched", "set/c shadowed by set/b", "set/d condition_false",
            ])
    }

    @Test func `after a rule that stops those of lower priority are shadowed by it`() throws {
        let rules = [
            rule("last", above: 0, #", "priority": 1"#), rule("stops", above: 0, #", "priority": 2, "stop": true"#),
            rule("first", above: 0, #", "priority": 3"#), rule("also", above: 0, #", "priority": 1, "stop": true"#),
        ]
        let set = try readSet(setText("[\(rules.joined(separator: ", "))]"))
        let sent = try message(#"{"n": 5}"#)
        #expect(
            reasons([set], sent) == [
                "set/first matched", "set/stops matched", "set/also shadowed by set/stops", "set/last shadowed by set/stops",
            ])
    }

    @Test func `a fallback names the rule that made it needless`() throws {
        let rules = [#"{"id": "rest", "priority": 9, "otherwise": true}"#, rule("a", above: 0), rule("b", above: 0)]
        let set = try readSet(setText("[\(rules.joined(separator: ", "))]"))
        let needless = try message(#"{"n": 5}"#)
        #expect(reasons([set], needless) == ["set/rest fallback_not_needed by set/a", "set/a matched", "set/b matched"])
        let needed = try message(#"{"n": 0}"#)
        #expect(reasons([set], needed) == ["set/rest matched", "set/a condition_false", "set/b condition_false"])
    }

    @Test func `of two fallbacks under match first the second names the first`() throws {
        let set = try readSet(
            setText(#"[{"id": "a", "otherwise": true}, {"id": "b", "priority": 1, "otherwise": true}]"#, match: "first"))
        let found = RuleCatalog([set]).explain(try message("{}"))
        #expect(found.map(\.rule) == ["set/b", "set/a"])
        #expect(found.map { $0.reason == .matched } == [true, false])
        #expect(found.last?.reason.culprit == "set/b")
    }

    @Test func `a disabled rule comes last, with how its condition stands`() throws {
        let rules = [rule("off", above: 0, #", "enabled": false, "priority": 9"#), rule("on", above: 10)]
        let set = try readSet(setText("[\(rules.joined(separator: ", "))]"))
        let found = RuleCatalog([set]).explain(try message(#"{"n": 5}"#))
        #expect(found.map(\.rule) == ["set/on", "set/off"])
        #expect(found.map(\.reason) == [.conditionFalse, .disabled])
        #expect(found.map(\.priority) == [0, 9])
        #expect(found.map(\.condition.holds) == [false, true])
    }

    @Test func `only sets of the message's namespace are explained, by name`() throws {
        let two = try readSet(setText("[\(rule("x", above: 0))]", name: "two", namespace: "shop"))
        let one = try readSet(setText("[\(rule("x", above: 0))]", name: "one", namespace: "shop"))
        let other = try readSet(setText("[\(rule("x", above: 0))]", name: "other", namespace: "bank"))
        let sent = try message(#"{"n": 1}"#, namespace: try Namespace("shop"))
        #expect(reasons([two, other, one], sent) == ["one/x matched", "two/x matched"])
        #expect(reasons([other], sent).isEmpty)
    }
}
