import Primitives
import Raft

// R20 and C3: what a command did, and what was said of it.
extension RaftChecks {
    mutating func sessions(
        _ entry: LogEntry, _ command: KeyValueMachine.Command, _ outcome: KeyValueMachine.Outcome, hasChanged: Bool, in world: World
    ) {
        if let problem = sessionLog.applied(entry.index, command, outcome, hasChanged: hasChanged) {
            world.fail("R20", "entry \(entry.index), command \(command.sequence) of session \(command.session): \(problem)")
        }
    }

    mutating func refused(_ id: UInt64, in world: World) { promises.refused(id, in: world) }
}

/// What each session's commands did when they were applied first; every server must come to the same.
struct SessionLog {
    private struct Number: Hashable {
        var session: UInt64
        var sequence: UInt64
    }

    private struct First {
        var index: LogIndex
        var outcome: KeyValueMachine.Outcome
    }

    private var opened: Set<UInt64> = []
    private var first: [Number: First] = [:]

    /// What is wrong with an outcome; nil when nothing is.
    mutating func applied(
        _ index: LogIndex, _ command: KeyValueMachine.Command, _ outcome: KeyValueMachine.Outcome, hasChanged: Bool
    ) -> String? {
        if case .opened(let session) = outcome {
            opened.insert(session)
            return session == index.number ? nil : "it opened session \(session)"
        }
        if outcome == .expired { return hasChanged ? "it is said to be expired, and had an effect" : nil }
        guard opened.contains(command.session) else { return "its session was never opened" }
        let number = Number(session: command.session, sequence: command.sequence)
        guard let known = first[number] else {
            first[number] = First(index: index, outcome: outcome)
            return nil
        }
        if known.outcome != outcome { return "it came to \(outcome), and to \(known.outcome) at entry \(known.index)" }
        return hasChanged && known.index != index ? "it had its effect at entry \(known.index), and has it again" : nil
    }
}

/// What was taken and what was refused, by the number of the attempt: nothing is both.
struct Promises {
    private var taken: Set<UInt64> = []
    private var refused: Set<UInt64> = []

    mutating func accepted(_ id: UInt64, in world: World) {
        if refused.contains(id) { world.fail("C3", "attempt \(id) is taken, and was refused") }
        taken.insert(id)
    }

    mutating func refused(_ id: UInt64, in world: World) {
        if taken.contains(id) { world.fail("C3", "attempt \(id) is refused, and was taken") }
        refused.insert(id)
    }

    /// Of a leader's own entries.
    func appended(_ entry: LogEntry, _ server: SimulatedServer, in world: World) {
        let start = KeyValueMachine.Command.bytes
        guard entry.payload.count >= start + 8 else { return }
        let attempt = entry.payload[start..<start + 8].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        if refused.contains(attempt) { world.fail("C3", "\(server.id) has attempt \(attempt) at entry \(entry.index), which was refused") }
    }
}
