import Primitives
import Testing
import Workflows

/// First come first served, apart for those that take a slot and those that do not (ReadyQueue.swift).
struct ReadyQueueTests {
    private func item(_ number: UInt64, _ kind: TaskKind, since: UInt64 = 0) -> ReadyQueue.Item {
        ReadyQueue.Item(run: RunID(high: 1, low: number), task: 0, kind: kind, since: ClusterTime(milliseconds: since))
    }

    @Test func `the two lanes do not stand in each other's way`() {
        var queue = ReadyQueue()
        queue.push(item(1, .exec))
        queue.push(item(2, .transform))
        queue.push(item(3, .http))
        #expect(queue.count == 3)
        #expect(queue.first(takingSlot: true) == item(1, .exec))
        #expect(queue.first(takingSlot: false) == item(2, .transform))
        queue.popFirst(takingSlot: true)
        #expect(queue.first(takingSlot: true) == item(3, .http))
        #expect(queue.first(takingSlot: false) == item(2, .transform))
        queue.popFirst(takingSlot: false)
        #expect(queue.first(takingSlot: false) == nil)
        #expect(queue.count == 1)
    }

    @Test func `the oldest is the older front of the two`() {
        var queue = ReadyQueue()
        #expect(queue.oldest == nil)
        queue.push(item(1, .exec, since: 50))
        queue.push(item(2, .exec, since: 60))
        queue.push(item(3, .transform, since: 40))
        #expect(queue.oldest == ClusterTime(milliseconds: 40))
        queue.popFirst(takingSlot: false)
        #expect(queue.oldest == ClusterTime(milliseconds: 50))
    }

    @Test func `a long queue keeps its order`() {
        let seed: UInt64 = 3
        var generator = SeededGenerator(seed: seed)
        var queue = ReadyQueue()
        var model: [ReadyQueue.Item] = []
        var next: UInt64 = 0
        for _ in 0..<20_000 {
            if Int.random(in: 0..<5, using: &generator) < 3 {
                next += 1
                queue.push(item(next, .exec))
                model.append(item(next, .exec))
            } else if !model.isEmpty {
                let first = model.removeFirst()
                if queue.first(takingSlot: true) != first { Issue.record("seed \(seed): \(first) is not the first") }
                queue.popFirst(takingSlot: true)
            }
        }
        #expect(queue.count == model.count, "seed \(seed)")
        while !model.isEmpty {
            let first = model.removeFirst()
            if queue.first(takingSlot: true) != first { Issue.record("seed \(seed): \(first) is not the first") }
            queue.popFirst(takingSlot: true)
        }
        #expect(queue.count == 0)
        #expect(queue.first(takingSlot: true) == nil)
    }
}
