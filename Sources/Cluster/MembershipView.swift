package import Primitives
package import SWIM
import Synchronization

/// Who is there, as this node believes: published by the loop that finds it out, read by everybody else. A hint: who belongs to a consensus group, and who owns what, is
/// in the log.
package final class MembershipView: Sendable {
    /// All of it, as it was at one moment.
    package struct Snapshot: Sendable {
        /// Sorted by id, this node among them; empty before it takes part.
        package var members: [MemberView] = []
        package var identity: MemberIdentity?
        package var incarnation = Incarnation.zero
        package var counts = SWIMCounts()
        /// How much this node blames itself for what it does not hear; 0 is healthy.
        package var localHealth = 0
        package var pendingNews = 0
        package var at = Instant(nanoseconds: 0)
        /// More than one process goes under this node's id.
        package var conflict: String?

        package init() {}

        package func count(_ liveness: Liveness) -> Int { members.count { $0.liveness == liveness } }
        package subscript(node: NodeID) -> MemberView? { members.first { $0.identity.node == node } }

        /// Coordinators that are there, other than this node; those that are suspected come last.
        package var coordinators: [MemberView] {
            let all = members.filter { !$0.isSelf && $0.liveness.isLiving && $0.metadata.roles.contains("coordinator") }
            return all.filter { $0.liveness == .alive } + all.filter { $0.liveness != .alive }
        }
    }

    private let state = Mutex(Snapshot())

    package init() {}

    package var current: Snapshot { state.withLock { $0 } }

    func publish(_ snapshot: Snapshot) { state.withLock { $0 = snapshot } }

    /// One number of it, without a copy of the rest.
    func read<Number>(_ body: (borrowing Snapshot) -> Number) -> Number where Number: Sendable { state.withLock { body($0) } }
}
