package import Primitives

/// What a leader knows of one other server's log (Raft figure 2, nextIndex and matchIndex; flow control after etcd's raft, Ongaro thesis section 10.2).
package struct Progress: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// One message at a time until it is known where the logs agree.
        case probe(isWaiting: Bool)
        /// Messages go out before the ones before them are answered.
        case replicate
        /// The entries it needs are compacted: it gets a snapshot.
        case snapshot(Transfer)
    }

    package struct Transfer: Equatable, Sendable {
        package var mark: SnapshotMark
        /// Wanted next by the receiver.
        package var acknowledged: UInt32
        package var sent: UInt32
        /// The receiver has said where to go on.
        package var isBegun = false
        /// When something last went forward.
        package var movedAt: Instant
        /// When it last went back to chunks that were sent before.
        var rewoundAt: Instant?
    }

    package struct Recovery: Equatable, Sendable {
        /// Which loss.
        package var loss: UInt64
        /// Proposed since it was told.
        package var entry: LogIndex
        /// Answers to earlier rounds may be from before the loss.
        var notedRound: UInt64
        /// It may trust itself from here on.
        var trustedRound: UInt64?

        func trusted(in round: UInt64, upTo known: LogIndex) -> UInt64? {
            guard let trustedRound, round >= trustedRound, known >= entry else { return nil }
            return loss
        }
    }

    struct InFlight: Equatable, Sendable {
        var last: LogIndex
        var bytes: Int
    }

    package let id: NodeID
    package internal(set) var state = State.probe(isWaiting: false)
    package internal(set) var matchIndex = LogIndex.zero
    /// Of the entry there, which may be compacted here since; nil where it is not known.
    var matchTerm: Term?
    package internal(set) var nextIndex: LogIndex
    /// The newest round of heartbeats that it has answered.
    package internal(set) var round: UInt64 = 0
    /// Nil until it has answered in this term.
    package internal(set) var lastContact: Instant?
    var inFlight: [InFlight] = []
    package var inFlightCount: Int { inFlight.count }
    package internal(set) var inFlightBytes = 0
    /// Entries were asked of the disk for it.
    var isFetching = false
    /// It lost its vote or part of its log: it counts for nothing until an entry that was proposed after it said so is committed without it.
    package internal(set) var recovery: Recovery?
    /// The loss that was made good last: what is still said of it is old.
    var trustedLoss: UInt64?
    /// The round in which a probe went out.
    var probeRound: UInt64 = 0
    /// Of a learner: the end of the log when its round of catching up began, and when that was (thesis section 4.2.1).
    var catchUp: (target: LogIndex, began: Instant)?
    package internal(set) var isCaughtUp = false
    /// It is no member any more since then, and is still to be told.
    var leavingSince: Instant?
    package var isLeaving: Bool { leavingSince != nil }
    /// When its log last came closer to the leader's, or something was sent that should bring it closer.
    var movedAt: Instant?
    /// The commit index that it was last told.
    var toldCommit = LogIndex.zero

    package static func == (left: Progress, right: Progress) -> Bool {
        left.id == right.id && left.state == right.state && left.matchIndex == right.matchIndex && left.nextIndex == right.nextIndex
            && left.round == right.round && left.lastContact == right.lastContact && left.inFlight == right.inFlight
            && left.recovery == right.recovery
    }

    init(id: NodeID, next: LogIndex) {
        self.id = id
        nextIndex = next
    }

    mutating func becomeProbe() {
        state = .probe(isWaiting: false)
        nextIndex = matchIndex.next
        (inFlight, inFlightBytes, isFetching) = ([], 0, false)
    }

    mutating func becomeReplicate() {
        state = .replicate
        nextIndex = matchIndex.next
        (inFlight, inFlightBytes) = ([], 0)
    }

    mutating func becomeSnapshot(_ mark: SnapshotMark, now: Instant) {
        state = .snapshot(Transfer(mark: mark, acknowledged: 0, sent: 0, movedAt: now))
        (inFlight, inFlightBytes, isFetching) = ([], 0, false)
    }

    mutating func sent(through last: LogIndex, bytes: Int) {
        inFlight.append(InFlight(last: last, bytes: bytes))
        inFlightBytes += bytes
        nextIndex = last.next
    }

    /// False when the answer tells nothing new.
    mutating func matched(_ index: LogIndex) -> Bool {
        while let first = inFlight.first, first.last <= index {
            inFlightBytes -= first.bytes
            inFlight.removeFirst()
        }
        guard index > matchIndex else { return false }
        matchIndex = index
        nextIndex = max(nextIndex, index.next)
        return true
    }
}

// One of them is a large value, so each is looked at in its place: a copy costs more than most of what is asked of it.
extension [Progress] {
    func place(of node: NodeID) -> Int? {
        for place in indices where self[place].id == node { return place }
        return nil
    }

    /// Messages to any one follower that are not answered.
    package var mostInFlight: Int {
        var most = 0
        for place in indices { most = Swift.max(most, self[place].inFlight.count) }
        return most
    }
}
