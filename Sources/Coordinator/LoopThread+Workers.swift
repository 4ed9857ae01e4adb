import Cluster
import Observability
import Primitives
import Wire
import Workflows

/// Workers: those in this process, which are always there, and those in others, which come and go.
extension LoopThread {
    private static let lookEvery = Duration.milliseconds(500)

    // MARK: Coming and going

    /// Whether the planner has to hear of it.
    func note(_ news: WorkerNews) -> Bool {
        switch news {
        case .left(let node, let session), .gone(let node, let session):
            guard workers[node]?.session == session else { return false }
            workers[node] = nil
            return true
        case .room(let node, let session, _, _): return workers[node]?.session == session
        case .refused: return true
        case .cordon(let node, let flag):
            guard let worker = workers[node] else { return false }
            worker.cordon(flag)
            return true
        case .drain(let node, let limit):
            guard let worker = workers[node] else { return false }
            worker.drain(within: limit)
            emptying.insert(node)
            return true
        }
    }

    func input(_ news: WorkerNews) -> [Planner.Input] {
        switch news {
        case .left(let node, _): [.leave(node)]
        // What is yet to be sent finds nobody: nobody begins that either.
        case .gone(let node, _):
            [.leave(node)] + (planner?.leasedByWorker()[node] ?? []).map { .report(.neverStarted($0, at: loop.telemetry.clock.wall)) }
        case .room(let node, _, let free, let standing): [.stand(node, standing, free: free)]
        case .refused(let node, let session, let report):
            // First of all it gets nothing: its task goes elsewhere.
            (workers[node]?.session == session ? [.stand(node, .draining, free: 0)] : []) + [.report(report)]
        case .cordon(let node, let flag):
            [.stand(node, flag ? .cordoned : (workers[node] as? WorkerSession)?.standing ?? .available, free: nil)]
        case .drain(let node, _): [.stand(node, .draining, free: nil)]
        }
    }

    func join(_ worker: any WorkerLink, _ leased: [HeldAssignment], _ inputs: inout [Planner.Input]) {
        let session = worker as? WorkerSession
        let offer =
            session?.offer
            ?? Placement.Offer(
                slots: worker.capacity.slots, light: worker.capacity.light, labels: (try? WorkerLabels(pairs(worker.labels))) ?? .none)
        let here: Placement.Standing = worker.draining != nil ? .draining : worker.isCordoned ? .cordoned : .available
        inputs.append(.attach(worker.node, offer, session?.standing ?? here))
        guard case .leading(let term) = mode else { return }
        // One in this process once in a term: what was dispatched since is its own affair, also when the plan was made anew.
        guard session != nil || reconciled[worker.node] != term else { return }
        reconciled[worker.node] = term
        let now = loop.telemetry.clock.now
        awaited.remove(worker.node)
        if awaited.isEmpty { timersFrom = session == nil ? min(timersFrom, now) : min(timersFrom, now.advanced(by: .seconds(1))) }
        // What is yet to be sent is nothing that the worker could know of.
        let unsent = Set(waiting.dispatches.lazy.filter { $0.worker == worker.node }.map(\.assignment.fence))
        let sent = unsent.isEmpty ? leased : leased.filter { !unsent.contains($0.fence) }
        inputs += worker.reconcile(sent, term: term).map { .report($0) }
    }

    func dispatch(_ assignments: [TaskAssignment], to node: NodeID) {
        guard let worker = workers[node] else {
            // It left after it was chosen. Nobody has begun these, and nobody will.
            loop.sessions.metrics.unsent.increment(by: assignments.count)
            return loop.deliver(assignments.map(TaskReport.neverStarted))
        }
        if worker.session != nil { loop.sessions.metrics.assignments.increment(by: assignments.count) }
        worker.assign(assignments)
    }

    // MARK: Leases

    /// What an earlier leader gave to workers counts as renewed now: they have a lease's time to come.
    func beginLeases() {
        let now = loop.telemetry.clock.now
        let holders = (planner?.leasedByWorker() ?? [:]).keys.filter { workers[$0]?.session != nil || workers[$0] == nil }
        loop.sessions.begin(holders)
        awaited = Set(holders)
        // Time does not strike at what their workers may have finished.
        timersFrom = now.advanced(by: awaited.isEmpty ? .seconds(5) : max(.seconds(5), loop.sessions.lease))
    }

    func endLeases() {
        awaited = []
        workers = workers.filter { $0.value.session == nil }
        loop.sessions.end(CallError(.notLeader, "node '\(loop.raft.node)' does not lead any more"))
    }

    /// What was with workers of which nothing has been heard for longer than a lease, and than their tasks allow: each task's own policy says what becomes of it.
    func lost() -> [Planner.Input] {
        let now = loop.telemetry.clock.now
        guard planner != nil, lookedAt.map({ now.duration(since: $0) >= Self.lookEvery }) ?? true else { return [] }
        lookedAt = now
        lookAfterDrains()
        let silent = loop.sessions.silent()
        guard !silent.isEmpty, let leased = planner?.leasedByWorker() else { return [] }
        var inputs: [Planner.Input] = []
        for (node, silence, isNew) in silent {
            awaited.remove(node)
            // It came back as a worker of this process.
            guard workers[node]?.session != nil || workers[node] == nil else {
                loop.sessions.forget(node)
                continue
            }
            if isNew {
                workers[node] = nil
                inputs.append(.leave(node))
            }
            let held = leased[node] ?? []
            if held.isEmpty { loop.sessions.forget(node) }
            let reports = held.compactMap { planner?.loss(of: $0, after: silence) }
            inputs += reports.map { .report($0) }
            guard !reports.isEmpty else { continue }
            loop.telemetry.events.emit(
                "worker.lost", subject: node.text, severity: .warning,
                "nothing was heard of worker \(node) for \(Duration.milliseconds(silence.milliseconds / 100 * 100).text): \(reports.count) of its attempts count as lost, and are tried again or held as their tasks say"
            )
        }
        return inputs
    }
}
