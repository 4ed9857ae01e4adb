package import Primitives

/// What servers say to each other. Every message bears the sender's term; who sent it is known to whoever hands it over.
package enum RaftMessage: Equatable, Sendable {
    /// Would you vote for me in `asked`? Changes nothing that lasts (thesis section 9.6).
    case preVote(PreVoteRequest)
    case preVoteReply(PreVoteAnswer)
    /// Raft section 5.2.
    case requestVote(VoteRequest)
    case requestVoteReply(VoteAnswer)
    /// Raft section 5.3; a heartbeat when it has no entries.
    case append(Append)
    case appendReply(AppendAnswer)
    /// Raft section 7, one chunk.
    case installSnapshot(SnapshotChunk)
    case installSnapshotReply(SnapshotAnswer)
    /// Thesis section 3.10.
    case timeoutNow(term: Term)
    /// From a follower that wants to read (thesis section 6.4).
    case readIndex(term: Term, id: UInt64)
    /// Nil when whoever was asked does not lead, or cannot tell.
    case readIndexReply(term: Term, id: UInt64, index: LogIndex?)

    package struct PreVoteRequest: Equatable, Sendable {
        package var term: Term
        /// The term that the election would be of.
        package var asked: Term
        package var lastIndex: LogIndex
        package var lastTerm: Term

        package init(term: Term, asked: Term, lastIndex: LogIndex, lastTerm: Term) {
            (self.term, self.asked, self.lastIndex, self.lastTerm) = (term, asked, lastIndex, lastTerm)
        }
    }

    package struct PreVoteAnswer: Equatable, Sendable {
        package var term: Term
        package var asked: Term
        package var isGranted: Bool

        package init(term: Term, asked: Term, isGranted: Bool) { (self.term, self.asked, self.isGranted) = (term, asked, isGranted) }
    }

    package struct VoteRequest: Equatable, Sendable {
        package var term: Term
        package var lastIndex: LogIndex
        package var lastTerm: Term
        /// The leader itself wants this election.
        package var isTransfer: Bool

        package init(term: Term, lastIndex: LogIndex, lastTerm: Term, isTransfer: Bool) {
            (self.term, self.lastIndex, self.lastTerm, self.isTransfer) = (term, lastIndex, lastTerm, isTransfer)
        }
    }

    package struct VoteAnswer: Equatable, Sendable {
        package var term: Term
        package var isGranted: Bool

        package init(term: Term, isGranted: Bool) { (self.term, self.isGranted) = (term, isGranted) }
    }

    package struct Append: Equatable, Sendable {
        package var term: Term
        /// Of a message without entries: nothing, or the last entry of which the receiver itself has said in this term that it has it on its disk, like
        /// all before it. It can tell by that what it has lost since (Decisions/RolledBackFolders): so nothing else may ever be sent there.
        package var previousIndex: LogIndex
        package var previousTerm: Term
        package var commitIndex: LogIndex
        package var entries: [LogEntry]
        /// The sender's newest round of heartbeats.
        package var round: UInt64
        /// The loss that the server which gets this may take for made good (Decisions/LostVotes); nil mostly.
        package var trusts: UInt64?

        package init(
            term: Term, previousIndex: LogIndex, previousTerm: Term, commitIndex: LogIndex, entries: [LogEntry], round: UInt64,
            trusts: UInt64? = nil
        ) {
            (self.term, self.previousIndex, self.previousTerm) = (term, previousIndex, previousTerm)
            (self.commitIndex, self.entries, self.round, self.trusts) = (commitIndex, entries, round, trusts)
        }

        /// The end of what this message is about.
        package var lastIndex: LogIndex { LogIndex(previousIndex.number + UInt64(entries.count)) }
    }

    package struct AppendAnswer: Equatable, Sendable {
        package enum Outcome: Equatable, Sendable {
            /// Durable here and the same as the leader's up to here, which is no further than the message that is answered went.
            case matched(LogIndex)
            /// The entry before the message's was not the leader's; go on trying before this term's first entry (Raft section 5.3, at its end).
            case rejected(previous: LogIndex, conflictIndex: LogIndex, conflictTerm: Term?)
        }

        package var term: Term
        package var outcome: Outcome
        package var round: UInt64
        /// The sender lost its vote or part of its log, and does not count yet; the number tells one loss from another.
        package var recovery: UInt64?

        package init(term: Term, outcome: Outcome, round: UInt64, recovery: UInt64? = nil) {
            (self.term, self.outcome, self.round, self.recovery) = (term, outcome, round, recovery)
        }
    }

    package struct SnapshotChunk: Equatable, Sendable {
        package var term: Term
        package var snapshot: SnapshotMark
        package var chunk: UInt32
        /// Filled in by whoever sends it.
        package var data: [UInt8]
        package var round: UInt64

        package init(term: Term, snapshot: SnapshotMark, chunk: UInt32, data: [UInt8] = [], round: UInt64) {
            (self.term, self.snapshot, self.chunk, self.data, self.round) = (term, snapshot, chunk, data, round)
        }
    }

    package struct SnapshotAnswer: Equatable, Sendable {
        package var term: Term
        package var index: LogIndex
        /// Which chunk is wanted next.
        package var nextChunk: UInt32
        package var isInstalled: Bool
        package var round: UInt64

        package init(term: Term, index: LogIndex, nextChunk: UInt32, isInstalled: Bool, round: UInt64) {
            (self.term, self.index, self.nextChunk, self.isInstalled, self.round) = (term, index, nextChunk, isInstalled, round)
        }
    }

    package var term: Term {
        switch self {
        case .preVote(let message): message.term
        case .preVoteReply(let message): message.term
        case .requestVote(let message): message.term
        case .requestVoteReply(let message): message.term
        case .append(let message): message.term
        case .appendReply(let message): message.term
        case .installSnapshot(let message): message.term
        case .installSnapshotReply(let message): message.term
        case .timeoutNow(let term), .readIndex(let term, _), .readIndexReply(let term, _, _): term
        }
    }
}

/// What a snapshot stands for, and what its bytes must be.
package struct SnapshotMark: Equatable, Sendable {
    package var index: LogIndex
    package var term: Term
    /// The hash chain of the log there.
    package var chain: UInt64
    package var configuration: Configuration
    package var bytes: UInt64
    package var checksum: UInt32

    package init(index: LogIndex, term: Term, chain: UInt64, configuration: Configuration, bytes: UInt64, checksum: UInt32) {
        (self.index, self.term, self.chain, self.configuration, self.bytes, self.checksum) = (
            index, term, chain, configuration, bytes, checksum
        )
    }

    /// How many chunks of so many bytes it has: one at least.
    package func chunks(of size: Int) -> UInt32 { UInt32(clamping: max(1, (bytes + UInt64(size) - 1) / UInt64(size))) }
}
