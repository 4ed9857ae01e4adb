import AsyncHTTPClient
package import Cluster
import NIOCore
package import Observability
package import Primitives
package import Storage
import Synchronization
import Text
package import Wire

/// A worker: takes assignments up to its capacity, runs each under its deadline, journals what must outlive a crash, and reports until the
/// coordinator has the report in its log.
package final class TaskRunner: WorkerLink {
    struct State {
        /// Taken, and maybe not begun yet.
        var admitted: [Journal.Key: TaskAssignment] = [:]
        /// Told to end, with how.
        var calledBack: [Journal.Key: AttemptOutcome] = [:]
        var running: [Journal.Key: AsyncStream<AttemptOutcome>.Continuation] = [:]
        /// Reports that no coordinator has committed yet.
        var unreported: [Journal.Key: TaskReport] = [:]
        /// Of those, what was never taken, with the word why.
        var refused: [Journal.Key: String] = [:]
        var usedSlots = 0
        var isSettled = false
        var isCordoned = false
        var isDraining = false
        var term = Term(0)
        /// An operator wants it empty.
        var drain: Drain?
        /// Rises with whatever the leader should hear of soon.
        var standing: UInt64 = 0
    }

    package let node: NodeID
    package let settings: WorkerSettings
    let folder: String
    let telemetry: Telemetry
    let disk: any Disk
    private let journal: Journal
    let logs: AttemptLogs
    private let client: HTTPClient
    private let handlers: [String: any TaskHandler]
    let state = Mutex(State())
    /// Attempts that the journal's file has something of.
    private let journaled = Mutex<Set<Journal.Key>>([])
    private let sink = Mutex<(any ReportSink)?>(nil)
    private let assignments: AsyncStream<TaskAssignment>
    private let feed: AsyncStream<TaskAssignment>.Continuation
    private let started: Counter
    private let durations: Histogram
    private let refusals: Counter
    let givenBack: Counter
    private let staleTerms: Counter

    package init(node: NodeID, folder: String, disk: any Disk, settings: WorkerSettings, telemetry: Telemetry) throws(StorageError) {
        self.node = node
        self.settings = settings
        self.folder = folder
        self.telemetry = telemetry
        self.disk = disk
        let isNew = !disk.exists(folder + "/attempts")
        removeTree(folder + "/attempts")
        try disk.makeFolder(folder + "/attempts")
        journal = try Journal(disk: disk, path: folder + "/journal", isNew: isNew)
        logs = AttemptLogs(folder: folder + "/logs", maximumBytes: settings.logBytes, keptRuns: settings.loggedRuns)
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(10)
        // A refused connection is the task's own retry policy's business.
        configuration.connectionPool.retryConnectionEstablishment = false
        // A task has its span, and URLs hold what no trace should.
        configuration.tracing.tracer = nil
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        handlers = [
            "exec@1": ExecTask(settings: settings, node: node, folder: folder + "/attempts"),
            "http@1": HTTPTask(settings: settings, node: node, client: client),
        ]
        // Bounded by `assign`, which refuses beyond the capacity.
        (assignments, feed) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(settings.capacity.slots + 1))
        started = telemetry.metrics.counter("distric_task_attempts_started_total", "Attempts that this worker began.")
        durations = telemetry.metrics.histogram("distric_task_attempt_duration_seconds", "Time that an attempt took on this worker.")
        refusals = telemetry.metrics.counter("distric_assignments_refused_total", "Assignments beyond this worker's capacity.")
        staleTerms = telemetry.metrics.counter(
            "distric_worker_stale_terms_total", "Orders of leaders that were succeeded, which this worker did not follow.")
        givenBack = telemetry.metrics.counter(
            "distric_worker_attempts_given_back_total", "Attempts that this worker ended and gave back, since it was to be empty.")
        let isCordoned = disk.exists(cordonPath)
        state.withLock { $0.isCordoned = isCordoned }
    }

    package var capacity: WorkerCapacity { settings.capacity }
    package var labels: [String] { settings.labels }
    /// What it can do.
    package var kinds: [String] { (handlers.keys + ["transform@1"]).sorted() }

    package func connect(_ sink: any ReportSink) { self.sink.withLock { $0 = sink } }

    /// Runs attempts until the surrounding task is cancelled; then ends those that run.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.repeatReports() }
            for await assignment in assignments { group.addTask { await self.attempt(assignment) } }
            group.cancelAll()
        }
        try? await client.shutdown()
        journal.close()
    }

    // MARK: WorkerLink

    package func assign(_ list: [TaskAssignment]) {
        var reports: [TaskReport] = []
        for assignment in list {
            if assignment.kind == "transform@1" {
                reports.append(transform(assignment))
            } else if !admit(assignment) {
                refusals.increment()
            }
        }
        report(reports)
    }

    private func admit(_ assignment: TaskAssignment) -> Bool {
        let key = Journal.Key(assignment)
        let refusal = state.withLock { state -> String? in
            if state.isDraining || state.drain != nil { return "draining" }
            guard state.usedSlots < settings.capacity.slots else { return "no_slots" }
            state.usedSlots += 1
            state.admitted[key] = assignment
            return nil
        }
        if refusal == nil {
            if case .enqueued = feed.yield(assignment) { return true }
            state.withLock { state in
                state.usedSlots -= 1
                state.admitted[key] = nil
            }
        }
        state.withLock { $0.refused[key] = refusal ?? "draining" }
        report([result(assignment, .neverStarted, since: telemetry.clock.wall)])
        return false
    }

    package func cancel(_ held: HeldAssignment) { end(Journal.Key(held), as: .cancelled) }

    /// Ends an attempt, also one that has not begun.
    func end(_ key: Journal.Key, as outcome: AttemptOutcome) {
        let running = state.withLock { state -> AsyncStream<AttemptOutcome>.Continuation? in
            guard state.admitted[key] != nil else { return nil }
            if state.calledBack[key] == nil { state.calledBack[key] = outcome }
            return state.running[key]
        }
        running?.yield(outcome)
    }

    package func committed(_ reports: [TaskReport]) {
        let (removed, isSettled) = state.withLock { state in
            let removed = reports.filter { state.unreported.removeValue(forKey: Journal.Key($0)) != nil }
            for report in removed { state.refused[Journal.Key(report)] = nil }
            guard !journal.isWhole, !state.isSettled, !removed.isEmpty, state.unreported.isEmpty else { return (removed, false) }
            state.isSettled = true
            return (removed, true)
        }
        // Everything that a torn journal could not tell of is in the log by now.
        if isSettled { journal.settled() }
        let forgotten =
            removed
            .filter { isJournaled($0) }
        guard !forgotten.isEmpty else { return }
        journal.forgotten(forgotten.map { HeldAssignment(run: $0.run, task: $0.task, attempt: $0.attempt, fence: $0.fence) })
    }

    private func isJournaled(_ report: TaskReport) -> Bool { journaled.withLock { $0.remove(Journal.Key(report)) != nil } }

    /// The latest in which a leader has said what is with this worker.
    package var latestTerm: Term { state.withLock { $0.term } }

    /// Whether what a leader of a term says is to be followed; it is the latest then. The list of one that was succeeded lacks what its successor has assigned.
    package func follows(_ term: Term) -> Bool {
        let latest = state.withLock { state in
            defer { state.term = max(state.term, term) }
            return state.term
        }
        guard term < latest else { return true }
        staleTerms.increment()
        telemetry.warn(
            "worker", "an order of a leader that was succeeded: not followed",
            ["term": term.description, "latest": latest.description])
        return false
    }

    package func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport] {
        guard follows(term) else { return [] }
        if !journal.isWhole {
            telemetry.events.emit(
                "worker.journal_damaged", subject: folder + "/journal", severity: .warning,
                "a part of the worker's journal cannot be read; attempts that it should tell of are taken as lost, none as never started")
        }
        let (running, unreported) = state.withLock { (Set($0.running.keys).union($0.admitted.keys), $0.unreported) }
        let now = telemetry.clock.wall
        let reports: [TaskReport] = held.compactMap { item in
            let key = Journal.Key(item)
            if running.contains(key) { return nil }
            if let report = unreported[key] ?? journal.ended[key] { return report }
            let outcome: AttemptOutcome = journal.begun.contains(key) || !journal.isWhole ? .lost : .neverStarted
            return TaskReport(
                run: item.run, task: item.task, attempt: item.attempt, fence: item.fence, outcome: outcome, startedAt: now, endedAt: now)
        }
        let known = Set(held.map { Journal.Key($0) })
        // The log has them with nobody, or with somebody else by now.
        for key in running.subtracting(known) { end(key, as: .cancelled) }
        let stale = journal.begun.union(journal.ended.keys).subtracting(known)
        if !stale.isEmpty { journal.forgotten(stale.map { HeldAssignment(run: $0.run, task: $0.task, attempt: 0, fence: $0.fence) }) }
        journaled.withLock { $0.formUnion(reports.map { Journal.Key($0) }) }
        state.withLock { state in for report in reports { state.unreported[Journal.Key(report)] = report } }
        return reports
    }

    package func log(run: RunID, task: String, attempt: Int) -> [UInt8]? { logs.read(run: run, task: task, attempt: attempt) }

    package func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) {
        logs.tail(run: run, task: task, attempt: attempt, bytes: bytes)
    }

    // MARK: Attempts

    /// `transform@1`: the planner has resolved its value, so that there is nothing left to do but give it back.
    private func transform(_ assignment: TaskAssignment) -> TaskReport {
        started.increment()
        return result(assignment, .succeeded(assignment.input["value"] ?? .null), since: telemetry.clock.wall)
    }

    private func attempt(_ assignment: TaskAssignment) async {
        let key = Journal.Key(assignment)
        let (signal, canceller) = AsyncStream.makeStream(of: AttemptOutcome.self, bufferingPolicy: .bufferingOldest(1))
        let calledBack = state.withLock { state in
            state.running[key] = canceller
            return state.calledBack[key]
        }
        if let calledBack { canceller.yield(calledBack) }
        let began = telemetry.clock.now
        let wall = telemetry.clock.wall
        let span = telemetry.spans.begin("task \(assignment.task)", service: "worker", in: assignment.trace)
        var assignment = assignment
        assignment.trace = span?.context ?? assignment.trace
        let log = AttemptLog(limit: settings.logBytes)
        let outcome = await journaledOutcome(assignment, log, signal)
        durations.observe(telemetry.clock.now.duration(since: began))
        telemetry.spans.end(span, error: outcome.problem, ["kind": .string(assignment.kind), "attempt": Value(assignment.attempt)])
        if let problem = outcome.problem { note(assignment, problem) }
        logs.write(log.bytes, run: assignment.run, task: assignment.task, attempt: assignment.attempt)
        let report = result(assignment, outcome, since: wall)
        if Task.isCancelled, case .cancelled = outcome {
            // The node stops in the middle: nobody asked for the end, so the next start says what became of it.
            state.withLock { state in
                state.usedSlots -= 1
                state.admitted[key] = nil
                state.calledBack[key] = nil
            }
            return
        }
        journaled.withLock { _ = $0.insert(key) }
        journal.finished(report)
        state.withLock { state in
            // In one go: whoever asks meanwhile finds it as one or the other.
            state.unreported[key] = report
            state.running[key] = nil
            state.admitted[key] = nil
            state.calledBack[key] = nil
            state.usedSlots -= 1
            state.drain?.note(outcome)
        }
        self.report([report])
    }

    /// A line for an attempt that did not succeed; its trace leads to it.
    private func note(_ assignment: TaskAssignment, _ problem: String) {
        telemetry.warn(
            "worker", "attempt failed: \(problem)",
            [
                "run": assignment.run.description, "task": assignment.task, "attempt": String(assignment.attempt), "kind": assignment.kind,
                "traceId": assignment.trace?.traceID ?? "",
            ])
    }

    private func journaledOutcome(_ assignment: TaskAssignment, _ log: AttemptLog, _ signal: AsyncStream<AttemptOutcome>) async
        -> AttemptOutcome
    {
        guard let handler = handlers[assignment.kind] else {
            return .failed(TaskError(type: "unknown_kind", message: "worker \(node) has no handler for \(assignment.kind)"))
        }
        if assignment.journalsStart {
            let held = HeldAssignment(run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence)
            guard await journal.started(held) else {
                return .failed(TaskError(type: "worker_io", message: "the worker's journal cannot be written; nothing was started"))
            }
        }
        // Told to end before it began: what has not begun does not begin any more.
        if let outcome = state.withLock({ $0.calledBack[Journal.Key(assignment)] }) { return outcome }
        started.increment()
        return await bounded(assignment, log, signal, handler)
    }

    /// The handler beside its deadline and its cancellation: whichever comes first ends the others.
    private func bounded(
        _ assignment: TaskAssignment, _ log: AttemptLog, _ signal: AsyncStream<AttemptOutcome>, _ handler: any TaskHandler
    ) async -> AttemptOutcome {
        await withTaskGroup(of: AttemptOutcome?.self) { group in
            group.addTask { await handler.run(assignment, log: log) }
            group.addTask {
                guard (try? await Task.sleep(for: assignment.timeout)) != nil else { return nil }
                return .timedOut(
                    TaskError(type: "timeout", message: "attempt \(assignment.attempt) took longer than \(assignment.timeout.text)"))
            }
            group.addTask {
                for await outcome in signal { return outcome }
                return nil
            }
            var first: AttemptOutcome?
            for await outcome in group where first == nil {
                guard let outcome else { continue }
                first = outcome
                group.cancelAll()
            }
            return first ?? .cancelled
        }
    }

    private func result(_ assignment: TaskAssignment, _ outcome: AttemptOutcome, since start: ClusterTime) -> TaskReport {
        TaskReport(
            run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: outcome,
            startedAt: start,
            endedAt: telemetry.clock.wall)
    }

    // MARK: Reports

    private func report(_ reports: [TaskReport]) {
        guard !reports.isEmpty else { return }
        state.withLock { state in for report in reports { state.unreported[Journal.Key(report)] = report } }
        sink.withLock { $0 }?.deliver(reports)
    }

    /// A report that is not committed after a while is sent again; the coordinator knows it by its fence.
    private func repeatReports() async {
        var before: Set<Journal.Key> = []
        while (try? await Task.sleep(for: .seconds(5))) != nil {
            let open = state.withLock { $0.unreported }
            let late = open.filter { before.contains($0.key) }.map(\.value)
            if !late.isEmpty { sink.withLock { $0 }?.deliver(late.sorted { $0.fence < $1.fence }) }
            before = Set(open.keys)
        }
    }

    /// Takes nothing more, and waits for what runs, up to `grace`.
    package func drain(for grace: Duration) async {
        state.withLock { state in
            state.isDraining = true
            state.standing += 1
        }
        let end = telemetry.clock.now.advanced(by: grace)
        while state.withLock({ $0.usedSlots > 0 }), telemetry.clock.now < end {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
        await endTheRest()
        // What has ended is to be known, if there is somebody to tell.
        let last = telemetry.clock.now.advanced(by: Self.lastWords)
        while waitingReportCount > 0, telemetry.clock.now < last {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    private static let lastWords = Duration.seconds(1)

    /// Takes no more work.
    package func stop() { feed.finish() }
}

extension AttemptOutcome {
    fileprivate var problem: String? {
        switch self {
        case .succeeded: nil
        case .failed(let error), .timedOut(let error): error.message
        case .cancelled: "cancelled"
        case .lost: "lost"
        case .neverStarted: "never started"
        }
    }
}
