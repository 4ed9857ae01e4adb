package import Primitives

/// What one server knows of its Raft group, as operators see it.
package struct RaftStatus: Equatable, Sendable {
    /// Another server, as the leader knows it; what a follower cannot know is nil.
    package struct Peer: Equatable, Sendable {
        package var node: NodeID
        package var isVoter = false
        package var isConnected = false
        package var address: String?
        /// probe, replicate or snapshot.
        package var state: String?
        package var matchIndex: LogIndex?
        package var nextIndex: LogIndex?
        /// Entries that it does not have yet, as far as it has said.
        package var lag: UInt64?
        package var inFlightMessages: Int?
        package var inFlightBytes: Int?
        /// Since when nothing was heard of it in this term.
        package var silentFor: Duration?
        /// It lost its vote or a part of its log, and does not count before it has all of it again.
        package var isRecovering = false
        /// Of a snapshot that is on its way: chunks that it has, of so many.
        package var snapshotChunks: UInt32?
        package var snapshotChunksOf: UInt32?

        package init(node: NodeID) { self.node = node }
    }

    /// An election or a change of leaders that this server saw.
    package struct Election: Equatable, Sendable {
        package var term: Term
        /// Why: timeout, leaderDisconnected, transfer, higherTerm, lostQuorum, diskStalled, removed, start, voteSplit.
        package var reason: String
        package var at: ClusterTime
        package var leader: NodeID?
        /// From the loss of the old leader, or the start, until the new one was known.
        package var took: Duration?

        package init(term: Term, reason: String, at: ClusterTime, leader: NodeID? = nil, took: Duration? = nil) {
            (self.term, self.reason, self.at, self.leader, self.took) = (term, reason, at, leader, took)
        }
    }

    package var node: NodeID
    /// follower, pre-candidate, candidate or leader.
    package var role = "follower"
    package var term = Term(0)
    package var leader: NodeID?
    package var lastIndex = LogIndex.zero
    package var durableIndex = LogIndex.zero
    package var commitIndex = LogIndex.zero
    package var snapshotIndex = LogIndex.zero
    /// The first index that is in the log.
    package var firstIndex = LogIndex.zero
    /// Bytes logged since the last snapshot.
    package var logBytes = 0
    package var voters: [NodeID] = []
    package var learners: [NodeID] = []
    /// The voters that are on their way out, while two configurations hold (Raft section 6).
    package var outgoing: [NodeID] = []
    /// The voters that there are to be once those of them that are learners have caught up; empty where nothing is under way.
    package var target: [NodeID] = []
    /// The entry whose configuration is in force.
    package var configurationIndex = LogIndex.zero
    package var isRecovering = false
    /// The entry by which this server was removed; nil while it belongs to the group, or never did.
    package var removedAt: LogIndex?
    /// Leadership is being handed to it.
    package var transferTo: NodeID?
    /// Of the members but this one, sorted by id.
    package var peers: [Peer] = []
    /// The newest last, at most 32.
    package var elections: [Election] = []

    package init(node: NodeID) { self.node = node }

    package var isLeader: Bool { role == "leader" }
    /// How many voters make a majority, and how many of them this server hears, itself among them; nil where only a leader knows.
    package var quorum: (need: Int, of: Int) { (voters.count / 2 + 1, voters.count) }
}
