import Cluster
import Coordinator
import HashTreeCollections
import Primitives
import Wire
import Workflows

/// A node that may die in the middle of a batch: only the first of the entries that it planned are on disk, and of the others nothing was
/// let go. Its worker may die with it. One seed decides everything.
struct DyingWorld {
    typealias Logged = CoordinatorWorld.Logged

    enum Stuck: Error { case after(steps: Int, seed: UInt64) }

    let seed: UInt64
    private(set) var planner: Planner
    /// What is on disk; a leader's first entry has no payload.
    private(set) var log: [Logged] = []
    private(set) var history: [HistoryItem] = []
    /// The runs of every message that was acknowledged, by its number.
    private(set) var acknowledged: [Int: [RunID]] = [:]
    /// How often a worker began each task that must not be done twice, less the times that an operator asked for it again.
    private(set) var starts: [String: Int] = [:]
    /// What went wrong; empty when nothing did.
    private(set) var faults: [String] = []
    private(set) var deaths = 0
    private var catalog: Catalog
    private var chance: SeededGenerator
    private var wall = ClusterTime(milliseconds: 1_000_000)
    private var term = Term(1)
    /// The state as it was when this leader began.
    private var base: CoordinatorState
    private var running: [TaskAssignment] = []
    private var unreported: [TaskReport] = []
    private var sent = 0
    private let worker: NodeID

    static let cluster = UUIDv7(high: 3, low: 4)

    init(seed: UInt64) throws {
        self.seed = seed
        chance = SeededGenerator(seed: seed)
        worker = try NodeID("w-1")
        let (compiled, records) = try Catalog.empty.adding(CoordinatorWorld.definitions, removing: [], namespace: .default)
        catalog = compiled
        base = CoordinatorState(cluster: Self.cluster)
        planner = Planner(term: term, state: base, catalog: .empty, seed: seed, wall: wall, limits: Self.limits)
        try take([.join(worker, slots: 3, light: 4), .activate(compiled, records: records, removed: [], token: 0)])
    }

    /// Small entries, so that a batch has several.
    private static var limits: Planner.Limits {
        var limits = Planner.Limits()
        limits.entryBytes = 700
        limits.digestEvery = 5
        return limits
    }

    private mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &chance) }

    // MARK: The node

    /// Plans a batch and commits its entries; all of them, or when the node dies the first few.
    private mutating func take(_ inputs: [Planner.Input], dies: Bool = false) throws {
        let output = planner.handle(inputs, wall: wall)
        let kept = dies ? number(0..<output.proposals.count + 1) : output.proposals.count
        for proposal in output.proposals.prefix(kept) {
            log.append(Logged(index: proposal.index, term: term, payload: proposal.payload, digest: proposal.state.digest))
            history += proposal.history
        }
        release(output, through: log.last?.index ?? .zero)
        if dies { try restart() }
    }

    /// Lets go of what waits for entries that are committed.
    private mutating func release(_ output: Planner.Output, through committed: LogIndex) {
        for item in output.answers where item.index <= committed {
            guard case .accepted(let runs, _) = item.answer else { continue }
            if let before = acknowledged[item.token], before != runs { faults.append("message \(item.token): \(before), then \(runs)") }
            acknowledged[item.token] = runs
        }
        for item in output.dispatches where item.index <= committed {
            running.append(item.assignment)
            if item.assignment.journalsStart { starts["\(item.assignment.run).\(item.assignment.task)", default: 0] += 1 }
        }
        for item in output.cancels where item.index <= committed { running.removeAll { $0.fence == item.held.fence } }
        for item in output.acknowledged where item.index <= committed { unreported.removeAll { $0.fence == item.report.fence } }
    }

    private mutating func restart() throws {
        deaths += 1
        var state = try rebuilt(from: base)
        if state.digest != log.last?.digest { faults.append("the state at \(state.applied) is not the one that was planned") }
        term = term.next
        state.begin(state.applied.next, term: term, time: state.time)
        log.append(Logged(index: state.applied, term: term, payload: [], digest: state.digest))
        base = state
        let (compiled, unreadable) = Catalog.compile(state)
        if !unreadable.isEmpty { faults.append("unreadable: \(unreadable)") }
        catalog = compiled
        planner = Planner(term: term, state: state, catalog: compiled, seed: chance.next(), wall: wall, limits: Self.limits)
        let reports = reconciled(planner.leased(to: worker))
        try take([.join(worker, slots: 3, light: 4)] + reports)
    }

    /// What the worker says of the attempts that the log shows as being with it. One that died has its journal: results, and the starts
    /// of what must not be done twice.
    private mutating func reconciled(_ held: [HeldAssignment]) -> [Planner.Input] {
        let workerDied = number(0..<2) == 0
        let known = running
        if workerDied { running = [] }
        var inputs: [Planner.Input] = []
        for item in held {
            if let report = unreported.first(where: { $0.fence == item.fence }) {
                inputs.append(.report(report))
                continue
            }
            let assignment = known.first { $0.fence == item.fence }
            if assignment != nil, !workerDied { continue }
            let outcome: AttemptOutcome = assignment?.journalsStart == true ? .lost : .neverStarted
            inputs.append(
                .report(
                    TaskReport(
                        run: item.run, task: item.task, attempt: item.attempt, fence: item.fence, outcome: outcome, startedAt: wall,
                        endedAt: wall)))
        }
        return inputs
    }

    /// The state that the log gives from here on, by decoding and applying its entries.
    func rebuilt(from start: CoordinatorState) throws -> CoordinatorState {
        var state = start
        for entry in log where entry.index > state.applied { try Self.apply(entry, to: &state) }
        return state
    }

    static func apply(_ entry: Logged, to state: inout CoordinatorState) throws {
        guard !entry.payload.isEmpty else { return state.begin(entry.index, term: entry.term, time: state.time) }
        let (time, commands) = try CommandCodec.decode(entry.payload)
        state.begin(entry.index, term: entry.term, time: time)
        var applied = Applied()
        for command in commands { try state.apply(command, into: &applied) }
    }

    // MARK: What happens

    /// One random event; now and then the node dies of it.
    mutating func step() throws {
        wall = wall.advanced(by: .milliseconds(number(0..<400)))
        let dies = number(0..<12) == 0
        switch number(0..<12) {
        case 0..<3: try send(dies: dies)
        case 3: try take(sent > 0 ? [submission(number(1..<sent + 1))] : [], dies: dies)
        case 4..<7: finish()
        case 7..<10: try deliver(dies: dies)
        case 10: try take([], dies: dies)
        default: try resolve()
        }
    }

    private mutating func send(dies: Bool) throws {
        var inputs: [Planner.Input] = []
        for _ in 0..<number(1..<4) {
            sent += 1
            inputs.append(submission(sent))
        }
        try take(inputs, dies: dies)
    }

    /// The same number gives the same message again.
    private mutating func submission(_ number: Int) -> Planner.Input {
        let message = Message(id: "m-\(number)", source: "/dying", type: "t", data: ["n": Value(number % 7)])
        let workflow = ["branch", "retry", "fan"][number % 3]
        let made = Planner.Submission.begin(message, workflow: workflow, rule: "sim/rule", catalog: catalog, wall: wall, generator: &chance)
        return .submit(made, token: number)
    }

    /// The worker comes to the end of an attempt.
    private mutating func finish() {
        guard !running.isEmpty else { return }
        let assignment = running.remove(at: number(0..<running.count))
        let outcome: AttemptOutcome =
            switch number(0..<10) {
            case 0..<7: .succeeded(["by": .string(assignment.fence.description)])
            case 7, 8: .failed(TaskError(type: "exit_code", message: "exit code 1", status: 1))
            default: .timedOut(TaskError(type: "timeout", message: "too slow"))
            }
        unreported.append(
            TaskReport(
                run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: outcome,
                startedAt: wall, endedAt: wall))
    }

    private mutating func deliver(dies: Bool) throws {
        guard !unreported.isEmpty else { return try take([], dies: dies) }
        let report = unreported[number(0..<unreported.count)]
        try take([.report(report)], dies: dies)
    }

    /// An operator says what became of an unknown task.
    private mutating func resolve() throws {
        let runs = planner.state.runs.values.map(\.run).filter { $0.state == .held }.sorted { $0.id < $1.id }
        guard let run = runs.first, let task = run.tasks.first(where: { $0.state == .unknown }) else { return }
        let verdict: WorkflowRun.Verdict =
            switch number(0..<3) {
            case 0: .succeeded("by hand")
            case 1: .failed("by hand")
            default: .retry
            }
        if verdict == .retry { starts["\(run.id).\(task.name)", default: 0] -= 1 }
        try take([.resolve(run.id, task: task.name, verdict, token: 0)])
    }

    // MARK: The end

    /// Every message is sent until it is acknowledged, every attempt ends and is reported, and time goes on.
    mutating func settle() throws {
        for _ in 0..<5000 {
            let open = (1..<sent + 1).filter { acknowledged[$0] == nil }
            if open.isEmpty, running.isEmpty, unreported.isEmpty, isAtRest { return }
            wall = wall.advanced(by: .milliseconds(500))
            try take(open.prefix(3).map { submission($0) })
            finish()
            try deliver(dies: false)
        }
        throw Stuck.after(steps: 5000, seed: seed)
    }

    /// Whether nothing is open but runs that wait for an operator.
    private var isAtRest: Bool {
        planner.state.runs.values.map(\.run).allSatisfy { run in
            run.state == .held && run.tasks.allSatisfy { $0.state.isFinal || $0.state == .unknown || $0.state == .pending }
        }
    }
}
