package import Primitives

/// The calls of one connection that wait for their answer: ids, deadlines, and what is kept of each (`Kept`, the driver's own). An id does
/// not come again before four thousand million others of its place: what answers late, twice, or what was never asked finds nothing.
package struct CallTable<Kept: Sendable>: Sendable {
    /// One call that ended.
    package struct Ended: Sendable {
        package let id: UInt64
        package let kept: Kept
        package let startedAt: Instant
    }

    private struct Slot: Sendable {
        var generation: UInt32
        var kept: Kept?
        var deadline: Instant?
        var startedAt: Instant
    }

    /// Calls at once; one more is refused.
    package let limit: Int
    private var slots: [Slot] = []
    private var free: [Int] = []
    private var earliest: Instant?
    package private(set) var count = 0

    package init(limit: Int) { self.limit = limit }

    /// When `expire` has something to do at the soonest; nil while nothing has a deadline.
    package var nextDeadline: Instant? { count == 0 ? nil : earliest }

    /// Takes a call in; nil when there are too many.
    package mutating func begin(_ kept: Kept, deadline: Instant?, now: Instant) -> UInt64? {
        guard count < limit else { return nil }
        count += 1
        if let deadline { earliest = earliest.map { min($0, deadline) } ?? deadline }
        let place: Int
        if let reused = free.popLast() {
            place = reused
            slots[place].kept = kept
            slots[place].deadline = deadline
            slots[place].startedAt = now
        } else {
            place = slots.count
            slots.append(Slot(generation: 1, kept: kept, deadline: deadline, startedAt: now))
        }
        return UInt64(slots[place].generation) << 32 | UInt64(place)
    }

    /// What waits for this id, without ending it: for streams.
    package func waiting(_ id: UInt64) -> Kept? { place(of: id).flatMap { slots[$0].kept } }

    /// The call is over; nil when it was before, or never was.
    package mutating func end(_ id: UInt64) -> Ended? {
        guard let place = place(of: id) else { return nil }
        return release(place)
    }

    /// Ends the calls whose time is over.
    package mutating func expire(_ now: Instant) -> [Ended] {
        guard let due = earliest, due <= now else { return [] }
        var ended: [Ended] = []
        earliest = nil
        for place in slots.indices where slots[place].kept != nil {
            guard let deadline = slots[place].deadline else { continue }
            if deadline <= now {
                if let call = release(place) { ended.append(call) }
            } else {
                earliest = earliest.map { min($0, deadline) } ?? deadline
            }
        }
        return ended
    }

    /// Ends all: the connection is gone.
    package mutating func endAll() -> [Ended] {
        earliest = nil
        return slots.indices.compactMap { release($0) }
    }

    private func place(of id: UInt64) -> Int? {
        let place = Int(id & 0xFFFF_FFFF)
        guard place < slots.count, slots[place].generation == UInt32(truncatingIfNeeded: id >> 32), slots[place].kept != nil else {
            return nil
        }
        return place
    }

    private mutating func release(_ place: Int) -> Ended? {
        guard let kept = slots[place].kept else { return nil }
        let id = UInt64(slots[place].generation) << 32 | UInt64(place)
        slots[place].kept = nil
        slots[place].generation &+= 1
        if slots[place].generation == 0 { slots[place].generation = 1 }
        free.append(place)
        count -= 1
        return Ended(id: id, kept: kept, startedAt: slots[place].startedAt)
    }
}
