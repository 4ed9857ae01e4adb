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
    }

    /// Requests that wait for one answer each; resumed when the last has its own.
    private final class Batch: Sendable {
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

    private enum Mail: Sendable {
        case requests([Request], Batch)
        case reports([TaskReport])
        case join(any WorkerLink)
        case committed(LogIndex)
        case failed(StorageError)
        case snapshotDone(StorageError?)
        case probe(@Sendable () -> Void)
    }

    /// What is committed, for readers.
    package struct View: Sendable {
        package var state: CoordinatorState
        package var catalog: Catalog
    }

    /// Requests that may wait at the door; beyond it they are refused as busy.
    package static let mailLimit = 16_384

    private let raft: RaftDriver
    private let history: HistoryStore
    private let telemetry: Telemetry
    private let metrics: CoordinatorMetrics
    private let mail = Mailbox<Mail>(limit: mailLimit)
    private let view: Mutex<View>
    private let failure = Mutex<StorageError?>(nil)
    private let thread = Mutex<NamedThread?>(nil)
    private let depths = Mutex<(queued: Int, running: Int, oldest: ClusterTime?)>((0, 0, nil))

    package init(view: View, raft: RaftDriver, history: HistoryStore, telemetry: Telemetry, metrics: CoordinatorMetrics) {
        self.raft = raft
        self.history = history
        self.telemetry = telemetry
        self.metrics = metrics
        self.view = Mutex(view)
    }

    /// The committed state and the catalog in force.
    package var current: View { view.withLock { $0 } }
    package var catalog: Catalog { view.withLock { $0.catalog } }
    package var storageFailure: StorageError? { failure.withLock { $0 } }
    /// Tasks queued and running, and since when the oldest waits.
    package var queue: (queued: Int, running: Int, oldest: ClusterTime?) { depths.withLock { $0 } }

    package func run(planner: sending Planner) {
        let worker = LoopThread(planner: planner, loop: self)
        thread.withLock { $0 = NamedThread("planner") { worker.run() } }
    }

    /// Asks and waits for every answer; refused at once when the door is full.
    package func ask(_ requests: [Request]) async -> [Planner.Answer] {
        guard !requests.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let batch = Batch(count: requests.count, continuation: continuation)
            guard !mail.put(.requests(requests, batch)) else { return }
            for slot in requests.indices { batch.answer(slot, .busy("too many requests wait; try again in a second")) }
        }
    }

    package func deliver(_ reports: [TaskReport]) { mail.force(.reports(reports)) }
    package func join(_ worker: any WorkerLink) { mail.force(.join(worker)) }
    package func didCommit(_ index: LogIndex) { mail.force(.committed(index)) }
    package func didFail(_ error: StorageError) { mail.force(.failed(error)) }

    /// Answers when the thread gets round to it: for whoever watches.
    package func probe(_ answer: @escaping @Sendable () -> Void) { mail.force(.probe(answer)) }

    /// Finishes what has been taken in, then ends the thread.
    package func stop() {
        mail.close()
        thread.withLock { $0 }?.join()
    }

    /// The thread's own: nobody else has a reference.
    private final class LoopThread: @unchecked Sendable {
        private struct Pending {
            var index: LogIndex
            var proposal: Planner.Proposal
            var proposedAt: Instant
        }

        private var planner: Planner
        private let loop: CoordinatorLoop
        private var clock: ClusterClock
        private var workers: [NodeID: any WorkerLink] = [:]
        private var committed: LogIndex
        private var pending: [Pending] = []
        private var waiting = Planner.Output()
        private var batches: [Int: (batch: Batch, slot: Int)] = [:]
        private var nextToken = 1
        private var isSnapshotting = false
        private var failed: StorageError?
        /// A new leader takes every lease as renewed: time strikes only once a worker has said what became of its attempts, or has had the chance to.
        private var timersFrom: Instant
        private var timersFire = true

        init(planner: Planner, loop: CoordinatorLoop) {
            self.planner = planner
            self.loop = loop
            committed = planner.state.applied
            clock = ClusterClock(wall: loop.telemetry.clock.wall, now: loop.telemetry.clock.now)
            timersFrom = loop.telemetry.clock.now.advanced(by: .seconds(5))
        }

        func run() {
            while let mail = loop.mail.take(timeout: timeout()) { turn(mail) }
            for (batch, slot) in batches.values { batch.answer(slot, .busy("the node is stopping")) }
        }

        private func timeout() -> Duration? {
            guard failed == nil, timersFire, let next = planner.nextTimer() else { return .seconds(1) }
            return min(.seconds(1), max(.milliseconds(1), next.duration(since: loop.telemetry.clock.wall)))
        }

        private func turn(_ mail: [Mail]) {
            var inputs: [Planner.Input] = []
            for item in mail { take(item, &inputs) }
            guard failed == nil else { return }
            let wall = loop.telemetry.clock.wall
            let now = loop.telemetry.clock.now
            let (jump, firesTimers) = clock.read(wall: wall, now: now)
            if let jump { announce(jump) }
            timersFire = firesTimers && now >= timersFrom
            propose(planner.handle(inputs, wall: wall, firesTimers: timersFire))
            settle()
            publishDepths()
            snapshotIfWanted()
        }

        private func take(_ mail: Mail, _ inputs: inout [Planner.Input]) {
            switch mail {
            case .requests(let requests, let batch):
                for (slot, request) in requests.enumerated() { take(request, batch, slot, &inputs) }
            case .reports(let reports): inputs += reports.map { .report($0) }
            case .join(let worker): join(worker, &inputs)
            case .probe(let answer): answer()
            case .committed(let index): committed = max(committed, index)
            case .failed(let error): fail(error)
            case .snapshotDone(let error):
                isSnapshotting = false
                if let error { loop.telemetry.health.set("snapshot", .degraded, reason: error.description) }
            }
        }

        private func take(_ request: Request, _ batch: Batch, _ slot: Int, _ inputs: inout [Planner.Input]) {
            if let failed { return batch.answer(slot, .busy("the log cannot be written: \(failed)")) }
            let token = nextToken
            nextToken += 1
            batches[token] = (batch, slot)
            switch request {
            case .submit(let submission): inputs.append(.submit(submission, token: token))
            case .activate(let catalog, let records, let removed):
                inputs.append(.activate(catalog, records: records, removed: removed, token: token))
            case .resolve(let run, let task, let verdict): inputs.append(.resolve(run, task: task, verdict, token: token))
            case .cancel(let run, let reason): inputs.append(.cancel(run, reason: reason, token: token))
            case .retry(let run, let trace): inputs.append(.retry(run, trace: trace, token: token))
            }
        }

        private func join(_ worker: any WorkerLink, _ inputs: inout [Planner.Input]) {
            workers[worker.node] = worker
            timersFrom = loop.telemetry.clock.now
            inputs.append(.join(worker.node, slots: worker.capacity.slots, light: worker.capacity.light))
            let held = planner.leased(to: worker.node)
            inputs += worker.reconcile(held).map { .report($0) }
        }

        private func propose(_ output: Planner.Output) {
            let now = loop.telemetry.clock.now
            if !output.proposals.isEmpty {
                let first = loop.raft.propose(output.proposals.map(\.payload))
                guard first == output.proposals[0].index else { return fail(.closed) }
                pending += output.proposals.map { Pending(index: $0.index, proposal: $0, proposedAt: now) }
            }
            waiting.answers += output.answers
            waiting.dispatches += output.dispatches
            waiting.cancels += output.cancels
            waiting.acknowledged += output.acknowledged
            waiting.notices += output.notices
        }

        /// Lets go of everything whose entry is committed.
        private func settle() {
            let done = pending.prefix { $0.index <= committed }
            // What is committed is answered as such, also when the history cannot take it: the log brings it again.
            var problem: StorageError?
            if let last = done.last { problem = publish(done, last) }
            defer { if let problem { fail(problem) } }
            pending.removeFirst(done.count)
            for (_, token, answer) in Self.released(&waiting.answers, committed, \.index) { release(token, answer) }
            var assignments: [NodeID: [TaskAssignment]] = [:]
            for item in Self.released(&waiting.dispatches, committed, \.index) {
                assignments[item.worker, default: []].append(item.assignment)
            }
            for (node, group) in assignments { workers[node]?.assign(group) }
            for item in Self.released(&waiting.cancels, committed, \.index) {
                workers[item.worker]?.cancel(item.held)
            }
            acknowledge(Self.released(&waiting.acknowledged, committed, \.index))
            for (index, notice) in Self.released(&waiting.notices, committed, \.index) { loop.tell(notice, index) }
        }

        private static func released<T>(_ items: inout [T], _ committed: LogIndex, _ index: (T) -> LogIndex) -> [T] {
            let count = items.firstIndex { index($0) > committed } ?? items.count
            defer { items.removeFirst(count) }
            return Array(items.prefix(count))
        }

        private func publish(_ done: ArraySlice<Pending>, _ last: Pending) -> StorageError? {
            var problem: StorageError?
            let now = loop.telemetry.clock.now
            do throws(StorageError) {
                for item in done {
                    loop.metrics.commitLatency.observe(now.duration(since: item.proposedAt))
                    try loop.history.append(item.proposal.history, index: item.index, time: item.proposal.state.time)
                }
                try loop.history.flush()
            } catch {
                problem = error
            }
            let catalog = done.last { $0.proposal.catalog != nil }?.proposal.catalog
            loop.view.withLock { view in
                view.state = last.proposal.state
                if let catalog { view.catalog = catalog }
            }
            return problem
        }

        private func release(_ token: Int, _ answer: Planner.Answer) {
            guard let (batch, slot) = batches.removeValue(forKey: token) else { return }
            batch.answer(slot, answer)
        }

        private func acknowledge(_ items: [(index: LogIndex, report: TaskReport, isFresh: Bool)]) {
            guard !items.isEmpty else { return }
            for item in items where !item.isFresh { loop.metrics.staleReports.increment() }
            let reports = items.map(\.report)
            for worker in workers.values { worker.committed(reports) }
        }

        private func publishDepths() {
            let depths = (planner.ready.count, planner.placement.runningTasks, planner.ready.oldest)
            loop.depths.withLock { $0 = depths }
            loop.metrics.queueDepth.set(depths.0)
            loop.metrics.tasksRunning.set(depths.1)
            loop.metrics.openRuns.set(planner.state.runs.count)
        }

        private func fail(_ error: StorageError) {
            guard failed == nil else { return }
            failed = error
            loop.failure.withLock { $0 = error }
            let text = "the log cannot be written, and whether this was kept is not known: send it again under the same id (\(error))"
            for (batch, slot) in batches.values { batch.answer(slot, .busy(text)) }
            batches.removeAll()
        }

        private func announce(_ jump: Duration) {
            let text = "the wall clock jumped by \(jump.milliseconds) ms against CLOCK_BOOTTIME; timers hold for 10 minutes"
            loop.telemetry.events.emit("clock.jump", subject: loop.telemetry.node.text, severity: .warning, text)
            loop.telemetry.health.set("clock", .degraded, reason: text)
        }

        private func snapshotIfWanted() {
            guard !isSnapshotting, loop.raft.wantsSnapshot else { return }
            isSnapshotting = true
            let state = loop.current.state
            let loop = loop
            _ = NamedThread("snapshot") { loop.mail.force(.snapshotDone(loop.writeSnapshot(of: state))) }
        }
    }

    /// Writes a snapshot at no more than 64 MiB/s, then drops the log that it stands for. Nil when it went well.
    private func writeSnapshot(of state: CoordinatorState) -> StorageError? {
        do throws(StorageError) {
            let span = telemetry.clock.now
            try history.sync()
            let pieces = StateCodec.pieces(of: state)
            let position = SegmentedLog.Position(index: state.applied, term: state.appliedTerm, chain: 0)
            let manifest = SnapshotStore.Manifest(position: position, digest: state.digest, featureLevel: CommandCodec.featureLevel)
            let written = try raft.snapshots.write(manifest) {
                guard let piece = pieces() else { return nil }
                pause(milliseconds: piece.count / (64 << 10))
                return piece
            }
            raft.didTakeSnapshot(through: state.applied, bytes: written.bytes)
            metrics.snapshots.increment()
            telemetry.events.emit(
                "raft.snapshot", subject: telemetry.node.text,
                "snapshot at index \(state.applied): \(written.bytes) bytes in \(telemetry.clock.now.duration(since: span).milliseconds) ms"
            )
            return nil
        } catch {
            telemetry.events.emit("raft.snapshot", subject: telemetry.node.text, severity: .error, error.description)
            return error
        }
    }

    /// Counts, and tells people what they want to hear of.
    private func tell(_ notice: Planner.Notice, _ index: LogIndex) {
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
