import Primitives
package import Wire
package import Workflows

extension TLVWriter {
    package mutating func run(_ tag: UInt16, _ run: WorkflowRun) {
        message(tag) { writer in
            let origin = run.origin
            writer.id(1, origin.id)
            writer.string(2, origin.namespace.text)
            writer.string(3, origin.workflow)
            writer.u64(4, origin.definitionVersion)
            writer.string(optional: 5, origin.version)
            writer.string(6, origin.rule)
            writer.message(7, origin.message)
            writer.value(8, origin.params)
            writer.trace(9, origin.trace)
            writer.time(10, origin.createdAt)
            writer.time(11, origin.deadline)
            writer.u32(12, UInt32(origin.retriesLeft))
            writer.id(13, origin.retryOf)
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
    /// - Parameter known: a message that was read before, which is mostly the run's own.
    package func run(of known: KnownMessage? = nil) throws(WireError) -> WorkflowRun {
        var reader = try message(repeating: 1 << 20)
        var head = RunHead(known: known)
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
            case 2: task.kind = try field.word(.kinds)
            case 3: task.state = try field.word(.states)
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

/// A message that was read, beside the bytes that it was read from: an entry has a message twice, by itself and in the run that it starts.
package struct KnownMessage {
    let field: TLVField
    let message: Message

    /// Nil when the field has other bytes.
    func message(of other: TLVField) -> Message? {
        guard other.type == field.type, other.value.count == field.value.count else { return nil }
        return Self.areSame(other.value, field.value) ? message : nil
    }

    /// Of one length; eight bytes at a time.
    private static func areSame(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        var place = 0
        while place + 8 <= left.count {
            let (a, b) = (
                left.loadUnaligned(fromByteOffset: place, as: UInt64.self), right.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            )
            guard a == b else { return false }
            place += 8
        }
        while place < left.count {
            guard left[place] == right[place] else { return false }
            place += 1
        }
        return true
    }
}

/// The fields of a run as they come in, before it is known that all are there.
private struct RunHead {
    let known: KnownMessage?
    private var id: RunID?
    private var namespace: Namespace?
    private var workflow: String?
    private var definitionVersion: UInt64?
    private var version: String?
    private var rule: String?
    private var message: Message?
    private var params: Value?
    private var trace: TraceContext?
    private var createdAt: ClusterTime?
    private var deadline: ClusterTime?
    private var retriesLeft = 0
    private var retryOf: RunID?
    private var revision: UInt64 = 0
    private var state = WorkflowRun.State.running
    private var endedAt: ClusterTime?
    private var output: Value?
    private var error: TaskError?

    init(known: KnownMessage?) { self.known = known }

    mutating func read(_ field: TLVField) throws(WireError) {
        switch field.tag {
        case 1: id = try field.id()
        case 2: namespace = try field.namespace()
        case 3: workflow = try field.string()
        case 4: definitionVersion = try field.u64()
        case 5: version = try field.string()
        case 6: rule = try field.string()
        case 7: if let same = known?.message(of: field) { message = same } else { message = try field.storedMessage() }
        case 8: params = try field.value()
        case 9: trace = try field.trace()
        case 10: createdAt = try field.time()
        case 11: deadline = try field.time()
        case 12: retriesLeft = Int(try field.u32())
        case 13: retryOf = try field.id()
        case 14: revision = try field.u64()
        case 15: state = try field.word(.runStates)
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
