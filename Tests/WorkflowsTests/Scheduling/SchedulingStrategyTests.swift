import Primitives
import Testing
import Workflows

/// Who of several workers gets a task (PlacementStrategy.swift).
struct SchedulingStrategyTests {
    private func placement(_ strategy: any PlacementStrategy, seed: UInt64 = 1, _ slots: KeyValuePairs<String, Int>) throws -> Placement {
        var placement = Placement(strategy: strategy, seed: seed)
        for (name, slots) in slots { placement.join(try NodeID(name), .init(slots: slots, light: 0)) }
        return placement
    }

    @Test func `round-robin goes by node id, passes over who is full, and comes round`() throws {
        var placement = try placement(RoundRobin(), ["c": 2, "a": 2, "b": 1])
        #expect(placement.names(6, Scheduling.demand()) == ["a", "b", "c", "a", "c", nil])
    }

    @Test func `round-robin goes on behind a worker that left`() throws {
        var placement = try placement(RoundRobin(), ["a": 9, "b": 9, "c": 9])
        #expect(placement.names(2, Scheduling.demand()) == ["a", "b"])
        placement.release(try NodeID("b"), Scheduling.demand())
        placement.leave(try NodeID("b"))
        #expect(placement.names(3, Scheduling.demand()) == ["c", "a", "c"])
    }

    @Test func `the least loaded is the one with most free slots, the first by id of several`() throws {
        var placement = try placement(LeastLoaded(), ["b": 3, "a": 2, "c": 3])
        #expect(placement.names(9, Scheduling.demand()) == ["b", "c", "a", "b", "c", "a", "b", "c", nil])
    }

    @Test func `two random choices fill everything and draw the same from the same seed`() throws {
        for seed in UInt64(1)...20 {
            var first = try placement(TwoRandomChoices(), seed: seed, ["a": 3, "b": 5, "c": 1])
            var second = try placement(TwoRandomChoices(), seed: seed, ["c": 1, "a": 3, "b": 5])
            let chosen = first.names(10, Scheduling.demand())
            #expect(chosen == second.names(10, Scheduling.demand()), "seed \(seed)")
            #expect(chosen.last == .some(nil), "seed \(seed)")
            for (name, slots) in ["a": 3, "b": 5, "c": 1] {
                #expect(chosen.count { $0 == name } == slots, "seed \(seed)")
            }
        }
    }

    /// Mitzenmacher 2001: the fullest of n after n tasks has about log log n, against log n / log log n for one choice.
    @Test func `two random choices stay nearly even`() throws {
        for seed in UInt64(1)...10 {
            var placement = Placement(strategy: TwoRandomChoices(), seed: seed)
            for number in 0..<200 { placement.join(try NodeID("w\(number)"), .init(slots: 100, light: 0)) }
            for _ in 0..<200 { _ = placement.place(.exec) }
            let fullest = placement.workers.map(\.usedSlots).max() ?? 0
            #expect((2...4).contains(fullest), "seed \(seed): \(fullest)")
        }
    }

    /// Gives everything to the last by id.
    private struct Last: PlacementStrategy {
        mutating func choose(
            for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
        ) -> Int? { candidates.indices.last { candidates.hasRoom($0) } }
    }

    /// Answers places that do not exist, or have no room.
    private struct Nonsense: PlacementStrategy {
        var answers: [Int?]
        mutating func choose(
            for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
        ) -> Int? { answers.isEmpty ? 0 : answers.removeFirst() }
    }

    @Test func `a strategy of one's own is asked`() throws {
        var placement = try placement(Last(), ["a": 1, "b": 2, "c": 1])
        #expect(placement.names(5, Scheduling.demand()) == ["c", "b", "b", "a", nil])
    }

    @Test func `what makes no sense in its answer is put aside`() throws {
        var placement = try placement(Nonsense(answers: [-1, 99, nil, .min]), ["a": 0, "b": 2, "c": 3])
        #expect(placement.names(6, Scheduling.demand()) == ["c", "b", "c", "b", "c", nil])
    }

    @Test func `candidates answer as a walk through all would`() throws {
        struct Walk: PlacementStrategy {
            mutating func choose(
                for demand: TaskDemand, among candidates: PlacementCandidates, using generator: inout SeededGenerator
            ) -> Int? {
                let open = candidates.indices.filter { candidates.hasRoom($0) }
                let most = open.map { candidates.free($0) }.max()
                #expect(candidates.roomiest == open.first { candidates.free($0) == most })
                for place in candidates.indices {
                    #expect(candidates[place].unused(.slots) == candidates.free(place))
                    #expect(candidates.next(from: place) == open.first { $0 >= place } ?? open.first)
                    #expect(candidates.next(after: candidates[place].node) == open.first { $0 > place } ?? open.first)
                }
                let drawn = candidates.random(using: &generator)
                #expect(drawn.map { candidates.hasRoom($0) } == true)
                return drawn
            }
        }
        for seed in UInt64(1)...40 {
            var generator = SeededGenerator(seed: seed)
            var placement = Placement(strategy: Walk(), seed: seed)
            for number in 0..<Int.random(in: 1...17, using: &generator) {
                placement.join(try NodeID("w\(number)"), .init(slots: Int.random(in: 0...4, using: &generator), light: 0))
            }
            for _ in 0..<60 { _ = placement.place(Scheduling.demand(cost: Int.random(in: 1...3, using: &generator))) }
            let free = placement.workers.map { $0.slots - $0.usedSlots }
            #expect(free.allSatisfy { $0 >= 0 }, "seed \(seed)")
        }
    }

    @Test func `settings name strategies, and an unknown name says which there are`() throws {
        #expect(try PlacementPolicy(named: "round-robin") == .roundRobin)
        let error = #expect(throws: PlacementError.self) { try PlacementPolicy(named: "roundrobin") }
        #expect(error?.description.contains("least-loaded") == true)
        for policy in PlacementPolicy.allCases {
            var placement = try placement(policy.strategy, ["a": 1])
            #expect(placement.names(2, Scheduling.demand()) == ["a", nil], "\(policy)")
        }
    }
}
