import Primitives
import Testing
import Workflows

/// Places go to namespaces by weight (FairShare.swift).
struct SchedulingFairnessTests {
    /// A namespace that always has something waiting, and how long its tasks take.
    struct Tenant {
        let namespace: Namespace
        let weight: Int
        let duration: ClosedRange<Int>
        /// Milliseconds of one place.
        var served = 0
        var placed = 0
        var lastPlaced = 0
        var longestWait = 0
    }

    /// Full load for so many milliseconds, in steps of 10.
    struct Load {
        var scheduler: Scheduler
        var tenants: [Tenant]
        var generator: SeededGenerator
        var ends: [(at: Int, began: Int, run: Int, tenant: Int)] = []
        var number = 0

        init(_ tenants: [Tenant], slots: [Int], seed: UInt64) throws {
            self.tenants = tenants
            generator = SeededGenerator(seed: seed)
            scheduler = Scheduler(placement: Placement(seed: seed))
            for (place, slots) in slots.enumerated() { try scheduler.join("w\(place)", slots: slots) }
            for tenant in tenants { scheduler.weigh(tenant.namespace, tenant.weight) }
        }

        mutating func fill(_ tenant: Int, at now: Int) {
            number += 1
            let priority = Int.random(in: 0...9, using: &generator)
            scheduler.push(Scheduling.item(number, task: tenant, since: now, priority: priority, namespace: tenants[tenant].namespace))
        }

        mutating func run(from start: Int = 0, to end: Int, backlog: Int = 40) {
            for now in stride(from: start, to: end, by: 10) {
                scheduler.advance(to: Scheduling.time(now))
                for item in ends where item.at <= now {
                    scheduler.release(item.run, task: item.tenant)
                    tenants[item.tenant].served += now - item.began
                }
                ends.removeAll { $0.at <= now }
                if now == start { for tenant in tenants.indices { for _ in 0..<backlog { fill(tenant, at: now) } } }
                for placed in scheduler.turn(at: now) {
                    let tenant = placed.item.task
                    let took = Int.random(in: tenants[tenant].duration, using: &generator)
                    ends.append((now + took, now, Int(placed.item.run.low), tenant))
                    tenants[tenant].longestWait = max(tenants[tenant].longestWait, now - tenants[tenant].lastPlaced)
                    tenants[tenant].lastPlaced = now
                    tenants[tenant].placed += 1
                    fill(tenant, at: now)
                }
            }
        }
    }

    private func tenants(_ list: [(weight: Int, duration: ClosedRange<Int>)]) throws -> [Tenant] {
        try list.enumerated().map { Tenant(namespace: try Namespace("n\($0)"), weight: $1.weight, duration: $1.duration) }
    }

    @Test func `places that come free together are dealt out by weight`() throws {
        var load = try Load(tenants([(1, 10...10), (3, 10...10)]), slots: [8], seed: 1)
        for _ in 0..<20 { for tenant in 0..<2 { load.fill(tenant, at: 0) } }
        let placed = load.scheduler.turn(at: 0).map(\.item.task)
        #expect(placed.count { $0 == 0 } == 2)
        #expect(placed.count { $0 == 1 } == 6)
    }

    @Test func `over time places are held by weight, however long tasks take`() throws {
        for seed in UInt64(1)...8 {
            var generator = SeededGenerator(seed: seed)
            let list = (0..<Int.random(in: 2...5, using: &generator)).map { _ in
                let longest = [20, 200, 2000].randomElement(using: &generator) ?? 20
                return (weight: Int.random(in: 1...5, using: &generator), duration: longest / 2...longest)
            }
            var load = try Load(tenants(list), slots: [3, 5, 4], seed: seed)
            load.run(to: 60_000)
            let all = Double(load.tenants.reduce(0) { $0 + $1.served })
            let weights = Double(load.tenants.reduce(0) { $0 + $1.weight })
            // Nothing stands idle while something waits.
            #expect(all > 0.9 * 12 * 60_000, "seed \(seed): \(all)")
            for tenant in load.tenants {
                let (share, due) = (Double(tenant.served) / all, Double(tenant.weight) / weights)
                #expect(abs(share - due) < 0.05, "seed \(seed): weight \(tenant.weight) of \(weights), got \(share)")
            }
        }
    }

    @Test func `nobody waits for ever, whatever its weight and however few places there are`() throws {
        for seed in UInt64(1)...6 {
            var generator = SeededGenerator(seed: seed)
            let list = (0..<8).map { _ in (weight: Int.random(in: 1...100, using: &generator), duration: 10...100) }
            var load = try Load(tenants(list), slots: [1], seed: seed)
            load.run(to: 60_000, backlog: 3)
            let weights = load.tenants.reduce(0) { $0 + $1.weight }
            for tenant in load.tenants {
                #expect(tenant.placed > 0, "seed \(seed)")
                // One task of 100 ms is paid for by the others within 100 ms times all weights over its own; the deposit may double it.
                let bound = 1_000 + 300 * weights / tenant.weight
                #expect(tenant.longestWait < bound, "seed \(seed): weight \(tenant.weight) of \(weights) waited \(tenant.longestWait) ms")
            }
        }
    }

    @Test func `one that was idle has saved nothing up, and one that was alone owes nothing`() throws {
        var load = try Load(tenants([(1, 100...100), (1, 100...100)]), slots: [10], seed: 3)
        let other = load.tenants.removeLast()
        // For a minute the first has everything, and then both want it.
        load.run(to: 60_000)
        load.tenants.append(other)
        let before = load.tenants[0].placed
        for _ in 0..<40 { load.fill(1, at: 60_000) }
        load.runOn(from: 60_000, to: 62_000)
        let (first, second) = (load.tenants[0].placed - before, load.tenants[1].placed)
        #expect(abs(first - second) <= 20, "\(first) and \(second)")
    }

    @Test func `what was taken while nobody waited costs nothing`() throws {
        var load = try Load(tenants([(1, 100...100), (1, 100...100)]), slots: [10], seed: 5)
        // Ten tasks of the first for a minute, placed at once.
        for number in 0..<10 {
            let worker = load.scheduler.placeNow(Scheduling.item(1_000_000 + number, namespace: load.tenants[0].namespace))
            #expect(worker != nil)
        }
        for now in stride(from: 0, through: 60_000, by: 100) { load.scheduler.advance(to: Scheduling.time(now)) }
        for number in 0..<10 { load.scheduler.release(1_000_000 + number) }
        load.run(from: 60_000, to: 62_000)
        let (first, second) = (load.tenants[0].placed, load.tenants[1].placed)
        #expect(first + second >= 190 && abs(first - second) <= 20, "\(first) and \(second)")
    }

    @Test func `who is owed something gets more of what comes free together, and not all of it`() throws {
        var load = try Load(tenants([(1, 100...100), (1, 100...100)]), slots: [10], seed: 6)
        for _ in 0..<20 { load.fill(0, at: 0) }
        let first = load.scheduler.turn(at: 0)
        #expect(first.count == 10)
        for _ in 0..<20 { load.fill(1, at: 0) }
        #expect(load.scheduler.turn(at: 1).isEmpty)
        load.scheduler.advance(to: Scheduling.time(500))
        for placed in first { load.scheduler.release(run: placed.item.run, task: placed.item.task) }
        // Five seconds of one place, at a second of deposit for each place.
        let second = load.scheduler.turn(at: 500).count { $0.item.task == 1 }
        #expect((7...8).contains(second), "\(second)")
    }

    @Test func `what waits for a worker that is not there saves nothing up either`() throws {
        let terms = try PlacementTerms(required: [Scheduling.has("gpu", "yes")])
        var load = try Load(tenants([(1, 100...100), (1, 100...100)]), slots: [10], seed: 4)
        let (odd, other) = (load.tenants[1].namespace, load.tenants.removeLast())
        load.scheduler.push(Scheduling.item(1_000_000, task: 9, terms, namespace: odd))
        load.run(to: 60_000)
        load.tenants.append(other)
        let before = load.tenants[0].placed
        for _ in 0..<40 { load.fill(1, at: 60_000) }
        load.runOn(from: 60_000, to: 62_000)
        let (first, second) = (load.tenants[0].placed - before, load.tenants[1].placed)
        #expect(abs(first - second) <= 20, "\(first) and \(second)")
    }

    @Test func `priority orders the tasks of one namespace and takes nothing from another`() throws {
        let (a, b) = (try Namespace("a"), try Namespace("b"))
        var scheduler = Scheduler()
        try scheduler.join("w", slots: 4)
        for number in 0..<4 { scheduler.push(Scheduling.item(number, priority: 9, namespace: a)) }
        for number in 4..<8 { scheduler.push(Scheduling.item(number, priority: number - 4, namespace: b)) }
        let placed = scheduler.turn(at: 0).map(\.item.run.low)
        #expect(placed == [0, 7, 1, 6])
    }

    @Test func `weights beyond 1 to 1000 count as the nearest`() throws {
        var load = try Load(tenants([(0, 10...10), (.max, 10...10)]), slots: [8], seed: 1)
        load.scheduler.weigh(try Namespace("unknown"), -5)
        for _ in 0..<20 { for tenant in 0..<2 { load.fill(tenant, at: 0) } }
        let placed = load.scheduler.turn(at: 0).map(\.item.task)
        #expect(placed.count { $0 == 0 } == 1)
        #expect(placed.count == 8)
    }

    @Test func `one seed gives one order`() throws {
        func orders(_ seed: UInt64) throws -> [Int] {
            var load = try Load(tenants([(1, 10...300), (2, 10...300), (3, 10...300)]), slots: [2, 3], seed: seed)
            load.run(to: 5_000)
            return load.tenants.flatMap { [$0.placed, $0.served, $0.lastPlaced] }
        }
        for seed in UInt64(1)...5 { #expect(try orders(seed) == orders(seed), "seed \(seed)") }
    }
}

extension SchedulingFairnessTests.Load {
    /// On with what waits already.
    mutating func runOn(from start: Int, to end: Int) { run(from: start, to: end, backlog: 0) }
}
