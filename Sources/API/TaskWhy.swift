import Cluster
import Coordinator
import HashTreeCollections
import Observability
import Primitives
import Workflows

/// Why a task is where it is: a stable word, a sentence, and the object to look at.
struct TaskWhy {
    let info: NodeInfo
    let run: WorkflowRun
    let place: Int
    /// What who schedules has just said; nil: what was last seen of tasks like it.
    var asked: Blocked?

    /// Asks who schedules, where it is this node.
    static func asking(_ info: NodeInfo, _ run: WorkflowRun, _ place: Int) async -> TaskWhy {
        var why = TaskWhy(info: info, run: run, place: place)
        guard why.task.state == .queued else { return why }
        why.asked = await info.coordinator.loop.blocked(run: run.id, task: place)
        return why
    }

    private var task: TaskRecord { run.tasks[place] }

    /// `{reason, culprit}`; null when the task goes on by itself or has ended.
    var blocked: Value {
        switch task.state {
        case .leased, .succeeded, .failed, .timedOut, .cancelled, .skipped: return .null
        case .pending, .queued, .waiting, .unknown:
            let (reason, culprit, _) = explanation
            return .object(["reason": .string(reason), "culprit": Value(culprit)])
        }
    }

    /// The word alone: what lists are filtered and sorted by.
    var reason: String? {
        switch task.state {
        case .leased, .succeeded, .failed, .timedOut, .cancelled, .skipped: nil
        case .pending: "dependencies"
        case .queued where isFrozen: "dispatch_frozen"
        case .queued: queued?.reason ?? "queued"
        case .waiting: task.kind == .wait ? "timer" : "retry"
        case .unknown: "needs_operator"
        }
    }

    var value: Value {
        let (reason, culprit, text) = explanation
        return .object([
            "task": .string("\(run.id).\(task.name)"), "state": .string(task.state.rawValue), "reason": .string(reason),
            "culprit": Value(culprit), "text": .string(text), "run": .string(run.id.description), "workflow": .string(run.workflow),
            "rule": .string(run.rule), "messageId": .string(run.message.id),
        ])
    }

    private var explanation: (reason: String, culprit: String?, text: String) {
        switch task.state {
        case .pending: return dependencies()
        case .queued where isFrozen:
            let frozen = info.coordinator.loop.current.state.frozen.text
            return ("dispatch_frozen", nil, "no task is given to a worker: \(frozen); 'distric cluster thaw dispatch' lets them go")
        case .queued: return queue()
        case .waiting where task.kind == .wait:
            return ("timer", task.dueAt?.rfc3339, "it waits by its own definition until \(task.dueAt?.rfc3339 ?? "later")")
        case .waiting:
            let error = task.error.map { ": \($0.message)" } ?? ""
            return (
                "retry", task.dueAt?.rfc3339, "attempt \(task.attempts) failed\(error); the next begins at \(task.dueAt?.rfc3339 ?? "once")"
            )
        case .unknown:
            let worker = task.worker?.text ?? "a worker"
            return (
                "needs_operator", task.worker?.text,
                "\(worker) was lost in the middle of attempt \(task.attempts), and the task is not safe to repeat by itself: 'distric tasks resolve' says what became of it"
            )
        case .leased: return ("running", task.worker?.text, "attempt \(task.attempts) runs on \(task.worker?.text ?? "a worker")")
        case .skipped: return ("skipped", nil, "its condition, or the result of a task before it, ruled it out")
        case .cancelled: return ("cancelled", nil, run.error?.message ?? task.error?.message ?? "the run was cancelled")
        case .succeeded: return ("succeeded", task.worker?.text, "attempt \(task.attempts) succeeded")
        case .failed, .timedOut:
            let text = task.error.map { "\($0.type): \($0.message)" } ?? "no reason is recorded"
            return (task.error?.type ?? task.state.rawValue, nil, "attempt \(task.attempts) of the task failed: \(text)")
        }
    }

    private var isFrozen: Bool { info.coordinator.loop.current.state.frozen.dispatch != nil }

    private func dependencies() -> (String, String?, String) {
        guard let definition = info.definition(of: run) else {
            return ("dependencies", nil, "it waits for tasks before it; the definition that says which is no longer kept")
        }
        let open = definition.tasks[place].dependencies.filter { !run.tasks[$0.task].state.isFinal }.map { run.tasks[$0.task] }
        guard !open.isEmpty else { return ("dependencies", nil, "it is about to be queued") }
        let words = open.map { "\($0.name) (\($0.state.rawValue))" }.joined(separator: ", ")
        return ("dependencies", open.map(\.name).joined(separator: ","), "it waits for \(words)")
    }

    /// Why it has no worker yet; nil where that is not known here.
    private var queued: Blocked? {
        if let asked { return asked }
        let loop = info.coordinator.loop
        guard loop.isLeading else { return nil }
        let shape = info.definition(of: run)?.tasks[place].shape ?? TaskShape(task.kind)
        return loop.waiting.why(.init(namespace: run.namespace, shape: shape)) ?? .soon
    }

    private func queue() -> (String, String?, String) {
        guard let blocked = queued else {
            let leader = info.consensus.leader
            return (
                "queued", leader?.text,
                leader.map { "it waits for a worker; '\($0)' leads and knows why: ask it" }
                    ?? "it waits for a worker, and no leader is known that could give it one; 'distric cluster status' says what is missing"
            )
        }
        guard case .noRoom(.slots, _, _, _) = blocked, let longest = info.openWork.look(info).longest else {
            return (blocked.reason, culprit(blocked), blocked.text)
        }
        // Who has had a slot longest is what to look at.
        return (
            blocked.reason, "\(longest.run).\(longest.task)",
            "\(blocked.text); the longest is \(longest.task) of run \(longest.run), and \(info.coordinator.loop.queue.queued) tasks wait"
        )
    }

    /// What it says of another task is a task's id here.
    private func culprit(_ blocked: Blocked) -> String? {
        guard case .inLine(let other, let place) = blocked, let run = info.coordinator.loop.current.state.runs[other]?.run,
            run.tasks.indices.contains(place)
        else { return blocked.culprit }
        return "\(other).\(run.tasks[place].name)"
    }
}

extension NodeInfo {
    /// The definition that a run is pinned to, compiled; nil when it is no longer kept.
    func definition(of run: WorkflowRun) -> WorkflowDefinition? {
        let view = coordinator.loop.current
        if let current = view.catalog.workflow(run.workflow, in: run.namespace), current.version == run.definitionVersion {
            return current.definition
        }
        let definition = pinned.definition(of: run) { view.state.definition(of: run).flatMap { Catalog.workflow($0) } }
        return definition.flatMap { $0.tasks.count == run.tasks.count ? $0 : nil }
    }

    /// What an operator did, as a numbered event.
    func noteAction(_ kind: String, subject: String, _ text: String) { telemetry.events.emit(kind, subject: subject, text) }
}
