package import NIOCore
package import Observability
package import Primitives
package import Raft
package import Storage
import Synchronization
package import Transport
package import Wire

/// Runs one server's `RaftCore`: its log on a thread of its own, the other servers over connections and its timers on an event loop. The core lies behind a lock that
/// is held for an event at a time, so that whoever brings one (the planner a proposal, the log's thread a ticket, the loop a message) does what it causes itself and
/// wakes nobody for it.
package final class RaftDriver: Sendable {
    /// How the log is kept, and how long others are waited for.
    package struct Settings: Equatable, Sendable {
        /// Size of one log file.
        package var segmentBytes = 16 << 20
        /// A snapshot is taken when the log grew by this much, or by the size of the last snapshot if that is more.
        package var snapshotBytes = 64 << 20
        package var raft = Self.raft
        /// Bytes that may wait for one other server.
        package var linkBytes = 16 << 20
        package init() {}

        /// Followers hear of what was committed with the next entries, or soon: half the messages, and half the times that each of them is woken.
        private static var raft: RaftSettings {
            var raft = RaftSettings()
            raft.commitDelay = .milliseconds(2)
            return raft
        }
    }

    /// What happens to the log, in order; called by whoever brought the event, who holds the lock: it must hand over and return.
    package struct Observer: Sendable {
        package var committed: @Sendable (LogIndex) -> Void
        /// The state machine is to be loaded from the newest snapshot.
        package var restored: @Sendable (SnapshotMark) -> Void
        package var role: @Sendable (RoleNews) -> Void
        package var failed: @Sendable (StorageError) -> Void

        package init(
            committed: @escaping @Sendable (LogIndex) -> Void, restored: @escaping @Sendable (SnapshotMark) -> Void = { _ in },
            role: @escaping @Sendable (RoleNews) -> Void = { _ in }, failed: @escaping @Sendable (StorageError) -> Void
        ) {
            (self.committed, self.restored, self.role, self.failed) = (committed, restored, role, failed)
        }
    }

    package enum RoleNews: Equatable, Sendable {
        /// This server leads; whoever has applied the entry knows all that was committed before.
        case leads(Term, from: LogIndex)
        case follows
    }

    /// What became of payloads that were proposed.
    package enum Proposed: Equatable, Sendable {
        case taken
        /// The log goes on elsewhere than whoever proposed thought: nothing was taken.
        case moved(next: LogIndex)
        case refused(RaftRefusal)
        case stopped
    }

    /// How a server comes up.
    package struct Started: Sendable {
        package var recovery: SegmentedLog.Recovery
        package var snapshotIndex: LogIndex
        /// Set when it is alone, and leads.
        package var leads: (term: Term, from: LogIndex)?
    }

    /// Where the other servers are, and how they are reached; nil where a server is alone for good.
    package struct Network: Sendable {
        package var loop: any EventLoop
        package var hello: OwnHello
        package var tls: TLSSource?
        package var faults: LinkFaults?
        package var directory: PeerDirectory

        package init(loop: any EventLoop, hello: OwnHello, tls: TLSSource?, faults: LinkFaults?, directory: PeerDirectory) {
            (self.loop, self.hello, self.tls, self.faults, self.directory) = (loop, hello, tls, faults, directory)
        }
    }

    package let node: NodeID
    package let settings: Settings
    package let snapshots: SnapshotStore
    let disk: any Disk
    let folder: String
    let telemetry: Telemetry
    let network: Network?
    let peers: RaftPeers?
    let running = Mutex<RunningRaft?>(nil)
    /// Set while it starts, before anything can happen.
    let observer = Mutex<Observer?>(nil)
    let bytesSinceSnapshot = Atomic<Int>(0)
    let lastSnapshotBytes = Atomic<Int>(0)
    let events: RaftEvents
    /// Of proposals that are traced.
    package let proposals: ProposalSpans
    /// Of snapshots whose last chunk was written, until the core is told.
    private let received = Mutex<[(mark: SnapshotMark, isWhole: Bool)]>([])

    package init(node: NodeID, folder: String, disk: any Disk, settings: Settings, network: Network? = nil, telemetry: Telemetry) {
        self.node = node
        self.folder = folder
        self.disk = disk
        self.settings = settings
        self.network = network
        self.telemetry = telemetry
        snapshots = SnapshotStore(disk: disk, folder: folder + "/snapshots")
        events = RaftEvents(node: node, telemetry: telemetry)
        proposals = ProposalSpans(telemetry.spans)
        peers = network.map {
            RaftPeers(node: node, network: $0, chunkBytes: settings.raft.chunkBytes, limit: settings.linkBytes, telemetry: telemetry)
        }
        // There from the beginning, at 0.
        _ = rollbacks
    }

    // MARK: Starting

    /// Reads snapshot and log. `restore` gets the snapshot's bytes; `replay` gets the entries after it of which it is known that they are committed: those of a server
    /// that is alone. `accept` may refuse what came out, before anything is written. A server that is alone leads when it returns.
    ///
    /// - Parameter founders: the voters that the cluster began with; nobody when this server is to join one.
    package func start(
        founders: [NodeID], restore: (SnapshotStore.Manifest, [UInt8]) throws(StorageError) -> Void,
        replay: (LogEntry) throws(StorageError) -> Void, accept: (SegmentedLog.Recovery) throws(StorageError) -> Void, observer: Observer
    ) throws(StorageError) -> Started {
        try disk.makeDurableFolder(folder)
        let (company, newest) = try company(founders: founders)
        let (base, isAlone) = (company.base, company.isAlone)
        if let (manifest, bytes) = newest {
            lastSnapshotBytes.store(manifest.bytes, ordering: .relaxed)
            try restore(manifest, bytes)
        }
        try noteLostLog(company, newest?.0)
        var isReplaying = isAlone
        var mark = try newest.map { newest throws(StorageError) in try RaftStorage.mark(newest.0, folder: folder) }
        if mark?.configuration.isEmpty == true { mark?.configuration = base }
        let raft = settings.raft.validated()
        var log = RaftLog(base: mark?.index ?? .zero, term: mark?.term ?? Term(0), configuration: mark?.configuration ?? base)
        let (storage, found) = try RaftStorage.open(
            disk: disk, folder: folder, segmentBytes: settings.segmentBytes, chunkBytes: settings.raft.chunkBytes, repairing: !isAlone,
            joins: founders.isEmpty, snapshots: snapshots
        ) { entry throws(StorageError) in
            if entry.kind == .configuration, Configuration(payload: entry.payload)?.voters != [node] { isReplaying = false }
            log.restore(entry, keeping: raft.keptBytes)
            if isReplaying { try replay(entry) }
        }
        if log.lastIndex > found.recovery.last.index { log.truncate(after: found.recovery.last.index) }
        let kept = try keptCommit()
        var distrust = found.distrust
        // A log that is to be repaired is behind whatever was written from it.
        if distrust == nil, let reason = try missing(company, log, found.recovery, kept, accept) {
            try RaftStorage.record(reason, folder: folder, disk: disk)
            distrust = reason
        }
        bytesSinceSnapshot.store(found.recovery.bytes, ordering: .relaxed)
        var core = RaftCore(
            id: node, settings: raft, hardState: found.hardState, snapshot: mark, configuration: base,
            isRecovering: distrust != nil, seed: Self.randomSeed, now: telemetry.clock.now)
        core.restore(log)
        if let kept { core.restoreCommit(kept.index, term: kept.term) }
        if let reason = distrust { events.distrusts(reason) }
        core.started(now: telemetry.clock.now)
        var leads: (Term, LogIndex)?
        if core.configuration == Configuration(voters: [node]), !core.isRecovering {
            try win(&core, storage)
            leads = (core.term, core.log.lastIndex)
        }
        try FolderID.begin(parentFolder(of: folder), disk: disk)
        self.observer.withLock { $0 = observer }
        let thread = LogThread(log: storage.log, votes: storage.votes, clock: telemetry.clock, observer: logObserver)
        events.begin(core, leads: leads != nil)
        running.withLock { $0 = RunningRaft(core: core, thread: thread, storage: RunningRaft.OwnedStorage(storage)) }
        if let (term, index) = leads { observer.role(.leads(term, from: index)) }
        if core.commitIndex > .zero { observer.committed(core.commitIndex) }
        register()
        return Started(recovery: found.recovery, snapshotIndex: found.snapshot?.index ?? .zero, leads: leads)
    }

    /// Another one for each start, as the core wants it.
    private static var randomSeed: UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    /// Campaigns and leads before anybody may propose: the only vote is its own (Raft section 5.2), and its first entry commits what came before.
    private func win(_ core: inout RaftCore, _ storage: RaftStorage) throws(StorageError) {
        let writer = LogWriter(storage.log, storage.votes, clock: telemetry.clock, observer: .silent)
        var output = RaftOutput()
        core.handle(.tick, now: telemetry.clock.now, into: &output)
        while let last = output.writes.last {
            try writer.perform(output.writes.map { (ticket: $0.ticket, operations: storage.operations(of: $0)) })
            output.clear()
            core.handle(.stored(ticket: last.ticket), now: telemetry.clock.now, into: &output)
        }
        precondition(core.role == .leader && core.commitIndex == core.log.lastIndex, "a server alone that does not lead")
    }

    /// Begins to talk to the others, and to keep time.
    package func connect() {
        guard let network, let peers else { return }
        network.directory.setConnected { [weak peers] in peers?.isConnected($0) ?? false }
        network.loop.execute { [self] in
            peers.driver = self
            followMembers()
        }
        network.directory.whenChanged { [weak self] in
            guard let self else { return }
            network.loop.execute { self.followMembers() }
        }
        running.withLock { $0?.schedule(self) }
    }

    /// Makes what was proposed durable and stops.
    package func close() {
        var stopped = running.withLock { running in
            defer { running = nil }
            return running
        }
        if let network, let peers { network.loop.execute { peers.closeAll() } }
        stopped?.refuseAll()
        stopped?.thread.close()
    }

    // MARK: Events

    func handle(_ event: RaftCore.Event) { locked { $0?.take(event, self) } }

    /// What is to be sent is sent by the loop, which is woken once the lock is free.
    func locked<T>(_ body: (inout RunningRaft?) -> T) -> T {
        let (result, wakes) = running.withLock { running in
            let result = body(&running)
            return (result, running?.takeWake() ?? false)
        }
        if wakes { network?.loop.execute { self.flush() } }
        return result
    }

    /// A frame of Raft's from a server that is who it says it is.
    package func receive(_ frame: Frame, from peer: NodeID?) throws(CallError) {
        let incoming: RaftCodec.Incoming?
        do throws(WireError) { incoming = try RaftCodec.decode(frame) } catch {
            throw CallError(.invalid, "\(frame.header.type): \(error)")
        }
        guard let incoming else { return }
        guard incoming.from == peer else {
            throw CallError(.denied, "\(peer?.text ?? "no node") sends a message of '\(incoming.from)'")
        }
        handle(.message(incoming.message, from: incoming.from))
    }

    func tick(due: Instant) {
        locked { $0?.tick(due: due, self) }
    }

    /// On the loop: all that is to be sent, in one go.
    func flush() {
        guard let peers else { return }
        let messages = running.withLock { $0?.takeOutgoing() ?? [] }
        peers.send(messages)
    }

    /// On the loop: links to all who belong to the group, or are on their way out of it.
    func followMembers() {
        guard let peers else { return }
        let members = running.withLock { running -> [NodeID] in
            guard let core = running?.core else { return [] }
            return core.configuration.members + core.progress.map(\.id) + (core.leader.map { [$0] } ?? [])
        }
        network?.directory.note(members: members)
        peers.follow(members)
    }

    // MARK: The log's thread

    private var logObserver: LogThread.Observer {
        LogThread.Observer(
            durable: { _ in },
            failed: { [weak self] error in self?.failed(error) },
            wrote: { [weak self] count, bytes, took in
                self?.events.wrote(count, took)
                self?.bytesSinceSnapshot.add(bytes, ordering: .relaxed)
            },
            stored: { [weak self] ticket in
                guard let self else { return }
                trustIfDurable(ticket)
                handle(.stored(ticket: ticket))
                for item in takeReceived() { handle(.snapshotReceived(item.mark, isWhole: item.isWhole)) }
            })
    }

    func failed(_ error: StorageError) {
        telemetry.health.set("storage", .down, reason: error.description)
        telemetry.events.emit("storage.failed", subject: telemetry.node.text, severity: .error, error.description)
        observer.withLock { $0 }?.failed(error)
    }

    private func takeReceived() -> [(mark: SnapshotMark, isWhole: Bool)] {
        received.withLock { received in
            defer { received = [] }
            return received
        }
    }

    func didReceive(_ mark: SnapshotMark, isWhole: Bool) { received.withLock { $0.append((mark, isWhole)) } }

    /// What makes it good is durable: from here on the server may forget that it lost anything. On the log's thread.
    private func trustIfDurable(_ ticket: UInt64) {
        let storage = running.withLock { running -> RunningRaft.OwnedStorage? in
            guard let wanted = running?.trustTicket, wanted <= ticket else { return nil }
            running?.trustTicket = nil
            return running?.storage
        }
        guard let storage else { return }
        do throws(StorageError) { try storage.trust() } catch { failed(error) }
    }
}
