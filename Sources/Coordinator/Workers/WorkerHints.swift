import Cluster
import Observability
import Primitives
package import SWIM
import Wire

/// What gossip says of workers, which is a hint: a worker that nobody hears any more gets nothing new, at once, where its connection alone would be believed in for longer.
/// What it holds stays its own until its lease is over, for it may be alive and only out of reach: nobody else gets that before (see `LeaseTable`).
package struct WorkerHints: Sendable {
    private let sessions: WorkerSessions

    package init(_ sessions: WorkerSessions) { self.sessions = sessions }

    package func hear(_ change: MemberChange) {
        guard case .failed(let member, _) = change, let session = sessions.session(member.node),
            // A later process of the worker is not the one that is dead.
            session.origin.epoch <= member.epoch
        else { return }
        sessions.metrics.doubted.increment()
        session.end(CallError(.unavailable, "other nodes have no answer from worker '\(member.node)': attach again"))
    }
}
