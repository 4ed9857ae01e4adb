package import Primitives
import Simulation

/// What clients asked and were told, as lines of JSON, judged by the simulator's checker: can each operation have happened at one moment
/// between its invocation and its end?
package struct HistoryCheck: Sendable {
    /// Why there is nothing to judge: a line that is none, with its number.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// What it came to.
    package struct Verdict: Sendable {
        package enum State: String, Sendable { case linearizable, violated, undecided }

        package var state: State
        /// For people, a line for each thing there is to say.
        package var lines: [String]
        /// The same for programs.
        package var value: Value
    }

    /// Of the key that is shown.
    private static let shownOperations = 20

    private let history: History

    package init(_ bytes: [UInt8]) throws(Problem) {
        do throws(HistoryError) { history = try History(jsonLines: bytes) } catch { throw Problem(description: error.description) }
    }

    /// Each key is judged by itself, which is enough: a history is linearizable when those of all its keys are (Herlihy and Wing).
    ///
    /// - Parameter steps: how many calls are tried on states, each key, before it is left undecided.
    package func verdict(steps: Int) -> Verdict {
        let checker = Linearizability(stepLimit: steps)
        var violations: [(key: KeyOperations, violation: Linearizability.Violation)] = []
        var undecided: [String] = []
        let keys = KeyOperations.all(of: history)
        for key in keys {
            switch checker.check(key.history) {
            case .linearizable: continue
            case .violation(let violation): violations.append((key, violation))
            case .undecided: undecided.append(key.key)
            }
        }
        // The shortest is the easiest to understand.
        let smallest = violations.min {
            ($0.violation.prefixLength, $0.key.key) < ($1.violation.prefixLength, $1.key.key)
        }
        let state: Verdict.State = smallest != nil ? .violated : undecided.isEmpty ? .linearizable : .undecided
        return Verdict(
            state: state, lines: lines(keys.count, smallest, violations.count, undecided, steps),
            value: value(state, keys.count, smallest, violations.map(\.key.key), undecided))
    }

    private func lines(
        _ keys: Int, _ smallest: (key: KeyOperations, violation: Linearizability.Violation)?, _ violated: Int, _ undecided: [String],
        _ steps: Int
    ) -> [String] {
        let all = "\(keys) \(keys == 1 ? "key" : "keys"), \(history.operations.count) operations in all"
        let open = undecided.prefix(3).map { "\"\($0)\"" }.joined(separator: ", ")
        let left = "\(undecided.count) of \(all), are open after \(steps) steps, as \(open): --steps takes more"
        guard let (key, violation) = smallest else {
            return undecided.isEmpty ? ["linearizable: \(all)"] : ["not decided: \(left)"]
        }
        var lines = ["not linearizable: \(violated) of \(all); the smallest is \"\(key.key)\"", violation.explanation]
        if !violation.isShortest { lines.append("a shorter beginning of it may be wrong already: --steps takes more, and tells") }
        let culprit = key.history.operations[violation.operation]
        let before = key.history.operations.filter { $0.invokedAt <= (culprit.endedAt ?? .max) && $0 != culprit }
        if before.count > Self.shownOperations { lines.append("  ... \(before.count - Self.shownOperations) operations before these") }
        lines += before.suffix(Self.shownOperations).map { "  \($0)" } + ["> \(culprit)"]
        return undecided.isEmpty ? lines : lines + [left]
    }

    private func value(
        _ state: Verdict.State, _ keys: Int, _ smallest: (key: KeyOperations, violation: Linearizability.Violation)?, _ violated: [String],
        _ undecided: [String]
    ) -> Value {
        .object([
            "verdict": .string(state.rawValue), "operations": Value(history.operations.count), "keys": Value(keys),
            "smallest": smallest.map { key, violation in
                [
                    "key": .string(key.key), "operation": .string(key.history.operations[violation.operation].description),
                    "endedBefore": Value(violation.prefixLength), "isShortest": .bool(violation.isShortest),
                    "explanation": .string(violation.explanation),
                ]
            }, "violated": .list(violated.map(Value.string)), "undecided": .list(undecided.map(Value.string)),
        ])
    }
}

/// The operations of one key, in the order of their events.
private struct KeyOperations {
    let key: String
    private(set) var history = History()

    private init(key: String) { self.key = key }

    /// In the order of first use.
    static func all(of whole: History) -> [KeyOperations] {
        var keys: [KeyOperations] = []
        var places: [String: Int] = [:]
        for event in whole.events {
            switch event {
            case .invoked(let number):
                let operation = whole.operations[number]
                let place = places[operation.key] ?? keys.count
                if place == keys.count {
                    places[operation.key] = place
                    keys.append(KeyOperations(key: operation.key))
                }
                keys[place].note { history throws(HistoryError) in
                    _ = try history.invoke(process: operation.process, key: operation.key, operation.call, at: operation.invokedAt)
                }
            case .completed(let number):
                let operation = whole.operations[number]
                guard let place = places[operation.key] else { continue }
                keys[place].note { history throws(HistoryError) in
                    try history.complete(process: operation.process, operation.completion)
                }
            }
        }
        return keys
    }

    private mutating func note(_ body: (inout History) throws(HistoryError) -> Void) {
        do throws(HistoryError) { try body(&history) } catch { preconditionFailure("a part of a history is none: \(error)") }
    }
}
