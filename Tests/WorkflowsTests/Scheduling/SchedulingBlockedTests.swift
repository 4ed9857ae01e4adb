import Primitives
import Testing
import Workflows

/// Why a task waits, and who stands in its way (Blocked.swift).
struct SchedulingBlockedTests {
    private func why(_ scheduler: Scheduler, _ number: Int = 1) -> Blocked? { scheduler.blocked(run: Scheduling.run(number), task: 0) }

    private func scheduler(_ item: ReadyQueue.Item = Scheduling.item(1), _ join: (inout Scheduler) throws -> Void) throws -> Scheduler {
        var scheduler = Scheduler(patience: .seconds(1))
        try join(&scheduler)
        scheduler.push(item)
        _ = scheduler.turn(at: 0)
        return scheduler
    }

    @Test func `a task that does not wait is not blocked`() throws {
        let scheduler = try scheduler { try $0.join("a", slots: 1) }
        #expect(why(scheduler) == nil)
        #expect(why(scheduler, 2) == nil)
    }

    @Test func `no worker at all`() throws {
        let scheduler = try scheduler { _ in }
        #expect(why(scheduler) == .noWorker)
        #expect(why(scheduler)?.culprit == nil)
        let left = try self.scheduler {
            try $0.join("a", slots: 1)
            #expect($0.placeNow(Scheduling.item(9)) != nil)
            $0.leave(try Scheduling.node("a"))
        }
        #expect(why(left) == .noWorker)
    }

    @Test func `a kind that nobody offers`() throws {
        let scheduler = try scheduler {
            try $0.join("a", slots: 1, kinds: [.http])
            try $0.join("b", slots: 1, kinds: [])
        }
        #expect(why(scheduler) == .kindNotOffered(.exec, workers: 2))
        #expect(why(scheduler)?.culprit == "exec@1")
    }

    @Test func `a label that nobody has, or nobody who has the others`() throws {
        let (zone, disk) = (try Scheduling.has("zone", "north"), try Scheduling.has("disk", "ssd", "nvme"))
        let item = Scheduling.item(1, try PlacementTerms(required: [zone, disk]))
        let scheduler = try scheduler(item) {
            try $0.join("a", slots: 1, Scheduling.labels(["zone": "north"]))
            try $0.join("b", slots: 1, Scheduling.labels(["disk": "ssd"]))
            try $0.join("c", slots: 1, Scheduling.labels(["zone": "north", "disk": ""]))
        }
        #expect(why(scheduler) == .noLabel(disk, workers: 2))
        #expect(why(scheduler)?.culprit == "disk in (ssd,nvme)")
    }

    @Test func `all that could take it are cordoned or draining`() throws {
        let scheduler = try scheduler {
            for name in ["a", "b", "c"] { try $0.join(name, slots: 1, kinds: name == "a" ? [] : nil) }
            $0.stand(try Scheduling.node("b"), as: .draining)
            $0.stand(try Scheduling.node("c"), as: .cordoned)
        }
        #expect(why(scheduler) == .closed(cordoned: 1, draining: 1, first: try Scheduling.node("b")))
    }

    @Test func `more than the largest worker has`() throws {
        let scheduler = try scheduler(Scheduling.item(1, cost: 5)) {
            try $0.join("a", slots: 2)
            try $0.join("b", slots: 4)
        }
        #expect(why(scheduler) == .tooLarge(cost: 5, pool: .slots, largest: try Scheduling.node("b"), capacity: 4))
    }

    @Test func `no slot is free, and who is the fullest`() throws {
        var scheduler = try scheduler {
            try $0.join("a", slots: 1)
            try $0.join("b", slots: 2)
            try $0.join("c", slots: 9, kinds: [.http])
            for number in 10..<13 { #expect($0.placeNow(Scheduling.item(number)) != nil) }
        }
        #expect(why(scheduler) == .noRoom(pool: .slots, workers: 2, used: 3, fullest: try Scheduling.node("b")))
        #expect(why(scheduler)?.reason == "no_free_worker")
        #expect(why(scheduler)?.culprit == "b")
        // One that costs two and finds one free here and one there.
        scheduler.withdraw(run: Scheduling.run(1), task: 0)
        scheduler.release(10)
        scheduler.push(Scheduling.item(2, cost: 2))
        _ = scheduler.turn(at: 1)
        #expect(why(scheduler, 2)?.reason == "no_free_worker")
    }

    @Test func `another of its group is wherever there is room`() throws {
        let apart = try PlacementTerms(apart: .init(.key, isRequired: true))
        let scheduler = try scheduler(Scheduling.item(1, apart, key: "k")) {
            try $0.join("a", slots: 2)
            try $0.join("b", slots: 0)
            #expect($0.placeNow(Scheduling.item(2, apart, key: "k")) != nil)
        }
        #expect(why(scheduler) == .apart(.key(.default, Array("k".utf8)), workers: 1, first: try Scheduling.node("a")))
        #expect(why(scheduler)?.text.contains("key 'k'") == true)
    }

    @Test func `its namespace has more than its share`() throws {
        let (a, b) = (try Namespace("a"), try Namespace("b"))
        var scheduler = Scheduler()
        try scheduler.join("w", slots: 4)
        for number in 0..<5 { scheduler.push(Scheduling.item(number, namespace: a)) }
        #expect(scheduler.turn(at: 0).count == 4)
        // Alone it has no more than its share.
        #expect(why(scheduler, 4)?.reason == "no_free_worker")
        scheduler.push(Scheduling.item(10, namespace: b))
        _ = scheduler.turn(at: 10)
        #expect(why(scheduler, 4) == .overShare(a, used: 4, of: 4, next: b))
        #expect(why(scheduler, 4)?.culprit == "b")
        #expect(why(scheduler, 10)?.reason == "no_free_worker")
        scheduler.release(0)
        #expect(scheduler.turn(at: 20).map(\.item.run) == [Scheduling.run(10)])
        #expect(why(scheduler, 4)?.reason == "no_free_worker")
    }

    @Test func `the room is kept for a larger one that waited longer`() throws {
        var scheduler = Scheduler(patience: .seconds(1))
        try scheduler.join("a", slots: 2)
        #expect(scheduler.placeNow(Scheduling.item(9)) != nil)
        scheduler.push(Scheduling.item(2, cost: 2))
        _ = scheduler.turn(at: 1_000)
        scheduler.push(Scheduling.item(1, since: 1_000))
        _ = scheduler.turn(at: 1_001)
        #expect(why(scheduler) == .reserved(try Scheduling.node("a"), run: Scheduling.run(2), task: 0))
        #expect(why(scheduler, 2)?.reason == "no_free_worker")
    }

    @Test func `between two turns it is in line, or about to be placed`() throws {
        var scheduler = Scheduler()
        try scheduler.join("a", slots: 2)
        for number in 1...2 { scheduler.push(Scheduling.item(number)) }
        #expect(why(scheduler, 1) == .soon)
        #expect(why(scheduler, 2) == .inLine(run: Scheduling.run(1), task: 0))
    }

    @Test func `every reason has a word of its own and says something`() throws {
        let node = try Scheduling.node("a")
        let all: [Blocked] = [
            .noWorker, .kindNotOffered(.exec, workers: 1), .noLabel(try Scheduling.has("x", "y"), workers: 1),
            .closed(cordoned: 1, draining: 0, first: node), .tooLarge(cost: 2, pool: .light, largest: node, capacity: 1),
            .apart(.run(Scheduling.run(1)), workers: 1, first: node), .reserved(node, run: Scheduling.run(1), task: 0),
            .overShare(.default, used: 1, of: 1, next: .default), .noRoom(pool: .slots, workers: 1, used: 1, fullest: node),
            .inLine(run: Scheduling.run(1), task: 0), .soon,
        ]
        #expect(Set(all.map(\.reason)).count == all.count)
        #expect(Set(all.map(\.text)).count == all.count)
    }
}
