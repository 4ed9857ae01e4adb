import Coordinator
import HashTreeCollections
import Primitives
import Wire
import Workflows

/// What one command did to one task.
struct TaskMove {
    var key: ClusterChecks.TaskKey
    var old: TaskRecord
    var new: TaskRecord
    var isRunOver: Bool
}

extension ClusterChecks {
    /// As `ClusterDefinitions` has it.
    private static func policy(_ task: TaskRecord) -> TaskDefinition.OnLost {
        switch task.name {
        case "pay", "alone": .hold
        case "first": .fail
        default: .retry
        }
    }

    func judge(_ move: TaskMove, _ entry: LogEntry, in world: ClusterWorld) {
        lost(move, in: world)
        over(move, in: world)
        let key = move.key
        if move.old.state == .leased, let worker = move.old.worker { leased[worker]?.remove(key) }
        if move.old.state == .queued { waiting[key] = nil }
        if move.new.fence != move.old.fence { granted(move, entry, in: world) }
        switch move.new.state {
        case .leased: if let worker = move.new.worker, move.new.kind.takesSlot { leased[worker, default: []].insert(key) }
        case .queued: waiting[key] = Waiting(since: move.new.readyAt ?? .zero, takesSlot: move.new.kind.takesSlot)
        default: break
        }
        if move.new.state == .queued { world.coverage.saw(.queued) }
        if let worker = move.new.worker, move.new.state == .leased, leased[worker, default: []].count > slotsOf(worker) {
            world.fail(
                "K1",
                "worker \(worker) has \(leased[worker, default: []].count) tasks by the log, and said that it has \(slotsOf(worker)) slots")
        }
        if move.new.state == .timedOut { world.coverage.saw(.timedOut) }
        if move.new.state == .waiting, move.new.failures > move.old.failures { world.coverage.saw(.retried) }
    }

    private func granted(_ move: TaskMove, _ entry: LogEntry, in world: ClusterWorld) {
        let (key, fence) = (move.key, move.new.fence)
        guard fence > move.old.fence, fence.term == entry.term, fence.assignment > lastAssignment, grants[fence] == nil else {
            return world.fail("W4", "task \(key.task) of run \(key.run) gets fence \(fence) after \(move.old.fence), in term \(entry.term)")
        }
        assign(fence.assignment)
        guard let worker = move.new.worker else { return world.fail("W4", "fence \(fence) is with nobody") }
        grants[fence] = Grant(key: key, worker: worker, index: entry.index)
        guard let since = move.new.readyAt else { return }
        // Who waits longer goes first: nobody is passed for ever.
        for other in waiting.keys.sorted(by: { ($0.run, $0.task) < ($1.run, $1.task) }) {
            guard let waits = waiting[other], waits.takesSlot == move.new.kind.takesSlot else { continue }
            guard waits.since.advanced(by: .milliseconds(50)) < since else { continue }
            waiting[other]?.passed += 1
            guard waits.passed >= Self.passLimit else { continue }
            world.fail("F1", "task \(other.task) of run \(other.run) waits, and \(waits.passed) that became ready later were begun")
        }
    }

    private func lost(_ move: TaskMove, in world: ClusterWorld) {
        let (old, new) = (move.old, move.new)
        if old.state == .unknown, !new.state.isFinal {
            world.coverage.saw(.resolved)
            leave[move.key, default: 0] += 1
        }
        guard new.losses > old.losses else {
            guard old.state == .leased, new.state == .queued || new.state == .leased, new.failures == old.failures else { return }
            grants[old.fence]?.isGivenBack = true
            guard Self.policy(new) != .retry, effects[old.fence] != nil else { return }
            return world.fail("E3", "attempt \(old.fence) of task \(move.key.task) had begun, and counts as never begun")
        }
        switch Self.policy(new) {
        case .hold:
            world.coverage.saw(.lostAndHeld)
            if new.state != .unknown, !move.isRunOver {
                world.fail("W5", "attempt \(old.fence) was lost, and task \(move.key.task) is not held")
            }
        case .fail:
            world.coverage.saw(.lostAndFailed)
            if new.state != .failed { world.fail("W5", "attempt \(old.fence) was lost, and task \(move.key.task) has not failed") }
        case .retry:
            world.coverage.saw(.lostAndRetried)
            if new.state == .unknown { world.fail("W5", "attempt \(old.fence) was lost, and task \(move.key.task) is held") }
        }
    }

    /// What is recorded is what was done.
    private func over(_ move: TaskMove, in world: ClusterWorld) {
        let (old, new) = (move.old, move.new)
        if new.failures > old.failures {
            switch effects[old.fence]?.outcome {
            case .failed, .timedOut: break
            default: world.fail("W2", "attempt \(old.fence) of task \(move.key.task) is recorded as failed, and did not fail")
            }
        }
        if new.state == .cancelled, !move.isRunOver {
            world.fail("W6", "attempt \(old.fence) of task \(move.key.task) was ended, and nobody wanted that")
        }
        guard new.state == .succeeded, old.state != .succeeded else { return }
        if !succeeded.insert(move.key).inserted { world.fail("W3", "task \(move.key.task) of run \(move.key.run) succeeded twice") }
        guard !new.kind.isCoordinators, old.state != .unknown else { return }
        guard let output = new.output, effects[old.fence]?.outcome == .succeeded(output) else {
            return world.fail("W2", "attempt \(old.fence) of task \(move.key.task) is recorded with what it did not do")
        }
    }

    // MARK: What is done

    func dispatched(_ assignment: TaskAssignment, to worker: NodeID, at index: LogIndex, in world: ClusterWorld) {
        guard let grant = grants[assignment.fence], grant.index <= index, grant.worker == worker else {
            return world.fail("D1", "attempt \(assignment.fence) is given to \(worker), and the log does not say so")
        }
        if let end = ended[assignment.run], end.index < grant.index {
            world.fail("D2", "attempt \(assignment.fence) is given to \(worker), and its run has ended")
        }
    }

    func assigned(_ assignment: TaskAssignment, to worker: NodeID, in world: ClusterWorld) {
        guard grants[assignment.fence]?.worker == worker else {
            return world.fail("D1", "\(worker) got attempt \(assignment.fence), which is not its own")
        }
    }

    func effectBegan(_ assignment: TaskAssignment, at worker: SimulatedWorker, in world: ClusterWorld) {
        let (key, fence) = (TaskKey(run: assignment.run, task: assignment.task), assignment.fence)
        world.note(UInt64(worker.number), fence.term.number, fence.assignment)
        let others = byTask[key] ?? []
        let clocksAgree = world.plan.faults.isDisjoint(with: [.skew, .jump])
        for other in others.compactMap({ effects[$0] }) where other.isRunning && !other.wasPaused && clocksAgree {
            let place = world.workers[other.worker].id
            world.fail("E1", "worker \(worker.id) begins \(fence) of task \(key.task), and another attempt of it still runs at \(place)")
        }
        if assignment.journalsStart {
            let open = others.compactMap { effects[$0] }.filter { !$0.hasFailed }.count
            if open > leave[key, default: 0] {
                world.fail(
                    "E2", "worker \(worker.id) begins \(fence) of task \(key.task), which may be done already, and nobody asked for that")
            }
            if grants[fence]?.isGivenBack == true { world.fail("E3", "attempt \(fence) begins, and counts as never begun") }
        }
        effects[fence] = Effect(key: key, worker: worker.number)
        byTask[key, default: []].append(fence)
    }

    func effectEnded(_ fence: Fence, as outcome: AttemptOutcome?) {
        guard effects[fence]?.isRunning == true else { return }
        effects[fence]?.isRunning = false
        effects[fence]?.outcome = outcome
    }

    func paused(_ worker: Int) {
        for fence in effects.keys.sorted() where effects[fence]?.worker == worker && effects[fence]?.isRunning == true {
            effects[fence]?.wasPaused = true
        }
    }

    // MARK: Time

    /// While the leader's wall clock is not to be believed, no timer fires.
    func planned(_ output: Planner.Output, from before: CoordinatorState, by coordinator: SimulatedCoordinator, in world: ClusterWorld) {
        guard let jumpedAt = coordinator.jumpedAt, world.now - jumpedAt < 590_000_000_000 else { return }
        for proposal in output.proposals {
            for case .settle(let settle) in (try? CommandCodec.decode(proposal.payload).commands) ?? [] {
                guard let run = before.runs[settle.run]?.run, run.revision == settle.expectedRevision else { continue }
                let woke = settle.tasks.contains {
                    run.tasks[$0.place].state == .waiting && $0.record.state != .waiting && $0.record.state != .cancelled
                }
                guard woke || settle.state == .timedOut else { continue }
                world.fail("T1", "\(coordinator.id) lets a timer of run \(run.id) fire, and its wall clock has just jumped")
            }
        }
    }
}

extension ClusterChecks.Effect {
    fileprivate var hasFailed: Bool {
        switch outcome {
        case .failed, .timedOut: true
        default: false
        }
    }
}
