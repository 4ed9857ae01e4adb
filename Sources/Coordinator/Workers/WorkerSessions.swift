package import Cluster
import Observability
package import Primitives
import Synchronization
import Transport
import Wire
import Workflows

/// The workers that are with this node while it leads: those in other processes by their sessions and leases, those in this one by name.
package final class WorkerSessions: Sendable {
    struct State {
        var leases: LeaseTable
        var sessions: [NodeID: WorkerSession] = [:]
        var locals: [NodeID: any WorkerLink] = [:]
        var nextNumber: UInt64 = 1
    }

    /// Workers in other processes at once; one more is refused.
    static let limit = 4096

    let telemetry: Telemetry
    let metrics: WorkerMetrics
    let desk = ReportDesk()
    let state: Mutex<State>
    package let lease: Duration

    init(telemetry: Telemetry, lease: Duration) {
        self.telemetry = telemetry
        self.lease = lease
        metrics = WorkerMetrics(telemetry.metrics)
        state = Mutex(State(leases: LeaseTable(duration: lease)))
    }

    // MARK: Leading

    /// Whoever has something by the log counts as heard of now.
    func begin(_ holders: [NodeID]) {
        let now = telemetry.clock.now
        state.withLock { state in
            let remote = holders.filter { state.locals[$0] == nil }
            state.leases.begin(remote, now: now)
        }
    }

    /// Sends everybody to the next leader.
    func end(_ error: CallError) {
        let sessions = state.withLock { state in
            state.leases.end()
            defer { state.sessions = [:] }
            return Array(state.sessions.values)
        }
        for session in sessions { session.end(error) }
        desk.fail(error)
        metrics.attached.set(0)
    }

    /// Who has not been heard of for longer than a lease.
    func silent() -> [(node: NodeID, silence: Duration, isNew: Bool)] {
        let now = telemetry.clock.now
        let (found, cut) = state.withLock { state in
            let found = state.leases.silent(now: now)
            return (found, found.compactMap { state.sessions.removeValue(forKey: $0.node) })
        }
        for session in cut { session.end(CallError(.unavailable, "nothing was heard of the worker for \(lease.text): attach again")) }
        metrics.expired.increment(by: found.count { $0.isNew })
        if !cut.isEmpty { metrics.attached.set(state.withLock { $0.sessions.count }) }
        return found
    }

    /// Nothing of it is open.
    func forget(_ node: NodeID) { state.withLock { $0.leases.forget(node) } }

    func add(local worker: any WorkerLink) { state.withLock { $0.locals[worker.node] = worker } }

    // MARK: One worker

    /// A worker comes: in place of its own session before, never of somebody else's.
    func attach(_ call: WorkerAttach, _ hello: Hello, unsent: @escaping @Sendable ([TaskReport]) -> Void) throws(CallError)
        -> WorkerSession
    {
        let now = telemetry.clock.now
        var origin = WorkerSession.Origin(node: call.worker, epoch: call.epoch, attachedAt: now)
        (origin.folder, origin.software, origin.address) = (hello.folder, hello.software, hello.address)
        (origin.labels, origin.kinds) = (call.labels, call.kinds)
        let capacity = WorkerCapacity(
            slots: min(Int(call.slots), Placement.slotLimit), light: min(Int(call.light), Placement.lightLimit))
        let chosen = origin
        let result: Result<(WorkerSession, WorkerSession?), CallError> = state.withLock { state in
            let before = state.sessions[call.worker]
            if let refusal = Self.refusal(of: chosen, before: before, state) { return .failure(refusal) }
            let session = WorkerSession(
                chosen, capacity: capacity, number: state.nextNumber, isCordoned: call.isCordoned, unsent: unsent)
            state.nextNumber += 1
            state.sessions[call.worker] = session
            state.leases.attach(call.worker, epoch: call.epoch, now: now)
            return .success((session, before))
        }
        let (session, before): (WorkerSession, WorkerSession?)
        do throws(CallError) { (session, before) = try result.get() } catch {
            metrics.denied.increment()
            throw error
        }
        before?.end(CallError(.unavailable, "the worker attached anew"))
        metrics.attaches.increment()
        metrics.attached.set(state.withLock { $0.sessions.count })
        if before == nil {
            telemetry.events.emit(
                "worker.joined", subject: call.worker.text,
                "worker \(call.worker) is with the leader, with \(capacity.slots) slots and \(call.running.count) attempts that it runs")
        }
        return session
    }

    private static func refusal(of origin: WorkerSession.Origin, before: WorkerSession?, _ state: State) -> CallError? {
        if state.locals[origin.node] != nil {
            return CallError(
                .denied, "'\(origin.node)' is the worker in the leader's own process: give the other one an id of its own (--id)")
        }
        guard let before else {
            guard state.sessions.count < limit else {
                return CallError(.busy, "\(limit) workers are attached, as many as may be", retryAfter: .seconds(5))
            }
            return nil
        }
        guard before.origin.folder == origin.folder else {
            return CallError(
                .denied,
                "worker '\(origin.node)' is here already, with another data folder: give one of the two an id of its own (--id), or wait until the other is gone"
            )
        }
        guard before.origin.epoch <= origin.epoch else {
            return CallError(.denied, "worker '\(origin.node)' was started again since: this is the process of before")
        }
        return copy(origin, of: before, state)
    }

    /// A worker that was started again has closed the connections of before. Where those of another process, elsewhere, are open and say what they have to, there are two
    /// with this folder: what the first runs is not to be given to anybody else because the second does not know of it.
    private static func copy(_ origin: WorkerSession.Origin, of before: WorkerSession, _ state: State) -> CallError? {
        guard before.origin.epoch != origin.epoch, let place = before.origin.address, let other = origin.address, place != other,
            let lease = state.leases[origin.node], origin.attachedAt.duration(since: lease.renewedAt) < state.leases.duration / 2
        else { return nil }
        return CallError(
            .denied,
            "worker '\(origin.node)' runs at \(place), and the process at \(other) has the same data folder, or a copy of it: stop one of them; whoever has a copy starts with an empty folder and an id of its own (--id)"
        )
    }

    /// Its stream has ended.
    func detach(_ session: WorkerSession, _ why: CallError) {
        session.end(why)
        let isCurrent = state.withLock { state in
            guard state.sessions[session.node]?.number == session.number else { return false }
            state.sessions[session.node] = nil
            return true
        }
        guard isCurrent else { return }
        metrics.attached.set(state.withLock { $0.sessions.count })
        telemetry.events.emit(
            "worker.left", subject: session.node.text, severity: .warning,
            "worker \(session.node) is not with the leader any more (\(why.message)); what it holds is its own for \(lease.text)")
    }

    /// - Returns: nil when the worker has to attach first.
    func renew(_ call: LeaseRenew, from node: NodeID) -> WorkerSession? {
        let now = telemetry.clock.now
        let session = state.withLock { state -> WorkerSession? in
            guard let session = state.sessions[node], session.origin.epoch == call.epoch,
                state.leases.renew(node, epoch: call.epoch, now: now)
            else { return nil }
            return session
        }
        guard let session else { return nil }
        metrics.renewals.increment()
        guard session.note(call, at: now, wall: telemetry.clock.wall) else { return session }
        metrics.overcommitted.increment()
        telemetry.events.emit(
            "worker.overcommitted", subject: node.text, severity: .error,
            "worker \(node) says that it runs \(call.fences.count) attempts, and that it has \(session.capacity.slots) slots: it gets nothing more until it attaches anew"
        )
        return session
    }

    func session(_ node: NodeID) -> WorkerSession? { state.withLock { $0.sessions[node] } }

    /// Anybody that is attached, in this process or another.
    package func worker(_ node: NodeID) -> (any WorkerLink)? { state.withLock { $0.sessions[node] ?? $0.locals[node] } }

    /// Whether it may still come back before what it has counts as lost.
    package func isBelieved(_ node: NodeID) -> Bool { state.withLock { $0.leases[node].map { !$0.isOver } ?? false } }

    /// Those in other processes, in the order of their ids.
    package var attached: [(session: WorkerSession, renewedAt: Instant?)] {
        state.withLock { state in state.sessions.values.map { ($0, state.leases[$0.node]?.renewedAt) } }.sorted { $0.0.node < $1.0.node }
    }

    /// Those in this process.
    package var locals: [any WorkerLink] { state.withLock { Array($0.locals.values) } }
}
