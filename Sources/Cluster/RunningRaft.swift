import NIOCore
import Observability
import Primitives
import Raft
import Storage
import Synchronization

/// A core with what performs its effects. Whoever brings an event holds the driver's lock, and so effects are begun in the order of their events.
struct RunningRaft: Sendable {
    /// Files that belong to the log's thread: what touches them is done there.
    struct OwnedStorage: @unchecked Sendable {
        private let storage: RaftStorage
        init(_ storage: RaftStorage) { self.storage = storage }
        /// Reads nothing of the disk.
        func operations(of write: RaftOutput.Write) -> [LogThread.Operation] { storage.operations(of: write) }
        func receive(_ chunk: RaftMessage.SnapshotChunk) throws(StorageError) -> Bool? { try storage.receive(chunk) }
        func resume(_ mark: SnapshotMark) throws(StorageError) -> UInt32 { try storage.resume(mark) }
        func hold(_ mark: SnapshotMark) { storage.snapshots.hold(.init(index: mark.index, term: mark.term, chain: mark.chain)) }
        func release(_ mark: SnapshotMark) throws(StorageError) {
            try storage.snapshots.release(.init(index: mark.index, term: mark.term, chain: mark.chain))
        }
        func trust() throws(StorageError) { try storage.trust() }
        func distrust() throws(StorageError) {
            try storage.distrust("log: the leader knows of entries that were here and are not any more")
        }
        /// Nil for an entry that is not in the log any more.
        func chain(at index: LogIndex) throws(StorageError) -> UInt64? {
            do throws(StorageError) { return try storage.log.position(at: index)?.chain } catch {
                if case .gap = error { return nil }
                throw error
            }
        }
        /// Of a snapshot's own files alone, and so from any thread.
        func chunk(_ number: UInt32, of mark: SnapshotMark) throws(StorageError) -> [UInt8] { try storage.chunk(number, of: mark) }
    }

    /// Somebody who waits for what was asked.
    enum Ask: Sendable {
        case read(CheckedContinuation<Result<LogIndex, RaftRefusal>, Never>)
        case change(CheckedContinuation<Result<LogIndex, RaftRefusal>, Never>)
        case transfer(CheckedContinuation<Result<NodeID, RaftRefusal>, Never>)

        func refuse(_ reason: RaftRefusal) {
            switch self {
            case .read(let waiting), .change(let waiting): waiting.resume(returning: .failure(reason))
            case .transfer(let waiting): waiting.resume(returning: .failure(reason))
            }
        }
    }

    private static let heardLimit = 64

    private(set) var core: RaftCore
    private(set) var output = RaftOutput()
    let thread: LogThread
    let storage: OwnedStorage
    /// The server may trust itself once this write is durable.
    var trustTicket: UInt64?
    private var outgoing: [RaftOutput.Outgoing] = []
    /// Snapshots that are on their way to others.
    private var sending: [SnapshotMark] = []
    private var isFlushing = false
    private var wakes = false
    /// When the earliest timer that is set goes off.
    private var timer: Instant?
    private var asks: [UInt64: Ask] = [:]
    private var nextAsk: UInt64 = 1
    /// When each of the others was last heard.
    private(set) var heard: [NodeID: Instant] = [:]
    /// Who waits for a leadership that is handed over.
    private var transferAsk: UInt64?

    init(core: RaftCore, thread: LogThread, storage: OwnedStorage) {
        (self.core, self.thread, self.storage) = (core, thread, storage)
    }

    // MARK: Events

    mutating func take(_ event: RaftCore.Event, _ driver: RaftDriver) {
        output.clear()
        if case .message(_, let sender) = event, heard[sender] != nil || heard.count < Self.heardLimit {
            heard[sender] = driver.telemetry.clock.coarseNow
        }
        core.handle(event, now: driver.telemetry.clock.now, into: &output)
        if driver.proposals.isWatching { driver.proposals.see(core) }
        perform(driver)
    }

    mutating func propose(_ payloads: [[UInt8]], at index: LogIndex, term: Term, _ driver: RaftDriver) -> RaftDriver.Proposed {
        guard core.role == .leader, core.term == term else { return .refused(.notLeader(hint: core.leader)) }
        guard core.log.lastIndex.next == index else { return .moved(next: core.log.lastIndex.next) }
        take(.propose(id: 0, payloads), driver)
        if let refused = output.refused.first(where: { $0.id == 0 }) { return .refused(refused.reason) }
        return .taken
    }

    /// Registers who asks, and asks.
    mutating func ask(_ ask: Ask, _ driver: RaftDriver, _ event: (UInt64) -> RaftCore.Event) {
        let id = nextAsk
        nextAsk += 1
        asks[id] = ask
        if case .transfer = ask, transferAsk == nil { transferAsk = id }
        take(event(id), driver)
    }

    mutating func tick(due: Instant, _ driver: RaftDriver) {
        if timer == due { timer = nil }
        guard core.glance.deadline <= driver.telemetry.clock.now else { return schedule(driver) }
        take(.tick, driver)
    }

    mutating func takeOutgoing() -> [RaftOutput.Outgoing] {
        isFlushing = false
        defer { outgoing = [] }
        return outgoing
    }

    /// The server stops: nobody is left waiting.
    mutating func refuseAll() {
        let left = asks
        (asks, transferAsk) = ([:], nil)
        for ask in left.values { ask.refuse(.notLeader(hint: nil)) }
    }

    // MARK: Effects

    private mutating func perform(_ driver: RaftDriver) {
        for write in output.writes { begin(write, driver) }
        if output.isTrusted {
            trustTicket = output.writes.last?.ticket
            if trustTicket == nil {
                let storage = storage
                thread.perform { () throws(StorageError) in try storage.trust() }
            }
        }
        for fetch in output.fetches {
            // When the log's thread has stopped the server has: nobody waits for the answer.
            _ = thread.read(from: fetch.first, through: fetch.last, maxBytes: fetch.maxBytes) { [weak driver] result in
                driver?.handle(.fetched(peer: fetch.peer, (try? result.get()) ?? []))
            }
        }
        if let lost = output.lost { driver.tell(lost) }
        if let mark = output.incoming { resume(mark, driver) }
        holdWhatIsSent()
        if !output.messages.isEmpty { queue(driver) }
        answer()
        tell(driver)
        schedule(driver)
    }

    private func begin(_ write: RaftOutput.Write, _ driver: RaftDriver) {
        let storage = storage
        // Before all that waits together with it is done, and so before anybody is told.
        if write.isDistrusted { thread.perform { () throws(StorageError) in try storage.distrust() } }
        guard let chunk = write.chunk else {
            thread.write(storage.operations(of: write), ticket: write.ticket)
            return
        }
        thread.write(storage.operations(of: write), ticket: write.ticket) { [weak driver] () throws(StorageError) in
            if let isWhole = try storage.receive(chunk) { driver?.didReceive(chunk.snapshot, isWhole: isWhole) }
        }
    }

    /// A snapshot that is on its way stays on the disk when a newer one is taken: else a follower would begin anew for ever.
    private mutating func holdWhatIsSent() {
        let begins = output.transitions.contains { if case .snapshotSent = $0 { true } else { false } }
        guard begins || !sending.isEmpty else { return }
        var wanted: [SnapshotMark] = []
        if core.role == .leader {
            for peer in core.progress {
                if case .snapshot(let transfer) = peer.state { wanted.append(transfer.mark) }
            }
        }
        for mark in wanted where !sending.contains(mark) {
            storage.hold(mark)
            sending.append(mark)
        }
        for mark in sending where !wanted.contains(mark) {
            let storage = storage
            thread.perform { () throws(StorageError) in try storage.release(mark) }
        }
        sending.removeAll { !wanted.contains($0) }
    }

    private func resume(_ mark: SnapshotMark, _ driver: RaftDriver) {
        let storage = storage
        thread.perform { [weak driver] () throws(StorageError) in
            let chunk = try storage.resume(mark)
            driver?.handle(.snapshotResumes(mark, chunk: chunk))
        }
    }

    private mutating func queue(_ driver: RaftDriver) {
        guard driver.network != nil else { return }
        outgoing += output.messages
        guard !isFlushing else { return }
        (isFlushing, wakes) = (true, true)
    }

    /// Whether the loop is to be woken: done once the lock is free again, for whoever is woken wants it.
    mutating func takeWake() -> Bool {
        defer { wakes = false }
        return wakes
    }

    private mutating func answer() {
        for ready in output.readsReady {
            guard case .read(let waiting) = asks.removeValue(forKey: ready.id) else { continue }
            waiting.resume(returning: .success(ready.index))
        }
        for refused in output.refused {
            if transferAsk == refused.id { transferAsk = nil }
            asks.removeValue(forKey: refused.id)?.refuse(refused.reason)
        }
        for accepted in output.accepted {
            guard case .change(let waiting)? = asks[accepted.id] else { continue }
            asks[accepted.id] = nil
            waiting.resume(returning: .success(accepted.first))
        }
    }

    private mutating func tell(_ driver: RaftDriver) {
        let observer = driver.observer.withLock { $0 }
        for transition in output.transitions {
            driver.events.see(transition, core)
            switch transition {
            case .becameLeader(let term): observer?.role(.leads(term, from: core.log.lastIndex))
            case .becameFollower, .becamePreCandidate, .becameCandidate: observer?.role(.follows)
            case .transferEnded(let target, let isDone): transferred(target, isDone)
            case .configuration: if let network = driver.network { network.loop.execute { driver.followMembers() } }
            default: break
            }
        }
        if let mark = output.restored { observer?.restored(mark) }
        if let commit = output.commit { observer?.committed(commit) }
    }

    private mutating func transferred(_ target: NodeID, _ isDone: Bool) {
        guard let id = transferAsk, case .transfer(let waiting)? = asks.removeValue(forKey: id) else { return }
        transferAsk = nil
        waiting.resume(returning: isDone ? .success(target) : .failure(.transferFailed(target)))
    }

    /// One timer is set for the earliest time that was wanted: mostly it is put off again and again, and then nothing is to be done.
    mutating func schedule(_ driver: RaftDriver) {
        guard let network = driver.network else { return }
        let due = core.glance.deadline
        if let timer, timer <= due { return }
        timer = due
        let wait = max(.zero, due.duration(since: driver.telemetry.clock.now))
        network.loop.scheduleTask(in: .nanoseconds(wait.nanoseconds)) { [weak driver] () -> Void in driver?.tick(due: due) }
    }
}
