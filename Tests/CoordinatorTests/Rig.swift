import Coordinator
import HashTreeCollections
import Primitives
import Rules
import Testing
import Wire
import Workflows

/// A planner with its clock, its chance and its log around it.
struct Rig {
    static let cluster = UUIDv7(high: 0xC1, low: 0x57E2)

    /// Messages start the workflow of their type: `order` pays (not to be done twice), then ships; `note` only writes; `fragile` may be
    /// tried again, and its rule lets a failed run be followed by two more; `pause` rests for 90 s.
    static let definitions: [String] = [
        ruleSetText(
            "[\(ruleText("order", starts: "order")), \(ruleText("note", starts: "note")), \(ruleText("pause", starts: "pause")), "
                + "\(ruleText("fragile", starts: "fragile", more: #", "retry": 2"#))]"),
        workflowText(
            "order",
            #"""
            {"pay": {"use": "exec", "with": {"command": ["pay"]}},
             "ship": {"depends_on": ["pay"], "use": "transform", "with": {"value": "${{ tasks.pay.output }}"}}}
            """#),
        workflowText("note", #"{"write": {"use": "transform", "with": {"value": "${{ input.data.n }}"}}}"#),
        workflowText("fragile", #"{"try": {"use": "exec", "with": {"command": ["try"]}, "idempotent": true, "timeout": "5s"}}"#),
        workflowText("pause", #"{"rest": {"use": "wait", "with": {"duration": "90s"}}}"#),
    ]

    let worker: NodeID
    var planner: Planner
    var wall = ClusterTime(milliseconds: 1_700_000_000_000)
    private(set) var log: [Planner.Proposal] = []
    private var generator = SeededGenerator(seed: 11)
    private var tokens = 0

    init(
        limits: Planner.Limits = Planner.Limits(), definitions: [String] = Rig.definitions, slots: Int = 4, light: Int = 8,
        level: UInt16 = FeatureLevels.unspoken
    ) throws {
        worker = try NodeID("w-1")
        planner = Planner(
            term: Term(1), state: CoordinatorState(cluster: Self.cluster), catalog: .empty, seed: 5, wall: wall, limits: limits)
        if level > FeatureLevels.unspoken { handle([.raiseFeatureLevel(to: level, announced: [worker: level], token: token())]) }
        try activate(definitions)
        handle([.join(worker, slots: slots, light: light)])
    }

    @discardableResult
    mutating func handle(_ inputs: [Planner.Input], firesTimers: Bool = true) -> Planner.Output {
        let output = planner.handle(inputs, wall: wall, firesTimers: firesTimers)
        log += output.proposals
        return output
    }

    mutating func token() -> Int {
        tokens += 1
        return tokens
    }

    // MARK: Definitions

    @discardableResult
    mutating func activate(_ texts: [String], removing: [DefinitionKey] = []) throws -> Planner.Output {
        let input = try activation(texts, removing: removing)
        return handle([input])
    }

    mutating func activation(_ texts: [String], removing: [DefinitionKey] = []) throws -> Planner.Input {
        let (catalog, records) = try planner.catalog.adding(try parsed(texts), removing: removing, namespace: .default)
        return .activate(catalog, records: records, removed: removing, token: token())
    }

    // MARK: Messages

    func message(_ type: String, _ number: Int) -> Message {
        Message(id: "m-\(number)", source: "test", type: type, data: ["n": Value(number)])
    }

    /// What the intake makes of a message: matched against the catalog in force, with its runs begun.
    mutating func submission(_ message: Message) -> Planner.Submission {
        let catalog = planner.catalog
        let matches = catalog.rules.matches(message)
        var runs: [WorkflowRun] = []
        for match in matches {
            for action in match.actions {
                guard let workflow = catalog.workflow(action.workflow, in: message.namespace) else { continue }
                var run = WorkflowRun(
                    id: UUIDv7(at: wall, using: &generator), definition: workflow.definition, definitionVersion: workflow.version,
                    rule: match.name, message: message, params: nil, timeout: action.timeout, retriesLeft: action.retry, retryOf: nil,
                    trace: nil, now: wall)
                var context = WorkflowRun.Context(
                    definition: workflow.definition, now: wall, generator: SeededGenerator(seed: generator.next()))
                _ = run.handle(.start, &context)
                runs.append(run)
            }
        }
        return Planner.Submission(message: message, catalogVersion: catalog.version, matched: matches.map(\.name), runs: runs)
    }

    mutating func input(_ type: String, _ number: Int) -> Planner.Input {
        let made = submission(message(type, number))
        return .submit(made, token: token())
    }

    @discardableResult
    mutating func submit(_ type: String, _ number: Int = 1) -> Planner.Output {
        let made = input(type, number)
        return handle([made])
    }

    /// Submits a message and returns the first assignment that it caused.
    mutating func begin(_ type: String, _ number: Int = 1) throws -> TaskAssignment {
        let output = submit(type, number)
        return try #require(output.assignments.first, "no assignment for \(type)")
    }

    // MARK: Workers and time

    func report(_ assignment: TaskAssignment, _ outcome: AttemptOutcome) -> Planner.Input {
        .report(
            TaskReport(
                run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: outcome,
                startedAt: wall, endedAt: wall))
    }

    @discardableResult
    mutating func end(_ assignment: TaskAssignment, _ outcome: AttemptOutcome = .succeeded("done")) -> Planner.Output {
        let input = report(assignment, outcome)
        return handle([input])
    }

    @discardableResult
    mutating func pass(_ duration: Duration, firesTimers: Bool = true) -> Planner.Output {
        wall = wall.advanced(by: duration)
        return handle([], firesTimers: firesTimers)
    }

    // MARK: Looking

    var openRuns: Int { planner.state.runs.count }

    func run(_ id: RunID) -> WorkflowRun? { planner.state.runs[id]?.run }

    /// The states of an open run's tasks; empty when it is not open.
    func states(_ id: RunID) -> [TaskState] { run(id)?.tasks.map(\.state) ?? [] }

    /// The node dies and starts again with all of its log, under the next term and without its workers.
    mutating func restart(limits: Planner.Limits = Planner.Limits()) throws {
        let state = try replayed(log)
        let (catalog, _) = Catalog.compile(state)
        planner = Planner(term: planner.term.next, state: state, catalog: catalog, seed: 6, wall: wall, limits: limits)
    }
}

extension Planner.Output {
    var assignments: [TaskAssignment] { dispatches.map { $0.assignment } }

    var firstAnswer: Planner.Answer? { answers.first?.answer }

    /// The runs of the first message that was accepted.
    var accepted: [RunID] {
        for item in answers { if case .accepted(let runs, _) = item.answer { return runs } }
        return []
    }

    /// The runs that ended.
    var ended: [WorkflowRun] {
        proposals.flatMap(\.history).compactMap { item -> WorkflowRun? in
            if case .run(let run) = item { return run }
            return nil
        }
    }
}

/// The state that a log gives: each entry decoded from its bytes and applied. Every entry is of term 1; the term is not in the digest.
func replayed(_ log: [Planner.Proposal], from start: CoordinatorState? = nil) throws -> CoordinatorState {
    var state = start ?? CoordinatorState(cluster: Rig.cluster)
    for proposal in log where proposal.index > state.applied {
        let (time, commands) = try CommandCodec.decode(proposal.payload)
        state.begin(proposal.index, term: Term(1), time: time)
        var applied = Applied()
        for command in commands { try state.apply(command, into: &applied) }
    }
    return state
}

/// The commands of entries, in order.
func commands(_ proposals: [Planner.Proposal]) throws -> [Command] {
    try proposals.flatMap { proposal in try CommandCodec.decode(proposal.payload).commands }
}
