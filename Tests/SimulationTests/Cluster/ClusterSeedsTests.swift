import Dispatch
import Foundation
import Primitives
import Synchronization
import Testing

@testable import Simulation

/// Design 6, C4 and what goes with it: coordinators, workers and clients under faults, each cluster decided by one seed. DISTRIC_SEEDS=N tries N instead of 40;
/// `distric-simulator --cluster` tries thousands.
struct ClusterSeedsTests {
    /// Shorter than what `distric-simulator` plays: a debug build is some twenty times slower.
    private static func plan(_ seed: UInt64) -> ClusterPlan {
        var plan = ClusterPlan(seed: seed)
        plan.safety = .seconds(15)
        return plan
    }

    private struct Found {
        var violations: [String] = []
        var coverage = ClusterCoverage()
        var messages = 0
    }

    @Test func `every seed holds`() throws {
        let count = ProcessInfo.processInfo.environment["DISTRIC_SEEDS"].flatMap { Int($0) } ?? 40
        let found = Mutex(Found())
        DispatchQueue.concurrentPerform(iterations: count) { number in
            let plan = Self.plan(UInt64(number) + 1)
            let verdict = ClusterWorld(plan: plan).play()
            found.withLock { found in
                found.coverage += verdict.coverage
                found.messages += verdict.messages
                if let violation = verdict.violation { found.violations.append("seed \(verdict.seed): \(violation) [\(plan.faults.text)]") }
            }
        }
        let result = found.withLock { $0 }
        #expect(result.violations.isEmpty, "\(result.violations.joined(separator: "\n"))")
        #expect(result.messages > 5 * count)
        // Most of what may happen does, even in so few.
        #expect(result.coverage.never.count <= 8, "never seen: \(result.coverage.never.map(\.name))")
    }

    @Test func `a seed gives the same events to the last`() {
        for seed in [3, 17] as [UInt64] {
            let (one, other) = (ClusterWorld(plan: Self.plan(seed)).play(), ClusterWorld(plan: Self.plan(seed)).play())
            #expect(one.traceHash == other.traceHash)
            #expect(one.events == other.events)
            #expect(one.coverage == other.coverage)
        }
        #expect(ClusterWorld(plan: Self.plan(3)).play().traceHash != ClusterWorld(plan: Self.plan(4)).play().traceHash)
    }

    @Test func `without faults every message is answered and every run ends`() {
        let verdict = ClusterWorld(plan: ClusterPlan(seed: 1, faults: [])).play()
        #expect(verdict.violation == nil)
        #expect(verdict.messages > 20)
        for sight in [.leaseExpired, .uncertain, .endedAlone] as [ClusterSight] { #expect(verdict.coverage[sight] == 0) }
    }

    @Test func `faults are read and written by name`() {
        #expect(ClusterPlan.Faults("workers,jump") == [.workers, .jump])
        #expect(ClusterPlan.Faults("all") == .all)
        #expect(ClusterPlan.Faults("none") == [])
        #expect(ClusterPlan.Faults("worker") == nil)
        #expect(ClusterPlan.Faults(ClusterPlan.Faults.all.text) == .all)
    }
}
