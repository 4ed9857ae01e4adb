import Cluster
import Coordinator
import Primitives
import Raft
import Wire
import Workflows

/// A coordinator: its part of the log, its state, and what its planner's thread has in hand. Told again after `LoopThread`, which see for the reasons.
final class SimulatedCoordinator {
    enum Mode: Equatable {
        case following
        case takingOver(Term, through: LogIndex)
        case leading(Term)
    }

    /// What the planner's thread hears.
    enum Mail {
        case ask(Ask, ClientTicket)
        case reports([TaskReport])
        case join(stream: UInt64, NodeID)
        case left(NodeID, stream: UInt64)
        case room(NodeID, stream: UInt64)
        case refused(NodeID, stream: UInt64, TaskReport)
        case cordon(NodeID, Bool)
        case committed(LogIndex)
        case leads(Term, LogIndex)
        case follows
    }

    enum Ask {
        case submit(Planner.Submission, Message)
        case activate(Catalog, [DefinitionRecord], [DefinitionKey])
        case resolve(RunID, task: String, WorkflowRun.Verdict)
        case cancel(RunID)
        case again(WorkflowRun)
    }

    /// What waits until the entry at its index is committed.
    struct Waiting {
        var answers: [(index: LogIndex, token: Int, answer: Planner.Answer)] = []
        var dispatches: [(index: LogIndex, worker: NodeID, assignment: TaskAssignment)] = []
        var cancels: [(index: LogIndex, worker: NodeID, held: HeldAssignment)] = []
        var acknowledged: [(index: LogIndex, report: TaskReport, isFresh: Bool)] = []
    }

    /// Who waits for an answer.
    struct ClientTicket {
        var client: Int
        var attempt: UInt64
        var message: Int?
        var tries = 0
    }

    /// A call with reports, answered once all of them are in the log.
    final class Desk {
        let worker: Int
        let call: UInt64
        var missing: Set<Fence>
        var statuses: [(fence: Fence, isAccepted: Bool)] = []
        init(worker: Int, call: UInt64, missing: Set<Fence>) { (self.worker, self.call, self.missing) = (worker, call, missing) }
    }

    /// A worker that is attached.
    final class Session {
        let worker: Int
        let stream: UInt64
        let epoch: UInt64
        let slots: Int
        var isCordoned: Bool
        var isDistrusted = false
        var isHeldOff = false
        var free: Int
        /// Nothing that is sent comes any more.
        var isBroken = false
        var lastArrival: Int64 = 0

        init(worker: Int, stream: UInt64, epoch: UInt64, slots: Int, isCordoned: Bool) {
            (self.worker, self.stream, self.epoch, self.slots, self.isCordoned) = (worker, stream, epoch, slots, isCordoned)
            free = slots
        }

        var standing: Placement.Standing { !isCordoned && !isDistrusted && !isHeldOff ? .available : isCordoned ? .cordoned : .draining }
    }

    let number: Int
    let id: NodeID
    let voters: [NodeID]
    var clock = SimulatedClock()
    var boot: UInt32 = 0
    var isUp = false
    var isPaused = false
    var inbox: [(from: Int, ClusterMessage)] = []

    // The log
    var core: RaftCore?
    var disk = ScriptedDisk()
    var waitingWrites: [RaftOutput.Write] = []
    var batch: [RaftOutput.Write] = []
    var timer: Int64?
    /// Its state as it was written down last.
    var snapshot: (bytes: [UInt8], index: LogIndex, term: Term)?

    // The planner's thread
    var mailbox: [Mail] = []
    var turnAt: Int64?
    var mode = Mode.following
    var state: CoordinatorState
    var catalog = Catalog.empty
    var planner: Planner?
    var clusterClock = ClusterClock(wall: .zero, now: Instant(nanoseconds: 0))
    var committed = LogIndex.zero
    var pending: [Planner.Proposal] = []
    var waiting = Waiting()
    var held: [Mail] = []
    var tickets: [Int: ClientTicket] = [:]
    var nextToken = 1
    var takenOver: Term?
    var awaited: Set<NodeID> = []
    var lookedAt: Instant?
    var timersFrom = Instant(nanoseconds: 0)
    var timersFire = true
    var beginsLevel = false
    /// Reads by their number: a message that nothing matched.
    var reads: [UInt64: (ticket: ClientTicket, version: UInt64, index: LogIndex?)] = [:]
    var nextRead: UInt64 = 1

    // Workers
    var leases = LeaseTable(duration: .seconds(10))
    var sessions: [NodeID: Session] = [:]
    /// Those that the thread has heard of.
    var workers: [NodeID: Session] = [:]
    var desks: [Fence: [Desk]] = [:]
    /// When the wall clock jumped further than is believed; nothing fires while this is set, and for ten minutes.
    var jumpedAt: Int64?
    /// How far the wall clock was off when it was last believed.
    var believedOffset: Int64 = 0

    init(number: Int, id: NodeID, voters: [NodeID]) {
        (self.number, self.id, self.voters) = (number, id, voters)
        state = CoordinatorState(cluster: ClusterWorld.cluster)
    }

    var isLeading: Bool { if case .leading = mode { planner != nil } else { false } }
}

extension ClusterWorld {
    // MARK: Starting and falling

    func start(_ coordinator: SimulatedCoordinator) {
        coordinator.boot += 1
        coordinator.isUp = true
        let now = coordinator.clock.local(now)
        var settings = RaftSettings()
        // Less to simulate.
        settings.heartbeat = .milliseconds(150)
        var core = RaftCore(
            id: coordinator.id, settings: settings, hardState: coordinator.disk.hardState, snapshot: nil,
            configuration: Configuration(voters: coordinator.voters), seed: generator.next(), now: now)
        for entry in coordinator.disk.entries { core.restore(entry) }
        coordinator.state = CoordinatorState(cluster: Self.cluster)
        if let snapshot = coordinator.snapshot {
            core.restoreCommit(snapshot.index, term: snapshot.term)
            do {
                coordinator.state = try StateCodec.decode(snapshot.bytes, dedup: DedupWindow())
                coverage.saw(.snapshotRead)
            } catch {
                return fail("replica", "\(coordinator.id) cannot read its snapshot at \(snapshot.index): \(error)")
            }
        }
        checks.applied(coordinator.state, by: coordinator.id, in: self)
        coordinator.catalog = Catalog.compile(coordinator.state).0
        core.started(now: now)
        coordinator.core = core
        coordinator.committed = coordinator.state.applied
        coordinator.clusterClock = ClusterClock(wall: coordinator.clock.wall(self.now), now: now)
        coordinator.timersFrom = now
        coordinator.leases = LeaseTable(duration: plan.lease)
        tell("\(coordinator.id) starts at \(coordinator.state.applied)")
        if coordinator.boot > 1 { coverage.saw(.coordinatorRestarted) }
        coordinator.timer = self.now
        schedule(.timer(coordinator.number, boot: coordinator.boot), after: 0)
    }

    func crash(_ coordinator: SimulatedCoordinator) {
        guard coordinator.isUp else { return }
        tell("\(coordinator.id) falls")
        // Of what it was writing the first few are there.
        for write in coordinator.batch.prefix(Int.random(in: 0...coordinator.batch.count, using: &generator)) {
            _ = coordinator.disk.perform(write)
        }
        let streams = coordinator.sessions.values.sorted { $0.worker < $1.worker }
        for session in streams where !session.isBroken {
            schedule(.ended(worker: session.worker, stream: session.stream), after: draw(1_000_000..<200_000_000))
        }
        coordinator.boot += 1
        (coordinator.isUp, coordinator.isPaused, coordinator.core, coordinator.timer, coordinator.turnAt) = (false, false, nil, nil, nil)
        (coordinator.batch, coordinator.waitingWrites, coordinator.mailbox, coordinator.inbox) = ([], [], [], [])
        (coordinator.mode, coordinator.planner, coordinator.pending, coordinator.held) = (.following, nil, [], [])
        (coordinator.waiting, coordinator.tickets, coordinator.reads, coordinator.desks) = (SimulatedCoordinator.Waiting(), [:], [:], [:])
        (coordinator.sessions, coordinator.workers, coordinator.awaited) = ([:], [:], [])
        (coordinator.takenOver, coordinator.lookedAt, coordinator.jumpedAt) = (nil, nil, nil)
        for other in coordinators where other !== coordinator && other.isUp && !other.isPaused && !isCut(coordinator.number, other.number) {
            handle(.disconnected(coordinator.id), at: other)
        }
    }

    // MARK: The core and what it wants

    func handle(_ event: RaftCore.Event, at coordinator: SimulatedCoordinator) {
        guard violation == nil, coordinator.core != nil else { return }
        var own = RaftOutput()
        swap(&own, &output)
        own.clear()
        coordinator.core?.handle(event, now: coordinator.clock.local(now), into: &own)
        perform(own, coordinator)
        swap(&own, &output)
        guard let glance = coordinator.core?.glance else { return }
        note(UInt64(coordinator.number), glance.term.number << 32 ^ glance.commitIndex.number, glance.lastIndex.number)
        let due = now + coordinator.clock.wait(until: glance.deadline, from: now)
        guard coordinator.timer.map({ $0 > due }) ?? true else { return }
        coordinator.timer = due
        schedule(.timer(coordinator.number, boot: coordinator.boot), after: due - now)
    }

    private func perform(_ output: RaftOutput, _ coordinator: SimulatedCoordinator) {
        for transition in output.transitions {
            switch transition {
            case .becameLeader(let term):
                coverage.saw(.leaderChanged)
                tell("\(coordinator.id) leads in term \(term)")
                put(.leads(term, coordinator.core?.log.lastIndex ?? .zero), coordinator)
            case .becameFollower: put(.follows, coordinator)
            default: break
            }
        }
        for outgoing in output.messages {
            guard let to = coordinators.firstIndex(where: { $0.id == outgoing.to }) else { continue }
            send(.raft(outgoing.message), from: coordinator.number, to: to)
        }
        if !output.writes.isEmpty {
            coordinator.waitingWrites += output.writes
            startWriting(coordinator)
        }
        for fetch in output.fetches {
            let entries = coordinator.disk.fetch(fetch)
            handle(.fetched(peer: fetch.peer, entries), at: coordinator)
        }
        if let commit = output.commit {
            checks.committed(through: commit, by: coordinator, in: self)
            put(.committed(commit), coordinator)
        }
        for ready in output.readsReady {
            coordinator.reads[ready.id]?.index = ready.index
            wantTurn(coordinator, after: 0)
        }
        for refused in output.refused where refused.id > 0 {
            guard let read = coordinator.reads.removeValue(forKey: refused.id) else { continue }
            answer(.planned(.busy("no majority has confirmed that this node leads")), read.ticket, coordinator)
        }
    }

    // MARK: The disk

    private func startWriting(_ coordinator: SimulatedCoordinator) {
        guard coordinator.batch.isEmpty, !coordinator.waitingWrites.isEmpty else { return }
        (coordinator.batch, coordinator.waitingWrites) = (coordinator.waitingWrites, [])
        var time = draw(plan.diskNanoseconds / 2..<plan.diskNanoseconds * 3 / 2)
        if areFaultsOn, plan.faults.contains(.stall), chance(10_000) {
            coverage.saw(.diskStalled)
            time += draw(10_000_000..<3_000_000_000)
        }
        schedule(.disk(coordinator.number, boot: coordinator.boot), after: time)
    }

    func finishWrites(_ coordinator: SimulatedCoordinator) {
        guard let last = coordinator.batch.last else { return }
        for write in coordinator.batch {
            if let fault = coordinator.disk.perform(write) { return fail("storage", "\(coordinator.id) \(fault)") }
        }
        coordinator.batch = []
        startWriting(coordinator)
        handle(.stored(ticket: last.ticket), at: coordinator)
    }

    // MARK: Mail

    func put(_ mail: SimulatedCoordinator.Mail, _ coordinator: SimulatedCoordinator) {
        coordinator.mailbox.append(mail)
        // Its thread wakes a little later, and takes all that came meanwhile.
        wantTurn(coordinator, after: draw(10_000..<2_000_000))
    }

    func wantTurn(_ coordinator: SimulatedCoordinator, after delay: Int64) {
        let due = now + delay
        guard coordinator.turnAt.map({ $0 > due }) ?? true else { return }
        coordinator.turnAt = due
        schedule(.turn(coordinator.number, boot: coordinator.boot), after: delay)
    }

    func answer(_ answer: ClientAnswer, _ ticket: SimulatedCoordinator.ClientTicket, _ coordinator: SimulatedCoordinator) {
        send(.answer(answer, attempt: ticket.attempt), from: coordinator.number, to: coordinators.count + workers.count + ticket.client)
    }
}
