package import Primitives

/// Why a call has no other answer.
package struct ErrorReply: WireMessage {
    package static let type = MessageType.error
    package static let name = "Error"
    package var code = CallError.Code.internal
    package var message = ""
    /// Whether the same call may succeed if it is made again.
    package var isRetryable = false
    package var retryAfterMilliseconds: UInt32?
    /// Who leads, when the call was for the leader.
    package var leader: NodeID?
    /// `host:port` of the leader's calls.
    package var leaderAddress: String?
    /// Whether the call may have been done all the same.
    package var isUncertain = false

    package init() {}

    package init(
        _ code: CallError.Code, _ message: String, isRetryable: Bool? = nil, retryAfter: Duration? = nil, leader: NodeID? = nil,
        leaderAddress: String? = nil, isUncertain: Bool = false
    ) {
        self.isUncertain = isUncertain
        self.code = code
        self.message = message
        self.isRetryable = isRetryable ?? code.isRetryable
        retryAfterMilliseconds = retryAfter.map { UInt32(clamping: $0.milliseconds) }
        self.leader = leader
        self.leaderAddress = leaderAddress
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "code", &code)
        try coder.field(2, "message", &message)
        try coder.field(3, "is_retryable", &isRetryable)
        try coder.field(4, "retry_after_ms", &retryAfterMilliseconds)
        try coder.field(5, "leader", &leader)
        try coder.field(6, "leader_address", &leaderAddress)
        try coder.field(7, "is_uncertain", &isUncertain)
    }
}

/// Nobody waits for the call with this frame's id any more.
package struct Cancel: WireMessage {
    package static let type = MessageType.cancel
    package var reason: String?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) { try coder.field(1, "reason", &reason) }
}

/// A piece of a streamed answer. The last is followed by the call's reply.
package struct StreamChunk: WireMessage {
    package static let type = MessageType.streamChunk
    /// 0, 1, 2, ...
    package var sequence: UInt64 = 0
    package var data: [UInt8] = []

    package init() {}

    package init(sequence: UInt64, data: [UInt8]) {
        self.sequence = sequence
        self.data = data
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "sequence", &sequence)
        try coder.field(2, "data", &data)
    }
}

/// So many more bytes of the stream with this frame's id may be sent.
package struct Credit: WireMessage {
    package static let type = MessageType.credit
    package var bytes: UInt32 = 0

    package init() {}
    package init(bytes: UInt32) { self.bytes = bytes }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) { try coder.field(1, "bytes", &bytes) }
}

/// The first frame of both sides.
package struct Hello: WireMessage {
    package static let type = MessageType.hello
    package var lowest = WireVersion(major: 1, minor: 0)
    package var highest = WireVersion.current
    /// Nil for a client that is no node.
    package var node: NodeID?
    /// Nil for who has not joined one, and for clients.
    package var cluster: UUIDv7?
    package var roles: [String] = []
    /// Names of what one can beyond the version.
    package var capabilities: [String] = []
    /// The highest level of commands that the program knows.
    package var featureLevel: UInt16 = 0
    /// Of the program, for people.
    package var software = ""
    package var epoch: UInt64?
    /// `host:port` where a node takes calls.
    package var address: String?
    /// URL of a node's HTTP door.
    package var http: String?
    /// Of a node's data folder: another one under the same node id is another node.
    package var folder: UUIDv7?
    /// How many coordinators a node waits for that is to begin a cluster with them.
    package var expects: UInt16?
    /// Of the cluster: rises when it is begun again from what was left of it, and then the nodes of before are not of it any more.
    package var clusterEpoch: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "lowest_version", &lowest)
        try coder.field(2, "highest_version", &highest)
        try coder.field(3, "node", &node)
        try coder.field(4, "cluster", &cluster)
        try coder.list(5, "roles", &roles)
        try coder.list(6, "capabilities", &capabilities)
        try coder.field(7, "feature_level", &featureLevel)
        try coder.field(8, "software", &software)
        try coder.field(9, "epoch", &epoch)
        try coder.field(10, "address", &address)
        try coder.field(11, "http", &http)
        try coder.field(12, "folder", &folder)
        try coder.field(13, "expects", &expects)
        try coder.field(14, "cluster_epoch", &clusterEpoch)
    }
}
