import Cluster
import Primitives
import Wire
import Workflows

/// What the planner's thread hears of workers in other processes, and of operators about all of them.
enum WorkerNews: Sendable {
    /// The session has ended; what its worker holds is its own until the lease is over.
    case left(NodeID, session: UInt64)
    /// It stops, and has reported all that it began.
    case gone(NodeID, session: UInt64)
    /// It renewed its lease, and has so much room by its own count.
    case room(NodeID, session: UInt64, free: Int, Placement.Standing)
    /// It did not take an assignment; nothing more goes there until it says that there is room.
    case refused(NodeID, session: UInt64, TaskReport)
    /// An operator wants it to take nothing new, or to do so again.
    case cordon(NodeID, Bool)
    /// An operator wants it empty: what runs may go on for so long.
    case drain(NodeID, within: Duration)
}
