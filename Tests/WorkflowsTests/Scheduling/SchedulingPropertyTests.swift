import Primitives
import Testing

@testable import Workflows

/// Anything in any order: nobody gets more than it has, and nothing that could be placed is left waiting.
struct SchedulingPropertyTests {
    struct Model {
        var scheduler: Scheduler
        var generator: SeededGenerator
        var now = 0
        var number = 0
        var waiting: [Int: ReadyQueue.Item] = [:]
        var running: [(item: ReadyQueue.Item, worker: NodeID)] = []
        let terms: [PlacementTerms]
        let seed: UInt64

        init(seed: UInt64) throws {
            self.seed = seed
            generator = SeededGenerator(seed: seed)
            let policy = PlacementPolicy.allCases.randomElement(using: &generator) ?? .leastLoaded
            scheduler = Scheduler(placement: Placement(strategy: policy.strategy, seed: seed), patience: .milliseconds(50))
            let north = try Scheduling.has("zone", "north")
            terms = [
                .none, try PlacementTerms(required: [north]), try PlacementTerms(required: [try Scheduling.lacks("zone", "north")]),
                try PlacementTerms(preferred: [.init(north)], near: .key), try PlacementTerms(apart: .init(.run, isRequired: true)),
                try PlacementTerms(apart: .init(.key, isRequired: false), near: .run),
            ]
        }

        mutating func worker() throws -> NodeID { try NodeID("w\(Int.random(in: 0..<6, using: &generator))") }

        mutating func offer() throws -> Placement.Offer {
            let zone = ["north", "south"].randomElement(using: &generator) ?? "north"
            let kinds: Set<TaskKind>? = Int.random(in: 0..<4, using: &generator) == 0 ? [.exec] : nil
            return .init(
                slots: Int.random(in: -1...5, using: &generator), light: Int.random(in: 0...3, using: &generator),
                labels: try Scheduling.labels(["zone": zone]), kinds: kinds)
        }

        mutating func step() throws {
            now += Int.random(in: 0...20, using: &generator)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<7:
                number += 1
                let kind = [TaskKind.exec, .http, .transform].randomElement(using: &generator) ?? .exec
                let item = ReadyQueue.Item(
                    run: Scheduling.run(number / 3), task: number, since: Scheduling.time(now), priority: number % 10,
                    demand: TaskDemand(
                        namespace: try Namespace("n\(number % 3)"), run: Scheduling.run(number / 3), key: "k\(number % 2)",
                        shape: TaskShape(
                            kind, cost: Int.random(in: 1...3, using: &generator), terms: terms.randomElement(using: &generator) ?? .none)))
                if Bool.random(using: &generator), let worker = scheduler.placeNow(item) {
                    running.append((item, worker))
                } else {
                    scheduler.push(item)
                    waiting[number] = item
                }
            case 7..<13 where !running.isEmpty:
                let (item, _) = running.remove(at: Int.random(in: 0..<running.count, using: &generator))
                scheduler.release(run: item.run, task: item.task)
            case 13 where !waiting.isEmpty:
                guard let gone = waiting.keys.sorted().randomElement(using: &generator), let item = waiting.removeValue(forKey: gone) else {
                    return
                }
                scheduler.withdraw(run: item.run, task: item.task)
            case 14: scheduler.join(try worker(), try offer())
            case 15: scheduler.leave(try worker())
            case 16: scheduler.stand(try worker(), as: Placement.Standing.allCases.randomElement(using: &generator) ?? .available)
            case 17: scheduler.worker(try worker(), saysFree: Int.random(in: -1...5, using: &generator))
            case 18: scheduler.forget(Scheduling.run(Int.random(in: 0...number, using: &generator) / 3))
            default: turn()
            }
        }

        mutating func turn() {
            repeat {
                for placed in scheduler.turn(at: now) {
                    #expect(waiting.removeValue(forKey: placed.item.task) == placed.item, "seed \(seed)")
                    running.append((placed.item, placed.worker))
                }
            } while scheduler.owesRetries
        }

        /// What the scheduler says against what was done.
        func check() {
            #expect(scheduler.ready.count == waiting.count, "seed \(seed)")
            #expect(scheduler.ready.oldest == waiting.values.map(\.since).min(), "seed \(seed)")
            #expect(scheduler.placement.runningTasks == running.count, "seed \(seed)")
            for worker in scheduler.placement.workers {
                let here = running.filter { $0.worker == worker.node }.map(\.item.demand.shape)
                #expect(worker.tasks == here.count, "seed \(seed)")
                #expect(worker.usedSlots == here.filter { $0.kind.takesSlot }.reduce(0) { $0 + $1.cost }, "seed \(seed)")
                #expect(worker.usedLight == here.filter { !$0.kind.takesSlot }.reduce(0) { $0 + $1.cost }, "seed \(seed)")
            }
            for pool in Pool.allCases {
                for share in scheduler.ready.shares(pool) {
                    let own = running.filter { $0.item.demand.namespace == share.namespace && $0.item.demand.shape.pool == pool }
                    #expect(share.used == own.reduce(0) { $0 + $1.item.demand.shape.cost }, "seed \(seed)")
                }
            }
        }

        /// After a turn nothing is left that could be placed, and everything that waits says why.
        func checkNothingIsLeft() {
            for item in waiting.values {
                let blocked = scheduler.blocked(run: item.run, task: item.task)
                let isAccountedFor =
                    switch blocked {
                    case nil, .soon, .inLine: false
                    default: true
                    }
                #expect(isAccountedFor, "seed \(seed): \(item.task) is \(String(describing: blocked))")
            }
        }
    }

    @Test func `whatever happens, the books are right and nothing is left that could be placed`() throws {
        for seed in UInt64(1)...60 {
            var model = try Model(seed: seed)
            for step in 0..<400 {
                try model.step()
                if step % 10 == 0 {
                    model.turn()
                    model.checkNothingIsLeft()
                    model.check()
                }
            }
        }
    }

    @Test func `one seed gives one order`() throws {
        for seed in UInt64(1)...10 {
            var (first, second) = (try Model(seed: seed), try Model(seed: seed))
            for _ in 0..<300 {
                try first.step()
                try second.step()
            }
            #expect(first.running.map(\.item) == second.running.map(\.item), "seed \(seed)")
            #expect(first.running.map(\.worker) == second.running.map(\.worker), "seed \(seed)")
        }
    }

    @Test func `the tree of rooms answers as a walk does`() {
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            var model = (0..<Int.random(in: 0...33, using: &generator)).map { _ in Int32.random(in: 0...4, using: &generator) }
            var tree = RoomTree(model)
            for _ in 0..<40 {
                if let place = model.indices.randomElement(using: &generator) {
                    model[place] = .random(in: 0...6, using: &generator)
                    tree[place] = model[place]
                }
                let low = Int.random(in: 0...model.count, using: &generator)
                let range = low..<Int.random(in: low...model.count, using: &generator)
                let wanted = Int32.random(in: 1...7, using: &generator)
                #expect(tree.first(in: range, atLeast: wanted) == range.first { model[$0] >= wanted }, "seed \(seed)")
                let most = range.map { model[$0] }.max() ?? 0
                #expect(tree.roomiest(in: range) == range.first { model[$0] == most && most > 0 }, "seed \(seed)")
            }
        }
    }

    @Test func `the tournament and the heap give the least`() {
        for seed in UInt64(1)...100 {
            var generator = SeededGenerator(seed: seed)
            var (tree, keys) = (KeyTree<Int>(), [Int: Int]())
            var (heap, list) = (BinaryHeap<Int>(), [Int]())
            for _ in 0..<200 {
                let place = Int.random(in: 0..<20, using: &generator)
                keys[place] = Bool.random(using: &generator) ? Int.random(in: 0..<50, using: &generator) : nil
                tree[place] = keys[place]
                #expect(tree.first.flatMap { keys[$0] } == keys.values.min(), "seed \(seed)")
                if Int.random(in: 0..<5, using: &generator) < 3 {
                    list.append(Int.random(in: 0..<100, using: &generator))
                    heap.push(list[list.count - 1])
                } else if let least = list.min(), let place = list.firstIndex(of: least) {
                    list.remove(at: place)
                    heap.pop()
                }
                #expect(heap.first == list.min(), "seed \(seed)")
                #expect(heap.count == list.count, "seed \(seed)")
            }
            #expect(BinaryHeap(list).first == list.min(), "seed \(seed)")
        }
    }

    @Test func `of the groups whose worker is remembered the oldest is forgotten, and counted`() throws {
        var bonds = BondTable()
        let (a, b) = (try NodeID("a"), try NodeID("b"))
        for number in 0..<(BondTable.limit + 3) { bonds.remember(.run(Scheduling.run(number)), a) }
        #expect(bonds.remembered == BondTable.limit)
        #expect(bonds.forgotten == 3)
        #expect(bonds.lastWorker(of: .run(Scheduling.run(2))) == nil)
        #expect(bonds.lastWorker(of: .run(Scheduling.run(3))) == a)
        bonds.remember(.run(Scheduling.run(3)), b)
        #expect(bonds.lastWorker(of: .run(Scheduling.run(3))) == b)
        // One that ends and comes again is the newest.
        for number in 0..<(3 * BondTable.limit) {
            bonds.forget(.run(Scheduling.run(5)))
            bonds.remember(.run(Scheduling.run(5)), number % 2 == 0 ? a : b)
        }
        #expect(bonds.forgotten == 3)
        #expect(bonds.remembered == BondTable.limit)
    }
}
