package import Primitives

/// The rule sets of one catalog version, compiled: immutable, so that one message is matched by one version.
package struct RuleCatalog: Sendable {
    /// A rule that matched, as `set/rule`.
    package struct Match: Equatable, Sendable {
        package var name: String
        package var actions: [Rule.Action]
    }

    private struct CompiledSet: Sendable {
        let name: String
        let mode: RuleSet.MatchMode
        /// By priority descending, then id.
        let rules: [Rule]
        let qualified: [String]
        /// Places in `rules` that can match a message of this type, rising; types that no rule names share `untyped`.
        let byType: [String: [Int]]
        let untyped: [Int]
        let fallbacks: [Int]

        init(_ set: RuleSet) {
            name = set.name
            mode = set.match
            rules = set.rules.filter(\.isEnabled).sorted { ($1.priority, $0.id) < ($0.priority, $1.id) }
            qualified = rules.map { "\(set.name)/\($0.id)" }
            fallbacks = rules.indices.filter { [rules] in rules[$0].isFallback }
            var byType: [String: [Int]] = [:]
            var untyped: [Int] = []
            for (position, rule) in rules.enumerated() where !rule.isFallback {
                guard let types = rule.condition.requiredTypes else {
                    untyped.append(position)
                    continue
                }
                for type in types { byType[type, default: []].append(position) }
            }
            self.untyped = untyped
            self.byType = byType.mapValues { places in (places + untyped).sorted() }
        }

        func matches(_ message: Message) -> [Int] {
            var found: [Int] = []
            for position in byType[message.type] ?? untyped where rules[position].condition.holds(for: message) {
                found.append(position)
                if mode == .first || rules[position].stops { break }
            }
            guard found.isEmpty else { return found }
            return fallbacks.filter { rules[$0].condition.holds(for: message) }.prefix(mode == .first ? 1 : fallbacks.count).map { $0 }
        }
    }

    private let sets: [Namespace: [CompiledSet]]

    package init(_ sets: [RuleSet]) {
        var compiled: [Namespace: [CompiledSet]] = [:]
        for set in sets.sorted(by: { bytesPrecede($0.name, $1.name) }) { compiled[set.namespace, default: []].append(CompiledSet(set)) }
        self.sets = compiled
    }

    /// The rules that hold for a message: set by set, each by priority.
    package func matches(_ message: Message) -> [Match] {
        var found: [Match] = []
        for set in sets[message.namespace] ?? [] {
            for position in set.matches(message) {
                found.append(Match(name: set.qualified[position], actions: set.rules[position].actions))
            }
        }
        return found
    }
}
