package import Primitives

/// What a core wants done. The driver keeps one and clears it before each event; the order between the lists is free, save that whatever needs a write
/// to be durable first is held back by the core itself until `stored` says so.
package struct RaftOutput: Equatable, Sendable {
    package struct Outgoing: Equatable, Sendable {
        package var to: NodeID
        package var message: RaftMessage

        package init(to: NodeID, message: RaftMessage) { (self.to, self.message) = (to, message) }
    }

    /// One group for the disk, in the order of its fields; groups are written in the order of their tickets. When all of it is durable, and all before it,
    /// the driver says `stored(ticket)`.
    package struct Write: Equatable, Sendable {
        package var ticket: UInt64
        /// The server may not trust itself any more, and a restart must not forget that: durable before anything else of the group, and before
        /// the server says so.
        package var isDistrusted = false
        /// Before any entry of its term.
        package var hardState: HardState?
        package var chunk: RaftMessage.SnapshotChunk?
        /// The received snapshot takes the place of the log.
        package var install: SnapshotMark?
        package var truncateAfter: LogIndex?
        package var entries: [LogEntry] = []
        /// Entries up to here may be removed: a snapshot stands for them. Need not be durable.
        package var compactThrough: LogIndex?

        package init(ticket: UInt64) { self.ticket = ticket }
    }

    package struct Ready: Equatable, Sendable {
        package var id: UInt64
        /// Once this is applied, the read sees all that was acknowledged before it was asked for.
        package var index: LogIndex
    }

    package struct Accepted: Equatable, Sendable {
        package var id: UInt64
        package var term: Term
        package var first: LogIndex
        package var count: Int
    }

    /// Certain: nothing of what was asked has happened, or will.
    package struct Refused: Equatable, Sendable {
        package var id: UInt64
        package var reason: RaftRefusal
    }

    /// What a server acknowledged and has no more.
    package struct Lost: Equatable, Sendable {
        /// The leader has its word that it had all up to here.
        package var acknowledged: LogIndex
        /// The end of what it has; entries before that may be others, too.
        package var last: LogIndex
    }

    /// Entries that are on the disk alone and that a follower needs.
    package struct Fetch: Equatable, Sendable {
        package var peer: NodeID
        package var first: LogIndex
        package var last: LogIndex
        package var maxBytes: Int
    }

    package var messages: [Outgoing] = []
    package var writes: [Write] = []
    /// Everything up to here is committed, and may be applied.
    package var commit: LogIndex?
    package var readsReady: [Ready] = []
    package var accepted: [Accepted] = []
    package var refused: [Refused] = []
    package var fetches: [Fetch] = []
    /// A snapshot is coming: say with `snapshotResumes` from which chunk on it is wanted.
    package var incoming: SnapshotMark?
    /// The state machine is to be loaded from this snapshot, which is installed.
    package var restored: SnapshotMark?
    /// A server that lost its vote or part of its log has all of it again.
    package var isTrusted = false
    /// The leader's word proves that this server has lost what it acknowledged: its folder is an older copy (Decisions/RolledBackFolders).
    package var lost: Lost?
    package var transitions: [RaftTransition] = []

    package init() {}

    package mutating func clear() {
        messages.removeAll(keepingCapacity: true)
        writes.removeAll(keepingCapacity: true)
        readsReady.removeAll(keepingCapacity: true)
        accepted.removeAll(keepingCapacity: true)
        refused.removeAll(keepingCapacity: true)
        fetches.removeAll(keepingCapacity: true)
        transitions.removeAll(keepingCapacity: true)
        (commit, incoming, restored, isTrusted, lost) = (nil, nil, nil, false, nil)
    }
}

/// Why something was not done. It has certainly not happened.
package enum RaftRefusal: Error, Equatable, Sendable {
    case notLeader(hint: NodeID?)
    /// Too many bytes wait to be committed, or too many reads to be confirmed.
    case busy
    /// Leadership is being handed over.
    case transferring
    /// The leader has not committed an entry of its own term yet.
    case notReady
    case changeInProgress
    /// The configuration in force is that of another entry than the caller thinks.
    case staleConfiguration(at: LogIndex)
    case noVoters
    /// Of the voters that there would be, too few answer: the cluster would stop.
    case withoutQuorum(answering: Int, of: Int)
    case notAVoter(NodeID)
    /// Whoever was to lead did not take over in time; who led goes on.
    case transferFailed(NodeID)
}

/// What happened to a server, for events, metrics and traces.
package enum RaftTransition: Equatable, Sendable {
    /// Why an election began, or a leader stopped leading.
    package enum Reason: String, Sendable {
        case timeout, leaderDisconnected, transfer, higherTerm, lostQuorum, diskStalled, removed, start, voteSplit
    }

    case becameFollower(Term, leader: NodeID?, Reason)
    case becamePreCandidate(Term, Reason)
    case becameCandidate(Term, Reason)
    case becameLeader(Term)
    case foundLeader(Term, NodeID)
    case truncated(after: LogIndex)
    case configuration(LogIndex, Configuration)
    case configurationCommitted(LogIndex)
    case transferBegan(to: NodeID)
    case transferEnded(to: NodeID, isDone: Bool)
    case snapshotSent(to: NodeID, LogIndex)
    case snapshotResumed(LogIndex, chunk: UInt32)
    case snapshotInstalled(LogIndex)
    case peerRecovering(NodeID)
    case trusted(LogIndex)
}
