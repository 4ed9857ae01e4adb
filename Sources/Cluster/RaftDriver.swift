package import Observability
package import Primitives
import Raft
package import Storage
import Synchronization

/// Runs one server's `RaftCore` on a disk: performs its effects in order and tells what was committed.
package final class RaftDriver: Sendable {
    /// How the log is kept.
    package struct Settings: Equatable, Sendable {
        /// Size of one log file.
        package var segmentBytes = 16 << 20
        /// A snapshot is taken when the log grew by this much, or by the size of the last snapshot if that is more.
        package var snapshotBytes = 64 << 20
        package init() {}
    }

    /// What happens to the log; called on the log's thread.
    package struct Observer: Sendable {
        package var committed: @Sendable (LogIndex) -> Void
        package var failed: @Sendable (StorageError) -> Void

        package init(committed: @escaping @Sendable (LogIndex) -> Void, failed: @escaping @Sendable (StorageError) -> Void) {
            self.committed = committed
            self.failed = failed
        }
    }

    /// What is known of the consensus here.
    package struct Status: Equatable, Sendable {
        package var role: String
        package var term: Term
        package var lastIndex: LogIndex
        package var commitIndex: LogIndex
        package var logBytes: Int
    }

    private struct Running {
        var core: RaftCore
        var thread: LogThread
    }

    package let node: NodeID
    package let settings: Settings
    package let snapshots: SnapshotStore
    private let disk: any Disk
    private let folder: String
    private let telemetry: Telemetry
    private let running = Mutex<Running?>(nil)
    private let bytesSinceSnapshot = Atomic<Int>(0)
    private let lastSnapshotBytes = Atomic<Int>(0)
    private let fsyncs: Histogram
    private let entries: Counter
    private let leaderChanges: Counter

    package init(node: NodeID, folder: String, disk: any Disk, settings: Settings, telemetry: Telemetry) {
        self.node = node
        self.folder = folder
        self.disk = disk
        self.settings = settings
        self.telemetry = telemetry
        snapshots = SnapshotStore(disk: disk, folder: folder + "/snapshots")
        let metrics = telemetry.metrics
        fsyncs = metrics.histogram("distric_raft_fsync_duration_seconds", "Time to write and sync one group of log entries.")
        entries = metrics.counter("distric_raft_entries_total", "Log entries made durable here.")
        leaderChanges = metrics.counter("distric_raft_leader_changes_total", "Times that this node saw a new leader.")
    }

    /// Reads snapshot and log: `restore` gets the snapshot's bytes (nil when there is none) and answers with the position they stand for; `replay`
    /// gets every entry after it; `accept` may refuse what came out, before anything is written. Then campaigns, and leads when it returns: entries of the term can be proposed.
    package func start(
        restore: (SnapshotStore.Manifest, [UInt8]) throws(StorageError) -> Void, replay: (LogEntry) throws(StorageError) -> Void,
        accept: (SegmentedLog.Recovery) throws(StorageError) -> Void, observer: Observer
    ) throws(StorageError) -> (recovery: SegmentedLog.Recovery, term: Term, next: LogIndex) {
        try disk.makeFolder(folder)
        if !disk.exists(folder + "/vote"), try disk.list(folder + "/log").contains(where: { $0.hasSuffix(".log") }) {
            throw .damaged(
                path: folder + "/vote", offset: 0, reason: "it is missing, though there is a log: a vote could be given twice in one term")
        }
        let votes = try HardStateFile(disk: disk, path: folder + "/vote")
        defer { votes.close() }
        var base = SegmentedLog.Position.start
        if let (manifest, bytes) = try snapshots.newest() {
            base = manifest.position
            lastSnapshotBytes.store(manifest.bytes, ordering: .relaxed)
            try restore(manifest, bytes)
        }
        // Compaction leaves the last file, whatever the snapshot: no file at all is a loss.
        if base.index > .zero, try !disk.list(folder + "/log").contains(where: { $0.hasSuffix(".log") }) {
            throw .gap(path: folder + "/log", expected: base.index, found: .zero)
        }
        let log = SegmentedLog(disk: disk, folder: folder + "/log", segmentBytes: settings.segmentBytes)
        let recovery = try log.open(from: base) { record throws(StorageError) in try replay(record.entry) }
        try accept(recovery)
        bytesSinceSnapshot.store(recovery.bytes, ordering: .relaxed)
        let state = HardState(term: max(votes.state.term, recovery.last.term), vote: votes.state.vote)
        var core = RaftCore(
            id: node, hardState: state, lastIndex: recovery.last.index, lastTerm: recovery.last.term, commitIndex: base.index)
        for case .persist(let hardState) in core.handle(.start) { try votes.persist(hardState) }
        guard core.handle(.hardStateDurable).contains(.lead(core.term)) else { throw .closed }
        let term = core.term
        let thread = LogThread(log: log, clock: telemetry.clock, observer: logObserver(observer))
        running.withLock { $0 = Running(core: core, thread: thread) }
        leaderChanges.increment()
        register()
        _ = append([(.leaderStart, [])])
        return (recovery, term, recovery.last.index.next.next)
    }

    private func logObserver(_ observer: Observer) -> LogThread.Observer {
        LogThread.Observer(
            durable: { [weak self] index in
                guard let self else { return }
                for case .commit(let index) in self.handle(.durable(index)) { observer.committed(index) }
            },
            failed: { [telemetry] error in
                telemetry.health.set("storage", .down, reason: error.description)
                telemetry.events.emit("storage.failed", subject: telemetry.node.text, severity: .error, error.description)
                observer.failed(error)
            },
            wrote: { [weak self] count, bytes, took in
                self?.fsyncs.observe(took)
                self?.entries.increment(by: count)
                self?.bytesSinceSnapshot.add(bytes, ordering: .relaxed)
            })
    }

    private func handle(_ event: RaftCore.Event) -> [RaftCore.Effect] {
        running.withLock { $0?.core.handle(event) ?? [] }
    }

    /// Appends payloads of the state machine; returns the first one's index, or nil when this server does not lead (any more).
    package func propose(_ payloads: [[UInt8]]) -> LogIndex? { append(payloads.map { (.commands, $0) }) }

    private func append(_ payloads: [(LogEntry.Kind, [UInt8])]) -> LogIndex? {
        running.withLock { running in
            guard running?.core.role == .leader else { return nil }
            guard case .append(let term, let first, _)? = running?.core.handle(.propose(count: payloads.count)).first else { return nil }
            let entries = payloads.enumerated().map { offset, payload in
                LogEntry(index: LogIndex(first.number + UInt64(offset)), term: term, kind: payload.0, payload: payload.1)
            }
            return running?.thread.append(entries) == true ? first : nil
        }
    }

    /// Since when the log's disk has been at one group of entries; nil while it has none.
    package var writesSince: Instant? { running.withLock { $0?.thread.busySince } }

    /// Whether enough was logged since the last snapshot for another.
    package var wantsSnapshot: Bool {
        bytesSinceSnapshot.load(ordering: .relaxed) > max(settings.snapshotBytes, lastSnapshotBytes.load(ordering: .relaxed))
    }

    /// A snapshot of this size stands for everything up to `index`.
    package func didTakeSnapshot(through index: LogIndex, bytes: Int) {
        bytesSinceSnapshot.store(0, ordering: .relaxed)
        lastSnapshotBytes.store(bytes, ordering: .relaxed)
        running.withLock { $0?.thread.compact(through: index) }
    }

    package var status: Status {
        running.withLock { running in
            guard let core = running?.core else {
                return Status(role: "follower", term: Term(0), lastIndex: .zero, commitIndex: .zero, logBytes: 0)
            }
            return Status(
                role: core.role.rawValue, term: core.term, lastIndex: core.lastIndex, commitIndex: core.commitIndex,
                logBytes: bytesSinceSnapshot.load(ordering: .relaxed))
        }
    }

    private func register() {
        let metrics = telemetry.metrics
        metrics.computed(.gauge, "distric_raft_term", "Current Raft term.") { [weak self] in Double(self?.status.term.number ?? 0) }
        metrics.computed(.gauge, "distric_raft_commit_index", "Highest committed log index.") { [weak self] in
            Double(self?.status.commitIndex.number ?? 0)
        }
        metrics.computed(.gauge, "distric_raft_last_index", "Highest log index.") { [weak self] in
            Double(self?.status.lastIndex.number ?? 0)
        }
        metrics.computed(.gauge, "distric_raft_is_leader", "1 when this node leads.") { [weak self] in self?.status.role == "leader" ? 1 : 0
        }
        metrics.computed(.gauge, "distric_raft_log_bytes", "Bytes logged since the last snapshot.") { [weak self] in
            Double(self?.status.logBytes ?? 0)
        }
    }

    /// Makes what was proposed durable and stops.
    package func close() {
        let thread = running.withLock { running in
            defer { running = nil }
            return running?.thread
        }
        thread?.close()
    }
}
