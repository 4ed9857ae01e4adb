import CEL
import Observability
import Primitives
import Rules
import Synchronization
import Text
import Workflows

/// Which rules hold for a message, and the runs that they begin.
extension Intake {
    /// Whether a rule in force holds for a message; nothing is counted.
    func isWanted(_ message: Message) -> Bool {
        loop.catalog.rules.sets(in: message.namespace).contains { !$0.matches(message).isEmpty }
    }

    func match(_ message: Message, _ catalog: Catalog, _ trace: TraceContext?) -> [RuleCatalog.Match] {
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

    func runs(of message: Message, _ matches: [RuleCatalog.Match], _ catalog: Catalog, _ trace: TraceContext?) -> [WorkflowRun] {
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
}
