import Primitives
import Testing
import Workflows

/// The least loaded worker with room takes a task; ties go by node id (Placement.swift).
struct PlacementTests {
    private let a: NodeID
    private let b: NodeID

    init() throws {
        a = try NodeID("a")
        b = try NodeID("b")
    }

    @Test func `without workers, or without room, nobody takes a task`() {
        var placement = Placement()
        let none = placement.place(.exec)
        #expect(none == nil)
        placement.join(a, slots: 1, light: 0)
        let first = placement.place(.exec)
        let second = placement.place(.exec)
        let light = placement.place(.transform)
        #expect(first == a)
        #expect(second == nil)
        #expect(light == nil)
    }

    @Test func `the worker with more room comes first, ties go by id`() {
        var placement = Placement()
        placement.join(b, slots: 2, light: 1)
        placement.join(a, slots: 2, light: 1)
        #expect(placement.workers.map(\.node) == [a, b])
        let chosen = (0..<5).map { _ in placement.place(.http) }
        let expected: [NodeID?] = [a, b, a, b, nil]
        #expect(chosen == expected)
        #expect(placement.runningTasks == 4)
        placement.release(b, .http)
        let next = placement.place(.exec)
        #expect(next == b)
    }

    @Test func `tasks that take a slot and those that do not are counted apart`() {
        var placement = Placement()
        placement.join(a, slots: 1, light: 2)
        let taken = [placement.place(.exec), placement.place(.transform), placement.place(.transform), placement.place(.transform)]
        let expected: [NodeID?] = [a, a, a, nil]
        #expect(taken == expected)
        placement.release(a, .transform)
        let slot = placement.place(.exec)
        let light = placement.place(.transform)
        #expect(slot == nil)
        #expect(light == a)
    }

    @Test func `an assignment that exists already takes its place`() {
        var placement = Placement()
        placement.join(a, slots: 2, light: 0)
        placement.occupy(a, .exec)
        placement.occupy(b, .exec)
        #expect(placement.runningTasks == 1)
        let first = placement.place(.exec)
        let second = placement.place(.exec)
        #expect(first == a)
        #expect(second == nil)
    }

    @Test func `releasing more than was taken leaves the worker empty`() {
        var placement = Placement()
        placement.join(a, slots: 1, light: 1)
        placement.release(a, .exec)
        placement.release(a, .transform)
        placement.release(b, .exec)
        #expect(placement.runningTasks == 0)
        let first = placement.place(.exec)
        let second = placement.place(.exec)
        #expect(first == a)
        #expect(second == nil)
    }

    @Test func `a worker that joins again starts empty with its new size`() {
        var placement = Placement()
        placement.join(a, slots: 1, light: 0)
        let first = placement.place(.exec)
        placement.join(a, slots: 2, light: 0)
        #expect(placement.workers.count == 1)
        let again = [placement.place(.exec), placement.place(.exec), placement.place(.exec)]
        #expect(first == a)
        let expected: [NodeID?] = [a, a, nil]
        #expect(again == expected)
    }

    @Test func `no worker takes more than it has room for`() throws {
        let c = try NodeID("c")
        for seed in UInt64(1)...100 {
            var generator = SeededGenerator(seed: seed)
            var placement = Placement()
            var taken: [NodeID] = []
            for node in [a, b, c] { placement.join(node, slots: Int.random(in: 0..<4, using: &generator), light: 0) }
            let room = placement.workers.reduce(0) { $0 + $1.slots }
            for _ in 0..<100 {
                if Bool.random(using: &generator) {
                    let node = placement.place(.exec)
                    #expect((node == nil) == (taken.count == room), "seed \(seed)")
                    if let node { taken.append(node) }
                } else if let place = taken.indices.randomElement(using: &generator) {
                    placement.release(taken.remove(at: place), .exec)
                }
                #expect(placement.workers.allSatisfy { $0.usedSlots <= $0.slots }, "seed \(seed)")
                #expect(placement.runningTasks == taken.count, "seed \(seed)")
            }
        }
    }
}
