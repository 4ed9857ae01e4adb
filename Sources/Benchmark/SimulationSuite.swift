import ArgumentParser
import Foundation
import Primitives
import Simulation

/// `distric-bench simulation`: how fast the simulator is.
struct SimulationSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulation", abstract: "Simulated clusters: seeds a second, simulated seconds a second.",
        discussion:
            "Five servers for the figure that others state; the seed decides how many with `--servers 0`. `distric-simulator` tries seeds.")

    @Option(name: .long, help: "The first seed.") var seed: UInt64 = 1
    @Option(name: .long, help: "How many seeds.") var seeds = 100
    @Option(name: .long, help: "Servers; 0: the seed decides.") var servers = 5
    @Option(name: .long, help: "What may go wrong: all, none, or some of them with commas between.") var faults = "all"
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    @concurrent
    func run() async throws {
        guard let allowed = SimulationPlan.Faults(faults) else { throw ValidationError("--faults \(faults): no such fault") }
        let report = Report(suite: "simulation", json: json)
        var sweep = SimulationSweep(first: seed, servers: servers > 0 ? servers : nil, faults: allowed)
        let began = LoadClient.now()
        for _ in 0..<seeds {
            guard let violation = sweep.next().violation else { continue }
            throw ValidationError("seed \(seed + UInt64(sweep.seeds - 1)): \(violation)")
        }
        let took = LoadClient.now() - began
        report.figure("seeds", "rate", Double(seeds) / took, "seeds/s")
        report.figure("seeds", "simulated", sweep.seconds / took, "s/s")
        report.figure("seeds", "events", Double(sweep.events) / took, "events/s")
    }
}
