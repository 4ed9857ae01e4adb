import Primitives

/// What was last believed of nodes that are not kept as members: news that is no newer than that is of the past, and raises nobody. The oldest go first.
struct Tombstones: Sendable {
    private struct Entry {
        var precedence: Precedence
        /// The newest place in the queue.
        var number: UInt64
    }

    private struct Place {
        var node: NodeID
        var number: UInt64
        var until: Instant
    }

    let limit: Int
    private var entries: [NodeID: Entry] = [:]
    /// From the oldest on; places before `first`, and those whose node has a newer one, are empty.
    private var queue: [Place] = []
    private var first = 0
    private var number: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    var count: Int { entries.count }

    subscript(node: NodeID) -> Precedence? { entries[node]?.precedence }

    /// Whether what is said is no newer than what is known.
    func cover(_ precedence: Precedence, of node: NodeID) -> Bool {
        guard let known = entries[node]?.precedence else { return false }
        return precedence <= known
    }

    /// - Returns: whether an older one had to go for it.
    mutating func put(_ node: NodeID, _ precedence: Precedence, until: Instant) -> Bool {
        number += 1
        let highest = entries[node].map { max($0.precedence, precedence) } ?? precedence
        entries[node] = Entry(precedence: highest, number: number)
        queue.append(Place(node: node, number: number, until: until))
        guard entries.count > limit else {
            // Places that are empty are not let to outnumber the others.
            if queue.count - first > 2 * limit + 16 { compact() }
            return false
        }
        while entries.count > limit { removeFirst() }
        return true
    }

    mutating func remove(_ node: NodeID) { entries[node] = nil }

    mutating func expire(_ now: Instant) {
        while first < queue.count, queue[first].until <= now { removeFirst() }
    }

    private mutating func removeFirst() {
        let place = queue[first]
        first += 1
        if entries[place.node]?.number == place.number { entries[place.node] = nil }
        if first > 1_024, first * 2 > queue.count {
            queue.removeFirst(first)
            first = 0
        }
    }

    private mutating func compact() {
        var kept: [Place] = []
        for place in queue[first...] where entries[place.node]?.number == place.number { kept.append(place) }
        (queue, first) = (kept, 0)
    }
}
