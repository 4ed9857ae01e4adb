/// One thing that is asked of a worker's label.
package struct LabelTerm: Hashable, Sendable, CustomStringConvertible {
    package enum Test: Hashable, Sendable {
        case isOneOf([String])
        /// Also true where the label is missing: what keeps tasks away from some workers.
        case isNoneOf([String])
        case exists
        case isMissing
    }

    package static let valueLimit = 64

    package let name: String
    package let test: Test

    package init(_ name: String, _ test: Test) throws(PlacementError) {
        try WorkerLabels.check(name: name)
        switch test {
        case .isOneOf(let values), .isNoneOf(let values):
            guard !values.isEmpty else { throw .noValues(name) }
            guard values.count <= Self.valueLimit else { throw .tooMany("values of a label", values.count, limit: Self.valueLimit) }
            for value in values { try WorkerLabels.check(value: value, of: name) }
        case .exists, .isMissing: break
        }
        self.name = name
        self.test = test
    }

    package func matches(_ labels: WorkerLabels) -> Bool {
        let value = labels[name]
        return switch test {
        case .isOneOf(let values): value.map(values.contains) ?? false
        case .isNoneOf(let values): !(value.map(values.contains) ?? false)
        case .exists: value != nil
        case .isMissing: value == nil
        }
    }

    package var description: String {
        switch test {
        case .isOneOf(let values): values.count == 1 ? "\(name)=\(values[0])" : "\(name) in (\(values.joined(separator: ",")))"
        case .isNoneOf(let values): values.count == 1 ? "\(name)!=\(values[0])" : "\(name) not in (\(values.joined(separator: ",")))"
        case .exists: name
        case .isMissing: "!\(name)"
        }
    }
}

/// What a task asks of the worker that gets it. In order of strength: what is required; the worker that its group had, unless it is
/// suspect; to be apart where that is only preferred; suspect workers last; the preferences; the strategy.
package struct PlacementTerms: Hashable, Sendable {
    package struct Preference: Hashable, Sendable {
        package let term: LabelTerm
        /// 1 to 100; the sum over the terms that a worker meets is its score.
        package let weight: Int

        package init(_ term: LabelTerm, weight: Int = 1) {
            self.term = term
            self.weight = min(100, max(1, weight))
        }
    }

    /// Which tasks belong together: those of one run, or those with one key in one namespace, that ask for the same.
    package enum Scope: String, Sendable, CaseIterable { case run, key }

    package struct Apart: Hashable, Sendable {
        package let scope: Scope
        /// Rather wait than share a worker.
        package let isRequired: Bool

        package init(_ scope: Scope, isRequired: Bool) {
            self.scope = scope
            self.isRequired = isRequired
        }
    }

    package static let none = PlacementTerms()
    package static let limit = 32

    /// Apart, since most tasks ask for nothing and all of them are copied often.
    private final class Contents: Hashable, Sendable {
        let required: [LabelTerm]
        let preferred: [Preference]
        let apart: Apart?
        let near: Scope?

        init(_ required: [LabelTerm], _ preferred: [Preference], _ apart: Apart?, _ near: Scope?) {
            (self.required, self.preferred, self.apart, self.near) = (required, preferred, apart, near)
        }

        static func == (left: Contents, right: Contents) -> Bool {
            left === right
                || left.apart == right.apart && left.near == right.near && left.required == right.required
                    && left.preferred == right.preferred
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(required)
            hasher.combine(preferred)
            hasher.combine(apart)
            hasher.combine(near)
        }
    }

    /// Nil where nothing is asked for.
    private let contents: Contents?

    package var required: [LabelTerm] { contents?.required ?? [] }
    package var preferred: [Preference] { contents?.preferred ?? [] }
    /// Not where another of its group runs now.
    package var apart: Apart? { contents?.apart }
    /// Rather where its group was last.
    package var near: Scope? { contents?.near }

    private init() { contents = nil }

    package init(
        required: [LabelTerm] = [], preferred: [Preference] = [], apart: Apart? = nil, near: Scope? = nil
    ) throws(PlacementError) {
        for count in [required.count, preferred.count] where count > Self.limit {
            throw .tooMany("placement terms", count, limit: Self.limit)
        }
        let isNone = required.isEmpty && preferred.isEmpty && apart == nil && near == nil
        contents = isNone ? nil : Contents(required, preferred, apart, near)
    }

    /// Labels play no part.
    var takesAnyLabels: Bool { contents.map { $0.required.isEmpty && $0.preferred.isEmpty } ?? true }

    func score(of labels: WorkerLabels) -> Int { preferred.reduce(0) { $0 + ($1.term.matches(labels) ? $1.weight : 0) } }
}
