import CEL
import Cluster
import HashTreeCollections
package import Primitives
import Rules
import Wire
package import Workflows

/// The leader's decisions as a value: it owns the state with all that is proposed but not yet committed, turns what comes in into
/// commands, applies them at once by the same code that replicas use, and says what may be done when each is committed.
package struct Planner {
    package let limits: Limits
    package let term: Term
    package private(set) var state: CoordinatorState
    package internal(set) var catalog: Catalog
    package internal(set) var scheduler: Scheduler
    var timers = TimerIndex()
    var pinned: [PinnedKey: WorkflowDefinition] = [:]
    var generator: SeededGenerator
    let environment: [String: String]
    private var sinceDigest: UInt64 = 0

    struct PinnedKey: Hashable {
        var namespace: Namespace
        var name: String
        var version: UInt64
    }

    /// The entry that is being filled.
    private var batch: CommandCodec.CommandBatch?
    private var history = Applied()
    var newCatalog: Catalog?
    var wall: ClusterTime
    var output = Output()
    var lastAssignment: UInt64 = 0
    /// Of tasks that are with workers, until a command changes that: many workers come at once.
    var leasedItems: [NodeID: [ReadyQueue.Item]]?
    /// The run of the last `step`, and the one that takes its place.
    private var lastRun: WorkflowRun?
    private var lastSuccessor: WorkflowRun?

    /// - Parameter state: everything the log holds.
    package init(
        term: Term, state: CoordinatorState, catalog: Catalog, seed: UInt64, wall: ClusterTime, environment: [String: String] = [:],
        limits: Limits = Limits(), scheduler: Scheduler? = nil
    ) {
        self.scheduler = scheduler ?? Scheduler(placement: Placement(seed: seed))
        self.term = term
        self.state = state
        self.catalog = catalog
        self.limits = limits
        self.environment = environment
        self.wall = max(wall, state.time)
        generator = SeededGenerator(seed: seed)
        for id in state.runs.keys.sorted() { if let open = state.runs[id] { recall(open.run) } }
    }

    /// Queues and timers of a run that was open when this leader began. Its leases hold.
    private mutating func recall(_ run: WorkflowRun) {
        timers.set(run.id, run.nextTimer, now: wall)
        for (place, task) in run.tasks.enumerated() where task.state == .queued && !mutated(.queueForgottenAtElection) { push(run, place) }
    }

    package mutating func nextTimer() -> ClusterTime? { timers.next() }

    /// Takes a batch in and plans it.
    package mutating func handle(_ inputs: [Input], wall: ClusterTime, firesTimers: Bool = true) -> Output {
        self.wall = max(wall, state.time)
        output = Output()
        scheduler.advance(to: self.wall)
        for input in inputs { take(input) }
        if firesTimers { fireTimers() }
        assignReady()
        closeEntry()
        return output
    }

    private mutating func take(_ input: Input) {
        switch input {
        case .submit(let submission, let token): submit(submission, token)
        case .report(let report): take(report)
        case .activate(let catalog, let records, let removed, let token): activate(catalog, records, removed, token)
        case .resolve(let run, let task, let verdict, let token): resolve(run, task, verdict, token)
        case .cancel(let run, let reason, let token): cancel(run, reason, token)
        case .retry(let run, let trace, let token): retry(run, trace, token)
        case .join(let node, let slots, let light): attach(node, .init(slots: slots, light: light), .available)
        case .attach(let node, let offer, let standing): attach(node, offer, standing)
        case .leave(let node): scheduler.leave(node)
        case .stand(let node, let standing, let free): stand(node, standing, free)
        case .raiseFeatureLevel(let level, let announced, let token): raise(to: level, announced, token)
        case .freeze(let change, let token): freeze(change, token)
        }
    }

    // MARK: Messages

    private mutating func submit(_ submission: Submission, _ token: Int) {
        if let why = state.frozen.intakeRefusal { return answer(token, .busy(why), now: true) }
        guard submission.catalogVersion == state.catalogVersion || mutated(.catalogVersionIgnored) else {
            return answer(token, .rematch(state.catalogVersion), now: true)
        }
        if let runs = state.dedup.runs(of: DedupWindow.key(submission.message, cluster: state.cluster)) {
            return answer(token, .accepted(runs: runs, duplicate: true))
        }
        guard state.runs.count + submission.runs.count <= limits.openRuns else {
            return answer(token, .full(Self.tooMany(state.runs.count, limits.openRuns)), now: true)
        }
        var assigned: [(run: Int, task: Int, worker: NodeID)] = []
        var runs = submission.runs
        for index in runs.indices {
            for task in runs[index].tasks.indices where runs[index].tasks[task].state == .queued {
                let item = item(runs[index], task)
                guard let worker = placeNow(item) else { continue }
                if lease(&runs[index], task, worker) { assigned.append((index, task, worker)) }
            }
        }
        emit(
            .submit(Submit(message: submission.message, catalogVersion: submission.catalogVersion, matched: submission.matched, runs: runs))
        )
        for run in runs { note(run, before: nil) }
        for item in assigned { dispatch(runs[item.run], item.task, item.worker) }
        answer(token, .accepted(runs: runs.map(\.id), duplicate: false))
    }

    // MARK: Reports, time and operators

    private mutating func take(_ report: TaskReport) {
        guard let run = state.runs[report.run]?.run, let place = run.tasks.firstIndex(where: { sameBytes($0.name, report.task) }) else {
            return output.acknowledged.append((state.applied, report, false))
        }
        let event = WorkflowRun.Event.reported(
            task: place, fence: report.fence, report.outcome, startedAt: report.startedAt, endedAt: max(report.endedAt, report.startedAt))
        let isFresh = step(run, event)
        output.acknowledged.append((state.applied, report, isFresh))
        guard isFresh, let run = lastRun else { return }
        notice(run.tasks[place], run, report)
    }

    private mutating func notice(_ task: TaskRecord, _ run: WorkflowRun, _ report: TaskReport) {
        switch report.outcome {
        case .failed(let error), .timedOut(let error):
            output.notices.append(
                (state.applied, .taskFailed(run: run, task: task.name, attempt: report.attempt, error, willRetry: task.state == .waiting)))
        case .lost where task.state == .unknown:
            output.notices.append((state.applied, .taskUnknown(run: run, task: task.name, attempt: report.attempt)))
        case .succeeded, .cancelled, .lost, .neverStarted: break
        }
    }

    /// One step of one run, with the assignments it causes, as one command. False when the run refused the event.
    @discardableResult
    private mutating func step(_ old: WorkflowRun, _ event: WorkflowRun.Event) -> Bool {
        guard let definition = definition(of: old) else { return false }
        var run = old
        var context = context(definition)
        let effects = run.handle(event, &context)
        generator = context.generator
        if case .refused? = effects.first { return false }
        var assigned: [(task: Int, worker: NodeID)] = []
        for place in old.tasks.indices where old.tasks[place].state == .leased && run.tasks[place].state != .leased {
            scheduler.release(run: run.id, task: place)
        }
        for case .enqueue(let task) in effects where run.tasks[task].state == .queued {
            let item = item(run, task)
            guard let worker = placeNow(item) else { continue }
            if lease(&run, task, worker) { assigned.append((task, worker)) }
        }
        emit(.settle(Settle(from: old, to: run, successor: successor(of: run, definition))))
        note(run, before: old)
        lastRun = run
        for item in assigned { dispatch(run, item.task, item.worker) }
        for case .cancelAttempt(let task, let worker, let fence) in effects {
            let held = HeldAssignment(run: run.id, task: run.tasks[task].name, attempt: run.tasks[task].attempts, fence: fence)
            output.cancels.append((state.applied, worker, held))
        }
        return true
    }

    /// A failed run that its rule lets run again: a new one, with the same message.
    private mutating func successor(of run: WorkflowRun, _ definition: WorkflowDefinition) -> WorkflowRun? {
        guard run.state == .failed || run.state == .timedOut, run.retriesLeft > 0 else { return nil }
        var next = WorkflowRun(
            id: UUIDv7(at: wall, using: &generator), definition: definition, definitionVersion: run.definitionVersion, rule: run.rule,
            message: run.message, params: run.params, timeout: run.deadline.map { $0.duration(since: run.createdAt) },
            retriesLeft: run.retriesLeft - 1, retryOf: run.id, trace: run.trace, now: wall)
        var context = context(definition)
        _ = next.handle(.start, &context)
        return next
    }

    /// The workflow as it is in force now: what was mended since is what runs.
    private mutating func retry(_ old: WorkflowRun, _ trace: TraceContext?, _ token: Int) {
        guard let found = catalog.workflow(old.workflow, in: old.namespace) else {
            return answer(token, .conflict("workflow '\(old.workflow)' is no longer in force; apply it again first"), now: true)
        }
        guard state.runs.count < limits.openRuns else {
            return answer(token, .full(Self.tooMany(state.runs.count, limits.openRuns)), now: true)
        }
        let action = catalog.action(ofRule: old.rule, workflow: old.workflow, in: old.namespace)
        var params = old.params
        if params == nil, let template = action?.params {
            // Without them the workflow would read the bare message as its parameters.
            do throws(Template.Problem) { params = try template.resolve(in: MessageScope(old.message)) } catch {
                return answer(token, .conflict("params\(error.pointer) of rule \(old.rule): \(error.error)"), now: true)
            }
        }
        var run = WorkflowRun(
            id: UUIDv7(at: wall, using: &generator), definition: found.definition, definitionVersion: found.version, rule: old.rule,
            message: old.message, params: params, timeout: action?.timeout, retriesLeft: 0, retryOf: old.id, trace: trace, now: wall)
        var context = context(found.definition)
        _ = run.handle(.start, &context)
        let start = Command.start(Start(run: run))
        guard state.permits(start) else { return answer(token, .conflict(Self.refusal(start, state)), now: true) }
        emit(start)
        output.notices.append((state.applied, .runStarted))
        note(run, before: nil)
        answer(token, .started(run.id))
    }

    /// Keeps timers, queue and notices in step with a run that was just applied.
    private mutating func note(_ run: WorkflowRun, before: WorkflowRun?) {
        timers.set(run.id, run.nextTimer, now: wall)
        for (place, task) in (before?.tasks ?? []).enumerated() where task.state == .queued && run.tasks[place].state != .queued {
            scheduler.withdraw(run: run.id, task: place)
        }
        if run.state.isFinal {
            scheduler.forget(run.id)
            output.notices.append((state.applied, .runEnded(run)))
            if let successor = lastSuccessor, successor.retryOf == run.id {
                output.notices.append((state.applied, .runStarted))
                note(successor, before: nil)
            }
            return
        }
        for (place, task) in run.tasks.enumerated() where task.state == .queued {
            if let before, before.tasks[place].state == .queued, before.tasks[place].failures == task.failures { continue }
            push(run, place)
        }
    }

    private mutating func fireTimers() {
        for id in timers.popDue(at: wall) {
            guard let run = state.runs[id]?.run else { continue }
            if let due = run.nextTimer, due <= wall {
                if !step(run, .tick) { timers.set(id, run.nextTimer, now: wall) }
            } else {
                timers.set(id, run.nextTimer, now: wall)
            }
        }
    }

    private mutating func resolve(_ id: RunID, _ name: String, _ verdict: WorkflowRun.Verdict, _ token: Int) {
        guard let run = state.runs[id]?.run else { return answer(token, .notFound("no open run \(id)"), now: true) }
        guard let place = run.tasks.firstIndex(where: { sameBytes($0.name, name) }) else {
            return answer(token, .notFound("run \(id) has no task '\(name)'"), now: true)
        }
        guard step(run, .resolved(task: place, verdict)) else {
            return answer(token, .conflict("task '\(name)' is \(run.tasks[place].state.rawValue), not unknown"), now: true)
        }
        answer(token, .done)
    }

    private mutating func cancel(_ id: RunID, _ reason: String, _ token: Int) {
        guard let run = state.runs[id]?.run else { return answer(token, .notFound("no open run \(id)"), now: true) }
        guard step(run, .cancel(reason: reason)) else { return answer(token, .conflict("run \(id) cannot be cancelled now"), now: true) }
        answer(token, .done)
    }

    mutating func context(_ definition: WorkflowDefinition) -> WorkflowRun.Context {
        WorkflowRun.Context(definition: definition, now: wall, generator: SeededGenerator(seed: generator.next()), environment: environment)
    }

    // MARK: Entries

    /// Whoever calls has looked whether the cluster's level permits the command.
    mutating func emit(_ command: Command) {
        precondition(state.permits(command), "\(command.kind) at feature level \(state.featureLevel)")
        leasedItems = nil
        lastSuccessor = if case .settle(let settle) = command { settle.successor } else { nil }
        if batch == nil {
            state.begin(state.applied.next, term: term, time: wall)
            batch = CommandCodec.CommandBatch(time: state.time)
        }
        batch?.append(command)
        do throws(DigestMismatch) {
            try state.apply(command, into: &history)
        } catch {
            preconditionFailure("the leader's own digest: \(error)")
        }
        if let batch, batch.byteCount >= limits.entryBytes { closeEntry() }
    }

    private mutating func closeEntry() {
        guard batch != nil else { return }
        sinceDigest += 1
        if sinceDigest >= limits.digestEvery {
            sinceDigest = 0
            let digest = state.digest
            batch?.append(.digest(digest))
        }
        guard let full = batch else { return }
        batch = nil
        output.proposals.append(
            Proposal(index: state.applied, payload: full.bytes, state: state, history: history.history, catalog: newCatalog))
        history = Applied()
        newCatalog = nil
    }

    mutating func answer(_ token: Int, _ answer: Answer, now: Bool = false) {
        output.answers.append((now ? .zero : state.applied, token, answer))
    }
}

extension WorkflowRun {
    /// The run's own span within its trace: what its tasks' spans hang under. The id needs no storage.
    var spanContext: TraceContext? { trace?.child(span: id.low) }
}
