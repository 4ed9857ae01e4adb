import Cluster
import NIOPosix
import Observability
import Primitives
import Synchronization
import Testing
import Transport
import Wire

@testable import Worker

/// Whether somebody leads.
private final class Switch: Sendable {
    private let state = Atomic(true)

    var isOn: Bool { state.load(ordering: .relaxed) }
    func turnOff() { state.store(false, ordering: .relaxed) }
}

/// A worker and coordinators that do as they are told, over real connections.
struct CoordinatorLinkTests {
    @Test func `it finds the leader by what another says, attaches, and takes what the log has with it`() async throws {
        try await Stage.with(leaders: 2) { stage in
            stage.leaders[0].refusal = CallError(.notLeader, "not me", leaderAddress: stage.leaders[1].address.description)
            stage.begin()
            #expect(await eventually { stage.leaders[1].attached.count == 1 })
            let call = try #require(stage.leaders[1].attached.first)
            #expect(call.worker == stage.bench.runner.node && call.epoch == 5 && call.slots == 2)
            #expect(call.kinds == ["exec@1", "http@1", "transform@1"] && call.labels == ["zone=north"])
            #expect(await eventually { stage.link.condition == .attached(to: stage.leaders[1].address.description) })
            #expect(stage.leaders[0].attached.isEmpty)
        }
    }

    @Test func `results are sent, and forgotten once the leader has them`() async throws {
        try await Stage.with { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            stage.leaders[0].order(assignment(1, "echo", "7"))
            #expect(await eventually { stage.leaders[0].results.map(\.outcome) == [.succeeded(7)] })
            #expect(await eventually { stage.bench.runner.waitingReports.isEmpty })
        }
    }

    @Test func `what one leader did not keep goes to the next, and is taken back from nobody twice`() async throws {
        try await Stage.with(leaders: 2) { stage in
            stage.leaders[0].loses = true
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            let work = assignment(1, "echo", "7")
            stage.leaders[0].order(work)
            #expect(await eventually { !stage.leaders[0].results.isEmpty })
            #expect(stage.bench.runner.waitingReports.map(\.fence) == [work.fence])
            stage.leaders[1].holds = [held(work)]
            stage.leaders[0].end(CallError(.notLeader, "gone", leaderAddress: stage.leaders[1].address.description))
            #expect(await eventually { stage.leaders[1].results.map(\.outcome) == [.succeeded(7)] })
            #expect(await eventually { stage.bench.runner.waitingReports.isEmpty })
        }
    }

    @Test func `what it has no room for goes back as a refusal`() async throws {
        try await Stage.with { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            for number in 1...2 { stage.leaders[0].order(assignment(UInt64(number), "sleep", "60")) }
            #expect(await eventually { stage.bench.runner.freeSlots == 0 })
            stage.leaders[0].order(assignment(3, "true"))
            #expect(await eventually { stage.leaders[0].refused.count == 1 })
            let refusal = try #require(stage.leaders[0].refused.first)
            #expect(refusal.code == "no_slots" && refusal.freeSlots == 0 && refusal.fence.assignment == 3)
            #expect(await eventually { stage.bench.runner.waitingReports.isEmpty })
        }
    }

    @Test func `it renews with what it runs, and attaches again where it is not known any more`() async throws {
        try await Stage.with(lease: .milliseconds(300)) { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            stage.leaders[0].order(assignment(1, "sleep", "60"))
            #expect(await eventually { stage.leaders[0].renewals.contains { $0.fences.map(\.assignment) == [1] && $0.freeSlots == 1 } })
            stage.leaders[0].forgets = true
            #expect(await eventually { stage.leaders[0].attached.count >= 2 })
            #expect(stage.leaders[0].attached.last?.running.map(\.assignment) == [1])
        }
    }

    @Test func `a cancel and a cordon reach it`() async throws {
        try await Stage.with { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            let work = assignment(1, "sleep", "60")
            stage.leaders[0].order(work)
            #expect(await eventually { stage.bench.runner.runningFences.count == 1 })
            var cancel = TaskCancel()
            (cancel.run, cancel.task, cancel.fence) = (work.run, work.task, work.fence)
            stage.leaders[0].order(cancel)
            #expect(await eventually { stage.leaders[0].results.map(\.outcome) == [.cancelled] })
            var terms = LeaseTerms()
            terms.isCordoned = true
            stage.leaders[0].order(terms)
            #expect(await eventually { stage.bench.runner.isCordoned })
        }
    }

    @Test func `a leader that was succeeded is left, and what it says is not done`() async throws {
        try await Stage.with { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            let work = assignment(1, "sleep", "60")
            stage.leaders[0].order(work)
            #expect(await eventually { stage.bench.runner.runningFences == [work.fence] })
            var terms = LeaseTerms()
            (terms.isComplete, terms.held, terms.term) = (true, [held(work).told], 7)
            stage.leaders[0].order(terms)
            (terms.held, terms.term, terms.isCordoned) = ([], 6, true)
            stage.leaders[0].order(terms)
            #expect(await eventually { stage.leaders[0].attached.count >= 2 })
            #expect(stage.bench.runner.runningFences == [work.fence] && !stage.bench.runner.isCordoned)
            terms.isComplete = false
            stage.leaders[0].order(terms)
            #expect(await eventually { stage.leaders[0].attached.count >= 3 })
            #expect(!stage.bench.runner.isCordoned, "an order to cordon alone")
        }
    }

    @Test func `without any leader it ends what must not go on alone, and tells it later`() async throws {
        try await Stage.with(lease: .milliseconds(300)) { stage in
            stage.begin()
            #expect(await eventually { stage.leaders[0].attached.count == 1 })
            let (plain, alone) = (assignment(1, "sleep", "60"), assignment(2, "sleep", "60") { $0.continuesAlone = true })
            for work in [plain, alone] { stage.leaders[0].order(work) }
            #expect(await eventually { stage.bench.runner.runningFences.count == 2 })
            stage.leaders[0].holds = [held(plain), held(alone)]
            stage.leaders[0].refusal = CallError(.notLeader, "nobody leads")
            stage.leaders[0].end(CallError(.notLeader, "nobody leads"))
            #expect(await eventually { stage.bench.runner.waitingReports.map(\.outcome) == [.lost] })
            #expect(stage.bench.runner.runningFences == [alone.fence])
            #expect(stage.bench.telemetry.events.latest(20).contains { $0.kind == "worker.ended_alone" })
            stage.leaders[0].refusal = nil
            #expect(await eventually { stage.leaders[0].results.map(\.fence) == [plain.fence] })
        }
    }

    @Test func `where the leader is in its own process nothing is sent`() async throws {
        try await Stage.with { stage in
            let (reports, leads) = (Reports(), Switch())
            stage.begin(here: .init(sink: reports, isLeading: { leads.isOn }, leader: { nil }))
            let (first, second) = (assignment(1, "echo", "1"), assignment(2, "echo", "2"))
            stage.bench.runner.assign([first])
            #expect(await eventually { reports.outcome(first) == .succeeded(1) })
            #expect(stage.leaders[0].attached.isEmpty)
            stage.bench.runner.committed(reports.all)
            leads.turnOff()
            stage.leaders[0].holds = [held(second)]
            stage.bench.runner.assign([second])
            #expect(await eventually { stage.leaders[0].results.map(\.outcome) == [.succeeded(2)] })
            #expect(reports.outcome(second) == nil)
        }
    }
}
