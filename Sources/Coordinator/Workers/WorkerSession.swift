package import Cluster
package import Primitives
import Synchronization
import Transport
package import Wire

/// A worker in another process, for as long as its stream lasts: orders wait here for the stream to take them.
package final class WorkerSession: WorkerLink {
    /// Who came, as it said when it came.
    package struct Origin: Equatable, Sendable {
        package var node: NodeID
        package var epoch: UInt64
        package var folder: UUIDv7?
        package var labels: [String] = []
        package var kinds: [String] = []
        package var software = ""
        package var address: String?
        package var attachedAt: Instant

        package init(node: NodeID, epoch: UInt64, attachedAt: Instant) {
            (self.node, self.epoch, self.attachedAt) = (node, epoch, attachedAt)
        }
    }

    /// What its last renewal said.
    package struct Said: Equatable, Sendable {
        package var running = 0
        package var freeSlots = 0
        package var load = 0.0
        package var isCordoned = false
        package var drain: DrainProgress?
        /// By how much its clock is ahead of this node's, with the time that the word took.
        package var clockOffset: Duration?
        package var renewedAt: Instant?
    }

    private struct State {
        var frames = FrameBatch()
        var waiting: CheckedContinuation<Void, Never>?
        var end: CallError?
        var said = Said()
        /// An order that its renewals do not confirm yet, and how many of them may be older than the order.
        var ordered: (isCordoned: Bool, isDraining: Bool, left: Int)?
        /// It runs more than it has room for, by its own words.
        var isDistrusted = false
        /// It refused something, and has not said since that it has room.
        var isHeldOff = false
    }

    /// Bytes of orders that may wait for a worker that does not read; beyond them it is let go, and has to come again.
    static let waitingLimit = 4 << 20

    package let origin: Origin
    package let capacity: WorkerCapacity
    package let session: UInt64?
    let number: UInt64
    /// Takes what was never sent.
    private let unsent: @Sendable ([TaskReport]) -> Void
    private let state = Mutex(State())
    /// What goes with everything that is told of leases.
    let greeting = Mutex(LeaseTerms())

    init(
        _ origin: Origin, capacity: WorkerCapacity, number: UInt64, isCordoned: Bool, unsent: @escaping @Sendable ([TaskReport]) -> Void
    ) {
        (self.origin, self.capacity, self.number, self.unsent) = (origin, capacity, number, unsent)
        session = number
        state.withLock { $0.said.isCordoned = isCordoned }
    }

    package var node: NodeID { origin.node }
    package var said: Said { state.withLock { $0.said } }
    package var isCordoned: Bool { state.withLock { $0.said.isCordoned } }
    package var draining: DrainProgress? { state.withLock { $0.said.drain } }
    package var room: WorkerRoom? {
        state.withLock { state in
            state.said.renewedAt.map { _ in WorkerRoom(running: state.said.running, free: state.said.freeSlots, load: state.said.load) }
        }
    }
    package var isDistrusted: Bool { state.withLock { $0.isDistrusted } }
    package var isOpen: Bool { state.withLock { $0.end == nil } }

    // MARK: Orders

    package func assign(_ assignments: [TaskAssignment]) {
        let isTaken = post { frames in for assignment in assignments { frames.append(oneWay: assignment) } }
        guard !isTaken else { return }
        // It went as these were given to it: nobody else has them, and nobody has begun them.
        unsent(assignments.map(TaskReport.neverStarted))
    }

    package func cancel(_ held: HeldAssignment) {
        var call = TaskCancel()
        (call.run, call.task, call.fence, call.reason) = (held.run, held.task, held.fence, "cancelled")
        _ = post { $0.append(oneWay: call) }
    }

    package func cordon(_ flag: Bool) {
        state.withLock { state in
            state.said.isCordoned = flag
            if !flag { state.said.drain = nil }
            state.ordered = (flag, state.said.drain != nil, Self.olderRenewals)
        }
        order { $0.isCordoned = flag }
    }

    package func drain(within limit: Duration) {
        state.withLock { state in
            state.said.isCordoned = true
            state.said.drain = DrainProgress(left: max(.zero, limit))
            state.ordered = (true, true, Self.olderRenewals)
        }
        order { ($0.isCordoned, $0.drainMilliseconds) = (true, UInt64(max(0, limit.milliseconds))) }
    }

    private func order(_ change: (inout LeaseTerms) -> Void) {
        var terms = LeaseTerms()
        terms.term = greeting.withLock { $0.term }
        change(&terms)
        _ = post { $0.append(oneWay: terms) }
    }

    private static let olderRenewals = 2

    /// The answer comes as reports: the worker says what became of what it does not run.
    package func reconcile(_ held: [HeldAssignment], term: Term) -> [TaskReport] {
        var terms = greeting.withLock { greeting in
            greeting.term = term.number
            return greeting
        }
        terms.isComplete = true
        terms.held = held.map(\.told)
        _ = post { $0.append(oneWay: terms) }
        return []
    }

    /// Who asked is answered, and takes that from the answer.
    package func committed(_ reports: [TaskReport]) {}
    package func log(run: RunID, task: String, attempt: Int) -> [UInt8]? { nil }
    package func logTail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) { (0, []) }

    /// False when the session has ended.
    private func post(_ write: (inout FrameBatch) -> Void) -> Bool {
        let (isOpen, isFull, waiting) = state.withLock { state -> (Bool, Bool, CheckedContinuation<Void, Never>?) in
            guard state.end == nil else { return (false, false, nil) }
            write(&state.frames)
            defer { state.waiting = nil }
            return (true, state.frames.count > Self.waitingLimit, state.waiting)
        }
        waiting?.resume()
        if isFull { end(CallError(.busy, "more than \(Self.waitingLimit) bytes of orders wait: attach again", retryAfter: .seconds(1))) }
        return isOpen
    }

    /// What waits; waits for something. Throws when the session has ended, and all that waited before was taken.
    func next() async throws(CallError) -> [UInt8] {
        while true {
            let (bytes, error) = state.withLock { state -> ([UInt8], CallError?) in (state.frames.take(), state.end) }
            if !bytes.isEmpty { return bytes }
            if let error { throw error }
            guard !Task.isCancelled else { throw CallError(.cancelled, "the worker went away") }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let goesOn = state.withLock { state in
                        guard state.end == nil, state.frames.count == 0, !Task.isCancelled else { return true }
                        state.waiting = continuation
                        return false
                    }
                    if goesOn { continuation.resume() }
                }
            } onCancel: {
                end(CallError(.cancelled, "the worker went away"))
            }
        }
    }

    /// Nothing more is taken for it.
    func end(_ error: CallError) {
        let waiting = state.withLock { state in
            state.end = state.end ?? error
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    // MARK: What it says

    /// - Returns: whether it has begun to run more than it has room for.
    func note(_ call: LeaseRenew, at now: Instant, wall: ClusterTime) -> Bool {
        state.withLock { state in
            state.said.renewedAt = now
            state.said.clockOffset = call.wallMilliseconds.map { ClusterTime(milliseconds: $0).duration(since: wall) }
            state.said.running = call.fences.count
            state.said.freeSlots = min(Int(call.freeSlots), capacity.slots)
            state.said.load = call.load.isFinite ? call.load : 0
            Self.take(call, &state)
            let isLie = call.fences.count > capacity.slots
            if state.said.freeSlots > 0 { state.isHeldOff = false }
            defer { if isLie { state.isDistrusted = true } }
            return isLie && !state.isDistrusted
        }
    }

    /// What was said before an order was heard does not undo it.
    private static func take(_ call: LeaseRenew, _ state: inout State) {
        if let ordered = state.ordered {
            let isHeard = call.isCordoned == ordered.isCordoned && (call.drainLeftMilliseconds != nil) == ordered.isDraining
            guard isHeard || ordered.left == 0 else {
                state.ordered?.left -= 1
                return
            }
            state.ordered = nil
        }
        if let flag = call.isCordoned { state.said.isCordoned = flag }
        state.said.drain = call.drainLeftMilliseconds.map {
            DrainProgress(
                left: .milliseconds(Int64(clamping: $0)), finished: Int(call.drainFinished ?? 0), givenBack: Int(call.drainGivenBack ?? 0))
        }
    }

    func holdOff() { state.withLock { $0.isHeldOff = true } }

    /// Whether it gets something.
    var takesNew: Bool { state.withLock { !$0.said.isCordoned && !$0.isDistrusted && !$0.isHeldOff } }
}

extension TaskReport {
    /// Of what the log has with a worker that has said that it never began it.
    static func neverStarted(_ held: HeldAssignment, at time: ClusterTime) -> TaskReport {
        TaskReport(
            run: held.run, task: held.task, attempt: held.attempt, fence: held.fence, outcome: .neverStarted, startedAt: time, endedAt: time
        )
    }

    /// Of an assignment that nobody has begun, and nobody will.
    static func neverStarted(_ assignment: TaskAssignment) -> TaskReport {
        TaskReport(
            run: assignment.run, task: assignment.task, attempt: assignment.attempt, fence: assignment.fence, outcome: .neverStarted,
            startedAt: .zero, endedAt: .zero)
    }
}
