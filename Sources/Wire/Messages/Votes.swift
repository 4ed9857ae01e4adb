package import Primitives

/// A candidate asks for a vote (Raft section 5.2).
package struct RequestVote: WireCall {
    package typealias Reply = RequestVoteReply
    package static let type = MessageType.requestVote
    package var group: UInt32 = 0
    package var term = Term(0)
    package var candidate = NodeID.unnamed
    package var lastIndex = LogIndex.zero
    package var lastTerm = Term(0)
    /// The leader itself asked for this election: who still hears the leader may vote too (thesis section 4.2.3).
    package var isTransfer = false

    package init() {}

    package init(group: UInt32 = 0, term: Term, candidate: NodeID, lastIndex: LogIndex, lastTerm: Term, isTransfer: Bool = false) {
        self.group = group
        self.term = term
        self.candidate = candidate
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
        self.isTransfer = isTransfer
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "candidate", &candidate)
        try coder.field(4, "last_index", &lastIndex)
        try coder.field(5, "last_term", &lastTerm)
        try coder.field(6, "is_transfer", &isTransfer)
    }
}

/// Whether the vote was given.
package struct RequestVoteReply: WireMessage {
    package static let type = MessageType.requestVoteReply
    package var group: UInt32 = 0
    package var term = Term(0)
    package var voter = NodeID.unnamed
    package var isGranted = false

    package init() {}

    package init(group: UInt32 = 0, term: Term, voter: NodeID, isGranted: Bool) {
        self.group = group
        self.term = term
        self.voter = voter
        self.isGranted = isGranted
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "voter", &voter)
        try coder.field(4, "is_granted", &isGranted)
    }
}

/// Would you vote for me? Changes nothing that lasts (thesis section 9.6).
package struct PreVote: WireCall {
    package typealias Reply = PreVoteReply
    package static let type = MessageType.preVote
    package static let isIdempotent = true
    package var group: UInt32 = 0
    /// The term that the election would be of.
    package var term = Term(0)
    package var candidate = NodeID.unnamed
    package var lastIndex = LogIndex.zero
    package var lastTerm = Term(0)

    package init() {}

    package init(group: UInt32 = 0, term: Term, candidate: NodeID, lastIndex: LogIndex, lastTerm: Term) {
        self.group = group
        self.term = term
        self.candidate = candidate
        self.lastIndex = lastIndex
        self.lastTerm = lastTerm
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "candidate", &candidate)
        try coder.field(4, "last_index", &lastIndex)
        try coder.field(5, "last_term", &lastTerm)
    }
}

/// Whether the vote would be given.
package struct PreVoteReply: WireMessage {
    package static let type = MessageType.preVoteReply
    package var group: UInt32 = 0
    /// Of who answers.
    package var term = Term(0)
    /// The term that was asked for.
    package var asked = Term(0)
    package var voter = NodeID.unnamed
    package var isGranted = false

    package init() {}

    package init(group: UInt32 = 0, term: Term, asked: Term, voter: NodeID, isGranted: Bool) {
        self.group = group
        self.term = term
        self.asked = asked
        self.voter = voter
        self.isGranted = isGranted
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "asked", &asked)
        try coder.field(4, "voter", &voter)
        try coder.field(5, "is_granted", &isGranted)
    }
}

/// Begin an election now: you are to lead (thesis section 3.10).
package struct TimeoutNow: WireMessage {
    package static let type = MessageType.timeoutNow
    package var group: UInt32 = 0
    package var term = Term(0)
    package var leader = NodeID.unnamed

    package init() {}

    package init(group: UInt32 = 0, term: Term, leader: NodeID) {
        self.group = group
        self.term = term
        self.leader = leader
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "leader", &leader)
    }
}
