package import Primitives

/// One server's consensus as a value (Raft, extended version). Today its configuration has one voter, itself: it wins every
/// election it starts (section 5.2: a majority of one), and an entry is committed once it is durable here (section 5.3).
/// Elections among several, replication and membership arrive beside it in files of their own.
package struct RaftCore: Equatable, Sendable {
    package enum Event: Equatable, Sendable {
        /// The driver has read its disk and may campaign.
        case start
        /// Term and vote of the last `persist` are on disk.
        case hardStateDurable
        /// Payloads to append, in order.
        case propose(count: Int)
        /// Everything up to here is on disk.
        case durable(LogIndex)
    }

    /// What the driver has to do, in this order.
    package enum Effect: Equatable, Sendable {
        /// Durable before any effect after it.
        case persist(HardState)
        /// This server leads; append an entry of the new term (section 8).
        case lead(Term)
        /// Append the proposed payloads under this term from this index.
        case append(term: Term, first: LogIndex, count: Int)
        case commit(LogIndex)
    }

    package enum Role: String, Sendable { case follower, candidate, leader }

    package let id: NodeID
    package private(set) var role = Role.follower
    package private(set) var hardState: HardState
    package private(set) var lastIndex: LogIndex
    package private(set) var commitIndex: LogIndex
    private var firstIndexOfTerm: LogIndex?

    package init(id: NodeID, hardState: HardState, lastIndex: LogIndex, lastTerm: Term, commitIndex: LogIndex) {
        precondition(hardState.term >= lastTerm, "term \(hardState.term) below the log's \(lastTerm)")
        precondition(commitIndex <= lastIndex, "commit \(commitIndex) beyond the log's end \(lastIndex)")
        self.id = id
        self.hardState = hardState
        self.lastIndex = lastIndex
        self.commitIndex = commitIndex
    }

    package var term: Term { hardState.term }

    package mutating func handle(_ event: Event) -> [Effect] {
        switch event {
        case .start: campaign()
        case .hardStateDurable: win()
        case .propose(let count): propose(count)
        case .durable(let index): commit(upTo: index)
        }
    }

    private mutating func campaign() -> [Effect] {
        precondition(role == .follower, "start in role \(role)")
        role = .candidate
        hardState = HardState(term: hardState.term.next, vote: id)
        return [.persist(hardState)]
    }

    private mutating func win() -> [Effect] {
        guard role == .candidate else { return [] }
        role = .leader
        return [.lead(hardState.term)]
    }

    private mutating func propose(_ count: Int) -> [Effect] {
        precondition(role == .leader, "proposal in role \(role)")
        precondition(count > 0, "empty proposal")
        let first = lastIndex.next
        firstIndexOfTerm = firstIndexOfTerm ?? first
        lastIndex = LogIndex(lastIndex.number + UInt64(count))
        return [.append(term: hardState.term, first: first, count: count)]
    }

    /// Only entries of the own term commit by counting (section 5.4.2); those before them commit with them.
    private mutating func commit(upTo index: LogIndex) -> [Effect] {
        precondition(index <= lastIndex, "durable \(index) beyond the log's end \(lastIndex)")
        guard let first = firstIndexOfTerm, index >= first, index > commitIndex else { return [] }
        commitIndex = index
        return [.commit(index)]
    }
}
