package import Primitives
import Raft

/// How a simulation went.
package struct SimulationVerdict: Sendable {
    package var seed: UInt64
    package var violation: SimulationViolation?
    package var events: UInt64
    package var simulated: Duration
    package var coverage: Coverage
    /// Over everything that happened, in its order.
    package var traceHash: StateDigest
    package var operations: Int
    package var committed: LogIndex
}

extension World {
    /// All phases of design 6, S2: faults; then a majority that is connected and without faults must serve; then all of them must become alike; then they serve fresh
    /// requests; then nothing that was acknowledged may be missing.
    package func play() -> SimulationVerdict {
        for number in 0..<servers.count { start(servers[number]) }
        for number in clients.indices { schedule(.invoke(number), after: exponential(plan.thinkTime)) }
        schedule(.fault, after: exponential(plan.faultEvery))
        if plan.faults.contains(.membership) { schedule(.change, after: exponential(700_000_000)) }
        run(until: plan.safety.nanoseconds)
        serveWithMajority()
        converge()
        serveAll()
        if plan.settings.preVote, plan.settings.checkQuorum { disturb() }
        scan()
        countDisks()
        return SimulationVerdict(
            seed: plan.seed, violation: violation, events: events, simulated: .nanoseconds(now), coverage: coverage,
            traceHash: traceHash.finish(), operations: history.operations.count, committed: checks.committedIndex)
    }

    private func calm() {
        areFaultsOn = false
        network.heal()
        for from in servers.indices {
            for to in servers.indices where from != to { release(from, to) }
        }
        for server in servers { swapBack(server) }
        for server in servers {
            server.disk.faults = .none
            mend(server)
            if server.isPaused { unpause(server) }
        }
    }

    /// Of all that anybody has.
    var newestLog: RaftLog {
        servers.map { server in server.running?.core.log ?? server.log }.max { ($0.lastTerm, $0.lastIndex) < ($1.lastTerm, $1.lastIndex) }
            ?? servers[0].log
    }

    var newestConfiguration: Configuration { newestLog.configuration }

    private func serveWithMajority() {
        guard violation == nil else { return }
        calm()
        // Who is needed for every majority in question; the rest stays away.
        let current = newestConfiguration
        var core: [NodeID] = []
        for server in servers.sorted(by: { ($0.log.lastTerm, $0.durable) > ($1.log.lastTerm, $1.durable) })
        where current.isVoter(server.id) && !server.isRecovering && !current.hasQuorum(where: { core.contains($0) }) {
            core.append(server.id)
        }
        // Who must be there while a change is under way depends on who has which of its entries.
        if current.isChanging || !current.hasQuorum(where: { core.contains($0) }) || hasDoubtfulVoter || hasOpenChange {
            core = servers.map(\.id)
        }
        network.split(servers.map { core.contains($0.id) ? 0 : $0.number + 1 })
        for server in servers where core.contains(server.id) && !server.isUp { start(server) }
        let before = checks.committedIndex
        let end = now + plan.liveness.nanoseconds
        run(until: end)
        guard violation == nil else { return }
        if checks.committedIndex <= before {
            fail(
                "R22",
                "\(core.map(\.text)) are connected and commit nothing in \(plan.liveness), members are \(newestConfiguration): \(summary)")
        }
    }

    private func converge() {
        guard violation == nil else { return }
        calm()
        for server in servers where !server.isUp { start(server) }
        areClientsOn = false
        run(until: now + plan.convergence.nanoseconds)
        guard violation == nil else { return }
        guard
            let leader = servers.first(where: { $0.running?.core.role == .leader && $0.running?.core.configuration.isVoter($0.id) == true }
            ),
            let core = leader.core
        else { return fail("R22", "nobody leads after all was healed: \(summary)") }
        if core.configuration.isChanging {
            fail("R22", "a change of members is stuck: \(core.configuration); \(core.progress); \(summary)")
        }
        for server in servers where core.configuration.isMember(server.id) {
            guard let own = server.core else { continue }
            if own.commitIndex != core.commitIndex || server.machine.digest != leader.machine.digest {
                fail("R22", "\(server.id) has not caught up with \(leader.id): \(summary)")
            }
            if server.isRecovering { fail("R22", "\(server.id) still may not trust itself: \(summary)") }
        }
        // R15: an id is not used again before its old folder is out of the cluster; then it is.
        for server in servers where server.isDenied { fail("R22", "\(server.id) has a new folder, and is not let in: \(summary)") }
    }

    private var hasOpenChange: Bool {
        let newest = newestConfiguration
        return servers.contains { server in
            let log = server.running?.core.log ?? server.log
            return !log.configuration.isEmpty && log.configuration != newest
        }
    }

    var summary: String {
        servers.map { server in
            guard let core = server.core else { return "\(server.id) down" }
            return
                "\(server.id) \(core.role) term \(core.term) commit \(core.commitIndex) last \(core.log.lastIndex) applied \(server.machine.applied)\(server.isRecovering ? " recovering" : "")\(server.isDenied ? " with another folder" : "")"
        }.joined(separator: "; ")
    }

    private func serveAll() {
        guard violation == nil else { return }
        areClientsOn = true
        for number in clients.indices where clients[number].working == nil { schedule(.invoke(number), after: exponential(50_000_000)) }
        let before = acknowledged
        run(until: now + plan.service.nanoseconds)
        guard violation == nil else { return }
        if acknowledged <= before { fail("R22", "nothing is acknowledged after all was healed: \(summary)") }
        areClientsOn = false
        run(until: now + 5_000_000_000)
    }

    /// R23, and of R15 that who was removed does not disturb: with pre-votes one server that comes and goes changes neither the leader nor its term.
    func disturb() {
        guard violation == nil else { return }
        func leader() -> SimulatedServer? {
            servers.filter { $0.running?.core.role == .leader }.max { $0.term < $1.term }
        }
        guard let first = leader(), let configuration = first.running?.core.configuration, configuration.voters.count > 2,
            configuration.isVoter(first.id)
        else { return }
        let others = servers.filter { $0 !== first && $0.isUp }
        guard let flapping = others.randomElement(using: &generator) else { return }
        coverage.saw(.disturbed)
        let (term, end) = (first.term, now + plan.disturbance.nanoseconds)
        while now < end, violation == nil {
            for other in servers where other !== flapping { network.cutBothWays(flapping.number, other.number) }
            run(until: now + .random(in: 700_000_000...1_500_000_000, using: &generator))
            network.heal()
            run(until: now + 300_000_000)
            guard violation == nil else { return }
            if leader() !== first || first.term != term {
                fail("R23", "\(flapping.id) comes and goes, and \(first.id) does not lead in term \(term) any more: \(summary)")
            }
        }
    }

    private func countDisks() {
        let seen: [(DiskFault, Sight)] = [
            (.shortWrite, .shortWrite), (.writeError, .writeFailed), (.readError, .readFailed), (.full, .diskFull), (.readOnly, .readOnly),
        ]
        for server in servers {
            for (fault, sight) in seen { coverage.saw(sight, times: server.disk.counters[fault]) }
        }
    }

    private func scan() {
        guard violation == nil else { return }
        guard let leader = servers.first(where: { $0.running?.core.role == .leader }) else { return }
        var finals: [String: History.Answer] = [:]
        for key in 0..<plan.keys {
            finals["r\(key)"] = .value(leader.machine.registers[key])
            finals["l\(key)"] = .list(leader.machine.lists[key])
        }
        if let lost = SessionGuarantees(history).violations(finalReads: finals).first { return fail("C2", "\(lost)") }
        switch Linearizability().check(history) {
        case .violation(let found): fail("C1", "key \(found.key): \(found.explanation)")
        case .undecided: coverage.saw(.undecided)
        case .linearizable: return
        }
    }
}
