import CEL
import Cluster
package import Observability
package import Primitives
import Rules
import Synchronization
import Text
import Workflows

/// The door for messages: matches each where it arrives against the catalog in force, begins its runs, and has all of it made durable.
package final class Intake: Sendable {
    package enum Verdict: Equatable, Sendable {
        /// Durable, with its runs (none when the matched rules only observe).
        case accepted(catalogVersion: UInt64, matched: [String], runs: [RunID], isDuplicate: Bool)
        /// No rule of this catalog version holds for it; nothing was kept.
        case unmatched(catalogVersion: UInt64)
        /// Nothing was kept; try again.
        case busy(String)
        /// Whether it was kept is not known: sent again under the same id it is kept once.
        case uncertain(String)
    }

    /// Messages that no rule matched, the newest kept for explanations.
    package static let unmatchedKept = 1024
    private static let rematchLimit = 100
    private static let takeOverTries = 200

    private let loop: CoordinatorLoop
    private let telemetry: Telemetry
    private let metrics: CoordinatorMetrics
    private let environment: [String: String]
    private let generator: Mutex<SeededGenerator>
    private let unmatched = Mutex<[Message]>([])
    /// What each rule was asked and answered.
    package let statistics: RuleStatistics
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

    package init(loop: CoordinatorLoop, telemetry: Telemetry, metrics: CoordinatorMetrics, environment: [String: String], seed: UInt64) {
        self.loop = loop
        self.telemetry = telemetry
        self.metrics = metrics
        self.environment = environment
        generator = Mutex(SeededGenerator(seed: seed))
        statistics = RuleStatistics(telemetry.metrics)
    }

    /// Called once a second: what rates of rules are computed from.
    package func sample() {
        let catalog = loop.catalog
        if sampledCatalog.exchange(catalog.version, ordering: .relaxed) != catalog.version { statistics.keep(catalog.ruleSets) }
        statistics.sample()
    }

    package func newID() -> UUIDv7 { generator.withLock { UUIDv7(at: telemetry.clock.wall, using: &$0) } }

    package var recentUnmatched: [Message] { unmatched.withLock { $0 } }

    /// One verdict a message, in order; each is final before this returns. A message that comes alone belongs to its request's trace; each
    /// message of a batch has a trace of its own.
    package func submit(_ messages: [Message], trace: TraceContext?) async -> [Verdict] {
        metrics.received.increment(by: messages.count)
        if let why = refusing() ?? loop.current.state.frozen.intakeRefusal {
            metrics.refused.increment(by: messages.count)
            return [Verdict](repeating: .busy(why), count: messages.count)
        }
        guard await leads() else {
            metrics.refused.increment(by: messages.count)
            return [Verdict](repeating: .busy(loop.notLeading), count: messages.count)
        }
        let roots = messages.count == 1 ? [] : messages.map { begin($0) }
        let traces = messages.count == 1 ? [trace] : roots.map { $0?.context }
        var verdicts = [Verdict](repeating: .busy("the catalog keeps changing"), count: messages.count)
        var open = Array(messages.indices)
        for attempt in 0..<Self.rematchLimit where !open.isEmpty {
            if attempt > 0 { try? await Task.sleep(for: .milliseconds(5)) }
            open = await round(messages, open, traces, &verdicts)
            let again = await unconfirmed(&verdicts)
            open = open + again
        }
        for root in roots { telemetry.spans.end(root) }
        count(verdicts)
        return verdicts
    }

    /// Whether this node plans; one that was elected just now is waited for until it does.
    private func leads() async -> Bool {
        for _ in 0..<Self.takeOverTries {
            if loop.isLeading { return true }
            guard loop.raft.leader == loop.raft.node, (try? await Task.sleep(for: .milliseconds(5))) != nil else { return false }
        }
        return loop.isLeading
    }

    /// That no rule holds is said only by who certainly still leads, and by the catalog that is certainly in force (thesis section 6.4): what another leader has put
    /// into force is not overlooked. Those that have to be matched again.
    private func unconfirmed(_ verdicts: inout [Verdict]) async -> [Int] {
        let places = verdicts.indices.filter { if case .unmatched = verdicts[$0] { true } else { false } }
        guard !places.isEmpty, !loop.raft.isAlone else { return [] }
        guard let index = try? await loop.raft.readIndex(), await loop.waitApplied(index, timeout: .seconds(2)) else {
            for place in places { verdicts[place] = .busy("no majority has confirmed that this node leads; send it again") }
            return []
        }
        let version = loop.catalog.version
        return places.filter { verdicts[$0] != .unmatched(catalogVersion: version) }
    }

    /// Whether a rule in force holds for a message; nothing is counted.
    func isWanted(_ message: Message) -> Bool {
        loop.catalog.rules.sets(in: message.namespace).contains { !$0.matches(message).isEmpty }
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

    /// Matches and proposes; returns the messages whose catalog changed meanwhile.
    private func round(_ messages: [Message], _ open: [Int], _ traces: [TraceContext?], _ verdicts: inout [Verdict]) async -> [Int] {
        let catalog = loop.catalog
        var places: [Int] = []
        var submissions: [Planner.Submission] = []
        for place in open {
            let matches = match(messages[place], catalog, traces[place])
            guard !matches.isEmpty else {
                keep(messages[place])
                verdicts[place] = .unmatched(catalogVersion: catalog.version)
                continue
            }
            places.append(place)
            submissions.append(
                Planner.Submission(
                    message: messages[place], catalogVersion: catalog.version, matched: matches.map(\.name),
                    runs: runs(of: messages[place], matches, catalog, traces[place])))
        }
        let spans = places.map { telemetry.spans.begin("raft.propose", service: "coordinator", in: traces[$0]) }
        for (number, span) in spans.enumerated() { submissions[number].trace = span.flatMap { ProposalTrace($0) } }
        let answers = await loop.ask(submissions.map { .submit($0) })
        for span in spans { telemetry.spans.end(span) }
        var again: [Int] = []
        for (number, answer) in answers.enumerated() {
            switch answer {
            case .accepted(let runs, let isDuplicate):
                verdicts[places[number]] = .accepted(
                    catalogVersion: catalog.version, matched: submissions[number].matched, runs: runs, isDuplicate: isDuplicate)
            case .rematch: again.append(places[number])
            case .uncertain(let why): verdicts[places[number]] = .uncertain(why)
            case .busy(let why), .conflict(let why), .notFound(let why): verdicts[places[number]] = .busy(why)
            case .activated, .done, .started: verdicts[places[number]] = .busy("unexpected answer")
            }
        }
        return again
    }

    private func match(_ message: Message, _ catalog: Catalog, _ trace: TraceContext?) -> [RuleCatalog.Match] {
        let span = telemetry.spans.begin("rules.match", service: "coordinator", in: trace)
        let began = telemetry.clock.now
        let matches = match(message, catalog)
        metrics.evaluation.observe(telemetry.clock.now.duration(since: began))
        telemetry.spans.end(span, ["matched": Value(matches.count)])
        return matches
    }

    /// Set by set, counted for each rule; one message of sixteen is timed.
    private func match(_ message: Message, _ catalog: Catalog) -> [RuleCatalog.Match] {
        var found: [RuleCatalog.Match] = []
        let isTimed = statistics.isTimed()
        for set in catalog.rules.sets(in: message.namespace) {
            let began = isTimed ? telemetry.clock.now : nil
            let places = set.matches(message)
            statistics.note(
                set, namespace: message.namespace, matched: places, at: telemetry.clock.wall,
                took: began.map { telemetry.clock.now.duration(since: $0) })
            for place in places { found.append(set.match(at: place)) }
        }
        return found
    }

    private func runs(of message: Message, _ matches: [RuleCatalog.Match], _ catalog: Catalog, _ trace: TraceContext?) -> [WorkflowRun] {
        var runs: [WorkflowRun] = []
        // A run that begins is not older than the log: where cluster time is ahead of this clock, its deadlines would be over before they began.
        let wall = max(telemetry.clock.wall, loop.view.withLock { $0.state.time })
        for match in matches {
            for action in match.actions {
                guard let workflow = catalog.workflow(action.workflow, in: message.namespace) else { continue }
                let (id, seed) = generator.withLock { (UUIDv7(at: wall, using: &$0), $0.next()) }
                runs.append(begin(id, workflow, action, match.name, message, trace, wall, seed))
            }
        }
        return runs
    }

    /// A run whose parameters cannot be made begins as cancelled, with the reason: it is recorded, not lost.
    private func begin(
        _ id: RunID, _ workflow: Catalog.Workflow, _ action: Rule.Action, _ rule: String, _ message: Message, _ trace: TraceContext?,
        _ wall: ClusterTime,
        _ seed: UInt64
    ) -> WorkflowRun {
        var params: Value?
        var problem: String?
        if let template = action.params {
            do throws(Template.Problem) { params = try template.resolve(in: MessageScope(message)) } catch {
                statistics.noteError(rule, namespace: message.namespace)
                problem = "params\(error.pointer) of rule \(rule): \(error.error)"
            }
        }
        var run = WorkflowRun(
            id: id, definition: workflow.definition, definitionVersion: workflow.version, rule: rule, message: message, params: params,
            timeout: action.timeout, retriesLeft: action.retry, retryOf: nil, trace: trace, now: wall)
        var context = WorkflowRun.Context(
            definition: workflow.definition, now: wall, generator: SeededGenerator(seed: seed), environment: environment)
        _ = run.handle(problem.map { .cancel(reason: $0) } ?? .start, &context)
        return run
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
            case .busy, .uncertain: metrics.refused.increment()
            }
        }
    }
}
