/// What an object does when its operations come one after another; a history is linearizable when some order of it does the same.
///
/// A read, and a compare-and-swap that found another value, leave every state as it is.
package protocol SequentialModel: Sendable {
    associatedtype State: Hashable, Sendable

    /// Whether a state is the last value written and nothing else, as in a register.
    static var overwrites: Bool { get }
    var initial: State { get }

    /// The state after a call that was answered so, nil when this state would not answer so. Without an answer anything is accepted.
    mutating func apply(_ call: History.Call, answering: History.Answer?, to state: State) -> State?
    /// Notes which answers the one order has to explain, so that the verbs below and `apply` can leave out what none of them tells.
    mutating func lookAhead(at operations: [(call: History.Call, answer: History.Answer?)])
    /// Whether a call of unknown outcome can change any answer; one that cannot is taken to have never happened.
    func mayMatter(_ call: History.Call) -> Bool
    /// A call that no answer tells from this one: the same for all such.
    func essence(of call: History.Call) -> History.Call
    /// How people read a state.
    func text(of state: State) -> String
}

/// A register with compare-and-swap; absent at first.
package struct RegisterModel: SequentialModel {
    package static let overwrites = true
    package let initial: UInt64? = nil
    /// The values that some operation looks for; nil before `lookAhead`.
    private var looked: Set<UInt64>?
    /// Stands for every value that none looks for.
    private var overlooked: UInt64?
    /// A mismatch is content with any value but one, so that any write may serve it.
    private var hasMismatch = false

    package init() {}

    package func apply(_ call: History.Call, answering answer: History.Answer?, to state: UInt64?) -> UInt64?? {
        switch (call, answer) {
        case (.read, .value(let found)): found == state ? .some(state) : nil
        case (.read, nil): .some(state)
        case (.write(let value), .done), (.write(let value), nil): .some(value)
        case (.compareAndSwap(let expected, let new), .swapped): expected == state ? .some(new) : nil
        case (.compareAndSwap(let expected, _), .mismatch): expected == state ? nil : .some(state)
        case (.compareAndSwap(let expected, let new), nil): .some(expected == state ? new : state)
        case (.read, _), (.write, _), (.compareAndSwap, _), (.append, _): nil
        }
    }

    package mutating func lookAhead(at operations: [(call: History.Call, answer: History.Answer?)]) {
        var values: Set<UInt64> = []
        for (call, answer) in operations {
            if case .value(let found?) = answer { values.insert(found) }
            if case .compareAndSwap(let expected?, _) = call { values.insert(expected) }
        }
        looked = values
        hasMismatch = operations.contains { $0.answer == .mismatch }
        overlooked = operations.lazy.compactMap { Self.written($0.call) }.first { !values.contains($0) }
    }

    package func mayMatter(_ call: History.Call) -> Bool {
        guard let looked, !hasMismatch else { return true }
        return Self.written(call).map(looked.contains) ?? false
    }

    package func essence(of call: History.Call) -> History.Call {
        guard let looked, let overlooked, let value = Self.written(call), !looked.contains(value) else { return call }
        guard case .compareAndSwap(let expected, _) = call else { return .write(overlooked) }
        return .compareAndSwap(expected: expected, new: overlooked)
    }

    private static func written(_ call: History.Call) -> UInt64? {
        switch call {
        case .write(let value), .compareAndSwap(_, let value): value
        case .read, .append: nil
        }
    }

    package func text(of state: UInt64?) -> String { History.Answer.value(state).text }
}

/// A list that grows by append; empty at first. All lists met so far stand in one trie, so that a state is a number.
package struct ListModel: SequentialModel {
    private struct Branch: Hashable, Sendable {
        var from: Int
        var element: UInt64
    }

    package static let overwrites = false
    package let initial = 0
    private var nodes: [(parent: Int, element: UInt64, count: Int)] = [(0, 0, 0)]
    private var branches: [Branch: Int] = [:]
    /// The longest list that a read finds: every state is a beginning of it or begins with it. nil before `lookAhead`.
    private var longest: [UInt64]?
    private var shown: Set<UInt64> = []

    package init() {}

    package mutating func apply(_ call: History.Call, answering answer: History.Answer?, to state: Int) -> Int? {
        switch (call, answer) {
        case (.read, .list(let items)): return holds(items, at: state) ? state : nil
        case (.read, .value(nil)): return state == initial ? state : nil
        case (.read, nil): return state
        case (.append(let element), .done), (.append(let element), nil):
            let count = nodes[state].count
            guard let longest else { return appended(element, to: state) }
            // Beyond the longest list nobody looks: what need not have happened, did not.
            let isAllowed = count < longest.count ? longest[count] == element : answer != nil
            return isAllowed ? appended(element, to: state) : nil
        case (.read, _), (.append, _), (.write, _), (.compareAndSwap, _): return nil
        }
    }

    package mutating func lookAhead(at operations: [(call: History.Call, answer: History.Answer?)]) {
        var found: [UInt64] = []
        for case (_, .list(let items)) in operations where items.count > found.count { found = items }
        longest = found
        shown = Set(found)
    }

    package func mayMatter(_ call: History.Call) -> Bool {
        switch call {
        case .read, .write, .compareAndSwap: false
        case .append(let element): longest == nil || shown.contains(element)
        }
    }

    package func essence(of call: History.Call) -> History.Call { call }

    package func text(of state: Int) -> String { History.Answer.list(items(of: state)).text }

    private mutating func appended(_ element: UInt64, to state: Int) -> Int {
        let branch = Branch(from: state, element: element)
        if let known = branches[branch] { return known }
        nodes.append((state, element, nodes[state].count + 1))
        branches[branch] = nodes.count - 1
        return nodes.count - 1
    }

    private func holds(_ items: [UInt64], at state: Int) -> Bool {
        guard items.count == nodes[state].count else { return false }
        var here = state
        for item in items.reversed() {
            guard nodes[here].element == item else { return false }
            here = nodes[here].parent
        }
        return true
    }

    private func items(of state: Int) -> [UInt64] {
        var items: [UInt64] = []
        var here = state
        while here != initial {
            items.append(nodes[here].element)
            here = nodes[here].parent
        }
        return items.reversed()
    }
}
