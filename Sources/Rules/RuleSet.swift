package import CEL
package import Primitives
package import Text

/// Rules as one file brings them; a version of the catalog holds many sets.
package struct RuleSet: Equatable, Sendable {
    package enum MatchMode: String, Sendable, CaseIterable { case all, first }

    package var namespace: Namespace
    package var name: String
    package var match: MatchMode
    package var rules: [Rule]
    package var tests: [RuleTest]
}

/// What a matched message sets off.
package struct Rule: Equatable, Sendable {
    package var id: String
    /// Higher first; ties by id.
    package var priority: Int
    package var condition: Condition
    /// Holds when no other rule of the set did.
    package var isFallback: Bool
    package var actions: [Action]
    /// Nothing of lower priority in the set is evaluated after it matched.
    package var stops: Bool
    /// A rule that is not is kept and never matches.
    package var isEnabled = true

    package struct Action: Equatable, Sendable {
        package var workflow: String
        package var params: Template?
        /// Bounds the run.
        package var timeout: Duration?
        /// Further runs after a failed one.
        package var retry: Int
    }
}

/// An example inside a rule file: a message and the rules that must match it.
package struct RuleTest: Equatable, Sendable {
    package var name: String
    package var message: Value
    package var expected: [String]
    package var pointer: String
}

extension RuleSet {
    package static let kind = "RuleSet"
    package static let ruleLimit = 100_000

    /// The names at the top level of a rule's templates.
    package static let templateNames = ["type", "source", "id", "time", "subject", "data"]

    /// Reads a definition as JSON brings it; nil when `problems` got anything that forbids it.
    package init?(_ value: Value, namespace requested: Namespace, problems: Shape.Problems) {
        let shape = Shape(value, problems: problems)
        let before = problems.all.count
        shape.only(["apiVersion", "kind", "metadata", "match", "rules", "tests"])
        guard let header = DefinitionHeader(shape, kind: Self.kind, requested: requested) else { return nil }
        namespace = header.namespace
        name = header.name
        match = shape["match"].map { $0.choice(MatchMode.self) ?? .all } ?? .all
        rules = shape.required("rules")?.items()?.compactMap { RuleReader(shape: $0).rule() } ?? []
        if rules.count > Self.ruleLimit { shape.fail("\(rules.count) rules; at most \(Self.ruleLimit)") }
        tests = shape["tests"]?.items()?.compactMap { Self.test($0) } ?? []
        var seen: Set<[UInt8]> = []
        for (position, rule) in rules.enumerated() where !seen.insert(Array(rule.id.utf8)).inserted {
            shape.fail(at: "/rules/\(position)/id", "rule id '\(rule.id)' is used twice in this set")
        }
        guard problems.all.count == before else { return nil }
    }

    private static func test(_ shape: Shape) -> RuleTest? {
        shape.only(["name", "message", "expect"])
        guard let name = shape.required("name")?.string(), let message = shape.required("message"), let expect = shape.required("expect")
        else {
            return nil
        }
        expect.only(["matched"], later: ["set"])
        let expected = expect.required("matched")?.items()?.compactMap { $0.string() } ?? []
        return RuleTest(name: name, message: message.value, expected: expected, pointer: shape.pointer)
    }
}
