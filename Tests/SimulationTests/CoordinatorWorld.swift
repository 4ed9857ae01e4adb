import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Text
import Wire
import Workflows

/// A coordinator with simulated workers: no thread, no disk, no clock. One seed decides everything.
struct CoordinatorWorld {
    /// An entry of the log and what the state was once it was applied.
    struct Logged {
        var index: LogIndex
        var term: Term
        var payload: [UInt8]
        var digest: StateDigest
    }

    enum Stuck: Error { case after(steps: Int, seed: UInt64) }

    static let definitions: [Value] = [
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "branch"],
            "tasks": [
                "first": ["use": "transform@1", "with": ["value": "${{ input.data.n }}"]],
                "big": ["use": "exec@1", "with": ["command": ["true"]], "depends_on": ["first"], "when": "${{ tasks.first.output > 3 }}"],
                "small": ["use": "transform@1", "with": ["value": "small"], "depends_on": ["big": "skipped"]],
                "join": ["use": "transform@1", "with": ["value": 1], "depends_on": ["big": "done", "small": "done"]],
            ],
        ],
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "retry"], "timeout": "10m",
            "tasks": [
                "flaky": [
                    "use": "exec@1", "with": ["command": ["true"]], "idempotent": true, "timeout": ["attempt": "5s", "total": "5m"],
                    "retry": ["limit": ["attempt": ["count": 4]], "delay": "100ms"],
                ],
                "rest": ["use": "wait@1", "with": ["duration": "2s"], "depends_on": ["flaky": "done"]],
            ],
        ],
        [
            "apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": "fan"],
            "tasks": [
                "a": ["use": "http@1", "with": ["url": "http://example.invalid"]],
                "b": ["use": "exec@1", "with": ["command": ["true"]], "on_lost": "fail"],
                "c": ["use": "transform@1", "with": ["value": "c"]],
                "all": [
                    "use": "transform@1", "with": ["value": "${{ tasks.c.output }}"],
                    "depends_on": ["a": "done", "b": "done", "c": "succeeded"],
                ],
            ],
        ],
    ]

    let seed: UInt64
    let cluster = UUIDv7(high: 1, low: 2)
    private(set) var planner: Planner
    private(set) var log: [Logged] = []
    private(set) var history: [HistoryItem] = []
    private(set) var catalog: Catalog
    private(set) var accepted: Set<RunID> = []
    private(set) var staleSuccesses = 0
    private var chance: SeededGenerator
    private var wall = ClusterTime(milliseconds: 1_000_000)
    private var term = Term(1)
    private var inFlight: [TaskAssignment] = []
    private var messages = 0
    private let worker: NodeID

    init(seed: UInt64) throws {
        self.seed = seed
        chance = SeededGenerator(seed: seed)
        worker = try NodeID("w-1")
        let (catalog, records) = try Catalog.empty.adding(Self.definitions, removing: [], namespace: .default)
        self.catalog = catalog
        planner = Planner(
            term: term, state: CoordinatorState(cluster: cluster), catalog: .empty, seed: seed, wall: wall, limits: Self.limits(seed))
        take([.join(worker, slots: 3, light: 4), .activate(catalog, records: records, removed: [], token: 0)])
    }

    /// Small entries and frequent digests for some seeds.
    private static func limits(_ seed: UInt64) -> Planner.Limits {
        var limits = Planner.Limits()
        if seed % 3 == 0 { limits.entryBytes = 600 }
        limits.digestEvery = seed % 2 == 0 ? 5 : 50
        return limits
    }

    private mutating func take(_ inputs: [Planner.Input]) {
        let output = planner.handle(inputs, wall: wall)
        for proposal in output.proposals {
            log.append(Logged(index: proposal.index, term: term, payload: proposal.payload, digest: proposal.state.digest))
            history += proposal.history
        }
        for item in output.answers { if case .accepted(let runs, false) = item.answer { accepted.formUnion(runs) } }
        inFlight += output.dispatches.map(\.assignment)
        for item in output.cancels { inFlight.removeAll { $0.fence == item.held.fence } }
    }

    /// One random event: a message, a report, time, or a restart.
    mutating func step() {
        wall = ClusterTime(milliseconds: wall.milliseconds + UInt64.random(in: 0...400, using: &chance))
        switch Int.random(in: 0..<10, using: &chance) {
        case 0..<3: submit()
        case 3..<8: report()
        case 8: take([])
        default: take(Bool.random(using: &chance) ? [.submit(submission(messages), token: 2)] : [])
        }
    }

    private mutating func submit() {
        messages += 1
        take([.submit(submission(messages), token: 1)])
    }

    /// The same number gives the same message again: a duplicate.
    private mutating func submission(_ number: Int) -> Planner.Submission {
        let message = Message(id: "m-\(number)", source: "/sim", type: "t", data: ["n": Value(number % 7)])
        let workflow = ["branch", "retry", "fan"][number % 3]
        return .begin(message, workflow: workflow, rule: "sim/rule", catalog: catalog, wall: wall, generator: &chance)
    }

    private mutating func report() {
        guard let place = inFlight.indices.randomElement(using: &chance) else { return take([]) }
        let assignment = inFlight[place]
        // Now and then a report comes twice.
        if Int.random(in: 0..<8, using: &chance) > 0 { inFlight.remove(at: place) }
        let outcome: AttemptOutcome =
            switch Int.random(in: 0..<10, using: &chance) {
            case 0..<6: .succeeded(["by": .string(assignment.fence.description)])
            case 6..<8: .failed(TaskError(type: "exit_code", message: "exit code 1", status: 1))
            case 8: .timedOut(TaskError(type: "timeout", message: "too slow"))
            default: .lost
            }
        take([.report(report(assignment, outcome))])
    }

    private func report(_ assignment: TaskAssignment, _ outcome: AttemptOutcome) -> TaskReport {
        TaskReport(
            run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: outcome,
            startedAt: wall,
            endedAt: wall)
    }

    /// The node dies: everything but the first `entries` of the log is gone, and the worker says what it knows of its attempts.
    mutating func crash(keeping entries: Int) throws {
        let state = try rebuilt(entries)
        log.removeLast(log.count - entries)
        term = term.next
        let (compiled, _) = Catalog.compile(state)
        planner = Planner(term: term, state: state, catalog: compiled, seed: chance.next(), wall: wall, limits: Self.limits(seed))
        catalog = compiled
        let known = inFlight
        inFlight.removeAll()
        let reports: [Planner.Input] = planner.leased(to: worker).map { held in
            let assignment = known.first { $0.fence == held.fence }
            let outcome: AttemptOutcome =
                switch Int.random(in: 0..<3, using: &chance) {
                case 0: .neverStarted
                case 1 where assignment != nil: .succeeded("journalled")
                default: .lost
                }
            return .report(
                TaskReport(
                    run: held.run, task: held.task, attempt: held.attempt, fence: held.fence, outcome: outcome, startedAt: wall,
                    endedAt: wall))
        }
        take([.join(worker, slots: 3, light: 4)] + reports)
    }

    /// The state that the first `entries` of the log give, by decoding and applying them.
    func rebuilt(_ entries: Int, from start: CoordinatorState? = nil) throws -> CoordinatorState {
        var state = start ?? CoordinatorState(cluster: cluster)
        for entry in log.prefix(entries) where entry.index > state.applied {
            let (time, commands) = try CommandCodec.decode(entry.payload)
            state.begin(entry.index, term: entry.term, time: time)
            var applied = Applied()
            for command in commands { try state.apply(command, into: &applied) }
        }
        return state
    }

    /// No more messages: reports and time until nothing is open but what an operator must resolve.
    mutating func settle() throws {
        for _ in 0..<5000 {
            if planner.state.runs.values.allSatisfy({
                $0.run.state == .held && !$0.run.tasks.contains { $0.state == .leased || $0.state == .queued }
            }) {
                return
            }
            wall = ClusterTime(milliseconds: wall.milliseconds + 500)
            report()
        }
        throw Stuck.after(steps: 5000, seed: seed)
    }
}
