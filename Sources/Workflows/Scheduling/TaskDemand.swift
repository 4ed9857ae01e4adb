package import Primitives

/// What tasks that any worker takes or refuses alike have in common.
package struct TaskShape: Hashable, Sendable {
    package let kind: TaskKind
    /// Slots (or places for light tasks) that it takes, at least one.
    package let cost: Int
    package let terms: PlacementTerms

    package init(_ kind: TaskKind, cost: Int = 1, terms: PlacementTerms = .none) {
        self.kind = kind
        self.cost = min(Placement.lightLimit, max(1, cost))
        self.terms = terms
    }

    var pool: Pool { kind.takesSlot ? .slots : .light }
}

/// The two kinds of room that a worker has.
package enum Pool: Int, Sendable, CaseIterable { case light, slots }

/// What one task asks for, and for whom.
package struct TaskDemand: Equatable, Sendable {
    package let namespace: Namespace
    package let run: RunID?
    /// What its group is known by, when its terms speak of a key.
    package let key: String?
    package let shape: TaskShape

    package init(namespace: Namespace, run: RunID?, key: String? = nil, shape: TaskShape) {
        self.namespace = namespace
        self.run = run
        self.key = key
        self.shape = shape
    }

    /// Nobody's in particular.
    package init(_ kind: TaskKind) { self.init(namespace: .default, run: nil, shape: TaskShape(kind)) }

    var apart: Bond? { shape.terms.apart.flatMap { bond($0.scope) } }
    var near: Bond? { shape.terms.near.flatMap { bond($0) } }

    private func bond(_ scope: PlacementTerms.Scope) -> Bond? {
        switch scope {
        case .run: run.map { .run($0) }
        case .key: key.map { .key(namespace, Array($0.utf8)) }
        }
    }
}
