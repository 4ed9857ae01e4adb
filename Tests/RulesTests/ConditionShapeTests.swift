import Primitives
import Rules
import Testing
import Text

/// Rules and workflows, "Rules": `when:` and the original `conditions:` shape.
struct ConditionShapeTests {
    private let big = #"{"field": "data.amount", "operator": "greater", "value": 10}"#
    private let norwegian = #"{"field": "data.country", "operator": "equals", "value": "NO"}"#
    private let samples = [
        #"{"amount": 11, "country": "NO"}"#, #"{"amount": 11, "country": "SE"}"#, #"{"amount": 1, "country": "NO"}"#, #"{"amount": 1}"#,
    ]

    /// Whether a rule with these members holds, for each of the samples.
    private func verdicts(_ members: String) throws -> [Bool] {
        let set = try readSet(setText(#"[{"id": "r", \#(members)}]"#))
        return try samples.map { try set.rules[0].condition.holds(for: message($0)) }
    }

    @Test func `all, any and not nest`() throws {
        let all = try verdicts(#""when": {"all": [\#(big), \#(norwegian)]}"#)
        #expect(all == [true, false, false, false])
        let any = try verdicts(#""when": {"any": [\#(big), \#(norwegian)]}"#)
        #expect(any == [true, true, true, false])
        let not = try verdicts(#""when": {"not": {"any": [\#(big), \#(norwegian)]}}"#)
        #expect(not == [false, false, false, true])
        let nested = try verdicts(#""when": {"all": [{"any": [\#(big), {"not": \#(big)}]}, {"not": {"all": [\#(big), \#(norwegian)]}}]}"#)
        #expect(nested == [false, true, true, true])
        let single = try verdicts(#""when": \#(norwegian)"#)
        #expect(single == [true, false, true, false])
    }

    @Test func `an empty all holds always, an empty any never`() throws {
        let all = try verdicts(#""when": {"all": []}"#)
        #expect(all == [true, true, true, true])
        let any = try verdicts(#""when": {"any": []}"#)
        #expect(any == [false, false, false, false])
    }

    @Test func `conditions as a list mean all of them`() throws {
        let found = try verdicts(#""conditions": [\#(big), \#(norwegian)]"#)
        #expect(found == [true, false, false, false])
        let none = try verdicts(#""conditions": []"#)
        #expect(none == [true, true, true, true])
    }

    @Test func `conditions as a map name their combinator`() throws {
        let cases: [(String, [Bool])] = [
            ("AND", [true, false, false, false]), ("and", [true, false, false, false]), ("OR", [true, true, true, false]),
            ("or", [true, true, true, false]),
        ]
        for (word, expected) in cases {
            let found = try verdicts(#""conditions": {"combinator": "\#(word)", "conditions": [\#(big), \#(norwegian)]}"#)
            #expect(found == expected, "\(word)")
        }
        let inner = #"{"combinator": "OR", "conditions": [\#(norwegian)]}"#
        let nested = try verdicts(#""conditions": {"combinator": "AND", "conditions": [\#(big), \#(inner)]}"#)
        #expect(nested == [true, false, false, false])
    }

    @Test func `op and the old names of the order operators stay valid`() throws {
        let when = try verdicts(#""when": {"field": "data.amount", "op": "greater_than", "value": 10}"#)
        #expect(when == [true, true, false, false])
        let conditions = try verdicts(#""conditions": [{"field": "data.amount", "op": "less_than", "value": 10}]"#)
        #expect(conditions == [false, false, true, true])
    }

    @Test func `both shapes of the same condition are the same`() throws {
        let new = try readSet(setText(#"[{"id": "r", "when": {"all": [\#(big), \#(norwegian)]}}]"#))
        let old = try readSet(setText(#"[{"id": "r", "conditions": [\#(big), \#(norwegian)]}]"#))
        #expect(new == old)
    }

    @Test func `conditions nest 32 deep and no deeper`() throws {
        func nested(_ depth: Int) -> String { String(repeating: #"{"not": "#, count: depth) + big + String(repeating: "}", count: depth) }
        let read = try problems(rule: #"{"id": "r", "when": \#(nested(31))}"#)
        #expect(read.isEmpty)
        let refused = try problems(rule: #"{"id": "r", "when": \#(nested(32))}"#)
        #expect(refused.map(\.message) == ["conditions nested deeper than 32"])
    }
}
