import Observability
import Primitives
import Synchronization
package import Workflows

/// Why tasks wait for a worker, looked at once a second by who leads: for lists, metrics, and whoever has to help.
package final class WaitingBoard: Sendable {
    /// Lines of tasks that are looked at, so that a look takes the planner no more than a few milliseconds.
    static let lineLimit = 128
    private static let lookEvery = Duration.seconds(1)
    /// Where somebody has to help, they are told after so long: a worker may just be starting again.
    private static let tellAfter = Duration.seconds(10)

    private struct State {
        var lookedAt: Instant?
        var reasons: [BlockedLine.Key: Blocked] = [:]
        /// What people were told of.
        var told: [BlockedLine.Key: String] = [:]
        /// Of the planner that is looked at.
        var forgotten: UInt64 = 0
    }

    private let telemetry: Telemetry
    private let state = Mutex(State())
    private let blocked: [String: Gauge]
    private let forgotten: Counter
    private static let other = "not_looked_at"

    init(_ telemetry: Telemetry) {
        self.telemetry = telemetry
        blocked = Dictionary(
            uniqueKeysWithValues: (Blocked.reasons + [Self.other]).map { reason in
                (reason, telemetry.metrics.gauge("distric_tasks_blocked", "Tasks that wait for a worker, by why.", ["reason": reason]))
            })
        forgotten = telemetry.metrics.counter(
            "distric_placement_groups_forgotten_total",
            "Groups of tasks whose last worker was forgotten because there were too many groups.")
    }

    /// Why tasks of one shape wait; nil when none did at the last look.
    package func why(_ key: BlockedLine.Key) -> Blocked? { state.withLock { $0.reasons[key] } }

    /// - Parameter scheduler: of who leads; nil when another one does.
    func look(_ scheduler: Scheduler?, wall: ClusterTime, now: Instant) {
        let isDue = state.withLock { state in
            if scheduler == nil { return !state.reasons.isEmpty || state.forgotten > 0 }
            guard state.lookedAt.map({ now.duration(since: $0) >= Self.lookEvery }) ?? true else { return false }
            state.lookedAt = now
            return true
        }
        guard isDue else { return }
        let (lines, others) = scheduler?.blockedLines(limit: Self.lineLimit) ?? ([], 0)
        show(lines, others)
        let news = state.withLock { state -> [BlockedLine] in
            let seen = scheduler?.placement.forgottenGroups ?? 0
            if seen > state.forgotten { forgotten.increment(by: Int(clamping: seen - state.forgotten)) }
            state.forgotten = seen
            state.reasons = Dictionary(lines.map { ($0.key, $0.why) }, uniquingKeysWith: { first, _ in first })
            let helpless = lines.filter { $0.why.needsHelp && wall.duration(since: $0.first.since) >= Self.tellAfter }
            let fresh = helpless.filter { state.told[$0.key] != $0.why.reason }
            state.told = Dictionary(helpless.map { ($0.key, $0.why.reason) }, uniquingKeysWith: { first, _ in first })
            return fresh
        }
        for line in news { tell(line) }
    }

    private func show(_ lines: [BlockedLine], _ others: Int) {
        var counts: [String: Int] = [Self.other: others]
        for line in lines { counts[line.why.reason, default: 0] += line.count }
        for (reason, gauge) in blocked { gauge.set(counts[reason] ?? 0) }
    }

    private func tell(_ line: BlockedLine) {
        let shape = line.key.shape
        let subject = line.count == 1 ? "1 task" : "\(line.count) tasks"
        telemetry.events.emit(
            "task.blocked", subject: "\(line.first.run)", severity: .warning,
            "\(subject) of \(shape.kind.rawValue) in namespace \(line.key.namespace) cannot begin, the first of run \(line.first.run): \(line.why.text)",
            data: .object([
                "reason": .string(line.why.reason), "culprit": Value(line.why.culprit), "tasks": Value(line.count),
                "kind": .string(shape.kind.rawValue), "run": .string(line.first.run.description),
            ]), origin: .init(namespace: line.key.namespace))
    }
}
