import Primitives
import Rules
import Testing
import Text

/// Rules and workflows, "Semantics, each with a test".
struct SemanticsTests {
    private static let everyOperator: [(String, String)] = [
        ("equals", "1"), ("not_equals", "1"), ("in", "[1]"), ("not_in", "[1]"), ("greater", "1"), ("greater_or_equal", "1"), ("less", "1"),
        ("less_or_equal", "1"), ("in_range", "[1, 2]"), ("contains", #""a""#), ("prefix", #""""#), ("suffix", #""""#),
        ("wildcard", #""*""#),
        ("cidr", #""0.0.0.0/0""#), ("exists", "true"), ("any_element", #"{"all": []}"#), ("all_elements", #"{"all": []}"#),
        ("no_element", #"{"any": []}"#),
    ]

    // MARK: 1

    @Test func `1, a missing field makes every condition false`() throws {
        for (operation, constant) in Self.everyOperator {
            for field in ["data.x", "data.a.b", "data.s.t", "nothing", "subject", "data.list.7", #"/data/list/-"#] {
                let when = #"{"field": "\#(field)", "operator": "\#(operation)", "value": \#(constant)}"#
                let found = try holds(when, #"{"a": {}, "s": "text", "list": [1]}"#)
                #expect(!found, "\(field) \(operation)")
                let negated = try holds(#"{"not": \#(when)}"#, #"{"a": {}, "s": "text", "list": [1]}"#)
                #expect(negated, "not \(field) \(operation)")
            }
        }
    }

    @Test func `1, only exists false holds for a missing field`() throws {
        let found = try holds(#"{"field": "data.x", "operator": "exists", "value": false}"#, "{}")
        #expect(found)
        let match = try holds(#"{"field": "data.x", "operator": "equals", "value": 1, "match": "none"}"#, "{}")
        #expect(!match)
    }

    @Test func `1, not is the plain negation of its condition`() throws {
        for data in ["{}", #"{"x": 1}"#, #"{"x": 2}"#, #"{"x": null}"#, #"{"x": [1, 2]}"#, #"{"x": []}"#] {
            for (operation, constant) in Self.everyOperator {
                let when = #"{"field": "data.x", "operator": "\#(operation)", "value": \#(constant)}"#
                let plain = try holds(when, data)
                let negated = try holds(#"{"not": \#(when)}"#, data)
                let twice = try holds(#"{"not": {"not": \#(when)}}"#, data)
                #expect(negated == !plain, "\(operation) over \(data)")
                #expect(twice == plain, "\(operation) over \(data)")
            }
        }
    }

    // MARK: 2

    @Test func `2, null, missing and empty are three things`() throws {
        let isNull = #"{"field": "data.x", "operator": "equals", "value": null}"#
        let isEmpty = #"{"field": "data.x", "operator": "equals", "value": ""}"#
        let isThere = #"{"field": "data.x", "operator": "exists", "value": true}"#
        let cases: [(String, [Bool])] = [
            (#"{"x": null}"#, [true, false, true]), (#"{"x": ""}"#, [false, true, true]), ("{}", [false, false, false]),
            (#"{"x": []}"#, [false, false, true]), (#"{"x": {}}"#, [false, false, true]),
        ]
        for (data, expected) in cases {
            let found = try [isNull, isEmpty, isThere].map { try holds($0, data) }
            #expect(found == expected, "\(data)")
        }
    }

    // MARK: 3

    @Test func `3, on a list a scalar operator means any element, or all or none`() throws {
        func when(_ match: String) -> String { #"{"field": "data.x", "operator": "greater", "value": 3\#(match)}"# }
        let forms = [when(""), when(#", "match": "any""#), when(#", "match": "all""#), when(#", "match": "none""#)]
        let cases: [(String, [Bool])] = [
            (#"{"x": [1, 5]}"#, [true, true, false, false]), (#"{"x": [4, 5]}"#, [true, true, true, false]),
            (#"{"x": [1, 2]}"#, [false, false, false, true]), (#"{"x": []}"#, [false, false, false, true]),
            (#"{"x": [5, "a"]}"#, [true, true, false, false]), (#"{"x": [[5]]}"#, [false, false, false, true]),
        ]
        for (data, expected) in cases {
            let found = try forms.map { try holds($0, data) }
            #expect(found == expected, "\(data)")
        }
    }

    @Test func `3, a nested block binds to one element`() throws {
        let apart =
            #"{"all": [{"field": "data.items.0.sku", "operator": "exists"}, {"field": "data.skus", "operator": "equals", "value": "a"}]}"#
        let bound = #"""
            {"field": "data.items", "operator": "any_element", "value": {"all": [
                {"field": "sku", "operator": "equals", "value": "a"}, {"not": {"field": "qty", "operator": "less", "value": 2}}]}}
            """#
        let both = #"{"skus": ["b", "a"], "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 9}]}"#
        let first = try holds(apart, both)
        let second = try holds(bound, both)
        let third = try holds(bound, #"{"items": [{"sku": "b", "qty": 1}, {"sku": "a"}]}"#)
        #expect(first)
        #expect(!second)
        #expect(third)
    }

    // MARK: 4

    @Test func `4, numbers compare exactly across their forms`() throws {
        let cases: [(String, String, String, Bool)] = [
            ("equals", "9007199254740993", "9007199254740992.0", false), ("equals", "9007199254740992", "9007199254740992.0", true),
            ("greater", "9007199254740992.0", "9007199254740993", true),
            ("equals", "18446744073709551615", "18446744073709551616.0", false),
            ("less", "18446744073709551616.0", "18446744073709551615", true), ("equals", "-0.0", "0", true), ("equals", "0.1", "0.1", true),
            ("greater", "-1", "18446744073709551615", true), ("less", "-9223372036854775808", "-1e19", true),
            ("equals", "500", #""500""#, false), ("in", "[500]", #""500""#, false), ("greater", "499", #""500""#, false),
        ]
        for (operation, constant, value, expected) in cases {
            let found = try holds(#"{"field": "data.x", "operator": "\#(operation)", "value": \#(constant)}"#, #"{"x": \#(value)}"#)
            #expect(found == expected, "\(value) \(operation) \(constant)")
        }
    }

    // MARK: 5

    @Test func `5, a path leads through keys, quoted keys and pointers`() throws {
        let data = #"{"a": {"b": 1}, "a.b": {"c.d": 2}, "list": [{"n": 3}], "x/y": {"~": 4}, "": 5, "q\"t": 6}"#
        let cases: [(String, Int)] = [
            ("data.a.b", 1), (#"data.\"a.b\".\"c.d\""#, 2), ("/data/a.b/c.d", 2), ("data.list.0.n", 3), ("/data/list/0/n", 3),
            ("/data/x~1y/~0", 4), (#"data.x/y.~"#, 4), ("/data/", 5), (#"/data/q\"t"#, 6),
        ]
        for (field, value) in cases {
            let found = try holds(#"{"field": "\#(field)", "operator": "equals", "value": \#(value)}"#, data)
            #expect(found, "\(field)")
        }
    }

    @Test func `5, attributes and extensions stand at the top level`() throws {
        var sent = try message(#"{"type": "inner"}"#, type: "outer")
        sent.subject = "s"
        sent.time = "2026-11-23T14:32:07Z"
        sent.extensions = Fields([.init("traceparent", "00-1")])
        let cases: [(String, String)] = [
            ("type", "outer"), ("data.type", "inner"), ("source", "test"), ("id", "1"), ("subject", "s"), ("time", "2026-11-23T14:32:07Z"),
            ("traceparent", "00-1"), ("/type", "outer"),
        ]
        for (field, value) in cases {
            let found = try condition(#"{"field": "\#(field)", "operator": "equals", "value": "\#(value)"}"#).holds(for: sent)
            #expect(found, "\(field)")
        }
    }

    // MARK: 6

    @Test func `6, strings compare as bytes`() throws {
        let cases: [(String, String, String, Bool)] = [
            ("equals", #""é""#, #""e\u0301""#, false), ("equals", #""e\u0301""#, #""e\u0301""#, true),
            ("equals", #""É""#, #""é""#, false),
            ("prefix", #""e""#, #""e\u0301""#, true), ("contains", #""\u0301""#, #""e\u0301x""#, true),
            ("less", #""\ud83d\ude00""#, #""\uffff""#, true), ("in", #"["\u00e9"]"#, #""e\u0301""#, false),
        ]
        for (operation, constant, value, expected) in cases {
            let found = try holds(#"{"field": "data.x", "operator": "\#(operation)", "value": \#(constant)}"#, #"{"x": \#(value)}"#)
            #expect(found == expected, "\(value) \(operation) \(constant)")
        }
    }

    @Test func `6, ignore_case folds both sides scalar by scalar`() throws {
        let cases: [(String, String, String, Bool)] = [
            ("equals", #""GC-É""#, #""gc-é""#, true), ("equals", #""straße""#, #""STRASSE""#, false),
            ("not_equals", #""A""#, #""a""#, false),
            ("in", #"["NO", "SE"]"#, #""no""#, true), ("not_in", #"["NO"]"#, #""No""#, false), ("prefix", #""gc-""#, #""GC-1""#, true),
            ("suffix", #"".PNG""#, #""a.png""#, true), ("contains", #""ELL""#, #""Hello""#, true),
            ("wildcard", #""Order.*""#, #""ORDER.x""#, true), ("equals", #""k""#, #""\u212a""#, true),
            ("equals", #""i""#, #""\u0130""#, false),
            ("equals", "5", "5", true), ("in", #"[5, "A"]"#, "5", true), ("equals", #""Σ""#, #""σ""#, true),
        ]
        for (operation, constant, value, expected) in cases {
            let when = #"{"field": "data.x", "operator": "\#(operation)", "value": \#(constant), "ignore_case": true}"#
            let found = try holds(when, #"{"x": \#(value)}"#)
            #expect(found == expected, "\(value) \(operation) \(constant)")
        }
        let exact = try holds(#"{"field": "data.x", "operator": "equals", "value": "A", "ignore_case": false}"#, #"{"x": "a"}"#)
        #expect(!exact)
    }

    // MARK: 9

    @Test func `9, an unknown key is an error that says what was meant`() throws {
        let found = try problems(rule: #"{"id": "r", "when": {"all": [{"feild": "type", "operator": "equals", "value": 1}]}}"#)
        let unknown = try #require(found.first { $0.pointer == "/rules/0/when/all/0/feild" })
        #expect(unknown.message == "unknown key 'feild'; did you mean 'field'?")
    }
}
