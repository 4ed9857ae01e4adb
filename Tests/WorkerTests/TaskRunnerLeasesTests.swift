import Cluster
import Observability
import Primitives
import Testing
import Wire

@testable import Worker

/// What a worker does with attempts that a leader knows of, or not.
struct TaskRunnerLeasesTests {
    @Test func `of what the log has here it says what it neither runs nor has reported, and ends what the log has not`() async throws {
        try await Bench.with { bench in
            let reports = Reports()
            bench.runner.connect(reports)
            let (known, stale, never) = (assignment(1, "sleep", "60"), assignment(2, "sleep", "60"), assignment(3, "true"))
            bench.runner.assign([known, stale])
            #expect(await eventually { bench.runner.runningFences.count == 2 })
            let answers = bench.runner.reconcile([held(known), held(never)], term: Term(1))
            #expect(answers.map(\.fence) == [never.fence] && answers.map(\.outcome) == [.neverStarted])
            #expect(await eventually { reports.outcome(stale) == .cancelled })
            #expect(bench.runner.runningFences == [known.fence])
        }
    }

    @Test func `the list of a leader that was succeeded ends nothing`() async throws {
        try await Bench.with { bench in
            let work = assignment(1, "sleep", "60")
            bench.runner.assign([work])
            #expect(await eventually { bench.runner.runningFences == [work.fence] })
            #expect(bench.runner.reconcile([held(work)], term: Term(5)).isEmpty)
            #expect(bench.runner.reconcile([held(assignment(2, "true"))], term: Term(4)).isEmpty)
            #expect(bench.runner.runningFences == [work.fence] && bench.runner.waitingReportCount == 0)
            let text = String(decoding: PrometheusText.render(bench.telemetry.metrics.snapshot), as: UTF8.self)
            #expect(text.contains("distric_worker_stale_terms_total 1\n"))
            #expect(bench.runner.reconcile([], term: Term(5)).isEmpty, "the same leader again")
            #expect(await eventually { bench.runner.runningFences.isEmpty })
        }
    }

    @Test func `what waits to be reported is said again to whoever asks, and only until it is in a log`() async throws {
        try await Bench.with { bench in
            let done = assignment(1, "echo", "7")
            bench.runner.assign([done])
            #expect(await eventually { bench.runner.waitingReportCount == 1 })
            let answers = bench.runner.reconcile([held(done)], term: Term(1))
            #expect(answers.map(\.outcome) == [.succeeded(7)])
            bench.runner.committed(answers)
            #expect(bench.runner.waitingReports.isEmpty)
            #expect(bench.runner.freeSlots == 2)
        }
    }

    @Test func `beyond its slots it refuses, with the word why`() async throws {
        try await Bench.with(slots: 1) { bench in
            let (first, second) = (assignment(1, "sleep", "60"), assignment(2, "true"))
            bench.runner.assign([first, second])
            let refused = bench.runner.waitingReports
            #expect(refused.map(\.fence) == [second.fence] && refused.map(\.outcome) == [.neverStarted])
            #expect(refused.map { bench.runner.refusalCode(of: $0) } == ["no_slots"])
            bench.runner.committed(refused)
            #expect(refused.map { bench.runner.refusalCode(of: $0) } == [nil])
            #expect(bench.runner.freeSlots == 0)
        }
    }

    @Test func `without a leader attempts end that may not go on alone, each when its time is over`() async throws {
        try await Bench.with(slots: 4) { bench in
            let reports = Reports()
            bench.runner.connect(reports)
            let plain = assignment(1, "sleep", "60")
            let patient = assignment(2, "sleep", "60") { $0.lostAfterMilliseconds = 30_000 }
            let alone = assignment(3, "sleep", "60") { $0.continuesAlone = true }
            bench.runner.assign([plain, patient, alone])
            #expect(await eventually { bench.runner.runningFences.count == 3 })
            #expect(bench.runner.endAlone(silentFor: .seconds(9), lease: .seconds(10)) == 0)
            #expect(bench.runner.endAlone(silentFor: .seconds(10), lease: .seconds(10)) == 1)
            #expect(bench.runner.endAlone(silentFor: .seconds(11), lease: .seconds(10)) == 0, "it was told to end already")
            #expect(await eventually { reports.outcome(plain) == .lost })
            #expect(bench.runner.endAlone(silentFor: .seconds(3600), lease: .seconds(10)) == 1)
            #expect(await eventually { reports.outcome(patient) == .lost })
            #expect(bench.runner.runningFences == [alone.fence])
        }
    }

    @Test func `a cordon outlives a start, and is lifted by a word`() async throws {
        let bench = try Bench()
        bench.runner.cordon(true)
        bench.runner.cordon(true)
        #expect(bench.runner.isCordoned && bench.runner.freeSlots == 0)
        #expect(bench.telemetry.events.latest(10).count { $0.kind == "worker.cordoned" } == 1)
        await bench.stop()
        let again = try Bench(folder: bench.folder)
        #expect(again.runner.isCordoned)
        again.runner.cordon(false)
        #expect(!again.runner.isCordoned && again.runner.freeSlots == 2)
        await again.stop()
        let last = try Bench(folder: bench.folder)
        #expect(!last.runner.isCordoned)
        await last.stop()
        last.remove()
    }

    @Test func `after a crash it says of each attempt whether it ended, was lost, or was never begun`() async throws {
        let bench = try Bench()
        let (ended, begun, never) = (assignment(1, "echo", "1"), assignment(2, "sleep", "60"), assignment(3, "true"))
        bench.runner.assign([ended, begun])
        #expect(await eventually { bench.runner.waitingReportCount == 1 && bench.runner.runningFences.count == 1 })
        await bench.stop()
        let again = try Bench(folder: bench.folder)
        let answers = again.runner.reconcile([held(ended), held(begun), held(never)], term: Term(1))
        #expect(answers.map(\.outcome) == [.succeeded(1), .lost, .neverStarted])
        await again.stop()
        again.remove()
    }
}
