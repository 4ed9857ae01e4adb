package import Logging
import Synchronization

/// The least level that is logged, by label, changed while the node runs. `raft` is for the label `raft` and for those under it, as
/// `raft.storage`; the longest that fits counts.
package final class LogLevels: Sendable {
    /// What a logger asks each time: one atomic word.
    package final class Cell: Sendable {
        private let number: Atomic<Int>
        init(_ level: Logger.Level) { number = Atomic(level.place) }
        package var level: Logger.Level {
            get { Logger.Level.allCases[number.load(ordering: .relaxed)] }
            set { number.store(newValue.place, ordering: .relaxed) }
        }
    }

    private struct State {
        var standard: Logger.Level
        var rules: [String: Logger.Level]
        var cells: [String: Cell] = [:]

        func level(of label: String) -> Logger.Level {
            var name = label[...]
            while true {
                if let level = rules[String(name)] { return level }
                guard let dot = name.lastIndex(of: ".") else { return standard }
                name = name[..<dot]
            }
        }
    }

    /// Labels that may have a level of their own.
    package static let limit = 256

    private let state: Mutex<State>

    package init(standard: Logger.Level, rules: [String: Logger.Level] = [:]) {
        state = Mutex(State(standard: standard, rules: rules))
    }

    package func cell(for label: String) -> Cell {
        state.withLock { state in
            if let cell = state.cells[label] { return cell }
            let cell = Cell(state.level(of: label))
            state.cells[label] = cell
            return cell
        }
    }

    /// - Parameter level: nil lets the label go by what is above it again.
    /// - Returns: false when too many labels have a level already.
    package func set(_ label: String, to level: Logger.Level?) -> Bool {
        state.withLock { state in
            guard level == nil || state.rules[label] != nil || state.rules.count < Self.limit else { return false }
            state.rules[label] = level
            refresh(&state)
            return true
        }
    }

    package var standard: Logger.Level {
        get { state.withLock { $0.standard } }
        set {
            state.withLock { state in
                state.standard = newValue
                refresh(&state)
            }
        }
    }

    private func refresh(_ state: inout State) {
        for (label, cell) in state.cells { cell.level = state.level(of: label) }
    }

    /// Every label that logs or has a level, with the level in force and whether it is its own.
    package var all: [(label: String, level: Logger.Level, isOwn: Bool)] {
        state.withLock { state in
            Set(state.cells.keys).union(state.rules.keys).sorted().map { ($0, state.level(of: $0), state.rules[$0] != nil) }
        }
    }
}

extension Logger.Level {
    /// 0 for trace.
    fileprivate var place: Int {
        switch self {
        case .trace: 0
        case .debug: 1
        case .info: 2
        case .notice: 3
        case .warning: 4
        case .error: 5
        case .critical: 6
        }
    }
}
