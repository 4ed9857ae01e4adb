package import Primitives

/// The rule sets of one catalog version, compiled: immutable, so that one message is matched by one version.
package struct RuleCatalog: Sendable {
    /// A rule that matched, as `set/rule`.
    package struct Match: Equatable, Sendable {
        package var name: String
        package var actions: [Rule.Action]
    }

    /// One set, ready to match.
    package struct CompiledSet: Sendable {
        package let name: String
        let mode: RuleSet.MatchMode
        /// By priority descending, then id.
        let rules: [Rule]
        /// `set/rule` of each.
        package let qualified: [String]
        private let disabled: [Rule]
        /// Of each, whether events of the cluster are for it: what holds for anything is meant for what clients send.
        private let asksForEvents: [Bool]
        /// Places in `rules` that can match a message of this type, rising; types that no rule names share `untyped`.
        let byType: [String: [Int]]
        let untyped: [Int]
        let fallbacks: [Int]

        init(_ set: RuleSet) {
            name = set.name
            mode = set.match
            rules = set.rules.filter(\.isEnabled).sorted { ($1.priority, $0.id) < ($0.priority, $1.id) }
            qualified = rules.map { "\(set.name)/\($0.id)" }
            asksForEvents = rules.map(\.condition.asksForEvents)
            disabled = set.rules.filter { !$0.isEnabled }
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

        /// Places in `qualified` of the rules that hold for a message.
        package func matches(_ message: Message) -> [Int] {
            var found: [Int] = []
            let isEvent = message.isEvent
            for position in byType[message.type] ?? untyped
            where (!isEvent || asksForEvents[position]) && rules[position].condition.holds(for: message) {
                found.append(position)
                if mode == .first || rules[position].stops { break }
            }
            guard found.isEmpty else { return found }
            return fallbacks.filter { (!isEvent || asksForEvents[$0]) && rules[$0].condition.holds(for: message) }.prefix(
                mode == .first ? 1 : fallbacks.count
            ).map { $0 }
        }

        package func match(at place: Int) -> Match { Match(name: qualified[place], actions: rules[place].actions) }

        /// Why each rule of the set did or did not match, in the order of evaluation; the disabled ones last.
        func explain(_ message: Message) -> [Explanation] {
            let matched = matches(message)
            var ender: Int?
            var all = rules.indices.map { place -> Explanation in
                let isMatched = matched.contains(place)
                let holds = rules[place].condition.holds(for: message)
                let reason: Explanation.Reason =
                    if isMatched {
                        .matched
                    } else if !holds {
                        .conditionFalse
                    } else if message.isEvent, !asksForEvents[place] {
                        .notForEvents
                    } else if rules[place].isFallback, let first = matched.first {
                        .fallbackNotNeeded(by: qualified[first])
                    } else {
                        .shadowed(by: ender.map { qualified[$0] } ?? matched.first.map { qualified[$0] } ?? name)
                    }
                if isMatched, ender == nil, mode == .first || rules[place].stops { ender = place }
                return explanation(rules[place], qualified[place], reason, message)
            }
            all += disabled.map { explanation($0, "\(name)/\($0.id)", .disabled, message) }
            return all
        }

        private func explanation(_ rule: Rule, _ name: String, _ reason: Explanation.Reason, _ message: Message) -> Explanation {
            Explanation(
                rule: name, priority: rule.priority, reason: reason, condition: rule.condition.explained(in: message),
                changes: rule.condition.changes(to: !rule.condition.holds(for: message), in: message))
        }
    }

    private let sets: [Namespace: [CompiledSet]]

    package init(_ sets: [RuleSet]) {
        var compiled: [Namespace: [CompiledSet]] = [:]
        for set in sets.sorted(by: { bytesPrecede($0.name, $1.name) }) { compiled[set.namespace, default: []].append(CompiledSet(set)) }
        self.sets = compiled
    }

    /// The sets of a namespace by name.
    package func sets(in namespace: Namespace) -> [CompiledSet] { sets[namespace] ?? [] }

    /// Why each rule of the message's namespace did or did not match.
    package func explain(_ message: Message) -> [Explanation] { (sets[message.namespace] ?? []).flatMap { $0.explain(message) } }

    /// The rules that hold for a message: set by set, each by priority.
    package func matches(_ message: Message) -> [Match] {
        var found: [Match] = []
        for set in sets[message.namespace] ?? [] {
            for position in set.matches(message) {
                found.append(set.match(at: position))
            }
        }
        return found
    }
}
