import NIOCore
import Primitives

/// Which of the servers hear which, and how late. Links go one way.
struct SimulatedNetwork {
    struct Link {
        /// Nothing comes through.
        var isCut = false
        /// What is sent waits until the link is released.
        var isClogged = false
        var waiting: [ByteBuffer] = []
        /// Where messages are bytes of a connection.
        var connection = SimulatedConnection()
    }

    let count: Int
    private var links: [Link]

    init(count: Int) {
        self.count = count
        links = Array(repeating: Link(), count: count * count)
    }

    subscript(from: Int, to: Int) -> Link {
        get { links[from * count + to] }
        _modify { yield &links[from * count + to] }
    }

    func isOpen(_ from: Int, _ to: Int) -> Bool { !self[from, to].isCut && !self[from, to].isClogged }

    mutating func heal() { for place in links.indices { links[place].isCut = false } }

    mutating func cut(_ from: Int, _ to: Int) { self[from, to].isCut = true }

    mutating func cutBothWays(_ one: Int, _ other: Int) {
        cut(one, other)
        cut(other, one)
    }

    /// Those of the same side hear each other, and nobody else.
    mutating func split(_ sides: [Int]) {
        for from in 0..<count {
            for to in 0..<count where from != to && sides[from] != sides[to] { cut(from, to) }
        }
    }
}
