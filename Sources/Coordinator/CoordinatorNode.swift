package import Cluster
package import Observability
package import Primitives
package import Storage
import Synchronization
import Wire

/// A coordinator put together: recovers its state from disk, then plans.
package final class CoordinatorNode: Sendable {
    package struct Settings: Equatable, Sendable {
        package var raft = RaftDriver.Settings()
        package var history = HistoryStore.Settings()
        package var limits = Planner.Limits()
        package var dedupAge = Duration.seconds(600)
        package var dedupKeys = 1_000_000
        /// Values for `env.<NAME>` in workflows.
        package var environment: [String: String] = [:]
        package init() {}
    }

    /// How the start went.
    package struct Recovery: Equatable, Sendable {
        package var entries: Int
        package var snapshotIndex: LogIndex
        package var openRuns: Int
        package var took: Duration
        package var cutAt: String?
    }

    package let loop: CoordinatorLoop
    package let intake: Intake
    package let history: HistoryStore
    package let raft: RaftDriver
    package let metrics: CoordinatorMetrics
    package let recovery: Recovery
    private let clock: any NodeClock

    /// Reads the folder, becomes leader, and begins to plan. Throws before anything was changed when the folder cannot be trusted.
    package init(folder: DataFolder, disk: any Disk, settings: Settings, telemetry: Telemetry, seed: UInt64) throws(StorageError) {
        let began = telemetry.clock.now
        clock = telemetry.clock
        let raft = RaftDriver(
            node: folder.identity.node, folder: folder.path + "/raft", disk: disk, settings: settings.raft, telemetry: telemetry)
        let history = try HistoryStore(disk: disk, folder: folder.path + "/history", settings: settings.history, telemetry: telemetry)
        let historyEnd = history.lastIndex
        let raftFolder = folder.path + "/raft/log"
        if history.unreadableBytes > 0 {
            let text = "\(history.unreadableBytes) bytes of the history cannot be read; what they held is missing from lists"
            telemetry.events.emit("history.damaged", subject: folder.path + "/history", severity: .error, text)
            telemetry.health.set("history", .degraded, reason: text)
        }
        let metrics = CoordinatorMetrics(telemetry.metrics)
        let dedup = DedupWindow(age: settings.dedupAge, limit: settings.dedupKeys)
        let replay = Replay(state: CoordinatorState(cluster: folder.identity.cluster, dedup: dedup), dedup: dedup, history: history)
        let mailbox = LoopBox()
        let (found, term, next) = try raft.start(
            restore: { manifest, bytes throws(StorageError) in try replay.restore(bytes, manifest) },
            replay: { entry throws(StorageError) in try replay.apply(entry) },
            accept: { recovery throws(StorageError) in
                // The history is written from what is committed: it can never be ahead of the log.
                guard recovery.last.index < historyEnd else { return }
                throw StorageError.gap(path: raftFolder, expected: historyEnd, found: recovery.last.index)
            },
            observer: .init(committed: { mailbox.committed($0) }, failed: { mailbox.failed($0) }))
        try history.flush()
        // The leader's own first entry stands between the log as read and what is planned next.
        replay.state.begin(LogIndex(next.number - 1), term: term, time: replay.state.time)
        let (catalog, unreadable) = Catalog.compile(replay.state)
        for key in unreadable {
            telemetry.events.emit(
                "catalog.unreadable", subject: key.name, severity: .error, "\(key.kind) '\(key.name)' cannot be read by this program")
        }
        let planner = Planner(
            term: term, state: replay.state, catalog: catalog, seed: seed, wall: telemetry.clock.wall, environment: settings.environment,
            limits: settings.limits)
        loop = CoordinatorLoop(
            view: .init(state: replay.state, catalog: catalog), raft: raft, history: history, telemetry: telemetry, metrics: metrics)
        intake = Intake(loop: loop, telemetry: telemetry, metrics: metrics, environment: settings.environment, seed: seed ^ 0x1274_4E)
        recovery = Recovery(
            entries: found.entries, snapshotIndex: replay.snapshotIndex, openRuns: planner.state.runs.count,
            took: telemetry.clock.now.duration(since: began), cutAt: found.cut.map { "\($0.path):\($0.offset)" })
        self.history = history
        self.raft = raft
        self.metrics = metrics
        mailbox.connect(loop)
        loop.run(planner: planner)
    }

    /// What must not stand still here: the thread that plans, and the disk under the log.
    package var probes: [StallWatch.Probe] {
        let (loop, raft, clock) = (loop, raft, clock)
        return [
            .init("planner", "the planner's thread", .asks { loop.probe($0) }),
            .init("raft-log", "the disk under the log", .tells { raft.writesSince.map { clock.now.duration(since: $0) } }),
        ]
    }

    /// Makes all that was acknowledged durable (it is already), stops planning, and closes the files.
    package func stop() {
        loop.stop()
        raft.close()
        history.close()
    }
}

/// Rebuilds the state from snapshot and log by the same `apply` that the leader used.
private final class Replay {
    var state: CoordinatorState
    private(set) var snapshotIndex = LogIndex.zero
    private let dedup: DedupWindow
    private let history: HistoryStore

    init(state: CoordinatorState, dedup: DedupWindow, history: HistoryStore) {
        self.state = state
        self.dedup = dedup
        self.history = history
    }

    func restore(_ bytes: [UInt8], _ manifest: SnapshotStore.Manifest) throws(StorageError) {
        do throws(WireError) {
            let found = try StateCodec.decode(bytes, dedup: dedup)
            guard found.cluster == state.cluster else {
                throw WireError.badValue(tag: 2, reason: "the snapshot is of cluster \(found.cluster)", at: 0)
            }
            state = found
            snapshotIndex = found.applied
        } catch {
            throw .unreadable(index: manifest.position.index, reason: "snapshot: \(error)")
        }
    }

    func apply(_ entry: LogEntry) throws(StorageError) {
        guard entry.kind == .commands else { return state.begin(entry.index, term: entry.term, time: state.time) }
        var applied = Applied()
        do throws(WireError) {
            let (time, commands) = try CommandCodec.decode(entry.payload)
            state.begin(entry.index, term: entry.term, time: time)
            for command in commands {
                do throws(DigestMismatch) { try state.apply(command, into: &applied) } catch {
                    throw WireError.badValue(tag: 0x30, reason: error.description, at: 0)
                }
            }
        } catch {
            throw .unreadable(index: entry.index, reason: error.description)
        }
        try history.append(applied.history, index: entry.index, time: state.time)
    }
}

/// Holds what the log says until there is somebody to tell.
private final class LoopBox: Sendable {
    private struct State {
        var loop: CoordinatorLoop?
        var committed = LogIndex.zero
        var failure: StorageError?
    }

    private let state = Mutex(State())

    func committed(_ index: LogIndex) {
        state.withLock { state in
            state.committed = max(state.committed, index)
            state.loop?.didCommit(index)
        }
    }

    func failed(_ error: StorageError) {
        state.withLock { state in
            state.failure = error
            state.loop?.didFail(error)
        }
    }

    func connect(_ loop: CoordinatorLoop) {
        state.withLock { state in
            state.loop = loop
            loop.didCommit(state.committed)
            if let failure = state.failure { loop.didFail(failure) }
        }
    }
}
