import Primitives
import Workflows

/// Short ways to say who works and what waits.
enum Scheduling {
    static func node(_ name: String) throws -> NodeID { try NodeID(name) }
    static func run(_ number: Int) -> RunID { RunID(high: 7, low: UInt64(number)) }
    static func time(_ milliseconds: Int) -> ClusterTime { ClusterTime(milliseconds: UInt64(milliseconds)) }
    static func labels(_ pairs: KeyValuePairs<String, String>) throws -> WorkerLabels {
        try WorkerLabels(pairs.map { (name: $0.key, value: $0.value) })
    }
    static func has(_ name: String, _ values: String...) throws -> LabelTerm { try LabelTerm(name, .isOneOf(values)) }
    static func lacks(_ name: String, _ values: String...) throws -> LabelTerm { try LabelTerm(name, .isNoneOf(values)) }

    static func demand(
        _ number: Int = 0, kind: TaskKind = .exec, cost: Int = 1, _ terms: PlacementTerms = .none, key: String? = nil,
        namespace: Namespace = .default
    ) -> TaskDemand {
        TaskDemand(namespace: namespace, run: run(number), key: key, shape: TaskShape(kind, cost: cost, terms: terms))
    }

    static func demand(_ terms: PlacementTerms) -> TaskDemand { demand(0, terms) }

    static func item(
        _ number: Int, task: Int = 0, since: Int = 0, priority: Int = 5, kind: TaskKind = .exec, cost: Int = 1,
        _ terms: PlacementTerms = .none, key: String? = nil, namespace: Namespace = .default
    ) -> ReadyQueue.Item {
        ReadyQueue.Item(
            run: run(number), task: task, since: time(since), priority: priority,
            demand: demand(number, kind: kind, cost: cost, terms, key: key, namespace: namespace))
    }
}

extension Scheduler {
    /// Everything that can be placed at that time.
    mutating func turn(at milliseconds: Int) -> [Placed] {
        begin(at: Scheduling.time(milliseconds))
        var placed: [Placed] = []
        while let next = next() { placed.append(next) }
        return placed
    }

    mutating func join(_ name: String, slots: Int, light: Int = 8, _ labels: WorkerLabels = .none, kinds: Set<TaskKind>? = nil) throws {
        join(try NodeID(name), .init(slots: slots, light: light, labels: labels, kinds: kinds))
    }

    mutating func release(_ number: Int, task: Int = 0) { release(run: Scheduling.run(number), task: task) }
}

extension Placement {
    /// The names of those that get so many tasks alike, nil where nobody does.
    mutating func names(_ count: Int, _ demand: TaskDemand) -> [String?] {
        (0..<count).map { _ in
            guard case .placed(let node) = place(demand) else { return nil }
            return node.text
        }
    }
}
