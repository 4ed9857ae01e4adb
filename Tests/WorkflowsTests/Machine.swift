import Primitives
import Workflows

/// One run with its clock, its chance and its workers around it.
struct Machine {
    let definition: WorkflowDefinition
    let worker: NodeID
    var run: WorkflowRun
    var now = ClusterTime(milliseconds: 1_000_000)
    var generator = SeededGenerator(seed: 7)
    var environment: [String: String] = [:]
    private var assignments: UInt64 = 0

    /// - Parameters:
    ///   - top: members beside the tasks, each with its comma.
    ///   - timeout: what the action gives the run.
    init(
        _ tasks: String, top: String = "", data: Value = [:], params: Value? = nil, timeout: Duration? = nil,
        environment: [String: String] = [:]
    ) throws {
        definition = try workflow(tasks, top: top)
        worker = try NodeID("w-1")
        let message = Message(id: "m-1", source: "test", type: "order", data: data)
        run = WorkflowRun(
            id: RunID(high: 0x18F, low: 1), definition: definition, definitionVersion: 1, rule: "set/rule", message: message,
            params: params,
            timeout: timeout, retriesLeft: 0, retryOf: nil, trace: nil, now: now)
        self.environment = environment
    }

    /// A run that has begun.
    static func started(
        _ tasks: String, top: String = "", data: Value = [:], params: Value? = nil, timeout: Duration? = nil,
        environment: [String: String] = [:]
    ) throws -> Machine {
        var machine = try Machine(tasks, top: top, data: data, params: params, timeout: timeout, environment: environment)
        machine.handle(.start)
        return machine
    }

    @discardableResult
    mutating func handle(_ event: WorkflowRun.Event) -> [WorkflowRun.Effect] {
        var context = WorkflowRun.Context(definition: definition, now: now, generator: generator, environment: environment)
        let effects = run.handle(event, &context)
        generator = context.generator
        return effects
    }

    // MARK: Looking

    func place(_ name: String) -> Int {
        guard let place = run.tasks.firstIndex(where: { $0.name == name }) else { preconditionFailure("no task \(name)") }
        return place
    }

    func task(_ name: String) -> TaskRecord { run.tasks[place(name)] }

    /// The states of the tasks, in the order of the names.
    func states(_ names: String...) -> [TaskState] { names.map { task($0).state } }

    // MARK: Workers

    /// Gives a queued task to the worker.
    @discardableResult
    mutating func lease(_ name: String) -> Fence {
        assignments += 1
        let fence = Fence(term: Term(1), assignment: assignments)
        handle(.assigned(task: place(name), worker: worker, fence: fence))
        return fence
    }

    /// Reports the end of a leased task under its newest fence.
    @discardableResult
    mutating func report(_ name: String, _ outcome: AttemptOutcome) -> [WorkflowRun.Effect] {
        handle(.reported(task: place(name), fence: task(name).fence, outcome, startedAt: now, endedAt: now))
    }

    /// Leases a queued task and reports its end.
    @discardableResult
    mutating func attempt(_ name: String, _ outcome: AttemptOutcome) -> [WorkflowRun.Effect] {
        lease(name)
        return report(name, outcome)
    }

    mutating func succeed(_ names: String...) { for name in names { attempt(name, .succeeded(.string(name))) } }

    // MARK: Time

    mutating func pass(_ duration: Duration) { now = now.advanced(by: duration) }

    /// Lets time pass and tells the run.
    @discardableResult
    mutating func tick(after duration: Duration) -> [WorkflowRun.Effect] {
        pass(duration)
        return handle(.tick)
    }
}

/// A failure as workers report it.
func failed(_ status: Int? = 1, type: String = "exit_code") -> AttemptOutcome {
    .failed(TaskError(type: type, message: "it went wrong", status: status))
}

extension [WorkflowRun.Effect] {
    /// Whether the event was refused.
    var areRefusal: Bool { if case .refused? = first { true } else { false } }
}
