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
    /// The loss that the receiver may take for made good: it has all of the log again.
    package var trusts: UInt64?

    package init() {}

    package init(
        group: UInt32 = 0, term: Term, leader: NodeID, previousIndex: LogIndex, previousTerm: Term, commitIndex: LogIndex,
        entries: [LogEntry], round: UInt64 = 0, trusts: UInt64? = nil
    ) {
        self.group = group
        self.term = term
        self.leader = leader
        self.previousIndex = previousIndex
        self.previousTerm = previousTerm
        self.commitIndex = commitIndex
        self.entries = entries
        self.round = round
        self.trusts = trusts
    }

    // What comes by the thousand, this and the entries in it, is counted, written and read in one go, to the bytes that visiting would give
    // (FieldsInOrderTests compares them).

    package var fieldBytes: Int {
        let fixed = 7 * TLV.head + 4 + 5 * 8 + leader.text.utf8.count + (trusts == nil ? 0 : TLV.head + 8)
        guard !entries.isEmpty else { return fixed }
        return entries.reduce(fixed + TLV.head + TLV.listHead) { $0 + TLV.itemHead + $1.fieldBytes }
    }

    package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        var fields = FieldWriter(bytes)
        fields.field(1, group)
        fields.field(2, term)
        fields.field(3, leader)
        fields.field(4, previousIndex)
        fields.field(5, previousTerm)
        fields.field(6, commitIndex)
        fields.list(7, entries)
        fields.field(8, round)
        if let trusts { fields.field(9, trusts) }
        return bytes.distance(to: fields.place)
    }

    package mutating func readInOrder(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var fields = FieldsInOrder(bytes)
        guard fields.take(1, .u32, 4), let group = fields.half(), fields.take(2, .u64, 8), let term = fields.word(),
            let name = fields.value(3, .string), let leader = try? NodeID(utf8: name), fields.take(4, .u64, 8),
            let previousIndex = fields.word(), fields.take(5, .u64, 8), let previousTerm = fields.word(), fields.take(6, .u64, 8),
            let commitIndex = fields.word(), let entries: [LogEntry] = fields.list(7), fields.take(8, .u64, 8), let round = fields.word(),
            fields.isAtEnd
        else { return false }
        (self.group, self.term, self.leader) = (group, Term(term), leader)
        (self.previousIndex, self.previousTerm) = (LogIndex(previousIndex), Term(previousTerm))
        (self.commitIndex, self.entries, self.round) = (LogIndex(commitIndex), entries, round)
        return true
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
        try coder.field(9, "trusts", &trusts)
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
    /// Of a refusal: the entry that was not the leader's, so that an old refusal is known as such.
    package var rejectedIndex: LogIndex?
    /// The follower lost its vote or part of its log, and does not count; the number tells one loss from another.
    package var recovery: UInt64?

    package init() {}

    package init(
        group: UInt32 = 0, term: Term, follower: NodeID, isSuccess: Bool, matchIndex: LogIndex, conflictIndex: LogIndex? = nil,
        conflictTerm: Term? = nil, round: UInt64 = 0, rejectedIndex: LogIndex? = nil, recovery: UInt64? = nil
    ) {
        self.group = group
        self.term = term
        self.follower = follower
        self.isSuccess = isSuccess
        self.matchIndex = matchIndex
        self.conflictIndex = conflictIndex
        self.conflictTerm = conflictTerm
        self.round = round
        self.rejectedIndex = rejectedIndex
        self.recovery = recovery
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
        try coder.field(9, "rejected_index", &rejectedIndex)
        try coder.field(10, "recovery", &recovery)
    }
}

/// An entry within `AppendEntries`.
extension LogEntry: WireRecord {
    package init() { self.init(index: .zero, term: Term(0), kind: .commands, payload: []) }

    /// Where a payload begins: index, term and kind are as long in every entry.
    private static let payloadOffset = 4 * TLV.head + 8 + 8 + 1

    package var fieldBytes: Int { Self.payloadOffset + payload.count }

    @discardableResult
    package func write(to bytes: UnsafeMutableRawPointer) -> Int {
        let count = payload.count
        TLV.writeHead(1, .u64, 8, to: bytes)
        index.write(to: bytes + 7)
        TLV.writeHead(2, .u64, 8, to: bytes + 15)
        term.write(to: bytes + 22)
        TLV.writeHead(3, .u8, 1, to: bytes + 30)
        (bytes + 37).storeBytes(of: kind.rawValue, as: UInt8.self)
        TLV.writeHead(4, .bytes, count, to: bytes + 38)
        payload.write(to: bytes + Self.payloadOffset)
        return Self.payloadOffset + count
    }

    package mutating func readInOrder(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var fields = FieldsInOrder(bytes)
        guard fields.take(1, .u64, 8), let index = fields.word(), fields.take(2, .u64, 8), let term = fields.word(),
            fields.take(3, .u8, 1), let kind = fields.byte().flatMap({ Kind(rawValue: $0) }), let payload = fields.rest(4, .bytes)
        else { return false }
        (self.index, self.term, self.kind) = (LogIndex(index), Term(term), kind)
        self.payload = [UInt8](payload)
        return true
    }

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
    /// The other half of a joint configuration.
    package var outgoing: [NodeID] = []
    /// The voters that a change under way is to lead to.
    package var target: [NodeID] = []
    /// The hash chain of the log at the snapshot's last entry.
    package var chain: UInt64?
    package var round: UInt64?

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
        try coder.list(13, "outgoing", &outgoing)
        try coder.list(14, "target", &target)
        try coder.field(15, "chain", &chain)
        try coder.field(16, "round", &round)
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
    /// Of which snapshot.
    package var lastIndex: LogIndex?
    package var round: UInt64?

    package init() {}

    package mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
        try coder.field(1, "group", &group)
        try coder.field(2, "term", &term)
        try coder.field(3, "follower", &follower)
        try coder.field(4, "next_chunk", &nextChunk)
        try coder.field(5, "is_installed", &isInstalled)
        try coder.field(6, "last_index", &lastIndex)
        try coder.field(7, "round", &round)
    }
}
