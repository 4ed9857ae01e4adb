import Coordinator
import Primitives
import Testing
import Wire
import Workflows

/// Who gets the next place, and why another waits, as the leader plans it (PlannerScheduling.swift).
struct PlannerSchedulingTests {
    private let left: NodeID
    private let right: NodeID

    init() throws { (left, right) = (try NodeID("w-1"), try NodeID("w-2")) }

    /// One rule and one workflow for each: a program with further members of the task.
    private func definitions(_ tasks: [(name: String, members: String)], namespace: String = "default") -> [String] {
        let rules = tasks.map { ruleText($0.name, starts: $0.name) }.joined(separator: ", ")
        return [ruleSetText("[\(rules)]", namespace: namespace)]
            + tasks.map {
                workflowText(
                    $0.name, #"{"go": {"use": "exec", "with": {"command": ["go"]}, "idempotent": true\#($0.members)}}"#,
                    namespace: namespace)
            }
    }

    private func rig(_ tasks: [(name: String, members: String)], slots: Int = 1, limits: Planner.Limits = .init()) throws -> Rig {
        try Rig(limits: limits, definitions: definitions(tasks), slots: slots, level: FeatureLevels.newest)
    }

    private func attach(_ node: NodeID, slots: Int = 4, labels: [String: String] = [:]) throws -> Planner.Input {
        let labels = try WorkerLabels(labels.map { ($0.key, $0.value) })
        return .attach(node, Placement.Offer(slots: slots, light: 8, labels: labels), .available)
    }

    private func why(_ rig: Rig, _ run: RunID) -> Blocked? { rig.planner.scheduler.blocked(run: run, task: 0) }

    /// Ends one after the other what is assigned, and says in which order workflows got the place.
    private func order(_ rig: inout Rig, from first: TaskAssignment, ends count: Int) throws -> [String] {
        var (names, running) = ([] as [String], first)
        for _ in 0..<count {
            running = try #require(rig.end(running).assignments.first)
            names.append(try #require(rig.run(running.run)).workflow)
        }
        return names
    }

    // MARK: Whose turn

    @Test func `a higher priority overtakes what came before it`() throws {
        var rig = try rig([("busy", ""), ("low", #", "priority": 1"#), ("usual", ""), ("high", #", "priority": 9"#)])
        let busy = try rig.begin("busy")
        for (number, type) in ["low", "usual", "high", "usual"].enumerated() {
            #expect(rig.submit(type, 2 + number).assignments.isEmpty)
        }
        #expect(try order(&rig, from: busy, ends: 4) == ["high", "usual", "usual", "low"])
    }

    @Test func `what has waited for long goes before a higher priority that comes then`() throws {
        var rig = try rig([("busy", ""), ("low", #", "priority": 0"#), ("high", #", "priority": 9"#)])
        let busy = try rig.begin("busy")
        rig.submit("low", 2)
        rig.pass(.seconds(89))
        rig.submit("high", 3)
        rig.pass(.seconds(2))
        rig.submit("high", 4)
        #expect(try order(&rig, from: busy, ends: 3) == ["high", "low", "high"], "nine priorities of 10 s each are 90 s")
    }

    @Test func `another leader knows since when each waits`() throws {
        var rig = try rig([("busy", ""), ("low", #", "priority": 0"#), ("high", #", "priority": 9"#)])
        let busy = try rig.begin("busy")
        rig.submit("low", 2)
        rig.pass(.seconds(91))
        rig.submit("high", 3)
        try rig.restart()
        #expect(rig.planner.ready.count == 2)
        rig.handle([.join(left, slots: 1, light: 8)])
        #expect(rig.planner.placement.runningTasks == 1, "what the worker has is with it")
        #expect(try order(&rig, from: busy, ends: 2) == ["low", "high"])
    }

    @Test(arguments: [[1, 1], [3, 1]]) func `namespaces share places by their weights`(weights: [Int]) throws {
        var settings = SchedulingSettings()
        let spaces = [try Namespace("shop"), try Namespace("plant")]
        for (space, weight) in zip(spaces, weights) { settings.weights[space] = weight }
        var rig = try Rig(definitions: [], slots: 4, level: FeatureLevels.newest)
        rig.planner = Planner(
            term: Term(1), state: rig.planner.state, catalog: rig.planner.catalog, seed: 5, wall: rig.wall,
            scheduler: settings.scheduler(seed: 1))
        try rig.activate(spaces.flatMap { definitions([("work", "")], namespace: $0.text) })
        rig.handle([.join(left, slots: 4, light: 8)])
        // The first has asked for much before the second asks for anything.
        var open: [TaskAssignment] = []
        for (space, numbers) in zip(spaces, [0..<120, 120..<240]) {
            for number in numbers {
                let message = Message(id: "m-\(number)", source: "s", type: "work", namespace: space, data: nil)
                let made = rig.submission(message)
                open += rig.handle([.submit(made, token: rig.token())]).assignments
            }
        }
        var served: [Namespace: Int] = [:]
        for _ in 0..<80 {
            rig.wall = rig.wall.advanced(by: .milliseconds(250))
            let next = rig.end(open.removeFirst()).assignments
            for assignment in next { served[assignment.namespace, default: 0] += 1 }
            open += next
        }
        let share = Double(served[spaces[0]] ?? 0) / Double(weights[0]) - Double(served[spaces[1]] ?? 0) / Double(weights[1])
        #expect(abs(share) <= 6, "\(served)")
    }

    // MARK: Where

    @Test func `a task goes where its labels are`() throws {
        var rig = try rig([("work", #", "labels": {"zone": ["north", "east"], "disk": {"not": "hdd"}}"#)], slots: 4)
        rig.handle([
            try attach(right, labels: ["zone": "north", "disk": "ssd"]),
            try attach(try NodeID("w-3"), slots: 8, labels: ["zone": "north", "disk": "hdd"]),
        ])
        let sent = (1...4).flatMap { rig.submit("work", $0).dispatches.map(\.worker) }
        #expect(sent == [right, right, right, right])
        let fifth = rig.submit("work", 5)
        #expect(fifth.assignments.isEmpty)
        #expect(why(rig, try #require(fifth.accepted.first))?.reason == "no_free_worker")
    }

    @Test func `a label that nobody has is named, and who comes with it gets the task`() throws {
        var rig = try rig([("work", #", "labels": {"gpu": {"exists": true}}"#), ("other", "")], slots: 4)
        let output = rig.submit("work")
        #expect(output.assignments.isEmpty)
        let run = try #require(output.accepted.first)
        let blocked = try #require(why(rig, run))
        #expect(blocked.reason == "no_label" && blocked.culprit == "gpu" && blocked.text.contains("none has 'gpu'"))
        #expect(rig.submit("other", 2).assignments.count == 1, "it stands in nobody's way")
        let came = rig.handle([try attach(right, labels: ["gpu": ""])])
        #expect(came.dispatches.map(\.worker) == [right])
        #expect(why(rig, run) == nil)
    }

    @Test func `a task of several slots has them, or waits for them`() throws {
        var rig = try rig([("small", ""), ("large", #", "cost": 3"#), ("huge", #", "cost": 5"#)], slots: 4)
        let large = try rig.begin("large")
        _ = try rig.begin("small", 2)
        let waiting = try #require(rig.submit("large", 3).accepted.first)
        #expect(why(rig, waiting)?.reason == "no_free_worker")
        let huge = try #require(rig.submit("huge", 4).accepted.first)
        #expect(why(rig, huge) == .tooLarge(cost: 5, pool: .slots, largest: left, capacity: 4))
        #expect(rig.end(large).assignments.map(\.run) == [waiting])
    }

    @Test func `a sticky task goes where its group was, and another leader begins anew`() throws {
        var rig = try rig([("work", #", "sticky": "group", "group": "${{ message.subject }}""#)], slots: 8)
        rig.handle([try attach(right, slots: 8)])
        var places: [Int: Set<NodeID>] = [:]
        for number in 1...8 {
            var message = rig.message("work", number)
            message.subject = number % 2 == 0 ? "even" : "odd"
            let made = rig.submission(message)
            let output = rig.handle([.submit(made, token: rig.token())])
            places[number % 2, default: []].insert(try #require(output.dispatches.first?.worker))
        }
        #expect(places.values.allSatisfy { $0.count == 1 }, "\(places)")
        #expect(places[0] != places[1], "the second group began where more was free")
    }

    @Test func `tasks of a run that must be apart are on different workers, and more of them wait`() throws {
        let one = #"{"use": "exec", "with": {"command": ["go"]}, "apart": {"from": "run", "required": true}}"#
        let texts = [
            ruleSetText("[\(ruleText("three", starts: "three"))]"),
            workflowText("three", #"{"a": \#(one), "b": \#(one), "c": \#(one)}"#),
        ]
        var rig = try Rig(definitions: texts, slots: 8, level: FeatureLevels.newest)
        rig.handle([try attach(right, slots: 8)])
        let output = rig.submit("three")
        #expect(Set(output.dispatches.map(\.worker)) == [left, right])
        let run = try #require(output.accepted.first)
        let place = try #require(rig.states(run).firstIndex(of: .queued))
        #expect(rig.planner.scheduler.blocked(run: run, task: place)?.reason == "kept_apart")
        let next = rig.end(try #require(output.assignments.first))
        #expect(next.dispatches.map(\.worker) == [try #require(output.dispatches.first?.worker)])
    }

    @Test func `a worker that refuses is passed over at once, also for a task that would rather be there`() throws {
        var rig = try rig([("work", #", "sticky": "group", "group": "g""#)], slots: 4)
        let first = try rig.begin("work")
        rig.handle([try attach(right)])
        let again = rig.handle([.stand(left, .draining, free: 0), rig.report(first, .neverStarted)])
        #expect(again.dispatches.map(\.worker) == [right])
        #expect(again.assignments.first?.run == first.run && again.proposals.count == 1, "with the entry that takes it back")
    }

    // MARK: Coming and going

    @Test func `a cancelled run leaves the queue, and what it held is free`() throws {
        var rig = try rig([("work", "")])
        let held = try rig.begin("work")
        let (second, third) = (rig.submit("work", 2).accepted, rig.submit("work", 3).accepted)
        rig.handle([.cancel(try #require(second.first), reason: "no", token: 0)])
        #expect(rig.planner.ready.count == 1)
        let freed = rig.handle([.cancel(held.run, reason: "no", token: 0)])
        #expect(freed.assignments.map(\.run) == third)
        #expect(rig.planner.ready.count == 0 && rig.planner.placement.runningTasks == 1)
    }

    @Test func `a queue timeout ends the waiting`() throws {
        var rig = try rig([("work", ""), ("hasty", #", "timeout": {"queue": "5s", "attempt": "1h"}"#)])
        let held = try rig.begin("work")
        rig.submit("hasty", 2)
        #expect(rig.planner.ready.count == 1)
        rig.pass(.seconds(6))
        #expect(rig.planner.ready.count == 0)
        #expect(rig.end(held).assignments.isEmpty)
    }

    @Test func `attempts of a worker that was lost go elsewhere and free its places`() throws {
        var rig = try rig([("work", "")], slots: 2)
        let held = [try rig.begin("work"), try rig.begin("work", 2)]
        rig.handle([.leave(left)])
        #expect(rig.submit("work", 3).assignments.isEmpty)
        rig.handle([try attach(right, slots: 3)])
        let output = rig.handle(held.map { rig.report($0, .lost) })
        #expect(output.dispatches.map(\.worker) == [right, right])
        #expect(rig.planner.placement.runningTasks == 3 && rig.planner.placement[left] == nil)
    }

    @Test func `two planners with one log and one seed decide alike`() throws {
        func decisions() throws -> [[UInt8]] {
            var settings = SchedulingSettings()
            settings.strategy = .twoRandomChoices
            var rig = try rig([("a", #", "priority": 2"#), ("b", #", "sticky": "run", "cost": 2"#)], slots: 2)
            rig.planner = Planner(
                term: Term(2), state: rig.planner.state, catalog: rig.planner.catalog, seed: 5, wall: rig.wall,
                scheduler: settings.scheduler(seed: 9))
            for number in 1...5 { rig.handle([.join(try NodeID("w-\(number)"), slots: 3, light: 8)]) }
            var open: [TaskAssignment] = []
            for number in 1...60 {
                open += rig.submit(number % 3 == 0 ? "b" : "a", number).assignments
                if number % 2 == 0, !open.isEmpty { open += rig.end(open.removeFirst()).assignments }
            }
            return rig.log.map(\.payload)
        }
        #expect(try decisions() == decisions())
    }

    /// A task of a definition that only the log still has is placed by what that says.
    @Test func `a run keeps the labels that it began with`() throws {
        var rig = try rig([("work", #", "labels": {"zone": "north"}"#)])
        let run = try #require(rig.submit("work").accepted.first)
        try rig.activate(definitions([("work", "")]))
        #expect(why(rig, run)?.reason == "no_label")
        try rig.restart()
        rig.handle([.join(left, slots: 4, light: 8)])
        #expect(why(rig, run)?.reason == "no_label")
        #expect(rig.handle([try attach(right, labels: ["zone": "north"])]).dispatches.map(\.worker) == [right])
    }

    @Test func `a group that cannot be resolved fails its task with what is wrong`() throws {
        var rig = try rig([("work", #", "sticky": "group", "group": "${{ message.data.n.x.y }}""#)])
        let ended = rig.submit("work").ended
        #expect(ended.map(\.state) == [.failed])
        #expect(ended.first?.error?.type == "template_error", "\(String(describing: ended.first?.error))")
    }
}
