package import Primitives

/// Tasks that wait for a worker, apart for those that take a slot and those that do not.
///
/// Between namespaces it goes by `FairShare`. Among the tasks of one namespace the highest effective priority goes first, which is
/// `priority + waited / ageing`: with an ageing step of 10 s a task of priority 0 that has waited for 90 s is as good as one of priority 9
/// that comes now, so that whatever waits is passed by those only that came at most `9 * ageing` after it. The order of two tasks never
/// changes, since both age alike: it is that of `readyAt - priority * ageing`, and of coming where that is the same.
package struct ReadyQueue: Sendable {
    package static let priorities = 0...9
    package static let usualPriority = 5
    /// Waiting so long counts as much as one priority.
    package static let usualAgeing = Duration.seconds(10)

    package struct Item: Equatable, Sendable {
        package var run: RunID
        package var task: Int
        package var since: ClusterTime
        /// 0 to 9, the higher first.
        package var priority: Int
        package var demand: TaskDemand
        package var kind: TaskKind { demand.shape.kind }

        package init(run: RunID, task: Int, since: ClusterTime, priority: Int = ReadyQueue.usualPriority, demand: TaskDemand) {
            self.run = run
            self.task = task
            self.since = since
            self.priority = min(ReadyQueue.priorities.upperBound, max(ReadyQueue.priorities.lowerBound, priority))
            self.demand = demand
        }

        package init(run: RunID, task: Int, kind: TaskKind, since: ClusterTime) {
            self.init(run: run, task: task, since: since, demand: TaskDemand(namespace: .default, run: run, shape: TaskShape(kind)))
        }

        var ticket: Ticket { Ticket(run: run, task: task) }
    }

    /// One task of one run.
    package struct Ticket: Hashable, Sendable {
        package var run: RunID
        package var task: Int

        package init(run: RunID, task: Int) {
            self.run = run
            self.task = task
        }

        /// Half of a run's id tells it from others: most of that is chance.
        package func hash(into hasher: inout Hasher) { hasher.combine(run.low &+ UInt64(truncatingIfNeeded: task)) }
    }

    /// A worker that a task is with.
    struct Claim: Sendable {
        var worker: NodeID
        /// The worker is known here, so that its places are taken.
        var isCounted: Bool
    }

    /// A task in its line, or with its worker.
    private struct Entry {
        var item: Item?
        var namespace = 0
        var line = 0
        var claim: Claim?
    }

    private struct Age: Comparable {
        var since: ClusterTime
        var number: UInt64
        var place: Int

        static func < (left: Age, right: Age) -> Bool {
            left.since != right.since ? left.since < right.since : left.number < right.number
        }
    }

    private var entries: [Entry] = []
    /// The number of each entry in its line, 0 for one that is in none. By themselves, since they are looked at more often.
    private var numbers: [UInt64] = []
    private var free: [Int] = []
    private var places: [Ticket: Int] = [:]
    /// What is gone is passed over.
    private var ages = BinaryHeap<Age>()
    private var lanes = Pool.allCases.map { _ in ReadyLane() }
    private var weights: [Namespace: Int] = [:]
    private var newest: UInt64 = 0
    package let ageing: Duration

    /// - Parameter ageing: 1 ms to a day.
    package init(ageing: Duration = ReadyQueue.usualAgeing) { self.ageing = min(.seconds(86_400), max(.milliseconds(1), ageing)) }

    package var count: Int { lanes.reduce(0) { $0 + $1.count } }
    package func count(_ pool: Pool) -> Int { lanes[pool.rawValue].count }

    /// When the one that waits longest became ready.
    package var oldest: ClusterTime? { ages.first?.since }

    /// One that waits.
    package func item(_ ticket: Ticket) -> Item? { waiting(ticket).flatMap { entries[$0].item } }

    /// By the formula above, not bounded by 9.
    package func effectivePriority(of item: Item, at now: ClusterTime) -> Double {
        Double(item.priority) + Double(max(0, now.duration(since: item.since).milliseconds)) / Double(ageing.milliseconds)
    }

    /// 1 to 1000; a namespace of which nothing is said has 1.
    package mutating func weigh(_ namespace: Namespace, _ weight: Int) {
        weights[namespace] = weight
        for pool in Pool.allCases { lanes[pool.rawValue].weigh(namespace, weight) }
    }

    // MARK: Coming and going

    /// One that waits already is put where it belongs now; one that has a worker waits for none.
    package mutating func push(_ item: Item) {
        remove(run: item.run, task: item.task)
        guard places[item.ticket] == nil else { return }
        let place = newPlace(item.ticket)
        newest += 1
        let pool = item.demand.shape.pool.rawValue
        let namespace = lanes[pool].place(of: item.demand.namespace, weight: weights[item.demand.namespace] ?? 1)
        let line = lanes[pool].push(WaitingLine.Key(rank: rank(of: item), number: newest, place: place), namespace, item.demand.shape)
        numbers[place] = newest
        entries[place] = Entry(item: item, namespace: namespace, line: line)
        ages.push(Age(since: item.since, number: newest, place: place))
    }

    private func rank(of item: Item) -> Int64 {
        let since = Int64(clamping: item.since.milliseconds) * (mutated(.newestFirst) ? -1 : 1)
        return since.subtractingReportingOverflow(Int64(item.priority) * ageing.milliseconds).partialValue
    }

    private mutating func newPlace(_ ticket: Ticket) -> Int {
        let place = free.popLast() ?? entries.count
        if place == entries.count {
            entries.append(Entry())
            numbers.append(0)
        }
        places[ticket] = place
        return place
    }

    private func waiting(_ ticket: Ticket) -> Int? { places[ticket].flatMap { numbers[$0] > 0 ? $0 : nil } }

    /// It is no longer wanted. What does not wait is left as it is.
    package mutating func remove(run: RunID, task: Int) {
        let ticket = Ticket(run: run, task: task)
        guard let place = waiting(ticket) else { return }
        leaveLine(place)
        vacate(place, ticket)
    }

    private mutating func vacate(_ place: Int, _ ticket: Ticket) {
        places[ticket] = nil
        entries[place] = Entry()
        free.append(place)
    }

    private mutating func leaveLine(_ place: Int) {
        guard let pool = entries[place].item?.demand.shape.pool.rawValue else { return }
        numbers[place] = 0
        lanes[pool].removed(entries[place].namespace, entries[place].line, numbers)
        while let first = ages.first, numbers[first.place] != first.number { ages.pop() }
        if ages.count > 2 * count + 1024 { ages = BinaryHeap(ages.unordered.filter { numbers[$0.place] == $0.number }) }
    }

    package func first(takingSlot: Bool) -> Item? { head(takingSlot ? .slots : .light)?.item }

    package mutating func popFirst(takingSlot: Bool) {
        if let first = first(takingSlot: takingSlot) { remove(run: first.run, task: first.task) }
    }

    // MARK: Who has a worker

    func claim(_ ticket: Ticket) -> Claim? { places[ticket].flatMap { entries[$0].claim } }

    /// The task has a worker, for which its namespace pays. It waits no more.
    mutating func claim(_ item: Item, _ claim: Claim) {
        if let place = places[item.ticket] { return serve(place, claim) }
        let place = newPlace(item.ticket)
        let pool = item.demand.shape.pool.rawValue
        entries[place] = Entry(item: item, claim: claim)
        entries[place].namespace = lanes[pool].place(of: item.demand.namespace, weight: weights[item.demand.namespace] ?? 1)
        lanes[pool].take(entries[place].namespace, item.demand.shape.cost)
    }

    /// The same of one that waits.
    mutating func serve(_ place: Int, _ claim: Claim) {
        guard numbers[place] > 0, let shape = entries[place].item?.demand.shape else { return }
        lanes[shape.pool.rawValue].take(entries[place].namespace, shape.cost)
        leaveLine(place)
        entries[place].claim = claim
    }

    /// Its worker has it no more.
    mutating func release(_ ticket: Ticket) -> (demand: TaskDemand, claim: Claim)? {
        guard let place = places[ticket], let claim = entries[place].claim, let demand = entries[place].item?.demand else { return nil }
        lanes[demand.shape.pool.rawValue].give(entries[place].namespace, demand.shape.cost)
        vacate(place, ticket)
        return (demand, claim)
    }

    // MARK: What cannot be placed

    /// Whose turn it is.
    func head(_ pool: Pool) -> (place: Int, item: Item)? {
        guard let place = lanes[pool.rawValue].head?.place, let item = entries[place].item else { return nil }
        return (place, item)
    }

    /// Nobody takes tasks of the shape of this one now.
    mutating func close(_ place: Int, _ pool: Pool, isImpossible: Bool) {
        lanes[pool.rawValue].close(entries[place].namespace, entries[place].line, isImpossible: isImpossible)
    }

    /// Nobody takes this first of its line now, but perhaps the next.
    mutating func setAside(_ place: Int, _ pool: Pool) {
        lanes[pool.rawValue].setAside(entries[place].namespace, entries[place].line, numbers)
    }

    mutating func retryAll() { for pool in Pool.allCases { lanes[pool.rawValue].retryAll() } }
    mutating func reopen() { for pool in Pool.allCases { lanes[pool.rawValue].reopen(numbers) } }
    func hasOpen(_ pool: Pool) -> Bool { lanes[pool.rawValue].hasOpen || lanes[pool.rawValue].owesRetries }
    var owesRetries: Bool { lanes.contains { $0.owesRetries } }

    /// Hands out each line with how many wait in it, and the first of them.
    func eachLine(_ pool: Pool, _ body: (Int, Item) -> Void) {
        lanes[pool.rawValue].eachLine(numbers) { count, place in if let item = entries[place].item { body(count, item) } }
    }

    // MARK: Shares

    mutating func advance(to now: ClusterTime) { for pool in Pool.allCases { lanes[pool.rawValue].advance(to: now) } }

    func shares(_ pool: Pool) -> [FairShare.Share] { lanes[pool.rawValue].fair.shares }
}
