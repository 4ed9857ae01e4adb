import Cluster
import Primitives
import Wire
import Workflows

/// A worker's link: it looks for the leader, attaches, keeps its lease, and ends what may not go on alone.
extension ClusterWorld {
    private static let attachTimeout: Int64 = 5_000_000_000
    private static let callTimeout: Int64 = 10_000_000_000

    func look(_ worker: SimulatedWorker) {
        giveUpCalls(worker)
        switch worker.link {
        case .searching(let from): if now >= from { attach(worker) }
        case .attaching(_, _, let sentAt): if now - sentAt >= Self.attachTimeout { detach(worker, hint: nil) }
        case .attached(let to, _):
            if now >= worker.renewAt { renew(worker, at: to) }
            sendReports(worker)
        }
        endAlone(worker)
    }

    private func call(_ call: WorkerCall, of worker: SimulatedWorker, to: Int, fences: [Fence], isRenewal: Bool, timeout: Int64) {
        lastCall += 1
        worker.calls[lastCall] = (fences, isRenewal, now, now + timeout)
        for fence in fences { worker.sending[fence] = lastCall }
        send(.call(call, number: lastCall), from: place(of: worker), to: to)
    }

    private func attach(_ worker: SimulatedWorker) {
        let to = worker.hint ?? worker.nextCoordinator
        worker.hint = nil
        worker.nextCoordinator = (to + 1) % coordinators.count
        lastCall += 1
        worker.link = .attaching(to: to, stream: lastCall, sentAt: now)
        let call = WorkerCall.attach(
            epoch: worker.epoch, slots: worker.claimedSlots, isCordoned: worker.isCordoned, running: worker.attempts.count)
        // A connection opens once.
        send(.call(call, number: lastCall), from: place(of: worker), to: to, comesTwice: false)
    }

    private func renew(_ worker: SimulatedWorker, at to: Int) {
        worker.renewAt = now + (plan.lease / 3).nanoseconds
        var (running, free) = (worker.attempts.count, worker.freeSlots)
        if worker.tellsLies { (running, free) = chance(100_000) ? (running + 100, 100) : (running, 1_000) }
        call(
            .renew(epoch: worker.epoch, fences: running, free: free, isCordoned: worker.isCordoned), of: worker, to: to, fences: [],
            isRenewal: true, timeout: (plan.lease / 3).nanoseconds)
    }

    func sendReports(_ worker: SimulatedWorker) {
        guard case .attached(let to, _) = worker.link else { return }
        let waiting = worker.unreported.keys.sorted().filter { worker.sending[$0] == nil }
        for fence in waiting where worker.refused.contains(fence) {
            guard let report = worker.unreported[fence] else { continue }
            call(.refusal(report), of: worker, to: to, fences: [fence], isRenewal: false, timeout: Self.callTimeout)
        }
        let results = waiting.filter { !worker.refused.contains($0) }
        guard !results.isEmpty else { return }
        call(
            .results(epoch: worker.epoch, results.compactMap { worker.unreported[$0] }), of: worker, to: to, fences: results,
            isRenewal: false, timeout: Self.callTimeout)
    }

    private func giveUpCalls(_ worker: SimulatedWorker) {
        for number in worker.calls.keys.sorted() {
            guard let call = worker.calls[number], call.until <= now else { continue }
            worker.calls[number] = nil
            for fence in call.fences where worker.sending[fence] == number { worker.sending[fence] = nil }
            guard call.isRenewal else { continue }
            worker.renewalFailures += 1
            if worker.renewalFailures >= 2 { detach(worker, hint: nil) }
        }
    }

    // MARK: Answers

    func take(_ reply: WorkerReply, _ number: UInt64, at worker: SimulatedWorker) {
        if case .attaching(_, let stream, _) = worker.link, stream == number {
            guard case .notLeader(let hint) = reply else { return detach(worker, hint: nil) }
            return detach(worker, hint: hint)
        }
        guard let call = worker.calls.removeValue(forKey: number) else { return }
        for fence in call.fences where worker.sending[fence] == number { worker.sending[fence] = nil }
        switch reply {
        case .renewed:
            worker.renewalFailures = 0
            let sentAt = worker.clock.local(call.sentAt)
            worker.confirmedAt = max(worker.confirmedAt ?? sentAt, sentAt)
        case .settled(let statuses):
            for status in statuses {
                worker.unreported[status.fence] = nil
                worker.refused.remove(status.fence)
                forget(status.fence, at: worker)
            }
            if worker.unreported.isEmpty { worker.journal.isWhole = true }
        case .notLeader(let hint): detach(worker, hint: hint)
        case .denied: detach(worker, hint: nil)
        }
    }

    func streamEnded(_ worker: SimulatedWorker, _ stream: UInt64) {
        guard worker.isUp else { return }
        switch worker.link {
        case .attached(_, stream), .attaching(_, stream, _): detach(worker, hint: nil)
        default: break
        }
    }

    /// Without a leader it goes on with what it has.
    func detach(_ worker: SimulatedWorker, hint: Int?) {
        closeStream(worker)
        worker.failures += 1
        worker.hint = worker.failures > 3 ? nil : hint
        let wait = worker.hint != nil ? 0 : draw(0..<min(2_000_000_000, 50_000_000 << Int64(min(5, worker.failures))))
        worker.link = .searching(from: now + wait)
        (worker.calls, worker.sending) = ([:], [:])
    }

    func closeStream(_ worker: SimulatedWorker) {
        switch worker.link {
        case .searching: break
        case .attaching(let to, let stream, _), .attached(let to, let stream):
            let isHeard = !isCut(place(of: worker), to)
            schedule(
                .detached(to, boot: coordinators[to].boot, stream: stream),
                after: isHeard ? delay() : draw(1_000_000_000..<30_000_000_000))
        }
        worker.link = .searching(from: now)
    }

    /// What the lease is shorter for the worker than for the leader.
    private var allowed: Duration { plan.lease - plan.lease * 2 / 100 }

    func isLeaseOver(_ worker: SimulatedWorker) -> Bool {
        var since = worker.confirmedAt ?? Instant(nanoseconds: 0)
        if case .attaching(_, _, let sentAt) = worker.link { since = max(since, worker.clock.local(sentAt)) }
        return worker.clock.local(now).duration(since: since) >= allowed
    }

    private func endAlone(_ worker: SimulatedWorker) {
        guard let since = worker.confirmedAt else { return }
        let silence = worker.clock.local(now).duration(since: since)
        for fence in worker.attempts.keys.sorted() {
            guard let attempt = worker.attempts[fence], attempt.calledBack == nil, attempt.assignment.continuesAlone != true else {
                continue
            }
            let own = Duration.milliseconds(Int64(clamping: attempt.assignment.lostAfterMilliseconds ?? 0))
            guard silence >= max(allowed, own), !mutated(.workerGoesOnAlone) else { continue }
            coverage.saw(.endedAlone)
            end(fence, as: .lost, at: worker)
        }
    }
}
