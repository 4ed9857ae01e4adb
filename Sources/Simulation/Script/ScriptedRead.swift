package import Primitives
package import Raft

/// A read that a script asked for.
package struct ScriptedRead: Equatable, Sendable {
    package enum Outcome: Equatable, Sendable {
        case waiting
        case ready(LogIndex)
        case refused(RaftRefusal)
        /// Its server fell.
        case lost
    }

    package let id: UInt64
    package let server: NodeID
    /// What was committed when it came.
    package let asked: LogIndex
    package internal(set) var outcome = Outcome.waiting
}
