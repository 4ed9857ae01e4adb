import Primitives

/// All members that are known, under numbers that stay theirs as long as they are known, and in the order of their ids.
struct MemberTable: Sendable {
    private var slots: [Member?] = []
    private var free: [Int] = []
    /// Numbers, sorted by id.
    private(set) var order: [Int] = []
    /// Only ever asked, never gone through: its order is another one in each process.
    private var places: [NodeID: Int] = [:]
    /// Alive or suspect, this node included.
    private(set) var living = 0

    var count: Int { order.count }

    func slot(of node: NodeID) -> Int? { places[node] }

    subscript(slot: Int) -> Member {
        get {
            guard let member = slots[slot] else { preconditionFailure("member \(slot) is forgotten") }
            return member
        }
        set {
            precondition(slots[slot]?.identity.node == newValue.identity.node, "member \(slot) changes its name")
            count(slots[slot], -1)
            slots[slot] = newValue
            count(newValue, 1)
        }
    }

    subscript(node: NodeID) -> Member? { places[node].flatMap { slots[$0] } }

    mutating func insert(_ member: Member) -> Int {
        precondition(places[member.identity.node] == nil, "\(member.identity.node) is known")
        let slot = free.popLast() ?? slots.count
        if slot == slots.count { slots.append(member) } else { slots[slot] = member }
        places[member.identity.node] = slot
        order.insert(slot, at: place(of: member.identity.node))
        count(member, 1)
        return slot
    }

    mutating func remove(_ slot: Int) {
        let node = self[slot].identity.node
        count(slots[slot], -1)
        order.remove(at: place(of: node))
        places[node] = nil
        slots[slot] = nil
        free.append(slot)
    }

    private mutating func count(_ member: Member?, _ change: Int) { if member?.isLiving == true { living += change } }

    /// Where it is in the order, or would be.
    private func place(of node: NodeID) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if self[order[middle]].identity.node < node { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
