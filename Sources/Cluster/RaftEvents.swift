import Observability
import Primitives
import Raft
import Synchronization

/// Tells of what happens to a server: counters, events with reason and duration, and the elections that it saw.
final class RaftEvents: Sendable {
    private struct State {
        var elections: [RaftStatus.Election] = []
        /// Since when nobody leads, as far as is known here; from the start on.
        var leaderlessSince: Instant?
        var reason = RaftTransition.Reason.start
        /// Votes were asked for since.
        var hasAsked = false
        /// It has just come, and has lost nothing.
        var isNewcomer = false
    }

    private static let electionsKept = 32

    private let node: NodeID
    private let telemetry: Telemetry
    private let state = Mutex(State())
    private let fsyncs: Histogram
    private let entries: Counter
    private let leaderChanges: Counter
    private let elected: [RaftTransition.Reason: Counter]
    private let truncations: Counter
    private let snapshotsSent: Counter
    private let snapshotsInstalled: Counter

    init(node: NodeID, telemetry: Telemetry) {
        self.node = node
        self.telemetry = telemetry
        let metrics = telemetry.metrics
        fsyncs = metrics.histogram("distric_raft_fsync_duration_seconds", "Time to write and sync one group of log entries.")
        entries = metrics.counter("distric_raft_entries_total", "Log entries made durable here.")
        leaderChanges = metrics.counter("distric_raft_leader_changes_total", "Times that this node saw a new leader.")
        let reasons: [RaftTransition.Reason] = [.timeout, .leaderDisconnected, .transfer, .start, .voteSplit]
        elected = Dictionary(
            uniqueKeysWithValues: reasons.map {
                ($0, metrics.counter("distric_raft_elections_total", "Elections that this node began, by reason.", ["reason": $0.rawValue]))
            })
        truncations = metrics.counter(
            "distric_raft_truncations_total", "Times that an end of the log that was never committed was cut off.")
        snapshotsSent = metrics.counter("distric_raft_snapshots_sent_total", "Snapshots that this node began to send.")
        snapshotsInstalled = metrics.counter("distric_raft_snapshots_installed_total", "Snapshots that took the place of this node's log.")
    }

    var elections: [RaftStatus.Election] { state.withLock { $0.elections } }

    func begin(_ core: borrowing RaftCore, leads: Bool) {
        guard !leads else {
            leaderChanges.increment()
            return note(.init(term: core.term, reason: "start", at: telemetry.clock.wall, leader: node, took: .zero))
        }
        state.withLock { $0.leaderlessSince = telemetry.clock.now }
    }

    func wrote(_ count: Int, _ took: Duration) {
        fsyncs.observe(took)
        entries.increment(by: count)
    }

    func distrusts(_ reason: String) {
        guard reason != RaftStorage.newcomer else {
            state.withLock { $0.isNewcomer = true }
            return emit("raft.newcomer", "\(node) is new here: it neither votes nor counts before it has the leader's whole log")
        }
        telemetry.health.set(
            "raft-recovery", .degraded, reason: "this server does not vote until its leader has made good what was lost: \(reason)")
        let text = "\(node) does not vote and counts for nothing until what it lost has come from the others again: \(reason)"
        telemetry.warn("raft", text)
        emit("raft.recovering", text, .error)
    }

    func see(_ transition: RaftTransition, _ core: borrowing RaftCore) {
        switch transition {
        case .becameFollower(let term, let leader, let reason):
            if let leader { found(leader, term) } else { lost(reason) }
            emit("raft.follower", "\(node) follows \(leader.map { "\($0) " } ?? "")in term \(term): \(words(reason))")
        case .becamePreCandidate(let term, let reason):
            // Once for each time without a leader, not for each try.
            guard lost(reason) else { return }
            emit("raft.pre_candidate", "\(node) is a pre-candidate for term \(term.next): \(words(reason))", .warning)
        case .becameCandidate(let term, let reason):
            lost(reason)
            elected[reason]?.increment()
            emit("raft.candidate", "\(node) is a candidate in term \(term): \(words(reason))", .warning)
        case .becameLeader(let term):
            found(node, term)
            emit("raft.leader", "\(node) leads term \(term)")
        case .foundLeader(let term, let leader): found(leader, term)
        case .truncated(let index):
            truncations.increment()
            emit(
                "raft.truncated",
                "\(node) cut its log off after entry \(index): the leader has other entries there, and none of these was committed",
                .warning)
        case .configuration(let index, let configuration):
            emit("raft.configuration", "\(node) has the members of entry \(index): \(Self.text(configuration))")
        case .configurationCommitted(let index):
            emit("raft.configuration_committed", "\(node) knows that the members of entry \(index) are committed")
        case .transferBegan(let target): emit("raft.transfer", "\(node) hands leadership to \(target)")
        case .transferEnded(let target, let isDone):
            emit(
                "raft.transfer",
                isDone ? "\(target) has taken over from \(node)" : "\(target) did not take over in time, and \(node) leads on",
                isDone ? .info : .warning)
        case .snapshotSent(let target, let index):
            snapshotsSent.increment()
            emit("raft.snapshot_sent", "\(node) sends \(target) the snapshot at entry \(index): the log that it needs is compacted")
        case .snapshotResumed(let index, let chunk):
            emit("raft.snapshot_resumed", "\(node) goes on with the snapshot at entry \(index) at chunk \(chunk)")
        case .snapshotInstalled(let index):
            snapshotsInstalled.increment()
            emit("raft.snapshot_installed", "\(node) has put the leader's snapshot at entry \(index) in the place of its log")
        case .peerRecovering(let peer):
            guard core.configuration.isVoter(peer) else {
                emit("raft.peer_recovering", "\(peer) is new here, or has lost its log: it does not count until it has all of it")
                break
            }
            emit(
                "raft.peer_recovering", "\(peer) has lost its vote or a part of its log, and does not count until it has all again",
                .warning)
        case .trusted(let index):
            let isNewcomer = state.withLock { state in
                defer { state.isNewcomer = false }
                return state.isNewcomer
            }
            guard !isNewcomer else {
                emit("raft.trusted", "\(node) has the leader's whole log, up to entry \(index), and counts once it is a voter")
                break
            }
            telemetry.health.set("raft-recovery", .up)
            let text = "\(node) has all that it lost again, up to entry \(index), and votes"
            telemetry.notice("raft", text)
            emit("raft.trusted", text)
        }
    }

    /// - Parameter text: a sentence that names the server it is about.
    private func emit(_ kind: String, _ text: String, _ severity: Event.Severity = .info) {
        telemetry.events.emit(kind, subject: node.text, severity: severity, text)
    }

    /// Whether it was not known before.
    @discardableResult
    private func lost(_ reason: RaftTransition.Reason) -> Bool {
        state.withLock { state in
            guard state.leaderlessSince == nil || !state.hasAsked else { return false }
            if state.leaderlessSince == nil { (state.leaderlessSince, state.reason) = (telemetry.clock.now, reason) }
            state.hasAsked = true
            return true
        }
    }

    private func found(_ leader: NodeID, _ term: Term) {
        let took = state.withLock { state -> (Duration, RaftTransition.Reason)? in
            // Who did not notice that there was none before only hears of the newer term.
            defer { (state.leaderlessSince, state.hasAsked, state.reason) = (nil, false, .higherTerm) }
            if let last = state.elections.last, last.term == term, last.leader == leader { return nil }
            return (state.leaderlessSince.map { telemetry.clock.now.duration(since: $0) } ?? .zero, state.reason)
        }
        guard let (duration, reason) = took else { return }
        leaderChanges.increment()
        note(.init(term: term, reason: reason.rawValue, at: telemetry.clock.wall, leader: leader, took: duration))
        if leader != node { emit("raft.leader", "\(leader) leads term \(term), after \(duration.milliseconds) ms without a leader") }
    }

    private func note(_ election: RaftStatus.Election) {
        state.withLock { state in
            state.elections.append(election)
            if state.elections.count > Self.electionsKept { state.elections.removeFirst() }
        }
    }

    private func words(_ reason: RaftTransition.Reason) -> String {
        switch reason {
        case .timeout: "no leader was heard in time"
        case .leaderDisconnected: "the leader closed its connection"
        case .transfer: "the leader hands over"
        case .higherTerm: "there is a newer term"
        case .lostQuorum: "no majority answered for an election timeout"
        case .diskStalled: "its disk has stalled"
        case .removed: "it is no voter any more"
        case .start: "it has just started"
        case .voteSplit: "nobody won the election before"
        }
    }

    private static func text(_ configuration: Configuration) -> String {
        func list(_ name: String, _ nodes: [NodeID]) -> String? {
            nodes.isEmpty ? nil : name + " " + nodes.map(\.text).joined(separator: ", ")
        }
        return [
            list("voters", configuration.voters), list("on their way out", configuration.outgoing),
            list("learners", configuration.learners),
            list("to vote once caught up", configuration.target),
        ].compactMap(\.self).joined(separator: "; ")
    }
}
