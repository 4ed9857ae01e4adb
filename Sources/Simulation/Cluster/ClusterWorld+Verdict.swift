import Coordinator
import HashTreeCollections
package import Primitives
import Workflows

/// How a simulation of a cluster went.
package struct ClusterVerdict: Sendable {
    package var seed: UInt64
    package var violation: ClusterViolation?
    package var events: UInt64
    package var simulated: Duration
    package var coverage: ClusterCoverage
    /// Over everything that happened, in its order.
    package var traceHash: StateDigest
    package var messages: Int
    package var committed: LogIndex
}

extension ClusterWorld {
    /// Faults; then none, and whatever is open must come to its end within a bound; then nothing that was acknowledged may be missing.
    package func play() -> ClusterVerdict {
        for coordinator in coordinators { start(coordinator) }
        for worker in workers { start(worker) }
        for client in clients { schedule(.invoke(client.number), after: 2_000_000_000 + around(plan.thinkTime)) }
        schedule(.fault, after: 3_000_000_000 + around(plan.faultEvery))
        run(until: plan.safety.nanoseconds)
        converge()
        scan()
        return ClusterVerdict(
            seed: plan.seed, violation: violation, events: events, simulated: .nanoseconds(now), coverage: coverage,
            traceHash: traceHash.finish(), messages: checks.answered.count, committed: checks.state.applied)
    }

    private func converge() {
        guard violation == nil else { return }
        calm()
        run(until: now + 2_000_000_000)
        areClientsOn = false
        // Cluster time does not go back: where it is ahead, timers wait for the truth to come up with it.
        let ahead = max(0, Int64(checks.state.time.milliseconds) - Int64(SimulatedClock().wall(now).milliseconds))
        let end = now + 240_000_000_000 + ahead * 1_000_000
        while violation == nil, now < end {
            // An operator looks at the clocks.
            for coordinator in coordinators {
                coordinator.clusterClock.confirm()
                coordinator.jumpedAt = nil
            }
            run(until: now + 500_000_000)
            if unfinished == nil { return }
        }
        if let unfinished { fail("P1", unfinished) }
    }

    /// What is not yet as it should be in the end.
    private var unfinished: String? {
        guard coordinators.contains(where: { $0.isLeading }) else { return "nobody leads" }
        for id in checks.state.runs.keys.sorted() {
            guard let run = checks.state.runs[id]?.run else { continue }
            for task in run.tasks where [.queued, .leased, .waiting].contains(task.state) {
                let worker = task.worker.map { " with \($0)" } ?? ""
                return "task \(task.name) of run \(id) is \(task.state.rawValue)\(worker) for ever"
            }
            if run.state != .held { return "run \(id) is \(run.state.rawValue), and nothing of it goes on" }
        }
        for client in clients where client.request != nil { return "client \(client.number) gets no answer" }
        for worker in workers {
            guard worker.isAttached else { return "\(worker.id) finds no leader" }
            if let fence = worker.attempts.keys.min() { return "\(worker.id) runs attempt \(fence), which nobody wants" }
            if let fence = worker.unreported.keys.min() { return "the report of attempt \(fence) stays with \(worker.id)" }
        }
        for coordinator in coordinators where coordinator.state.applied != checks.state.applied {
            return "\(coordinator.id) has applied \(coordinator.state.applied), and \(checks.state.applied) is committed"
        }
        return nil
    }

    private func scan() {
        guard violation == nil else { return }
        for coordinator in coordinators { checks.applied(coordinator.state, by: coordinator.id, in: self) }
        for (id, runs) in checks.answered.sorted(by: { $0.key < $1.key }) {
            for run in runs.joined() {
                let isHeld = checks.state.runs[run]?.run.state == .held
                guard isHeld != (checks.ended[run] != nil) else {
                    let fate = isHeld ? "is open and has ended" : "is lost"
                    return fail("C4", "run \(run) of message \(id), which was acknowledged, \(fate)")
                }
            }
        }
    }
}

/// A range of seeds, one after the other: what was seen in all of them, and which did not hold.
package struct ClusterSweep: Sendable {
    package var first: UInt64
    package var faults: ClusterPlan.Faults

    package private(set) var seeds = 0
    package private(set) var events: UInt64 = 0
    /// Simulated.
    package private(set) var seconds = 0.0
    package private(set) var messages = 0
    package private(set) var coverage = ClusterCoverage()
    package private(set) var failures: [ClusterVerdict] = []

    package init(first: UInt64, faults: ClusterPlan.Faults = .all) { (self.first, self.faults) = (first, faults) }

    package var nextPlan: ClusterPlan { ClusterPlan(seed: first + UInt64(seeds), faults: faults) }

    /// Tries the next seed.
    ///
    /// - Parameter trace: gets a line for each thing that a person would like to know.
    @discardableResult
    package mutating func next(trace: ((String) -> Void)? = nil) -> ClusterVerdict {
        let world = ClusterWorld(plan: nextPlan)
        world.trace = trace
        let verdict = world.play()
        seeds += 1
        events += verdict.events
        seconds += verdict.simulated.seconds
        messages += verdict.messages
        coverage += verdict.coverage
        if verdict.violation != nil { failures.append(verdict) }
        return verdict
    }
}
