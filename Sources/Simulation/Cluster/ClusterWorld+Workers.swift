import Cluster
import Primitives
import Wire
import Workflows

/// A worker's runner: it takes what it has room for, journals what must outlive a fall, carries out, and keeps each report until a leader has it in its log.
extension ClusterWorld {
    func start(_ worker: SimulatedWorker) {
        worker.epoch += 1
        worker.isUp = true
        (worker.found, worker.link) = (worker.journal, .searching(from: now))
        if worker.epoch > 1 { coverage.saw(.workerRestarted) }
        tell("\(worker.id) starts for the \(worker.epoch). time")
        schedule(.look(worker: worker.number, epoch: worker.epoch), after: draw(0..<100_000_000))
    }

    func crash(_ worker: SimulatedWorker, damages: Bool) {
        guard worker.isUp else { return }
        tell("\(worker.id) falls\(damages ? ", and its journal is damaged" : "")")
        for fence in worker.attempts.keys.sorted() { checks.effectEnded(fence, as: nil) }
        closeStream(worker)
        // Only starts are synced before anything goes on.
        for fence in worker.journal.ended.keys.sorted() where chance(200_000) { worker.journal.ended[fence] = nil }
        if damages {
            worker.journal = SimulatedWorker.Journal(isWhole: false)
            coverage.saw(.journalDamaged)
        }
        worker.epoch += 1
        (worker.isUp, worker.isPaused, worker.inbox) = (false, false, [])
        (worker.attempts, worker.unreported, worker.refused, worker.sending, worker.calls) = ([:], [:], [], [:], [:])
        (worker.confirmedAt, worker.failures) = (nil, 0)
    }

    // MARK: Orders

    func take(_ order: WorkerOrder, _ stream: UInt64, from: Int, at worker: SimulatedWorker) {
        switch worker.link {
        case .attaching(let to, let own, let sentAt) where own == stream:
            // What was chosen before it came may be sent before it is told what else there is.
            guard case .held(let held) = order else { return obey(order, at: worker) }
            worker.link = .attached(to: to, stream: stream)
            (worker.failures, worker.renewalFailures, worker.renewAt) = (0, 0, now + (plan.lease / 3).nanoseconds)
            let asked = worker.clock.local(sentAt)
            worker.confirmedAt = max(worker.confirmedAt ?? asked, asked)
            if !held.isEmpty { coverage.saw(.readopted) }
            reconcile(held, at: worker)
            sendReports(worker)
        case .attached(_, let own) where own == stream: obey(order, at: worker)
        default: break
        }
    }

    private func obey(_ order: WorkerOrder, at worker: SimulatedWorker) {
        switch order {
        case .held(let held):
            reconcile(held, at: worker)
            sendReports(worker)
        case .assign(let assignment):
            // Whoever gave it believes that this worker is gone, or soon will.
            isLeaseOver(worker) && !mutated(.workerTakesTooLate) ? detach(worker, hint: nil) : assign(assignment, to: worker)
        case .cancel(let held): end(held.fence, as: .cancelled, at: worker)
        case .cordon(let flag): worker.isCordoned = flag
        }
    }

    private func assign(_ assignment: TaskAssignment, to worker: SimulatedWorker) {
        checks.assigned(assignment, to: worker.id, in: self)
        guard assignment.kind != "transform@1" else {
            let outcome = AttemptOutcome.succeeded(assignment.input["value"] ?? .null)
            checks.effectBegan(assignment, at: worker, in: self)
            checks.effectEnded(assignment.fence, as: outcome)
            return report(result(of: assignment, outcome, at: worker), at: worker)
        }
        guard worker.usedSlots < worker.slots else {
            worker.refused.insert(assignment.fence)
            return report(result(of: assignment, .neverStarted, at: worker), at: worker)
        }
        worker.attempts[assignment.fence] = SimulatedWorker.Attempt(assignment: assignment)
        if assignment.journalsStart { worker.journal.begun.insert(assignment.fence) }
        let sync = assignment.journalsStart ? around(plan.diskNanoseconds) : 10_000
        schedule(.journaled(worker: worker.number, epoch: worker.epoch, assignment.fence), after: sync)
    }

    /// What stands in the journal may be carried out.
    func begin(_ fence: Fence, at worker: SimulatedWorker) {
        guard !worker.isPaused else {
            return schedule(.journaled(worker: worker.number, epoch: worker.epoch, fence), after: 50_000_000)
        }
        guard let attempt = worker.attempts[fence] else { return }
        if let calledBack = attempt.calledBack { return finish(fence, calledBack, at: worker) }
        checks.effectBegan(attempt.assignment, at: worker, in: self)
        let isLong = attempt.assignment.task == "long"
        var time = isLong ? attempt.assignment.timeout.nanoseconds : draw(1_000_000..<plan.effectNanoseconds * 2)
        if !isLong, chance(30_000) { time = draw(1_000_000_000..<8_000_000_000) }
        var outcome = AttemptOutcome.succeeded(["by": .string(fence.description)])
        if chance(150_000) { outcome = .failed(TaskError(type: "exit_code", message: "exit code 1", status: 1)) }
        if time >= attempt.assignment.timeout.nanoseconds {
            time = attempt.assignment.timeout.nanoseconds
            outcome = .timedOut(TaskError(type: "timeout", message: "it took too long"))
        }
        worker.attempts[fence]?.isRunning = true
        worker.attempts[fence]?.startedAt = worker.clock.wall(now)
        worker.attempts[fence]?.outcome = outcome
        schedule(.effectEnds(worker: worker.number, epoch: worker.epoch, fence), after: time)
    }

    func effectEnded(_ fence: Fence, at worker: SimulatedWorker) {
        guard let attempt = worker.attempts[fence] else { return }
        guard !worker.isPaused else {
            return schedule(.effectEnds(worker: worker.number, epoch: worker.epoch, fence), after: 50_000_000)
        }
        finish(fence, attempt.outcome, at: worker)
    }

    /// Ends an attempt, also one that has not begun.
    func end(_ fence: Fence, as outcome: AttemptOutcome, at worker: SimulatedWorker) {
        guard let attempt = worker.attempts[fence], attempt.calledBack == nil else { return }
        worker.attempts[fence]?.calledBack = outcome
        if attempt.isRunning { finish(fence, outcome, at: worker) }
    }

    private func finish(_ fence: Fence, _ outcome: AttemptOutcome, at worker: SimulatedWorker) {
        guard let attempt = worker.attempts.removeValue(forKey: fence) else { return }
        if attempt.isRunning { checks.effectEnded(fence, as: outcome) }
        let done = result(of: attempt.assignment, outcome, at: worker)
        worker.journal.ended[fence] = done
        report(done, at: worker)
    }

    private func result(of assignment: TaskAssignment, _ outcome: AttemptOutcome, at worker: SimulatedWorker) -> TaskReport {
        let wall = worker.clock.wall(now)
        return TaskReport(
            run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: outcome,
            startedAt: wall, endedAt: wall)
    }

    // MARK: What a leader believes

    private func reconcile(_ held: [HeldAssignment], at worker: SimulatedWorker) {
        let wall = worker.clock.wall(now)
        for item in held where worker.attempts[item.fence] == nil && worker.unreported[item.fence] == nil {
            if let report = worker.found.ended[item.fence] {
                coverage.saw(.journalReported)
                worker.unreported[item.fence] = report
                continue
            }
            let hasBegun = worker.found.begun.contains(item.fence) && !mutated(.journalIgnored) || !worker.found.isWhole
            if !hasBegun { coverage.saw(.neverStarted) }
            worker.unreported[item.fence] = TaskReport(
                run: item.run, task: item.task, attempt: item.attempt, fence: item.fence, outcome: hasBegun ? .lost : .neverStarted,
                startedAt: wall, endedAt: wall)
        }
        let known = Set(held.map(\.fence))
        for fence in worker.attempts.keys.sorted() where !known.contains(fence) { end(fence, as: .cancelled, at: worker) }
        for fence in worker.found.begun.union(worker.found.ended.keys) where !known.contains(fence) { forget(fence, at: worker) }
    }

    func forget(_ fence: Fence, at worker: SimulatedWorker) {
        worker.journal.begun.remove(fence)
        worker.journal.ended[fence] = nil
    }

    private func report(_ report: TaskReport, at worker: SimulatedWorker) {
        worker.unreported[report.fence] = report
        sendReports(worker)
    }
}
