import Cluster
import Observability
import Primitives
import Storage
import Synchronization
import Wire
import Workflows

/// What the planner's thread does. A node that follows applies what is committed; one that leads plans: its state is ahead of the log by what it has proposed, and
/// whatever it causes waits for the log. Confined to its thread.
final class LoopThread: @unchecked Sendable {
    enum Mode: Equatable {
        case following
        /// It leads as soon as everything up to this entry is applied.
        case takingOver(Term, through: LogIndex)
        case leading(Term)
    }

    struct Pending {
        var index: LogIndex
        var proposal: Planner.Proposal
        var proposedAt: Instant
    }

    /// What a planner is made of.
    struct Plan: Sendable {
        var seed: UInt64
        var environment: [String: String]
        var limits: Planner.Limits
        var scheduling: SchedulingSettings
        /// What every voter says that its program knows.
        var announced: @Sendable () -> [NodeID: UInt16]
    }

    let loop: CoordinatorLoop
    var plan: Plan
    let applier: ReplicaApplier
    var generator: SeededGenerator
    var mode = Mode.following
    var planner: Planner?
    var clock: ClusterClock
    var workers: [NodeID: any WorkerLink] = [:]
    /// In which term each has last said what became of its attempts.
    var reconciled: [NodeID: Term] = [:]
    /// The term that was taken over last.
    var takenOver: Term?
    var committed: LogIndex
    var pending: [Pending] = []
    var waiting = Planner.Output()
    var batches: [Int: (batch: CoordinatorLoop.Batch, slot: Int)] = [:]
    var nextToken = 1
    /// What is planned in this turn and whose trace is recorded.
    private var traced: [(token: Int, trace: ProposalTrace)] = []
    /// What came while this node was about to lead; bounded like the mailbox.
    var held: [CoordinatorLoop.Mail] = []
    var isSnapshotting = false
    var wantsSnapshot = false
    private static let rest = Duration.seconds(10)
    /// Milliseconds by which a follower's state may be behind what it knows to be committed.
    private static let breath = 2
    /// Workers in other processes that the log has something with, and that have not come to this leader yet.
    var awaited: Set<NodeID> = []
    /// Workers that empty themselves, and have not been seen to be empty.
    var emptying: Set<NodeID> = []
    /// When it was last looked who is silent.
    var lookedAt: Instant?
    /// The last snapshot that was begun.
    var tried: (index: LogIndex, hasFailed: Bool, at: Instant)?
    var failed: StorageError?
    /// A new leader takes every lease as renewed: time strikes only once a worker has said what became of its attempts, or has had the chance to.
    var timersFrom: Instant
    var timersFire = true
    /// The first thing that a leader of a cluster that has nothing in its log does is to put its level there.
    var beginsLevel = false

    init(loop: CoordinatorLoop, applier: sending ReplicaApplier, plan: Plan) {
        self.loop = loop
        self.plan = plan
        self.applier = applier
        generator = SeededGenerator(seed: plan.seed)
        committed = applier.state.applied
        clock = ClusterClock(wall: loop.telemetry.clock.wall, now: loop.telemetry.clock.now)
        timersFrom = loop.telemetry.clock.now
    }

    func run() {
        while let mail = loop.mail.take(timeout: timeout()) {
            turn(mail)
            if restsAfter(mail) { pause(milliseconds: Self.breath) }
        }
        giveUp()
        refuse("the node is stopping")
    }

    /// A follower that nobody waits for applies what comes within a moment in one go: being woken costs more than applying an entry.
    private func restsAfter(_ mail: [CoordinatorLoop.Mail]) -> Bool {
        guard mode == .following, pending.isEmpty, !loop.isAwaited else { return false }
        return mail.allSatisfy { if case .committed = $0 { true } else { false } }
    }

    private func timeout() -> Duration? {
        if !held.isEmpty, failed == nil { return .milliseconds(10) }
        // What more room has opened is tried by pieces.
        if failed == nil, planner?.scheduler.owesRetries == true { return .milliseconds(1) }
        guard failed == nil, timersFire, let next = planner?.nextTimer() else { return .seconds(1) }
        return min(.seconds(1), max(.milliseconds(1), next.duration(since: loop.telemetry.clock.wall)))
    }

    private func turn(_ mail: [CoordinatorLoop.Mail]) {
        var work: [CoordinatorLoop.Mail] = []
        for item in mail { take(item, &work) }
        guard failed == nil else {
            // As often as it takes: who leads and cannot plan stops the cluster.
            if loop.raft.leader == loop.raft.node { loop.raft.handOver() }
            return
        }
        catchUp()
        let wall = loop.telemetry.clock.wall
        let now = loop.telemetry.clock.now
        let (jump, firesTimers) = clock.read(wall: wall, now: now)
        if let jump { announce(jump) }
        timersFire = firesTimers && now >= timersFrom && !loop.holdsTimers.load(ordering: .relaxed)
        propose(work, wall)
        settle()
        publishDepths()
        snapshotIfWanted()
    }

    // MARK: What comes

    private func take(_ mail: CoordinatorLoop.Mail, _ work: inout [CoordinatorLoop.Mail]) {
        switch mail {
        case .requests(let requests, let batch):
            if let failed {
                for slot in requests.indices { batch.answer(slot, .busy(trouble(failed))) }
            } else {
                work.append(mail)
            }
        case .reports: work.append(mail)
        case .join(let worker):
            workers[worker.node] = worker
            reconciled[worker.node] = nil
            work.append(mail)
        case .worker(let news): if note(news) { work.append(mail) }
        case .probe(let answer): answer()
        case .explain(let run, let task, let answer): answer(planner?.scheduler.blocked(run: run, task: task))
        case .scheduling(let settings): reschedule(settings)
        case .committed(let index): committed = max(committed, index)
        case .restored: restore()
        case .role(.leads(let term, let index)):
            // One that stands still would lead and never plan.
            guard failed == nil else { return loop.raft.handOver() }
            leave()
            mode = .takingOver(term, through: index)
        case .role(.follows): leave()
        case .failed(let error): fail(error)
        case .snapshot: wantsSnapshot = true
        case .snapshotDone(let error):
            isSnapshotting = false
            tried?.hasFailed = error != nil
            loop.telemetry.health.set("snapshot", error == nil ? .up : .degraded, reason: error?.description ?? "")
        }
    }

    private func input(_ request: CoordinatorLoop.Request, _ token: Int) -> Planner.Input {
        switch request {
        case .submit(let submission): .submit(submission, token: token)
        case .activate(let catalog, let records, let removed): .activate(catalog, records: records, removed: removed, token: token)
        case .resolve(let run, let task, let verdict): .resolve(run, task: task, verdict, token: token)
        case .cancel(let run, let reason): .cancel(run, reason: reason, token: token)
        case .retry(let run, let trace): .retry(run, trace: trace, token: token)
        case .raiseFeatureLevel(let level, let announced): .raiseFeatureLevel(to: level, announced: announced, token: token)
        case .freeze(let change): .freeze(change, token: token)
        }
    }

    private func inputs(_ work: [CoordinatorLoop.Mail]) -> [Planner.Input] {
        var inputs: [Planner.Input] = []
        // Many workers come at once after an election.
        var leased: [NodeID: [HeldAssignment]]?
        for mail in work {
            switch mail {
            case .requests(let requests, let batch):
                for (slot, request) in requests.enumerated() {
                    batches[nextToken] = (batch, slot)
                    if case .submit(let submission) = request, let trace = submission.trace { traced.append((nextToken, trace)) }
                    inputs.append(input(request, nextToken))
                    nextToken += 1
                }
            case .reports(let reports): inputs += reports.map { .report($0) }
            case .join(let worker):
                if leased == nil { leased = planner?.leasedByWorker() ?? [:] }
                join(worker, leased?[worker.node] ?? [], &inputs)
            case .worker(let news): inputs += input(news)
            default: break
            }
        }
        return inputs
    }

    // MARK: Planning

    private func propose(_ work: [CoordinatorLoop.Mail], _ wall: ClusterTime) {
        guard case .leading(let term) = mode else { return hold(work) }
        let (firstToken, work) = (nextToken, held + work)
        held = []
        traced.removeAll(keepingCapacity: true)
        var inputs = inputs(work)
        inputs += lost()
        if beginsLevel { inputs.insert(.raiseFeatureLevel(to: nil, announced: plan.announced(), token: nil), at: 0) }
        beginsLevel = false
        guard let output = planner?.handle(inputs, wall: wall, firesTimers: timersFire) else { return }
        guard !output.proposals.isEmpty else { return take(output) }
        let first = output.proposals[0].index
        if !traced.isEmpty { loop.raft.proposals.take(traced, at: output.answers.map { ($0.index, $0.token) }, from: first) }
        let outcome = loop.raft.propose(output.proposals.map(\.payload), at: first, term: term)
        if outcome != .taken, !traced.isEmpty { loop.raft.proposals.drop(from: first) }
        switch outcome {
        case .taken: take(output)
        case .stopped: fail(.closed)
        case .moved(let next): again(work, firstToken, term, through: LogIndex(next.number - 1))
        case .refused: again(work, firstToken, term, through: pending.last?.index ?? loop.current.state.applied)
        }
    }

    private func take(_ output: Planner.Output) {
        let now = loop.telemetry.clock.now
        pending += output.proposals.map { Pending(index: $0.index, proposal: $0, proposedAt: now) }
        waiting.answers += output.answers
        waiting.dispatches += output.dispatches
        waiting.cancels += output.cancels
        waiting.acknowledged += output.acknowledged
        waiting.notices += output.notices
    }

    /// Nothing of what was planned in this turn was taken: the plan is thrown away, and what came is planned anew from what the log has then.
    private func again(_ work: [CoordinatorLoop.Mail], _ firstToken: Int, _ term: Term, through index: LogIndex) {
        for token in firstToken..<nextToken { batches[token] = nil }
        planner = nil
        mode = .takingOver(term, through: index)
        hold(work)
    }

    private func hold(_ work: [CoordinatorLoop.Mail]) {
        for mail in work {
            switch (mail, mode) {
            case (.join, _): break
            case (_, .takingOver) where held.count < CoordinatorLoop.mailLimit: held.append(mail)
            case (.requests(let requests, let batch), _):
                let text =
                    mode == .following
                    ? loop.notLeading : "too many requests wait while this node takes over as leader; try again in a second"
                for slot in requests.indices { batch.answer(slot, .busy(text)) }
            // Its worker keeps them until somebody has them in the log.
            default: break
            }
        }
    }

    /// What was held back is answered: this node does not plan any more.
    func giveUp() {
        mode = .following
        let left = held
        held = []
        hold(left)
    }

    // MARK: The end, and snapshots

    func fail(_ error: StorageError) {
        guard failed == nil else { return }
        failed = error
        loop.leads.store(false, ordering: .releasing)
        loop.failure.withLock { $0 = error }
        loop.raft.proposals.abandon("\(error)")
        refuse("\(trouble(error)); whether this was kept is not known: send it again under the same id")
        giveUp()
        loop.raft.handOver()
    }

    private func trouble(_ error: StorageError) -> String {
        applier.standstill.map { "this node applies no more: \($0)" } ?? "the log cannot be written: \(error)"
    }

    /// A replica that can apply no more answers what it has, with the reason.
    func standStill() {
        applier.standstill?.announce(loop.telemetry)
        loop.standing.withLock { $0 = applier.standstill?.description }
    }

    func refuse(_ text: String) {
        for (batch, slot) in batches.values { batch.answer(slot, .uncertain(text)) }
        batches.removeAll()
    }

    private func announce(_ jump: Duration) {
        let text = "the wall clock jumped by \(jump.milliseconds) ms against CLOCK_BOOTTIME; timers hold for 10 minutes"
        loop.telemetry.events.emit("clock.jump", subject: loop.telemetry.node.text, severity: .warning, text)
        loop.telemetry.health.set("clock", .degraded, reason: text)
    }

    private func snapshotIfWanted() {
        guard !isSnapshotting, wantsSnapshot || loop.raft.wantsSnapshot else { return }
        let (state, now) = (loop.current.state, loop.telemetry.clock.now)
        guard state.applied > .zero else { return }
        // One that gave nothing new is not tried again at once, nor is one that failed.
        if !wantsSnapshot, let tried, tried.index == state.applied || tried.hasFailed && now.duration(since: tried.at) < Self.rest {
            return
        }
        (isSnapshotting, wantsSnapshot) = (true, false)
        tried = (state.applied, false, now)
        let loop = loop
        _ = NamedThread("snapshot") { loop.mail.force(.snapshotDone(loop.writeSnapshot(of: state))) }
    }
}
