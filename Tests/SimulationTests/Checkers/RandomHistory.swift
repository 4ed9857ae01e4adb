import Primitives

@testable import Simulation

/// Histories drawn from a seed.
enum RandomHistory {
    /// At most 6 operations of 3 processes on a register and a list; half of the answers are guesses.
    static func tiny(seed: UInt64, operations limit: Int = 6) throws -> History {
        var random = SeededGenerator(seed: seed)
        var history = History()
        var register: UInt64?
        var list: [UInt64] = []
        var open: [Int: History.Operation] = [:]
        var time: Int64 = 0
        let honesty = Int.random(in: 3...10, using: &random)
        while history.operations.count < limit || !open.isEmpty {
            let process = Int.random(in: 0..<3, using: &random)
            time += Int64.random(in: 0...2, using: &random)
            guard let operation = open[process] else {
                guard history.operations.count < limit else { continue }
                let operation = call(process, UInt64.random(in: 1...3, using: &random), UInt64.random(in: 1...3, using: &random), &random)
                try history.invoke(process: process, key: operation.key, operation.call, at: time)
                open[process] = operation
                continue
            }
            open[process] = nil
            guard Int.random(in: 0..<6, using: &random) > 0 else {
                if Bool.random(using: &random) { _ = answer(operation, &register, &list) }
                try history.complete(process: process, .unknown)
                continue
            }
            guard Int.random(in: 0..<10, using: &random) > 0 else {
                try history.complete(process: process, .failed(at: time))
                continue
            }
            var told = answer(operation, &register, &list)
            if Int.random(in: 0..<10, using: &random) >= honesty { told = guess(told, &random) }
            try history.complete(process: process, .ok(told, at: time))
        }
        return history
    }

    private static func call(_ process: Int, _ value: UInt64, _ other: UInt64, _ random: inout SeededGenerator) -> History.Operation {
        switch Int.random(in: 0..<7, using: &random) {
        case 0...1: .unknown(process, .read, 0, key: "x")
        case 2: .unknown(process, .write(value), 0, key: "x")
        case 3: .unknown(process, .compareAndSwap(expected: value == 3 ? nil : value, new: other), 0, key: "x")
        case 4...5: .unknown(process, .append(value), 0, key: "list")
        default: .unknown(process, .read, 0, key: "list")
        }
    }

    private static func answer(_ operation: History.Operation, _ register: inout UInt64?, _ list: inout [UInt64]) -> History.Answer {
        switch operation.call {
        case .read: return operation.key == "x" ? .value(register) : .list(list)
        case .write(let value): register = value
        case .append(let element): list.append(element)
        case .compareAndSwap(let expected, let new):
            guard register == expected else { return .mismatch }
            register = new
            return .swapped
        }
        return .done
    }

    private static func guess(_ answer: History.Answer, _ random: inout SeededGenerator) -> History.Answer {
        let value = UInt64.random(in: 0...3, using: &random)
        return switch answer {
        case .value: .value(value == 0 ? nil : value)
        case .list(let items): .list(value == 0 ? items.reversed() : value == 1 ? items.dropLast() : items + [value])
        case .swapped: .mismatch
        case .mismatch: .swapped
        case .done: .done
        }
    }

    /// What a correct store does: each operation takes effect at once, at a moment between its invocation and its end. One in 40 is of
    /// unknown outcome; of those some take effect much later. Values are unique; the keys are 4 registers and 2 lists.
    static func execution(seed: UInt64, operations limit: Int, processes: Int = 8) throws -> History {
        struct Open {
            var operation: History.Operation
            var answer: History.Answer?
        }
        var random = SeededGenerator(seed: seed)
        var history = History()
        var registers: [UInt64?] = Array(repeating: nil, count: 4)
        var lists: [[UInt64]] = [[], []]
        var open: [Int: Open] = [:]
        var late: [History.Operation] = []
        var (time, value): (Int64, UInt64) = (0, 0)
        func apply(_ operation: History.Operation) -> History.Answer {
            let number = Int(operation.key.dropFirst()) ?? 0
            guard operation.key.hasPrefix("r") else {
                if case .append(let element) = operation.call { lists[number].append(element) }
                return operation.call == .read ? .list(lists[number]) : .done
            }
            var none: [UInt64] = []
            var register = registers[number]
            defer { registers[number] = register }
            return answer(History.Operation.unknown(0, operation.call, 0), &register, &none)
        }
        while history.operations.count < limit || !open.isEmpty {
            time += Int64.random(in: 0...1_000, using: &random)
            if !late.isEmpty, Int.random(in: 0..<50, using: &random) == 0 {
                _ = apply(late.remove(at: Int.random(in: late.indices, using: &random)))
            }
            let process = Int.random(in: 0..<processes, using: &random)
            guard var current = open[process] else {
                guard history.operations.count < limit else { continue }
                value += 1
                let number = Int.random(in: 0..<6, using: &random)
                let isList = number >= 4
                let call: History.Call =
                    switch Int.random(in: 0..<(isList ? 2 : 4), using: &random) {
                    case 0: .read
                    case 1: isList ? .append(value) : .write(value)
                    case 2: .compareAndSwap(expected: registers[number], new: value)
                    default: .compareAndSwap(expected: UInt64.random(in: 1...value, using: &random), new: value)
                    }
                let operation = History.Operation.unknown(process, call, time, key: isList ? "l\(number - 4)" : "r\(number)")
                try history.invoke(process: process, key: operation.key, call, at: time)
                open[process] = Open(operation: operation, answer: nil)
                continue
            }
            if Int.random(in: 0..<40, using: &random) == 0 {
                if current.answer == nil, Bool.random(using: &random) { late.append(current.operation) }
                try history.complete(process: process, .unknown)
                open[process] = nil
            } else if let answer = current.answer {
                try history.complete(process: process, .ok(answer, at: time))
                open[process] = nil
            } else {
                current.answer = apply(current.operation)
                open[process] = current
            }
        }
        return history
    }
}
