package import Primitives
package import Raft

/// One thing that happened, for people and model checkers.
package struct TraceEvent: Sendable {
    package enum What: Sendable {
        case started
        case crashed
        case sent(RaftMessage, to: NodeID)
        /// What the server makes of it comes after it.
        case received(RaftMessage, from: NodeID)
        case changed(RaftTransition)
        /// A leader took an entry into its log.
        case appended(LogEntry)
        /// The commit index rose.
        case committed
    }

    /// Of the simulator: what bears the same number happened in one step, and shows the state after it. `received` alone shows the one before.
    package var event: UInt64
    package var nanoseconds: Int64
    package var server: NodeID
    /// Counts the starts of the server.
    package var boot: UInt32
    package var role: String
    package var state: HardState
    package var commit: LogIndex
    package var last: LogIndex
    package var configuration: Configuration
    package var what: What
}

extension World {
    /// Costs nothing while nobody listens.
    func tell(_ what: @autoclosure () -> TraceEvent.What, _ server: SimulatedServer) {
        guard let trace, let core = server.core else { return }
        trace(
            TraceEvent(
                event: events, nanoseconds: now, server: server.id, boot: server.boot, role: core.role.rawValue, state: core.hardState,
                commit: core.commitIndex, last: core.log.lastIndex, configuration: core.configuration, what: what()))
    }

    /// What comes to a server, before it is handled.
    func tellArrival(_ event: RaftCore.Event, _ server: SimulatedServer) {
        guard trace != nil, case .message(let message, let sender) = event else { return }
        tell(.received(message, from: sender), server)
    }

    /// What an event added to a server's log as its leader, and what came to be committed by it.
    func tellGrowth(_ output: RaftOutput, since commit: LogIndex, _ server: SimulatedServer) {
        guard trace != nil, let core = server.core else { return }
        if core.role == .leader {
            for write in output.writes {
                for entry in write.entries { tell(.appended(entry), server) }
            }
        }
        if core.commitIndex > commit { tell(.committed, server) }
    }

    /// What happened to a server, for those who count it.
    func see(_ transition: RaftTransition, _ server: SimulatedServer) {
        tell(.changed(transition), server)
        switch transition {
        case .truncated: coverage.saw(.conflictCutOff)
        case .snapshotSent: coverage.saw(.snapshotSent)
        case .snapshotResumed: coverage.saw(.snapshotResumed)
        case .snapshotInstalled: coverage.saw(.snapshotInstalled)
        case .becameFollower(_, _, let reason):
            switch reason {
            case .diskStalled: coverage.saw(.steppedDownOfDisk)
            case .lostQuorum: coverage.saw(.steppedDownOfQuorum)
            case .removed: coverage.saw(.leaderRemoved)
            default: break
            }
        case .becameCandidate(_, .voteSplit): coverage.saw(.termWithoutLeader)
        case .becamePreCandidate(_, .voteSplit): coverage.saw(.termWithoutLeader)
        case .configuration(_, let configuration):
            if configuration.isJoint { coverage.saw(.jointEntered) }
            if configuration.isJoint, configuration.voters.contains(where: { !configuration.outgoing.contains($0) }) {
                coverage.saw(.votersAdded)
            }
        case .configurationCommitted: coverage.saw(.changeCommitted)
        case .transferEnded(_, let isDone): coverage.saw(isDone ? .transferDone : .transferAborted)
        default: return
        }
    }
}
