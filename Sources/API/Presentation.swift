import Coordinator
import Primitives
import Rules
import Wire
import Workflows

/// Runs, tasks and messages as the API shows them.
enum Presentation {
    /// - Parameter brief: without inputs and outputs.
    static func run(_ run: WorkflowRun, withTasks: Bool, in info: NodeInfo, brief: Bool = false) -> Value {
        var states: [(String, Int)] = []
        for state in TaskState.allCases {
            let count = run.tasks.count { $0.state == state }
            if count > 0 { states.append((state.rawValue, count)) }
        }
        let byState = Value.map(Fields(states.map { Fields.Member($0.0, Value($0.1)) }))
        return .object([
            "id": .string(run.id.description), "namespace": .string(run.namespace.text), "workflow": .string(run.workflow),
            "version": run.version.map(Value.string), "definitionVersion": Value(run.definitionVersion),
            "state": .string(run.state.rawValue),
            "messageId": .string(run.message.id), "rule": .string(run.rule), "input": brief ? Value?.none : run.input,
            "output": brief ? Value?.none : run.output ?? .null,
            "error": run.error?.value ?? .null, "createdAt": .string(run.createdAt.rfc3339), "endedAt": Value(run.endedAt?.rfc3339),
            "durationMs": run.endedAt.map { .int($0.duration(since: run.createdAt).milliseconds) } ?? .null,
            "retryOf": run.retryOf.map { .string($0.description) }, "traceId": run.trace.map { .string($0.traceID) },
            "tasks": .object([
                "total": Value(run.tasks.count), "byState": byState,
                "items": withTasks ? .list(tasks(run, in: info, brief: brief)) : nil,
            ]),
        ])
    }

    private static func tasks(_ run: WorkflowRun, in info: NodeInfo, brief: Bool) -> [Value] {
        let definition = info.definition(of: run)
        return run.tasks.indices.map { place in
            guard case .map(var fields) = task(run, place, in: info) else { return .null }
            if brief { fields = Fields(fields.members.filter { Self.briefKeys.contains($0.key) }) }
            let dependencies = definition?.tasks[place].dependencies ?? []
            fields["dependsOn"] = .list(
                dependencies.map { ["task": .string(run.tasks[$0.task].name), "result": .string($0.result.rawValue)] })
            return .map(fields)
        }
    }

    private static let briefKeys: Set = ["task", "state", "attempt", "startedAt", "endedAt", "durationMs", "kind"]

    static func duration(_ task: TaskRecord) -> Value {
        guard let started = task.startedAt, let ended = task.endedAt else { return .null }
        return .int(ended.duration(since: started).milliseconds)
    }

    static func task(_ run: WorkflowRun, _ place: Int, in info: NodeInfo) -> Value {
        let task = run.tasks[place]
        return .object([
            "id": .string("\(run.id).\(task.name)"), "run": .string(run.id.description), "task": .string(task.name),
            "namespace": .string(run.namespace.text), "workflow": .string(run.workflow), "kind": .string(task.kind.rawValue),
            "state": .string(task.state.rawValue), "blocked": TaskWhy(info: info, run: run, place: place).blocked,
            "attempt": Value(task.attempts),
            "failures": Value(task.failures),
            "worker": Value(task.worker?.text), "fence": task.fence == .none ? .null : .string(task.fence.description),
            "key": Value(task.key), "queuedAt": Value(task.readyAt?.rfc3339), "startedAt": Value(task.startedAt?.rfc3339),
            "endedAt": Value(task.endedAt?.rfc3339), "durationMs": duration(task), "dueAt": Value(task.dueAt?.rfc3339),
            "input": task.input ?? .null,
            "output": task.output ?? .null, "error": task.error?.value ?? .null,
        ])
    }

    /// Ids are unique within a source and a namespace only, and after the dedup window one may come again.
    static func key(_ accepted: AcceptedMessage) -> String {
        let message = accepted.message
        return "\(message.namespace)/\(message.source)/\(message.id)/\(accepted.acceptedAt.milliseconds)"
    }

    static func message(_ accepted: AcceptedMessage) -> Value {
        .object([
            "rowKey": .string(key(accepted)), "id": .string(accepted.message.id),
            "namespace": .string(accepted.message.namespace.text),
            "source": .string(accepted.message.source),
            "type": .string(accepted.message.type), "subject": accepted.message.subject.map(Value.string),
            "acceptedAt": .string(accepted.acceptedAt.rfc3339), "catalogVersion": Value(accepted.catalogVersion),
            "matched": .list(accepted.matched.map(Value.string)), "runs": .list(accepted.runs.map { .string($0.description) }),
            "message": accepted.message.value,
        ])
    }

    static func report(_ verdict: Intake.Verdict, _ message: Message) -> Value {
        switch verdict {
        case .accepted(let version, let matched, let runs, let isDuplicate):
            .object([
                "messageId": .string(message.id), "catalogVersion": Value(version), "matched": .list(matched.map(Value.string)),
                "runs": .list(runs.map { .string($0.description) }), "durable": true, "duplicate": .bool(isDuplicate),
            ])
        case .unmatched(let version):
            .object([
                "messageId": .string(message.id), "catalogVersion": Value(version), "matched": [], "runs": [], "durable": false,
                "duplicate": false,
            ])
        case .busy(let why): .object(["messageId": .string(message.id), "code": "busy", "detail": .string(why)])
        case .full(let why): .object(["messageId": .string(message.id), "code": "too_many_open_runs", "detail": .string(why)])
        case .uncertain(let why):
            .object(["messageId": .string(message.id), "code": "uncertain", "detail": .string(why), "uncertain": true])
        }
    }
}
