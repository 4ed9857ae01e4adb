import Primitives

/// Whose turn it is among namespaces. Each has a virtual time that runs with what it holds: one place for one second makes one second,
/// divided by the namespace's weight, and every placement at least a millisecond. The one with the least is next; for what it holds
/// at this moment a deposit of a second a place is added, so that places which come free together are dealt out by weight and not all to
/// one. Over time the places held by namespaces that always have something waiting are to each other as their weights, however long
/// their tasks take. A namespace that had nothing waiting begins where the others are: idling saves nothing up, and what was taken while
/// nobody else wanted it costs nothing.
struct FairShare: Sendable {
    /// Milliseconds of one place.
    static let deposit = 1000.0
    static let price = 1.0
    static let weights = 1...1000

    struct Share: Sendable {
        let namespace: Namespace
        var weight: Int
        /// Places that it holds.
        var used = 0
        /// Milliseconds of one place, divided by the weight. Computed alike everywhere: IEEE 754 leaves no choice.
        var time = 0.0
        /// It has something that can be tried now.
        var isWaiting = false
        /// It has something that somebody could take, now or later.
        var contends = false

        /// What the least of goes first.
        var turn: Turn { Turn(time: time + FairShare.deposit * Double(used) / Double(weight), namespace: namespace) }
    }

    struct Turn: Comparable, Sendable {
        let time: Double
        let namespace: Namespace

        static func < (left: Turn, right: Turn) -> Bool {
            left.time != right.time ? left.time < right.time : left.namespace < right.namespace
        }
    }

    private(set) var shares: [Share] = []
    private var turns = KeyTree<Turn>()
    /// The most that one had when it was served, or when nobody wanted more: where newcomers begin.
    private var clock = 0.0
    private var contenders = 0
    private var now: ClusterTime?

    /// The place of the one whose turn it is, of those that wait.
    var next: Int? { turns.first }

    mutating func add(_ namespace: Namespace, weight: Int) -> Int {
        shares.append(Share(namespace: namespace, weight: Self.weight(weight)))
        return shares.count - 1
    }

    /// The place of one that has nothing and waits for nothing, for another.
    mutating func replace(_ place: Int, _ namespace: Namespace, weight: Int) {
        shares[place] = Share(namespace: namespace, weight: Self.weight(weight))
        turns[place] = nil
    }

    mutating func weigh(_ place: Int, _ weight: Int) {
        shares[place].weight = Self.weight(weight)
        refresh(place)
    }

    private static func weight(_ weight: Int) -> Int { min(weights.upperBound, max(weights.lowerBound, weight)) }

    /// Time has come to `now`. One that falls is not followed.
    mutating func advance(to now: ClusterTime) {
        guard let before = self.now else { return self.now = now }
        guard now > before else { return }
        self.now = now
        let passed = Double(now.milliseconds - before.milliseconds)
        for place in shares.indices where shares[place].used > 0 {
            shares[place].time += passed * Double(shares[place].used) / Double(shares[place].weight)
            if contenders == 0 { clock = max(clock, shares[place].time) }
            refresh(place)
        }
    }

    /// It has something that can be tried, or has not.
    mutating func wait(_ place: Int, _ isWaiting: Bool) {
        guard shares[place].isWaiting != isWaiting else { return }
        shares[place].isWaiting = isWaiting
        refresh(place)
    }

    /// It comes from having nothing that anybody could take.
    mutating func begin(_ place: Int) {
        contenders += 1
        shares[place].contends = true
        shares[place].time = max(shares[place].time, clock)
        refresh(place)
    }

    mutating func end(_ place: Int) {
        contenders -= 1
        shares[place].contends = false
    }

    mutating func take(_ place: Int, _ cost: Int) {
        clock = max(clock, shares[place].time)
        shares[place].time += Self.price * Double(cost) / Double(shares[place].weight)
        shares[place].used += cost
        refresh(place)
    }

    mutating func give(_ place: Int, _ cost: Int) {
        shares[place].used = max(0, shares[place].used - cost)
        refresh(place)
    }

    private mutating func refresh(_ place: Int) {
        if shares[place].isWaiting { turns[place] = shares[place].turn } else if turns[place] != nil { turns[place] = nil }
    }
}
