import Cluster
import DequeModule
import Observability
package import Primitives
import Synchronization
package import Transport
import Wire

/// Passes on what this node has matched to the coordinator that leads, in batches: a message waits for no other one, and what comes while batches are under way goes in
/// the next. A batch is sent again, under the same session and number and with the same ids in it, to the same leader or the next, until it is answered or its time is over.
package final class IntakeForwarder: Sendable {
    /// What became of a message.
    enum Outcome: Equatable, Sendable {
        case answered(Planner.Answer)
        /// Nobody has answered it; whether some leader has it is not known when it is uncertain.
        case unanswered(String, isUncertain: Bool)
    }

    /// The messages of one request, resumed when the last is answered.
    final class Parcel: Sendable {
        private let state: Mutex<(outcomes: [Outcome?], missing: Int)>
        private let continuation: CheckedContinuation<[Outcome], Never>

        init(count: Int, _ continuation: CheckedContinuation<[Outcome], Never>) {
            state = Mutex(([Outcome?](repeating: nil, count: count), count))
            self.continuation = continuation
        }

        func answer(_ slot: Int, _ outcome: Outcome) {
            let done = state.withLock { state -> [Outcome]? in
                guard state.outcomes[slot] == nil else { return nil }
                state.outcomes[slot] = outcome
                state.missing -= 1
                return state.missing == 0 ? state.outcomes.compactMap(\.self) : nil
            }
            if let done { continuation.resume(returning: done) }
        }
    }

    struct Item: Sendable {
        var submission: Planner.Submission
        var trace: TraceContext?
        var deadline: Instant
        var bytes: Int
        var parcel: Parcel
        var slot: Int
    }

    private struct State {
        var isOpen = false
        var items: Deque<Item> = []
        /// Senders that have nothing to do.
        var idle: [CheckedContinuation<[Item]?, Never>] = []
    }

    private static let closed = Outcome.answered(
        .busy("this node does not lead, and as it starts or stops it passes nothing on; send it to another coordinator"))
    /// Batches under way at once. While all of them are, a batch grows.
    private static let senders = 4
    private static let batchMessages = 512
    private static let batchBytes = 512 << 10

    let raft: RaftDriver
    let directory: PeerDirectory
    let telemetry: Telemetry
    let metrics: ForwardMetrics
    let sessions: ForwardSequence
    let resent = Mutex<Instant?>(nil)
    /// The process that leads and does not know the call.
    private let deaf = Mutex<(node: NodeID, epoch: UInt64)?>(nil)
    private let state = Mutex(State())

    init(raft: RaftDriver, directory: PeerDirectory, telemetry: Telemetry, metrics: ForwardMetrics, session: UInt64) {
        (self.raft, self.directory, self.telemetry, self.metrics) = (raft, directory, telemetry, metrics)
        sessions = ForwardSequence(session: session)
        telemetry.metrics.computed(.gauge, "distric_intake_forward_waiting", "Messages that wait to be passed on to the leader.") {
            [weak self] in Double(self?.state.withLock { $0.items.count } ?? 0)
        }
    }

    /// Whether messages are passed on to this leader: the node is serving, and the leader's program knows how.
    package func takes(for leader: NodeID) -> Bool {
        guard state.withLock({ $0.isOpen }), let facts = directory.facts(leader) else { return false }
        return deaf.withLock { $0.map { $0.node != leader || $0.epoch != facts.epoch } ?? true }
    }

    func noteDeaf(_ leader: NodeID) {
        let epoch = directory.facts(leader)?.epoch ?? 0
        let isNew = deaf.withLock { deaf in
            defer { deaf = (leader, epoch) }
            return deaf.map { $0.node != leader || $0.epoch != epoch } ?? true
        }
        guard isNew else { return }
        telemetry.warn(
            "intake", "the leader's program does not know how messages are passed on in batches: they go to it by HTTP, one by one",
            ["leader": leader.text])
    }

    // MARK: Coming in

    /// Waits until each has been answered by some leader, or its time is over.
    func forward(_ submissions: [Planner.Submission], _ traces: [TraceContext?], until deadline: Instant) async -> [Outcome] {
        guard !submissions.isEmpty else { return [] }
        return await withCheckedContinuation { continuation in
            let parcel = Parcel(count: submissions.count, continuation)
            let items = submissions.indices.map { slot in
                let submission = submissions[slot]
                // Each of its runs has the message in it.
                let bytes = 256 + submission.message.bytes * (1 + submission.runs.count)
                return Item(submission: submission, trace: traces[slot], deadline: deadline, bytes: bytes, parcel: parcel, slot: slot)
            }
            guard put(items) else {
                for item in items { item.answer(Self.closed) }
                return
            }
        }
    }

    /// Bounded by what the gate has let in.
    private func put(_ items: [Item]) -> Bool {
        let (isTaken, woken) = state.withLock { state -> (Bool, (CheckedContinuation<[Item]?, Never>, [Item])?) in
            guard state.isOpen else { return (false, nil) }
            state.items.append(contentsOf: items)
            guard let sender = state.idle.popLast() else { return (true, nil) }
            return (true, (sender, Self.batch(of: &state.items)))
        }
        if let (sender, batch) = woken { sender.resume(returning: batch) }
        return isTaken
    }

    private static func batch(of items: inout Deque<Item>) -> [Item] {
        var (batch, bytes): ([Item], Int) = ([], 0)
        while let next = items.first, batch.count < batchMessages, batch.isEmpty || bytes + next.bytes <= batchBytes {
            bytes += next.bytes
            batch.append(items.removeFirst())
        }
        return batch
    }

    // MARK: Going out

    /// Until the task is cancelled.
    @concurrent
    package func run(through client: RPCClient) async {
        state.withLock { $0.isOpen = true }
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.senders { group.addTask { while let batch = await self.next() { await self.deliver(batch, client) } } }
            }
        } onCancel: {
            close()
        }
        close()
    }

    private func next() async -> [Item]? {
        await withCheckedContinuation { continuation in
            let (batch, isParked) = state.withLock { state -> ([Item]?, Bool) in
                if !state.items.isEmpty, state.isOpen { return (Self.batch(of: &state.items), false) }
                guard state.isOpen else { return (nil, false) }
                state.idle.append(continuation)
                return (nil, true)
            }
            if !isParked { continuation.resume(returning: batch) }
        }
    }

    private func close() {
        let (idle, left) = state.withLock { state in
            defer { (state.isOpen, state.idle, state.items) = (false, [], []) }
            return (state.idle, state.items)
        }
        for sender in idle { sender.resume(returning: nil) }
        for item in left { item.answer(Self.closed) }
    }
}

extension IntakeForwarder.Item {
    func answer(_ outcome: IntakeForwarder.Outcome) { parcel.answer(slot, outcome) }
}

/// Numbers the batches of a session, and tells which were answered.
final class ForwardSequence: Sendable {
    let session: UInt64
    private let state = Mutex<(next: UInt64, open: [UInt64])>((1, []))

    init(session: UInt64) { self.session = session }

    func begin() -> UInt64 {
        state.withLock { state in
            defer { state.next += 1 }
            state.open.append(state.next)
            return state.next
        }
    }

    func end(_ sequence: UInt64) { state.withLock { state in state.open.removeAll { $0 == sequence } } }

    /// All below it were answered.
    var answered: UInt64 { state.withLock { $0.open.first ?? $0.next } }
}
