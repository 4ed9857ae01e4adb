import Primitives
import Testing

@testable import Coordinator

/// What may be in at once (IntakeLoad.swift).
struct IntakeLoadTests {
    private static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000) }

    /// A second in which so many messages were done, each in so long.
    private static func busy(_ load: Load, _ second: Int64, count: Int, took: Int64) {
        let ticket = load.enter(count, bytes: 0, now: at(second * 1000))
        load.leave(ticket, answered: count, now: at(second * 1000 + took))
    }

    @Test func `by count and by bytes, and what is alone is always let in`() {
        var limits = IntakeLoad.Limits()
        (limits.messages, limits.bytes) = (10, 1000)
        let load = Load(limits)
        #expect(load.refusal(5000, bytes: 1 << 30, now: Self.at(0)) == nil)
        let first = load.enter(8, bytes: 900, now: Self.at(0))
        #expect(load.refusal(2, bytes: 100, now: Self.at(1)) == nil)
        #expect(load.refusal(3, bytes: 0, now: Self.at(1)) == .messages(8))
        #expect(load.refusal(1, bytes: 101, now: Self.at(1)) == .bytes(900))
        let second = load.enter(2, bytes: 100, now: Self.at(1))
        #expect(load.refusal(1, bytes: 0, now: Self.at(2)) == .messages(10))
        load.leave(first, answered: 0, now: Self.at(3))
        #expect(load.messages == 2 && load.bytes == 100)
        #expect(load.refusal(8, bytes: 900, now: Self.at(3)) == nil)
        load.leave(second, answered: 2, now: Self.at(4))
        #expect(load.messages == 0 && load.bytes == 0)
    }

    @Test func `more than is done in the delay that is worth having is refused, once something has waited for so long`() {
        let load = Load()
        // 20,000 in a second, the quickest in 2 ms: 52 ms of it are 1040.
        Self.busy(load, 0, count: 20_000, took: 2)
        #expect(load.enter(1040, bytes: 0, now: Self.at(1000)).messages == 1040)
        #expect(load.refusal(1, bytes: 0, now: Self.at(1050)) == nil, "the oldest has not waited for so long")
        #expect(load.refusal(1, bytes: 0, now: Self.at(1060)) == .delay(.milliseconds(60)))
    }

    @Test func `fewer than that are let in, however long they wait, and few always are`() {
        let load = Load()
        Self.busy(load, 0, count: 20_000, took: 2)
        _ = load.enter(1000, bytes: 0, now: Self.at(1000))
        #expect(load.refusal(1, bytes: 0, now: Self.at(5000)) == nil, "an election, or a disk that stalls")
        let slow = Load()
        Self.busy(slow, 0, count: 10, took: 2)
        _ = slow.enter(IntakeLoad.floor - 1, bytes: 0, now: Self.at(1000))
        #expect(slow.refusal(1, bytes: 0, now: Self.at(5000)) == nil)
        _ = slow.enter(1, bytes: 0, now: Self.at(1000))
        #expect(slow.refusal(1, bytes: 0, now: Self.at(5000)) == .delay(.milliseconds(4000)))
    }

    @Test func `a far leader's round trip counts as the quickest, and a batch after a silence is let in`() {
        let load = Load()
        // 100 ms there and back: 20,000 in a second are 3000 in 150 ms.
        Self.busy(load, 0, count: 20_000, took: 100)
        _ = load.enter(2900, bytes: 0, now: Self.at(1000))
        #expect(load.refusal(1, bytes: 0, now: Self.at(1200)) == nil)
        // After ten seconds nothing is known any more.
        let silent = Load()
        Self.busy(silent, 0, count: 20_000, took: 1)
        _ = silent.enter(1000, bytes: 0, now: Self.at(20_000))
        #expect(silent.refusal(1000, bytes: 0, now: Self.at(21_000)) == nil)
    }

    @Test func `what comes and goes in any order is counted, over a long time`() {
        let load = Load()
        var generator = SeededGenerator(seed: 7)
        var open: [IntakeLoad.Ticket] = []
        var expected = 0
        for step in 0..<20_000 {
            let now = Self.at(Int64(step) * 7)
            if generator.next() % 2 == 0 || open.isEmpty {
                let count = Int(generator.next() % 50) + 1
                open.append(load.enter(count, bytes: count, now: now))
                expected += count
            } else {
                let ticket = open.remove(at: Int(generator.next() % UInt64(open.count)))
                load.leave(ticket, answered: ticket.messages, now: now)
                expected -= ticket.messages
            }
            #expect(load.messages == expected && load.bytes == expected, "step \(step)")
        }
        for ticket in open { load.leave(ticket, answered: 0, now: Self.at(200_000)) }
        #expect(load.messages == 0)
        // A machine that slept.
        let before = load.enter(1, bytes: 0, now: Self.at(200_000))
        let after = load.enter(1, bytes: 0, now: Self.at(900_000_000))
        load.leave(before, answered: 1, now: Self.at(900_000_001))
        load.leave(after, answered: 1, now: Self.at(900_000_001))
        #expect(load.messages == 0)
    }
}

/// The load, behind a reference: an expectation cannot change a value.
private final class Load {
    private var load: IntakeLoad
    init(_ limits: IntakeLoad.Limits = IntakeLoad.Limits()) { load = IntakeLoad(limits) }

    var messages: Int { load.messages }
    var bytes: Int { load.bytes }
    func refusal(_ count: Int, bytes: Int, now: Instant) -> IntakeLoad.Refusal? { load.refusal(count, bytes: bytes, now: now) }
    func enter(_ count: Int, bytes: Int, now: Instant) -> IntakeLoad.Ticket { load.enter(count, bytes: bytes, now: now) }
    func leave(_ ticket: IntakeLoad.Ticket, answered: Int, now: Instant) { load.leave(ticket, answered: answered, now: now) }
}
