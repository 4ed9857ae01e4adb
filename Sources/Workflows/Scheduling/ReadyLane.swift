import Primitives

/// Everything that waits for one kind of room: lines by namespace and shape, and whose turn it is. A line that cannot be placed is closed,
/// so that it stands in nobody's way, and is tried again when there is more room.
struct ReadyLane: Sendable {
    /// Lines, and tasks of one line that were put aside, that are tried again in one turn of the planner; the others in the next.
    static let linesInTurn = 128
    static let asideInTurn = 32
    /// More namespaces than this, and those that hold and want nothing give their places up.
    static let namespaceLimit = 1024

    struct Listed: Sendable {
        var namespace: Int
        var line: Int
        var stamp: UInt64
    }

    private(set) var fair = FairShare()
    private var namespaces: [NamespaceLines] = []
    private var places: [Namespace: Int] = [:]
    private var stamps: UInt64 = 0
    /// What waits for more room.
    private var listed: [Listed] = []
    /// What is to be tried again since there was more room.
    private var due: [Listed] = []
    private var round: UInt64 = 0
    private(set) var count = 0

    /// Something could be placed that was not tried yet.
    var hasOpen: Bool { fair.next != nil }
    var owesRetries: Bool { !due.isEmpty }

    /// Whose turn it is.
    var head: WaitingLine.Key? {
        guard let namespace = fair.next, let line = namespaces[namespace].order.first else { return nil }
        return namespaces[namespace].lines[line]?.head
    }

    // MARK: Namespaces

    mutating func place(of namespace: Namespace, weight: Int) -> Int {
        if let known = places[namespace] { return known }
        if namespaces.count >= Self.namespaceLimit,
            let idle = namespaces.indices.first(where: { namespaces[$0].isEmpty && fair.shares[$0].used == 0 })
        {
            places[fair.shares[idle].namespace] = nil
            fair.replace(idle, namespace, weight: weight)
            namespaces[idle] = NamespaceLines()
            places[namespace] = idle
            return idle
        }
        namespaces.append(NamespaceLines())
        places[namespace] = fair.add(namespace, weight: weight)
        return namespaces.count - 1
    }

    mutating func weigh(_ namespace: Namespace, _ weight: Int) { if let place = places[namespace] { fair.weigh(place, weight) } }
    mutating func advance(to now: ClusterTime) { fair.advance(to: now) }
    mutating func take(_ namespace: Int, _ cost: Int) { fair.take(namespace, cost) }
    mutating func give(_ namespace: Int, _ cost: Int) { fair.give(namespace, cost) }

    // MARK: Lines

    /// How many wait in each line, and where the first of them is.
    func eachLine(_ numbers: [UInt64], _ body: (Int, Int) -> Void) {
        for namespace in namespaces where !namespace.isEmpty {
            for case .some(let line) in namespace.lines where line.live > 0 {
                if let first = line.first(numbers) { body(line.live, first.place) }
            }
        }
    }

    mutating func push(_ key: WaitingLine.Key, _ namespace: Int, _ shape: TaskShape) -> Int {
        stamps += 1
        let line = namespaces[namespace].place(of: shape, stamp: stamps)
        let isNew = namespaces[namespace].lines[line]?.live == 0
        namespaces[namespace].lines[line]?.heap.push(key)
        namespaces[namespace].lines[line]?.live += 1
        count += 1
        if isNew { contend(namespace) }
        refresh(namespace, line)
        return line
    }

    /// One of a line is gone: it was placed, or nobody wants it any more.
    mutating func removed(_ namespace: Int, _ line: Int, _ numbers: [UInt64]) {
        namespaces[namespace].lines[line]?.live -= 1
        count -= 1
        clean(namespace, line, numbers)
    }

    /// None of the line can be placed now.
    mutating func close(_ namespace: Int, _ line: Int, isImpossible: Bool) {
        namespaces[namespace].lines[line]?.isClosed = true
        if isImpossible, namespaces[namespace].lines[line]?.isImpossible == false {
            namespaces[namespace].lines[line]?.isImpossible = true
            leave(namespace)
        }
        list(namespace, line)
        refresh(namespace, line)
    }

    /// The first of the line cannot be placed now; the one after it perhaps can.
    mutating func setAside(_ namespace: Int, _ line: Int, _ numbers: [UInt64]) {
        guard let first = namespaces[namespace].lines[line]?.heap.first else { return }
        namespaces[namespace].lines[line]?.heap.pop()
        namespaces[namespace].lines[line]?.aside.append(first)
        list(namespace, line)
        clean(namespace, line, numbers)
    }

    /// There is more room than when lines were closed.
    mutating func retryAll() {
        round += 1
        due += listed
        listed = []
    }

    /// Opens what is to be tried again in this turn.
    mutating func reopen(_ numbers: [UInt64]) {
        let turn = due.prefix(Self.linesInTurn)
        due.removeFirst(turn.count)
        for item in turn { reopen(item, numbers) }
    }

    private mutating func reopen(_ item: Listed, _ numbers: [UInt64]) {
        let (namespace, place) = (item.namespace, item.line)
        guard var line = current(item) else { return }
        namespaces[namespace].lines[place] = nil
        line.isClosed = false
        line.isListed = false
        if line.owed.round != round { line.owed = (round, line.aside.count) }
        let back = min(Self.asideInTurn, line.owed.count, line.aside.count)
        for key in line.aside.prefix(back) { line.heap.push(key) }
        line.aside.removeFirst(back)
        line.owed.count -= back
        let owes = line.owed.count > 0 && !line.aside.isEmpty
        let waits = !line.aside.isEmpty
        let wasImpossible = line.isImpossible
        line.isImpossible = false
        line.isListed = waits
        namespaces[namespace].lines[place] = line
        if waits { if owes { due.append(item) } else { listed.append(item) } }
        if wasImpossible { contend(namespace) }
        clean(namespace, place, numbers)
    }

    /// Nil when another line, or none, has its place by now.
    private func current(_ item: Listed) -> WaitingLine? {
        guard item.line < namespaces[item.namespace].lines.count, let line = namespaces[item.namespace].lines[item.line],
            line.stamp == item.stamp
        else { return nil }
        return line
    }

    private mutating func list(_ namespace: Int, _ line: Int) {
        guard let found = namespaces[namespace].lines[line], !found.isListed else { return }
        namespaces[namespace].lines[line]?.isListed = true
        listed.append(Listed(namespace: namespace, line: line, stamp: found.stamp))
        // Lines that emptied meanwhile are still in it.
        guard listed.count > 2 * count + 1024 else { return }
        listed = listed.filter { current($0) != nil }
    }

    private mutating func contend(_ namespace: Int) {
        if namespaces[namespace].contending == 0 { fair.begin(namespace) }
        namespaces[namespace].contending += 1
    }

    private mutating func leave(_ namespace: Int) {
        namespaces[namespace].contending -= 1
        if namespaces[namespace].contending == 0 { fair.end(namespace) }
    }

    /// Takes out what is gone from where it would be seen, and where it would pile up.
    private mutating func clean(_ namespace: Int, _ line: Int, _ numbers: [UInt64]) {
        guard let wasImpossible = namespaces[namespace].lines[line]?.clean(numbers) else { return refresh(namespace, line) }
        if !wasImpossible { leave(namespace) }
        namespaces[namespace].remove(line)
        fair.wait(namespace, namespaces[namespace].order.first != nil)
    }

    private mutating func refresh(_ namespace: Int, _ line: Int) {
        namespaces[namespace].order[line] = namespaces[namespace].lines[line]?.head
        fair.wait(namespace, namespaces[namespace].order.first != nil)
    }
}
