import Coordinator
import HashTreeCollections
import Primitives
import Raft
import Wire
import Workflows

/// What is checked while a simulated cluster runs. It applies what is committed, once and in order, and knows what workers truly did.
final class ClusterChecks {
    struct TaskKey: Hashable {
        var run: RunID
        var task: String
    }

    /// An assignment that is in the log.
    struct Grant {
        var key: TaskKey
        var worker: NodeID
        var index: LogIndex
        /// The log has it as never begun.
        var isGivenBack = false
    }

    /// What a worker did in truth.
    struct Effect {
        var key: TaskKey
        var worker: Int
        var isRunning = true
        /// Nil: it was cut off, and nobody knows how far it had come.
        var outcome: AttemptOutcome?
        var wasPaused = false
    }

    /// Of what waits for a worker.
    struct Waiting {
        var since: ClusterTime
        var takesSlot: Bool
        /// Those that became ready later and got a worker first.
        var passed = 0
    }

    var state = CoordinatorState(cluster: ClusterWorld.cluster)
    private var digests = [StateDigest()]
    var grants: [Fence: Grant] = [:]
    private(set) var lastAssignment: UInt64 = 0
    var ended: [RunID: (run: WorkflowRun, index: LogIndex)] = [:]
    private var failed: [WorkflowRun] = []
    /// More than once only where cluster time has left the window behind in which repetitions are known.
    private(set) var accepted: [String: [(runs: [RunID], at: ClusterTime)]] = [:]
    private(set) var answered: [String: [[RunID]]] = [:]
    var succeeded: Set<TaskKey> = []
    var effects: [Fence: Effect] = [:]
    var byTask: [TaskKey: [Fence]] = [:]
    /// How often operators asked for a task again of which nobody knew whether it was done.
    var leave: [TaskKey: Int] = [:]
    /// Slots that each worker said it has.
    private var slots: [NodeID: Int] = [:]
    var leased: [NodeID: Set<TaskKey>] = [:]
    var waiting: [TaskKey: Waiting] = [:]
    /// The newest catalog that somebody was told is in force.
    var answeredCatalog: UInt64 = 0

    static let passLimit = 40

    // MARK: The log

    func committed(through index: LogIndex, by coordinator: SimulatedCoordinator, in world: ClusterWorld) {
        while state.applied < index, world.violation == nil {
            guard let entries = coordinator.core?.log.entries(from: state.applied.next, through: index, maxBytes: 1 << 20), !entries.isEmpty
            else { return world.fail("replica", "\(coordinator.id) commits \(index) and has no entry \(state.applied.next)") }
            for entry in entries where world.violation == nil { apply(entry, in: world) }
        }
    }

    private func apply(_ entry: LogEntry, in world: ClusterWorld) {
        if entry.kind == .commands {
            do {
                let (time, commands) = try CommandCodec.decode(entry.payload)
                state.begin(entry.index, term: entry.term, time: time)
                for command in commands where world.violation == nil { try apply(command, of: entry, in: world) }
            } catch {
                return world.fail("replica", "entry \(entry.index) cannot be applied: \(error)")
            }
        } else {
            state.begin(entry.index, term: entry.term, time: state.time)
        }
        digests.append(state.digest)
        world.note(entry.index.number, state.digest.high, state.digest.low)
    }

    private func apply(_ command: Command, of entry: LogEntry, in world: ClusterWorld) throws(DigestMismatch) {
        let before: WorkflowRun? = if case .settle(let settle) = command { state.runs[settle.run]?.run } else { nil }
        var applied = Applied()
        try state.apply(command, into: &applied)
        guard applied.outcomes.last == .done else { return }
        for case .run(let run) in applied.history {
            if ended[run.id] != nil { world.fail("C4", "run \(run.id) ended twice") }
            ended[run.id] = (run, entry.index)
            if run.state == .failed { failed.append(run) }
        }
        switch command {
        case .submit(let submit):
            if let before = accepted[submit.message.id]?.last, state.time.duration(since: before.at) < state.dedup.age {
                world.fail("C4", "message \(submit.message.id) was accepted twice")
            }
            accepted[submit.message.id, default: []].append((submit.runs.map(\.id), state.time))
            for run in submit.runs {
                moved(nil, run, entry, in: world)
                let age = state.time.duration(since: run.createdAt)
                // A jump may come between.
                guard age > .seconds(18), !world.plan.faults.contains(.jump) else { continue }
                world.fail("T2", "run \(run.id) is \(age.text) old when it begins")
            }
        case .settle(let settle):
            if let after = state.runs[settle.run]?.run ?? ended[settle.run]?.run { moved(before, after, entry, in: world) }
            if let successor = settle.successor {
                world.coverage.saw(.followed)
                moved(nil, successor, entry, in: world)
            }
        case .start(let start):
            world.coverage.saw(.runAgain)
            moved(nil, start.run, entry, in: world)
        case .activate: world.coverage.saw(.catalogChanged)
        case .stage, .digest, .featureLevel, .freeze: break
        }
    }

    /// Replicas that have applied as far have the same.
    func applied(_ own: CoordinatorState, by id: NodeID, in world: ClusterWorld) {
        guard own.applied > .zero else { return }
        guard Int(own.applied.number) < digests.count else {
            return world.fail("replica", "\(id) has applied \(own.applied), and \(state.applied) is committed")
        }
        guard digests[Int(own.applied.number)] == own.digest else {
            return world.fail("replica", "\(id) has another state at \(own.applied)")
        }
    }

    // MARK: Clients

    func acknowledged(_ message: Message, _ runs: [RunID], by id: NodeID, in world: ClusterWorld) {
        guard accepted[message.id]?.contains(where: { $0.runs == runs }) ?? false else {
            return world.fail("C4", "\(id) acknowledges message \(message.id) with other runs than the log has of it")
        }
    }

    func answered(_ message: Message, _ runs: [RunID], in world: ClusterWorld) {
        guard !(answered[message.id]?.contains(runs) ?? false) else { return }
        if answered[message.id] != nil, accepted[message.id]?.count == 1 {
            world.fail("C4", "message \(message.id) was answered with other runs before")
        }
        answered[message.id, default: []].append(runs)
    }

    func attached(_ node: NodeID, slots count: Int) { slots[node] = max(slots[node] ?? 0, count) }

    func anyUnknown(using generator: inout SeededGenerator) -> TaskKey? {
        let found = state.runs.keys.sorted().flatMap { id in
            (state.runs[id]?.run.tasks ?? []).filter { $0.state == .unknown }.map { TaskKey(run: id, task: $0.name) }
        }
        return found.randomElement(using: &generator)
    }

    func anyOpen(using generator: inout SeededGenerator) -> RunID? { state.runs.keys.sorted().randomElement(using: &generator) }
    func anyFailed(using generator: inout SeededGenerator) -> WorkflowRun? { failed.randomElement(using: &generator) }

    // MARK: Tasks

    private func moved(_ before: WorkflowRun?, _ after: WorkflowRun, _ entry: LogEntry, in world: ClusterWorld) {
        if after.state == .cancelled { world.coverage.saw(.runCancelled) }
        if after.state == .timedOut { world.coverage.saw(.runTimedOut) }
        for (place, task) in after.tasks.enumerated() {
            let old = before?.tasks[place] ?? TaskRecord(name: task.name, kind: task.kind)
            guard old != task else { continue }
            let key = TaskKey(run: after.id, task: task.name)
            if old.state.isFinal { world.fail("W1", "task \(key.task) of run \(key.run) changed after it had ended") }
            judge(TaskMove(key: key, old: old, new: task, isRunOver: after.state.isFinal), entry, in: world)
        }
    }

    func slotsOf(_ node: NodeID) -> Int { slots[node] ?? 0 }

    func assign(_ number: UInt64) { lastAssignment = max(lastAssignment, number) }
}
