import Cluster
import Primitives
import Raft

// R2, R15 and R16: what a leader may do to its log, to the members, and while it hands over.
extension RaftChecks {
    /// R2: in its term a leader only appends.
    func appendsOnly(_ server: SimulatedServer, _ last: LogIndex, _ output: RaftOutput, in world: World) {
        for write in output.writes {
            if let after = write.truncateAfter { world.fail("R2", "\(server.id) leads, and cuts its log after \(after)") }
            if let mark = write.install { world.fail("R2", "\(server.id) leads, and puts a snapshot of \(mark.index) in its log's place") }
            if let first = write.entries.first, first.index <= last {
                world.fail("R2", "\(server.id) leads, and writes entry \(first.index) again; its log ended at \(last)")
            }
        }
    }

    /// R15: the configuration in force is the newest in the log, by the books of the checks.
    func membership(_ server: SimulatedServer, _ running: RunningCore, _ output: RaftOutput, in world: World) {
        for write in output.writes {
            if let mark = write.install { server.configurations = [(mark.index, mark.configuration)] }
            if let after = write.truncateAfter { server.configurations.removeAll { $0.index > after } }
            for entry in write.entries where entry.kind == .configuration {
                if let configuration = Configuration(payload: entry.payload) { server.configurations.append((entry.index, configuration)) }
            }
        }
        let newest = server.configurations.last?.configuration ?? Configuration()
        let inForce = running.core.log.configuration
        if inForce != newest {
            world.fail("R15", "\(server.id) goes by \(inForce), and its log has \(newest)")
        }
    }

    /// What a server has in its log when it starts.
    func configurations(
        _ found: RaftStorage.Opened, _ entries: [LogEntry], _ server: SimulatedServer
    ) -> [(index: LogIndex, configuration: Configuration)] {
        let base = found.snapshot?.configuration ?? server.log.configuration(at: .zero)
        var known = [(index: found.snapshot?.index ?? .zero, configuration: base)]
        for entry in entries where entry.kind == .configuration {
            if let configuration = Configuration(payload: entry.payload) { known.append((entry.index, configuration)) }
        }
        return known
    }

    /// R16: it takes no proposals while it hands over, and that ends in time.
    func handsOver(_ server: SimulatedServer, _ running: RunningCore, _ output: RaftOutput, isTick: Bool, in world: World) {
        guard running.core.transfer != nil else {
            server.transferBegan = nil
            return
        }
        let now = server.local(world.now)
        guard let began = server.transferBegan, !output.transitions.contains(where: { if case .transferBegan = $0 { true } else { false } })
        else { return server.transferBegan = now }
        if output.accepted.contains(where: { $0.count > 0 }) { world.fail("R16", "\(server.id) takes a proposal while it hands over") }
        let limit = world.plan.settings.electionTimeout.upperBound
        if isTick, now.duration(since: began) > limit + world.plan.settings.heartbeat {
            world.fail("R16", "\(server.id) has been handing over for \(now.duration(since: began))")
        }
    }
}

/// One configuration after another, as a leader appends it.
struct MembershipStep {
    var from: Configuration
    var to: Configuration
    /// Where the one before was appended.
    var previous: LogIndex
    var commit: LogIndex
    var isOwnTermCommitted: Bool

    /// Nil when it may be.
    var problem: String? {
        if previous > commit { return "the one before, at \(previous), is not committed" }
        if !from.isChanging, !isOwnTermCommitted { return "no entry of the leader's term is committed" }
        switch (from.isJoint, to.isJoint) {
        case (false, false): return from.voters == to.voters ? nil : "the voters are not \(from.voters.map(\.text)), and it is not joint"
        case (false, true): return from.voters == to.outgoing ? nil : "the outgoing half is not \(from.voters.map(\.text))"
        case (true, false): return from.voters == to.voters ? nil : "the incoming half was \(from.voters.map(\.text))"
        case (true, true): return "a joint one follows a joint one"
        }
    }
}
