import Cluster
import Primitives
import Raft
import Storage

/// The invariants of design 6 that one event can break, looked at after it, of the server that it touched: R1 to R17, R20, R21 and C3. What reads must see (R18, R19) is looked at
/// where they are answered, what clients were told (C1, C2) in the history, whether all ends well (R22, R23) when the faults have.
struct RaftChecks {
    private struct Entry: Equatable {
        var term: Term
        /// Of kind and payload.
        var hash: UInt64
        /// Of the leader that committed it.
        var committedIn: Term
    }

    private struct Identity: Hashable {
        var term: UInt64
        var index: UInt64
    }

    private struct Ballot: Hashable {
        var voter: Int
        var term: UInt64
    }

    /// By term: who led (R1).
    private var leaders: [UInt64: Int] = [:]
    /// What was committed, by index - 1 (R5, R6).
    private var committed: [Entry] = []
    /// What every entry of a term and index is, and what was before it (R3).
    private var entries: [Identity: (hash: UInt64, previous: Term)] = [:]
    /// Whom each voted for in each term (R10).
    private var votes: [Ballot: NodeID] = [:]
    /// The state after each index, by index - 1 (R5, R20).
    private var states: [UInt64?] = []
    /// By index: of the bytes of its snapshot.
    private var snapshots: [UInt64: UInt64] = [:]
    private var lastLeader: Int?
    /// Each as it was after its last event.
    private var seen: [Seen]
    /// Every vote that was ever given: `votes` forgets those that nobody will count any more (R15).
    private var given: Set<Grant> = []
    var sessionLog = SessionLog()
    var promises = Promises()

    private struct Seen {
        var term = Term(0)
        var role = RaftCore.Role.follower
        var last = LogIndex.zero
        var configurationIndex = LogIndex.zero
    }

    private struct Grant: Hashable {
        var ballot: Ballot
        var candidate: NodeID
    }

    init(servers: Int) { seen = Array(repeating: Seen(), count: servers) }

    var committedIndex: LogIndex { LogIndex(UInt64(committed.count)) }

    static func bytes(of attempt: UInt64) -> [UInt8] { withUnsafeBytes(of: attempt.littleEndian) { Array($0) } }

    private static func hash(_ entry: LogEntry) -> UInt64 {
        var hasher = StableHasher(key: UInt64(entry.kind.rawValue))
        hasher.combine(entry.payload)
        return hasher.finish().low
    }

    // MARK: After an event

    mutating func handled(_ server: SimulatedServer, _ output: RaftOutput, isTick: Bool, in world: World) {
        guard let running = server.running else { return }
        let now = running.core.glance
        if now.term < server.term { world.fail("R9", "\(server.id) went from term \(server.term) to \(now.term)") }
        if now.commitIndex < server.commit {
            world.fail("R9", "\(server.id) took its commit back from \(server.commit) to \(now.commitIndex)")
        }
        server.term = now.term
        if now.commitIndex > now.lastIndex || now.base > now.commitIndex {
            world.fail("R12", "\(server.id): base \(now.base), commit \(now.commitIndex), last \(now.lastIndex)")
        }
        if now.lastTerm > now.term { world.fail("R9", "\(server.id) has an entry of term \(now.lastTerm) in term \(now.term)") }
        let before = seen[server.number]
        let wasLeader = before.role == .leader || now.role == .leader
        if before.role == .leader, now.role == .leader, before.term == now.term { appendsOnly(server, before.last, output, in: world) }
        for write in output.writes {
            appended(write, server, running, in: world)
            if now.role == .leader { proposed(write, server, running, in: world) }
        }
        if !output.writes.isEmpty { membership(server, running, output, in: world) }
        handsOver(server, running, output, isTick: isTick, in: world)
        for accepted in output.accepted { promises.accepted(accepted.id, in: world) }
        if !output.transitions.isEmpty || now.role != before.role { elections(server, running, output, in: world) }
        if now.role == .leader { limits(server, running, output, in: world) }
        if now.commitIndex > server.commit { commits(server, running, wasLeader, in: world) }
        server.commit = now.commitIndex
        // To ask the log costs a copy of it, and only what is written changes it.
        let index = output.writes.isEmpty ? before.configurationIndex : running.core.log.configurationIndex
        seen[server.number] = Seen(term: now.term, role: now.role, last: now.lastIndex, configurationIndex: index)
        for case .configuration in output.transitions { server.configuration = running.core.configuration }
    }

    /// R3, R13.
    private mutating func appended(_ write: RaftOutput.Write, _ server: SimulatedServer, _ running: RunningCore, in world: World) {
        if let after = write.truncateAfter, after < server.commit {
            world.fail("R13", "\(server.id) cuts its log after \(after), and \(server.commit) is committed there")
        }
        for entry in write.entries {
            let (identity, hash) = (Identity(term: entry.term.number, index: entry.index.number), Self.hash(entry))
            let previous = running.core.log.term(at: LogIndex(entry.index.number - 1))
            if let known = entries[identity] {
                if known.hash != hash {
                    world.fail("R3", "two entries at index \(entry.index) of term \(entry.term); one is on \(server.id)")
                }
                if let previous, known.previous != previous {
                    world.fail(
                        "R3",
                        "before entry \(entry.index) of term \(entry.term) \(server.id) has one of term \(previous), another server one of \(known.previous)"
                    )
                }
            } else if let previous {
                entries[identity] = (hash, previous)
            }
        }
    }

    /// R1, R4, R14.
    private mutating func elections(_ server: SimulatedServer, _ running: RunningCore, _ output: RaftOutput, in world: World) {
        for transition in output.transitions {
            guard case .becameLeader(let term) = transition else { continue }
            if let other = leaders[term.number], other != server.number {
                world.fail("R1", "\(server.id) and \(world.servers[other].id) both lead in term \(term)")
            }
            leaders[term.number] = server.number
            if lastLeader != nil, lastLeader != server.number { world.coverage.saw(.leaderChanged) }
            lastLeader = server.number
            if server.isRecovering { world.fail("R10", "\(server.id) leads in term \(term), and may not trust its log") }
            // A leader of an older term, which does not know yet that it is one, need not have what newer ones committed.
            guard let place = committed.lastIndex(where: { $0.committedIn < term }) else { continue }
            let (end, last) = (LogIndex(UInt64(place) + 1), committed[place])
            guard end > running.core.log.base else { continue }
            if running.core.log.term(at: end) != last.term {
                world.fail("R4", "\(server.id) leads in term \(term) without entry \(end) of term \(last.term), which is committed")
            }
        }
        let before = seen[server.number]
        let now = running.core.glance
        if now.role == .leader, before.role != .leader || before.term != now.term { mayLead(server, running, in: world) }
        if now.role == .leader, before.role != .leader, before.role != .candidate, server.configuration.voters.count > 1 {
            world.fail("R14", "\(server.id) became leader from \(before.role)")
        }
    }

    /// R21.
    private func limits(_ server: SimulatedServer, _ running: RunningCore, _ output: RaftOutput, in world: World) {
        let inFlight = running.core.progress.mostInFlight
        if inFlight > world.plan.settings.inFlightMessages {
            world.fail("R21", "\(inFlight) messages from \(server.id) to one other are not answered")
        }
        // What a leader finds in its log it must take; of proposals one may go beyond.
        if !output.accepted.isEmpty, running.core.uncommittedBytes > running.core.settings.uncommittedBytes + 4_096 {
            world.fail("R21", "\(running.core.uncommittedBytes) bytes are not committed")
        }
    }

    // MARK: Commitment

    /// R6 to R8.
    private mutating func commits(_ server: SimulatedServer, _ running: RunningCore, _ isLeaders: Bool, in world: World) {
        let commit = running.core.commitIndex
        if isLeaders, commit > committedIndex {
            if running.core.log.term(at: commit) != running.core.term {
                world.fail(
                    "R8",
                    "\(server.id) commits entry \(commit) of term \(running.core.log.term(at: commit)?.description ?? "none") in term \(running.core.term)"
                )
            }
            if let term = running.core.log.term(at: commit), !isDurable(commit, term, server.configuration, in: world) {
                world.fail("R7", "\(server.id) commits entry \(commit), which is not durable on a majority of \(server.configuration)")
            }
        }
        var index = max(server.commit, running.core.log.base).next
        while index <= commit {
            guard let term = running.core.log.term(at: index) else { break }
            let hash = entries[Identity(term: term.number, index: index.number)]?.hash ?? 0
            let place = Int(index.number) - 1
            if place < committed.count {
                if committed[place].term != term || committed[place].hash != hash {
                    world.fail(
                        "R6",
                        "\(server.id) commits entry \(index) of term \(term); one of term \(committed[place].term) was committed there")
                }
            } else if place == committed.count {
                if !isLeaders { world.fail("R6", "\(server.id) commits entry \(index) before any leader did") }
                committed.append(Entry(term: term, hash: hash, committedIn: running.core.glance.term))
            }
            index = index.next
        }
    }

    private func isDurable(_ index: LogIndex, _ term: Term, _ configuration: Configuration, in world: World) -> Bool {
        configuration.hasQuorum { node in
            guard let server = world.servers.first(where: { $0.id == node }) else { return false }
            func holds(_ log: RaftLog, _ durable: LogIndex) -> Bool {
                durable >= index && (log.base >= index || log.term(at: index) == term)
            }
            // What was acknowledged and is lost since was counted rightly.
            if let lost = server.lost, holds(lost.log, lost.durable) { return true }
            return !server.isRecovering && holds(server.log, server.durable)
        }
    }

    // MARK: The disk

    /// What is durable now, whatever happens.
    func stored(_ batch: [RaftOutput.Write], _ server: SimulatedServer) {
        for write in batch {
            if let state = write.hardState { server.durableState = state }
            if let mark = write.install {
                server.log = RaftLog(base: mark.index, term: mark.term, configuration: mark.configuration)
                server.durable = mark.index
            }
            if let after = write.truncateAfter { server.cutKnown(after: after) }
            for entry in write.entries { server.log.append(entry) }
            server.durable = max(server.durable, server.log.lastIndex)
        }
    }

    /// What it voted for nobody will count any more (Decisions/LostVotes): it may vote again.
    mutating func lost(_ server: SimulatedServer) {
        for ballot in votes.keys where ballot.voter == server.number { votes[ballot] = nil }
    }

    /// R17, R20: a snapshot of an index is the same to the last byte, whoever made it and whoever got it.
    mutating func snapshot(_ bytes: [UInt8], of server: SimulatedServer, in world: World) {
        var hasher = StableHasher()
        hasher.combine(bytes)
        let (index, hash) = (server.machine.applied.number, hasher.finish().low)
        if let known = snapshots[index], known != hash {
            world.fail("R17", "\(server.id) has another snapshot of entry \(index) than others")
        }
        snapshots[index] = hash
    }

    func fell(_ server: SimulatedServer) {
        server.commit = .zero
        server.term = Term(0)
    }

    /// What came back from the disk must be all that was durable: R9, R11, and the rules for storage.
    func started(_ server: SimulatedServer, _ found: RaftStorage.Opened, _ entries: [LogEntry], in world: World) {
        // An older image of a disk is the one thing that no start can tell.
        if found.distrust == nil, !server.isUnsound {
            if found.hardState.term < server.durableState.term
                || found.hardState.term == server.durableState.term && server.durableState.vote != nil
                    && found.hardState.vote != server.durableState.vote
            {
                world.fail("R10", "\(server.id) voted \(server.durableState) and comes back with \(found.hardState)")
            }
            if found.recovery.last.index < server.durable {
                world.fail(
                    "R11", "\(server.id) had entries up to \(server.durable) on its disk and comes back with \(found.recovery.last.index)")
            }
        }
        server.durableState = found.hardState
        server.log = RaftLog(
            base: found.snapshot?.index ?? .zero, term: found.snapshot?.term ?? Term(0),
            configuration: found.snapshot?.configuration ?? server.log.configuration(at: .zero))
        for entry in entries where entry.index <= found.recovery.last.index { server.log.append(entry) }
        server.durable = server.log.lastIndex
    }

    // MARK: Messages

    /// R10, R11: what is promised is durable when it is sent.
    mutating func sent(_ message: RaftMessage, from server: SimulatedServer, in world: World) {
        switch message {
        case .requestVoteReply(let answer) where answer.isGranted:
            guard let vote = server.durableState.vote, server.durableState.term >= answer.term else {
                return world.fail("R10", "\(server.id) gives a vote in term \(answer.term) that is not on its disk")
            }
            if server.durableState.term == answer.term { ballot(server, answer.term, vote, in: world) }
        case .requestVote(let request):
            guard server.durableState.term >= request.term else {
                return world.fail("R10", "\(server.id) campaigns in term \(request.term), which is not on its disk")
            }
            ballot(server, request.term, server.id, in: world)
        case .appendReply(let answer):
            guard case .matched(let index) = answer.outcome else { return }
            guard server.durableState.term >= answer.term else {
                return world.fail("R11", "\(server.id) answers in term \(answer.term), which is not on its disk")
            }
            if server.durable < index {
                world.fail("R11", "\(server.id) says that it has \(index), and \(server.durable) is on its disk")
            }
        default: return
        }
    }

    private mutating func ballot(_ server: SimulatedServer, _ term: Term, _ vote: NodeID, in world: World) {
        let ballot = Ballot(voter: server.number, term: term.number)
        if let other = votes[ballot], other != vote {
            world.fail("R10", "\(server.id) votes for \(other) and for \(vote) in term \(term)")
        }
        votes[ballot] = vote
        given.insert(Grant(ballot: ballot, candidate: vote))
    }

    /// R15: an election is won by a majority of each half of the configuration in force, and by nobody whom it counts out.
    private func mayLead(_ server: SimulatedServer, _ running: RunningCore, in world: World) {
        let (configuration, term) = (running.core.configuration, running.core.term)
        let hasWon = configuration.hasQuorum { node in
            guard node != server.id, let voter = world.servers.first(where: { $0.id == node }) else { return node == server.id }
            return given.contains(Grant(ballot: Ballot(voter: voter.number, term: term.number), candidate: server.id))
        }
        if !hasWon { world.fail("R15", "\(server.id) leads in term \(term) without the votes of a majority of \(configuration)") }
        if !configuration.isVoter(server.id), running.core.log.configurationIndex <= server.commit {
            world.fail("R15", "\(server.id) leads in term \(term), and was removed at entry \(running.core.log.configurationIndex)")
        }
    }

    /// R15: what a leader changes it changes as a whole, one change after the other.
    private func proposed(_ write: RaftOutput.Write, _ server: SimulatedServer, _ running: RunningCore, in world: World) {
        for entry in write.entries where entry.term == running.core.term {
            if entry.kind == .commands { promises.appended(entry, server, in: world) }
            guard entry.kind == .configuration, let next = Configuration(payload: entry.payload) else { continue }
            let index = LogIndex(entry.index.number - 1)
            let change = MembershipStep(
                from: running.core.log.configuration(at: index), to: next, previous: seen[server.number].configurationIndex,
                commit: running.core.commitIndex,
                isOwnTermCommitted: running.core.log.term(at: running.core.commitIndex) == running.core.term)
            if let problem = change.problem { world.fail("R15", "\(server.id) appends \(next) at \(entry.index): \(problem)") }
        }
    }

    // MARK: The state machine

    /// R5: the same after the same entries, however a server came by them.
    mutating func applied(_ server: SimulatedServer, in world: World) {
        let place = Int(server.machine.applied.number) - 1
        guard place >= 0 else { return }
        while states.count <= place { states.append(nil) }
        if let known = states[place] {
            if known != server.machine.digest {
                world.fail("R5", "\(server.id) has another state after entry \(server.machine.applied) than others")
            }
        } else {
            states[place] = server.machine.digest
        }
    }
}

extension SimulatedServer {
    func cutKnown(after index: LogIndex) {
        var shorter = RaftLog(base: log.base, term: log.term(at: log.base) ?? Term(0), configuration: log.configuration(at: log.base))
        if index > log.base, let kept = log.entries(from: log.base.next, through: index, maxBytes: .max) {
            for entry in kept { shorter.append(entry) }
        }
        log = shorter
        durable = min(durable, index)
    }
}
