import Primitives
package import Wire
package import Workflows

extension TLVWriter {
    package mutating func run(_ tag: UInt16, _ run: WorkflowRun) {
        message(tag) { writer in
            writer.id(1, run.id)
            writer.string(2, run.namespace.text)
            writer.string(3, run.workflow)
            writer.u64(4, run.definitionVersion)
            writer.string(optional: 5, run.version)
            writer.string(6, run.rule)
            writer.message(7, run.message)
            writer.value(8, run.params)
            writer.trace(9, run.trace)
            writer.time(10, run.createdAt)
            writer.time(11, run.deadline)
            writer.u32(12, UInt32(run.retriesLeft))
            writer.id(13, run.retryOf)
            writer.u64(14, run.revision)
            writer.string(15, run.state.rawValue)
            writer.time(16, run.endedAt)
            writer.value(17, run.output)
            writer.error(18, run.error)
            for task in run.tasks { writer.task(20, task) }
        }
    }

    mutating func task(_ tag: UInt16, _ task: TaskRecord) {
        message(tag) { writer in
            writer.string(1, task.name)
            writer.string(2, task.kind.rawValue)
            writer.string(3, task.state.rawValue)
            writer.u32(4, UInt32(task.attempts))
            writer.u32(5, UInt32(task.failures))
            writer.u32(6, UInt32(task.losses))
            writer.fence(7, task.fence)
            writer.string(optional: 8, task.worker?.text)
            writer.value(9, task.input)
            writer.string(optional: 10, task.key)
            writer.time(11, task.readyAt)
            writer.time(12, task.startedAt)
            writer.time(13, task.endedAt)
            writer.time(14, task.dueAt)
            writer.time(15, task.totalDueAt)
            writer.value(16, task.output)
            writer.error(17, task.error)
        }
    }
}

extension TLVField {
    package func run() throws(WireError) -> WorkflowRun {
        var reader = try message(repeating: 1 << 20)
        var head = RunHead()
        var tasks: [TaskRecord] = []
        while let field = try reader.next() {
            if field.tag == 20 { tasks.append(try field.task()) } else { try head.read(field) }
        }
        return try head.run(tasks)
    }

    func task() throws(WireError) -> TaskRecord {
        var reader = try message()
        var task = TaskRecord(name: "", kind: .transform)
        while let field = try reader.next() {
            switch field.tag {
            case 1: task.name = try field.string()
            case 2: task.kind = try field.word(TaskKind.self)
            case 3: task.state = try field.word(TaskState.self)
            case 4: task.attempts = Int(try field.u32())
            case 5: task.failures = Int(try field.u32())
            case 6: task.losses = Int(try field.u32())
            case 7: task.fence = try field.fence()
            case 8: task.worker = try field.node()
            case 9: task.input = try field.value()
            case 10: task.key = try field.string()
            case 11: task.readyAt = try field.time()
            case 12: task.startedAt = try field.time()
            case 13: task.endedAt = try field.time()
            case 14: task.dueAt = try field.time()
            case 15: task.totalDueAt = try field.time()
            case 16: task.output = try field.value()
            case 17: task.error = try field.taskError()
            default: throw field.unknown
            }
        }
        return task
    }
}

/// The fields of a run as they come in, before it is known that all are there.
private struct RunHead {
    var id: RunID?
    var namespace: Namespace?
    var workflow: String?
    var definitionVersion: UInt64?
    var version: String?
    var rule: String?
    var message: Message?
    var params: Value?
    var trace: TraceContext?
    var createdAt: ClusterTime?
    var deadline: ClusterTime?
    var retriesLeft = 0
    var retryOf: RunID?
    var revision: UInt64 = 0
    var state = WorkflowRun.State.running
    var endedAt: ClusterTime?
    var output: Value?
    var error: TaskError?

    mutating func read(_ field: TLVField) throws(WireError) {
        switch field.tag {
        case 1: id = try field.id()
        case 2: namespace = try field.namespace()
        case 3: workflow = try field.string()
        case 4: definitionVersion = try field.u64()
        case 5: version = try field.string()
        case 6: rule = try field.string()
        case 7: message = try field.storedMessage()
        case 8: params = try field.value()
        case 9: trace = try field.trace()
        case 10: createdAt = try field.time()
        case 11: deadline = try field.time()
        case 12: retriesLeft = Int(try field.u32())
        case 13: retryOf = try field.id()
        case 14: revision = try field.u64()
        case 15: state = try field.word(WorkflowRun.State.self)
        case 16: endedAt = try field.time()
        case 17: output = try field.value()
        case 18: error = try field.taskError()
        default: throw field.unknown
        }
    }

    func run(_ tasks: [TaskRecord]) throws(WireError) -> WorkflowRun {
        var run = WorkflowRun(
            id: try id.required(1, of: "run"), namespace: try namespace.required(2, of: "run"),
            workflow: try workflow.required(3, of: "run"),
            definitionVersion: try definitionVersion.required(4, of: "run"), version: version, rule: try rule.required(6, of: "run"),
            message: try message.required(7, of: "run"), params: params, trace: trace, createdAt: try createdAt.required(10, of: "run"),
            deadline: deadline, retriesLeft: retriesLeft, retryOf: retryOf, tasks: tasks)
        run.revision = revision
        run.state = state
        run.endedAt = endedAt
        run.output = output
        run.error = error
        return run
    }
}
