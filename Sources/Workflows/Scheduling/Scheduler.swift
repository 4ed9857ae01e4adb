package import Primitives

/// What waits, who has room, and who gets what: queue and placement together, with what each task holds. A value like the rest: the
/// leader's planner owns it, and it is made anew from the state when another leads.
package struct Scheduler: Sendable {
    package typealias Ticket = ReadyQueue.Ticket

    /// A task with the worker that it is given to.
    package struct Placed: Equatable, Sendable {
        package let item: ReadyQueue.Item
        package let worker: NodeID
    }

    private struct Reservation {
        var ticket: Ticket
        var worker: NodeID
    }

    /// A task that takes several places and has found none for so long has the next worker kept for it that is large enough: one at a time
    /// for each kind of room.
    package static let usualPatience = Duration.seconds(10)

    package private(set) var placement: Placement
    package private(set) var ready: ReadyQueue
    package let patience: Duration
    private var reserved: [Reservation?] = Pool.allCases.map { _ in nil }
    private var now = ClusterTime.zero
    /// Of the placement, when what waits was last told to try again.
    private var growth: UInt64 = 0

    package init(placement: Placement = Placement(), ready: ReadyQueue = ReadyQueue(), patience: Duration = Scheduler.usualPatience) {
        self.placement = placement
        self.ready = ready
        self.patience = patience
    }

    /// Something is to be tried again that this turn did not come to: another turn is due, also when nothing happens.
    package var owesRetries: Bool { ready.owesRetries || growth != placement.growth && ready.count > 0 }

    /// Time has come to that: to be said before anything is released at it, so that what was held until then is counted.
    package mutating func advance(to time: ClusterTime) {
        now = max(now, time)
        ready.advance(to: now)
    }

    // MARK: Workers

    /// A worker that is new, or the same again: what it holds stays with it, and so does that it is cordoned or drains.
    package mutating func join(_ node: NodeID, _ offer: Placement.Offer) {
        placement.change(node, offer)
        if placement[node]?.standing == .suspect { placement.stand(node, as: .available) }
    }

    /// What it held is held until it is released.
    package mutating func leave(_ node: NodeID) { placement.leave(node) }

    package mutating func stand(_ node: NodeID, as standing: Placement.Standing) { placement.stand(node, as: standing) }

    package mutating func worker(_ node: NodeID, saysFree slots: Int) { placement.worker(node, saysFree: slots) }

    package mutating func weigh(_ namespace: Namespace, _ weight: Int) { ready.weigh(namespace, weight) }

    // MARK: Tasks

    /// A worker at once, where nobody who waits could have had that place: nil means that the task is to wait.
    package mutating func placeNow(_ item: ReadyQueue.Item) -> NodeID? {
        let pool = item.demand.shape.pool
        guard ready.count(pool) == 0 || growth == placement.growth && !ready.hasOpen(pool), ready.claim(item.ticket) == nil,
            case .placed(let worker) = placement.place(item.demand)
        else { return nil }
        ready.claim(item, .init(worker: worker, isCounted: true))
        giveUpReservation(of: item.ticket, pool)
        return worker
    }

    /// It waits for a worker, unless it has one.
    package mutating func push(_ item: ReadyQueue.Item) { ready.push(item) }

    /// It waits no more.
    package mutating func withdraw(run: RunID, task: Int) { ready.remove(run: run, task: task) }

    /// The run has ended.
    package mutating func forget(_ run: RunID) { placement.forget(run) }

    /// An assignment that exists already; saying it again changes nothing.
    package mutating func occupy(_ item: ReadyQueue.Item, worker: NodeID) {
        if let claim = ready.claim(item.ticket) {
            guard claim.worker != worker || !claim.isCounted else { return }
            release(run: item.run, task: item.task)
        }
        let isCounted = placement[worker] != nil
        placement.occupy(worker, item.demand)
        ready.claim(item, .init(worker: worker, isCounted: isCounted))
    }

    /// The task has no worker any more; for one that had none nothing happens.
    package mutating func release(run: RunID, task: Int) {
        guard let (demand, claim) = ready.release(Ticket(run: run, task: task)), claim.isCounted else { return }
        placement.release(claim.worker, demand)
    }

    // MARK: A turn

    /// Begins a turn of placing at that time.
    package mutating func begin(at time: ClusterTime) {
        advance(to: time)
        for pool in Pool.allCases { reviewReservation(pool) }
        if growth != placement.growth {
            growth = placement.growth
            ready.retryAll()
        }
        ready.reopen()
    }

    /// The next task that gets a worker in this turn; nil when no more can. Tasks that need no slot come first.
    package mutating func next() -> Placed? {
        for pool in Pool.allCases {
            if let placed = placeReserved(pool) { return placed }
            while let (place, item) = ready.head(pool) {
                switch placement.place(item.demand) {
                case .placed(let worker):
                    ready.serve(place, .init(worker: worker, isCounted: true))
                    giveUpReservation(of: item.ticket, pool)
                    return Placed(item: item, worker: worker)
                case .full:
                    ready.close(place, pool, isImpossible: false)
                    reserve(item, pool)
                case .impossible: ready.close(place, pool, isImpossible: true)
                case .apart: ready.setAside(place, pool)
                }
            }
        }
        return nil
    }

    // MARK: Reservation

    private mutating func reserve(_ item: ReadyQueue.Item, _ pool: Pool) {
        guard item.demand.shape.cost > 1, reserved[pool.rawValue] == nil, now.duration(since: item.since) >= patience,
            let worker = placement.reserve(item.demand)
        else { return }
        reserved[pool.rawValue] = Reservation(ticket: item.ticket, worker: worker)
    }

    /// The task may be gone, or the worker not fit any more.
    private mutating func reviewReservation(_ pool: Pool) {
        guard let reservation = reserved[pool.rawValue] else { return }
        guard let item = ready.item(reservation.ticket), placement.mayTake(item.demand, reservation.worker) else {
            return giveUpReservation(pool)
        }
    }

    private mutating func placeReserved(_ pool: Pool) -> Placed? {
        guard let reservation = reserved[pool.rawValue], let item = ready.item(reservation.ticket),
            let worker = placement[reservation.worker], worker.unused(pool) >= item.demand.shape.cost
        else { return nil }
        placement.occupy(worker.node, item.demand)
        ready.claim(item, .init(worker: worker.node, isCounted: true))
        giveUpReservation(pool)
        return Placed(item: item, worker: worker.node)
    }

    private mutating func giveUpReservation(of ticket: Ticket, _ pool: Pool) {
        if reserved[pool.rawValue]?.ticket == ticket { giveUpReservation(pool) }
    }

    private mutating func giveUpReservation(_ pool: Pool) {
        guard let reservation = reserved[pool.rawValue] else { return }
        reserved[pool.rawValue] = nil
        placement.unreserve(reservation.worker, pool)
    }

    /// For whom a worker is kept.
    func reservation(_ pool: Pool) -> (ticket: Ticket, worker: NodeID)? {
        reserved[pool.rawValue].map { ($0.ticket, $0.worker) }
    }
}
