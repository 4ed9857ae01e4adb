import Primitives

/// Tasks of one namespace and one shape, in their order. While none of them can be placed the line is closed.
struct WaitingLine: Sendable {
    /// What is least goes first.
    struct Key: Comparable, Sendable {
        /// When the task became ready in milliseconds, less an ageing step for each priority.
        let rank: Int64
        /// In the order of coming.
        let number: UInt64
        /// In the queue; another number there means that this one is gone.
        let place: Int

        static func < (left: Key, right: Key) -> Bool { left.rank != right.rank ? left.rank < right.rank : left.number < right.number }
    }

    let shape: TaskShape
    /// Tells a line from one that had its place before.
    let stamp: UInt64
    var heap = BinaryHeap<Key>()
    /// Passed over one by one, because of where others of their group are: first in, first tried again.
    var aside: [Key] = []
    /// Those that still wait, in both.
    var live = 0
    var isClosed = false
    /// Nobody could ever take them, as workers are now: they wait for another worker, and not for their turn.
    var isImpossible = false
    /// It is in one of the lists of lines that are tried again.
    var isListed = false
    /// How many of those aside are still to be tried again in which round.
    var owed = (round: UInt64(0), count: 0)

    init(_ shape: TaskShape, stamp: UInt64) {
        self.shape = shape
        self.stamp = stamp
    }

    /// The first that can be tried.
    var head: Key? { isClosed ? nil : heap.first }

    /// The first that waits, whether it can be tried or not.
    func first(_ numbers: [UInt64]) -> Key? {
        let known = aside.first { numbers[$0.place] == $0.number }
        guard let next = heap.first else { return known }
        return known.map { min($0, next) } ?? next
    }

    /// Takes out what is gone from where it would be seen, and where it would pile up. When nothing is left: whether it was impossible.
    mutating func clean(_ numbers: [UInt64]) -> Bool? {
        guard live > 0 else { return isImpossible }
        while let first = heap.first, numbers[first.place] != first.number { heap.pop() }
        let bound = 2 * live + 32
        if heap.count > bound { heap = BinaryHeap(heap.unordered.filter { numbers[$0.place] == $0.number }) }
        if aside.count > bound { aside.removeAll { numbers[$0.place] != $0.number } }
        return nil
    }
}

/// Lines of one namespace, and which of them comes first.
struct NamespaceLines: Sendable {
    var lines: [WaitingLine?] = []
    var order = KeyTree<WaitingLine.Key>()
    private var places: [TaskShape: Int] = [:]
    private var free: [Int] = []

    /// Where the line for that shape is, a new one if need be.
    mutating func place(of shape: TaskShape, stamp: UInt64) -> Int {
        if let known = places[shape] { return known }
        let line = WaitingLine(shape, stamp: stamp)
        guard let place = free.popLast() else {
            lines.append(line)
            places[shape] = lines.count - 1
            return lines.count - 1
        }
        lines[place] = line
        places[shape] = place
        return place
    }

    func find(_ shape: TaskShape) -> Int? { places[shape] }

    mutating func remove(_ place: Int) {
        guard let line = lines[place] else { return }
        order[place] = nil
        places[line.shape] = nil
        lines[place] = nil
        free.append(place)
    }

    var isEmpty: Bool { places.isEmpty }
    /// Lines whose tasks somebody could take.
    var contending = 0
}
