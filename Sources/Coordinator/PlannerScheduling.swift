import Cluster
import HashTreeCollections
import Primitives
import Wire
package import Workflows

/// What waits for a worker, and what is given to one.
extension Planner {
    package var placement: Placement { scheduler.placement }
    package var ready: ReadyQueue { scheduler.ready }

    mutating func push(_ run: WorkflowRun, _ place: Int) {
        let item = item(run, place)
        scheduler.push(item)
    }

    /// A task as what it asks for. It is found anew from the run and its definition, which the log has: another leader comes to the same.
    mutating func item(_ run: WorkflowRun, _ place: Int) -> ReadyQueue.Item {
        let since = run.tasks[place].readyAt ?? wall
        guard let definition = definition(of: run), definition.tasks.indices.contains(place) else {
            let demand = TaskDemand(namespace: run.namespace, run: run.id, shape: TaskShape(run.tasks[place].kind))
            return ReadyQueue.Item(run: run.id, task: place, since: since, demand: demand)
        }
        let context = WorkflowRun.Context(
            definition: definition, now: wall, generator: SeededGenerator(seed: 0), environment: environment)
        return ReadyQueue.Item(
            run: run.id, task: place, since: since, priority: definition.tasks[place].priority, demand: run.demand(of: place, context))
    }

    /// Gives free places to those whose turn it is.
    mutating func assignReady() {
        scheduler.begin(at: wall)
        guard state.frozen.dispatch == nil else { return }
        while let placed = scheduler.next() {
            let task = placed.item.task
            guard let old = state.runs[placed.item.run]?.run, old.tasks[task].state == .queued else {
                scheduler.release(run: placed.item.run, task: task)
                continue
            }
            var run = old
            guard lease(&run, task, placed.worker) else { continue }
            emit(.settle(Settle(from: old, to: run)))
            timers.set(run.id, run.nextTimer, now: wall)
            dispatch(run, task, placed.worker)
        }
    }

    /// Moves a queued task to a worker.
    mutating func lease(_ run: inout WorkflowRun, _ task: Int, _ worker: NodeID) -> Bool {
        guard let definition = definition(of: run) else {
            scheduler.release(run: run.id, task: task)
            return false
        }
        let fence = Fence(term: term, assignment: nextAssignment())
        var context = context(definition)
        let effects = run.handle(.assigned(task: task, worker: worker, fence: fence), &context)
        if case .refused? = effects.first {
            scheduler.release(run: run.id, task: task)
            return false
        }
        return true
    }

    mutating func nextAssignment() -> UInt64 {
        lastAssignment = max(lastAssignment, state.assignments) + 1
        return lastAssignment
    }

    mutating func dispatch(_ run: WorkflowRun, _ place: Int, _ worker: NodeID) {
        guard let definition = definition(of: run) else { return }
        let (task, own) = (run.tasks[place], definition.tasks[place])
        var assignment = TaskAssignment(
            run: run.id, task: task.name, namespace: run.namespace, kind: task.kind.rawValue, attempt: task.attempts, fence: task.fence,
            key: task.key ?? "\(run.id)/\(task.name)", input: task.input ?? .null, timeout: own.timeouts.attempt,
            journalsStart: task.kind.hasEffects && own.onLost != .retry, trace: run.spanContext)
        if own.onDisconnect == .continue { assignment.continuesAlone = true }
        assignment.lostAfterMilliseconds = own.lostAfter.map { UInt64(clamping: $0.milliseconds) }
        output.dispatches.append((state.applied, worker, assignment))
        if let since = task.readyAt { output.notices.append((state.applied, .taskStarted(latency: wall.duration(since: since)))) }
    }
}
