package import Primitives

/// What tasks belong together by.
package enum Bond: Hashable, Sendable, CustomStringConvertible {
    case run(RunID)
    /// As bytes: that is how keys are compared.
    case key(Namespace, [UInt8])

    package var description: String {
        switch self {
        case .run(let run): "run \(run)"
        case .key(_, let bytes): "key '\(String(decoding: bytes.prefix(80), as: UTF8.self))'"
        }
    }
}

/// Which workers hold tasks of a group, and which had its last one.
struct BondTable: Sendable {
    struct Holder: Equatable, Sendable {
        var node: NodeID
        var count: Int
    }

    private struct Memory {
        var node: NodeID
        var number: UInt64
    }

    /// Groups whose last worker is remembered; beyond it the oldest is forgotten, and counted.
    static let limit = 100_000

    private var holding: [Bond: [Holder]] = [:]
    private var last: [Bond: Memory] = [:]
    /// In the order of remembering; what was remembered anew or forgotten since is passed over.
    private var order: [(bond: Bond, number: UInt64)] = []
    private var head = 0
    private var numbers: UInt64 = 0
    private(set) var forgotten: UInt64 = 0

    var remembered: Int { last.count }

    /// In the order in which they came to hold one.
    func holders(of bond: Bond) -> [Holder] { holding[bond] ?? [] }

    func lastWorker(of bond: Bond) -> NodeID? { last[bond]?.node }

    mutating func hold(_ bond: Bond, _ node: NodeID) {
        if let place = holding[bond]?.firstIndex(where: { $0.node == node }) {
            holding[bond]?[place].count += 1
        } else {
            holding[bond, default: []].append(Holder(node: node, count: 1))
        }
    }

    mutating func letGo(_ bond: Bond, _ node: NodeID) {
        guard var holders = holding[bond], let place = holders.firstIndex(where: { $0.node == node }) else { return }
        holders[place].count -= 1
        if holders[place].count == 0 { holders.remove(at: place) }
        holding[bond] = holders.isEmpty ? nil : holders
    }

    mutating func remember(_ bond: Bond, _ node: NodeID) {
        if let known = last[bond] {
            last[bond] = Memory(node: node, number: known.number)
            return
        }
        numbers += 1
        last[bond] = Memory(node: node, number: numbers)
        order.append((bond, numbers))
        while last.count > Self.limit { forgetOldest() }
        if order.count > 2 * Self.limit + 1024 { compact() }
    }

    mutating func forget(_ bond: Bond) { last[bond] = nil }

    private mutating func forgetOldest() {
        let (bond, number) = order[head]
        head += 1
        guard last[bond]?.number == number else { return }
        last[bond] = nil
        forgotten += 1
    }

    private mutating func compact() {
        order = order[head...].filter { last[$0.bond]?.number == $0.number }
        head = 0
    }
}
