/// One position of the replicated log.
package struct LogEntry: Equatable, Sendable {
    package enum Kind: UInt8, Sendable {
        /// Commands of the state machine in a `LogEnvelope`.
        case commands = 1
        /// The empty entry by which a new leader commits what came before (Raft section 8).
        case leaderStart = 2
        /// Who belongs to the cluster, in force once it is appended (Raft section 6).
        case configuration = 3
    }

    package var index: LogIndex
    package var term: Term
    package var kind: Kind
    package var payload: [UInt8]

    package init(index: LogIndex, term: Term, kind: Kind, payload: [UInt8]) {
        self.index = index
        self.term = term
        self.kind = kind
        self.payload = payload
    }
}
