import Cluster
import Observability
package import Primitives
import Rules
import Synchronization
import Wire
import Workflows

/// The door for messages, on every coordinator: matches each where it arrives against the catalog in force, begins its runs, and has all of it made durable by whoever leads.
package final class Intake: Sendable {
    package enum Verdict: Equatable, Sendable {
        /// Durable, with its runs (none when the matched rules only observe).
        case accepted(catalogVersion: UInt64, matched: [String], runs: [RunID], isDuplicate: Bool)
        /// No rule of this catalog version holds for it; nothing was kept.
        case unmatched(catalogVersion: UInt64)
        /// Nothing was kept; try again.
        case busy(String)
        /// Nothing was kept: as many runs are open as may be, and some have to end first.
        case full(String)
        /// Whether it was kept is not known: sent again under the same id it is kept once.
        case uncertain(String)
    }

    /// What has become of one message so far.
    struct Progress {
        var verdict: Verdict?
        /// Why it was not answered by the leader that was asked last.
        var why = "the catalog keeps changing; send it again"
        /// Some leader may have it.
        var isUncertain = false
        /// What that leader was asked to begin: if it is in the log, that is no duplicate.
        var asked: [(runs: [RunID], matched: [String])] = []
    }

    /// Messages that no rule matched, the newest kept for explanations.
    package static let unmatchedKept = 1024
    /// For as long as a message's leader is looked for.
    package static let patience = Duration.seconds(10)
    private static let takeOverTries = 200

    let loop: CoordinatorLoop
    let telemetry: Telemetry
    let metrics: CoordinatorMetrics
    let environment: [String: String]
    let generator: Mutex<SeededGenerator>
    private let unmatched = Mutex<[Message]>([])
    /// What each rule was asked and answered.
    package let statistics: RuleStatistics
    /// Bounds what is in it.
    package let gate: IntakeGate
    /// To the leader, where that is another node.
    package let forwarder: IntakeForwarder
    private let reads: ReadRounds
    private let openRuns: Int
    private let sampledCatalog = Atomic<UInt64>(0)
    /// A closure that lies in a lock by itself is wrapped once more each time that it is looked at.
    private struct Door: Sendable {
        var refusal: @Sendable () -> String? = { nil }
    }

    private let door = Mutex(Door())

    /// Asked before anything else: why no message is taken now, for whoever sent it; nil while they are taken.
    package var refusing: @Sendable () -> String? {
        get { door.withLock { $0.refusal } }
        set { door.withLock { $0.refusal = newValue } }
    }

    /// - Parameter openRuns: beyond so many nothing that would begin one is taken.
    init(
        loop: CoordinatorLoop, forwarder: IntakeForwarder, telemetry: Telemetry, metrics: CoordinatorMetrics, environment: [String: String],
        limits: IntakeLoad.Limits, openRuns: Int, seed: UInt64
    ) {
        (self.loop, self.forwarder, self.telemetry, self.metrics) = (loop, forwarder, telemetry, metrics)
        (self.environment, self.openRuns) = (environment, openRuns)
        generator = Mutex(SeededGenerator(seed: seed))
        statistics = RuleStatistics(telemetry.metrics)
        gate = IntakeGate(limits, telemetry: telemetry)
        reads = ReadRounds(loop.raft, telemetry.metrics)
    }

    /// Whether what becomes of a message is found in some microseconds: rules are looked at one after the other.
    package var matchesSoon: Bool { loop.catalog.ruleCount <= 64 }

    /// Called once a second: what rates of rules are computed from.
    package func sample() {
        let catalog = loop.catalog
        if sampledCatalog.exchange(catalog.version, ordering: .relaxed) != catalog.version { statistics.keep(catalog.ruleSets) }
        statistics.sample()
        gate.sample()
    }

    package func newID() -> UUIDv7 { generator.withLock { UUIDv7(at: telemetry.clock.wall, using: &$0) } }

    package var recentUnmatched: [Message] { unmatched.withLock { $0 } }

    /// One verdict a message, in order; each is final before this returns. A message that comes alone belongs to its request's trace; each
    /// message of a batch has a trace of its own.
    ///
    /// - Parameter patience: for how long a leader is looked for that answers; a change of leaders is gone through.
    package func submit(
        _ messages: [Message], trace: TraceContext?, within patience: Duration = Intake.patience
    ) async -> [Verdict] {
        guard !messages.isEmpty else { return [] }
        metrics.received.increment(by: messages.count)
        let ticket: IntakeLoad.Ticket
        switch enter(messages) {
        case .success(let found): ticket = found
        case .failure(let shed):
            metrics.refused.increment(by: messages.count)
            return [Verdict](repeating: .busy(shed.text), count: messages.count)
        }
        let deadline = telemetry.clock.now.advanced(by: patience)
        let roots = messages.count == 1 ? [] : messages.map { begin($0) }
        let traces = messages.count == 1 ? [trace] : roots.map { $0?.context }
        let verdicts = await settle(messages, traces, until: deadline)
        for root in roots { telemetry.spans.end(root) }
        count(verdicts)
        gate.leave(ticket, answered: verdicts.count { !$0.isRefusal })
        return verdicts
    }

    private func enter(_ messages: [Message]) -> Result<IntakeLoad.Ticket, IntakeGate.Shed> {
        // What is passed on is kept by the leader, which asks for itself.
        let isPassedOn = loop.raft.leader.map { $0 != loop.raft.node } ?? false
        if let why = isPassedOn ? frozen : refusal { return .failure(IntakeGate.Shed(text: why)) }
        return gate.enter(messages.count, bytes: messages.reduce(0) { $0 + $1.bytes })
    }

    private func settle(_ messages: [Message], _ traces: [TraceContext?], until deadline: Instant) async -> [Verdict] {
        var progress = [Progress](repeating: Progress(), count: messages.count)
        while true {
            let pause = await round(messages, traces, &progress, until: deadline)
            let isLate = telemetry.clock.now >= deadline
            guard progress.contains(where: { $0.verdict == nil }), !isLate, (try? await Task.sleep(for: pause)) != nil else { break }
        }
        return progress.map { $0.verdict ?? ($0.isUncertain ? .uncertain($0.why) : .busy($0.why)) }
    }

    /// Why this node, where it leads, takes no messages.
    var refusal: String? { refusing() ?? frozen }
    /// Of the whole cluster, as far as this node has applied it.
    private var frozen: String? { loop.view.withLock { $0.state.frozen.intakeRefusal } }

    /// Whether this node plans; one that was elected just now is waited for until it does.
    func leads() async -> Bool {
        for _ in 0..<Self.takeOverTries {
            if loop.isLeading { return true }
            guard loop.raft.leader == loop.raft.node, (try? await Task.sleep(for: .milliseconds(5))) != nil else { return false }
        }
        return loop.isLeading
    }

    /// A message that no request brought: it has a trace of its own.
    func submit(own message: Message) async -> Verdict {
        let root = begin(message)
        let verdict = await submit([message], trace: root?.context)[0]
        telemetry.spans.end(root)
        return verdict
    }

    private func begin(_ message: Message) -> OpenSpan? {
        telemetry.spans.begin(
            "message \(message.type)", service: "coordinator", in: telemetry.spans.context(traceparent: nil, tracestate: nil))
    }

    // MARK: One round

    /// Matches what is open and asks whoever leads; returns how long to wait before what is still open is done again.
    private func round(
        _ messages: [Message], _ traces: [TraceContext?], _ progress: inout [Progress], until deadline: Instant
    ) async -> Duration {
        let catalog = loop.catalog
        let standing = loop.openRuns
        var (places, unmatched): ([Int], [Int]) = ([], [])
        var submissions: [Planner.Submission] = []
        for place in messages.indices where progress[place].verdict == nil {
            let matches = match(messages[place], catalog, traces[place])
            guard !matches.isEmpty else {
                unmatched.append(place)
                continue
            }
            // Before a run is made, which takes memory; the leader counts again.
            if standing >= openRuns, matches.contains(where: { !$0.actions.isEmpty }), !isKnown(messages[place], progress[place]) {
                progress[place].verdict = .full(Planner.tooMany(standing, openRuns))
                continue
            }
            places.append(place)
            submissions.append(
                Planner.Submission(
                    message: messages[place], catalogVersion: catalog.version, matched: matches.map(\.name),
                    runs: runs(of: messages[place], matches, catalog, traces[place])))
        }
        var pause = Duration.milliseconds(5)
        if !submissions.isEmpty {
            let outcomes = await ask(submissions, places.map { traces[$0] }, until: deadline)
            var awaited: UInt64 = 0
            for (number, outcome) in outcomes.enumerated() {
                note(outcome, of: submissions[number], &progress[places[number]], &pause, &awaited)
            }
            if awaited > catalog.version { await waitCatalog(awaited, until: deadline) }
        }
        if !unmatched.isEmpty, await !confirm(unmatched, messages, catalog.version, &progress) { pause = .milliseconds(25) }
        return pause
    }

    /// Asks the planner here, or the leader elsewhere.
    private func ask(
        _ submissions: [Planner.Submission], _ traces: [TraceContext?], until deadline: Instant
    ) async -> [IntakeForwarder.Outcome] {
        guard await leads() else {
            guard loop.raft.leader != nil, loop.raft.leader != loop.raft.node else {
                return submissions.map { _ in .unanswered("no coordinator leads; send it again in a second", isUncertain: false) }
            }
            return await forwarder.forward(submissions, traces, until: deadline)
        }
        var submissions = submissions
        let spans = traces.map { telemetry.spans.begin("raft.propose", service: "coordinator", in: $0) }
        for (number, span) in spans.enumerated() { submissions[number].trace = span.flatMap { ProposalTrace($0) } }
        let answers = await loop.ask(submissions.map { .submit($0) })
        for span in spans { telemetry.spans.end(span) }
        let hasMoved = !loop.isLeading && loop.storageFailure == nil && !loop.raft.isAlone
        return answers.map { answer in
            switch answer {
            case .busy(let why) where hasMoved: .unanswered(why, isUncertain: false)
            case .uncertain(let why) where hasMoved: .unanswered(why, isUncertain: true)
            case .accepted, .rematch, .busy, .full, .uncertain, .activated, .done, .started, .notFound, .conflict: .answered(answer)
            }
        }
    }

    private func note(
        _ outcome: IntakeForwarder.Outcome, of submission: Planner.Submission, _ progress: inout Progress, _ pause: inout Duration,
        _ awaited: inout UInt64
    ) {
        switch outcome {
        case .unanswered(let why, let isUncertain):
            progress.why = why
            pause = .milliseconds(25)
            guard isUncertain else { return }
            progress.isUncertain = true
            progress.asked.append((submission.runs.map(\.id), submission.matched))
        case .answered(.accepted(let runs, let isDuplicate)):
            // The leader before may have put it into the log, and not have lived to say so.
            let all = progress.asked + [(submission.runs.map(\.id), submission.matched)]
            let own = runs.isEmpty || !isDuplicate ? nil : all.first { $0.runs == runs }
            progress.verdict = .accepted(
                catalogVersion: submission.catalogVersion, matched: own?.matched ?? submission.matched, runs: runs,
                isDuplicate: isDuplicate && own == nil)
        case .answered(.rematch(let version)): awaited = max(awaited, version)
        case .answered(.full(let why)): progress.verdict = .full(why)
        case .answered(.uncertain(let why)):
            (progress.isUncertain, progress.why) = (true, why)
            progress.asked.append((submission.runs.map(\.id), submission.matched))
            if loop.raft.isAlone || loop.storageFailure != nil { progress.verdict = .uncertain(why) }
        case .answered(.busy(let why)), .answered(.conflict(let why)), .answered(.notFound(let why)):
            progress.verdict = progress.isUncertain ? .uncertain(why) : .busy(why)
        case .answered(.activated), .answered(.done), .answered(.started): progress.verdict = .busy("unexpected answer")
        }
    }

    /// Whether it is in the log already, or may be: then nothing is begun of it.
    private func isKnown(_ message: Message, _ progress: Progress) -> Bool {
        guard !progress.isUncertain else { return true }
        let state = loop.current.state
        return state.dedup.runs(of: DedupWindow.key(message, cluster: state.cluster)) != nil
    }

    /// The leader has a later catalog than this node has applied: it comes with the log.
    private func waitCatalog(_ version: UInt64, until deadline: Instant) async {
        while loop.catalog.version < version, telemetry.clock.now < deadline, (try? await Task.sleep(for: .milliseconds(5))) != nil {}
    }

    // MARK: No rule

    /// That no rule holds is said only when a majority has confirmed, after the message came, which catalog is in force (thesis section 6.4): what another leader has put
    /// into force is not overlooked. What was accepted before, under the same id, is not unmatched either. False when nobody has confirmed it.
    private func confirm(_ places: [Int], _ messages: [Message], _ version: UInt64, _ progress: inout [Progress]) async -> Bool {
        if !loop.raft.isAlone {
            guard let index = await reads.index(), await loop.waitApplied(index, timeout: .seconds(2)) else {
                for place in places {
                    progress[place].why = "no majority of the coordinators has confirmed which rules are in force; send it again"
                }
                return false
            }
        }
        let view = loop.current
        for place in places {
            if let runs = view.state.dedup.runs(of: DedupWindow.key(messages[place], cluster: view.state.cluster)) {
                let own = runs.isEmpty ? nil : progress[place].asked.first { $0.runs == runs }
                progress[place].verdict = .accepted(
                    catalogVersion: view.catalog.version, matched: own?.matched ?? [], runs: runs, isDuplicate: own == nil)
            } else if view.catalog.version == version {
                progress[place].verdict = .unmatched(catalogVersion: version)
                keep(messages[place])
            }
        }
        return true
    }

    private func keep(_ message: Message) {
        unmatched.withLock { kept in
            if kept.count >= Self.unmatchedKept { kept.removeFirst(Self.unmatchedKept / 8) }
            kept.append(message)
        }
    }

    private func count(_ verdicts: [Verdict]) {
        for verdict in verdicts {
            switch verdict {
            case .accepted(_, _, let runs, let isDuplicate):
                isDuplicate ? metrics.duplicates.increment() : metrics.accepted.increment()
                if !isDuplicate { metrics.runsStarted.increment(by: runs.count) }
            case .unmatched: metrics.unmatched.increment()
            case .full(let why):
                gate.noteFull(why)
                metrics.refused.increment()
            case .busy, .uncertain: metrics.refused.increment()
            }
        }
    }
}

extension Intake.Verdict {
    /// Nothing was kept, or it is not known.
    package var isRefusal: Bool {
        switch self {
        case .accepted, .unmatched: false
        case .busy, .full, .uncertain: true
        }
    }
}
