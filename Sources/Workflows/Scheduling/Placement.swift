package import Primitives

/// Who has room for what: the free places of every known worker, and who of them gets a task. What must not be evaluated twice is the
/// leader's alone: no replica does this.
package struct Placement: Sendable {
    /// As much as `worker.slots` allows.
    package static let slotLimit = 10_000
    package static let lightLimit = 100_000

    /// What came of asking for a place.
    package enum Answer: Equatable, Sendable {
        case placed(NodeID)
        /// Those who may take it have no room for now.
        case full
        /// Those with room hold another of its group.
        case apart
        /// Nobody that may take new tasks could ever take it.
        case impossible
    }

    /// Each keeps its place as long as it is known.
    private var loads: [Load] = []
    private var free: [Int] = []
    private var places: [NodeID: Int] = [:]
    /// Places by node id, so that ties fall the same way everywhere.
    private var order: [Int] = []
    package private(set) var runningTasks = 0
    /// Rises whenever somebody may have got more room than before.
    package private(set) var growth: UInt64 = 0
    private var pools = WorkerPools()
    private(set) var bonds = BondTable()
    private var strategy: any PlacementStrategy
    private var generator: SeededGenerator

    /// - Parameter seed: of what the strategy draws.
    package init(strategy: any PlacementStrategy = LeastLoaded(), seed: UInt64 = 0) {
        self.strategy = strategy
        generator = SeededGenerator(seed: seed)
    }

    package subscript(node: NodeID) -> Load? { places[node].map { loads[$0] } }

    /// By node id.
    package var workers: [Load] { order.map { loads[$0] } }

    /// Groups whose last worker is no longer remembered, because there were too many.
    package var forgottenGroups: UInt64 { bonds.forgotten }

    // MARK: Workers

    /// A worker that is new or began anew: it holds nothing.
    package mutating func join(_ node: NodeID, _ offer: Offer) {
        if let place = places[node] {
            runningTasks -= loads[place].tasks
            loads[place] = Load(node, offer)
        } else {
            insert(Load(node, offer))
        }
        grown()
    }

    package mutating func join(_ node: NodeID, slots: Int, light: Int) { join(node, Offer(slots: slots, light: light)) }

    /// The same worker offers something else; what it holds stays with it.
    package mutating func change(_ node: NodeID, _ offer: Offer) {
        guard let place = places[node] else { return join(node, offer) }
        loads[place].take(offer)
        loads[place].saidFree = nil
        if loads[place].standing == .gone { loads[place].standing = .available }
        grown()
    }

    package mutating func stand(_ node: NodeID, as standing: Standing) {
        guard let place = places[node], loads[place].standing != standing else { return }
        guard standing != .gone else { return leave(node) }
        loads[place].standing = standing
        grown()
    }

    /// It gets nothing more; it is known until all that it holds was released.
    package mutating func leave(_ node: NodeID) {
        guard let place = places[node] else { return }
        loads[place].standing = .gone
        if loads[place].tasks == 0 { remove(place) }
        pools.invalidate()
    }

    /// What the worker itself counts, with a renewal or a refusal: assignments may be on their way that it does not know yet, so it is
    /// believed only where it says less than is known here.
    package mutating func worker(_ node: NodeID, saysFree slots: Int) {
        guard let place = places[node] else { return }
        let before = loads[place].free(.slots)
        loads[place].saidFree = max(0, slots)
        refresh(place, .slots)
        if loads[place].free(.slots) > before { growth += 1 }
    }

    // MARK: Tasks

    /// A worker with room, whose places are then taken; nil when none has any.
    package mutating func place(_ kind: TaskKind) -> NodeID? {
        guard case .placed(let node) = place(TaskDemand(kind)) else { return nil }
        return node
    }

    package mutating func place(_ demand: TaskDemand) -> Answer {
        let pool = pools.find(demand.shape, loads, order)
        let cost = Int32(clamping: demand.shape.cost)
        guard pools[pool].capacity >= demand.shape.cost else { return .impossible }
        guard pools[pool].room.first(in: pools[pool].whole, atLeast: cost) != nil else { return .full }
        guard let chosen = choose(demand, pool, cost) else { return .apart }
        take(chosen, demand)
        return .placed(loads[chosen].node)
    }

    /// An assignment that exists already, wherever it fits or not.
    package mutating func occupy(_ node: NodeID, _ demand: TaskDemand) {
        if let place = places[node], !mutated(.heldTakesNoRoom) { take(place, demand) }
    }

    package mutating func occupy(_ node: NodeID, _ kind: TaskKind) { occupy(node, TaskDemand(kind)) }

    package mutating func release(_ node: NodeID, _ demand: TaskDemand) {
        if let bond = demand.apart { bonds.letGo(bond, node) }
        guard let place = places[node], !mutated(.roomNotGivenBack) else { return }
        let before = loads[place].tasks
        loads[place].use(demand.shape.pool, -demand.shape.cost, tasks: -1)
        runningTasks -= before - loads[place].tasks
        growth += 1
        if loads[place].standing == .gone, loads[place].tasks == 0 { remove(place) } else { refresh(place, demand.shape.pool) }
    }

    package mutating func release(_ node: NodeID, _ kind: TaskKind) { release(node, TaskDemand(kind)) }

    /// The run has ended: nothing of it needs to be near anything.
    package mutating func forget(_ run: RunID) { bonds.forget(.run(run)) }

    // MARK: Reservation

    /// Keeps all that comes free at one worker for a task that finds enough nowhere: the one with most room of those that are large
    /// enough. Nil when there is none.
    mutating func reserve(_ demand: TaskDemand) -> NodeID? {
        let pool = pools.find(demand.shape, loads, order)
        let (kind, cost) = (demand.shape.pool, demand.shape.cost)
        let kept = demand.shape.terms.apart?.isRequired == true ? demand.apart.map { bonds.holders(of: $0) } ?? [] : []
        var best: Int?
        for number in pools[pool].workers {
            let worker = loads[Int(number)]
            guard worker.capacity(kind) >= cost, !worker.isReserved(kind), !kept.contains(where: { $0.node == worker.node }) else {
                continue
            }
            if worker.unused(kind) > best.map({ loads[$0].unused(kind) }) ?? -1 { best = Int(number) }
        }
        guard let best else { return nil }
        loads[best].reserve(kind, true)
        refresh(best, kind)
        return loads[best].node
    }

    mutating func unreserve(_ node: NodeID, _ pool: Pool) {
        guard let place = places[node], loads[place].isReserved(pool) else { return }
        loads[place].reserve(pool, false)
        refresh(place, pool)
        growth += 1
    }

    /// Whether the worker may still come to take it.
    func mayTake(_ demand: TaskDemand, _ node: NodeID) -> Bool {
        guard let worker = self[node], worker.takesNew, worker.offers(demand.shape.kind) else { return false }
        return worker.capacity(demand.shape.pool) >= demand.shape.cost
            && demand.shape.terms.required.allSatisfy { $0.matches(worker.labels) }
    }

    // MARK: Choosing

    private mutating func choose(_ demand: TaskDemand, _ pool: Int, _ cost: Int32) -> Int? {
        let isRequired = demand.shape.terms.apart?.isRequired == true
        if !isRequired, let place = nearest(demand, pool, cost) { return place }
        guard let bond = demand.apart else { return ask(demand, pool, cost) }
        let hidden = hide(bonds.holders(of: bond), pool)
        let chosen = (isRequired ? nearest(demand, pool, cost) : nil) ?? ask(demand, pool, cost)
        for (position, free) in hidden { pools[pool].room[position] = free }
        return chosen ?? (isRequired ? nil : ask(demand, pool, cost))
    }

    /// While a worker is hidden it has no room.
    private mutating func hide(_ holders: [BondTable.Holder], _ pool: Int) -> [(Int, Int32)] {
        var hidden: [(Int, Int32)] = []
        for holder in holders {
            guard let place = places[holder.node], let position = pools[pool].position(of: place) else { continue }
            hidden.append((position, pools[pool].room[position]))
            pools[pool].room[position] = 0
        }
        return hidden
    }

    private func nearest(_ demand: TaskDemand, _ pool: Int, _ cost: Int32) -> Int? {
        guard let bond = demand.near, let node = bonds.lastWorker(of: bond), let place = places[node],
            loads[place].standing == .available, let position = pools[pool].position(of: place), pools[pool].room[position] >= cost
        else { return nil }
        return place
    }

    private mutating func ask(_ demand: TaskDemand, _ pool: Int, _ cost: Int32) -> Int? {
        guard let tier = pools[pool].tier(withRoom: cost) else { return nil }
        let candidates = PlacementCandidates(pools[pool], loads, tier: tier, cost: Int(cost))
        let answer = strategy.choose(for: demand, among: candidates, using: &generator)
        let isGood = answer.map { candidates.indices.contains($0) && candidates.hasRoom($0) } ?? false
        return (isGood ? answer : candidates.roomiest).map { Int(pools[pool].workers[tier.lowerBound + $0]) }
    }

    private mutating func take(_ place: Int, _ demand: TaskDemand) {
        loads[place].use(demand.shape.pool, demand.shape.cost, tasks: 1)
        runningTasks += 1
        refresh(place, demand.shape.pool)
        if let bond = demand.apart { bonds.hold(bond, loads[place].node) }
        if let bond = demand.near { bonds.remember(bond, loads[place].node) }
    }

    private mutating func refresh(_ place: Int, _ pool: Pool) { pools.set(place, pool, free: loads[place].free(pool)) }

    private mutating func grown() {
        pools.invalidate()
        growth += 1
    }

    private mutating func insert(_ worker: Load) {
        let place = free.popLast() ?? loads.count
        if place < loads.count { loads[place] = worker } else { loads.append(worker) }
        places[worker.node] = place
        order.insert(place, at: rank(of: worker.node))
    }

    private mutating func remove(_ place: Int) {
        runningTasks -= loads[place].tasks
        places[loads[place].node] = nil
        order.remove(at: rank(of: loads[place].node))
        free.append(place)
        pools.invalidate()
    }

    /// Where a node is, or would be, in the order.
    private func rank(of node: NodeID) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if loads[order[middle]].node < node { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
