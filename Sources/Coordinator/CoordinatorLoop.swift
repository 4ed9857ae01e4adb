package import Cluster
package import Observability
package import Primitives
package import Storage
import Synchronization
package import Wire
package import Workflows

/// Runs the planner on a thread of its own: takes what comes in by batches, proposes, and lets go of answers, assignments and history when
/// they are committed.
package final class CoordinatorLoop: ReportSink {
    /// What can be asked for besides messages.
    package enum Request: Sendable {
        case submit(Planner.Submission)
        case activate(Catalog, records: [DefinitionRecord], removed: [DefinitionKey])
        case resolve(RunID, task: String, WorkflowRun.Verdict)
        case cancel(RunID, reason: String)
        /// A new run in place of one that has ended.
        case retry(WorkflowRun, trace: TraceContext?)
        case raiseFeatureLevel(UInt16, announced: [NodeID: UInt16])
        case freeze(FreezeChange)
    }

    /// Requests that wait for one answer each; resumed when the last has its own.
    final class Batch: Sendable {
        private let state: Mutex<(answers: [Planner.Answer?], missing: Int)>
        private let continuation: CheckedContinuation<[Planner.Answer], Never>

        init(count: Int, continuation: CheckedContinuation<[Planner.Answer], Never>) {
            state = Mutex(([Planner.Answer?](repeating: nil, count: count), count))
            self.continuation = continuation
        }

        func answer(_ slot: Int, _ answer: Planner.Answer) {
            let done: [Planner.Answer]? = state.withLock { state in
                guard state.answers[slot] == nil else { return nil }
                state.answers[slot] = answer
                state.missing -= 1
                return state.missing == 0 ? state.answers.compactMap(\.self) : nil
            }
            if let done { continuation.resume(returning: done) }
        }
    }

    enum Mail: Sendable {
        case requests([Request], Batch)
        case reports([TaskReport])
        case join(any WorkerLink)
        case worker(WorkerNews)
        case committed(LogIndex)
        case restored
        case role(RaftDriver.RoleNews)
        case failed(StorageError)
        case snapshot
        case snapshotDone(StorageError?)
        case probe(@Sendable () -> Void)
        case explain(RunID, task: Int, @Sendable (Blocked?) -> Void)
        case scheduling(SchedulingSettings)
    }

    /// Who waits for something to be applied.
    private struct Waiters {
        struct Waiter {
            var index: LogIndex
            var continuation: CheckedContinuation<Bool, Never>
            var timer: Task<Void, Never>?
        }

        var next: UInt64 = 1
        var waiting: [UInt64: Waiter] = [:]
    }

    /// What is committed, for readers.
    package struct View: Sendable {
        package var state: CoordinatorState
        package var catalog: Catalog
    }

    /// Requests that may wait at the door; beyond it they are refused as busy.
    package static let mailLimit = 16_384

    let raft: RaftDriver
    let history: HistoryStore
    let telemetry: Telemetry
    let metrics: CoordinatorMetrics
    package let sessions: WorkerSessions
    package let waiting: WaitingBoard
    let mail = Mailbox<Mail>(limit: mailLimit)
    let view: Mutex<View>
    let failure = Mutex<StorageError?>(nil)
    let standing = Mutex<String?>(nil)
    private let thread = Mutex<NamedThread?>(nil)
    let depths = Mutex<(queued: Int, running: Int, oldest: ClusterTime?)>((0, 0, nil))
    let leads = Atomic(false)
    let holdsTimers: Atomic<Bool>
    private let waiters = Mutex(Waiters())

    /// - Parameters:
    ///   - holdsTimers: none fires before `resumeTimers`.
    ///   - lease: for how long workers in other processes are believed in without a word of theirs.
    package init(
        view: View, raft: RaftDriver, history: HistoryStore, telemetry: Telemetry, metrics: CoordinatorMetrics, holdsTimers: Bool = false,
        lease: Duration = .seconds(10)
    ) {
        sessions = WorkerSessions(telemetry: telemetry, lease: lease)
        waiting = WaitingBoard(telemetry)
        self.holdsTimers = Atomic(holdsTimers)
        self.raft = raft
        self.history = history
        self.telemetry = telemetry
        self.metrics = metrics
        self.view = Mutex(view)
    }

    /// The committed state and the catalog in force.
    package var current: View { view.withLock { $0 } }
    package var catalog: Catalog { view.withLock { $0.catalog } }
    var openRuns: Int { view.withLock { $0.state.runs.count } }
    /// Why nothing more is applied here; nil while it is.
    package var standstill: String? { standing.withLock { $0 } }
    package var storageFailure: StorageError? { failure.withLock { $0 } }
    /// Tasks queued and running, and since when the oldest waits.
    package var queue: (queued: Int, running: Int, oldest: ClusterTime?) { depths.withLock { $0 } }

    /// Whether this node leads and plans: what is asked of it then is done here.
    package var isLeading: Bool { leads.load(ordering: .acquiring) }

    /// What whoever asks a node that does not plan is told.
    var notLeading: String {
        let leader = raft.leader.map { "'\($0)' leads" } ?? "no leader is known"
        return "this node does not lead the cluster (\(leader)); send it there"
    }

    func run(_ worker: LoopThread) { thread.withLock { $0 = NamedThread("planner") { worker.run() } } }

    /// Asks and waits for every answer; refused at once when the door is full.
    package func ask(_ requests: [Request]) async -> [Planner.Answer] {
        guard !requests.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let batch = Batch(count: requests.count, continuation: continuation)
            guard !mail.put(.requests(requests, batch)) else { return }
            let why = mail.hasClosed ? "the node is stopping" : "too many requests wait; try again in a second"
            for slot in requests.indices { batch.answer(slot, .busy(why)) }
        }
    }

    package func deliver(_ reports: [TaskReport]) { mail.force(.reports(reports)) }
    package func join(_ worker: any WorkerLink) {
        if worker.session == nil { sessions.add(local: worker) }
        mail.force(.join(worker))
    }

    /// Sends workers in other processes away: this node is about to stop.
    package func dismissWorkers() { sessions.end(CallError(.draining, "node '\(raft.node)' stops: another coordinator leads, or will")) }

    func news(_ news: WorkerNews) { mail.force(.worker(news)) }

    /// A worker is to take nothing new, or to do so again. Where it is not attached nothing happens.
    package func cordon(_ node: NodeID, _ flag: Bool) { news(.cordon(node, flag)) }
    /// It is to be empty: what runs may go on for so long. Where it is not attached nothing happens.
    package func drain(_ node: NodeID, within limit: Duration) { news(.drain(node, within: limit)) }
    func didCommit(_ index: LogIndex) { mail.force(.committed(index)) }
    func didRestore() { mail.force(.restored) }
    func didChange(_ role: RaftDriver.RoleNews) {
        // At once, so that nobody is sent here who would be refused.
        if role == .follows { leads.store(false, ordering: .releasing) }
        mail.force(.role(role))
    }
    func didFail(_ error: StorageError) { mail.force(.failed(error)) }

    /// Takes a snapshot soon, whether the log has grown or not.
    package func requestSnapshot() { mail.force(.snapshot) }

    package var isHoldingTimers: Bool { holdsTimers.load(ordering: .relaxed) }

    /// Lets timers fire that were held back since a backup was restored.
    ///
    /// - Returns: whether they were.
    package func resumeTimers() -> Bool { holdsTimers.exchange(false, ordering: .relaxed) }

    // MARK: Reading what is at least so new

    /// Whether somebody waits for something to be applied.
    var isAwaited: Bool { waiters.withLock { !$0.waiting.isEmpty } }

    /// Whether everything up to an entry is applied here, in time.
    package func waitApplied(_ index: LogIndex, timeout: Duration) async -> Bool {
        if current.state.applied >= index { return true }
        let id = waiters.withLock { waiters in
            waiters.next += 1
            return waiters.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiters.withLock { $0.waiting[id] = .init(index: index, continuation: continuation) }
                let timer = Task {
                    try? await Task.sleep(for: timeout)
                    letGo(id, false)
                }
                let isListed = waiters.withLock { waiters in
                    waiters.waiting[id]?.timer = timer
                    return waiters.waiting[id] != nil
                }
                if !isListed { timer.cancel() }
                // It may have come meanwhile, or nobody waits any more.
                if Task.isCancelled { letGo(id, false) }
                didApply()
            }
        } onCancel: {
            letGo(id, false)
        }
    }

    private func letGo(_ id: UInt64, _ answer: Bool) {
        let waiter = waiters.withLock { $0.waiting.removeValue(forKey: id) }
        waiter?.timer?.cancel()
        waiter?.continuation.resume(returning: answer)
    }

    /// Lets go of those who have waited for what is applied.
    func didApply() {
        let applied = current.state.applied
        let done = waiters.withLock { waiters -> [Waiters.Waiter] in
            guard !waiters.waiting.isEmpty else { return [] }
            let ready = waiters.waiting.filter { $0.value.index <= applied }
            for id in ready.keys { waiters.waiting[id] = nil }
            return Array(ready.values)
        }
        for waiter in done {
            waiter.timer?.cancel()
            waiter.continuation.resume(returning: true)
        }
    }

    /// Answers when the thread gets round to it: for whoever watches.
    package func probe(_ answer: @escaping @Sendable () -> Void) { mail.force(.probe(answer)) }

    /// Why a task waits for a worker; nil when it does not, or this node does not lead.
    package func blocked(run: RunID, task: Int) async -> Blocked? {
        guard isLeading else { return nil }
        return await withCheckedContinuation { continuation in
            if !mail.put(.explain(run, task: task) { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
        }
    }

    /// How tasks are scheduled from here on, where this node leads.
    package func schedule(_ settings: SchedulingSettings) { mail.force(.scheduling(settings)) }

    /// Finishes what has been taken in, then ends the thread.
    package func stop() {
        mail.close()
        thread.withLock { $0 }?.join()
    }

    /// Writes a snapshot at no more than 64 MiB/s, then drops the log that it stands for. Nil when it went well.
    func writeSnapshot(of state: CoordinatorState) -> StorageError? {
        do throws(StorageError) {
            let span = telemetry.clock.now
            try history.sync()
            let pieces = StateCodec.pieces(of: state)
            let written = try raft.save(index: state.applied, digest: state.digest, featureLevel: state.featureLevel) {
                guard let piece = pieces() else { return nil }
                pause(milliseconds: piece.count / (64 << 10))
                return piece
            }
            guard let written else { return nil }
            metrics.snapshots.increment()
            telemetry.events.emit(
                "raft.snapshot", subject: telemetry.node.text,
                "snapshot at index \(state.applied): \(written) bytes in \(telemetry.clock.now.duration(since: span).milliseconds) ms"
            )
            return nil
        } catch {
            telemetry.events.emit("raft.snapshot", subject: telemetry.node.text, severity: .error, error.description)
            return error
        }
    }

    /// Counts, and tells people what they want to hear of.
    func tell(_ notice: Planner.Notice, _ index: LogIndex) {
        func origin(_ run: WorkflowRun) -> Event.Origin {
            Event.Origin(namespace: run.namespace, index: index, isEcho: run.message.isEvent)
        }
        switch notice {
        case .runEnded(let run):
            metrics.runsFinished[run.state]?.increment()
            metrics.runDuration.observe((run.endedAt ?? run.createdAt).duration(since: run.createdAt))
            recordSpan(of: run)
            guard run.state != .succeeded else { return }
            telemetry.events.emit(
                "run.\(run.state.rawValue)", subject: run.id.description, severity: .error,
                "run of \(run.workflow) \(run.state.rawValue): \(run.error?.message ?? "")", data: ["workflow": .string(run.workflow)],
                origin: origin(run))
        case .runStarted: metrics.runsStarted.increment()
        case .taskFailed(let run, let task, let attempt, let error, let willRetry):
            metrics.taskFailures.increment()
            telemetry.events.emit(
                "task.failed", subject: "\(run.id).\(task)", severity: willRetry ? .warning : .error,
                "attempt \(attempt) of \(task) failed\(willRetry ? ", will be tried again" : ""): \(error.message)", data: error.value,
                origin: origin(run))
        case .taskUnknown(let run, let task, let attempt):
            telemetry.events.emit(
                "task.unknown", subject: "\(run.id).\(task)", severity: .error,
                "the worker was lost in the middle of attempt \(attempt) of \(task); say what became of it with 'distric tasks resolve'",
                origin: origin(run))
        case .taskStarted(let latency): metrics.startLatency.observe(latency)
        case .catalogChanged(let version):
            telemetry.events.emit(
                "catalog.changed", subject: String(version), "catalog version \(version) is in force", origin: Event.Origin(index: index))
        }
    }

    private func recordSpan(of run: WorkflowRun) {
        guard let trace = run.trace, let own = run.spanContext else { return }
        telemetry.spans.finish(
            Span(
                context: own, parent: trace.span, name: "run \(run.workflow)", service: "coordinator", node: telemetry.node,
                start: run.createdAt, duration: (run.endedAt ?? run.createdAt).duration(since: run.createdAt),
                error: run.state == .succeeded ? nil : run.error?.message ?? run.state.rawValue,
                attributes: Fields([.init("run", .string(run.id.description)), .init("state", .string(run.state.rawValue))])))
    }
}
