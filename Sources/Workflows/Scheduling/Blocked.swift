package import Primitives

/// Why a task that waits for a worker has none, and who stands in its way. Computed when somebody asks.
package enum Blocked: Equatable, Sendable {
    case noWorker
    /// None of the workers runs tasks of its kind.
    case kindNotOffered(TaskKind, workers: Int)
    /// Of the workers that meet all terms before this one, none meets it.
    case noLabel(LabelTerm, workers: Int)
    /// Those that could take it take nothing new.
    case closed(cordoned: Int, draining: Int, first: NodeID)
    /// The largest of those that could take it is too small, also when it is empty.
    case tooLarge(cost: Int, pool: Pool, largest: NodeID, capacity: Int)
    /// Those with room hold another of its group.
    case apart(Bond, workers: Int, first: NodeID)
    /// A worker is kept for another that needs more than one place.
    case reserved(NodeID, run: RunID, task: Int)
    /// The next free place goes to another namespace.
    case overShare(Namespace, used: Int, of: Int, next: Namespace)
    /// All places are taken.
    case noRoom(pool: Pool, workers: Int, used: Int, fullest: NodeID)
    /// It is its turn once those before it have theirs.
    case inLine(run: RunID, task: Int)
    /// Nothing stands in its way.
    case soon

    /// It does not pass by itself: somebody has to start, change or open a worker, or mend the workflow.
    package var needsHelp: Bool {
        switch self {
        case .noWorker, .kindNotOffered, .noLabel, .closed, .tooLarge: true
        case .apart, .reserved, .overShare, .noRoom, .inLine, .soon: false
        }
    }

    /// Every word that `reason` may be.
    package static let reasons = [
        "no_worker", "kind_not_offered", "no_label", "workers_closed", "too_large", "kept_apart", "reserved", "over_share",
        "no_free_worker",
        "in_line", "soon",
    ]

    /// A stable word.
    package var reason: String {
        switch self {
        case .noWorker: "no_worker"
        case .kindNotOffered: "kind_not_offered"
        case .noLabel: "no_label"
        case .closed: "workers_closed"
        case .tooLarge: "too_large"
        case .apart: "kept_apart"
        case .reserved: "reserved"
        case .overShare: "over_share"
        case .noRoom: "no_free_worker"
        case .inLine: "in_line"
        case .soon: "soon"
        }
    }

    /// What to look at.
    package var culprit: String? {
        switch self {
        case .noWorker, .soon: nil
        case .kindNotOffered(let kind, _): kind.rawValue
        case .noLabel(let term, _): term.description
        case .closed(_, _, let node), .tooLarge(_, _, let node, _), .apart(_, _, let node), .reserved(let node, _, _),
            .noRoom(_, _, _, let node):
            node.text
        case .overShare(_, _, _, let next): next.text
        case .inLine(let run, _): run.description
        }
    }

    package var text: String {
        switch self {
        case .noWorker: "no worker has joined; start one with the role worker"
        case .kindNotOffered(let kind, let workers):
            "\(Self.count(workers, "worker")) joined and none runs \(kind.rawValue); start one that does"
        case .noLabel(let term, let workers):
            "of \(Self.count(workers, "worker")) that could take it otherwise none has '\(term)'; start one that has, or change what the task requires"
        case .closed(let cordoned, let draining, let node):
            "the workers that could take it take nothing new: \(cordoned) cordoned, \(draining) draining, \(node) among them; 'distric nodes uncordon' opens one"
        case .tooLarge(let cost, let pool, let node, let capacity):
            "it takes \(Self.count(cost, pool.noun)) and the largest worker, \(node), has \(capacity); start a larger one, or let the task take fewer"
        case .apart(let bond, let workers, let node):
            "it must be apart from others of \(bond), and every worker with room has one of them (\(node) and \(workers - 1) more); one more worker, or the end of one of them, lets it begin"
        case .reserved(let node, let run, let task):
            "the room at \(node) is kept for task \(task) of run \(run), which takes more than one place and waited longer; it begins after that"
        case .overShare(let namespace, let used, let total, let next):
            "namespace \(namespace) has \(used) of \(total) places that are taken, more than its share, and \(next) is next; it begins when the share allows, or with more workers"
        case .noRoom(let pool, 1, let used, let node):
            "all \(Self.count(used, pool.noun)) of \(node), the only worker that could take it, are taken; it begins when one is free, or with more workers"
        case .noRoom(let pool, let workers, let used, let node):
            "all \(Self.count(used, pool.noun)) of \(Self.count(workers, "worker")) are taken, \(node) is the fullest; it begins when one is free, or with more workers"
        case .inLine(let run, let task): "task \(task) of run \(run) is before it"
        case .soon: "it is about to be given to a worker"
        }
    }

    private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

extension Pool { fileprivate var noun: String { self == .slots ? "slot" : "place" } }

extension Placement {
    /// What keeps every worker from taking it; nil when one could take it now.
    package func obstacle(to demand: TaskDemand) -> Blocked? { obstacle(to: demand, among: workers) }

    /// - Parameter workers: all that are known, by node id.
    func obstacle(to demand: TaskDemand, among workers: [Load]) -> Blocked? {
        let (shape, pool) = (demand.shape, demand.shape.pool)
        var able = workers.filter { $0.standing != .gone }
        guard !able.isEmpty else { return .noWorker }
        let known = able.count
        able.removeAll { !$0.offers(shape.kind) }
        guard !able.isEmpty else { return .kindNotOffered(shape.kind, workers: known) }
        for term in shape.terms.required {
            let before = able.count
            able.removeAll { !term.matches($0.labels) }
            if able.isEmpty { return .noLabel(term, workers: before) }
        }
        let closed = able.filter { !$0.takesNew }
        able.removeAll { !$0.takesNew }
        guard !able.isEmpty else {
            let draining = closed.count { $0.standing == .draining }
            return .closed(cordoned: closed.count - draining, draining: draining, first: closed[0].node)
        }
        let largest = able.reduce(able[0]) { $1.capacity(pool) > $0.capacity(pool) ? $1 : $0 }
        guard largest.capacity(pool) >= shape.cost else {
            return .tooLarge(cost: shape.cost, pool: pool, largest: largest.node, capacity: largest.capacity(pool))
        }
        let roomy = able.filter { $0.free(pool) >= shape.cost }
        guard !roomy.isEmpty else {
            let fullest = able.reduce(able[0]) { $1.used(pool) > $0.used(pool) ? $1 : $0 }
            return .noRoom(pool: pool, workers: able.count, used: able.reduce(0) { $0 + $1.used(pool) }, fullest: fullest.node)
        }
        guard shape.terms.apart?.isRequired == true, let bond = demand.apart else { return nil }
        let holders = bonds.holders(of: bond)
        guard roomy.allSatisfy({ worker in holders.contains { $0.node == worker.node } }) else { return nil }
        return .apart(bond, workers: roomy.count, first: roomy[0].node)
    }
}

extension Scheduler {
    /// Nil when the task does not wait for a worker.
    package func blocked(run: RunID, task: Int) -> Blocked? {
        ready.item(Ticket(run: run, task: task)).map { why($0, placement.workers) }
    }

    /// - Parameters:
    ///   - item: it waits.
    ///   - workers: all that are known, by node id.
    func why(_ item: ReadyQueue.Item, _ workers: [Placement.Load]) -> Blocked {
        let pool = item.demand.shape.pool
        switch placement.obstacle(to: item.demand, among: workers) {
        case nil:
            guard let first = ready.head(pool)?.item, first.ticket != item.ticket else { return .soon }
            return .inLine(run: first.run, task: first.task)
        case .noRoom(let pool, let workers, let used, let fullest):
            if let other = reservation(pool), other.ticket != item.ticket, placement.mayTake(item.demand, other.worker),
                placement[other.worker].map({ $0.unused(pool) >= item.demand.shape.cost }) == true
            {
                return .reserved(other.worker, run: other.ticket.run, task: other.ticket.task)
            }
            return overShare(item, pool) ?? .noRoom(pool: pool, workers: workers, used: used, fullest: fullest)
        case let other?: return other
        }
    }

    /// The next place goes to another, because this one's namespace has more than its share.
    private func overShare(_ item: ReadyQueue.Item, _ pool: Pool) -> Blocked? {
        let rivals = ready.shares(pool).filter { $0.contends || $0.used > 0 }
        guard let own = rivals.first(where: { $0.namespace == item.demand.namespace }) else { return nil }
        let (used, weights) = (rivals.reduce(0) { $0 + $1.used }, rivals.reduce(0) { $0 + $1.weight })
        guard own.used * weights > used * own.weight, let next = rivals.filter(\.contends).min(by: { $0.turn < $1.turn }),
            next.namespace != own.namespace
        else { return nil }
        return .overShare(own.namespace, used: own.used, of: used, next: next.namespace)
    }
}
