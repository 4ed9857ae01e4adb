package import Primitives

/// Asks another coordinator for the history that entries after one gave, up to another. Records come as they are on disk, in the order of
/// their entries, one after the other in the pieces of a stream; then the answer.
package struct HistoryRead: WireCall {
    package typealias Reply = HistoryReadReply
    package static let type = MessageType.historyRead
    package static let isIdempotent = true
    package var group: UInt32 = 0
    package var after = LogIndex.zero
    package var through = LogIndex.zero
    /// Files that hold nothing younger are left out.
    package var notBefore = ClusterTime.zero
    /// Of records: once so many have come no other entry is begun.
    package var limitBytes: UInt32 = 0

    package init() {}

    package init(group: UInt32 = 0, after: LogIndex, through: LogIndex, notBefore: ClusterTime, limitBytes: UInt32) {
        (self.group, self.after, self.through) = (group, after, through)
        (self.notBefore, self.limitBytes) = (notBefore, limitBytes)
    }

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "after", &after)
        try coder.field(3, "through", &through)
        try coder.field(4, "not_before", &notBefore)
        try coder.field(5, "limit_bytes", &limitBytes)
    }
}

/// What was sent, after the last of it.
package struct HistoryReadReply: WireMessage {
    package static let type = MessageType.historyReadReply
    package var group: UInt32 = 0
    /// All that is kept of entries up to this one was sent, as far as it was asked for.
    package var reached = LogIndex.zero
    package var records: UInt64 = 0
    /// Passed over, since they do not read back.
    package var unreadableBytes: UInt64 = 0
    /// The entry of the oldest record that is kept; nil where nothing is.
    package var oldest: LogIndex?
    /// What follows `reached` is not here either: this history is being fetched itself.
    package var lacks = false

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "reached", &reached)
        try coder.field(3, "records", &records)
        try coder.field(4, "unreadable_bytes", &unreadableBytes)
        try coder.field(5, "oldest", &oldest)
        try coder.field(6, "lacks", &lacks)
    }
}
