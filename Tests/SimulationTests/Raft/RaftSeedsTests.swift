import Dispatch
import Foundation
import Primitives
import Synchronization
import Testing

@testable import Simulation

/// Design 6, S0 to S7: whole clusters under faults, each decided by one seed. DISTRIC_SEEDS=N tries N instead of 200; `distric-simulator` tries thousands.
struct RaftSeedsTests {
    /// Shorter than what `distric simulate` plays: a debug build is some twenty times slower.
    private static func plan(_ seed: UInt64) -> SimulationPlan {
        var plan = SimulationPlan(seed: seed)
        (plan.safety, plan.liveness, plan.convergence, plan.service) = (.seconds(6), .seconds(5), .seconds(10), .seconds(1))
        return plan
    }

    /// Faults N4, F5, F10 and O3, and what R23 and C3 are shown by.
    private static let required: [Sight] = [
        .frameCut, .byteByByte, .halfOpen, .acceptedSilent, .streamsMixed, .shortWrite, .writeFailed, .readFailed, .diskFull, .readOnly,
        .wiped, .folderRefused, .readmitted, .swapped, .swapRefused, .rolledBack, .foundOut, .upgraded, .levelsMixed, .levelRaised,
        .newerCommand, .definiteError, .disturbed,
    ]

    private struct Found {
        var violations: [String] = []
        var coverage = Coverage()
    }

    @Test func `every seed holds`() throws {
        let count = ProcessInfo.processInfo.environment["DISTRIC_SEEDS"].flatMap { Int($0) } ?? 200
        let found = Mutex(Found())
        DispatchQueue.concurrentPerform(iterations: count) { number in
            let verdict = World(plan: Self.plan(UInt64(number) + 1)).play()
            found.withLock { found in
                found.coverage += verdict.coverage
                if let violation = verdict.violation { found.violations.append("seed \(verdict.seed): \(violation)") }
            }
        }
        let result = found.withLock { $0 }
        #expect(result.violations.isEmpty, "\(result.violations.joined(separator: "\n"))")
        // Most of what may happen does, even in so few; what was added because it had been missing always does.
        #expect(result.coverage.never.count <= 6, "never seen: \(result.coverage.never.map(\.name))")
        let unseen = Self.required.filter { result.coverage[$0] == 0 }
        #expect(unseen.isEmpty, "never seen: \(unseen.map(\.name))")
    }

    @Test func `a seed gives the same events to the last`() {
        for seed in [3, 17, 29] as [UInt64] {
            let (one, other) = (World(plan: Self.plan(seed)).play(), World(plan: Self.plan(seed)).play())
            #expect(one.traceHash == other.traceHash)
            #expect(one.events == other.events)
            #expect(one.coverage == other.coverage)
        }
        #expect(World(plan: Self.plan(3)).play().traceHash != World(plan: Self.plan(4)).play().traceHash)
    }

    @Test func `faults are read and written by name`() {
        #expect(SimulationPlan.Faults("kill,partition") == [.kill, .partition])
        #expect(SimulationPlan.Faults("all") == .all)
        #expect(SimulationPlan.Faults("none") == [])
        #expect(SimulationPlan.Faults("kil") == nil)
        #expect(SimulationPlan.Faults(SimulationPlan.Faults.all.text) == .all)
    }
}
