package import Primitives

/// Entries for a follower's log, or none: then it is a heartbeat (Raft section 5.3).
package struct AppendEntries: WireCall {
    package typealias Reply = AppendEntriesReply
    package static let type = MessageType.appendEntries
    package static let isIdempotent = true
    package var group: UInt32 = 0
    package var term = Term(0)
    package var leader = NodeID.unnamed
    package var previousIndex = LogIndex.zero
    package var previousTerm = Term(0)
    package var commitIndex = LogIndex.zero
    package var entries: [LogEntry] = []
    /// The round of heartbeats that a ReadIndex waits for (thesis section 6.4); 0 for none.
    package var round: UInt64 = 0

    package init() {}

    package init(
        group: UInt32 = 0, term: Term, leader: NodeID, previousIndex: LogIndex, previousTerm: Term, commitIndex: LogIndex,
        entries: [LogEntry], round: UInt64 = 0
    ) {
        self.group = group
        self.term = term
        self.leader = leader
        self.previousIndex = previousIndex
        self.previousTerm = previousTerm
        self.commitIndex = commitIndex
        self.entries = entries
        self.round = round
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "leader", &leader)
        try coder.field(4, "previous_index", &previousIndex)
        try coder.field(5, "previous_term", &previousTerm)
        try coder.field(6, "commit_index", &commitIndex)
        try coder.list(7, "entries", &entries)
        try coder.field(8, "round", &round)
    }
}

/// How far the follower's log is the leader's.
package struct AppendEntriesReply: WireMessage {
    package static let type = MessageType.appendEntriesReply
    package var group: UInt32 = 0
    package var term = Term(0)
    package var follower = NodeID.unnamed
    package var isSuccess = false
    /// Durable here and the same as the leader's, up to the end of what was sent.
    package var matchIndex = LogIndex.zero
    /// Where the leader may go on trying: the first index of the term that is in the way (Raft section 5.3, at its end).
    package var conflictIndex: LogIndex?
    package var conflictTerm: Term?
    package var round: UInt64 = 0

    package init() {}

    package init(
        group: UInt32 = 0, term: Term, follower: NodeID, isSuccess: Bool, matchIndex: LogIndex, conflictIndex: LogIndex? = nil,
        conflictTerm: Term? = nil, round: UInt64 = 0
    ) {
        self.group = group
        self.term = term
        self.follower = follower
        self.isSuccess = isSuccess
        self.matchIndex = matchIndex
        self.conflictIndex = conflictIndex
        self.conflictTerm = conflictTerm
        self.round = round
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "follower", &follower)
        try coder.field(4, "is_success", &isSuccess)
        try coder.field(5, "match_index", &matchIndex)
        try coder.field(6, "conflict_index", &conflictIndex)
        try coder.field(7, "conflict_term", &conflictTerm)
        try coder.field(8, "round", &round)
    }
}

/// An entry within `AppendEntries`.
extension LogEntry: WireRecord {
    package init() { self.init(index: .zero, term: Term(0), kind: .commands, payload: []) }

    /// As visiting would count it, for the one record that comes by the thousand.
    package var fieldBytes: Int { 4 * TLV.head + 8 + 8 + 1 + payload.count }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "index", &index)
        try coder.field(2, "term", &term)
        try coder.field(3, "kind", &kind)
        try coder.field(4, "payload", &payload)
    }
}

extension LogEntry.Kind: NumberedFieldValue {
    package static var kindName: String { "entry kind" }
}

/// A piece of a snapshot (Raft section 7), by its number, so that a transfer goes on where it was cut.
package struct InstallSnapshot: WireCall {
    package typealias Reply = InstallSnapshotReply
    package static let type = MessageType.installSnapshot
    package static let isIdempotent = true
    package var group: UInt32 = 0
    package var term = Term(0)
    package var leader = NodeID.unnamed
    /// What the snapshot stands for.
    package var lastIndex = LogIndex.zero
    package var lastTerm = Term(0)
    package var totalBytes: UInt64 = 0
    /// Of the whole snapshot.
    package var checksum: UInt32 = 0
    package var chunk: UInt32 = 0
    package var offset: UInt64 = 0
    package var data: [UInt8] = []
    package var voters: [NodeID] = []
    package var learners: [NodeID] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "leader", &leader)
        try coder.field(4, "last_index", &lastIndex)
        try coder.field(5, "last_term", &lastTerm)
        try coder.field(6, "total_bytes", &totalBytes)
        try coder.field(7, "checksum", &checksum)
        try coder.field(8, "chunk", &chunk)
        try coder.field(9, "offset", &offset)
        try coder.field(10, "data", &data)
        try coder.list(11, "voters", &voters)
        try coder.list(12, "learners", &learners)
    }
}

/// Which piece the follower wants next.
package struct InstallSnapshotReply: WireMessage {
    package static let type = MessageType.installSnapshotReply
    package var group: UInt32 = 0
    package var term = Term(0)
    package var follower = NodeID.unnamed
    package var nextChunk: UInt32 = 0
    package var isInstalled = false

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "follower", &follower)
        try coder.field(4, "next_chunk", &nextChunk)
        try coder.field(5, "is_installed", &isInstalled)
    }
}
