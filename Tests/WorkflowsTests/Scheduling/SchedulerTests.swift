import Primitives
import Testing
import Workflows

/// Queue and placement together: what is with whom, and what is tried again when (Scheduler.swift).
struct SchedulerTests {
    @Test func `what waits is placed when there is room, and waits on when there is not`() throws {
        var scheduler = Scheduler()
        for number in 0..<3 { scheduler.push(Scheduling.item(number)) }
        #expect(scheduler.turn(at: 0).isEmpty)
        try scheduler.join("a", slots: 2)
        let placed = scheduler.turn(at: 1)
        #expect(placed.map(\.item.run) == [0, 1].map(Scheduling.run))
        #expect(scheduler.ready.count == 1)
        #expect(scheduler.placement.runningTasks == 2)
        scheduler.release(1)
        #expect(scheduler.turn(at: 2).map(\.item.run) == [Scheduling.run(2)])
        #expect(scheduler.turn(at: 3).isEmpty)
    }

    @Test func `tasks that need no slot are placed beside full slots`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 1, light: 1)
        scheduler.push(Scheduling.item(1))
        scheduler.push(Scheduling.item(2))
        scheduler.push(Scheduling.item(3, kind: .transform))
        #expect(scheduler.turn(at: 0).map(\.item.run) == [3, 1].map(Scheduling.run))
        #expect(scheduler.ready.count(.slots) == 1)
        #expect(scheduler.ready.count(.light) == 0)
    }

    @Test func `a task that no worker may take stands in nobody's way`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 1)
        scheduler.push(Scheduling.item(1, priority: 9, try PlacementTerms(required: [Scheduling.has("gpu", "yes")])))
        scheduler.push(Scheduling.item(2, priority: 0))
        #expect(scheduler.turn(at: 0).map(\.item.run) == [Scheduling.run(2)])
        try scheduler.join("b", slots: 1, Scheduling.labels(["gpu": "yes"]))
        #expect(scheduler.turn(at: 1).map(\.worker.text) == ["b"])
    }

    @Test func `a task at once, unless somebody waits who could have had the place`() throws {
        var scheduler = Scheduler()
        let none = scheduler.placeNow(Scheduling.item(1))
        #expect(none == nil)
        scheduler.push(Scheduling.item(1))
        try scheduler.join("a", slots: 3)
        let early = scheduler.placeNow(Scheduling.item(2))
        #expect(early == nil)
        #expect(scheduler.turn(at: 0).count == 1)
        #expect(scheduler.placeNow(Scheduling.item(2)) == (try Scheduling.node("a")))
        // One that waits in vain is no reason.
        scheduler.push(Scheduling.item(3, cost: 2))
        #expect(scheduler.turn(at: 1).isEmpty)
        #expect(scheduler.placeNow(Scheduling.item(4)) == (try Scheduling.node("a")))
        scheduler.release(4)
        // There is more room than when it was tried.
        let late = scheduler.placeNow(Scheduling.item(5))
        #expect(late == nil)
        let again = scheduler.placeNow(Scheduling.item(2))
        #expect(again == nil)
    }

    @Test func `a task takes as many slots as it costs`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 3)
        try scheduler.join("b", slots: 5)
        for number in 0..<4 { scheduler.push(Scheduling.item(number, cost: 2)) }
        #expect(scheduler.turn(at: 0).map(\.worker.text) == ["b", "a", "b"])
        #expect(scheduler.placement[try Scheduling.node("b")]?.usedSlots == 4)
        #expect(scheduler.placement.runningTasks == 3)
        scheduler.release(1)
        #expect(scheduler.turn(at: 1).map(\.worker.text) == ["a"])
        for number in 0..<4 { scheduler.release(number) }
        #expect(scheduler.placement.workers.allSatisfy { $0.usedSlots == 0 && $0.tasks == 0 })
    }

    @Test func `cordoned and draining workers keep what they have and get nothing new`() throws {
        for standing in [Placement.Standing.cordoned, .draining] {
            var scheduler = Scheduler()
            try scheduler.join("a", slots: 2)
            let node = try Scheduling.node("a")
            #expect(scheduler.placeNow(Scheduling.item(1)) == node)
            scheduler.stand(node, as: standing)
            scheduler.push(Scheduling.item(2))
            #expect(scheduler.turn(at: 0).isEmpty, "\(standing)")
            // Joining again does not open it: who closed it does.
            try scheduler.join("a", slots: 2)
            #expect(scheduler.turn(at: 1).isEmpty, "\(standing)")
            #expect(scheduler.placement.runningTasks == 1)
            scheduler.stand(node, as: .available)
            #expect(scheduler.turn(at: 2).map(\.worker) == [node], "\(standing)")
        }
    }

    @Test func `suspect workers come last, whatever is preferred`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 9, Scheduling.labels(["disk": "ssd"]))
        try scheduler.join("b", slots: 1)
        try scheduler.join("c", slots: 1)
        scheduler.stand(try Scheduling.node("a"), as: .suspect)
        let terms = try PlacementTerms(preferred: [.init(Scheduling.has("disk", "ssd"), weight: 100)])
        for number in 0..<3 { scheduler.push(Scheduling.item(number, terms)) }
        #expect(scheduler.turn(at: 0).map(\.worker.text) == ["b", "c", "a"])
        try scheduler.join("a", slots: 9, Scheduling.labels(["disk": "ssd"]))
        scheduler.release(0)
        scheduler.push(Scheduling.item(5, terms))
        #expect(scheduler.turn(at: 1).map(\.worker.text) == ["a"])
    }

    @Test func `a worker that leaves gets nothing, and what it had is released once`() throws {
        var scheduler = Scheduler()
        let node = try Scheduling.node("a")
        try scheduler.join("a", slots: 2)
        #expect(scheduler.placeNow(Scheduling.item(1)) == node)
        scheduler.leave(node)
        scheduler.push(Scheduling.item(2))
        #expect(scheduler.turn(at: 0).isEmpty)
        #expect(scheduler.placement.runningTasks == 1)
        scheduler.release(1)
        scheduler.release(1)
        #expect(scheduler.placement.runningTasks == 0)
        #expect(scheduler.placement[node] == nil)
    }

    @Test func `a worker that leaves and comes back still has what was not released`() throws {
        var scheduler = Scheduler()
        let node = try Scheduling.node("a")
        try scheduler.join("a", slots: 2)
        #expect(scheduler.placeNow(Scheduling.item(1)) == node)
        scheduler.leave(node)
        try scheduler.join("a", slots: 2)
        scheduler.push(Scheduling.item(2))
        scheduler.push(Scheduling.item(3))
        #expect(scheduler.turn(at: 0).map(\.item.run) == [Scheduling.run(2)])
    }

    @Test func `assignments of an earlier leader are counted once their worker is known, and only once`() throws {
        var scheduler = Scheduler()
        let node = try Scheduling.node("a")
        scheduler.occupy(Scheduling.item(1), worker: node)
        #expect(scheduler.placement.runningTasks == 0)
        try scheduler.join("a", slots: 2)
        for _ in 0..<3 { scheduler.occupy(Scheduling.item(1), worker: node) }
        #expect(scheduler.placement[node]?.usedSlots == 1)
        scheduler.release(1)
        #expect(scheduler.placement[node]?.usedSlots == 0)
        try scheduler.join("b", slots: 2)
        scheduler.push(Scheduling.item(2))
        scheduler.occupy(Scheduling.item(2), worker: node)
        scheduler.occupy(Scheduling.item(2), worker: try Scheduling.node("b"))
        #expect(scheduler.ready.count == 0)
        #expect(scheduler.placement.workers.map(\.usedSlots) == [0, 1])
    }

    @Test func `a task that has a worker does not wait, and one that is withdrawn is not placed`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 1)
        #expect(scheduler.placeNow(Scheduling.item(1)) == (try Scheduling.node("a")))
        scheduler.push(Scheduling.item(1))
        #expect(scheduler.ready.count == 0)
        scheduler.push(Scheduling.item(2))
        scheduler.push(Scheduling.item(3))
        scheduler.withdraw(run: Scheduling.run(2), task: 0)
        scheduler.withdraw(run: Scheduling.run(1), task: 0)
        scheduler.release(1)
        #expect(scheduler.turn(at: 0).map(\.item.run) == [Scheduling.run(3)])
    }

    @Test func `what a worker counts itself is believed where it is less`() throws {
        var scheduler = Scheduler()
        let node = try Scheduling.node("a")
        try scheduler.join("a", slots: 4)
        scheduler.worker(node, saysFree: 1)
        for number in 0..<4 { scheduler.push(Scheduling.item(number)) }
        #expect(scheduler.turn(at: 0).count == 1)
        scheduler.worker(node, saysFree: 100)
        #expect(scheduler.turn(at: 1).count == 3)
        scheduler.release(0)
        scheduler.worker(node, saysFree: -7)
        scheduler.push(Scheduling.item(9))
        #expect(scheduler.turn(at: 2).isEmpty)
        scheduler.release(1)
        #expect(scheduler.turn(at: 3).count == 1)
    }

    /// Small tasks come without end; the one that needs a whole worker gets one kept for it, and they go on elsewhere meanwhile.
    @Test func `a large task is not starved by small ones`() throws {
        for seed in UInt64(1)...10 {
            var generator = SeededGenerator(seed: seed)
            var scheduler = Scheduler(patience: .seconds(1))
            try scheduler.join("a", slots: 4)
            try scheduler.join("b", slots: 4)
            var (number, ends, placedAt) = (1, [(at: Int, run: Int)](), -1)
            scheduler.push(Scheduling.item(0, cost: 4))
            for small in 1...8 { scheduler.push(Scheduling.item(small, since: -0, priority: 9)) }
            number = 9
            for now in stride(from: 0, to: 10_000, by: 10) where placedAt < 0 {
                for item in ends where item.at <= now { scheduler.release(item.run) }
                ends.removeAll { $0.at <= now }
                scheduler.push(Scheduling.item(number, since: now, priority: 9))
                number += 1
                for placed in scheduler.turn(at: now) {
                    if placed.item.demand.shape.cost == 4 { placedAt = now }
                    ends.append((now + Int.random(in: 50...200, using: &generator), Int(placed.item.run.low)))
                }
                #expect(scheduler.placement.workers.allSatisfy { $0.usedSlots <= $0.slots }, "seed \(seed)")
            }
            #expect((1_000...1_300).contains(placedAt), "seed \(seed): \(placedAt)")
        }
    }

    @Test func `what is kept for a task comes free when the task is gone, its worker is, or it found another`() throws {
        func rig() throws -> Scheduler {
            var scheduler = Scheduler(patience: .seconds(1))
            try scheduler.join("a", slots: 2)
            #expect(scheduler.placeNow(Scheduling.item(1)) == (try Scheduling.node("a")))
            scheduler.push(Scheduling.item(2, cost: 2))
            #expect(scheduler.turn(at: 1_000).isEmpty)
            scheduler.push(Scheduling.item(3, since: 1_000))
            // The free slot is kept.
            #expect(scheduler.turn(at: 1_001).isEmpty)
            return scheduler
        }
        var withdrawn = try rig()
        withdrawn.withdraw(run: Scheduling.run(2), task: 0)
        #expect(withdrawn.turn(at: 1_002).map(\.item.run) == [Scheduling.run(3)])

        var closed = try rig()
        closed.stand(try Scheduling.node("a"), as: .cordoned)
        _ = closed.turn(at: 1_002)
        closed.stand(try Scheduling.node("a"), as: .available)
        closed.release(1)
        let placed = closed.turn(at: 1_003)
        #expect(placed.map(\.item.run) == [Scheduling.run(2)])

        var found = try rig()
        try found.join("b", slots: 2)
        #expect(found.turn(at: 1_002).map(\.worker.text) == ["b", "a"])
        #expect(!found.owesRetries)

        var patient = try rig()
        patient.release(1)
        #expect(patient.turn(at: 1_002).map(\.item.run) == [Scheduling.run(2)])
    }

    @Test func `tasks that must be apart are passed over by those that need not be`() throws {
        let apart = try PlacementTerms(apart: .init(.run, isRequired: true))
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 10)
        for task in 0..<3 { scheduler.push(Scheduling.item(1, task: task, priority: 9, apart)) }
        for number in 2..<4 { scheduler.push(Scheduling.item(number, apart)) }
        #expect(scheduler.turn(at: 0).map(\.item.run) == [1, 2, 3].map(Scheduling.run))
        #expect(scheduler.ready.count == 2)
        scheduler.release(1, task: 0)
        #expect(scheduler.turn(at: 1).map(\.item.task) == [1])
        scheduler.withdraw(run: Scheduling.run(1), task: 2)
        scheduler.release(1, task: 1)
        #expect(scheduler.turn(at: 2).isEmpty)
        #expect(scheduler.ready.count == 0)
    }

    /// However many wait in vain, a turn tries some of them, says that more are due, and comes to each.
    @Test func `turns come to everything that was passed over`() throws {
        let apart = try PlacementTerms(apart: .init(.run, isRequired: true))
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 1_000)
        for number in 0..<300 { for task in 0..<2 { scheduler.push(Scheduling.item(number, task: task, apart)) } }
        #expect(scheduler.turn(at: 0).count == 300)
        scheduler.release(299)
        var (turns, placed) = (0, [Scheduler.Placed]())
        repeat {
            turns += 1
            placed += scheduler.turn(at: turns)
        } while scheduler.owesRetries && turns < 100
        #expect(placed.map(\.item.run) == [Scheduling.run(299)])
        #expect((2...12).contains(turns), "\(turns)")

        for number in 1_000..<1_400 {
            scheduler.push(Scheduling.item(number, try PlacementTerms(required: [Scheduling.has("host", "h\(number)")])))
        }
        #expect(scheduler.turn(at: 200).isEmpty)
        try scheduler.join("z", slots: 1, Scheduling.labels(["host": "h1399"]))
        (turns, placed) = (0, [])
        repeat {
            turns += 1
            placed += scheduler.turn(at: 300 + turns)
        } while scheduler.owesRetries && turns < 100
        #expect(placed.map(\.worker.text) == ["z"])
        #expect((2...20).contains(turns), "\(turns)")
    }
}
