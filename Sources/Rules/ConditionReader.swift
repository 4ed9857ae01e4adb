import Primitives
import Text

/// Reads the `when:` shape and the original `conditions:` shape.
struct ConditionReader {
    static let depthLimit = 32
    static let operators = [
        "equals", "not_equals", "in", "not_in", "greater", "greater_or_equal", "less", "less_or_equal", "in_range", "contains", "prefix",
        "suffix",
        "wildcard", "cidr", "exists", "any_element", "all_elements", "no_element",
    ]
    private static let later = ["regex", "expr"]

    /// Whether top-level names must be a message's; within an element any name may stand.
    private let inElement: Bool

    init(inElement: Bool = false) { self.inElement = inElement }

    func condition(_ shape: Shape, depth: Int = 0) -> Condition? {
        guard depth < Self.depthLimit else {
            shape.fail("conditions nested deeper than \(Self.depthLimit)")
            return nil
        }
        guard let fields = shape.fields() else { return nil }
        let keys = fields.members.map(\.key)
        if let group = ["all", "any"].first(where: { keys.contains($0) }) {
            shape.only([group])
            let parts = shape[group]?.items()?.compactMap { condition($0, depth: depth + 1) }
            return parts.map { group == "all" ? .all($0) : .any($0) }
        }
        if keys.contains("not") {
            shape.only(["not"])
            return shape["not"].flatMap { condition($0, depth: depth + 1) }.map { .not($0) }
        }
        if keys.contains("combinator") || keys.contains("conditions") { return combined(shape, depth: depth) }
        return predicate(shape, depth: depth)
    }

    /// `conditions:` as a list means all of them; as a map it names its combinator.
    func original(_ shape: Shape) -> Condition? {
        guard shape.value.list != nil else { return condition(shape) }
        let parts = shape.items()?.compactMap { condition($0, depth: 1) }
        return parts.map { .all($0) }
    }

    private func combined(_ shape: Shape, depth: Int) -> Condition? {
        shape.only(["combinator", "conditions"])
        guard let word = shape.required("combinator")?.string(), let list = shape.required("conditions")?.items() else { return nil }
        let parts = list.compactMap { condition($0, depth: depth + 1) }
        switch word.uppercased() {
        case "AND": return .all(parts)
        case "OR": return .any(parts)
        case "NOT" where parts.count == 1: return .not(parts[0])
        default:
            shape["combinator"]?.fail("'\(word)' is none of AND, OR")
            return nil
        }
    }

    private func predicate(_ shape: Shape, depth: Int) -> Condition? {
        shape.only(["field", "operator", "op", "value", "ignore_case", "match"])
        guard let field = field(shape) else { return nil }
        guard let named = shape["operator"] ?? shape["op"] else {
            shape.fail("'operator' is missing")
            return nil
        }
        guard let word = named.string(), let operation = canonical(word, named) else { return nil }
        if let quantity = Condition.Quantity(rawValue: operation) {
            guard let value = shape.required("value") else { return nil }
            return ConditionReader(inElement: true).condition(value, depth: depth + 1).map { .elements(field, quantity, $0) }
        }
        let ignoresCase = shape["ignore_case"]?.bool() ?? false
        guard let test = PredicateReader(shape: shape, ignoresCase: ignoresCase).test(operation) else { return nil }
        var predicate = Predicate(field: field, operation: operation, test: test)
        predicate.ignoresCase = ignoresCase
        if let match = shape["match"] { predicate.quantifier = match.choice(Predicate.Quantifier.self) ?? .any }
        return .predicate(predicate)
    }

    private func field(_ shape: Shape) -> FieldPath? {
        guard let named = shape.required("field"), let text = named.string() else { return nil }
        guard let path = FieldPath(text) else {
            named.fail("'\(text)' is no path; write a.b, a.\"b.c\" or a JSON Pointer /a/b.c")
            return nil
        }
        return path
    }

    private func canonical(_ word: String, _ shape: Shape) -> String? {
        switch word {
        case "greater_than": return "greater"
        case "less_than": return "less"
        case _ where Self.operators.contains(word): return word
        case _ where Self.later.contains(word):
            shape.fail("operator '\(word)' is not supported by this version")
            return nil
        default:
            let meant =
                suggestion(for: word, among: Self.operators).map { "; did you mean '\($0)'?" }
                ?? "; known: \(Self.operators.joined(separator: ", "))"
            shape.fail("unknown operator '\(word)'\(meant)")
            return nil
        }
    }
}

/// Reads the constant of a predicate as its operator wants it.
struct PredicateReader {
    let shape: Shape
    let ignoresCase: Bool

    func test(_ operation: String) -> Predicate.Test? {
        if operation == "exists" { return .exists(shape["value"].map { $0.bool() ?? true } ?? true) }
        guard let constant = shape.required("value") else { return nil }
        switch operation {
        case "equals": return .equals(fold(constant.value))
        case "not_equals": return .notEquals(fold(constant.value))
        case "in": return list(constant).map { .oneOf($0) }
        case "not_in": return list(constant).map { .notOneOf($0) }
        case "greater": return bound(constant).map { .range(.init(lower: .init(value: $0, isInclusive: false))) }
        case "greater_or_equal": return bound(constant).map { .range(.init(lower: .init(value: $0, isInclusive: true))) }
        case "less": return bound(constant).map { .range(.init(upper: .init(value: $0, isInclusive: false))) }
        case "less_or_equal": return bound(constant).map { .range(.init(upper: .init(value: $0, isInclusive: true))) }
        case "in_range": return range(constant).map { .range($0) }
        case "contains": return text(constant).map { .contains($0) }
        case "prefix": return text(constant).map { .prefix($0) }
        case "suffix": return text(constant).map { .suffix($0) }
        case "wildcard": return text(constant).map { .wildcard(Wildcard($0), source: $0) }
        case "cidr": return blocks(constant).map { .cidr($0, source: constant.value) }
        default: return nil
        }
    }

    private func fold(_ value: Value) -> Value { ignoresCase ? value.string.map { .string(folded($0)) } ?? value : value }
    private func text(_ constant: Shape) -> String? { constant.string().map { ignoresCase ? folded($0) : $0 } }

    private func list(_ constant: Shape) -> [Value]? {
        guard let items = constant.items() else { return nil }
        if items.isEmpty { constant.fail("an empty list can never match") }
        return items.map { fold($0.value) }
    }

    private func bound(_ constant: Shape) -> Value? {
        if constant.value.number != nil || constant.value.string != nil { return constant.value }
        constant.fail("expected a number or text, found a \(constant.value.kind)")
        return nil
    }

    private func range(_ constant: Shape) -> Predicate.Range? {
        if let pair = constant.value.list, pair.count == 2 {
            guard let items = constant.items(), let low = bound(items[0]), let high = bound(items[1]) else { return nil }
            return .init(lower: .init(value: low, isInclusive: true), upper: .init(value: high, isInclusive: true))
        }
        constant.only(["gt", "gte", "lt", "lte"])
        guard let members = constant.members() else { return nil }
        var range = Predicate.Range()
        for (key, value) in members {
            guard let value = bound(value) else { return nil }
            switch key {
            case "gt": range.lower = .init(value: value, isInclusive: false)
            case "gte": range.lower = .init(value: value, isInclusive: true)
            case "lt": range.upper = .init(value: value, isInclusive: false)
            case "lte": range.upper = .init(value: value, isInclusive: true)
            default: break
            }
        }
        if members.isEmpty { constant.fail("a range needs one of gt, gte, lt, lte") }
        return range
    }

    private func blocks(_ constant: Shape) -> [AddressBlock]? {
        let texts = constant.value.list == nil ? [constant] : constant.items() ?? []
        return texts.compactMap { item in
            guard let text = item.string() else { return nil }
            let block = AddressBlock(text)
            if block == nil { item.fail("'\(text)' is no address block; write 10.0.0.0/8 or 2001:db8::/32") }
            return block
        }
    }
}
