import DequeModule
package import Primitives

/// How many messages are in the middle of being taken, and whether more may be: by count and bytes always, and by delay where more come than are done.
///
/// The bound by delay is what the node has done at most in a second of the last ten, times the delay that is worth having beyond the quickest answer (Little's law, the
/// window of BBR). It holds only while the oldest message has waited longer than that, so that neither a batch after a silence nor a leader's election is refused.
package struct IntakeLoad: Sendable {
    package struct Limits: Equatable, Sendable {
        /// Messages in the middle of being taken; 10,000/s that each wait for a second are fewer.
        package var messages = 16_384
        /// Of their bodies: with the runs that are begun of them some times as much memory.
        package var bytes = 64 << 20
        /// What a message may wait beyond the quickest; far above a commit, far below what a client waits for.
        package var delay = Duration.milliseconds(50)
        package init() {}
    }

    package enum Refusal: Error, Equatable {
        case messages(Int)
        case bytes(Int)
        /// For how long the oldest has waited.
        case delay(Duration)
    }

    /// What was let in together.
    package struct Ticket: Equatable, Sendable {
        package let messages: Int
        package let bytes: Int
        package let at: Instant
        fileprivate let slot: Int64
    }

    /// Fewer are always let in: as many as clients that wait for their answers hold open.
    package static let floor = 256
    private static let slotNanoseconds: Int64 = 10_000_000
    private static let slotsKept: Int64 = 8192
    private static let windowNanoseconds: Int64 = 1_000_000_000
    private static let windows = 10

    package let limits: Limits
    package private(set) var messages = 0
    package private(set) var bytes = 0
    /// Of messages that came in the same hundredth of a second, those that are in; from the oldest on.
    private var slots: Deque<Int> = []
    private var firstSlot: Int64 = 0
    /// What was done in each second, and how long the quickest of it took.
    private var done = [(count: Int, quickest: Int64)](repeating: (0, .max), count: Self.windows)
    private var window: Int64 = 0
    /// Of the seconds before this one: the most that was done in one, and how long the quickest took.
    private var peak = 0
    private var quickest = Int64.max

    package init(_ limits: Limits = Limits()) { self.limits = limits }

    // MARK: Coming and going

    /// Why nothing more is let in now; nil when something is.
    /// - Parameter isForwarded: another coordinator has let it in already, and it is refused by count and bytes alone.
    package mutating func refusal(_ count: Int, bytes: Int, now: Instant, isForwarded: Bool = false) -> Refusal? {
        // What is alone is let in, however large.
        guard messages > 0 else { return nil }
        if messages + count > limits.messages { return .messages(messages) }
        if self.bytes + bytes > limits.bytes { return .bytes(self.bytes) }
        guard !isForwarded, messages >= Self.floor else { return nil }
        turn(now)
        // Of the second that has just begun nothing is known yet.
        guard peak > 0 else { return nil }
        let worth = quickest + limits.delay.nanoseconds
        let age = now.nanoseconds - firstSlot * Self.slotNanoseconds
        guard age > worth, Double(messages) >= Double(peak) * Double(worth) / 1e9 else { return nil }
        return .delay(.nanoseconds(age))
    }

    package mutating func enter(_ count: Int, bytes: Int, now: Instant) -> Ticket {
        let slot = now.nanoseconds / Self.slotNanoseconds
        precondition(count > 0, "a ticket for \(count) messages")
        if messages == 0 { (slots, firstSlot) = ([], slot) }
        // Nothing waits for longer than some seconds, unless the machine slept.
        let own = min(max(slot, firstSlot), firstSlot + Self.slotsKept - 1)
        while firstSlot + Int64(slots.count) <= own { slots.append(0) }
        slots[Int(own - firstSlot)] += count
        messages += count
        self.bytes += bytes
        return Ticket(messages: count, bytes: bytes, at: now, slot: own)
    }

    /// - Parameter answered: how many of them got their answer, and were not refused.
    package mutating func leave(_ ticket: Ticket, answered: Int, now: Instant) {
        messages -= ticket.messages
        bytes -= ticket.bytes
        slots[Int(ticket.slot - firstSlot)] -= ticket.messages
        while slots.first == 0 {
            slots.removeFirst()
            firstSlot += 1
        }
        guard answered > 0 else { return }
        turn(now)
        let own = place(window)
        done[own].count += answered
        done[own].quickest = min(done[own].quickest, now.nanoseconds - ticket.at.nanoseconds)
    }

    private func place(_ window: Int64) -> Int { Int((window + Int64(Self.windows)) % Int64(Self.windows)) }

    private mutating func turn(_ now: Instant) {
        let current = now.nanoseconds / Self.windowNanoseconds
        guard current > window else { return }
        for passed in max(window + 1, current - Int64(Self.windows) + 1)...current { done[place(passed)] = (0, .max) }
        window = current
        (peak, quickest) = (0, .max)
        for (number, other) in done.enumerated() where number != place(current) {
            (peak, quickest) = (max(peak, other.count), min(quickest, other.quickest))
        }
    }
}
