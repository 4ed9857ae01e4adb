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
        var output = RaftOutput()
        var thread: LogThread
        let storage: OwnedStorage
        let clock: any NodeClock

        /// What the core wants of the disk goes to the log's thread; what else it wants is left in `output`.
        mutating func handle(_ event: RaftCore.Event) {
            output.clear()
            core.handle(event, now: clock.now, into: &output)
            for write in output.writes { thread.write(storage.operations(of: write), ticket: write.ticket) }
        }
    }

    /// Only what reads nothing of the disk is asked of it here: the files are the log's thread's.
    private struct OwnedStorage: @unchecked Sendable {
        private let storage: RaftStorage
        init(_ storage: RaftStorage) { self.storage = storage }
        func operations(of write: RaftOutput.Write) -> [LogThread.Operation] { storage.operations(of: write) }
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
        try disk.makeDurableFolder(folder)
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
        var entries: [(LogIndex, Term, LogEntry.Kind, [UInt8])] = []
        let (storage, found) = try RaftStorage.open(
            disk: disk, folder: folder, segmentBytes: settings.segmentBytes, chunkBytes: raftSettings.chunkBytes, repairing: false
        ) { entry throws(StorageError) in
            entries.append((entry.index, entry.term, entry.kind, entry.kind == .configuration ? entry.payload : []))
            try replay(entry)
        }
        let recovery = found.recovery
        try accept(recovery)
        bytesSinceSnapshot.store(recovery.bytes, ordering: .relaxed)
        var core = RaftCore(
            id: node, settings: raftSettings, hardState: found.hardState, snapshot: found.snapshot.map { alone($0) },
            configuration: Configuration(voters: [node]), seed: Self.randomSeed, now: telemetry.clock.now)
        // What was applied is not needed again: its place and term are.
        for (index, term, kind, payload) in entries {
            core.restore(LogEntry(index: index, term: term, kind: kind, payload: payload))
        }
        try win(&core, storage)
        let term = core.term
        let thread = LogThread(log: storage.log, votes: storage.votes, clock: telemetry.clock, observer: logObserver(observer))
        running.withLock { $0 = Running(core: core, thread: thread, storage: OwnedStorage(storage), clock: telemetry.clock) }
        leaderChanges.increment()
        register()
        return (recovery, term, core.log.lastIndex.next)
    }

    /// Another one for each start, as the core wants it.
    private static var randomSeed: UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    /// Nobody else has to be waited for, or sent anything.
    private var raftSettings: RaftSettings {
        var settings = RaftSettings()
        (settings.keptBytes, settings.tailEntries, settings.uncommittedBytes) = (0, 0, .max)
        return settings
    }

    /// A snapshot of a program that knew no configurations has that of one server.
    private func alone(_ mark: SnapshotMark) -> SnapshotMark {
        var mark = mark
        if mark.configuration.isEmpty { mark.configuration = Configuration(voters: [node]) }
        return mark
    }

    /// Campaigns and leads before anybody may propose: the only vote is its own (Raft section 5.2), and its first entry commits what came before.
    private func win(_ core: inout RaftCore, _ storage: RaftStorage) throws(StorageError) {
        let writer = LogWriter(storage.log, storage.votes, clock: telemetry.clock, observer: .silent)
        var output = RaftOutput()
        core.started(now: telemetry.clock.now)
        core.handle(.tick, now: telemetry.clock.now, into: &output)
        while let last = output.writes.last {
            try writer.perform(output.writes.map { (ticket: $0.ticket, operations: storage.operations(of: $0)) })
            output.clear()
            core.handle(.stored(ticket: last.ticket), now: telemetry.clock.now, into: &output)
        }
        precondition(core.role == .leader && core.commitIndex == core.log.lastIndex, "a server alone that does not lead")
    }

    private func logObserver(_ observer: Observer) -> LogThread.Observer {
        LogThread.Observer(
            durable: { _ in },
            failed: { [telemetry] error in
                telemetry.health.set("storage", .down, reason: error.description)
                telemetry.events.emit("storage.failed", subject: telemetry.node.text, severity: .error, error.description)
                observer.failed(error)
            },
            wrote: { [weak self] count, bytes, took in
                self?.fsyncs.observe(took)
                self?.entries.increment(by: count)
                self?.bytesSinceSnapshot.add(bytes, ordering: .relaxed)
            },
            stored: { [weak self] ticket in
                guard let self else { return }
                let commit = running.withLock { running in
                    running?.handle(.stored(ticket: ticket))
                    return running?.output.commit
                }
                if let commit { observer.committed(commit) }
            })
    }

    /// Appends payloads of the state machine; returns the first one's index, or nil when this server does not lead (any more).
    package func propose(_ payloads: [[UInt8]]) -> LogIndex? {
        running.withLock { running in
            running?.handle(.propose(id: 0, payloads))
            return running?.output.accepted.first?.first
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
        running.withLock { running in
            guard let core = running?.core, let term = core.log.term(at: index) else { return }
            let mark = SnapshotMark(
                index: index, term: term, chain: 0, configuration: core.configuration, bytes: UInt64(bytes), checksum: 0)
            running?.handle(.snapshotTaken(mark))
        }
    }

    package var status: Status {
        running.withLock { running in
            guard let core = running?.core else {
                return Status(role: "follower", term: Term(0), lastIndex: .zero, commitIndex: .zero, logBytes: 0)
            }
            return Status(
                role: core.role.rawValue, term: core.term, lastIndex: core.log.lastIndex, commitIndex: core.commitIndex,
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
