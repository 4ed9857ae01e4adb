import Primitives
import Testing

@testable import SWIM

/// SWIM section 4.3: whom to probe, so that a crash is seen in bounded time.
struct Section4_3Tests {
    @Test func `in each turn every member is probed once, in another order`() throws {
        var bench = try Bench(members: 2...12)
        func turn() throws -> [NodeID] {
            var targets: [NodeID] = []
            for _ in 2...12 {
                let ping = try bench.nextPing()
                try bench.answer(ping.ping)
                targets.append(ping.ping.target.node)
            }
            return targets
        }
        // The order in which they came was one of chance too.
        _ = try turn()
        let (first, second) = (try turn(), try turn())
        #expect(first.sorted() == (2...12).map(node).sorted())
        #expect(second.sorted() == first.sorted())
        #expect(first != second)
    }

    @Test(arguments: 1...20)
    func `between two probes of a member there are at most 2N−2 others`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var schedule = RoundRobin()
        let count = 15
        for slot in 0..<count { schedule.insert(slot, using: &generator) }
        var last = Array(repeating: 0, count: count)
        for step in 1...600 {
            let taken = schedule.take(using: &generator)
            let slot = try #require(taken)
            #expect(step - last[slot] <= 2 * count - 1, "seed \(seed)")
            last[slot] = step
        }
    }

    @Test(arguments: 1...20)
    func `who comes and goes neither skips the others nor doubles them`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var schedule = RoundRobin()
        for slot in 0..<10 { schedule.insert(slot, using: &generator) }
        _ = schedule.take(using: &generator)
        // A new turn, some of which is over.
        var seen: [Int] = []
        for _ in 0..<9 { _ = schedule.take(using: &generator) }
        for _ in 0..<4 { if let slot = schedule.take(using: &generator) { seen.append(slot) } }
        for slot in 10..<15 { schedule.insert(slot, using: &generator) }
        let gone = try #require((0..<10).first { !seen.contains($0) })
        schedule.remove(gone)
        schedule.remove(seen[0])
        for _ in 0..<40 where seen.count < 9 {
            guard let slot = schedule.take(using: &generator) else { break }
            if slot < 10 { seen.append(slot) }
        }
        #expect(seen.sorted() == (0..<10).filter { $0 != gone }, "seed \(seed)")
        #expect(schedule.slots.sorted() == (0..<15).filter { $0 != gone && $0 != seen[0] }, "seed \(seed)")
    }

    @Test func `the place of who comes is one of chance`() {
        var generator = SeededGenerator(seed: 3)
        var places: Set<Int> = []
        for _ in 0..<200 {
            var schedule = RoundRobin()
            for slot in 0..<5 { schedule.insert(slot, using: &generator) }
            if let place = schedule.slots.firstIndex(of: 4) { places.insert(place) }
        }
        #expect(places.count == 5)
    }

    @Test func `the dead and those who left are probed no more, and suspects are`() throws {
        var bench = try Bench(members: 2...5)
        bench.hear([dead(2), left(3), suspect(4, by: 5)])
        var targets: Set<NodeID> = []
        for _ in 0..<6 {
            let ping = try bench.nextPing()
            try bench.answer(ping.ping)
            targets.insert(ping.ping.target.node)
        }
        #expect(targets == [node(4), node(5)])
        bench.hear([alive(2, 1)])
        for _ in 0..<8 {
            let ping = try bench.nextPing()
            try bench.answer(ping.ping)
            targets.insert(ping.ping.target.node)
        }
        #expect(targets == [node(2), node(4), node(5)])
    }
}
