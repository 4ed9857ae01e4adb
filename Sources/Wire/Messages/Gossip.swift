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
    /// Who suspects it, or found it dead.
    package var accuser: NodeID?
    /// What it says of itself; left out where it is known.
    package var metadata: MemberFacts?

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
        try coder.field(8, "accuser", &accuser)
        try coder.field(9, "metadata", &metadata)
    }
}

/// What a member says of itself that changes slowly.
package struct MemberFacts: WireRecord {
    /// The incarnation in which it said so.
    package var version: UInt32 = 0
    /// `host:port` where it takes datagrams.
    package var gossip = ""
    /// `host:port` where it takes calls.
    package var rpc = ""
    /// URL of its HTTP door.
    package var http: String?
    package var roles: [String] = []
    /// Name=value.
    package var labels: [String] = []
    /// Tasks that it takes at once.
    package var slots: UInt32 = 0
    package var lowest = WireVersion(number: 0)
    package var highest = WireVersion(number: 0)
    package var featureLevel: UInt16 = 0
    package var software = ""

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "version", &version)
        try coder.field(2, "gossip", &gossip)
        try coder.field(3, "rpc", &rpc)
        try coder.field(4, "http", &http)
        try coder.list(5, "roles", &roles)
        try coder.list(6, "labels", &labels)
        try coder.field(7, "slots", &slots)
        try coder.field(8, "lowest_version", &lowest)
        try coder.field(9, "highest_version", &highest)
        try coder.field(10, "feature_level", &featureLevel)
        try coder.field(11, "software", &software)
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
    /// Of who sends it, and its incarnation; in gossip alone.
    package var epoch: UInt64?
    package var incarnation: UInt32?
    /// Of who is meant, and its incarnation as far as the sender knows; in gossip alone.
    package var targetEpoch: UInt64?
    package var known: UInt32?

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
        try coder.field(6, "epoch", &epoch)
        try coder.field(7, "incarnation", &incarnation)
        try coder.field(8, "target_epoch", &targetEpoch)
        try coder.field(9, "known_incarnation", &known)
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
    /// Of who answers; in gossip, and over connections.
    package var epoch: UInt64?
    /// What is known here of whoever pinged is older than what it said: it is to say what it is.
    package var isBehind: Bool?

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
        try coder.field(7, "epoch", &epoch)
        try coder.field(8, "is_behind", &isBehind)
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
    package var epoch: UInt64?
    package var targetEpoch: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
        try coder.field(3, "target", &target)
        try coder.field(4, "address", &address)
        try coder.list(5, "news", &news)
        try coder.field(6, "epoch", &epoch)
        try coder.field(7, "target_epoch", &targetEpoch)
    }
}

/// It did not answer me either (Lifeguard section IV-A): the helper is there, the member may not be.
package struct Nack: WireMessage {
    package static let type = MessageType.nack
    package var sequence: UInt64 = 0
    package var from = NodeID.unnamed
    package var epoch: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "from", &from)
        try coder.field(3, "epoch", &epoch)
    }
}

/// News alone.
package struct MembershipUpdate: WireMessage {
    package static let type = MessageType.membershipUpdate
    package var from = NodeID.unnamed
    package var news: [MemberNews] = []
    package var epoch: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "from", &from)
        try coder.list(2, "news", &news)
        try coder.field(3, "epoch", &epoch)
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
    /// Of who sends it. With it the message is one of gossip, and its members have metadata; without it nodes tell each other who is where.
    package var epoch: UInt64?
    /// Gossip of nodes that have a key: a whole frame of this message, sealed as a datagram is; the other fields are empty.
    package var sealed: [UInt8]?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "from", &from)
        try coder.list(2, "members", &members)
        try coder.field(3, "is_join", &isJoin)
        try coder.field(4, "epoch", &epoch)
        try coder.field(5, "sealed", &sealed)
    }
}
