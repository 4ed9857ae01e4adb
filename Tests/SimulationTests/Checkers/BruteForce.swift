@testable import Simulation

/// Linearizability by definition; shares no code with the checker.
private enum Object: Equatable {
    case absent
    case number(UInt64)
    case list([UInt64])

    var number: UInt64? { if case .number(let number) = self { number } else { nil } }
    var items: [UInt64] { if case .list(let items) = self { items } else { [] } }

    /// nil when it would not answer so.
    func after(_ operation: History.Operation) -> Object? {
        switch (operation.call, operation.answer) {
        case (.read, .value(nil)): self == .absent || self == .list([]) ? self : nil
        case (.read, .value(let found)): number == found ? self : nil
        case (.read, .list(let found)): items == found ? self : nil
        case (.write(let value), _): .number(value)
        case (.append(let element), _): .list(items + [element])
        case (.compareAndSwap(let expected, let new), .swapped): number == expected ? .number(new) : nil
        case (.compareAndSwap(let expected, _), .mismatch): number == expected ? nil : self
        case (.compareAndSwap(let expected, let new), _): number == expected ? .number(new) : self
        case (.read, _): self
        }
    }
}

/// Tries every order of every choice of the unknown operations, all keys at once.
func bruteForce(_ history: History) -> Bool {
    let (begin, end) = positions(history)
    let candidates = history.operations.indices.filter { if case .failed = history.operations[$0].completion { false } else { true } }
    func search(_ left: [Int], _ objects: [String: Object]) -> Bool {
        if left.allSatisfy({ history.operations[$0].completion == .unknown }) { return true }
        return left.contains { next in
            guard left.allSatisfy({ end[$0] > begin[next] }) else { return false }
            let operation = history.operations[next]
            guard let after = objects[operation.key, default: .absent].after(operation) else { return false }
            var objects = objects
            objects[operation.key] = after
            return search(left.filter { $0 != next }, objects)
        }
    }
    return search(candidates, [:])
}

private func positions(_ history: History) -> (begin: [Int], end: [Int]) {
    var begin = Array(repeating: 0, count: history.operations.count)
    var end = Array(repeating: Int.max, count: history.operations.count)
    for (position, event) in history.events.enumerated() {
        switch event {
        case .invoked(let index): begin[index] = position
        case .completed(let index): if history.operations[index].completion != .unknown { end[index] = position }
        }
    }
    return (begin, end)
}

/// Whether an order keeps real time, leaves out nothing that happened, and explains every answer.
func explains(_ order: [Int], _ history: History) -> Bool {
    let (begin, end) = positions(history)
    var earliest = Int.max
    for index in order.reversed() {
        if begin[index] > earliest { return false }
        earliest = min(earliest, end[index])
    }
    guard Set(order).count == order.count else { return false }
    let placed = Set(order)
    guard history.operations.indices.allSatisfy({ history.operations[$0].answer == nil || placed.contains($0) }) else { return false }
    var objects: [String: Object] = [:]
    for index in order {
        let operation = history.operations[index]
        if case .failed = operation.completion { return false }
        guard let after = objects[operation.key, default: .absent].after(operation) else { return false }
        objects[operation.key] = after
    }
    return true
}

func ended(_ history: History, key: String) -> [Int] {
    history.events.compactMap { event in
        guard case .completed(let index) = event, history.operations[index].key == key else { return nil }
        return history.operations[index].answer == nil ? nil : index
    }
}

/// The events of a key until so many of its operations ended; what is open then is of unknown outcome.
func prefix(of history: History, key: String, ended count: Int) throws -> History {
    var prefix = History()
    var count = count
    for event in history.events {
        switch event {
        case .invoked(let index):
            let operation = history.operations[index]
            guard operation.key == key, count > 0 else { continue }
            if case .failed = operation.completion { continue }
            try prefix.invoke(process: operation.process, key: key, operation.call, at: operation.invokedAt)
        case .completed(let index):
            let operation = history.operations[index]
            guard operation.key == key, count > 0 else { continue }
            if case .failed = operation.completion { continue }
            try prefix.complete(process: operation.process, operation.completion)
            if operation.answer != nil { count -= 1 }
        }
    }
    return prefix
}
