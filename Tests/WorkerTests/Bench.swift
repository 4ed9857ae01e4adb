import Cluster
import Foundation
import Observability
import Primitives
import Storage
import Synchronization
import Wire

@testable import Worker

/// A worker with a folder of its own, that may start what is in /bin and /usr/bin.
final class Bench: Sendable {
    let runner: TaskRunner
    let telemetry: Telemetry
    let folder: String
    private let running: Task<Void, Never>

    /// - Parameter folder: of a worker before; nil makes one.
    init(slots: Int = 2, folder: String? = nil) throws {
        let path =
            folder
            ?? FileManager.default.temporaryDirectory.appending(path: "distric-worker-\(UUID().uuidString)").path(percentEncoded: false)
        let node = try NodeID("w-1")
        var settings = WorkerSettings()
        settings.capacity = WorkerCapacity(slots: slots)
        settings.allowExec = ["/bin/*", "/usr/bin/*"]
        settings.grace = .milliseconds(200)
        let telemetry = Telemetry.quiet(node: node)
        let runner = try TaskRunner(node: node, folder: path, disk: FileDisk(), settings: settings, telemetry: telemetry)
        (self.runner, self.telemetry, self.folder) = (runner, telemetry, path)
        running = Task { await runner.run() }
    }

    /// Ends what runs, and the worker; its folder stays.
    func stop() async {
        runner.stop()
        running.cancel()
        await running.value
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    /// Runs a test with a worker, and ends it.
    static func with(slots: Int = 2, _ body: (Bench) async throws -> Void) async throws {
        let bench = try Bench(slots: slots)
        do { try await body(bench) } catch {
            await bench.stop()
            bench.remove()
            throw error
        }
        await bench.stop()
        bench.remove()
    }
}

/// An assignment of `exec@1`; `number` makes run and fence.
func assignment(_ number: UInt64, _ command: String..., change: (inout TaskAssignment) -> Void = { _ in }) -> TaskAssignment {
    var made = TaskAssignment(
        run: RunID(high: 1, low: number), task: "go", namespace: .default, kind: "exec@1", attempt: 1,
        fence: Fence(term: Term(1), assignment: number), key: "k", input: ["command": .list(command.map { .string($0) })],
        timeout: .seconds(60), journalsStart: true, trace: nil)
    change(&made)
    return made
}

func held(_ assignment: TaskAssignment) -> HeldAssignment {
    HeldAssignment(run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence)
}

/// Keeps what is reported.
final class Reports: ReportSink {
    private let reports = Mutex<[TaskReport]>([])

    func deliver(_ reports: [TaskReport]) { self.reports.withLock { $0 += reports } }
    var all: [TaskReport] { reports.withLock { $0 } }
    /// The first of an attempt.
    func outcome(_ assignment: TaskAssignment) -> AttemptOutcome? { all.first { $0.fence == assignment.fence }?.outcome }
}

/// Asks until it holds, at most so long.
func eventually(_ limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now.advanced(by: limit)
    while true {
        let holds = try await condition()
        if holds { return true }
        guard ContinuousClock.now < end else { return false }
        try? await Task.sleep(for: .milliseconds(5))
    }
}
