import Primitives
import Workflows

extension WorkflowRun {
    /// As if another clock had been looked at when it was begun.
    func moved(by shift: Duration) -> WorkflowRun {
        func moved(_ time: ClusterTime?) -> ClusterTime? { time.map { $0.advanced(by: shift) } }
        var tasks = tasks
        for place in tasks.indices {
            tasks[place].readyAt = moved(tasks[place].readyAt)
            tasks[place].startedAt = moved(tasks[place].startedAt)
            tasks[place].endedAt = moved(tasks[place].endedAt)
            tasks[place].dueAt = moved(tasks[place].dueAt)
            tasks[place].totalDueAt = moved(tasks[place].totalDueAt)
        }
        var run = WorkflowRun(
            id: id, namespace: namespace, workflow: workflow, definitionVersion: definitionVersion, version: version, rule: rule,
            message: message, params: params, trace: trace, createdAt: createdAt.advanced(by: shift), deadline: moved(deadline),
            retriesLeft: retriesLeft, retryOf: retryOf, tasks: tasks)
        (run.revision, run.state, run.endedAt) = (revision, state, moved(endedAt))
        (run.output, run.error) = (output, error)
        return run
    }
}
