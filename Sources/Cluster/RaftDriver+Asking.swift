import Observability
package import Primitives
package import Raft
package import Storage
import Synchronization
import Transport

extension RaftDriver {
    // MARK: Proposing

    /// Appends payloads of the state machine where the log ends, if it ends where whoever proposes thinks, in the term that it leads in.
    package func propose(_ payloads: [[UInt8]], at index: LogIndex, term: Term) -> Proposed {
        locked { $0?.propose(payloads, at: index, term: term, self) ?? .stopped }
    }

    // MARK: Asking

    /// Once this is applied, a read sees all that was acknowledged before it was asked for (thesis section 6.4); on any server.
    package func readIndex() async throws(RaftRefusal) -> LogIndex {
        try await asking { waiting in ask(.read(waiting)) { .read(id: $0) } }
    }

    /// The same; nil when it has not come in time.
    package func readIndex(within patience: Duration) async -> LogIndex? {
        let read = await outcome(within: patience) { [self] () async throws(RaftRefusal) in try await readIndex() }
        return try? read?.get()
    }

    /// The voters and learners that there should be.
    ///
    /// - Returns: where the change was put into the log: it goes on from there by itself, `status` tells how far it is.
    package func change(voters: [NodeID], learners: [NodeID], basedOn: LogIndex?) async throws(RaftRefusal) -> LogIndex {
        try await asking { waiting in
            ask(.change(waiting)) { .change(id: $0, voters: voters, learners: learners, basedOn: basedOn) }
        }
    }

    /// Hands leadership on, to whoever has most of the log when nobody is named; returns who leads then.
    package func transfer(to successor: NodeID?) async throws(RaftRefusal) -> NodeID {
        try await asking { waiting in ask(.transfer(waiting)) { .transfer(id: $0, to: successor) } }
    }

    /// Answers all who wait for something, before this server stops: what they wait for may still come about.
    package func letAskersGo() { running.withLock { $0?.refuseAll() } }

    /// As `transfer`, for whoever does not wait.
    package func handOver() { handle(.transfer(id: 0, to: nil)) }

    private func asking<T: Sendable>(
        _ body: (CheckedContinuation<Result<T, RaftRefusal>, Never>) -> Void
    ) async throws(RaftRefusal) -> T {
        let result = await withCheckedContinuation { body($0) }
        return try result.get()
    }

    private func ask(_ ask: RunningRaft.Ask, _ event: (UInt64) -> RaftCore.Event) {
        let isRunning = locked { running in
            running?.ask(ask, self, event)
            return running != nil
        }
        if !isRunning { ask.refuse(.notLeader(hint: nil)) }
    }

    // MARK: The log

    /// Committed entries after one, from memory or from the disk; not on the log's thread. Empty when they are not in the log any more: a snapshot has
    /// taken their place, of which the observer is told.
    package func entries(after index: LogIndex, through last: LogIndex, maxBytes: Int = 4 << 20) throws(StorageError) -> [LogEntry] {
        guard index < last else { return [] }
        let (kept, thread) = running.withLock { running in
            (running?.core.log.entries(from: index.next, through: last, maxBytes: maxBytes), running?.thread)
        }
        if let kept { return kept }
        guard let thread else { throw .closed }
        let answer = Mailbox<Result<[LogEntry], StorageError>>(limit: 1)
        guard thread.read(from: index.next, through: last, maxBytes: maxBytes, answer: { answer.force($0) }),
            let result = answer.take(timeout: nil)?.first
        else { throw .closed }
        do throws(StorageError) { return try result.get() } catch {
            if case .gap = error, running.withLock({ $0.map { $0.core.log.base > index } ?? false }) { return [] }
            throw error
        }
    }

    /// Since when the log's disk has been at one group of entries; nil while it has none.
    package var writesSince: Instant? { running.withLock { $0?.thread.busySince } }

    // MARK: Snapshots

    /// Whether enough was logged since the last snapshot for another.
    package var wantsSnapshot: Bool {
        bytesSinceSnapshot.load(ordering: .relaxed) > max(settings.snapshotBytes, lastSnapshotBytes.load(ordering: .relaxed))
    }

    /// Writes a snapshot of the state machine as it was after an entry that is applied, then drops the log that it stands for. Not on the log's thread.
    ///
    /// - Returns: its bytes; nil when there is a newer one already.
    package func save(
        index: LogIndex, digest: StateDigest, featureLevel: UInt16, pieces: () -> [UInt8]?
    ) throws(StorageError) -> Int? {
        let (found, base, thread, storage) = running.withLock { running in
            (
                running.map {
                    ($0.core.log.term(at: index), $0.core.log.configuration(at: index), min($0.core.commitIndex, $0.core.durableIndex))
                },
                running?.core.log.base, running?.thread, running?.storage
            )
        }
        guard let thread, let storage, let base else { throw .closed }
        // What a server that was alone has replayed may not be committed among several yet.
        guard let (term, configuration, committed) = found, let term, index > base || base == .zero, index <= committed else { return nil }
        let answer = Mailbox<UInt64?>(limit: 1)
        // When its thread ends nobody answers, and who waits is let go with the box.
        guard thread.perform({ () throws(StorageError) in answer.force(try storage.chain(at: index)) }),
            let found = answer.take(timeout: .seconds(60))?.first
        else { throw .closed }
        // A snapshot from the leader has taken the place of the log meanwhile.
        guard let chain = found else { return nil }
        let grown = bytesSinceSnapshot.load(ordering: .relaxed)
        let written = try snapshots.write(
            SnapshotStore.Manifest(
                position: .init(index: index, term: term, chain: chain), digest: digest, featureLevel: featureLevel,
                configuration: configuration.description), next: pieces)
        bytesSinceSnapshot.subtract(grown, ordering: .relaxed)
        lastSnapshotBytes.store(written.bytes, ordering: .relaxed)
        handle(.snapshotTaken(try RaftStorage.mark(written, folder: folder)))
        return written.bytes
    }

    // MARK: What is known

    /// Who leads, as far as is known here: less to ask for than `status`.
    package var isAlone: Bool {
        running.withLock { $0.map { $0.core.configuration.voters == [node] && !$0.core.configuration.isJoint } ?? true }
    }
    package var leader: NodeID? {
        running.withLock { running in running.flatMap { $0.core.role == .leader ? node : $0.core.leader } }
    }

    package var status: RaftStatus {
        running.withLock { running in
            guard let core = running?.core else { return RaftStatus(node: node) }
            return status(of: core, heard: running?.heard ?? [:])
        }
    }

    private func status(of core: borrowing RaftCore, heard: [NodeID: Instant]) -> RaftStatus {
        var status = RaftStatus(node: node)
        let (configuration, now) = (core.configuration, telemetry.clock.now)
        (status.role, status.term, status.leader) = (core.role.rawValue, core.term, core.role == .leader ? node : core.leader)
        (status.lastIndex, status.durableIndex, status.commitIndex) = (core.log.lastIndex, core.durableIndex, core.commitIndex)
        status.snapshotIndex = core.snapshot?.index ?? .zero
        status.firstIndex = core.log.base.next
        status.logBytes = bytesSinceSnapshot.load(ordering: .relaxed)
        (status.voters, status.learners, status.outgoing) = (configuration.voters, configuration.learners, configuration.outgoing)
        status.target = configuration.target
        status.configurationIndex = core.log.configurationIndex
        status.isRecovering = core.isRecovering
        status.removedAt = removal(core)
        status.transferTo = core.transfer?.to
        status.elections = events.elections
        var seen: [NodeID] = []
        for member in configuration.members + core.progress.map(\.id) where member != node && !seen.contains(member) {
            seen.append(member)
            status.peers.append(peer(member, core, heard[member], now))
        }
        status.peers.sort { $0.node < $1.node }
        return status
    }

    private func peer(_ member: NodeID, _ core: borrowing RaftCore, _ heard: Instant?, _ now: Instant) -> RaftStatus.Peer {
        var peer = RaftStatus.Peer(node: member)
        peer.isVoter = core.configuration.isVoter(member)
        peer.isConnected = peers?.isConnected(member) ?? false
        // Whoever asks for votes is answered by all that it reaches: an open connection that brings nothing is none.
        if core.leader == nil, core.role != .leader {
            let silence = settings.raft.electionTimeout.lowerBound
            let isHeard = heard.map { telemetry.clock.coarseNow.duration(since: $0) < silence } ?? false
            peer.isConnected = peer.isConnected && isHeard
        }
        peer.address = network?.directory.facts(member)?.address.description
        guard core.role == .leader, let progress = core.progress.first(where: { $0.id == member }) else { return peer }
        switch progress.state {
        case .probe: peer.state = "probe"
        case .replicate: peer.state = "replicate"
        case .snapshot(let transfer):
            peer.state = "snapshot"
            (peer.snapshotChunks, peer.snapshotChunksOf) = (transfer.acknowledged, transfer.mark.chunks(of: settings.raft.chunkBytes))
        }
        (peer.matchIndex, peer.nextIndex) = (progress.matchIndex, progress.nextIndex)
        peer.lag = core.log.lastIndex.number - min(core.log.lastIndex.number, progress.matchIndex.number)
        (peer.inFlightMessages, peer.inFlightBytes) = (progress.inFlightCount, progress.inFlightBytes)
        peer.silentFor = progress.lastContact.map { now.duration(since: $0) }
        peer.isRecovering = progress.recovery != nil
        return peer
    }

    func register() {
        let metrics = telemetry.metrics
        func gauge(_ name: String, _ help: String, _ read: @escaping @Sendable (borrowing RaftCore) -> Double) {
            metrics.computed(.gauge, name, help) { [weak self] in self?.running.withLock { $0.map { read($0.core) } } ?? 0 }
        }
        gauge("distric_raft_term", "Current Raft term.") { Double($0.term.number) }
        gauge("distric_raft_commit_index", "Highest committed log index.") { Double($0.commitIndex.number) }
        gauge("distric_raft_last_index", "Highest log index.") { Double($0.log.lastIndex.number) }
        gauge("distric_raft_durable_index", "Highest log index on this node's disk.") { Double($0.durableIndex.number) }
        gauge("distric_raft_is_leader", "1 when this node leads.") { $0.role == .leader ? 1 : 0 }
        gauge("distric_raft_voters", "Voters of the configuration in force.") { Double($0.configuration.voters.count) }
        gauge("distric_raft_uncommitted_bytes", "Payload that was proposed here and is not committed.") { Double($0.uncommittedBytes) }
        gauge("distric_raft_peer_lag_entries", "Entries that the voter or learner furthest behind does not have; 0 unless this node leads.")
        { core in
            guard core.role == .leader else { return 0 }
            return Double(core.progress.map { core.log.lastIndex.number - min(core.log.lastIndex.number, $0.matchIndex.number) }.max() ?? 0)
        }
        gauge("distric_raft_in_flight_messages", "Messages with entries that wait for their answers; 0 unless this node leads.") { core in
            core.role == .leader ? Double(core.progress.reduce(0) { $0 + $1.inFlightCount }) : 0
        }
        metrics.computed(.gauge, "distric_raft_log_bytes", "Bytes logged since the last snapshot.") { [weak self] in
            Double(self?.bytesSinceSnapshot.load(ordering: .relaxed) ?? 0)
        }
    }
}
