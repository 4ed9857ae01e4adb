package import Primitives

/// One server's consensus as a value: Raft (Ongaro and Ousterhout, extended version; sections are named where they are done) with pre-vote and check-quorum
/// (thesis section 9.6, 6.2), joint consensus and learners (section 6; thesis chapter 4), ReadIndex and leases (thesis section 6.4), leadership transfer
/// (thesis section 3.10), chunked snapshots (section 7), and asynchronous storage: what promises durability waits in `held` behind its write.
///
/// It has no clock, no chance of its own and no I/O: events come in with the time they come at, what is to be done goes out. Broken invariants trap.
package struct RaftCore: Sendable {
    package enum Role: String, Sendable { case follower, preCandidate = "pre-candidate", candidate, leader }

    package enum Event: Equatable, Sendable {
        /// Timers are looked at; the next one is due at `nextDeadline`.
        case tick
        case message(RaftMessage, from: NodeID)
        /// Payloads of the state machine; answered by `accepted` or `refused` with the same id.
        case propose(id: UInt64, [[UInt8]])
        /// Answered by `readsReady` or `refused`.
        case read(id: UInt64)
        /// The voters and learners that there should be.
        case change(id: UInt64, voters: [NodeID], learners: [NodeID], basedOn: LogIndex?)
        /// Nil: to whoever has most of the log.
        case transfer(id: UInt64, to: NodeID?)
        /// Every write up to this ticket is durable.
        case stored(ticket: UInt64)
        /// The answer to a `Fetch`: empty when the entries are not there any more.
        case fetched(peer: NodeID, [LogEntry])
        /// Nothing that was sent to it lately may have come.
        case unreachable(NodeID)
        /// Its connection was closed by the other side: if it leads, its process has most likely ended.
        case disconnected(NodeID)
        /// The state machine's snapshot is durable.
        case snapshotTaken(SnapshotMark)
        /// Where a snapshot that is coming goes on.
        case snapshotResumes(SnapshotMark, chunk: UInt32)
        /// All chunks are durable; whether the whole is what it should be.
        case snapshotReceived(SnapshotMark, isWhole: Bool)
        /// A snapshot that is being sent cannot be read any more.
        case snapshotUnreadable(SnapshotMark)
    }

    /// What is asked of a core most, without the rest of it: as it was when the last event was over.
    package struct Glance: Equatable, Sendable {
        package var role = Role.follower
        package var term = Term(0)
        package var base = LogIndex.zero
        package var commitIndex = LogIndex.zero
        package var durableIndex = LogIndex.zero
        package var lastIndex = LogIndex.zero
        package var lastTerm = Term(0)
        /// When the next tick is wanted.
        package var deadline: Instant

        fileprivate init(_ core: borrowing RaftCore) {
            (role, term, commitIndex, durableIndex) = (core.role, core.hardState.term, core.commitIndex, core.durableIndex)
            (base, lastIndex, lastTerm) = (core.log.base, core.log.lastIndex, core.log.lastTerm)
            deadline = core.nextDeadline
        }

        fileprivate init(deadline: Instant) { self.deadline = deadline }
    }

    package private(set) var glance: Glance
    package let id: NodeID
    package let settings: RaftSettings
    package internal(set) var hardState: HardState
    package internal(set) var role = Role.follower
    package internal(set) var leader: NodeID?
    package internal(set) var log: RaftLog
    package internal(set) var commitIndex: LogIndex
    /// The end of what is on this server's disk.
    package internal(set) var durableIndex: LogIndex
    /// The newest snapshot of the state machine here.
    package internal(set) var snapshot: SnapshotMark?
    /// This server lost its vote or part of its log: it does not vote, and does not count (Decisions/LostVotes). The number tells this loss from others.
    package internal(set) var recovery: UInt64?
    var generator: SeededGenerator

    // Storage
    var lastTicket: UInt64 = 0
    var storedTicket: UInt64 = 0
    /// The write that persisted term and vote last.
    var hardTicket: UInt64 = 0
    /// What the event in hand wants written.
    var write: RaftOutput.Write?
    /// Writes under way: what the log's end is once they are durable, and since when.
    var inFlight: [(ticket: UInt64, last: LogIndex, since: Instant)] = []
    /// Messages that promise what is not durable yet.
    var held: [(ticket: UInt64, outgoing: RaftOutput.Outgoing)] = []

    // Elections
    var electionDeadline: Instant
    /// When a leader of this term was last heard.
    var leaderContact: Instant?
    /// Under leases: when a leader of any term was last promised that this server would not vote.
    var promised: Instant?
    var grants: [NodeID] = []
    /// It has neither heard a leader nor asked for votes since it started.
    var isFresh = true
    /// Why votes are asked for, until they are given.
    var campaignReason = RaftTransition.Reason.timeout
    var askAgain: Instant?
    /// Its own vote counts once this write is durable.
    var ownVoteTicket: UInt64?

    // Leading
    /// Of the others, sorted by id.
    package internal(set) var progress: [Progress] = []
    /// The first index of the term that it leads in.
    var termStart = LogIndex.zero
    var heartbeatDue: Instant
    /// Until when followers wait to hear what was committed; nil when none does.
    var commitDue: Instant?
    /// When it looks next whether a majority and its own disk answer: rounds for reads do not put that off.
    var checkDue: Instant
    /// Somebody was told to campaign: leases of this term are over.
    var hasHandedOver = false
    package internal(set) var round: UInt64 = 0
    /// When the newest rounds were sent; the last is `round`.
    var roundsSent: [Instant] = []
    var reads: [PendingRead] = []
    var toldConfiguration = LogIndex.zero
    package internal(set) var transfer: (to: NodeID, deadline: Instant)?
    package internal(set) var uncommittedBytes = 0

    // Following
    var incoming: (mark: SnapshotMark, next: UInt32?)?
    /// The write that puts a snapshot in the log's place.
    var installing: (ticket: UInt64, mark: SnapshotMark)?
    var toldCommit: LogIndex
    /// Reads that the leader was asked about, under numbers that no earlier start of this server used.
    var asked: [(token: UInt64, id: UInt64, deadline: Instant)] = []

    struct PendingRead: Sendable {
        var id: UInt64
        /// A follower's; nil is this server's own.
        var origin: NodeID?
        /// Set once an entry of the term is committed.
        var index: LogIndex?
        /// 0: none has been sent for it.
        var round: UInt64
    }

    /// A server as its disk has it: the entries that follow the snapshot (or the empty log) are given to `restore` one by one before the first event.
    ///
    /// - Parameters:
    ///   - configuration: that of the snapshot, or the one the cluster began with.
    ///   - isRecovering: the vote, or a part of the log that may have been acknowledged, is lost.
    ///   - seed: another one for each start.
    package init(
        id: NodeID, settings: RaftSettings, hardState: HardState, snapshot: SnapshotMark?, configuration: Configuration,
        isRecovering: Bool = false, seed: UInt64, now: Instant
    ) {
        (self.id, self.settings, self.hardState, self.snapshot) = (id, settings, hardState, snapshot)
        log = RaftLog(
            base: snapshot?.index ?? .zero, term: snapshot?.term ?? Term(0), configuration: snapshot?.configuration ?? configuration)
        (commitIndex, durableIndex, toldCommit) = (log.base, log.base, log.base)
        generator = SeededGenerator(seed: seed)
        glance = Glance(deadline: now)
        (electionDeadline, heartbeatDue, checkDue) = (now, now, now)
        // A lease that this server granted before it fell must have run out before it votes (thesis section 6.4.1).
        promised = settings.leaseReads ? now : nil
        recovery = isRecovering ? generator.next() : nil
        resetElectionTimer(now)
    }

    package mutating func restore(_ entry: LogEntry) {
        precondition(entry.term <= hardState.term, "entry of term \(entry.term) in term \(hardState.term)")
        log.append(entry)
        durableIndex = log.lastIndex
        log.trim(to: settings.keptBytes, notAfter: log.lastIndex)
    }

    /// In place of entry by entry: a log that was gathered by `RaftLog.restore` while it was read.
    package mutating func restore(_ log: RaftLog) {
        precondition(
            log.base == self.log.base && log.lastTerm <= hardState.term,
            "a log of term \(log.lastTerm) after \(log.base) in term \(hardState.term)")
        self.log = log
        durableIndex = log.lastIndex
    }

    /// Before `started`, when all entries are there: what was committed when the server wrote that down. Where its log has that very entry, it has all
    /// before it as it was then (Raft section 5.3, log matching), and what is committed stays so.
    package mutating func restoreCommit(_ index: LogIndex, term: Term) {
        guard index > commitIndex, log.term(at: index) == term else { return }
        (commitIndex, toldCommit) = (index, index)
        glance = Glance(self)
    }

    /// A log that goes on at the base of the snapshot: a server alone need not wait for anybody.
    package mutating func started(now: Instant) { if isAlone { electionDeadline = now } }

    package var term: Term { hardState.term }
    package var configuration: Configuration { log.configuration }
    var isAlone: Bool { configuration.voters == [id] && !configuration.isJoint }

    package var isRecovering: Bool { recovery != nil }

    /// - Parameter now: read after the event had come: a lease must not be looked at with an older time.
    package mutating func handle(_ event: Event, now: Instant, into output: inout RaftOutput) {
        step(event, now: now, into: &output)
        flush(now: now, into: &output)
    }

    /// One event of several that come together; `flush` once after them, so that what they want sent and written goes in one piece.
    package mutating func step(_ event: Event, now: Instant, into output: inout RaftOutput) {
        switch event {
        case .tick: tick(now, &output)
        case .message(let message, let sender): receive(message, from: sender, now, &output)
        case .propose(let id, let payloads): propose(id, payloads, now, &output)
        case .read(let id): read(id, origin: nil, now, &output)
        case .change(let id, let voters, let learners, let basedOn): change(id, voters, learners, basedOn, now, &output)
        case .transfer(let id, let target): beginTransfer(id, to: target, now, &output)
        case .stored(let ticket): stored(ticket, now, &output)
        case .fetched(let peer, let entries): fetched(peer, entries, now, &output)
        case .unreachable(let peer): unreachable(peer, now)
        case .disconnected(let peer): disconnected(peer, now, &output)
        case .snapshotTaken(let mark): snapshotTaken(mark, now)
        case .snapshotResumes(let mark, let chunk): snapshotResumes(mark, chunk, &output)
        case .snapshotReceived(let mark, let isWhole): snapshotReceived(mark, isWhole, &output)
        case .snapshotUnreadable(let mark): snapshotUnreadable(mark)
        }
    }

    /// When the next `tick` is wanted.
    package var nextDeadline: Instant {
        if role == .leader { return min(heartbeatDue, checkDue, transfer?.deadline ?? heartbeatDue, commitDue ?? heartbeatDue) }
        return min(electionDeadline, askAgain ?? electionDeadline, asked.first?.deadline ?? electionDeadline)
    }

    private mutating func tick(_ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader else { return electionTick(now, &output) }
        if let transfer, now >= transfer.deadline { endTransfer(isDone: false, &output) }
        if now >= checkDue {
            checkDue = now.advanced(by: settings.heartbeat)
            guard hasContact(now) else { return stepDown(.lostQuorum, now, &output) }
            // Who is alone would only be elected again.
            if isDiskStalled(now), !isAlone { return handOver(.diskStalled, now, &output) }
        }
        guard now >= heartbeatDue else { return }
        letGo(now)
        beat(now, &output)
    }

    private mutating func receive(_ message: RaftMessage, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        guard sender != id else { return }
        switch message {
        case .preVote(let message): preVote(message, from: sender, now, &output)
        case .requestVote(let message): requestVote(message, from: sender, now, &output)
        default:
            if message.term > term { follow(message.term, leader: nil, .higherTerm, now, &output) }
            guard message.term == term else { return refuseOld(message, from: sender, now, &output) }
            switch message {
            case .preVote, .requestVote: return
            case .preVoteReply(let message): preVoteReply(message, from: sender, now, &output)
            case .requestVoteReply(let message): requestVoteReply(message, from: sender, now, &output)
            case .append(let message): append(message, from: sender, now, &output)
            case .appendReply(let message): appendReply(message, from: sender, now, &output)
            case .installSnapshot(let message): installSnapshot(message, from: sender, now, &output)
            case .installSnapshotReply(let message): installSnapshotReply(message, from: sender, now, &output)
            case .timeoutNow: timeoutNow(from: sender, now, &output)
            case .readIndex(_, let id): read(id, origin: sender, now, &output)
            case .readIndexReply(_, let token, let index): readIndexReply(token, index, &output)
            }
        }
    }

    /// A leader of an old term is told the new one, so that it stops (Raft section 5.1); other old messages are of no interest.
    /// Of an old message no round is confirmed: rounds begin anew with each leader.
    private mutating func refuseOld(_ message: RaftMessage, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        switch message {
        case .append(let append):
            reply(
                to: sender, .rejected(previous: append.previousIndex, conflictIndex: log.lastIndex.next, conflictTerm: nil), round: 0,
                &output)
        case .installSnapshot(let chunk):
            send(
                .installSnapshotReply(
                    .init(term: term, index: chunk.snapshot.index, nextChunk: chunk.chunk, isInstalled: false, round: 0)),
                to: sender, after: hardTicket, &output)
        case .preVoteReply(let answer) where role == .preCandidate || mutated(.preVoteCountsAsVote):
            preVoteReply(answer, from: sender, now, &output)
        case .readIndex(_, let token): send(.readIndexReply(term: term, id: token, index: nil), to: sender, after: nil, &output)
        default: return
        }
    }

    // MARK: What an event ends with

    /// What the events since the last one want sent and written.
    package mutating func flush(now: Instant, into output: inout RaftOutput) {
        if role == .leader { sendAll(now, &output) } else { forgetAsked(before: now, &output) }
        if let commitDue, now >= commitDue || role != .leader { self.commitDue = nil }
        if let mark = incoming?.mark, mark.index <= commitIndex { incoming = nil }
        flushWrite(now, &output)
        // What is not durable here is not applied here: a snapshot must never stand for more than the log behind it.
        let ready = min(commitIndex, durableIndex)
        if installing == nil, ready > toldCommit {
            toldCommit = ready
            output.commit = ready
        }
        log.trim(to: settings.keptBytes, notAfter: min(durableIndex, commitIndex))
        glance = Glance(self)
    }
}
