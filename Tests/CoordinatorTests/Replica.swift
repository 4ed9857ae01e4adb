import HashTreeCollections
import Primitives
import Testing
import Workflows

@testable import Coordinator

/// A state with commands applied to it one entry at a time.
struct Replica {
    var state: CoordinatorState
    var time = ClusterTime(milliseconds: 2_000_000)
    private(set) var history: [HistoryItem] = []

    init(dedup: DedupWindow = DedupWindow()) { state = CoordinatorState(cluster: Rig.cluster, dedup: dedup) }

    /// Applies one command as an entry of its own.
    @discardableResult
    mutating func apply(_ command: Command) throws -> CommandOutcome {
        state.begin(state.applied.next, term: Term(1), time: time)
        var applied = Applied()
        try state.apply(command, into: &applied)
        history += applied.history
        return try #require(applied.outcomes.first)
    }

    /// Puts definitions into force as the next version.
    @discardableResult
    mutating func activate(_ texts: [String], removed: [DefinitionKey] = []) throws -> CommandOutcome {
        let records = try texts.map { try record($0) }
        return try apply(.activate(Activate(expectedVersion: state.catalogVersion, upload: nil, definitions: records, removed: removed)))
    }

    /// The state with these definitions in force besides, whatever they hold.
    func with(_ records: [DefinitionRecord]) throws -> CoordinatorState {
        var copy = self
        try copy.apply(.activate(Activate(expectedVersion: state.catalogVersion, upload: nil, definitions: records, removed: [])))
        return copy.state
    }

    /// A run of the workflow in force, begun.
    func begun(_ name: String, _ number: UInt64, retriesLeft: Int = 0) throws -> WorkflowRun {
        let found = try #require(state.definitions[workflowKey(name)])
        let compiled = Catalog.workflow(found)
        let definition = try #require(compiled)
        let message = Message(id: "m-\(number)", source: "test", type: "t", data: ["n": Value(Int(number))])
        var run = WorkflowRun(
            id: RunID(high: 1, low: number), definition: definition, definitionVersion: found.version, rule: "rules/r", message: message,
            params: nil, timeout: nil, retriesLeft: retriesLeft, retryOf: nil, trace: nil, now: time)
        var context = WorkflowRun.Context(definition: definition, now: time, generator: SeededGenerator(seed: number))
        _ = run.handle(.start, &context)
        return run
    }

    func submit(_ runs: [WorkflowRun], message: Message) -> Command {
        .submit(Submit(message: message, catalogVersion: state.catalogVersion, matched: ["rules/r"], runs: runs))
    }

    /// Submits a message that starts this run.
    @discardableResult
    mutating func submit(_ run: WorkflowRun) throws -> CommandOutcome { try apply(submit([run], message: run.message)) }

    /// What a run becomes by an event, by its own definition.
    func stepped(_ run: WorkflowRun, _ event: WorkflowRun.Event) throws -> WorkflowRun {
        let found = try #require(state.definition(of: run))
        let compiled = Catalog.workflow(found)
        let definition = try #require(compiled)
        var next = run
        var context = WorkflowRun.Context(definition: definition, now: time, generator: SeededGenerator(seed: 1))
        _ = next.handle(event, &context)
        return next
    }

    /// Assigns a run's first task and lets it end.
    func ended(_ run: WorkflowRun, _ outcome: AttemptOutcome) throws -> WorkflowRun {
        let fence = Fence(term: Term(1), assignment: state.assignments + 1)
        let leased = try stepped(run, .assigned(task: 0, worker: try NodeID("w-1"), fence: fence))
        return try stepped(leased, .reported(task: 0, fence: fence, outcome, startedAt: time, endedAt: time))
    }
}
