/// What a server must have on disk before it answers (Raft figure 2): its term and whom it voted for in it.
package struct HardState: Equatable, Sendable {
    package var term: Term
    package var vote: NodeID?

    package init(term: Term, vote: NodeID?) {
        self.term = term
        self.vote = vote
    }
}
