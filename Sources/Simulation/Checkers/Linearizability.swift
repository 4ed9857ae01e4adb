/// Decides whether histories are linearizable (Herlihy and Wing 1990): whether each operation can have happened at one moment between its
/// invocation and its end. The search is that of Wing and Gong (1993) with Lowe's memory of configurations (2017); each key is searched
/// alone (Horn and Kroening 2015).
///
/// Operations that failed, and reads of unknown outcome, are left out. One history always gets one and the same answer.
package struct Linearizability: Sendable {
    package enum Verdict: Equatable, Sendable {
        /// Places in `operations`, in an order that explains every answer; those that had no effect are left out.
        case linearizable(order: [Int])
        case violation(Violation)
        /// The search of this key met its bound, and no other key has a violation.
        case undecided(key: String, after: Int)
    }

    package struct Violation: Equatable, Sendable {
        package var key: String
        /// The operations of the key that ended, in the order in which they did, as far as they are linearizable together.
        package var prefixLength: Int
        /// Whether every shorter prefix is known to be linearizable; false when the step bound kept that open.
        package var isShortest: Bool
        /// The place in `operations` of the one that ends next: with it, no order is left.
        package var operation: Int
        package var explanation: String
    }

    /// Calls tried on states, each key; 10 million take at most some seconds and 200 MB.
    package var stepLimit: Int

    package init(stepLimit: Int = 10_000_000) {
        precondition(stepLimit > 0, "stepLimit, \(stepLimit)")
        self.stepLimit = stepLimit
    }

    package func check(_ history: History) -> Verdict {
        var undecided: Verdict?
        var points: [(point: Int, place: Int, operation: Int)] = []
        for key in KeyHistory.all(of: history) {
            switch history.kind(of: key.key) == .list ? judge(key, in: history, ListModel()) : judge(key, in: history, RegisterModel()) {
            case .linearizable(let order):
                // Each happens as soon as it and all before it were invoked (their places are in that order): the orders make one.
                var point = 0
                for (place, operation) in order.enumerated() {
                    point = max(point, operation)
                    points.append((point, place, operation))
                }
            case .undecided(let key, let steps): undecided = undecided ?? .undecided(key: key, after: steps)
            case .violation(let violation): return .violation(violation)
            }
        }
        return undecided ?? .linearizable(order: points.sorted(by: <).map(\.operation))
    }
}

extension Linearizability {
    private func judge<Model: SequentialModel>(_ key: KeyHistory, in history: History, _ model: Model) -> Verdict {
        switch outcome(of: key, through: key.ends.count, model) {
        case .order(let order): .linearizable(order: order)
        case .contradiction: .violation(violation(of: key, in: history, model))
        case .undecided: .undecided(key: key.key, after: stepLimit)
        }
    }

    /// What is true of a prefix is true of every shorter one, so that halving finds the shortest that is not linearizable.
    private func violation<Model: SequentialModel>(of key: KeyHistory, in history: History, _ model: Model) -> Violation {
        var (fits, breaks, isShortest) = (0, key.ends.count, true)
        while breaks - fits > 1, isShortest {
            let middle = (fits + breaks) / 2
            switch outcome(of: key, through: middle, model) {
            case .order: fits = middle
            case .contradiction: breaks = middle
            case .undecided: isShortest = false
            }
        }
        let entries = key.entries(through: breaks)
        let culprit = entries.last { $0.end == key.ends[breaks - 1] }?.operation ?? 0
        // Once more, without looking ahead, for the states that the operation met.
        var search = Search(entries, model, stepLimit: min(stepLimit, 100_000), watching: culprit)
        _ = search.run()
        let states = search.refusedIn.joined(separator: " or ")
        let why = states.isEmpty ? "wherever it may stand, another answer is wrong" : "where it may stand, the key holds \(states)"
        let count = breaks == 1 ? "nothing ended before it" : "the \(breaks - 1) that ended before it have an order"
        return Violation(
            key: key.key, prefixLength: breaks - 1, isShortest: isShortest, operation: culprit,
            explanation: "\(history.operations[culprit]) has no place: \(count), but \(why)")
    }

    private func outcome<Model: SequentialModel>(of key: KeyHistory, through count: Int, _ model: Model) -> Search<Model>.Outcome {
        var model = model
        var entries = KeyHistory.Entry.inferring(key.entries(through: count))
        model.lookAhead(at: entries.map { ($0.call, $0.answer) })
        entries.removeAll { $0.answer == nil && !model.mayMatter($0.call) }
        for place in entries.indices { entries[place].call = model.essence(of: entries[place].call) }
        var search = Search(entries, model, stepLimit: stepLimit)
        return search.run()
    }
}

/// The search for one order of one key. Operations that are not yet placed stand in two linked lists, in the order of invocation: those
/// that happened and those of unknown outcome, which are tried last. Placing one lifts it out; going back puts it in again.
///
/// Four rules spare most of the search. What only looks is placed as soon as a state allows it: it can do no harm there. Of operations
/// with one effect the one that ends first is placed first: two can change places. And where writes overwrite, no value is replaced that
/// others must still find and none can write again, and an operation of unknown outcome stands directly before one that the state
/// would refuse without it: else it is overwritten unseen, or can move on.
private struct Search<Model: SequentialModel> {
    enum Outcome {
        case order([Int])
        case contradiction
        case undecided
    }

    /// Which are placed: all that ended before the first unplaced one ends, and those that have their bit. Each has a bit of its own while
    /// it is open, and one of unknown outcome for good.
    private struct Placement: Hashable {
        var ended = 0
        var low: UInt64 = 0
        var high: [UInt64] = []

        mutating func set(_ bit: Int, _ flag: Bool) {
            let mask: UInt64 = 1 << UInt64(bit % 64)
            if bit < 64 {
                low = flag ? low | mask : low & ~mask
            } else {
                high[bit / 64 - 1] = flag ? high[bit / 64 - 1] | mask : high[bit / 64 - 1] & ~mask
            }
        }
    }

    private struct Configuration: Hashable {
        var placement = Placement()
        var state: Model.State
        /// The state before the last operation, when that is of unknown outcome and must prove needed.
        var before: Model.State?
    }

    private struct Frame {
        var entry: Int
        var configuration: Configuration
        var value: Int
        var placedBefore: Int
    }

    /// What two operations have in common that can change places.
    private struct Effect: Hashable {
        var call: History.Call
        var answer: History.Answer
    }

    private let entries: [KeyHistory.Entry]
    private let stepLimit: Int
    private let watched: Int?
    private var model: Model
    private var steps = 0
    private var bits: [Int] = []
    private var effects: [Int] = []
    /// By effect, how many have it.
    private var effectCounts: [Int] = []
    /// By operation, the value that it finds or writes, as a number of its own; -1 for none. By value, how many have yet to.
    private var finds: [Int] = []
    private var writes: [Int] = []
    private var findersLeft: [Int] = []
    private var writersLeft: [Int] = []
    private var value = 0
    /// The unplaced ones of unknown outcome leave in the order of invocation; -1 for the first of its effect.
    private var olderUnknown: [Int] = []
    /// Those that happened, in the order of their ends.
    private let ended: [Int]
    private var next: [Int]
    private var previous: [Int]
    private var isPlaced: [Bool]
    private var placed: [Int] = []
    private var frames: [Frame] = []
    private var visited: Set<Configuration> = []
    private var here: Configuration
    private var refusals: [Model.State] = []

    /// The first states that refused the watched operation.
    var refusedIn: [String] { refusals.map(model.text) }

    init(_ entries: [KeyHistory.Entry], _ model: Model, stepLimit: Int, watching watched: Int? = nil) {
        self.entries = entries
        self.model = model
        self.stepLimit = stepLimit
        self.watched = watched
        ended = entries.indices.filter { entries[$0].answer != nil }.sorted { (entries[$0].end, $0) < (entries[$1].end, $1) }
        isPlaced = Array(repeating: false, count: entries.count)
        // The last two are the heads of the lists.
        next = Array(0..<entries.count + 2)
        previous = next
        here = Configuration(state: model.initial)
        for (entry, operation) in entries.enumerated() {
            let head = operation.answer == nil ? unknownHead : knownHead
            let last = previous[head]
            (next[last], previous[entry], next[entry], previous[head]) = (entry, last, head, entry)
        }
        assignEffects()
        assignValues()
        here.placement.high = Array(repeating: 0, count: max(0, assignBits() - 1) / 64)
    }

    private var knownHead: Int { entries.count }
    private var unknownHead: Int { entries.count + 1 }
    private var isComplete: Bool { here.placement.ended == ended.count }
    /// What begins after it cannot be next: the first unplaced one ends here.
    private var deadline: Int { isComplete ? -1 : entries[ended[here.placement.ended]].end }

    mutating func run() -> Outcome {
        settle()
        var candidate = next[knownHead]
        while !isComplete {
            guard steps <= stepLimit else { return .undecided }
            if candidate < entries.count, entries[candidate].begin < deadline {
                candidate = place(candidate) ? next[knownHead] : next[candidate]
            } else if candidate == knownHead || candidate < entries.count && entries[candidate].answer != nil {
                candidate = next[unknownHead]
            } else {
                guard let frame = frames.popLast() else { return .contradiction }
                putBack(frame)
                candidate = next[frame.entry]
            }
        }
        return .order(placed.map { entries[$0].operation })
    }

    /// Whether the operation can be the next one, and leads where the search has not been.
    private mutating func place(_ entry: Int) -> Bool {
        guard !entries[entry].isObserver, !hasTwin(entry), let state = applied(entry, to: here.state) else { return false }
        let isUnknown = entries[entry].answer == nil
        if isUnknown, state == here.state { return false }
        if Model.overwrites, isMissed(replacing: value, by: entry) { return false }
        if let before = here.before, let without = applied(entry, to: before), !isUnknown || without != before { return false }
        frames.append(Frame(entry: entry, configuration: here, value: value, placedBefore: placed.count))
        here.before = isUnknown && Model.overwrites ? here.state : nil
        here.state = state
        value = writes[entry]
        lift(entry)
        settle()
        if visited.insert(here).inserted { return true }
        putBack(frames.removeLast())
        return false
    }

    /// Places all that only look and see what they were told.
    private mutating func settle() {
        var entry = next[knownHead]
        while entry != knownHead, entries[entry].begin < deadline {
            let following = next[entry]
            if entries[entry].isObserver, applied(entry, to: here.state) != nil {
                here.before = nil
                lift(entry)
            }
            entry = following
        }
    }

    private mutating func applied(_ entry: Int, to state: Model.State) -> Model.State? {
        steps += 1
        let after = model.apply(entries[entry].call, answering: entries[entry].answer, to: state)
        if after == nil, entries[entry].operation == watched, refusals.count < 4, !refusals.contains(state) { refusals.append(state) }
        return after
    }

    /// Whether another one of the same effect has to come first.
    private func hasTwin(_ entry: Int) -> Bool {
        guard effectCounts[effects[entry]] > 1 else { return false }
        if olderUnknown[entry] >= 0, !isPlaced[olderUnknown[entry]] { return true }
        var other = next[knownHead]
        while other != knownHead, entries[other].begin < deadline {
            if effects[other] == effects[entry], (entries[other].end, other) < (entries[entry].end, entry) { return true }
            other = next[other]
        }
        return false
    }

    private func isMissed(replacing value: Int, by entry: Int) -> Bool {
        guard writes[entry] != value, writersLeft[value] == 0 else { return false }
        return findersLeft[value] > (finds[entry] == value ? 1 : 0)
    }

    private mutating func count(_ entry: Int, _ change: Int) {
        if finds[entry] >= 0 { findersLeft[finds[entry]] += change }
        if writes[entry] >= 0 { writersLeft[writes[entry]] += change }
    }

    private mutating func lift(_ entry: Int) {
        count(entry, -1)
        (next[previous[entry]], previous[next[entry]]) = (next[entry], previous[entry])
        isPlaced[entry] = true
        placed.append(entry)
        here.placement.set(bits[entry], true)
        while !isComplete, isPlaced[ended[here.placement.ended]] {
            here.placement.set(bits[ended[here.placement.ended]], false)
            here.placement.ended += 1
        }
    }

    private mutating func putBack(_ frame: Frame) {
        here = frame.configuration
        value = frame.value
        while placed.count > frame.placedBefore {
            let entry = placed.removeLast()
            count(entry, 1)
            isPlaced[entry] = false
            (next[previous[entry]], previous[next[entry]]) = (entry, entry)
        }
    }

    private mutating func assignEffects() {
        var known: [Effect: Int] = [:]
        var lastUnknown: [Int: Int] = [:]
        for (entry, operation) in entries.enumerated() {
            // One of unknown outcome is placed only where it has an effect.
            let effect = Effect(call: operation.call, answer: operation.answer ?? operation.call.success)
            let place = known[effect] ?? effectCounts.count
            if place == effectCounts.count { effectCounts.append(0) }
            known[effect] = place
            effects.append(place)
            effectCounts[place] += 1
            olderUnknown.append(operation.answer == nil ? lastUnknown.updateValue(entry, forKey: place) ?? -1 : -1)
        }
    }

    private mutating func assignValues() {
        var known: [UInt64?: Int] = [nil: 0]
        (findersLeft, writersLeft) = ([0], [0])
        func number(_ value: UInt64?) -> Int {
            let number = known[value] ?? findersLeft.count
            guard number == findersLeft.count else { return number }
            known[value] = number
            findersLeft.append(0)
            writersLeft.append(0)
            return number
        }
        for entry in entries.indices {
            let isCounted = Model.overwrites && entries[entry].operation != watched
            finds.append(isCounted ? entries[entry].seen.map(number) ?? -1 : -1)
            writes.append(Model.overwrites && !entries[entry].isObserver ? entries[entry].written.map(number) ?? -1 : -1)
            count(entry, 1)
        }
    }

    /// Gives each a bit that no other has while it is open; answers how many it took.
    private mutating func assignBits() -> Int {
        var (count, free, released): (Int, [Int], Int) = (0, [], 0)
        for operation in entries {
            while released < ended.count, entries[ended[released]].end < operation.begin {
                free.append(bits[ended[released]])
                released += 1
            }
            bits.append(free.popLast() ?? count)
            count = max(count, (bits.last ?? 0) + 1)
        }
        return count
    }
}
