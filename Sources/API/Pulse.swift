import Cluster
import Coordinator
import HashTreeCollections
import Observability
import Primitives
import Rules
import SWIM
import Workflows

/// The cluster at a glance: what `distric status` prints and the console's first screen shows.
struct Pulse: Sendable {
    private static let eventCount = 12
    private static let ruleCount = 8
    private static let runCount = 3

    let info: NodeInfo
    private var metrics: [MetricsHistory.Row] = []

    init(info: NodeInfo) { self.info = info }

    private func metric(_ name: String) -> MetricsHistory.Row? { metrics.first { $0.name == name } }

    var value: Value {
        var pulse = self
        // The last minute of what the screen draws.
        pulse.metrics = info.telemetry.history.rows(
            points: 60,
            of: [
                "distric_task_attempt_duration_seconds", "distric_task_attempts_failed_total", "distric_task_queue_depth",
                "distric_runs_finished_total", "distric_messages_accepted_total",
            ])
        return pulse.whole
    }

    private var whole: Value {
        let (raft, members) = (info.consensus.status, members)
        let (alive, suspect) = (members.count { $0["state"] == "alive" }, members.count { $0["state"] == "suspect" })
        let state = info.coordinator.loop.current.state
        let now = info.telemetry.clock.wall
        return .object([
            "clusterId": .string(info.cluster.description), "node": .string(info.node.text), "version": .string(info.version),
            "leader": Value(raft.leader?.text), "term": Value(raft.term.number),
            "commitIndex": Value(raft.commitIndex.number), "appliedIndex": Value(state.applied.number),
            "quorum": Quorum(raft).value, "members": .list(members), "ready": .bool(info.telemetry.health.isReady),
            "health": health, "frozen": state.frozen.value,
            "catalogVersion": Value(state.catalogVersion), "queue": queue(now), "raft": raftValue,
            "gossip": gossip ?? ["alive": Value(alive), "suspect": Value(suspect), "dead": 0],
            "tasks": tasks, "runs": runs(state), "workflows": .list(recentRuns(state)),
            "messages": messages, "rules": .list(busiestRules), "events": .list(info.telemetry.events.latest(Self.eventCount).map(\.value)),
            "startedAt": .string(info.startedAt.rfc3339),
        ])
    }

    /// Nil where this node does not gossip, and goes by whom it is connected to.
    private var gossip: Value? {
        guard let view = info.gossip?.current, view.identity != nil else { return nil }
        return ["alive": Value(view.count(.alive)), "suspect": Value(view.count(.suspect)), "dead": Value(view.count(.dead))]
    }

    /// Everybody who is known here, this node among them.
    var members: [Value] {
        let (status, known) = (info.consensus.status, info.consensus.members)
        let others = known.filter { $0.node != info.node }.map { (node: $0.node, value: other($0, status)) }
        let own = (node: info.node, value: own(known.first { $0.node == info.node }, status))
        return (others + [own]).sorted { $0.node < $1.node }.map(\.value)
    }

    private func own(_ member: ClusterMember?, _ status: RaftStatus) -> Value {
        .object([
            "id": .string(info.node.text), "role": .string(info.worker == nil ? "coordinator" : "coordinator,worker"), "state": "alive",
            "version": .string(info.version), "slots": info.worker.map { Value($0.capacity.slots) },
            "running": Value(info.coordinator.loop.queue.running), "startedAt": .string(info.startedAt.rfc3339), "incarnation": 0,
            "raft": Value(RaftRows.role(of: info.node, in: status)), "address": Value(member?.address), "http": Value(member?.http),
            "featureLevel": member.map { Value(UInt64($0.featureLevel)) } ?? .null,
        ])
    }

    /// A node that cannot be reached from here may be well all the same; of a worker alone only the leader can say, to whom it comes.
    private func other(_ member: ClusterMember, _ status: RaftStatus) -> Value {
        let isWorker = !member.roles.contains("coordinator")
        let session = isWorker ? info.coordinator.loop.sessions.attached.first { $0.session.node == member.node }?.session : nil
        let isSaid = !isWorker || info.coordinator.loop.isLeading
        let state: Value = member.isConnected || session != nil ? "alive" : isSaid ? "suspect" : .null
        let version = member.software.hasPrefix("distric ") ? String(member.software.dropFirst("distric ".count)) : member.software
        return .object([
            "id": .string(member.node.text), "role": .string(member.roles.joined(separator: ",")),
            "state": state, "version": .string(version), "slots": session.map { Value($0.capacity.slots) } ?? .null,
            "running": session.map { Value($0.said.running) } ?? .null,
            "startedAt": .null, "incarnation": 0, "raft": Value(RaftRows.role(of: member.node, in: status)),
            "address": .string(member.address), "http": Value(member.http), "featureLevel": Value(UInt64(member.featureLevel)),
        ])
    }

    var raftValue: Value {
        info.consensus.status.value(applied: info.consensus.applied.index, members: info.consensus.members, trouble: trouble)
    }

    private static let consensusParts: Set = ["cluster", "raft", "raft-recovery", "replica", "snapshot", "standing", "storage"]

    /// What keeps this node from being a good member: that the others refuse it, say, and why.
    private var trouble: [String] {
        info.telemetry.health.all.filter { Self.consensusParts.contains($0.name) && $0.status != .up }.map(\.reason)
    }

    private var health: Value {
        .list(
            info.telemetry.health.all.filter { $0.status != .up }.map {
                [
                    "name": .string($0.name), "status": .string($0.status.rawValue), "reason": .string($0.reason),
                    "since": .string($0.since.rfc3339),
                ]
            })
    }

    private func queue(_ now: ClusterTime) -> Value {
        let queue = info.coordinator.loop.queue
        return [
            "depth": Value(queue.queued), "running": Value(queue.running),
            "oldestMs": queue.oldest.map { .int(max(0, now.duration(since: $0).milliseconds)) } ?? .null,
        ]
    }

    /// Tasks of open runs by state.
    private var tasks: Value {
        let counts = info.openWork.look(info).tasks
        func milliseconds(_ seconds: Double?) -> Value { seconds.map { .double(($0 * 100_000).rounded() / 100) } ?? .null }
        let attempts = metric("distric_task_attempt_duration_seconds")
        return .object([
            "running": Value(info.coordinator.loop.queue.running), "queued": Value(info.coordinator.loop.queue.queued),
            "waiting": Value(counts[.waiting] ?? 0), "unknown": Value(counts[.unknown] ?? 0),
            "failedPerSecond": .double(((metric("distric_task_attempts_failed_total")?.rate ?? 0) * 100).rounded() / 100),
            "p50Ms": milliseconds(attempts?.p50), "p99Ms": milliseconds(attempts?.p99),
            "depth": .list((metric("distric_task_queue_depth")?.recent ?? []).map { .int(Int64($0)) }),
        ])
    }

    private func runs(_ state: CoordinatorState) -> Value {
        let failed = metrics.filter { row in
            row.name == "distric_runs_finished_total" && row.labels.contains { $0.value == "failed" || $0.value == "timed_out" }
        }
        return [
            "open": Value(state.runs.count), "started": Value(state.totals.runsStarted), "ended": Value(state.totals.runsEnded),
            "failed": Value(Int(failed.reduce(0) { $0 + $1.value })),
            "failedPerSecond": .double((failed.reduce(0) { $0 + ($1.rate ?? 0) } * 100).rounded() / 100),
        ]
    }

    /// The newest open runs, else the newest that have ended.
    private func recentRuns(_ state: CoordinatorState) -> [Value] {
        let found = try? OpenAndEnded(info: info).runs(atLeast: Self.runCount, all: state.runs.count) { _ in true }
        return (found?.rows ?? []).prefix(Self.runCount).map { Presentation.run($0, withTasks: true, in: info, brief: true) }
    }

    private var messages: Value {
        let accepted = metric("distric_messages_accepted_total")
        return [
            "accepted": Value(info.coordinator.loop.current.state.totals.accepted),
            "perSecond": .double(((accepted?.rate ?? 0) * 10).rounded() / 10),
            "recent": .list((accepted?.recent ?? []).suffix(30).map { .int(Int64($0)) }),
        ]
    }

    private var busiestRules: [Value] {
        let rules = RuleRows(info: info, namespace: nil).rules
        let names = rules.map { (namespace: $0.set.namespace, name: "\($0.set.name)/\($0.rule.id)") }
        return info.coordinator.intake.statistics.busiest(Self.ruleCount, of: names).map { RuleRows.value(rules[$0], info) }
    }
}

/// Every rule with what it was asked and answered.
struct RuleRows: Sendable {
    let info: NodeInfo
    let namespace: Namespace?
    /// Only the rules of this set.
    var name: String?

    static let columns = [
        "id", "set", "rule", "namespace", "priority", "state", "evaluations", "hits", "errors", "hitPercent", "evaluationsPerSecond",
        "hitsPerSecond", "latencyUs", "lastHit", "workflows",
    ]

    var rules: [(set: RuleSet, rule: Rule)] {
        info.coordinator.loop.catalog.ruleSets.filter { set in
            (namespace.map { $0 == set.namespace } ?? true) && (name.map { sameBytes($0, set.name) } ?? true)
        }.flatMap { set in set.rules.map { (set, $0) } }
    }

    var values: [Value] { rules.map { Self.value($0, info) } }

    static func value(_ found: (set: RuleSet, rule: Rule), _ info: NodeInfo) -> Value {
        let (set, rule) = found
        let entry = info.coordinator.intake.statistics.entry(set: set.name, rule: rule.id, namespace: set.namespace)
        let share = entry.evaluationRate > 0 ? entry.hitRate / entry.evaluationRate : 0
        func rounded(_ number: Double) -> Value { .double((number * 10).rounded() / 10) }
        return .object([
            "rowKey": .string("\(set.namespace):\(set.name)/\(rule.id)"), "id": .string("\(set.name)/\(rule.id)"),
            "set": .string(set.name), "rule": .string(rule.id),
            "namespace": .string(set.namespace.text), "priority": Value(rule.priority),
            "state": .string(rule.isEnabled ? "live" : "disabled"), "evaluations": Value(entry.evaluations),
            "hits": Value(entry.hits), "errors": Value(entry.errors), "hitPercent": rounded(share * 100),
            "evaluationsPerSecond": rounded(entry.evaluationRate), "hitsPerSecond": rounded(entry.hitRate),
            "latencyUs": entry.latency.map { rounded(Double($0.nanoseconds) / 1000) } ?? .null,
            "lastHit": Value(entry.lastHit?.rfc3339), "recent": .list(entry.hitsBySecond.suffix(30).map { .int(Int64($0)) }),
            "workflows": .list(rule.actions.map { .string($0.workflow) }),
        ])
    }
}
