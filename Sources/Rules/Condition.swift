package import Primitives
import Text

/// When a rule holds: predicates under all, any and not.
package indirect enum Condition: Equatable, Sendable {
    case predicate(Predicate)
    case all([Condition])
    case any([Condition])
    case not(Condition)
    /// Elements of a list, each tested as a whole by a nested condition.
    case elements(FieldPath, Quantity, Condition)

    package enum Quantity: String, Sendable { case any = "any_element", all = "all_elements", none = "no_element" }

    package static let always = Condition.all([])

    package func holds(for message: Message) -> Bool { holds(in: message) }

    func holds(in root: some RuleRoot) -> Bool {
        switch self {
        case .predicate(let predicate): predicate.holds(for: predicate.field.value(in: root))
        case .all(let parts): parts.allSatisfy { $0.holds(in: root) }
        case .any(let parts): parts.contains { $0.holds(in: root) }
        case .not(let part): !part.holds(in: root)
        case .elements(let field, let quantity, let part): elements(field.value(in: root), quantity, part)
        }
    }

    /// A field that is missing or no list makes all three false.
    private func elements(_ found: Value?, _ quantity: Quantity, _ part: Condition) -> Bool {
        guard case .list(let items)? = found else { return false }
        return switch quantity {
        case .any: items.contains { part.holds(in: $0) }
        case .all: !items.isEmpty && items.allSatisfy { part.holds(in: $0) }
        case .none: !items.contains { part.holds(in: $0) }
        }
    }

    /// The `type` values outside which the condition cannot hold; nil when it can hold for any.
    var requiredTypes: Set<String>? { required("type") }

    /// Whether it is written for events of the cluster, by their source or by names of their types.
    var asksForEvents: Bool {
        required("source") == [Message.eventSource]
            || required("type").map { !$0.isEmpty && $0.allSatisfy { $0.hasPrefix(Message.eventSource + ".") } } == true
    }

    private func required(_ attribute: String) -> Set<String>? {
        switch self {
        case .predicate(let predicate):
            guard predicate.field.steps == [.init(attribute)], !predicate.ignoresCase, predicate.quantifier != .none else { return nil }
            switch predicate.test {
            case .equals(.string(let type)): return [type]
            case .oneOf(let values):
                let types = values.compactMap(\.string)
                return types.count == values.count ? Set(types) : nil
            default: return nil
            }
        case .all(let parts):
            return parts.compactMap { $0.required(attribute) }.min { $0.count < $1.count }
        case .any(let parts):
            let each = parts.map { $0.required(attribute) }
            guard !each.isEmpty, each.allSatisfy({ $0 != nil }) else { return nil }
            return each.compactMap(\.self).reduce(into: []) { $0.formUnion($1) }
        case .not, .elements: return nil
        }
    }
}
