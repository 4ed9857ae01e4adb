package import Primitives
package import Raft

/// Which messages a command is about.
package struct MessageFilter: Equatable, Sendable {
    /// What a message is called in a script.
    package enum Kind: String, CaseIterable, Sendable {
        case preVote = "pre-vote"
        case preVoteReply = "pre-vote-reply"
        case vote
        case voteReply = "vote-reply"
        case append
        /// An append without entries.
        case heartbeat
        case appendReply = "append-reply"
        case snapshot
        case snapshotReply = "snapshot-reply"
        case timeoutNow = "timeout-now"
        case readIndex = "read-index"
        case readIndexReply = "read-index-reply"

        package init(_ message: RaftMessage) {
            switch message {
            case .preVote: self = .preVote
            case .preVoteReply: self = .preVoteReply
            case .requestVote: self = .vote
            case .requestVoteReply: self = .voteReply
            case .append(let append): self = append.entries.isEmpty ? .heartbeat : .append
            case .appendReply: self = .appendReply
            case .installSnapshot: self = .snapshot
            case .installSnapshotReply: self = .snapshotReply
            case .timeoutNow: self = .timeoutNow
            case .readIndex: self = .readIndex
            case .readIndexReply: self = .readIndexReply
            }
        }
    }

    /// Nil stands for all.
    package var from: NodeID?
    package var to: NodeID?
    package var kind: Kind?

    package init(from: NodeID? = nil, to: NodeID? = nil, kind: Kind? = nil) { (self.from, self.to, self.kind) = (from, to, kind) }

    func isFor(_ sender: NodeID, _ receiver: NodeID) -> Bool { (from == nil || from == sender) && (to == nil || to == receiver) }

    func matches(_ envelope: ScriptedNetwork.Envelope) -> Bool {
        isFor(envelope.from, envelope.to) && (kind == nil || kind == Kind(envelope.message))
    }
}

/// Messages between servers: each waits until it is told to go on. Links can be cut, which loses what is on them, or held.
package struct ScriptedNetwork: Equatable, Sendable {
    package struct Envelope: Equatable, Sendable {
        package var from: NodeID
        package var to: NodeID
        package var message: RaftMessage
        /// Set aside by itself.
        var isHeld = false
    }

    struct Link: Equatable, Sendable {
        var from: NodeID
        var to: NodeID
    }

    /// Oldest first.
    package private(set) var queue: [Envelope] = []
    private var cuts: [Link] = []
    private var holds: [MessageFilter] = []

    package init() {}

    package mutating func send(_ message: RaftMessage, from sender: NodeID, to receiver: NodeID) {
        guard !isCut(sender, receiver) else { return }
        queue.append(Envelope(from: sender, to: receiver, message: message))
    }

    func isCut(_ sender: NodeID, _ receiver: NodeID) -> Bool { cuts.contains(Link(from: sender, to: receiver)) }

    func isHeld(_ envelope: Envelope) -> Bool { envelope.isHeld || holds.contains { $0.matches(envelope) } }

    // MARK: Links

    mutating func cut(_ sender: NodeID, _ receiver: NodeID) {
        guard !isCut(sender, receiver) else { return }
        cuts.append(Link(from: sender, to: receiver))
        queue.removeAll { $0.from == sender && $0.to == receiver }
    }

    mutating func heal(_ filter: MessageFilter) { cuts.removeAll { filter.isFor($0.from, $0.to) } }

    // MARK: Messages

    /// With a count: that many that are under way now; without: all of them, and those to come.
    mutating func hold(_ filter: MessageFilter, count: Int?) -> Int {
        guard let count else {
            holds.append(filter)
            return queue.count { filter.matches($0) }
        }
        var held = 0
        for place in queue.indices where held < count && filter.matches(queue[place]) && !isHeld(queue[place]) {
            queue[place].isHeld = true
            held += 1
        }
        return held
    }

    mutating func release(_ filter: MessageFilter) {
        holds.removeAll { hold in
            (filter.from == nil || filter.from == hold.from) && (filter.to == nil || filter.to == hold.to)
                && (filter.kind == nil || filter.kind == hold.kind)
        }
        for place in queue.indices where filter.matches(queue[place]) { queue[place].isHeld = false }
    }

    /// The oldest one that may go on to one of those for whom `isListening` holds.
    mutating func takeFirst(_ filter: MessageFilter, where isListening: (NodeID) -> Bool) -> Envelope? {
        guard let place = queue.firstIndex(where: { filter.matches($0) && !isHeld($0) && isListening($0.to) }) else { return nil }
        return queue.remove(at: place)
    }

    /// How many there are that `takeFirst` would give.
    func count(_ filter: MessageFilter, where isListening: (NodeID) -> Bool) -> Int {
        queue.count { filter.matches($0) && !isHeld($0) && isListening($0.to) }
    }

    mutating func drop(_ filter: MessageFilter, count: Int?) -> [Envelope] {
        var dropped: [Envelope] = []
        queue.removeAll { envelope in
            guard filter.matches(envelope), dropped.count < count ?? .max else { return false }
            dropped.append(envelope)
            return true
        }
        return dropped
    }

    /// Copies go to the end.
    mutating func duplicate(_ filter: MessageFilter, count: Int?) -> [Envelope] {
        let copies = queue.filter { filter.matches($0) }.prefix(count ?? .max)
        queue += copies
        return Array(copies)
    }
}
