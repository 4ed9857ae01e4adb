import Cluster
import Coordinator
import Foundation
import Observability
import Primitives
import Storage
import Text
import Wire

/// How long a node takes to read a log of many entries back: half of them messages that start a run, half the reports that end it. Once with the history that a
/// node which falls has on its disk, and once where that is lost and written anew.
struct RecoveryCase {
    let entries: Int
    let report: Report

    func run() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "distric-recovery-\(UInt32.random(in: 0...UInt32.max))").path(
            percentEncoded: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let clock = SystemClock()
        var chance = SeededGenerator(seed: 1)
        let node = try NodeID("bench")
        let data = try DataFolder.open(folder, node: node, fallback: node, featureLevel: 1, disk: FileDisk()) {
            UUIDv7(at: clock.wall, using: &chance)
        }
        let bytes = try write(data, clock)
        report.figure("recovery", "log", Double(bytes) / 1e6, "MB")
        let (count, took) = try open(data, clock)
        report.figure("recovery", "entries", Double(count), "entries")
        report.figure("recovery", "time", took, "s")
        report.figure("recovery", "rate", Double(count) / took, "entries/s")
        try FileManager.default.removeItem(atPath: data.path + "/history")
        report.figure("recovery", "time-without-history", try open(data, clock).took, "s")
    }

    private func open(_ data: DataFolder, _ clock: SystemClock) throws -> (entries: Int, took: Double) {
        var settings = CoordinatorNode.Settings()
        settings.raft.snapshotBytes = .max / 2
        let began = clock.now
        let coordinator = try CoordinatorNode(
            folder: data, disk: FileDisk(), settings: settings, telemetry: .quiet(node: data.identity.node), seed: 2)
        defer { coordinator.stop() }
        return (coordinator.recovery.entries, clock.now.duration(since: began).seconds)
    }

    /// The log that a planner would have written.
    private func write(_ data: DataFolder, _ clock: SystemClock) throws -> Int {
        let log = SegmentedLog(disk: FileDisk(), folder: data.path + "/raft/log")
        _ = try log.open(from: .start) { _ in }
        let history = try HistoryStore(
            disk: FileDisk(), folder: data.path + "/history", settings: .init(), telemetry: .quiet(node: data.identity.node))
        let definition: Value = [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "noop"],
            "tasks": ["only": ["use": "transform@1", "with": ["value": 1]]],
        ]
        let (catalog, records) = try Catalog.empty.adding([definition], removing: [], namespace: .default)
        var planner = Planner(
            term: Term(1), state: CoordinatorState(cluster: data.identity.cluster), catalog: .empty, seed: 3, wall: clock.wall)
        var index = LogIndex.zero
        var bytes = 0
        var group: [LogEntry] = []
        func keep(_ output: Planner.Output) throws {
            for proposal in output.proposals {
                index = index.next
                group.append(LogEntry(index: index, term: Term(1), kind: .commands, payload: proposal.payload))
                bytes += proposal.payload.count
                try history.append(proposal.history, index: index, time: clock.wall)
            }
            guard group.count >= 1000 else { return }
            try log.append(group)
            group.removeAll(keepingCapacity: true)
        }
        let wall = clock.wall
        try keep(
            planner.handle(
                [.join(data.identity.node, slots: 8, light: 1024), .activate(catalog, records: records, removed: [], token: 0)], wall: wall)
        )
        var chance = SeededGenerator(seed: 4)
        while index.number < UInt64(entries) {
            let output = planner.handle([.submit(submission(catalog, wall, &chance), token: 1)], wall: wall)
            try keep(output)
            let reports: [Planner.Input] = output.dispatches.map { item in
                .report(
                    TaskReport(
                        run: item.assignment.run, task: item.assignment.task, attempt: 1, fence: item.assignment.fence,
                        outcome: .succeeded(1),
                        startedAt: wall, endedAt: wall))
            }
            try keep(planner.handle(reports, wall: wall))
        }
        try log.append(group)
        try log.sync()
        log.close()
        try history.flush()
        history.close()
        let votes = try HardStateFile(disk: FileDisk(), path: data.path + "/raft/vote")
        try votes.persist(HardState(term: Term(1), vote: data.identity.node))
        votes.close()
        return bytes
    }

    private func submission(_ catalog: Catalog, _ wall: ClusterTime, _ chance: inout SeededGenerator) -> Planner.Submission {
        let message = Message(
            id: UUIDv7(at: wall, using: &chance).description, source: "/bench", type: "started",
            data: ["pad": .string(String(repeating: "x", count: 150))])
        return Planner.Submission.begin(message, workflow: "noop", rule: "bench/start", catalog: catalog, wall: wall, generator: &chance)
    }
}
