package import Primitives

/// From which index on a read sees all that was acknowledged before it (thesis section 6.4).
package struct ReadIndex: WireCall {
    package typealias Reply = ReadIndexReply
    package static let type = MessageType.readIndex
    package static let isIdempotent = true
    package var group: UInt32 = 0
    package var requester = NodeID.unnamed
    /// Of a coordinator that asks from within its Raft: the answer comes as a message of its own and bears the same number.
    package var read: UInt64?
    package var term: Term?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "requester", &requester)
        try coder.field(3, "read", &read)
        try coder.field(4, "term", &term)
    }
}

/// The index, confirmed by a round of heartbeats.
package struct ReadIndexReply: WireMessage {
    package static let type = MessageType.readIndexReply
    package var group: UInt32 = 0
    package var term = Term(0)
    package var index = LogIndex.zero
    package var read: UInt64?
    /// Who was asked does not lead, or cannot tell: the index says nothing.
    package var isRefused: Bool?
    package var responder: NodeID?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "index", &index)
        try coder.field(4, "read", &read)
        try coder.field(5, "is_refused", &isRefused)
        try coder.field(6, "responder", &responder)
    }
}

/// Payloads for the log, from a coordinator that does not lead. The session and its numbers are in the frame's extension (thesis section 6.3).
package struct Propose: WireCall {
    package typealias Reply = ProposeReply
    package static let type = MessageType.propose
    package var group: UInt32 = 0
    package var payloads: [[UInt8]] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.list(2, "payloads", &payloads)
    }
}

/// Where they stand in the log, once committed.
package struct ProposeReply: WireMessage {
    package static let type = MessageType.proposeReply
    package var group: UInt32 = 0
    package var term = Term(0)
    package var first = LogIndex.zero
    /// What applying each gave.
    package var outcomes: [[UInt8]] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "first", &first)
        try coder.list(4, "outcomes", &outcomes)
    }
}

/// The members that there should be (Raft section 6, joint consensus).
package struct ChangeMembers: WireCall {
    package typealias Reply = ProposeReply
    package static let type = MessageType.changeMembers
    package var group: UInt32 = 0
    package var voters: [NodeID] = []
    package var learners: [NodeID] = []
    /// The configuration that is to be changed: another one in force refuses the change.
    package var basedOn = LogIndex.zero

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.list(2, "voters", &voters)
        try coder.list(3, "learners", &learners)
        try coder.field(4, "based_on", &basedOn)
    }
}
