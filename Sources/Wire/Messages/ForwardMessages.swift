package import Primitives

/// Messages that a coordinator that does not lead has taken and matched, for the leader to put into the log. The session and the number of the batch in it are in the
/// frame's extension: a batch that is sent again under the same is answered once.
package struct ForwardMessages: WireCall {
    package typealias Reply = ForwardMessagesReply
    package static let type = MessageType.forwardMessages
    package static let isIdempotent = true
    package var group: UInt32 = 0
    /// Every batch of the session below this number was answered, and will not be sent again.
    package var answered: UInt64 = 0
    /// An entry as the log has them: a `submit` command for each message, in order; its time is the sender's clock.
    package var entry: [UInt8] = []
    /// Of messages whose trace is recorded.
    package var traces: [ForwardedTrace] = []

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "answered", &answered)
        try coder.field(3, "entry", &entry)
        try coder.list(4, "traces", &traces)
    }
}

/// The trace that one message of a batch belongs to.
package struct ForwardedTrace: WireRecord {
    /// The message's place in the batch, from 0.
    package var place: UInt32 = 0
    /// Of the span that waits for the leader's answer.
    package var trace: TraceContext?

    package init() {}

    package init(place: Int, trace: TraceContext) { (self.place, self.trace) = (UInt32(clamping: place), trace) }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "place", &place)
        try coder.field(2, "trace", &trace)
    }
}

/// What became of each message of a batch, in its order, once that is certain.
package struct ForwardMessagesReply: WireMessage {
    package static let type = MessageType.forwardMessagesReply
    package var group: UInt32 = 0
    package var results: [ForwardResult] = []

    package init() {}

    package init(_ results: [ForwardResult]) { self.results = results }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.list(2, "results", &results)
    }
}

/// What the leader did with a message that another coordinator matched.
package enum ForwardOutcome: UInt8, NumberedFieldValue, CaseIterable, Sendable {
    /// It is durable, with its runs.
    case accepted = 1
    /// Another catalog is in force: it is to be matched again, by that one.
    case rematch
    /// Nothing was kept; later.
    case busy
    /// Nothing was kept: too many runs are open.
    case full
    /// The leader lost its leadership over it: under the same id it is kept once.
    case uncertain

    package static var kindName: String { "outcome" }
}

/// What became of one message that was passed on.
package struct ForwardResult: WireRecord {
    package var outcome = ForwardOutcome.accepted
    /// Those that it started; of a duplicate, those that the first of its kind did.
    package var runs: [UUIDv7] = []
    package var isDuplicate: Bool?
    /// Of the catalog that is in force, where that is another one.
    package var catalogVersion: UInt64?
    /// For whoever sent the message.
    package var detail: String?

    package init() {}

    package init(
        _ outcome: ForwardOutcome, runs: [UUIDv7] = [], isDuplicate: Bool? = nil, catalogVersion: UInt64? = nil, detail: String? = nil
    ) {
        (self.outcome, self.runs, self.isDuplicate) = (outcome, runs, isDuplicate)
        (self.catalogVersion, self.detail) = (catalogVersion, detail)
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "outcome", &outcome)
        try coder.list(2, "runs", &runs)
        try coder.field(3, "is_duplicate", &isDuplicate)
        try coder.field(4, "catalog_version", &catalogVersion)
        try coder.field(5, "detail", &detail)
    }
}
