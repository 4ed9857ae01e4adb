package import Cluster
package import Observability
package import Primitives
package import Storage
import Synchronization
import Transport
import Wire
package import Workflows

/// A coordinator put together: recovers its state from disk, then follows the cluster's leader or plans.
package final class CoordinatorNode: Sendable {
    package struct Settings: Equatable, Sendable {
        package var raft = RaftDriver.Settings()
        package var history = HistoryStore.Settings()
        package var historyFetch = HistoryFetch.Settings()
        package var limits = Planner.Limits()
        package var scheduling = SchedulingSettings()
        package var intake = IntakeLoad.Limits()
        package var dedupAge = Duration.seconds(600)
        package var dedupKeys = 1_000_000
        /// For how long a worker in another process is believed in without a word of it.
        package var lease = Duration.seconds(10)
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
    /// For as long as the node serves: what is matched here goes to the leader; and what others have matched comes.
    package var forwarder: IntakeForwarder { intake.forwarder }
    package let forwardDoor: ForwardDoor
    package let history: HistoryStore
    /// For as long as the node serves: what a snapshot passed over comes from others, and others are sent what they lack.
    package let historyFetch: HistoryFetch
    package let historyServing: HistoryServing
    package let raft: RaftDriver
    package let directory: PeerDirectory
    package let metrics: CoordinatorMetrics
    package let recovery: Recovery
    private let clock: any NodeClock
    private let disk: any Disk
    private let path: String

    /// Reads the folder and begins to plan, or to follow. Throws before anything was changed when the folder cannot be trusted.
    ///
    /// - Parameters:
    ///   - network: how the other coordinators are reached; nil where there are none, and never will be.
    ///   - founders: the voters that the cluster began with; nobody when this node joined it. Of no interest once a snapshot says who there is.
    package init(
        folder: DataFolder, disk: any Disk, settings: Settings, telemetry: Telemetry, seed: UInt64, network: RaftDriver.Network? = nil,
        founders: [NodeID]? = nil
    ) throws(StorageError) {
        let began = telemetry.clock.now
        clock = telemetry.clock
        self.disk = disk
        path = folder.path
        let node = folder.identity.node
        let raft = RaftDriver(
            node: node, folder: folder.path + "/raft", disk: disk, settings: settings.raft, network: network, telemetry: telemetry)
        let history = try HistoryStore(disk: disk, folder: folder.path + "/history", settings: settings.history, telemetry: telemetry)
        if let network { directory = network.directory } else { directory = try Self.alone(node, folder, disk, telemetry) }
        let historyEnd = history.lastIndex
        let raftFolder = folder.path + "/raft/log"
        if history.unreadableBytes > 0 {
            let text = "\(history.unreadableBytes) bytes of the history cannot be read; what they held is missing from lists"
            telemetry.events.emit("history.damaged", subject: folder.path + "/history", severity: .error, text)
            telemetry.health.set("history", .degraded, reason: text)
        }
        let metrics = CoordinatorMetrics(telemetry.metrics)
        let dedup = DedupWindow(age: settings.dedupAge, limit: settings.dedupKeys)
        let replica = ReplicaApplier(cluster: folder.identity.cluster, dedup: dedup, history: history)
        let mailbox = LoopBox()
        var installed = LogIndex.zero
        let replay = Replay(replica)
        let started = try raft.start(
            founders: founders ?? [node],
            restore: { manifest, bytes throws(StorageError) in
                guard manifest.featureLevel <= CommandCodec.featureLevel else {
                    throw .newerFormat(
                        path: folder.path + "/raft/snapshots", found: "feature level \(manifest.featureLevel)",
                        supported: Int(CommandCodec.featureLevel))
                }
                try replica.restore(bytes, at: manifest.position.index)
                if manifest.isInstalled { installed = manifest.position.index }
            },
            replay: { entry throws(StorageError) in try replay.apply(entry) },
            accept: { recovery throws(StorageError) in
                try replay.finish()
                // The history is written from what is committed: it can never be ahead of the log.
                guard recovery.last.index < historyEnd else { return }
                throw StorageError.gap(path: raftFolder, expected: historyEnd, found: recovery.last.index)
            },
            observer: .init(
                committed: { index in mailbox.put { $0.didCommit(index) } }, restored: { _ in mailbox.put { $0.didRestore() } },
                role: { role in mailbox.put { $0.didChange(role) } }, failed: { error in mailbox.put { $0.didFail(error) } }))
        try replay.finish()
        try history.flush()
        // The node may have ended before that was written down.
        if historyEnd < installed { try history.noteGap(after: .zero, through: installed) }
        let state = replica.state
        let (catalog, unreadable) = Catalog.compile(state)
        for key in unreadable {
            telemetry.events.emit(
                "catalog.unreadable", subject: key.name, severity: .error, "\(key.kind) '\(key.name)' cannot be read by this program")
        }
        loop = CoordinatorLoop(
            view: .init(state: state, catalog: catalog), raft: raft, history: history, telemetry: telemetry, metrics: metrics,
            holdsTimers: TimersHold.isSet(folder.path, disk: disk), lease: settings.lease)
        let forwarding = ForwardMetrics(telemetry.metrics)
        var sessions = SeededGenerator(seed: seed ^ 0x5E55_104E)
        intake = Intake(
            loop: loop,
            forwarder: IntakeForwarder(
                raft: raft, directory: directory, telemetry: telemetry, metrics: forwarding, session: sessions.next()),
            telemetry: telemetry, metrics: metrics, environment: settings.environment, limits: settings.intake,
            openRuns: settings.limits.openRuns, seed: seed ^ 0x1274_4E)
        forwardDoor = ForwardDoor(intake: intake, loop: loop, directory: directory, telemetry: telemetry, metrics: forwarding)
        recovery = Recovery(
            entries: started.recovery.entries, snapshotIndex: replica.snapshotIndex, openRuns: state.runs.count,
            took: telemetry.clock.now.duration(since: began), cutAt: started.recovery.cut.map { "\($0.path):\($0.offset)" })
        self.history = history
        let (loop, intake) = (loop, intake)
        historyServing = HistoryServing(history: history, raft: raft, directory: directory, telemetry: telemetry) {
            loop.current.state.applied
        }
        historyFetch = HistoryFetch(
            history: history, raft: raft, directory: directory, telemetry: telemetry, settings: settings.historyFetch,
            refusing: { intake.refusing() })
        self.raft = raft
        self.metrics = metrics
        let (directory, level) = (directory, CommandCodec.featureLevel)
        let announced: @Sendable () -> [NodeID: UInt16] = {
            Dictionary(
                uniqueKeysWithValues: raft.status.voters.map { ($0, $0 == node ? level : directory.facts($0)?.featureLevel ?? 0) })
        }
        mailbox.connect(loop)
        loop.run(
            LoopThread(
                loop: loop, applier: replica,
                plan: .init(
                    seed: seed, environment: settings.environment, limits: settings.limits, scheduling: settings.scheduling,
                    announced: announced)))
        raft.connect()
    }

    private static func alone(_ node: NodeID, _ folder: DataFolder, _ disk: any Disk, _ telemetry: Telemetry) throws(StorageError)
        -> PeerDirectory
    {
        var hello = Hello()
        hello.node = node
        hello.cluster = folder.identity.cluster
        return try PeerDirectory(
            own: OwnHello(hello), node: node, disk: disk, path: folder.path + "/raft/peers", clock: telemetry.clock)
    }

    /// What must not stand still here: the thread that plans, and the disk under the log.
    package var probes: [StallWatch.Probe] {
        let (loop, raft, clock) = (loop, raft, clock)
        return [
            .init("planner", "the planner's thread", .asks { loop.probe($0) }),
            .init("raft-log", "the disk under the log", .tells { raft.writesSince.map { clock.now.duration(since: $0) } }),
        ]
    }

    /// Before a node that leads stops: another one takes over, so that nobody has to notice that it is gone. Does not wait for long.
    package func handOver() async {
        let status = raft.status
        guard status.isLeader, status.voters.count > 1 else { return }
        let transfer = Task { [raft] in _ = try? await raft.transfer(to: nil) }
        let patience = Task { try? await Task.sleep(for: Self.patience) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await transfer.value }
            group.addTask { await patience.value }
            await group.next()
            patience.cancel()
            // Who waits for the transfer is let go when the driver is closed.
            group.cancelAll()
            raft.letAskersGo()
        }
    }

    private static let patience = Duration.seconds(1)

    /// Lets timers fire that were held back since a backup was restored, also after the next start.
    ///
    /// - Returns: whether they were held.
    package func resumeTimers() throws(StorageError) -> Bool {
        try TimersHold.clear(path, disk: disk)
        return loop.resumeTimers()
    }

    /// Makes all that was acknowledged durable (it is already), stops planning, and closes the files.
    package func stop() {
        loop.stop()
        raft.close()
        history.close()
    }
}

/// Holds what the log says until there is somebody to tell, in order.
private final class LoopBox: Sendable {
    private struct State {
        var loop: CoordinatorLoop?
        var news: [@Sendable (CoordinatorLoop) -> Void] = []
    }

    private let state = Mutex(State())

    func put(_ news: @escaping @Sendable (CoordinatorLoop) -> Void) {
        state.withLock { state in
            if let loop = state.loop { news(loop) } else { state.news.append(news) }
        }
    }

    func connect(_ loop: CoordinatorLoop) {
        state.withLock { state in
            state.loop = loop
            for item in state.news { item(loop) }
            state.news = []
        }
    }
}
