import Primitives
import Testing
import Workflows

/// Effective priority is `priority + waited / ageing`; the order of two tasks never changes (ReadyQueue.swift).
struct SchedulingAgeingTests {
    private func order(_ queue: ReadyQueue) -> [ReadyQueue.Item] {
        var (queue, items) = (queue, [ReadyQueue.Item]())
        while let first = queue.first(takingSlot: true) {
            items.append(first)
            queue.popFirst(takingSlot: true)
        }
        return items
    }

    @Test func `of tasks that became ready together the higher priority goes first, then the one that came first`() {
        var queue = ReadyQueue()
        for (number, priority) in [5, 0, 9, 5, 9].enumerated() { queue.push(Scheduling.item(number, priority: priority)) }
        #expect(order(queue).map(\.run) == [2, 4, 0, 3, 1].map(Scheduling.run))
    }

    @Test func `each step of waiting makes up for one priority`() {
        let queue = ReadyQueue(ageing: .seconds(10))
        let old = Scheduling.item(1, since: 0, priority: 0)
        #expect(queue.effectivePriority(of: old, at: Scheduling.time(0)) == 0)
        #expect(queue.effectivePriority(of: old, at: Scheduling.time(25_000)) == 2.5)
        #expect(queue.effectivePriority(of: old, at: Scheduling.time(900_000)) == 90)
        for (since, first) in [(89_999, 2), (90_000, 1), (90_001, 1)] {
            var queue = queue
            queue.push(old)
            queue.push(Scheduling.item(2, since: since, priority: 9))
            #expect(queue.first(takingSlot: true)?.run == Scheduling.run(first), "\(since)")
        }
    }

    @Test func `whatever is waiting, it goes by effective priority at every moment`() {
        for seed in UInt64(1)...50 {
            var generator = SeededGenerator(seed: seed)
            var queue = ReadyQueue(ageing: .milliseconds(Int.random(in: 1...20_000, using: &generator)))
            var waiting: [ReadyQueue.Item] = []
            var now = 1_000_000
            for number in 0..<300 {
                now += Int.random(in: 0...3000, using: &generator)
                if waiting.isEmpty || Int.random(in: 0..<5, using: &generator) < 3 {
                    let since = now - Int.random(in: 0...50_000, using: &generator)
                    let item = Scheduling.item(number, since: since, priority: Int.random(in: 0...9, using: &generator))
                    queue.push(item)
                    waiting.append(item)
                } else if Bool.random(using: &generator) {
                    let gone = waiting.remove(at: Int.random(in: 0..<waiting.count, using: &generator))
                    queue.remove(run: gone.run, task: gone.task)
                } else {
                    let first = queue.first(takingSlot: true)
                    let best = waiting.map { queue.effectivePriority(of: $0, at: Scheduling.time(now)) }.max() ?? -1
                    #expect(
                        first.map { abs(queue.effectivePriority(of: $0, at: Scheduling.time(now)) - best) < 1e-9 } == true, "seed \(seed)")
                    queue.popFirst(takingSlot: true)
                    waiting.removeAll { $0 == first }
                }
                #expect(queue.count == waiting.count, "seed \(seed)")
                #expect(queue.oldest == waiting.map(\.since).min(), "seed \(seed)")
            }
            #expect(Set(order(queue).map(\.run)) == Set(waiting.map(\.run)), "seed \(seed)")
        }
    }

    /// Tasks of priority 9 come faster than they can be placed; the one of priority 0 waits no longer than nine steps and what was
    /// before it.
    @Test func `the lowest priority is not starved by a flood of the highest`() throws {
        for seed in UInt64(1)...10 {
            var generator = SeededGenerator(seed: seed)
            var scheduler = Scheduler(ready: ReadyQueue(ageing: .seconds(1)))
            try scheduler.join("a", slots: 1)
            scheduler.push(Scheduling.item(0, since: 0, priority: 0))
            var (number, running) = (1, -1)
            var placedAt: Int?
            // One place is free each 100 ms, and two or three tasks come meanwhile.
            for now in stride(from: 0, to: 60_000, by: 100) {
                for _ in 0..<Int.random(in: 2...3, using: &generator) {
                    scheduler.push(Scheduling.item(number, since: now, priority: 9))
                    number += 1
                }
                if running >= 0 { scheduler.release(running) }
                let placed = scheduler.turn(at: now)
                #expect(placed.count == 1, "seed \(seed)")
                running = Int(placed[0].item.run.low)
                if running == 0 { placedAt = now }
            }
            // All that came in the first 9 s are before it, at most 3 x 90, and take 100 ms each.
            let at = try #require(placedAt, "seed \(seed): never placed")
            #expect((9_000...28_000).contains(at), "seed \(seed): \(at)")
        }
    }

    @Test func `priorities beyond 0 to 9 count as the nearest, and a step of nothing as a millisecond`() {
        #expect(Scheduling.item(1, priority: 99).priority == 9)
        #expect(Scheduling.item(1, priority: -3).priority == 0)
        #expect(ReadyQueue(ageing: .zero).ageing == .milliseconds(1))
        #expect(ReadyQueue(ageing: .seconds(Int64.max)).ageing == .seconds(86_400))
        var queue = ReadyQueue(ageing: .seconds(Int64.max))
        queue.push(ReadyQueue.Item(run: Scheduling.run(1), task: 0, since: ClusterTime(milliseconds: .max), demand: Scheduling.demand()))
        queue.push(ReadyQueue.Item(run: Scheduling.run(2), task: 0, since: .zero, demand: Scheduling.demand()))
        #expect(order(queue).map(\.run) == [2, 1].map(Scheduling.run))
    }

    @Test func `a task that is pushed again stands where it belongs now, once`() {
        var queue = ReadyQueue()
        queue.push(Scheduling.item(1, since: 5))
        queue.push(Scheduling.item(2, since: 6))
        queue.push(Scheduling.item(1, since: 7))
        #expect(queue.count == 2)
        #expect(order(queue).map(\.run) == [2, 1].map(Scheduling.run))
        queue.remove(run: Scheduling.run(2), task: 0)
        queue.remove(run: Scheduling.run(9), task: 0)
        #expect(order(queue).map(\.run) == [Scheduling.run(1)])
    }
}
