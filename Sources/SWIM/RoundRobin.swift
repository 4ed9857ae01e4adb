import Primitives

/// Whom to probe next (SWIM section 4.3): all in turn, in an order that is drawn anew after each turn; who comes gets a random place. So any member is probed at least
/// once in 2N−1 probes, while the expected time until a crash is first seen stays that of random probes. News goes round so too: of few tellings none is to be wasted.
struct RoundRobin: Sendable {
    private(set) var slots: [Int] = []
    private var next = 0

    var isEmpty: Bool { slots.isEmpty }

    mutating func insert(_ slot: Int, using generator: inout SeededGenerator) {
        let place = Int.random(in: 0...slots.count, using: &generator)
        slots.insert(slot, at: place)
        // Who stood at `next` still does.
        if place < next { next += 1 }
    }

    mutating func remove(_ slot: Int) {
        guard let place = slots.firstIndex(of: slot) else { return }
        slots.remove(at: place)
        if place < next { next -= 1 }
    }

    mutating func take(using generator: inout SeededGenerator) -> Int? {
        guard !slots.isEmpty else { return nil }
        if next >= slots.count {
            slots.shuffle(using: &generator)
            next = 0
        }
        defer { next += 1 }
        return slots[next]
    }

    /// Several, none of them twice.
    mutating func take(_ count: Int, using generator: inout SeededGenerator) -> [Int] {
        var taken: [Int] = []
        let wanted = min(count, slots.count)
        while taken.count < wanted, let slot = take(using: &generator) {
            if !taken.contains(slot) { taken.append(slot) }
        }
        return taken
    }
}
