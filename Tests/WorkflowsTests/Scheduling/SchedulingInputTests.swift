import Primitives
import Testing
import Workflows

/// Workers and tasks that say what cannot be.
struct SchedulingInputTests {
    @Test func `a worker that says nothing, less than nothing or far too much gets what is possible`() throws {
        var placement = Placement()
        for (name, slots, light) in [("a", 0, 0), ("b", -4, .min), ("c", .max, .max)] {
            placement.join(try NodeID(name), .init(slots: slots, light: light))
        }
        #expect(placement.workers.map(\.slots) == [0, 0, Placement.slotLimit])
        #expect(placement.workers.map(\.light) == [0, 0, Placement.lightLimit])
        #expect(placement.names(3, Scheduling.demand()) == ["c", "c", "c"])
        #expect(placement.names(1, Scheduling.demand(kind: .transform)) == ["c"])
        placement.leave(try NodeID("c"))
        #expect(placement.place(Scheduling.demand()) == .impossible)
    }

    @Test func `a cost of nothing is one, and one beyond all bounds is too much for all`() throws {
        var placement = Placement()
        placement.join(try NodeID("a"), .init(slots: .max, light: 1))
        #expect(Scheduling.demand(cost: 0).shape.cost == 1)
        #expect(Scheduling.demand(cost: .min).shape.cost == 1)
        #expect(placement.place(Scheduling.demand(cost: .max)) == .impossible)
        #expect(placement.place(Scheduling.demand(cost: Placement.slotLimit)) == .placed(try NodeID("a")))
        #expect(placement.place(Scheduling.demand()) == .full)
    }

    @Test func `the same worker twice is one worker`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 2)
        for number in 0..<2 { scheduler.push(Scheduling.item(number)) }
        #expect(scheduler.turn(at: 0).count == 2)
        for _ in 0..<3 { try scheduler.join("a", slots: 2) }
        scheduler.push(Scheduling.item(3))
        #expect(scheduler.turn(at: 1).isEmpty)
        #expect(scheduler.placement.workers.count == 1)
        // It shrinks below what it holds, and grows again.
        try scheduler.join("a", slots: 1)
        scheduler.release(0)
        #expect(scheduler.turn(at: 2).isEmpty)
        try scheduler.join("a", slots: 3)
        #expect(scheduler.turn(at: 3).count == 1)
    }

    @Test func `unknown workers and tasks are released, occupied and changed without effect`() throws {
        var scheduler = Scheduler()
        let ghost = try Scheduling.node("ghost")
        scheduler.release(1)
        scheduler.leave(ghost)
        scheduler.stand(ghost, as: .suspect)
        scheduler.worker(ghost, saysFree: 5)
        scheduler.withdraw(run: Scheduling.run(1), task: 3)
        scheduler.forget(Scheduling.run(1))
        scheduler.occupy(Scheduling.item(1), worker: ghost)
        scheduler.release(1)
        scheduler.release(1)
        var placement = Placement()
        placement.release(ghost, .exec)
        placement.occupy(ghost, .exec)
        #expect(placement.runningTasks == 0)
        #expect(scheduler.placement.workers.isEmpty)
        try scheduler.join("a", slots: 1)
        scheduler.push(Scheduling.item(2))
        #expect(scheduler.turn(at: 0).count == 1)
        #expect(scheduler.placement.runningTasks == 1)
    }

    @Test func `time that falls, or leaps, harms nothing`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 1)
        for (number, time) in [5_000, 0, Int.max, 7].enumerated() {
            scheduler.push(Scheduling.item(number, since: time))
            #expect(scheduler.turn(at: time).count == 1)
            scheduler.release(number)
        }
    }

    @Test func `labels may be empty, and must be short, plain and unlike`() throws {
        #expect(try WorkerLabels([("gpu", "")])["gpu"] == "")
        #expect(try WorkerLabels([("z", "1"), ("a", "2")]).description == "a=2,z=1")
        let long = String(repeating: "x", count: 1 << 20)
        let bad: [[(String, String)]] = [
            [("", "x")], [("Zone", "x")], [("a b", "x")], [(long, "x")], [("zone", long)], [("zone", "a b")], [("zone", "tromsø")],
            [("zone", "a\n")], [("zone", "a"), ("zone", "b")], (0...WorkerLabels.limit).map { ("l\($0)", "x") },
        ]
        for pairs in bad {
            let error = #expect(throws: PlacementError.self) { try WorkerLabels(pairs.map { (name: $0.0, value: $0.1) }) }
            #expect((error?.description.utf8.count ?? .max) < 300, "\(pairs.count)")
        }
        _ = try WorkerLabels([("zone", String(repeating: "x", count: WorkerLabels.valueLimit))])
    }

    @Test func `terms are checked as labels are, and there are not too many`() throws {
        #expect(throws: PlacementError.name("Zone")) { try LabelTerm("Zone", .exists) }
        #expect(throws: PlacementError.noValues("zone")) { try LabelTerm("zone", .isOneOf([])) }
        #expect(throws: PlacementError.value("a b", of: "zone")) { try LabelTerm("zone", .isNoneOf(["x", "a b"])) }
        #expect(throws: PlacementError.tooMany("values of a label", 65, limit: 64)) {
            try LabelTerm("zone", .isOneOf((0..<65).map(String.init)))
        }
        let term = try Scheduling.has("zone", "x")
        #expect(throws: PlacementError.tooMany("placement terms", 33, limit: 32)) {
            try PlacementTerms(required: Array(repeating: term, count: 33))
        }
        #expect(throws: PlacementError.self) { try PlacementTerms(preferred: Array(repeating: .init(term), count: 33)) }
        #expect(PlacementTerms.Preference(term, weight: -5).weight == 1)
        #expect(PlacementTerms.Preference(term, weight: .max).weight == 100)
    }

    @Test func `a worker that offers no kind, and namespaces without end, are no trouble`() throws {
        var scheduler = Scheduler()
        try scheduler.join("none", slots: 9, kinds: [])
        try scheduler.join("w", slots: 1)
        for number in 0..<3_000 {
            scheduler.push(Scheduling.item(number, namespace: try Namespace("n\(number)")))
            #expect(scheduler.turn(at: number).count == 1)
            scheduler.release(number)
        }
    }
}
