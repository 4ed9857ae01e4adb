import Primitives

/// Which of the places hear which, and how. Links go one way.
struct GossipNetwork {
    /// What happens to datagrams. Connections lose nothing: they are there, or not.
    struct Faults {
        /// In a million.
        var dropped = 0
        var duplicated = 0
        /// How late most come.
        var delay: Range<Int64> = 100_000..<2_000_000
        /// In a million: those that come much later, out of any order.
        var straggling = 0
        var straggle: Range<Int64> = 1_000_000_000..<60_000_000_000
    }

    let count: Int
    var faults = Faults()
    private var cut: [Bool]
    /// Datagrams to these places are lost, connections are not.
    var deaf: [Bool]

    init(count: Int) {
        self.count = count
        cut = Array(repeating: false, count: count * count)
        deaf = Array(repeating: false, count: count)
    }

    func isOpen(_ from: Int, _ to: Int) -> Bool { !cut[from * count + to] }

    /// A connection needs both ways.
    func canConnect(_ one: Int, _ other: Int) -> Bool { isOpen(one, other) && isOpen(other, one) }

    mutating func heal() {
        for place in cut.indices { cut[place] = false }
        for place in deaf.indices { deaf[place] = false }
    }

    mutating func cut(_ from: Int, _ to: Int) { cut[from * count + to] = true }

    /// Those of the same side hear each other, and nobody else.
    mutating func split(_ sides: [Int]) {
        for from in 0..<count {
            for to in 0..<count where from != to && sides[from] != sides[to] { cut(from, to) }
        }
    }

    /// When each copy of a datagram comes; nobody knows of those that do not.
    func arrivals(_ from: Int, _ to: Int, using generator: inout SeededGenerator) -> [Int64] {
        guard isOpen(from, to), !deaf[to], !chance(faults.dropped, &generator) else { return [] }
        let copies = chance(faults.duplicated, &generator) ? 2 : 1
        return (0..<copies).map { _ in
            .random(in: chance(faults.straggling, &generator) ? faults.straggle : faults.delay, using: &generator)
        }
    }

    private func chance(_ perMillion: Int, _ generator: inout SeededGenerator) -> Bool {
        perMillion > 0 && Int.random(in: 0..<1_000_000, using: &generator) < perMillion
    }
}
