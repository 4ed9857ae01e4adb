import Primitives

/// The workers that tasks of one shape may go to, best first: those that are not suspect, then those that more preferences speak for,
/// then by node id. Workers that are equally good are a tier.
struct WorkerPool: Sendable {
    /// What decides who belongs to it.
    struct Key: Hashable, Sendable {
        let kind: TaskKind
        let required: [LabelTerm]
        let preferred: [PlacementTerms.Preference]

        init(_ shape: TaskShape) {
            kind = shape.kind
            required = shape.terms.required
            preferred = shape.terms.preferred
        }
    }

    /// Places of workers, by position.
    private(set) var workers: [Int32] = []
    /// Positions by place, -1 for those that do not belong to it.
    private var positions: [Int32] = []
    /// Where each tier ends.
    private var ends: [Int] = []
    /// Free places by position.
    var room: RoomTree
    /// What the largest worker takes when it is empty.
    private(set) var capacity = 0
    let pool: Pool

    /// - Parameter order: places in `all` by node id.
    /// - Parameter numbers: in `order`, of those that may belong to it.
    init(_ shape: TaskShape, _ all: [Placement.Load], _ order: [Int], among numbers: some Sequence<Int>) {
        pool = shape.pool
        var ranked: [(rank: Int, order: Int, worker: Int)] = []
        for number in numbers {
            let place = order[number]
            guard all[place].takesNew, all[place].offers(shape.kind) else { continue }
            guard shape.terms.required.allSatisfy({ $0.matches(all[place].labels) }) else { continue }
            let suspicion = all[place].standing == .suspect ? 1 << 20 : 0
            ranked.append((suspicion - shape.terms.score(of: all[place].labels), number, place))
        }
        ranked.sort { ($0.rank, $0.order) < ($1.rank, $1.order) }
        workers = ranked.map { Int32($0.worker) }
        positions = Array(repeating: -1, count: all.count)
        for (position, item) in ranked.enumerated() {
            positions[item.worker] = Int32(position)
            capacity = max(capacity, all[item.worker].capacity(shape.pool))
            if position + 1 == ranked.count || ranked[position + 1].rank != item.rank { ends.append(position + 1) }
        }
        let kept = pool
        room = RoomTree(ranked.map { Int32(clamping: all[$0.worker].free(kept)) })
    }

    var isEmpty: Bool { workers.isEmpty }
    var whole: Range<Int> { 0..<workers.count }

    func position(of worker: Int) -> Int? { positions[worker] < 0 ? nil : Int(positions[worker]) }

    mutating func set(_ worker: Int, free: Int32) { if positions[worker] >= 0 { room[Int(positions[worker])] = free } }

    /// The best tier in which anybody has that much room.
    func tier(withRoom cost: Int32) -> Range<Int>? {
        guard let first = room.first(in: whole, atLeast: cost), let tier = ends.firstIndex(where: { $0 > first }) else { return nil }
        return (tier == 0 ? 0 : ends[tier - 1])..<ends[tier]
    }
}

/// Which workers have a label with a value.
struct LabelIndex: Sendable {
    let generation: UInt64
    private var workers: [WorkerLabels.Label: [Int]] = [:]

    init(_ all: [Placement.Load], _ order: [Int], generation: UInt64) {
        self.generation = generation
        for (number, place) in order.enumerated() { for label in all[place].labels.all { workers[label, default: []].append(number) } }
    }

    /// Their numbers in the order, rising.
    subscript(name: String, value: String) -> [Int] { workers[WorkerLabels.Label(name: name, value: value)] ?? [] }
}

/// The pools that were asked for last. They follow what workers take and give back; who joins, leaves or changes makes them anew.
struct WorkerPools: Sendable {
    /// More kinds of demand than this at once, and the one asked for longest ago is made anew when it is asked for again.
    static let limit = 64

    private struct Entry {
        var key: WorkerPool.Key
        var generation: UInt64
        var asked: UInt64
        var pool: WorkerPool
    }

    private var entries: [Entry] = []
    private var places: [WorkerPool.Key: Int] = [:]
    /// Of those that require and prefer nothing, by kind.
    private var plain: [Int?] = TaskKind.allCases.map { _ in nil }
    private var labels = LabelIndex([], [], generation: .max)
    private var generation: UInt64 = 0
    private var clock: UInt64 = 0
    /// Pools that were made, or made anew.
    private(set) var made: UInt64 = 0

    subscript(place: Int) -> WorkerPool {
        _read { yield entries[place].pool }
        _modify { yield &entries[place].pool }
    }

    /// Who may take what has changed.
    mutating func invalidate() { generation += 1 }

    /// Where the pool is until the next call.
    mutating func find(_ shape: TaskShape, _ workers: [Placement.Load], _ order: [Int]) -> Int {
        clock += 1
        // Most ask for nothing but a kind.
        if shape.terms.takesAnyLabels, let place = plain[shape.kind.order] {
            return fresh(place, shape, workers, order)
        }
        let key = WorkerPool.Key(shape)
        if let place = places[key] { return fresh(place, shape, workers, order) }
        let entry = Entry(key: key, generation: generation, asked: clock, pool: make(shape, workers, order))
        guard entries.count >= Self.limit, let oldest = entries.indices.min(by: { entries[$0].asked < entries[$1].asked }) else {
            entries.append(entry)
            note(key, at: entries.count - 1)
            return entries.count - 1
        }
        note(entries[oldest].key, at: nil)
        entries[oldest] = entry
        note(key, at: oldest)
        return oldest
    }

    private mutating func fresh(_ place: Int, _ shape: TaskShape, _ workers: [Placement.Load], _ order: [Int]) -> Int {
        entries[place].asked = clock
        guard entries[place].generation != generation else { return place }
        entries[place].pool = make(shape, workers, order)
        entries[place].generation = generation
        return place
    }

    /// Of workers with a label that is asked for by its value, only those are looked at.
    private mutating func make(_ shape: TaskShape, _ workers: [Placement.Load], _ order: [Int]) -> WorkerPool {
        made += 1
        for term in shape.terms.required {
            guard case .isOneOf(let values) = term.test, values.count == 1 else { continue }
            if labels.generation != generation { labels = LabelIndex(workers, order, generation: generation) }
            return WorkerPool(shape, workers, order, among: labels[term.name, values[0]])
        }
        return WorkerPool(shape, workers, order, among: order.indices)
    }

    private mutating func note(_ key: WorkerPool.Key, at place: Int?) {
        places[key] = place
        if key.required.isEmpty, key.preferred.isEmpty { plain[key.kind.order] = place }
    }

    mutating func set(_ worker: Int, _ pool: Pool, free: Int) {
        let free = Int32(clamping: free)
        for place in entries.indices where entries[place].generation == generation && entries[place].pool.pool == pool {
            entries[place].pool.set(worker, free: free)
        }
    }
}

extension TaskKind {
    /// Its place among all kinds.
    fileprivate var order: Int {
        switch self {
        case .exec: 0
        case .http: 1
        case .transform: 2
        case .wait: 3
        }
    }
}
