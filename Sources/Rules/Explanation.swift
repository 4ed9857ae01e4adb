package import Primitives
import Text

/// Why a rule did or did not match a message: every predicate with the value it found, and the least that would have to change.
package struct Explanation: Sendable {
    package enum Reason: Equatable, Sendable {
        case matched
        case conditionFalse
        case disabled
        /// Its condition holds, and a rule before it ended the set's evaluation.
        case shadowed(by: String)
        /// It holds only when no other rule of the set does.
        case fallbackNotNeeded(by: String)

        /// It holds, and the message is an event of the cluster, for which it does not ask.
        case notForEvents

        package var word: String {
            switch self {
            case .matched: "matched"
            case .conditionFalse: "condition_false"
            case .disabled: "disabled"
            case .shadowed: "shadowed"
            case .fallbackNotNeeded: "fallback_not_needed"
            case .notForEvents: "not_for_events"
            }
        }

        package var culprit: String? {
            switch self {
            case .shadowed(let rule), .fallbackNotNeeded(let rule): rule
            case .matched, .conditionFalse, .disabled, .notForEvents: nil
            }
        }
    }

    /// One part of a condition.
    package struct Part: Equatable, Sendable {
        /// `all`, `any`, `not`, or the predicate's operator.
        package var operation: String
        package var holds: Bool
        package var field: String?
        /// What the predicate wants.
        package var expected: Value?
        /// What stands in the message; nil when the field is missing.
        package var actual: Value?
        package var children: [Part]
    }

    /// One field that would have to be otherwise.
    package struct Change: Equatable, Sendable {
        package var field: String
        package var actual: Value?
        /// `more than 800`, `one of "NO", "SE"`, `present`.
        package var wanted: String
    }

    /// `set/rule`.
    package var rule: String
    package var priority: Int
    package var reason: Reason
    package var condition: Part
    /// The fewest changes of the message that turn the condition round; nil when no change of single fields does.
    package var changes: [Change]?

    package var value: Value {
        .object([
            "rule": .string(rule), "priority": Value(priority), "matched": .bool(reason == .matched), "reason": .string(reason.word),
            "culprit": reason.culprit.map(Value.string), "condition": condition.value,
            "flip": changes.map { changes in
                .list(
                    changes.map {
                        .object(["field": .string($0.field), "actual": $0.actual, "wanted": .string($0.wanted)])
                    })
            } ?? .null,
        ])
    }
}

extension Explanation.Part {
    package var value: Value {
        .object([
            "operation": .string(operation), "holds": .bool(holds), "field": field.map(Value.string), "expected": expected,
            "actual": field == nil ? Value?.none : actual ?? .null,
            "missing": field != nil && actual == nil ? .bool(true) : Value?.none,
            "parts": children.isEmpty ? Value?.none : .list(children.map(\.value)),
        ])
    }
}

extension Condition {
    /// The condition with the values that it met.
    func explained(in root: some RuleRoot) -> Explanation.Part {
        switch self {
        case .predicate(let predicate):
            let found = predicate.field.value(in: root)
            return Explanation.Part(
                operation: predicate.operation, holds: predicate.holds(for: found), field: predicate.field.text,
                expected: predicate.expected, actual: found, children: [])
        case .all(let parts): return group("all", parts, root)
        case .any(let parts): return group("any", parts, root)
        case .not(let part): return group("not", [part], root)
        case .elements(let field, let quantity, let part):
            let found = field.value(in: root)
            let children = (found?.list ?? []).prefix(20).map { part.explained(in: $0) }
            return Explanation.Part(
                operation: quantity.rawValue, holds: holds(in: root), field: field.text, expected: nil, actual: found, children: children)
        }
    }

    private func group(_ name: String, _ parts: [Condition], _ root: some RuleRoot) -> Explanation.Part {
        Explanation.Part(
            operation: name, holds: holds(in: root), field: nil, expected: nil, actual: nil, children: parts.map { $0.explained(in: root) })
    }

    /// The fewest changes after which `holds` is `wanted`; empty when it is already, nil when none are known. Changes of one field are
    /// counted once.
    func changes(to wanted: Bool, in root: some RuleRoot) -> [Explanation.Change]? {
        guard holds(in: root) != wanted else { return [] }
        switch self {
        case .predicate(let predicate):
            let found = predicate.field.value(in: root)
            return [Explanation.Change(field: predicate.field.text, actual: found, wanted: predicate.words(isWanted: wanted, found: found))]
        case .not(let part): return part.changes(to: !wanted, in: root)
        case .all(let parts): return wanted ? every(parts, true, root) : cheapest(parts, false, root)
        case .any(let parts): return wanted ? cheapest(parts, true, root) : every(parts, false, root)
        case .elements(let field, let quantity, _):
            let found = field.value(in: root)
            let words =
                switch (quantity, wanted) {
                case (.any, true): "a list with an element that passes"
                case (.any, false), (.none, true): "a list with no element that passes"
                case (.all, true): "a list whose elements all pass"
                case (.all, false): "a list with an element that does not pass"
                case (.none, false): "a list with an element that passes"
                }
            return [Explanation.Change(field: field.text, actual: found, wanted: words)]
        }
    }

    private func every(_ parts: [Condition], _ wanted: Bool, _ root: some RuleRoot) -> [Explanation.Change]? {
        var all: [Explanation.Change] = []
        for part in parts {
            guard let changes = part.changes(to: wanted, in: root) else { return nil }
            for change in changes {
                if let place = all.firstIndex(where: { $0.field == change.field }) {
                    if all[place].wanted != change.wanted { all[place].wanted += " and " + change.wanted }
                } else {
                    all.append(change)
                }
            }
        }
        return all
    }

    private func cheapest(_ parts: [Condition], _ wanted: Bool, _ root: some RuleRoot) -> [Explanation.Change]? {
        parts.compactMap { $0.changes(to: wanted, in: root) }.min { $0.count < $1.count }
    }
}

extension Predicate {
    /// The constant as the rule's author would recognise it.
    var expected: Value? {
        switch test {
        case .equals(let value), .notEquals(let value): value
        case .oneOf(let values), .notOneOf(let values): .list(values)
        case .range(let range): range.value
        case .contains(let text), .prefix(let text), .suffix(let text): .string(text)
        case .wildcard(_, let source): .string(source)
        case .cidr(_, let source): source
        case .exists(let wanted): .bool(wanted)
        }
    }

    /// What the field would have to be for the predicate to hold, or not to.
    func words(isWanted: Bool, found: Value?) -> String {
        func shown(_ value: Value) -> String { JSONWriter.text(value) }
        func list(_ values: [Value]) -> String { values.prefix(8).map(shown).joined(separator: ", ") + (values.count > 8 ? ", ..." : "") }
        let positive: (String, String) =
            switch test {
            case .equals(let value): (shown(value), "anything but \(shown(value))")
            case .notEquals(let value): ("anything but \(shown(value))", shown(value))
            case .oneOf(let values): ("one of \(list(values))", "none of \(list(values))")
            case .notOneOf(let values): ("none of \(list(values))", "one of \(list(values))")
            case .range(let range): (range.words, "not \(range.words)")
            case .contains(let text): ("text with \(shown(.string(text))) in it", "text without \(shown(.string(text)))")
            case .prefix(let text):
                ("text that begins with \(shown(.string(text)))", "text that does not begin with \(shown(.string(text)))")
            case .suffix(let text): ("text that ends with \(shown(.string(text)))", "text that does not end with \(shown(.string(text)))")
            case .wildcard(_, let source): ("text like \(shown(.string(source)))", "text unlike \(shown(.string(source)))")
            case .cidr(_, let source): ("an address in \(shown(source))", "an address outside \(shown(source))")
            case .exists(let wanted): wanted ? ("present", "absent") : ("absent", "present")
            }
        let isList = if case .list? = found { !comparesWholeLists } else { false }
        let (yes, no) = ignoresCase ? (positive.0 + " (any case)", positive.1 + " (any case)") : positive
        guard isList else { return isWanted ? yes : no }
        return switch (quantifier, isWanted) {
        case (.any, true), (.none, false): "a list with an element that is \(yes)"
        case (.any, false), (.none, true): "a list in which every element is \(no)"
        case (.all, true): "a list in which every element is \(yes)"
        case (.all, false): "a list with an element that is \(no)"
        }
    }
}

extension Predicate.Range {
    var value: Value {
        var fields = Fields()
        if let lower { fields[lower.isInclusive ? "gte" : "gt"] = lower.value }
        if let upper { fields[upper.isInclusive ? "lte" : "lt"] = upper.value }
        return .map(fields)
    }

    var words: String {
        var parts: [String] = []
        if let lower { parts.append((lower.isInclusive ? "at least " : "more than ") + JSONWriter.text(lower.value)) }
        if let upper { parts.append((upper.isInclusive ? "at most " : "less than ") + JSONWriter.text(upper.value)) }
        return parts.joined(separator: " and ")
    }
}
