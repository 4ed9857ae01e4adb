package import Primitives

/// How a member is believed to be (SWIM section 4.2).
package enum MemberState: UInt8, NumberedFieldValue, CaseIterable, Sendable {
    case alive = 1
    case suspect, dead, left

    package static var kindName: String { "member state" }
}

/// What is told of one member.
package struct MemberNews: WireRecord {
    package var node = NodeID.unnamed
    /// Rises with each start of the node.
    package var epoch: UInt64 = 0
    /// Raised by the member itself, to refute what is said of it.
    package var incarnation: UInt32 = 0
    package var state = MemberState.alive
    /// `host:port` where it takes datagrams; left out where it is known.
    package var address: String?
    /// Name=value: role, labels, capacity, where calls go.
    package var facts: [String] = []
    package var version: WireVersion?

    package init() {}

    package init(
        node: NodeID, epoch: UInt64, incarnation: UInt32, state: MemberState, address: String? = nil, facts: [String] = [],
        version: WireVersion? = nil
    ) {
        self.node = node
        self.epoch = epoch
        self.incarnation = incarnation
        self.state = state
        self.address = address
        self.facts = facts
        self.version = version
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "node", &node)
        try coder.field(2, "epoch", &epoch)
        try coder.field(3, "incarnation", &incarnation)
        try coder.field(4, "state", &state)
        try coder.field(5, "address", &address)
        try coder.list(6, "facts", &facts)
        try coder.field(7, "version", &version)
    }
}

/// Are you there? In datagrams and over connections; over connections also what keeps one alive, and what `distric ping` sends.
package struct Ping: WireCall {
    package typealias Reply = Ack
    package static let type = MessageType.ping
    package static let isIdempotent = true
    package var sequence: UInt64 = 0
    package var from = NodeID.unnamed
    /// Who is meant; another who gets it does not answer.
    package var target: NodeID?
    package var news: [MemberNews] = []
    /// Comes back as it is.
    package var padding: [UInt8]?

    package init() {}

    package init(sequence: UInt64, from: NodeID, target: NodeID? = nil, news: [MemberNews] = [], padding: [UInt8]? = nil) {
        self.sequence = sequence
        self.from = from
        self.target = target
        self.news = news
        self.padding = padding
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
        try coder.field(3, "target", &target)
        try coder.list(4, "news", &news)
        try coder.field(5, "padding", &padding)
    }
}

/// I am.
package struct Ack: WireMessage {
    package static let type = MessageType.ack
    package var sequence: UInt64 = 0
    package var from = NodeID.unnamed
    package var incarnation: UInt32 = 0
    package var news: [MemberNews] = []
    package var padding: [UInt8]?
    /// The wall clock of who answers, milliseconds since 1970.
    package var time: ClusterTime?

    package init() {}

    package init(
        sequence: UInt64, from: NodeID, incarnation: UInt32 = 0, news: [MemberNews] = [], padding: [UInt8]? = nil, time: ClusterTime? = nil
    ) {
        self.sequence = sequence
        self.from = from
        self.incarnation = incarnation
        self.news = news
        self.padding = padding
        self.time = time
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
        try coder.field(3, "incarnation", &incarnation)
        try coder.list(4, "news", &news)
        try coder.field(5, "padding", &padding)
        try coder.field(6, "time", &time)
    }
}

/// Ask that member for me: it does not answer me (SWIM section 3.1).
package struct PingRequest: WireMessage {
    package static let type = MessageType.pingRequest
    package static let name = "PingRequest"
    package var sequence: UInt64 = 0
    package var from = NodeID.unnamed
    package var target = NodeID.unnamed
    package var address = ""
    package var news: [MemberNews] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
        try coder.field(3, "target", &target)
        try coder.field(4, "address", &address)
        try coder.list(5, "news", &news)
    }
}

/// It did not answer me either (Lifeguard section IV-A): the helper is there, the member may not be.
package struct Nack: WireMessage {
    package static let type = MessageType.nack
    package var sequence: UInt64 = 0
    package var from = NodeID.unnamed

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
    }
}

/// News alone.
package struct MembershipUpdate: WireMessage {
    package static let type = MessageType.membershipUpdate
    package var from = NodeID.unnamed
    package var news: [MemberNews] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "from", &from)
        try coder.list(2, "news", &news)
    }
}

/// All that one knows, for all that the other knows: over a connection, answered with one of its own.
package struct PushPull: WireCall {
    package typealias Reply = PushPull
    package static let type = MessageType.pushPull
    package static let isIdempotent = true
    package var from = NodeID.unnamed
    package var members: [MemberNews] = []
    package var isJoin = false

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "from", &from)
        try coder.list(2, "members", &members)
        try coder.field(3, "is_join", &isJoin)
    }
}
