import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Wire
import Workflows

/// A leader and its workers: `WorkerDoor`, `WorkerSessions` and `LoopThread+Workers`, on simulated clocks.
extension ClusterWorld {
    private static let lookEvery = Duration.milliseconds(500)

    // MARK: Calls

    func take(_ call: WorkerCall, _ number: UInt64, from worker: SimulatedWorker, at coordinator: SimulatedCoordinator) {
        guard coordinator.isLeading else {
            if case .attach = call { coverage.saw(.attachRefused) }
            return reply(.notLeader(leader(of: coordinator)), number, to: worker, coordinator)
        }
        switch call {
        case .attach(let epoch, let slots, let isCordoned, _):
            attach(worker, stream: number, epoch: epoch, slots: slots, isCordoned: isCordoned, coordinator)
        case .renew(let epoch, let fences, let free, let isCordoned):
            guard let session = coordinator.sessions[worker.id], session.epoch == epoch,
                coordinator.leases.renew(worker.id, epoch: epoch, now: coordinator.clock.local(now))
            else { return reply(.denied, number, to: worker, coordinator) }
            session.isCordoned = isCordoned
            session.free = min(free, session.slots)
            if fences > session.slots {
                session.isDistrusted = true
                coverage.saw(.distrusted)
            }
            if session.free > 0 { session.isHeldOff = false }
            put(.room(worker.id, stream: session.stream), coordinator)
            reply(.renewed, number, to: worker, coordinator)
        case .results(let epoch, let reports):
            guard let session = coordinator.sessions[worker.id], session.epoch == epoch else {
                return reply(.denied, number, to: worker, coordinator)
            }
            wait(for: reports, number, of: worker, coordinator)
            put(.reports(reports), coordinator)
        case .refusal(let report):
            guard let session = coordinator.sessions[worker.id] else { return reply(.denied, number, to: worker, coordinator) }
            coverage.saw(.refused)
            session.isHeldOff = true
            wait(for: [report], number, of: worker, coordinator)
            put(.refused(worker.id, stream: session.stream, report), coordinator)
        }
    }

    private func wait(for reports: [TaskReport], _ number: UInt64, of worker: SimulatedWorker, _ coordinator: SimulatedCoordinator) {
        let desk = SimulatedCoordinator.Desk(worker: worker.number, call: number, missing: Set(reports.map(\.fence)))
        for report in reports { coordinator.desks[report.fence, default: []].append(desk) }
    }

    private func reply(_ reply: WorkerReply, _ number: UInt64, to worker: SimulatedWorker, _ coordinator: SimulatedCoordinator) {
        send(.reply(reply, number: number), from: coordinator.number, to: place(of: worker))
    }

    private func attach(
        _ worker: SimulatedWorker, stream: UInt64, epoch: UInt64, slots: Int, isCordoned: Bool, _ coordinator: SimulatedCoordinator
    ) {
        let before = coordinator.sessions[worker.id]
        guard before.map({ $0.epoch <= epoch }) ?? true else {
            coverage.saw(.attachDenied)
            return reply(.denied, stream, to: worker, coordinator)
        }
        let session = SimulatedCoordinator.Session(
            worker: worker.number, stream: stream, epoch: epoch, slots: slots, isCordoned: isCordoned)
        coordinator.sessions[worker.id] = session
        coordinator.leases.attach(worker.id, epoch: epoch, now: coordinator.clock.local(now))
        if let before { end(before, coordinator) }
        checks.attached(worker.id, slots: slots)
        tell("\(worker.id) attaches to \(coordinator.id)")
        put(.join(stream: stream, worker.id), coordinator)
    }

    /// Its stream is over, and it hears of that.
    private func end(_ session: SimulatedCoordinator.Session, _ coordinator: SimulatedCoordinator) {
        guard !session.isBroken else { return }
        session.isBroken = true
        schedule(.ended(worker: session.worker, stream: session.stream), after: max(0, session.lastArrival - now) + plan.latency)
    }

    func detach(_ stream: UInt64, at coordinator: SimulatedCoordinator) {
        guard let session = coordinator.sessions.values.first(where: { $0.stream == stream }) else { return }
        session.isBroken = true
        let node = workers[session.worker].id
        coordinator.sessions[node] = nil
        put(.left(node, stream: stream), coordinator)
    }

    // MARK: Orders

    func order(_ order: WorkerOrder, to session: SimulatedCoordinator.Session, _ coordinator: SimulatedCoordinator) {
        guard !session.isBroken else { return }
        let to = coordinators.count + session.worker
        guard !isCut(coordinator.number, to) else { return breakStream(session.stream, of: coordinator, worker: session.worker) }
        session.lastArrival = max(session.lastArrival + 1, now + delay())
        schedule(.arrival(from: coordinator.number, to: to, .order(order, stream: session.stream)), after: session.lastArrival - now)
    }

    func dispatch(_ item: (index: LogIndex, worker: NodeID, assignment: TaskAssignment), _ coordinator: SimulatedCoordinator) {
        checks.dispatched(item.assignment, to: item.worker, at: item.index, in: self)
        guard let session = coordinator.workers[item.worker] else {
            // It left after it was chosen. Nobody has begun this, and nobody will.
            coverage.saw(.neverSent)
            return put(.reports([.neverStarted(item.assignment)]), coordinator)
        }
        guard coordinator.sessions[item.worker]?.stream == session.stream else {
            coverage.saw(.neverSent)
            return put(.reports([.neverStarted(item.assignment)]), coordinator)
        }
        coverage.saw(.dispatched)
        order(.assign(item.assignment), to: session, coordinator)
    }

    func join(_ stream: UInt64, _ node: NodeID, _ inputs: inout [Planner.Input], _ coordinator: SimulatedCoordinator) {
        guard let session = coordinator.workers[node], session.stream == stream else { return }
        inputs.append(.attach(node, Placement.Offer(slots: session.slots, light: 1024), session.standing))
        guard case .leading = coordinator.mode, let planner = coordinator.planner else { return }
        let local = coordinator.clock.local(now)
        coordinator.awaited.remove(node)
        if coordinator.awaited.isEmpty { coordinator.timersFrom = min(coordinator.timersFrom, local.advanced(by: .seconds(1))) }
        // What is yet to be sent is nothing that the worker could know of.
        let unsent = Set(coordinator.waiting.dispatches.lazy.filter { $0.worker == node }.map(\.assignment.fence))
        let leased = planner.leased(to: node).filter { !unsent.contains($0.fence) }
        order(.held(leased), to: session, coordinator)
    }

    // MARK: Leases

    func beginLeases(_ coordinator: SimulatedCoordinator) {
        let local = coordinator.clock.local(now)
        let holders = (coordinator.planner?.leasedByWorker() ?? [:]).keys.sorted()
        coordinator.leases.begin(holders, now: local)
        coordinator.awaited = Set(holders)
        coordinator.timersFrom = local.advanced(by: holders.isEmpty ? .seconds(5) : max(.seconds(5), plan.lease))
    }

    func endLeases(_ coordinator: SimulatedCoordinator) {
        coordinator.awaited = []
        coordinator.workers = [:]
        coordinator.leases.end()
        for node in coordinator.sessions.keys.sorted() {
            if let session = coordinator.sessions[node] { end(session, coordinator) }
        }
        coordinator.sessions = [:]
        for desk in openDesks(coordinator) { reply(.notLeader(leader(of: coordinator)), desk.call, to: workers[desk.worker], coordinator) }
        coordinator.desks = [:]
    }

    private func openDesks(_ coordinator: SimulatedCoordinator) -> [SimulatedCoordinator.Desk] {
        var found: [SimulatedCoordinator.Desk] = []
        for fence in coordinator.desks.keys.sorted() {
            for desk in coordinator.desks[fence] ?? [] where !found.contains(where: { $0 === desk }) { found.append(desk) }
        }
        return found
    }

    /// What was with workers of which nothing has been heard for longer than a lease.
    func lost(_ coordinator: SimulatedCoordinator) -> [Planner.Input] {
        let local = coordinator.clock.local(now)
        let isTime = coordinator.lookedAt.map { local.duration(since: $0) >= Self.lookEvery } ?? true
        guard coordinator.planner != nil, isTime else { return [] }
        coordinator.lookedAt = local
        let silent = coordinator.leases.silent(now: local)
        guard !silent.isEmpty, let leased = coordinator.planner?.leasedByWorker() else { return [] }
        var inputs: [Planner.Input] = []
        for (node, silence, isNew) in silent {
            coordinator.awaited.remove(node)
            if let session = coordinator.sessions.removeValue(forKey: node) { end(session, coordinator) }
            if isNew {
                coverage.saw(.leaseExpired)
                coordinator.workers[node] = nil
                inputs.append(.leave(node))
            }
            let held = leased[node] ?? []
            let reports = held.compactMap { coordinator.planner?.loss(of: $0, after: silence) }
            if held.isEmpty { coordinator.leases.forget(node) }
            inputs += reports.map { .report($0) }
        }
        return inputs
    }

    // MARK: Reports

    func acknowledge(
        _ items: [(index: LogIndex, report: TaskReport, isFresh: Bool)], _ coordinator: SimulatedCoordinator
    ) {
        for item in items {
            coverage.saw(item.isFresh ? .reported : .reportedLate)
            for desk in coordinator.desks.removeValue(forKey: item.report.fence) ?? [] {
                desk.statuses.append((item.report.fence, item.isFresh))
                desk.missing.remove(item.report.fence)
                guard desk.missing.isEmpty else { continue }
                reply(.settled(desk.statuses), desk.call, to: workers[desk.worker], coordinator)
            }
        }
    }
}

extension TaskReport {
    /// Of an assignment that nobody has begun, and nobody will.
    fileprivate static func neverStarted(_ assignment: TaskAssignment) -> TaskReport {
        TaskReport(
            run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: .neverStarted,
            startedAt: .zero, endedAt: .zero)
    }
}
