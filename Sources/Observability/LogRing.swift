package import Logging
package import Primitives
import Synchronization

/// The last log lines of a node, for whoever looks at them live. Who is slower than the lines come is told how many were missed.
package final class LogRing: Sendable {
    package struct Entry: Sendable {
        package let seq: UInt64
        package let level: Logger.Level
        package let label: String
        /// The line as it was written: one JSON object.
        package let line: [UInt8]
    }

    package static let retained = 20_000

    private struct State {
        var entries: [Entry] = []
        var start = 0
        var next: UInt64
    }

    private let state: Mutex<State>
    /// The number that this process began with.
    private let first: UInt64

    /// - Parameter first: above every number of the process before, so that whoever comes back after a restart misses nothing.
    package init(first: UInt64 = 1) {
        self.first = first
        state = Mutex(State(next: first))
    }

    /// A first number by the time of day: no process writes a million lines a second for long.
    package static func first(at wall: ClusterTime) -> UInt64 { wall.milliseconds * 1000 }

    package func append(level: Logger.Level, label: String, line: [UInt8]) {
        state.withLock { state in
            let entry = Entry(seq: state.next, level: level, label: label, line: line)
            state.next += 1
            if state.entries.count < Self.retained {
                state.entries.append(entry)
            } else {
                state.entries[state.start] = entry
                state.start = (state.start + 1) % Self.retained
            }
        }
    }

    package var lastNumber: UInt64 { state.withLock { $0.next - 1 } }

    /// The newest `limit` lines above `seq`, oldest first, and how many between are not among them: overwritten, or more than `limit`.
    package func newest(after seq: UInt64, limit: Int, keep: (Entry) -> Bool = { _ in true }) -> (
        entries: [Entry], missed: Int, last: UInt64
    ) {
        // Whoever writes a log line waits for the lock: nothing is looked into under it.
        let (held, overwritten, last) = state.withLock { state in
            let last = state.next - 1
            let from = max(seq, first - 1)
            let new = last > from ? last - from : 0
            let count = state.entries.count
            let held = Int(min(UInt64(count), new))
            return ((0..<held).map { state.entries[(state.start + count - held + $0) % count] }, Int(new) - held, last)
        }
        var found: [Entry] = []
        var missed = overwritten
        for entry in held.reversed() where keep(entry) {
            if found.count < limit { found.append(entry) } else { missed += 1 }
        }
        return (found.reversed(), missed, last)
    }
}
