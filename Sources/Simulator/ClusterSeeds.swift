import ArgumentParser
import Foundation
import Primitives
import Simulation
import Workflows

/// `distric-simulator --cluster`: coordinators, workers and clients in place of servers of the log alone.
struct ClusterSeeds {
    let seed: UInt64
    let seeds: Int
    let seconds: Double?
    let faults: String
    let keepsGoing: Bool
    let isVerbose: Bool
    let isComplete: Bool
    let traces: Bool

    func run() throws {
        guard let allowed = ClusterPlan.Faults(faults) else {
            throw ValidationError("--faults \(faults): choose from \(ClusterPlan.Faults.all.text), with commas between")
        }
        var sweep = ClusterSweep(first: seed, faults: allowed)
        let began = Date()
        var hash = StableHasher()
        while sweep.seeds < seeds, seconds.map({ Date().timeIntervalSince(began) < $0 }) ?? true {
            let plan = sweep.nextPlan
            if isVerbose { say("seed \(plan.seed)") }
            let verdict = sweep.next(trace: traces ? { print($0) } : nil)
            hash.combine(verdict.traceHash.high)
            hash.combine(verdict.traceHash.low)
            guard let violation = verdict.violation else { continue }
            say("seed \(plan.seed): \(violation) [\(plan.faults.text)]")
            if !keepsGoing { throw ExitCode(1) }
        }
        let took = Date().timeIntervalSince(began)
        print(
            String(
                format: "%d seeds in %.1f s: %.1f seeds/s, %.0f simulated seconds a second, %.0f events/s, %d messages", sweep.seeds, took,
                Double(sweep.seeds) / took, sweep.seconds / took, Double(sweep.events) / took, sweep.messages))
        print("  everything that happened: \(hash.finish())")
        for sight in ClusterSight.allCases { print("  \(sight.name): \(sweep.coverage[sight])") }
        if !sweep.failures.isEmpty { throw ExitCode(1) }
        let never = sweep.coverage.never
        guard isComplete, !never.isEmpty else { return }
        say("never seen: \(never.map(\.name).joined(separator: ", "))")
        throw ExitCode(1)
    }

    private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
