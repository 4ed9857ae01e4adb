/// What happened to one key: its operations, and where among the history's events they begin and end.
struct KeyHistory {
    struct Entry: Equatable {
        /// Its place in the history's `operations`.
        var operation: Int
        var call: History.Call
        /// nil when the outcome is unknown, or it failed; nothing is known of the end then.
        var answer: History.Answer?
        var isFailed = false
        var begin: Int
        /// Where its answer came; of an inferred one, where what it did was found.
        var end = Int.max
        var isInferred = false
    }

    let key: String
    /// In the order of invocation.
    private(set) var entries: [Entry] = []
    /// Where the answered ones end, in that order.
    private(set) var ends: [Int] = []

    /// One for each key, in the order of first use.
    static func all(of history: History) -> [KeyHistory] {
        var keys: [KeyHistory] = []
        var keyPlaces: [String: Int] = [:]
        var places: [(key: Int, entry: Int)] = []
        for (position, event) in history.events.enumerated() {
            switch event {
            case .invoked(let index):
                let operation = history.operations[index]
                let place = keyPlaces[operation.key] ?? keys.count
                if place == keys.count {
                    keyPlaces[operation.key] = place
                    keys.append(KeyHistory(key: operation.key))
                }
                places.append((place, keys[place].entries.count))
                var entry = Entry(operation: index, call: operation.call, begin: position)
                if case .failed = operation.completion { entry.isFailed = true }
                keys[place].entries.append(entry)
            case .completed(let index):
                guard let answer = history.operations[index].answer else { continue }
                let (key, entry) = places[index]
                (keys[key].entries[entry].answer, keys[key].entries[entry].end) = (answer, position)
                keys[key].ends.append(position)
            }
        }
        return keys
    }

    private init(key: String) { self.key = key }

    /// What was known when the first `count` had ended: the others begun by then are of unknown outcome, and reads of these tell nothing.
    /// Those that failed, for certain, are left out.
    func entries(through count: Int) -> [Entry] {
        let last = count == 0 ? -1 : ends[count - 1]
        return entries.prefix { $0.begin < last }.compactMap { entry in
            guard entry.end > last else { return entry }
            return entry.call == .read || entry.isFailed ? nil : Entry(operation: entry.operation, call: entry.call, begin: entry.begin)
        }
    }
}

extension History.Call {
    /// What is answered when it has its effect.
    var success: History.Answer {
        switch self {
        case .read: .value(nil)
        case .write, .append: .done
        case .compareAndSwap: .swapped
        }
    }
}

extension KeyHistory.Entry {
    /// Whether it leaves every state as it is.
    var isObserver: Bool { call == .read || answer == .mismatch }
    var mayHaveHappened: Bool { !isFailed && answer != .mismatch }
    var isAcknowledged: Bool { answer != nil && answer != .mismatch }

    /// What it leaves in the key, if it has its effect.
    var written: UInt64? {
        switch call {
        case .read: nil
        case .write(let value), .append(let value), .compareAndSwap(_, let value): value
        }
    }

    /// What it proves to have been in the key.
    var found: [UInt64] {
        switch (call, answer) {
        case (_, .value(let value?)): [value]
        case (_, .list(let items)): items
        case (.compareAndSwap(let expected?, _), .swapped): [expected]
        case (_, .value(nil)), (_, .done), (_, .swapped), (_, .mismatch), (_, nil): []
        }
    }

    /// What a register held when it was read or swapped.
    var seen: UInt64?? {
        switch (call, answer) {
        case (.read, .value(let value)): .some(value)
        case (.compareAndSwap(let expected, _), .swapped): .some(expected)
        case (.read, _), (.compareAndSwap, _), (.write, _), (.append, _): nil
        }
    }

    /// An operation of unknown outcome happened if its value was found and nothing else can have written that: then it did so before the
    /// end of the first that found it.
    static func inferring(_ entries: [Self]) -> [Self] {
        guard entries.contains(where: { $0.answer == nil }) else { return entries }
        var entries = entries
        var writers: [UInt64: [Int]] = [:]
        for (place, entry) in entries.enumerated() {
            if let value = entry.written, entry.mayHaveHappened { writers[value, default: []].append(place) }
        }
        var open = Array(entries.indices)
        while let finder = open.popLast() {
            for value in entries[finder].found {
                guard let all = writers[value], all.count == 1, let place = all.first, place != finder else { continue }
                let (writer, end) = (entries[place], entries[finder].end)
                guard writer.answer == nil || writer.isInferred, writer.begin < end, end < writer.end else { continue }
                (entries[place].answer, entries[place].end, entries[place].isInferred) = (writer.call.success, end, true)
                open.append(place)
            }
        }
        return entries
    }
}
