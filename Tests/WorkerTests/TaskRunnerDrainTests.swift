import Cluster
import Observability
import Primitives
import Testing
import Wire

@testable import Worker

/// A worker that is to be empty, because an operator wants it or because it stops.
struct TaskRunnerDrainTests {
    private func endless(_ number: UInt64, again: Bool) -> TaskAssignment {
        assignment(number, "sleep", "60") { $0.journalsStart = !again }
    }

    private func kinds(_ bench: Bench) -> [String] { bench.telemetry.events.latest(50).map(\.kind) }

    @Test func `what runs goes on until the deadline, and nothing new is taken`() async throws {
        try await Bench.with { bench in
            let reports = Reports()
            bench.runner.connect(reports)
            let (first, late) = (endless(1, again: true), assignment(2, "true"))
            bench.runner.assign([first])
            #expect(await eventually { bench.runner.runningFences.count == 1 })
            bench.runner.drain(within: .seconds(3600))
            #expect(bench.runner.isCordoned && bench.runner.freeSlots == 0)
            bench.runner.assign([late])
            #expect(reports.outcome(late) == .neverStarted)
            #expect(bench.runner.waitingReports.map { bench.runner.refusalCode(of: $0) } == ["draining"])
            bench.runner.lookAfterDrain()
            #expect(bench.runner.runningFences == [first.fence])
            let progress = try #require(bench.runner.draining)
            #expect(progress.left > .seconds(3000))
            #expect(!kinds(bench).contains("worker.drained"))
        }
    }

    @Test func `past the deadline what may be done again is given back, and the rest goes on`() async throws {
        try await Bench.with { bench in
            let reports = Reports()
            bench.runner.connect(reports)
            let (again, once) = (endless(1, again: true), endless(2, again: false))
            bench.runner.assign([again, once])
            #expect(await eventually { bench.runner.runningFences.count == 2 })
            bench.runner.drain(within: .zero)
            #expect(await eventually { reports.outcome(again) == .neverStarted })
            #expect(await eventually { bench.runner.runningFences == [once.fence] })
            bench.runner.lookAfterDrain()
            #expect(bench.runner.draining == DrainProgress(left: .zero, finished: 0, givenBack: 1))
            #expect(reports.outcome(once) == nil)
            bench.runner.cancel(held(once))
            #expect(await eventually { bench.runner.runningFences.isEmpty })
            // It is empty when somebody has its last words, and says so once.
            bench.runner.lookAfterDrain()
            #expect(!kinds(bench).contains("worker.drained"))
            bench.runner.committed(reports.all)
            bench.runner.lookAfterDrain()
            bench.runner.lookAfterDrain()
            #expect(bench.runner.draining?.finished == 1)
            #expect(kinds(bench).count { $0 == "worker.drained" } == 1)
        }
    }

    @Test func `a second word about the deadline holds, and lifting the cordon ends it`() async throws {
        try await Bench.with { bench in
            bench.runner.drain(within: .seconds(3600))
            bench.runner.drain(within: .seconds(7))
            let progress = try #require(bench.runner.draining)
            #expect(progress.left <= .seconds(7))
            #expect(kinds(bench).count { $0 == "worker.draining" } == 1)
            bench.runner.drain(within: .milliseconds(Int64.max))
            let longest = try #require(bench.runner.draining)
            #expect(longest.left <= .seconds(86_400))
            bench.runner.drain(within: .seconds(-5))
            #expect(bench.runner.draining?.left == .zero)
            let before = bench.runner.standing
            bench.runner.cordon(false)
            #expect(bench.runner.draining == nil && !bench.runner.isCordoned && bench.runner.freeSlots == 2)
            #expect(bench.runner.standing > before, "the leader hears of it soon")
        }
    }

    @Test func `one that is started again is cordoned still, and empties nothing`() async throws {
        let bench = try Bench()
        bench.runner.drain(within: .seconds(3600))
        await bench.stop()
        let again = try Bench(folder: bench.folder)
        #expect(again.runner.isCordoned && again.runner.draining == nil)
        await again.stop()
        again.remove()
    }

    @Test func `one that stops gives back what may be done again, and says at once what nobody can know`() async throws {
        let bench = try Bench()
        let reports = Reports()
        bench.runner.connect(reports)
        let (again, once) = (endless(1, again: true), endless(2, again: false))
        bench.runner.assign([again, once])
        #expect(await eventually { bench.runner.runningFences.count == 2 })
        await bench.runner.drain(for: .zero)
        #expect(reports.outcome(again) == .neverStarted)
        #expect(reports.outcome(once) == .lost)
        await bench.stop()
        bench.remove()
    }
}
