package import Primitives
import Workflows

/// Which workers the leader believes in, and until when. Kept by the leader alone, on a clock that runs on while its machine sleeps: nothing of it is in the log.
package struct LeaseTable: Equatable, Sendable {
    package struct Lease: Equatable, Sendable {
        /// Of the worker's process; 0 for one that only the log knows of.
        package var epoch: UInt64
        package var renewedAt: Instant
        /// It was told that nobody has heard of the worker for too long.
        package var isOver = false
    }

    /// Whoever looks must do so more often than this: a longer pause was the leader's own.
    package static let patience = Duration.seconds(2)

    package let duration: Duration
    private var leases: [NodeID: Lease] = [:]
    private var lookedAt: Instant?

    package init(duration: Duration) { self.duration = duration }

    package subscript(node: NodeID) -> Lease? { leases[node] }
    package var count: Int { leases.count }

    /// A leader is elected: whoever the log has something with counts as renewed now, for an earlier leader may just have heard of it.
    package mutating func begin(_ holders: some Sequence<NodeID>, now: Instant) {
        leases = [:]
        lookedAt = now
        let renewedAt = mutated(.leasesOverAtElection) ? now.advanced(by: .zero - duration) : now
        for node in holders { leases[node] = Lease(epoch: 0, renewedAt: renewedAt) }
    }

    /// Leads no more.
    package mutating func end() {
        leases = [:]
        lookedAt = nil
    }

    package mutating func attach(_ node: NodeID, epoch: UInt64, now: Instant) { leases[node] = Lease(epoch: epoch, renewedAt: now) }

    /// False for a worker that has to attach first: it is not known, was started again since, or was given up.
    package mutating func renew(_ node: NodeID, epoch: UInt64, now: Instant) -> Bool {
        guard let lease = leases[node], lease.epoch == epoch, !lease.isOver else { return false }
        leases[node]?.renewedAt = max(lease.renewedAt, now)
        return true
    }

    /// There is nothing left with it that could be lost.
    package mutating func forget(_ node: NodeID) { leases[node] = nil }

    /// Who has been silent for longer than a lease, in the order of their ids: for how long, and whether that is new. A leader that stood still itself heard nobody:
    /// that time does not count against workers.
    package mutating func silent(now: Instant) -> [(node: NodeID, silence: Duration, isNew: Bool)] {
        let pause = lookedAt.map { now.duration(since: $0) } ?? .zero
        lookedAt = now
        if pause > Self.patience {
            leases = leases.mapValues { Lease(epoch: $0.epoch, renewedAt: $0.renewedAt.advanced(by: pause), isOver: $0.isOver) }
        }
        var found: [(node: NodeID, silence: Duration, isNew: Bool)] = []
        for (node, lease) in leases {
            let silence = now.duration(since: lease.renewedAt)
            guard silence >= (mutated(.leaseCutShort) ? duration / 2 : duration) else { continue }
            found.append((node, silence, !lease.isOver))
            leases[node]?.isOver = true
        }
        return found.sorted { $0.node < $1.node }
    }
}
