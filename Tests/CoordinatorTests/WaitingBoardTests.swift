import Observability
import Primitives
import Testing
import Workflows

@testable import Coordinator

/// What people are told of tasks that wait (WaitingBoard.swift).
struct WaitingBoardTests {
    private let telemetry: Telemetry
    private let board: WaitingBoard
    private let start = ClusterTime(milliseconds: 1_700_000_000_000)

    init() throws {
        telemetry = .quiet(node: try NodeID("c-1"))
        board = WaitingBoard(telemetry)
    }

    private func item(_ number: UInt64, _ terms: PlacementTerms = .none, space: String = "default") throws -> ReadyQueue.Item {
        let run = RunID(high: 1, low: number)
        let shape = TaskShape(.exec, terms: terms)
        return ReadyQueue.Item(
            run: run, task: 0, since: start, demand: TaskDemand(namespace: try Namespace(space), run: run, shape: shape))
    }

    private func look(_ scheduler: Scheduler?, after seconds: Int) {
        board.look(
            scheduler, wall: start.advanced(by: .seconds(seconds)), now: Instant(nanoseconds: 1).advanced(by: .seconds(seconds)))
    }

    private func gauge(_ reason: String) -> String? {
        String(decoding: PrometheusText.render(telemetry.metrics.snapshot), as: UTF8.self).split(separator: "\n").map(String.init).first {
            $0.hasPrefix("distric_tasks_blocked{") && $0.contains("\"\(reason)\"")
        }.flatMap { $0.split(separator: " ").last.map(String.init) }
    }

    private var told: [Event] { telemetry.events.events(after: 0).filter { $0.kind == "task.blocked" } }

    private func scheduler() throws -> Scheduler {
        var scheduler = Scheduler()
        scheduler.join(try NodeID("w-1"), .init(slots: 1, light: 1))
        let gpu = try PlacementTerms(required: [LabelTerm("gpu", .exists)])
        for number in 1...3 { scheduler.push(try item(UInt64(number), gpu, space: "shop")) }
        for number in 4...6 { scheduler.push(try item(UInt64(number))) }
        scheduler.begin(at: start)
        while scheduler.next() != nil {}
        return scheduler
    }

    @Test func `reasons are counted, and told of each shape`() throws {
        let scheduler = try scheduler()
        look(scheduler, after: 0)
        #expect(gauge("no_label") == "3" && gauge("no_free_worker") == "2" && gauge("no_worker") == "0")
        let gpu = TaskShape(.exec, terms: try PlacementTerms(required: [LabelTerm("gpu", .exists)]))
        #expect(board.why(.init(namespace: try Namespace("shop"), shape: gpu))?.culprit == "gpu")
        #expect(board.why(.init(namespace: .default, shape: gpu)) == nil)
        #expect(board.why(.init(namespace: .default, shape: TaskShape(.exec)))?.reason == "no_free_worker")
    }

    @Test func `it is looked at once a second, and forgotten when another leads`() throws {
        let scheduler = try scheduler()
        look(scheduler, after: 0)
        var less = scheduler
        for number in 1...3 { less.withdraw(run: RunID(high: 1, low: UInt64(number)), task: 0) }
        look(less, after: 0)
        #expect(gauge("no_label") == "3")
        look(less, after: 1)
        #expect(gauge("no_label") == "0")
        look(nil, after: 1)
        #expect(gauge("no_free_worker") == "0")
        #expect(board.why(.init(namespace: .default, shape: TaskShape(.exec))) == nil)
    }

    @Test func `people are told once of what does not pass by itself`() throws {
        let scheduler = try scheduler()
        look(scheduler, after: 0)
        #expect(told.isEmpty, "a worker may just be starting")
        look(scheduler, after: 10)
        look(scheduler, after: 11)
        #expect(told.count == 1)
        let event = try #require(told.first)
        #expect(event.severity == .warning && event.origin.namespace.text == "shop" && event.origin.index == nil)
        #expect(event.data["reason"] == "no_label" && event.data["culprit"] == "gpu" && event.data["tasks"] == 3)
        look(Scheduler(), after: 12)
        look(scheduler, after: 13)
        #expect(told.count == 2, "it passed, and came again")
    }

    @Test func `more shapes than are looked at are counted together`() throws {
        var scheduler = Scheduler()
        let count = WaitingBoard.lineLimit + 10
        for number in 0..<count {
            scheduler.push(try item(UInt64(number), try PlacementTerms(required: [LabelTerm("host", .isOneOf(["h\(number)"]))])))
        }
        look(scheduler, after: 0)
        #expect(gauge("not_looked_at") == "10" && gauge("no_worker") == "\(WaitingBoard.lineLimit)")
    }
}
