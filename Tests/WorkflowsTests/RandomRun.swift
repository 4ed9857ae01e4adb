import Primitives
import Testing
import Text
import Workflows

/// A random workflow whose run meets random workers, clocks and operators. One seed decides everything.
struct RandomRun {
    private enum Step {
        case assign(Int), report(Int), resolve(Int), tick, stale
    }

    let seed: UInt64
    let definition: WorkflowDefinition
    private(set) var run: WorkflowRun
    /// How often each task went to succeeded.
    private(set) var successes: [Int: Int] = [:]
    private(set) var wasHeld = false
    /// What went wrong; empty when nothing did.
    private(set) var faults: [String] = []
    private var chance: SeededGenerator
    private var now = ClusterTime(milliseconds: 5_000_000)
    private var assignments: UInt64 = 0
    private var oldFences: [(task: Int, fence: Fence)] = []
    private let worker: NodeID

    init(seed: UInt64) throws {
        self.seed = seed
        worker = try NodeID("w-1")
        var chance = SeededGenerator(seed: seed)
        let problems = Shape.Problems()
        let read = WorkflowDefinition(Self.workflow(&chance), namespace: .default, problems: problems)
        let definition = try #require(read, "seed \(seed): \(problems.all)")
        self.definition = definition
        run = WorkflowRun(
            id: RunID(high: 1, low: seed), definition: definition, definitionVersion: 1, rule: "r/r",
            message: Message(id: "m", source: "s", type: "t", data: ["n": Value(Int(seed % 5))]), params: nil, timeout: nil, retriesLeft: 0,
            retryOf: nil, trace: nil, now: now)
        self.chance = chance
    }

    // MARK: The workflow

    private static func number(_ range: Range<Int>, _ chance: inout SeededGenerator) -> Int { Int.random(in: range, using: &chance) }

    private static func workflow(_ chance: inout SeededGenerator) -> Value {
        var tasks = Fields()
        for place in 0..<number(1..<9, &chance) { tasks["t\(place)"] = task(place, &chance) }
        var top = Fields([
            .init("apiVersion", "distric/v1"), .init("kind", "Workflow"), .init("metadata", ["name": "random"]),
            .init("tasks", .map(tasks)),
        ])
        if number(0..<5, &chance) == 0 { top["timeout"] = Value(number(1..<600, &chance)) }
        if number(0..<4, &chance) == 0 { top["output"] = ["status": "${{ tasks.t0.status }}"] }
        return .map(top)
    }

    private static func task(_ place: Int, _ chance: inout SeededGenerator) -> Value {
        var fields = Fields()
        switch number(0..<10, &chance) {
        case 0, 1:
            fields["use"] = "wait@1"
            fields["with"] = ["duration": Value(number(0..<120, &chance))]
        case 2, 3, 4, 5:
            fields["use"] = "exec@1"
            fields["with"] = ["command": ["true"]]
            fields["on_lost"] = .string(["retry", "fail", "hold"][number(0..<3, &chance)])
        default:
            fields["use"] = "transform@1"
            fields["with"] = ["value": number(0..<8, &chance) == 0 ? "${{ input.data.nope }}" : "${{ input.data.n }}"]
        }
        var dependencies = Fields()
        for other in 0..<place where number(0..<3, &chance) == 0 {
            dependencies["t\(other)"] = .string(["succeeded", "succeeded", "failed", "skipped", "done"][number(0..<5, &chance)])
        }
        if !dependencies.isEmpty { fields["depends_on"] = .map(dependencies) }
        if let first = dependencies.members.first?.key, number(0..<4, &chance) == 0 {
            fields["when"] = .string("${{ tasks.\(first).status == 'succeeded' }}")
        } else if number(0..<6, &chance) == 0 {
            fields["when"] = "${{ input.data.n > 2 }}"
        }
        if number(0..<2, &chance) == 0 { fields["retry"] = Value(number(0..<4, &chance)) }
        if number(0..<3, &chance) == 0 {
            fields["timeout"] = [
                "queue": Value(number(1..<60, &chance)), "attempt": Value(number(1..<60, &chance)),
                "total": Value(number(1..<300, &chance)),
            ]
        }
        return .map(fields)
    }

    // MARK: The world

    /// Drives the run to its end, or to 5000 steps.
    mutating func play() {
        handle(.start)
        for _ in 0..<5000 where !run.state.isFinal {
            let possible = steps()
            guard !possible.isEmpty else { return faults.append("nothing is left to happen in state \(run.state)") }
            take(possible[Self.number(0..<possible.count, &chance)])
        }
    }

    private func steps() -> [Step] {
        var steps: [Step] = []
        for (place, task) in run.tasks.enumerated() {
            switch task.state {
            case .queued: steps.append(.assign(place))
            case .leased: steps += [.report(place), .report(place), .report(place)]
            case .unknown: steps.append(.resolve(place))
            case .pending, .waiting, .succeeded, .failed, .timedOut, .cancelled, .skipped: break
            }
        }
        if run.nextTimer != nil { steps.append(.tick) }
        // Old fences alone must not keep the world going.
        if !oldFences.isEmpty, !steps.isEmpty { steps.append(.stale) }
        return steps
    }

    private mutating func take(_ step: Step) {
        switch step {
        case .assign(let task):
            assignments += 1
            handle(.assigned(task: task, worker: worker, fence: Fence(term: Term(1), assignment: assignments)))
        case .report(let task):
            now = now.advanced(by: .milliseconds(Self.number(0..<3000, &chance)))
            let fence = run.tasks[task].fence
            handle(.reported(task: task, fence: fence, outcome(), startedAt: now, endedAt: now))
            oldFences.append((task, fence))
        case .resolve(let task): handle(.resolved(task: task, verdict()))
        case .tick:
            now = max(now, run.nextTimer ?? now)
            handle(.tick)
        case .stale:
            let old = oldFences[Self.number(0..<oldFences.count, &chance)]
            let before = run
            let effects = handle(.reported(task: old.task, fence: old.fence, .succeeded("late"), startedAt: now, endedAt: now))
            if !effects.areRefusal || run != before { faults.append("a stale report of task \(old.task) under \(old.fence) was taken") }
        }
    }

    private mutating func outcome() -> AttemptOutcome {
        switch Self.number(0..<12, &chance) {
        case 0..<6: .succeeded(Value(Int(assignments)))
        case 6, 7: .failed(TaskError(type: "exit_code", message: "1", status: 1))
        case 8: .timedOut(TaskError(type: "timeout", message: "slow"))
        case 9: .cancelled
        case 10: .lost
        default: .neverStarted
        }
    }

    private mutating func verdict() -> WorkflowRun.Verdict {
        switch Self.number(0..<3, &chance) {
        case 0: .succeeded("by hand")
        case 1: .failed("by hand")
        default: .retry
        }
    }

    @discardableResult
    private mutating func handle(_ event: WorkflowRun.Event) -> [WorkflowRun.Effect] {
        let before = run
        var context = WorkflowRun.Context(definition: definition, now: now, generator: chance)
        let effects = run.handle(event, &context)
        chance = context.generator
        check(before, effects, event)
        return effects
    }

    // MARK: What must hold

    private mutating func check(_ before: WorkflowRun, _ effects: [WorkflowRun.Effect], _ event: WorkflowRun.Event) {
        if effects.areRefusal {
            if run != before { faults.append("\(event) was refused and changed the run") }
            return
        }
        if run.revision != before.revision + 1 { faults.append("\(event) took the revision from \(before.revision) to \(run.revision)") }
        for (place, task) in run.tasks.enumerated() {
            let old = before.tasks[place]
            if old.state.isFinal, task != old { faults.append("\(event) changed task \(place) after its end") }
            if old.state != .succeeded, task.state == .succeeded { successes[place, default: 0] += 1 }
            if task.losses > WorkflowRun.lossLimit + 1 { faults.append("task \(place) was lost \(task.losses) times") }
            if task.failures > definition.tasks[place].retry.furtherAttempts + 1 {
                faults.append("task \(place) failed \(task.failures) times")
            }
        }
        if run.state == .held { wasHeld = true }
        if (run.state == .held) != run.tasks.contains(where: { $0.state == .unknown }) { faults.append("\(event) left state \(run.state)") }
        if run.state.isFinal != effects.contains(.finished) { faults.append("\(event) ended in \(run.state) with \(effects)") }
        for case .enqueue(let task) in effects where !run.state.isFinal && run.tasks[task].state != .queued {
            faults.append("\(event) queued task \(task), which is \(run.tasks[task].state)")
        }
    }
}
