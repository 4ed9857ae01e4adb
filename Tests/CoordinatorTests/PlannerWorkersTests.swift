import Cluster
import Coordinator
import Primitives
import Testing
import Wire
import Workflows

/// Workers that come, go, refuse and are given up.
struct PlannerWorkersTests {
    private let left: NodeID
    private let right: NodeID

    init() throws { (left, right) = (try NodeID("w-1"), try NodeID("w-2")) }

    private func attach(_ node: NodeID, slots: Int = 4, _ standing: Placement.Standing = .available) -> Planner.Input {
        .attach(node, Placement.Offer(slots: slots, light: 8), standing)
    }

    private static let patient = [
        ruleSetText(
            "[\(ruleText("alone", starts: "alone")), \(ruleText("waits", starts: "waits")), \(ruleText("order", starts: "order"))]"),
        workflowText(
            "alone",
            #"{"go": {"use": "exec", "with": {"command": ["go"]}, "idempotent": true, "on_disconnect": "continue", "timeout": "60s"}}"#),
        workflowText("waits", #"{"go": {"use": "exec", "with": {"command": ["go"]}, "idempotent": true, "lost_after": "30s"}}"#),
        workflowText("order", #"{"pay": {"use": "exec", "with": {"command": ["pay"]}}}"#),
    ]

    @Test func `a worker that left gets nothing more, and what it holds stays with it`() throws {
        var rig = try Rig(slots: 1)
        let held = try rig.begin("fragile")
        rig.handle([attach(right, slots: 1), .leave(left)])
        let next = try rig.begin("fragile", 2)
        #expect(rig.planner.leased(to: left).map(\.fence) == [held.fence])
        #expect(rig.planner.leased(to: right).map(\.fence) == [next.fence])
        let queued = rig.submit("fragile", 3)
        #expect(queued.assignments.isEmpty)
        let done = rig.end(held)
        #expect(done.acknowledged.map(\.isFresh) == [true], "its report counts: nobody has given the attempt up")
        #expect(done.assignments.isEmpty, "and its place is not given to anybody")
    }

    @Test func `one that comes again has what the log has with it, and not more`() throws {
        var rig = try Rig(slots: 2)
        _ = try rig.begin("fragile")
        rig.handle([.leave(left)])
        rig.handle([attach(left, slots: 2)])
        _ = try rig.begin("fragile", 2)
        let third = rig.submit("fragile", 3)
        #expect(third.assignments.isEmpty, "two slots, and both are taken")
    }

    @Test func `a refused assignment goes to another at once, and not back`() throws {
        var rig = try Rig(slots: 4)
        let refused = try rig.begin("fragile")
        rig.handle([attach(right, slots: 4)])
        let again = rig.handle([.stand(left, .draining, free: 0), rig.report(refused, .neverStarted)])
        #expect(again.dispatches.map(\.worker) == [right])
        #expect(again.assignments.first.map { $0.fence > refused.fence } == true)
        let only = rig.handle([.leave(right), rig.report(try #require(again.assignments.first), .neverStarted)])
        #expect(only.assignments.isEmpty, "it waits until somebody has room")
        let room = rig.handle([.stand(left, .available, free: 4)])
        #expect(room.dispatches.map(\.worker) == [left])
    }

    @Test func `a cordoned worker keeps what it has and gets nothing new`() throws {
        var rig = try Rig(slots: 4)
        let held = try rig.begin("fragile")
        rig.handle([.stand(left, .cordoned, free: nil)])
        let none = rig.submit("fragile", 2)
        #expect(none.assignments.isEmpty)
        let done = rig.end(held)
        #expect(done.acknowledged.map(\.isFresh) == [true])
        #expect(done.assignments.isEmpty)
        let back = rig.handle([.stand(left, .available, free: nil)])
        #expect(back.assignments.count == 1)
    }

    @Test func `an attempt counts as lost when its worker was silent for longer than its task allows`() throws {
        var rig = try Rig(definitions: Self.patient)
        for (number, type) in ["alone", "waits", "order"].enumerated() { _ = try rig.begin(type, number) }
        let held = rig.planner.leased(to: left)
        #expect(held.map(\.task).sorted() == ["go", "go", "pay"])
        func lost(_ seconds: Int) -> [String] {
            held.filter { rig.planner.loss(of: $0, after: .seconds(seconds)) != nil }.compactMap { rig.run($0.run)?.workflow }.sorted()
        }
        #expect(lost(10) == ["order"])
        #expect(lost(30) == ["order", "waits"])
        #expect(lost(59) == ["order", "waits"])
        #expect(lost(60) == ["alone", "order", "waits"], "it goes on alone for as long as one attempt may take")
    }

    @Test func `what is lost is tried again or held, as its task says, and a late report changes nothing`() throws {
        var rig = try Rig(slots: 4)
        let (pay, go) = (try rig.begin("order"), try rig.begin("fragile", 2))
        rig.handle([attach(right, slots: 4), .leave(left)])
        let reports = rig.planner.leased(to: left).compactMap { rig.planner.loss(of: $0, after: .seconds(10)) }
        #expect(reports.count == 2)
        let output = rig.handle(reports.map { .report($0) })
        #expect(rig.states(pay.run).first == .unknown)
        #expect(output.dispatches.map(\.worker) == [right] && output.assignments.first?.run == go.run)
        let late = rig.handle([rig.report(pay, .succeeded("done")), rig.report(go, .succeeded("done"))])
        #expect(late.acknowledged.map(\.isFresh) == [false, false])
        #expect(rig.states(pay.run).first == .unknown)
    }

    @Test func `assignments say what becomes of them without a leader`() throws {
        var rig = try Rig(definitions: Self.patient)
        let (alone, waits, order) = (try rig.begin("alone"), try rig.begin("waits", 2), try rig.begin("order", 3))
        #expect(alone.continuesAlone == true && alone.lostAfterMilliseconds == nil)
        #expect(waits.continuesAlone == nil && waits.lostAfterMilliseconds == 30_000)
        #expect(order.continuesAlone == nil && order.lostAfterMilliseconds == nil)
    }
}
