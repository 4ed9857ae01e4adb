package import Primitives

/// Chooses among workers that are equally good for a task. One of your own conforms to this; it is asked by the leader alone, in one
/// order, and must answer the same for the same questions and the same generator.
package protocol PlacementStrategy: Sendable {
    /// A place in `candidates`. What has no room there, or does not exist, is put aside and the roomiest is taken: at least one has room.
    mutating func choose(
        for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
    ) -> Int?
}

/// Workers that may take a task, by node id, with and without room. What the queries ask is indexed; walking through all is not.
package struct PlacementCandidates: RandomAccessCollection {
    private let workers: [Placement.Load]
    private let order: [Int32]
    private let room: RoomTree
    private let tier: Range<Int>
    /// Places that the task takes.
    package let cost: Int

    init(_ pool: WorkerPool, _ workers: [Placement.Load], tier: Range<Int>, cost: Int) {
        self.workers = workers
        order = pool.workers
        room = pool.room
        self.tier = tier
        self.cost = cost
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { tier.count }
    package subscript(place: Int) -> Placement.Load { workers[Int(order[tier.lowerBound + place])] }

    package func node(_ place: Int) -> NodeID { workers[Int(order[tier.lowerBound + place])].node }
    package func free(_ place: Int) -> Int { Int(room[tier.lowerBound + place]) }
    package func hasRoom(_ place: Int) -> Bool { free(place) >= cost }

    /// The one with most room, the first of several.
    package var roomiest: Int? {
        room.roomiest(in: tier).flatMap { room[$0] >= Int32(clamping: cost) ? $0 - tier.lowerBound : nil }
    }

    /// The first with room after that node, and round again from the start.
    package func next(after node: NodeID?) -> Int? {
        guard let node else { return next(from: 0) }
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if node < self.node(middle) { high = middle } else { low = middle + 1 }
        }
        return next(from: low)
    }

    /// The first with room from there on, and round again from the start.
    package func next(from place: Int) -> Int? {
        let middle = tier.lowerBound + Swift.min(Swift.max(0, place), tier.count)
        let found =
            room.first(in: middle..<tier.upperBound, atLeast: Int32(clamping: cost))
            ?? room.first(in: tier.lowerBound..<middle, atLeast: Int32(clamping: cost))
        return found.map { $0 - tier.lowerBound }
    }

    /// One with room by chance: alike for all while most have some, else the next after one drawn.
    package func random(using generator: inout SeededGenerator) -> Int? {
        guard !isEmpty else { return nil }
        var place = 0
        for _ in 0..<8 {
            place = Int.random(in: 0..<count, using: &generator)
            if hasRoom(place) { return place }
        }
        return next(from: place)
    }
}

/// One after the other.
package struct RoundRobin: PlacementStrategy {
    private var last: NodeID?
    /// Where that was, when it was chosen.
    private var place = 0
    package init() {}

    package mutating func choose(
        for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
    ) -> Int? {
        let isThere = place < candidates.count && candidates.node(place) == last
        let chosen = isThere ? candidates.next(from: place + 1) : candidates.next(after: last)
        if let chosen { (last, place) = (candidates.node(chosen), chosen) }
        return chosen
    }
}

/// The one with most free places; of several the first by node id.
package struct LeastLoaded: PlacementStrategy {
    package init() {}

    package mutating func choose(
        for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
    ) -> Int? { candidates.roomiest }
}

/// The roomier of two that are drawn (Mitzenmacher 2001): nearly as even as the least loaded, and a worker that seems empty because
/// it was heard of late is not given everything at once.
package struct TwoRandomChoices: PlacementStrategy {
    package init() {}

    package mutating func choose(
        for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
    ) -> Int? {
        guard let one = candidates.random(using: &generator), let other = candidates.random(using: &generator) else { return nil }
        return candidates.free(other) > candidates.free(one) ? other : one
    }
}

/// The strategies that settings name.
package enum PlacementPolicy: String, Sendable, CaseIterable {
    case roundRobin = "round-robin"
    case leastLoaded = "least-loaded"
    case twoRandomChoices = "two-random-choices"

    package init(named name: String) throws(PlacementError) {
        guard let policy = PlacementPolicy(rawValue: name) else { throw .unknownStrategy(name) }
        self = policy
    }

    package var strategy: any PlacementStrategy {
        switch self {
        case .roundRobin: RoundRobin()
        case .leastLoaded: LeastLoaded()
        case .twoRandomChoices: TwoRandomChoices()
        }
    }
}
