import Primitives
import Testing

/// An operator with its constant, and values of the field that pass and that do not.
struct OperatorRow: Sendable {
    let operation: String
    let constant: String
    let passing: [String]
    let failing: [String]

    init(_ operation: String, _ constant: String, passing: [String], failing: [String]) {
        self.operation = operation
        self.constant = constant
        self.passing = passing
        self.failing = failing
    }
}

/// What each operator lets pass and what not.
enum OperatorTables {
    static let equality: [OperatorRow] = [
        OperatorRow("equals", "5", passing: ["5", "5.0", "5e0", "[1, 5]"], failing: ["6", #""5""#, "null", "true", "[]", "{}", "[[5]]"]),
        OperatorRow("equals", #""no""#, passing: [#""no""#, #"["x", "no"]"#], failing: [#""NO""#, #""no ""#, #""""#, "null", "false"]),
        OperatorRow("equals", "null", passing: ["null", "[null]"], failing: ["0", #""""#, "false", "[]", "{}"]),
        OperatorRow("equals", "false", passing: ["false"], failing: ["0", "null", #""false""#, "true"]),
        OperatorRow("equals", "[1, 2]", passing: ["[1, 2]", "[1.0, 2]"], failing: ["[2, 1]", "[1, 2, 3]", "1", "[[1, 2]]"]),
        OperatorRow("equals", #"{"a": 1}"#, passing: [#"{"a": 1.0}"#, #"[{"a": 1}]"#], failing: [#"{"a": 1, "b": 2}"#, "{}", "1"]),
        OperatorRow("not_equals", "5", passing: ["6", #""5""#, "null", "[5, 6]", "{}"], failing: ["5", "5.0", "[5, 5]", "[]"]),
        OperatorRow("not_equals", "[1]", passing: ["[2]", "[1, 1]", "1"], failing: ["[1]", "[1.0]"]),
        OperatorRow(
            "in", #"[1, "a", null]"#, passing: ["1", "1.0", #""a""#, "null", "[7, 1]"], failing: ["2", #""1""#, #""A""#, "[]", "false"]),
        OperatorRow("in", "[[1, 2]]", passing: ["[[1, 2], 5]"], failing: ["[1, 2]", "1"]),
        OperatorRow("not_in", #"[1, "a"]"#, passing: ["2", #""A""#, "null", "[1, 2]"], failing: ["1", #""a""#, #"[1, "a"]"#, "[]"]),
    ]

    static let order: [OperatorRow] = [
        OperatorRow(
            "greater", "10", passing: ["11", "10.5", "18446744073709551615"], failing: ["10", "10.0", "9", #""11""#, "null", "true", "{}"]),
        OperatorRow("greater_or_equal", "10", passing: ["10", "10.0", "11"], failing: ["9.99", "-11", #""10""#]),
        OperatorRow("less", "10", passing: ["9", "9.99", "-9223372036854775808"], failing: ["10", "11", #""1""#, "null"]),
        OperatorRow("less_or_equal", "10", passing: ["10", "9", "10.0"], failing: ["10.01", "null"]),
        OperatorRow("greater_than", "10", passing: ["11"], failing: ["10"]),
        OperatorRow("less_than", "10", passing: ["9"], failing: ["10"]),
        OperatorRow("greater", #""m""#, passing: [#""n""#, #""ma""#, #""é""#], failing: [#""m""#, #""a""#, #""M""#, "5"]),
        OperatorRow("less_or_equal", #""m""#, passing: [#""m""#, #""M""#, #""""#], failing: [#""n""#, "1", "null"]),
        OperatorRow(
            "in_range", #"{"gt": 1000, "lte": 50000}"#, passing: ["1001", "50000", "1000.5"],
            failing: ["1000", "50001", #""2000""#, "null"]),
        OperatorRow("in_range", #"{"gte": 1}"#, passing: ["1", "1e9"], failing: ["0", "0.999"]),
        OperatorRow("in_range", #"{"lt": 1}"#, passing: ["0", "-1e9"], failing: ["1", "1.5"]),
        OperatorRow("in_range", #"{"gte": "a", "lt": "b"}"#, passing: [#""a""#, #""azz""#], failing: [#""b""#, #""A""#, "1"]),
        OperatorRow("in_range", "[1, 3]", passing: ["1", "2.5", "3"], failing: ["0.999", "3.001", #""2""#]),
        OperatorRow("in_range", #"{"gt": 3, "lt": 1}"#, passing: [], failing: ["0", "2", "4"]),
    ]

    static let text: [OperatorRow] = [
        OperatorRow(
            "contains", #""ell""#, passing: [#""hello""#, #""ell""#, #"["x", "bell"]"#],
            failing: [#""help""#, #""ELL""#, "5", "null", #""el""#]),
        OperatorRow("contains", #""""#, passing: [#""""#, #""x""#], failing: ["null", "0"]),
        OperatorRow("contains", #""aab""#, passing: [#""aaab""#], failing: [#""aaa""#, #""abab""#]),
        OperatorRow(
            "prefix", #""GC-""#, passing: [#""GC-1""#, #""GC-""#, #"["x", "GC-2"]"#], failing: [#""gc-1""#, #""GC""#, #""xGC-""#, "{}"]),
        OperatorRow("suffix", #"".png""#, passing: [#""a.png""#, #"".png""#], failing: [#""a.PNG""#, #""png""#, #"".pngx""#, "null"]),
        OperatorRow("suffix", #""éb""#, passing: [#""aéb""#], failing: [#""b""#, #""eb""#]),
        OperatorRow(
            "wildcard", #""order.*.eu""#, passing: [#""order.placed.eu""#, #""order..eu""#],
            failing: [#""order.eu""#, #""Order.x.eu""#, "5"]),
        OperatorRow("wildcard", #""a?c""#, passing: [#""abc""#, #""aéc""#], failing: [#""ac""#, #""abbc""#]),
        OperatorRow("wildcard", #""*""#, passing: [#""""#, #""x/y""#], failing: ["null", "1"]),
    ]

    static let presence: [OperatorRow] = [
        OperatorRow("exists", "true", passing: ["1", "null", #""""#, "[]", "{}", "false"], failing: []),
        OperatorRow("exists", "false", passing: [], failing: ["1", "null", #""""#, "[]", "{}", "false"]),
    ]
}

/// Rules and workflows, "Operators": what each lets pass.
struct OperatorTests {
    private func check(_ row: OperatorRow) throws {
        let when = #"{"field": "data.x", "operator": "\#(row.operation)", "value": \#(row.constant)}"#
        for value in row.passing {
            let found = try holds(when, #"{"x": \#(value)}"#)
            #expect(found, "\(value) should pass \(row.operation) \(row.constant)")
        }
        for value in row.failing {
            let found = try holds(when, #"{"x": \#(value)}"#)
            #expect(!found, "\(value) should not pass \(row.operation) \(row.constant)")
        }
    }

    @Test(arguments: OperatorTables.equality)
    func `equality and membership`(row: OperatorRow) throws { try check(row) }

    @Test(arguments: OperatorTables.order)
    func `order and ranges`(row: OperatorRow) throws { try check(row) }

    @Test(arguments: OperatorTables.text)
    func `pieces of text`(row: OperatorRow) throws { try check(row) }

    @Test(arguments: OperatorTables.presence)
    func `presence`(row: OperatorRow) throws { try check(row) }

    @Test func `exists without a value means that the field is there`() throws {
        let when = #"{"field": "data.x", "operator": "exists"}"#
        let there = try holds(when, #"{"x": null}"#)
        let missing = try holds(when, "{}")
        #expect(there)
        #expect(!missing)
    }

    // MARK: Elements

    private let strong =
        #"{"all": [{"field": "sku", "operator": "prefix", "value": "GC-"}, {"field": "qty", "operator": "greater", "value": 3}]}"#

    @Test func `any_element wants one element that passes the whole block`() throws {
        let when = #"{"field": "data.items", "operator": "any_element", "value": \#(strong)}"#
        let cases: [(String, Bool)] = [
            (#"{"items": [{"sku": "GC-1", "qty": 5}]}"#, true), (#"{"items": [{"sku": "x", "qty": 9}, {"sku": "GC-1", "qty": 4}]}"#, true),
            (#"{"items": [{"sku": "GC-1", "qty": 1}, {"sku": "x", "qty": 9}]}"#, false), (#"{"items": []}"#, false),
            (#"{"items": {"sku": "GC-1", "qty": 5}}"#, false), (#"{"items": [5, null, "GC-1"]}"#, false), (#"{"items": null}"#, false),
        ]
        for (data, expected) in cases {
            let found = try holds(when, data)
            #expect(found == expected, "\(data)")
        }
    }

    @Test func `all_elements wants every element and at least one`() throws {
        let when = #"{"field": "data.items", "operator": "all_elements", "value": {"field": "qty", "operator": "greater", "value": 3}}"#
        let cases: [(String, Bool)] = [
            (#"{"items": [{"qty": 5}, {"qty": 4}]}"#, true), (#"{"items": [{"qty": 5}, {"qty": 3}]}"#, false),
            (#"{"items": [{"qty": 5}, {}]}"#, false), (#"{"items": []}"#, false), (#"{"items": "x"}"#, false),
        ]
        for (data, expected) in cases {
            let found = try holds(when, data)
            #expect(found == expected, "\(data)")
        }
    }

    @Test func `no_element wants a list without one that passes`() throws {
        let when = #"{"field": "data.items", "operator": "no_element", "value": {"field": "qty", "operator": "greater", "value": 3}}"#
        let cases: [(String, Bool)] = [
            (#"{"items": [{"qty": 3}, {}]}"#, true), (#"{"items": []}"#, true), (#"{"items": [{"qty": 3}, {"qty": 4}]}"#, false),
            (#"{"items": 5}"#, false),
        ]
        for (data, expected) in cases {
            let found = try holds(when, data)
            #expect(found == expected, "\(data)")
        }
    }

    @Test func `elements nest`() throws {
        let inner = #"{"field": "tags", "operator": "any_element", "value": {"field": "k", "operator": "equals", "value": "x"}}"#
        let when = #"{"field": "data.items", "operator": "all_elements", "value": \#(inner)}"#
        let all = try holds(when, #"{"items": [{"tags": [{"k": "x"}]}, {"tags": [{"k": "y"}, {"k": "x"}]}]}"#)
        let some = try holds(when, #"{"items": [{"tags": [{"k": "x"}]}, {"tags": [{"k": "y"}]}]}"#)
        #expect(all)
        #expect(!some)
    }
}
