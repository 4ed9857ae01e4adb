import Primitives
import Testing

@testable import Coordinator

/// Which workers a leader believes in, on a clock that is turned by hand.
struct LeaseTableTests {
    private let first = node("w-1")
    private let second = node("w-2")

    /// A table with one worker attached, looked at twice a second up to some moment.
    private func silent(_ table: inout LeaseTable, upTo seconds: Double, from: Double = 0) -> [(
        node: NodeID, silence: Duration, isNew: Bool
    )] {
        var found: [(node: NodeID, silence: Duration, isNew: Bool)] = []
        for half in stride(from: from, through: seconds, by: 0.5) { found += table.silent(now: at(half)) }
        return found
    }

    @Test func `a worker that renews is believed in for as long as it does`() {
        var table = LeaseTable(duration: .seconds(10))
        table.attach(first, epoch: 1, now: at(0))
        for second in stride(from: 0.0, to: 100, by: 3) {
            let isKept = table.renew(first, epoch: 1, now: at(second))
            #expect(isKept)
            let lost = silent(&table, upTo: second + 2.5, from: second)
            #expect(lost.isEmpty)
        }
    }

    @Test func `one that is silent for a lease is told of, as new once, and then for how long`() {
        var table = LeaseTable(duration: .seconds(10))
        table.attach(first, epoch: 1, now: at(0))
        let before = silent(&table, upTo: 9.5)
        #expect(before.isEmpty)
        let after = silent(&table, upTo: 12, from: 10)
        #expect(after.map(\.node) == [first, first, first, first, first])
        #expect(after.map(\.isNew) == [true, false, false, false, false])
        #expect(after.first?.silence == .seconds(10))
        #expect(after.last?.silence == .seconds(12))
        table.forget(first)
        let forgotten = silent(&table, upTo: 20, from: 12.5)
        #expect(forgotten.isEmpty && table.count == 0)
    }

    @Test func `who was given up has to attach again, and so has a process of before`() {
        var table = LeaseTable(duration: .seconds(10))
        let isKnown = table.renew(first, epoch: 1, now: at(0))
        #expect(!isKnown, "it never attached")
        table.attach(first, epoch: 2, now: at(0))
        let isOld = table.renew(first, epoch: 1, now: at(1))
        #expect(!isOld)
        _ = silent(&table, upTo: 10)
        let isLate = table.renew(first, epoch: 2, now: at(10.5))
        #expect(!isLate)
        table.attach(first, epoch: 2, now: at(11))
        let isBack = table.renew(first, epoch: 2, now: at(12))
        #expect(isBack)
    }

    @Test func `a new leader takes every lease as renewed at its election`() {
        var table = LeaseTable(duration: .seconds(10))
        table.attach(second, epoch: 4, now: at(0))
        table.begin([first], now: at(50))
        #expect(table[second] == nil, "nothing is with it by the log")
        let early = silent(&table, upTo: 59.5, from: 50)
        #expect(early.isEmpty)
        let late = silent(&table, upTo: 60, from: 60)
        #expect(late.map(\.node) == [first])
        table.end()
        #expect(table.count == 0)
    }

    /// The machine slept, or the process was stopped: nobody was heard, and nobody is to blame.
    @Test func `time in which the leader itself stood still does not count`() {
        var table = LeaseTable(duration: .seconds(10))
        table.attach(first, epoch: 1, now: at(0))
        let before = silent(&table, upTo: 5)
        #expect(before.isEmpty)
        let awake = table.silent(now: at(305))
        #expect(awake.isEmpty)
        let rest = silent(&table, upTo: 309.5, from: 305.5)
        #expect(rest.isEmpty, "five seconds of the ten are left")
        let over = silent(&table, upTo: 310, from: 310)
        #expect(over.map(\.node) == [first])
    }

    @Test func `a renewal that was overtaken takes nothing back`() {
        var table = LeaseTable(duration: .seconds(10))
        table.attach(first, epoch: 1, now: at(0))
        _ = table.renew(first, epoch: 1, now: at(8))
        _ = table.renew(first, epoch: 1, now: at(2))
        #expect(table[first]?.renewedAt == at(8))
    }
}

private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }

private func node(_ text: String) -> NodeID {
    guard let id = try? NodeID(text) else { preconditionFailure("'\(text)' is a node id") }
    return id
}
