/// The least of keys that come, change and go, each at its own place: a tournament whose winner is at the root.
struct KeyTree<Key: Comparable & Sendable>: Sendable {
    private var keys: [Key?] = [nil]
    /// The winning place beneath each node, -1 where nobody plays; the root at 1.
    private var winners: [Int32] = [-1, -1]
    private var leaves = 1

    init() {}

    /// Where the least key is.
    var first: Int? { winners[1] < 0 ? nil : Int(winners[1]) }

    subscript(place: Int) -> Key? {
        get { place < leaves ? keys[place] : nil }
        set {
            while place >= leaves { grow() }
            keys[place] = newValue
            var node = leaves + place
            winners[node] = newValue == nil ? -1 : Int32(place)
            while node > 1 {
                node /= 2
                winners[node] = winner(winners[2 * node], winners[2 * node + 1])
            }
        }
    }

    private func winner(_ left: Int32, _ right: Int32) -> Int32 {
        guard left >= 0, let a = keys[Int(left)] else { return right }
        guard right >= 0, let b = keys[Int(right)] else { return left }
        return b < a ? right : left
    }

    private mutating func grow() {
        keys += Array(repeating: nil, count: leaves)
        leaves *= 2
        winners = Array(repeating: -1, count: 2 * leaves)
        for place in 0..<leaves where keys[place] != nil { winners[leaves + place] = Int32(place) }
        for node in stride(from: leaves - 1, to: 0, by: -1) { winners[node] = winner(winners[2 * node], winners[2 * node + 1]) }
    }
}
