package import Primitives

/// A range of seeds, one after the other: what was seen in all of them, and which did not hold.
package struct SimulationSweep: Sendable {
    package var first: UInt64
    package var servers: Int?
    package var faults: SimulationPlan.Faults

    /// The plan that speed is measured by.
    package var isFigure = false

    package private(set) var seeds = 0
    package private(set) var events: UInt64 = 0
    /// Simulated.
    package private(set) var seconds = 0.0
    package private(set) var committed: UInt64 = 0
    package private(set) var coverage = Coverage()
    /// Over the traces of all of them.
    package private(set) var traceHash = StateDigest()
    package private(set) var failures: [SimulationVerdict] = []

    package init(first: UInt64, servers: Int? = nil, faults: SimulationPlan.Faults = .all) {
        (self.first, self.servers, self.faults) = (first, servers, faults)
    }

    package var nextPlan: SimulationPlan {
        let seed = first + UInt64(seeds)
        return isFigure ? .fiveServers(seed: seed, faults: faults) : SimulationPlan(seed: seed, servers: servers, faults: faults)
    }

    /// Tries the next seed.
    @discardableResult
    package mutating func next() -> SimulationVerdict {
        let verdict = World(plan: nextPlan).play()
        seeds += 1
        events += verdict.events
        seconds += verdict.simulated.seconds
        coverage += verdict.coverage
        traceHash += verdict.traceHash
        committed += verdict.committed.number
        if verdict.violation != nil { failures.append(verdict) }
        return verdict
    }
}
