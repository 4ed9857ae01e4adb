/// The least of many, out first.
struct BinaryHeap<Element: Comparable & Sendable>: Sendable {
    private var elements: [Element] = []

    init() {}

    init(_ list: [Element]) {
        // In order is in heap order.
        elements = list.sorted()
    }

    var count: Int { elements.count }
    var first: Element? { elements.first }
    /// In no order that means anything.
    var unordered: [Element] { elements }

    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0, elements[child] < elements[(child - 1) / 2] {
            elements.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() {
        guard let last = elements.popLast(), !elements.isEmpty else { return }
        // The hole goes down to a leaf by one comparison a level, and what was last, which belongs far down, comes up into it.
        var hole = 0
        while 2 * hole + 2 < elements.count {
            let child = elements[2 * hole + 2] < elements[2 * hole + 1] ? 2 * hole + 2 : 2 * hole + 1
            elements[hole] = elements[child]
            hole = child
        }
        if 2 * hole + 1 < elements.count {
            elements[hole] = elements[2 * hole + 1]
            hole = 2 * hole + 1
        }
        while hole > 0, last < elements[(hole - 1) / 2] {
            elements[hole] = elements[(hole - 1) / 2]
            hole = (hole - 1) / 2
        }
        elements[hole] = last
    }
}
