/// Free places by position, with the most beneath each node of a binary tree: the roomiest, and the first with enough, are found in
/// as many steps as the tree is high.
struct RoomTree: Equatable, Sendable {
    private let leaves: Int
    /// The root at 1, the children of `n` at `2n` and `2n + 1`.
    private var most: [Int32]

    init(_ free: [Int32]) {
        var leaves = 1
        while leaves < free.count { leaves *= 2 }
        self.leaves = leaves
        most = Array(repeating: 0, count: 2 * leaves)
        for (place, value) in free.enumerated() { most[leaves + place] = value }
        for node in stride(from: leaves - 1, to: 0, by: -1) { most[node] = max(most[2 * node], most[2 * node + 1]) }
    }

    subscript(place: Int) -> Int32 {
        get { most[leaves + place] }
        set {
            var node = leaves + place
            most[node] = newValue
            while node > 1 {
                node /= 2
                let above = max(most[2 * node], most[2 * node + 1])
                // What is above does not change either.
                guard most[node] != above else { return }
                most[node] = above
            }
        }
    }

    func first(in range: Range<Int>, atLeast wanted: Int32) -> Int? {
        guard !range.isEmpty else { return nil }
        var node = leaves + range.lowerBound
        while most[node] < wanted {
            while node & 1 == 1 { node /= 2 }
            guard node > 0 else { return nil }
            node += 1
        }
        while node < leaves {
            node *= 2
            if most[node] < wanted { node += 1 }
        }
        return node - leaves < range.upperBound ? node - leaves : nil
    }

    /// The first of those with the most.
    func roomiest(in range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        var (low, high) = (leaves + range.lowerBound, leaves + range.upperBound)
        var best: Int32 = 0
        while low < high {
            if low & 1 == 1 {
                best = max(best, most[low])
                low += 1
            }
            if high & 1 == 1 {
                high -= 1
                best = max(best, most[high])
            }
            low /= 2
            high /= 2
        }
        return best > 0 ? first(in: range, atLeast: best) : nil
    }
}
