import Primitives

/// News that is still to be told (SWIM section 4.1): one piece for each member at most, sent a limited number of times, what was sent least before the rest and of those the
/// newest. What it says is read off the member when it is sent, so that nothing old is ever sent.
struct Dissemination: Sendable {
    struct Piece: Sendable {
        var slot: Int
        var accuser: NodeID?
        /// What it takes in a message at most.
        var bytes: Int
        fileprivate(set) var sent = 0
        fileprivate var number: UInt64 = 0

        /// Goes before another.
        fileprivate func precedes(_ other: Piece) -> Bool { sent == other.sent ? number > other.number : sent < other.sent }
    }

    /// In the order in which they are sent.
    private(set) var pieces: [Piece] = []
    private var number: UInt64 = 0
    private var taken: [Piece] = []

    var isEmpty: Bool { pieces.isEmpty }

    func isTelling(of slot: Int) -> Bool { pieces.contains { $0.slot == slot } }

    /// In the place of what was told of that member before.
    mutating func put(_ slot: Int, accuser: NodeID?, bytes: Int) {
        remove(slot)
        number += 1
        var piece = Piece(slot: slot, accuser: accuser, bytes: bytes)
        piece.number = number
        insert(piece)
    }

    mutating func remove(_ slot: Int) {
        if let place = pieces.firstIndex(where: { $0.slot == slot }) { pieces.remove(at: place) }
    }

    mutating func removeAll() { pieces.removeAll(keepingCapacity: true) }

    /// As many as fit, each of which counts as sent once more.
    ///
    /// - Parameter first: the member whose news goes before all other.
    /// - Parameter limit: how often each is sent; one that has been is dropped.
    mutating func take(within budget: Int, first: Int?, limit: Int, _ use: (Piece) -> Void) {
        var left = budget
        taken.removeAll(keepingCapacity: true)
        if let first, let place = pieces.firstIndex(where: { $0.slot == first && $0.bytes <= left }) {
            left -= pieces[place].bytes
            taken.append(pieces.remove(at: place))
        }
        // One pass that closes the gaps: a queue may hold a piece for each of thousands of members.
        var (from, to) = (0, 0)
        while from < pieces.count, left >= Self.leastBytes {
            if pieces[from].bytes <= left {
                left -= pieces[from].bytes
                taken.append(pieces[from])
            } else {
                pieces[to] = pieces[from]
                to += 1
            }
            from += 1
        }
        if from > to { pieces.removeSubrange(to..<from) }
        for var piece in taken {
            use(piece)
            piece.sent += 1
            if piece.sent < limit { insert(piece) }
        }
    }

    /// No rumour takes less.
    private static let leastBytes = 49

    private mutating func insert(_ piece: Piece) {
        var (low, high) = (0, pieces.count)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].precedes(piece) { low = middle + 1 } else { high = middle }
        }
        pieces.insert(piece, at: low)
    }
}
