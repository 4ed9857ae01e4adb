import HeapModule

/// What is to happen, in the order of its time. The heap holds numbers alone: what they stand for is large, and stays where it is while they are sorted.
struct Agenda {
    private struct Place: Comparable {
        var time: Int64
        /// In the order in which they were thought of, where times are the same.
        var number: UInt64
        var slot: Int

        static func < (left: Place, right: Place) -> Bool {
            left.time != right.time ? left.time < right.time : left.number < right.number
        }
    }

    private var heap = Heap<Place>()
    private var slots: [World.Occurrence?] = []
    private var free: [Int] = []
    private var scheduled: UInt64 = 0

    mutating func insert(_ occurrence: World.Occurrence, at time: Int64) {
        scheduled += 1
        let slot: Int
        if let known = free.popLast() {
            slot = known
            slots[slot] = occurrence
        } else {
            slot = slots.count
            slots.append(occurrence)
        }
        heap.insert(Place(time: time, number: scheduled, slot: slot))
    }

    /// The next one, when it is due by then.
    mutating func take(until end: Int64) -> (time: Int64, occurrence: World.Occurrence)? {
        guard let next = heap.min, next.time <= end else { return nil }
        heap.removeMin()
        free.append(next.slot)
        guard let occurrence = slots[next.slot].take() else { preconditionFailure("nothing in slot \(next.slot)") }
        return (next.time, occurrence)
    }
}
