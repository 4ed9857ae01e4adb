import Cluster
import Foundation
import Observability
import Primitives
import Storage
import Testing
import Wire

@testable import Worker

/// What must not be begun, or counted as never begun.
struct TaskRunnerJournalTests {
    @Test func `a journal that is gone proves nothing of attempts that a leader knows of`() async throws {
        let bench = try Bench()
        let begun = assignment(1, "sleep", "60")
        bench.runner.assign([begun])
        #expect(await eventually { bench.runner.runningFences == [begun.fence] })
        await bench.stop()
        try FileManager.default.removeItem(atPath: bench.folder + "/journal")
        let again = try Bench(folder: bench.folder)
        #expect(again.runner.reconcile([held(begun)], term: Term(1)).map(\.outcome) == [.lost])
        await again.stop()
        again.remove()
    }

    @Test func `a worker that is new knows that it has begun nothing`() async throws {
        try await Bench.with { bench in
            #expect(bench.runner.reconcile([held(assignment(1, "true"))], term: Term(1)).map(\.outcome) == [.neverStarted])
        }
    }

    @Test func `what is called back before it begins is never begun`() async throws {
        let name = "distric-worker-\(UUID().uuidString)"
        let folder = FileManager.default.temporaryDirectory.appending(path: name).path(percentEncoded: false)
        let node = try NodeID("w-1")
        var settings = WorkerSettings()
        settings.allowExec = ["/bin/*", "/usr/bin/*"]
        let runner = try TaskRunner(node: node, folder: folder, disk: FileDisk(), settings: settings, telemetry: .quiet(node: node))
        let reports = Reports()
        runner.connect(reports)
        let given = assignment(1, "touch", folder + "/begun")
        runner.assign([given])
        runner.cancel(held(given))
        let running = Task { await runner.run() }
        #expect(await eventually { reports.outcome(given) == .cancelled })
        #expect(!FileManager.default.fileExists(atPath: folder + "/begun"))
        runner.stop()
        running.cancel()
        await running.value
        try FileManager.default.removeItem(atPath: folder)
    }
}
