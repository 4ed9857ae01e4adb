import Primitives
import Rules
import Testing
import Text

/// The index by type must never change what matches (RuleCatalog.swift).
struct RuleCatalogPropertyTests {
    /// Draws rule sets and messages that often meet.
    private struct Draw {
        static let types = ["a", "b", "c", "é", "e\u{301}", "A"]

        var generator: SeededGenerator

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }
        mutating func word() -> String { Self.types[number(0..<Self.types.count)] }
        mutating func isLikely(_ percent: Int) -> Bool { number(0..<100) < percent }

        mutating func set(_ name: String) -> Value {
            let rules = (0..<number(0..<12)).map { rule("r\($0)") }
            return [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": .string(name)],
                "match": isLikely(30) ? "first" : "all", "rules": .list(rules),
            ]
        }

        private mutating func rule(_ id: String) -> Value {
            var fields = Fields([.init("id", .string(id)), .init("priority", Value(number(-2..<3)))])
            let isFallback = isLikely(15)
            if isFallback { fields["otherwise"] = .bool(true) }
            if !isFallback || isLikely(50) { fields["when"] = condition(depth: 3) }
            if !isFallback, isLikely(15) { fields["stop"] = .bool(true) }
            return .map(fields)
        }

        private mutating func condition(depth: Int) -> Value {
            switch depth == 0 ? 9 : number(0..<10) {
            case 0, 1, 2: return ["all": .list(conditions(depth: depth - 1))]
            case 3, 4: return ["any": .list(conditions(depth: depth - 1))]
            case 5: return ["not": condition(depth: depth - 1)]
            case 6:
                return [
                    "field": "data.items", "operator": .string(["any_element", "all_elements", "no_element"][number(0..<3)]),
                    "value": ["field": "n", "operator": "greater", "value": Value(number(0..<3))],
                ]
            default: return predicate()
            }
        }

        private mutating func conditions(depth: Int) -> [Value] { (0..<number(0..<4)).map { _ in condition(depth: depth) } }

        private mutating func predicate() -> Value {
            let field: Value = isLikely(30) ? "/type" : "type"
            switch number(0..<12) {
            case 0, 1, 2, 3: return ["field": field, "operator": "equals", "value": .string(word())]
            case 4, 5: return ["field": field, "operator": "in", "value": [.string(word()), .string(word())]]
            case 6: return ["field": field, "operator": "not_equals", "value": .string(word())]
            case 7: return ["field": field, "operator": "equals", "value": .string(word()), "ignore_case": true]
            case 8: return ["field": field, "operator": "equals", "value": .string(word()), "match": isLikely(50) ? "none" : "all"]
            case 9: return ["field": field, "operator": "prefix", "value": "e"]
            case 10: return ["field": "data.n", "operator": "in", "value": [Value(number(0..<3)), .string(word())]]
            default: return ["field": "data.n", "operator": "less_or_equal", "value": Value(number(0..<4))]
            }
        }

        mutating func message() -> Message {
            var data = Fields()
            if isLikely(80) { data["n"] = Value(number(0..<4)) }
            if isLikely(60) { data["items"] = .list((0..<number(0..<3)).map { _ in ["n": Value(number(0..<4))] }) }
            return Message(id: "1", source: "s", type: isLikely(90) ? word() : "unheard", data: .map(data))
        }
    }

    /// Every rule evaluated, as the documentation says it.
    private func naive(_ sets: [RuleSet], _ message: Message) -> [String] {
        var names: [String] = []
        for set in sets.sorted(by: { bytesPrecede($0.name, $1.name) }) {
            let ordered = set.rules.sorted { $0.priority == $1.priority ? bytesPrecede($0.id, $1.id) : $0.priority > $1.priority }
            var found: [Rule] = []
            for rule in ordered where !rule.isFallback && rule.condition.holds(for: message) {
                found.append(rule)
                if set.match == .first || rule.stops { break }
            }
            if found.isEmpty {
                found = ordered.filter { $0.isFallback && $0.condition.holds(for: message) }
                if set.match == .first { found = Array(found.prefix(1)) }
            }
            names += found.map { "\(set.name)/\($0.id)" }
        }
        return names
    }

    @Test func `with its index the catalog matches what evaluating every rule matches`() throws {
        var total = 0
        for seed in UInt64(1)...1000 {
            var draw = Draw(generator: SeededGenerator(seed: seed))
            var sets: [RuleSet] = []
            for name in ["two", "one"] {
                let problems = Shape.Problems()
                let set = RuleSet(draw.set(name), namespace: .default, problems: problems)
                let read = try #require(set, "seed \(seed): \(problems.all)")
                sets.append(read)
            }
            let catalog = RuleCatalog(sets)
            for _ in 0..<12 {
                let message = draw.message()
                let found = catalog.matches(message).map(\.name)
                total += found.count
                #expect(found == naive(sets, message), "seed \(seed): \(message)")
            }
        }
        #expect(total > 1000)
    }
}
