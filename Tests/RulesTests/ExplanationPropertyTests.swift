import Primitives
import Testing
import Text

@testable import Rules

/// A test of a field with a value that passes it and one that does not (nil: the field is missing), and the words for both.
struct Flip: Sendable {
    let test: String
    let passing: Value?
    let failing: Value?
    let toPass: String
    let toFail: String

    init(_ test: String, passing: Value?, failing: Value?, toPass: String, toFail: String) {
        self.test = test
        self.passing = passing
        self.failing = failing
        self.toPass = toPass
        self.toFail = toFail
    }
}

/// Tests whose change can be made: a value in hand for either verdict.
enum FlipTable {
    private static let strong: Value = [["n": 2], ["n": 3]]
    private static let weak: Value = [["n": 0]]
    private static let block = #""value": {"field": "n", "operator": "greater", "value": 1}"#

    static let all: [Flip] = [
        Flip(#""operator": "equals", "value": 5"#, passing: 5, failing: 6, toPass: "5", toFail: "anything but 5"),
        Flip(#""operator": "not_equals", "value": 5"#, passing: 6, failing: 5, toPass: "anything but 5", toFail: "5"),
        Flip(
            #""operator": "in", "value": ["NO", "SE"]"#, passing: "SE", failing: "DK", toPass: #"one of "NO", "SE""#,
            toFail: #"none of "NO", "SE""#),
        Flip(#""operator": "not_in", "value": [1]"#, passing: 2, failing: 1, toPass: "none of 1", toFail: "one of 1"),
        Flip(#""operator": "greater", "value": 8"#, passing: 9, failing: 8, toPass: "more than 8", toFail: "not more than 8"),
        Flip(#""operator": "less_or_equal", "value": 8"#, passing: 8, failing: 9, toPass: "at most 8", toFail: "not at most 8"),
        Flip(
            #""operator": "in_range", "value": {"gte": 1, "lt": 3}"#, passing: 1, failing: 3, toPass: "at least 1 and less than 3",
            toFail: "not at least 1 and less than 3"),
        Flip(
            #""operator": "contains", "value": "ell""#, passing: "hello", failing: "help", toPass: #"text with "ell" in it"#,
            toFail: #"text without "ell""#),
        Flip(
            #""operator": "prefix", "value": "GC-""#, passing: "GC-1", failing: "gc-1", toPass: #"text that begins with "GC-""#,
            toFail: #"text that does not begin with "GC-""#),
        Flip(
            #""operator": "suffix", "value": "z""#, passing: "xyz", failing: "zyx", toPass: #"text that ends with "z""#,
            toFail: #"text that does not end with "z""#),
        Flip(
            #""operator": "wildcard", "value": "a*""#, passing: "abc", failing: "bc", toPass: #"text like "a*""#,
            toFail: #"text unlike "a*""#),
        Flip(
            #""operator": "cidr", "value": "10.0.0.0/8""#, passing: "10.1.2.3", failing: "11.1.2.3",
            toPass: #"an address in "10.0.0.0/8""#, toFail: #"an address outside "10.0.0.0/8""#),
        Flip(#""operator": "exists", "value": true"#, passing: 1, failing: nil, toPass: "present", toFail: "absent"),
        Flip(#""operator": "exists", "value": false"#, passing: nil, failing: 1, toPass: "absent", toFail: "present"),
        Flip(
            #""operator": "any_element", \#(block)"#, passing: strong, failing: weak, toPass: "a list with an element that passes",
            toFail: "a list with no element that passes"),
        Flip(
            #""operator": "all_elements", \#(block)"#, passing: strong, failing: weak, toPass: "a list whose elements all pass",
            toFail: "a list with an element that does not pass"),
        Flip(
            #""operator": "no_element", \#(block)"#, passing: weak, failing: strong, toPass: "a list with no element that passes",
            toFail: "a list with an element that passes"),
    ]
}

/// What is said of random rules and messages must be what matching does, and what is asked for must be enough and the least.
struct ExplanationPropertyTests {
    // MARK: Reasons

    /// Draws rule sets and messages that often meet.
    private struct Draw {
        static let types = ["a", "b", "c"]

        var generator: SeededGenerator

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }
        mutating func word() -> String { Self.types[number(0..<Self.types.count)] }
        mutating func isLikely(_ percent: Int) -> Bool { number(0..<100) < percent }

        mutating func set(_ name: String) -> Value {
            let rules = (0..<number(0..<9)).map { rule("r\($0)") }
            return [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": .string(name)],
                "match": isLikely(40) ? "first" : "all", "rules": .list(rules),
            ]
        }

        private mutating func rule(_ id: String) -> Value {
            var fields = Fields([.init("id", .string(id)), .init("priority", Value(number(-1..<2)))])
            let isFallback = isLikely(25)
            if isFallback { fields["otherwise"] = .bool(true) }
            if !isFallback || isLikely(50) { fields["when"] = condition(depth: 2) }
            if isLikely(15) { fields["stop"] = .bool(true) }
            if isLikely(15) { fields["enabled"] = .bool(false) }
            return .map(fields)
        }

        private mutating func condition(depth: Int) -> Value {
            switch depth == 0 ? 9 : number(0..<10) {
            case 0, 1: return ["all": .list(conditions(depth: depth - 1))]
            case 2, 3: return ["any": .list(conditions(depth: depth - 1))]
            case 4: return ["not": condition(depth: depth - 1)]
            case 5:
                return [
                    "field": "data.items", "operator": .string(["any_element", "all_elements", "no_element"][number(0..<3)]),
                    "value": ["all": [["field": "n", "operator": "greater", "value": Value(number(0..<3))], condition(depth: 0)]],
                ]
            default: return predicate()
            }
        }

        private mutating func conditions(depth: Int) -> [Value] { (0..<number(0..<4)).map { _ in condition(depth: depth) } }

        private mutating func predicate() -> Value {
            switch number(0..<7) {
            case 0, 1: return ["field": "type", "operator": "equals", "value": .string(word())]
            case 2: return ["field": "type", "operator": "not_in", "value": [.string(word()), "else"]]
            case 3: return ["field": "data.n", "operator": "exists", "value": .bool(isLikely(50))]
            case 4: return ["field": "data.n", "operator": "less_or_equal", "value": Value(number(0..<4)), "match": "none"]
            case 5: return ["field": "data.n", "operator": "in", "value": [Value(number(0..<4)), Value(number(0..<4))]]
            default: return ["field": "data.n", "operator": "greater", "value": Value(number(0..<3))]
            }
        }

        private mutating func numbers() -> [Value] { (0..<number(0..<3)).map { _ in Value(number(0..<4)) } }

        mutating func message() -> Message {
            var data = Fields()
            if isLikely(60) { data["n"] = Value(number(0..<4)) } else if isLikely(50) { data["n"] = .list(numbers()) }
            if isLikely(60) { data["items"] = .list((0..<number(0..<3)).map { _ in ["n": Value(number(0..<4))] }) }
            return Message(id: "1", source: "s", type: isLikely(90) ? word() : "unheard", data: .map(data))
        }
    }

    /// What the documentation says became of each rule of a set, in the order of evaluation; the disabled ones last.
    private func told(_ set: RuleSet, _ message: Message) -> [String: Explanation.Reason] {
        func name(_ rule: Rule) -> String { "\(set.name)/\(rule.id)" }
        let ordered = set.rules.filter(\.isEnabled).sorted {
            $0.priority == $1.priority ? bytesPrecede($0.id, $1.id) : $0.priority > $1.priority
        }
        var reasons: [String: Explanation.Reason] = [:]
        for rule in set.rules { reasons[name(rule)] = rule.isEnabled ? .conditionFalse : .disabled }
        var matched: [String] = []
        var ender: String?
        for rule in ordered where !rule.isFallback && rule.condition.holds(for: message) {
            if let ender {
                reasons[name(rule)] = .shadowed(by: ender)
                continue
            }
            matched.append(name(rule))
            reasons[name(rule)] = .matched
            if set.match == .first || rule.stops { ender = name(rule) }
        }
        let isNeeded = matched.isEmpty
        for rule in ordered where rule.isFallback && rule.condition.holds(for: message) {
            if isNeeded, matched.isEmpty || set.match == .all {
                matched.append(name(rule))
                reasons[name(rule)] = .matched
            } else if let first = matched.first {
                reasons[name(rule)] = .fallbackNotNeeded(by: first)
            }
        }
        return reasons
    }

    /// Whether a part, or one below it, says something else than its condition.
    private func differs(_ part: Explanation.Part, _ condition: Condition, in root: some RuleRoot) -> Bool {
        guard part.holds == condition.holds(in: root) else { return true }
        switch condition {
        case .predicate(let predicate):
            return part.operation != predicate.operation || part.field != predicate.field.text || !part.children.isEmpty
                || part.actual != predicate.field.value(in: root)
        case .all(let parts), .any(let parts):
            return part.field != nil || part.children.count != parts.count
                || zip(part.children, parts).contains { differs($0, $1, in: root) }
        case .not(let inner): return part.operation != "not" || part.children.count != 1 || differs(part.children[0], inner, in: root)
        case .elements(let field, let quantity, let inner):
            let items = field.value(in: root)?.list ?? []
            return part.operation != quantity.rawValue || part.field != field.text || part.children.count != items.count
                || zip(part.children, items).contains { differs($0, inner, in: $1) }
        }
    }

    @Test func `what is explained as matched is what matches, and every other rule has its reason`() throws {
        var seen: [String: Int] = [:]
        for seed in UInt64(1)...600 {
            var draw = Draw(generator: SeededGenerator(seed: seed))
            var sets: [RuleSet] = []
            for name in ["two", "one"] {
                let problems = Shape.Problems()
                let set = RuleSet(draw.set(name), namespace: .default, problems: problems)
                let read = try #require(set, "seed \(seed): \(problems.all)")
                sets.append(read)
            }
            let catalog = RuleCatalog(sets)
            let rules = Dictionary(uniqueKeysWithValues: sets.flatMap { set in set.rules.map { ("\(set.name)/\($0.id)", $0) } })
            for _ in 0..<8 {
                let message = draw.message()
                let found = catalog.explain(message)
                let matched = found.filter { $0.reason == .matched }.map(\.rule)
                #expect(matched == catalog.matches(message).map(\.name), "seed \(seed): \(message)")
                #expect(found.count == rules.count, "seed \(seed)")
                let reasons = Dictionary(found.map { ($0.rule, $0.reason) }, uniquingKeysWith: { first, _ in first })
                let expected = told(sets[0], message).merging(told(sets[1], message)) { first, _ in first }
                #expect(reasons == expected, "seed \(seed): \(message)")
                for explanation in found {
                    seen[explanation.reason.word, default: 0] += 1
                    let rule = try #require(rules[explanation.rule])
                    let isOther = differs(explanation.condition, rule.condition, in: message)
                    #expect(!isOther, "seed \(seed), \(explanation.rule): \(message)")
                    #expect(explanation.priority == rule.priority)
                    #expect(explanation.changes?.isEmpty != true, "seed \(seed), \(explanation.rule): \(message)")
                }
            }
        }
        for word in ["matched", "condition_false", "disabled", "shadowed", "fallback_not_needed"] {
            #expect(seen[word, default: 0] > 100, "\(word): \(seen)")
        }
    }

    // MARK: Changes

    /// Draws a condition in which every field is tested once.
    private struct Tree {
        static let limit = 8

        var generator: SeededGenerator
        private(set) var flips: [Flip] = []

        init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }

        mutating func text(depth: Int) -> String {
            switch depth == 0 ? 9 : number(0..<10) {
            case 0, 1, 2: return #"{"all": [\#(parts(depth))]}"#
            case 3, 4, 5: return #"{"any": [\#(parts(depth))]}"#
            case 6: return #"{"not": \#(text(depth: depth - 1))}"#
            default: return leaf()
            }
        }

        private mutating func parts(_ depth: Int) -> String {
            var texts: [String] = []
            for _ in 0..<number(0..<4) { texts.append(text(depth: depth - 1)) }
            return texts.joined(separator: ", ")
        }

        /// A test of the next field, or something constant when there are enough.
        private mutating func leaf() -> String {
            guard flips.count < Self.limit else { return number(0..<2) == 0 ? #"{"all": []}"# : #"{"any": []}"# }
            let flip = FlipTable.all[number(0..<FlipTable.all.count)]
            flips.append(flip)
            return #"{"field": "data.f\#(flips.count - 1)", \#(flip.test)}"#
        }

        /// A value for each field, and whether it passes.
        mutating func values() -> [(value: Value?, passes: Bool)] {
            var values: [(value: Value?, passes: Bool)] = []
            for flip in flips {
                if number(0..<2) == 0 {
                    values.append((value: flip.passing, passes: true))
                } else {
                    let isMissing = flip.passing != nil && number(0..<3) == 0
                    values.append((value: isMissing ? nil : flip.failing, passes: false))
                }
            }
            return values
        }
    }

    private func message(_ values: [Value?]) -> Message {
        var data = Fields()
        for (place, value) in values.enumerated() { data["f\(place)"] = value }
        return Message(id: "1", source: "s", type: "t", data: .map(data))
    }

    /// The size of the smallest set of fields that turns the verdict when each gets the other value; nil when none does.
    private func least(_ condition: Condition, _ values: [(value: Value?, passes: Bool)], _ flips: [Flip]) -> Int? {
        let verdict = condition.holds(for: message(values.map { $0.value }))
        var best: Int?
        for mask in 1..<(1 << max(1, values.count)) where !values.isEmpty && mask.nonzeroBitCount < best ?? .max {
            var tried = values.map { $0.value }
            for place in values.indices where mask >> place & 1 == 1 {
                tried[place] = values[place].passes ? flips[place].failing : flips[place].passing
            }
            if condition.holds(for: message(tried)) != verdict { best = mask.nonzeroBitCount }
        }
        return best
    }

    @Test func `the changes that are named turn the verdict, and no fewer would`() throws {
        var turned = 0
        var hopeless = 0
        for seed in UInt64(1)...800 {
            var tree = Tree(seed: seed)
            let text = tree.text(depth: 3)
            let set = try readSet(setText(#"[{"id": "r", "when": \#(text)}]"#))
            let condition = set.rules[0].condition
            let values = tree.values()
            let sent = message(values.map { $0.value })
            let explanation = try #require(RuleCatalog([set]).explain(sent).first)
            let fewest = least(condition, values, tree.flips)
            #expect(explanation.changes?.count == fewest, "seed \(seed): \(text) of \(sent.data)")
            guard let changes = explanation.changes else {
                hopeless += 1
                continue
            }
            var next = values.map { $0.value }
            for change in changes {
                let place = try #require(Int(change.field.dropFirst("data.f".count)))
                let (flip, passes) = (tree.flips[place], values[place].passes)
                #expect(change.actual == values[place].value, "seed \(seed): \(change.field)")
                #expect(change.wanted == (passes ? flip.toFail : flip.toPass), "seed \(seed): \(change.field)")
                next[place] = passes ? flip.failing : flip.passing
            }
            let verdict = condition.holds(for: message(next))
            #expect(verdict != explanation.condition.holds, "seed \(seed): \(text) of \(sent.data)")
            turned += 1
        }
        #expect(turned > 300 && hopeless > 10, "\(turned) turned, \(hopeless) cannot be")
    }
}
