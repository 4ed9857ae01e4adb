package import Primitives

/// One run of a workflow: the whole machine as a value. Events come in with the time and chance to use; effects go out.
package struct WorkflowRun: Equatable, Sendable {
    package enum State: String, Sendable, CaseIterable {
        case running
        /// Has an unknown task, which an operator must resolve.
        case held
        case succeeded, failed
        case timedOut = "timed_out"
        case cancelled

        package var isFinal: Bool {
            switch self {
            case .running, .held: false
            case .succeeded, .failed, .timedOut, .cancelled: true
            }
        }
    }

    package enum Event: Equatable, Sendable {
        case start
        case assigned(task: Int, worker: NodeID, fence: Fence)
        case reported(task: Int, fence: Fence, AttemptOutcome, startedAt: ClusterTime, endedAt: ClusterTime)
        /// Time has come to `now`.
        case tick
        /// An operator says what became of an unknown task.
        case resolved(task: Int, Verdict)
        case cancel(reason: String)
    }

    package enum Verdict: Equatable, Sendable {
        case succeeded(Value)
        case failed(String)
        case retry
    }

    package enum Effect: Equatable, Sendable {
        /// The task waits for a worker.
        case enqueue(task: Int)
        /// The attempt is no longer wanted.
        case cancelAttempt(task: Int, worker: NodeID, fence: Fence)
        case finished
        /// The event came too late or does not fit; nothing changed.
        case refused(String)
    }

    /// What a step may use besides the event.
    package struct Context {
        package var definition: WorkflowDefinition
        package var now: ClusterTime
        package var generator: SeededGenerator
        /// Values that the node's settings give for `env.<NAME>`.
        package var environment: [String: String]

        package init(definition: WorkflowDefinition, now: ClusterTime, generator: SeededGenerator, environment: [String: String] = [:]) {
            self.definition = definition
            self.now = now
            self.generator = generator
            self.environment = environment
        }
    }

    /// A worker lost more often than this ends in failure.
    package static let lossLimit = 10
    /// How long after the attempt's own timeout the coordinator waits for its report.
    package static let reportGrace = Duration.seconds(10)

    package let origin: RunOrigin

    package var revision: UInt64 = 0
    package var state = State.running
    package var endedAt: ClusterTime?
    package var tasks: [TaskRecord]
    package var output: Value?
    package var error: TaskError?

    package init(
        id: RunID, definition: WorkflowDefinition, definitionVersion: UInt64, rule: String, message: Message, params: Value?,
        timeout: Duration?,
        retriesLeft: Int, retryOf: RunID?, trace: TraceContext?, now: ClusterTime
    ) {
        self.init(
            id: id, namespace: definition.namespace, workflow: definition.name, definitionVersion: definitionVersion,
            version: definition.version, rule: rule, message: message, params: params, trace: trace, createdAt: now,
            deadline: [timeout, definition.timeout].compactMap(\.self).min().map { now.advanced(by: $0) }, retriesLeft: retriesLeft,
            retryOf: retryOf,
            tasks: definition.tasks.map { TaskRecord(name: $0.name, kind: $0.kind) })
    }

    /// As stored; for those who read it back.
    package init(
        id: RunID, namespace: Namespace, workflow: String, definitionVersion: UInt64, version: String?, rule: String, message: Message,
        params: Value?, trace: TraceContext?, createdAt: ClusterTime, deadline: ClusterTime?, retriesLeft: Int, retryOf: RunID?,
        tasks: [TaskRecord]
    ) {
        origin = RunOrigin(
            id: id, namespace: namespace, workflow: workflow, definitionVersion: definitionVersion, version: version, rule: rule,
            message: message, params: params, trace: trace, createdAt: createdAt, deadline: deadline, retriesLeft: retriesLeft,
            retryOf: retryOf)
        self.tasks = tasks
    }

    package var id: RunID { origin.id }
    package var namespace: Namespace { origin.namespace }
    package var workflow: String { origin.workflow }
    package var definitionVersion: UInt64 { origin.definitionVersion }
    package var version: String? { origin.version }
    package var rule: String { origin.rule }
    package var message: Message { origin.message }
    package var params: Value? { origin.params }
    package var trace: TraceContext? { origin.trace }
    package var createdAt: ClusterTime { origin.createdAt }
    package var deadline: ClusterTime? { origin.deadline }
    package var retriesLeft: Int { origin.retriesLeft }
    package var retryOf: RunID? { origin.retryOf }

    /// What `input` means in its templates.
    package var input: Value { params ?? message.value }

    /// The next moment at which time alone changes the run.
    package var nextTimer: ClusterTime? {
        guard !state.isFinal else { return nil }
        return tasks.compactMap(\.nextTimer).reduce(deadline) { earliest, due in earliest.map { min($0, due) } ?? due }
    }

    package mutating func handle(_ event: Event, _ context: inout Context) -> [Effect] {
        guard !state.isFinal else { return [.refused("the run has ended")] }
        var effects: [Effect] = []
        switch event {
        case .start: break
        case .assigned(let task, let worker, let fence):
            guard assign(task, worker, fence, context) else {
                return [.refused("task \(tasks.indices.contains(task) ? tasks[task].name : String(task)) is not queued")]
            }
        case .reported(let task, let fence, let outcome, let startedAt, let endedAt):
            guard tasks.indices.contains(task), tasks[task].isLeased(under: fence) else {
                return [.refused("attempt \(fence) is not the one that is running")]
            }
            tasks[task].startedAt = startedAt
            settle(task, outcome, at: endedAt, &context, &effects)
        case .tick: tick(&context, &effects)
        case .resolved(let task, let verdict):
            guard tasks.indices.contains(task), tasks[task].state == .unknown else { return [.refused("the task is not in state unknown")] }
            resolve(task, verdict, context, &effects)
        case .cancel(let reason): end(as: .cancelled, TaskError(type: "cancelled", message: reason), context, &effects)
        }
        revision += 1
        if !state.isFinal { advance(&context, &effects) }
        return effects
    }

    // MARK: Attempts

    private mutating func assign(_ task: Int, _ worker: NodeID, _ fence: Fence, _ context: Context) -> Bool {
        guard tasks.indices.contains(task), tasks[task].state == .queued else { return false }
        tasks[task].state = .leased
        tasks[task].attempts += 1
        tasks[task].worker = worker
        tasks[task].fence = fence
        tasks[task].dueAt = context.now.advanced(by: context.definition.tasks[task].timeouts.attempt + Self.reportGrace)
        return true
    }

    private mutating func settle(
        _ task: Int, _ outcome: AttemptOutcome, at time: ClusterTime, _ context: inout Context, _ effects: inout [Effect]
    ) {
        switch outcome {
        case .succeeded(let output):
            tasks[task].output = output
            tasks[task].error = nil
            finish(task, .succeeded, at: time)
        case .failed(let error): fail(task, .failed, error, at: time, &context)
        case .timedOut(let error): fail(task, .timedOut, error, at: time, &context)
        case .cancelled: finish(task, .cancelled, at: time)
        case .lost: lose(task, context, &effects)
        case .neverStarted:
            tasks[task].startedAt = nil
            enqueue(task, context, &effects)
        }
    }

    private mutating func fail(_ task: Int, _ state: TaskState, _ error: TaskError, at time: ClusterTime, _ context: inout Context) {
        tasks[task].error = error
        tasks[task].failures += 1
        let policy = context.definition.tasks[task].retry
        guard tasks[task].failures <= policy.furtherAttempts, policy.applies(to: error) else { return finish(task, state, at: time) }
        let wait = policy.backoff.wait(afterFailures: tasks[task].failures, using: &context.generator)
        tasks[task].state = .waiting
        tasks[task].dueAt = context.now.advanced(by: wait)
    }

    private mutating func lose(_ task: Int, _ context: Context, _ effects: inout [Effect]) {
        tasks[task].losses += 1
        let error = TaskError(type: "lost", message: "the worker was lost in the middle of attempt \(tasks[task].attempts)")
        tasks[task].error = error
        switch mutated(.lossAlwaysRetried) ? .retry : context.definition.tasks[task].onLost {
        case .retry where tasks[task].losses <= Self.lossLimit: enqueue(task, context, &effects)
        case .retry, .fail: finish(task, .failed, at: context.now)
        case .hold:
            tasks[task].state = .unknown
            tasks[task].dueAt = nil
        }
    }

    private mutating func resolve(_ task: Int, _ verdict: Verdict, _ context: Context, _ effects: inout [Effect]) {
        switch verdict {
        case .succeeded(let output):
            tasks[task].output = output
            tasks[task].error = nil
            finish(task, .succeeded, at: context.now)
        case .failed(let reason):
            tasks[task].error = TaskError(type: "resolved_failed", message: reason)
            finish(task, .failed, at: context.now)
        case .retry: enqueue(task, context, &effects)
        }
    }

    private mutating func enqueue(_ task: Int, _ context: Context, _ effects: inout [Effect]) {
        tasks[task].state = .queued
        tasks[task].worker = nil
        tasks[task].dueAt = context.definition.tasks[task].timeouts.queue.map { context.now.advanced(by: $0) }
        effects.append(.enqueue(task: task))
    }

    private mutating func finish(_ task: Int, _ state: TaskState, at time: ClusterTime) {
        tasks[task].state = state
        tasks[task].dueAt = nil
        tasks[task].endedAt = time
    }

    // MARK: Time

    private mutating func tick(_ context: inout Context, _ effects: inout [Effect]) {
        if let deadline, deadline <= context.now {
            return end(as: .timedOut, TaskError(type: "run_timeout", message: "the run took longer than it may"), context, &effects)
        }
        for task in tasks.indices {
            guard let due = tasks[task].nextTimer, due <= context.now else { continue }
            if let total = tasks[task].totalDueAt, total <= context.now {
                cancelAttempt(task, &effects)
                tasks[task].error = TaskError(type: "total_timeout", message: "all attempts together took longer than they may")
                finish(task, .timedOut, at: context.now)
                continue
            }
            wake(task, &context, &effects)
        }
    }

    private mutating func wake(_ task: Int, _ context: inout Context, _ effects: inout [Effect]) {
        switch tasks[task].state {
        case .waiting where tasks[task].kind.isCoordinators:
            tasks[task].output = .null
            finish(task, .succeeded, at: context.now)
        case .waiting: enqueue(task, context, &effects)
        case .queued:
            tasks[task].error = TaskError(type: "queue_timeout", message: "no worker became free in time")
            finish(task, .timedOut, at: context.now)
        case .leased:
            cancelAttempt(task, &effects)
            lose(task, context, &effects)
        case .pending, .succeeded, .failed, .timedOut, .cancelled, .skipped, .unknown: break
        }
    }

    private func cancelAttempt(_ task: Int, _ effects: inout [Effect]) {
        guard tasks[task].state == .leased, let worker = tasks[task].worker, !mutated(.attemptsOutliveRun) else { return }
        effects.append(.cancelAttempt(task: task, worker: worker, fence: tasks[task].fence))
    }

    private mutating func end(as state: State, _ error: TaskError, _ context: Context, _ effects: inout [Effect]) {
        for task in tasks.indices where !tasks[task].state.isFinal {
            cancelAttempt(task, &effects)
            finish(task, .cancelled, at: context.now)
        }
        self.error = error
        self.state = state
        endedAt = context.now
        effects.append(.finished)
    }

    // MARK: The graph

    /// Starts what may start, skips what cannot, and ends the run when nothing is left.
    private mutating func advance(_ context: inout Context, _ effects: inout [Effect]) {
        for task in tasks.indices where tasks[task].state == .pending {
            switch readiness(context.definition.tasks[task]) {
            case .notYet: continue
            case .never: finish(task, .skipped, at: context.now)
            case .ready: begin(task, &context, &effects)
            }
        }
        guard tasks.allSatisfy({ $0.state.isFinal }) else {
            state = tasks.contains { $0.state == .unknown } ? .held : .running
            return
        }
        conclude(context)
        effects.append(.finished)
    }

    private enum Readiness { case notYet, ready, never }

    private func readiness(_ definition: TaskDefinition) -> Readiness {
        var isWaiting = false
        for dependency in definition.dependencies {
            let state = tasks[dependency.task].state
            guard state.isFinal else {
                isWaiting = true
                continue
            }
            if !dependency.result.accepts(state) { return .never }
        }
        return isWaiting ? .notYet : .ready
    }

    private mutating func begin(_ task: Int, _ context: inout Context, _ effects: inout [Effect]) {
        let definition = context.definition.tasks[task]
        let scope = RunScope(run: self, context: context)
        tasks[task].readyAt = context.now
        tasks[task].totalDueAt = definition.timeouts.total.map { context.now.advanced(by: $0) }
        switch scope.prepare(definition) {
        case .skip: finish(task, .skipped, at: context.now)
        case .broken(let error):
            tasks[task].error = error
            finish(task, .failed, at: context.now)
        case .wait(let duration):
            tasks[task].state = .waiting
            tasks[task].dueAt = context.now.advanced(by: duration)
        case .run(let input, let key):
            tasks[task].input = input
            tasks[task].key = key
            enqueue(task, context, &effects)
        }
    }

    /// A run fails when a task ended badly and nothing that depends on that result took it up.
    private mutating func conclude(_ context: Context) {
        endedAt = context.now
        let unhandled = tasks.indices.first { task in
            tasks[task].state.isBad && !isHandled(task, context.definition)
        }
        if let unhandled {
            state = .failed
            error = tasks[unhandled].error.map {
                TaskError(type: $0.type, message: "task \(tasks[unhandled].name): \($0.message)", status: $0.status)
            }
            return
        }
        state = .succeeded
        guard let template = context.definition.output else { return }
        switch RunScope(run: self, context: context).resolve(template) {
        case .success(let value): output = value
        case .failure(let problem):
            state = .failed
            error = problem
        }
    }

    private func isHandled(_ task: Int, _ definition: WorkflowDefinition) -> Bool {
        definition.tasks.indices.contains { other in
            tasks[other].state != .skipped
                && definition.tasks[other].dependencies.contains { $0.task == task && ($0.result == .failed || $0.result == .done) }
        }
    }
}

extension TaskState {
    fileprivate var isBad: Bool { self == .failed || self == .timedOut || self == .cancelled }
}

extension TaskDefinition.Result {
    fileprivate func accepts(_ state: TaskState) -> Bool {
        switch self {
        case .succeeded: state == .succeeded
        case .failed: state == .failed || state == .timedOut
        case .skipped: state == .skipped
        case .done: true
        }
    }
}
