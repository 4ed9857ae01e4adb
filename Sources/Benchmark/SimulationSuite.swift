import ArgumentParser
import Foundation
import Primitives
import Simulation

/// `distric-bench simulation`: how fast the simulator is.
struct SimulationSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulation", abstract: "Simulated clusters: seeds a second, simulated seconds a second.",
        discussion:
            "Seeds as `distric-simulator` tries them, with five servers; the seed decides how many with `--servers 0`. Then five servers with a node's settings and ten proposals a second for two minutes, with all that may go wrong and with nothing."
    )

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
        say(sweep, "seeds", LoadClient.now() - began, report)
        try figure("five-servers", allowed, report)
        try figure("five-servers-unharmed", [], report)
    }

    private func figure(_ name: String, _ faults: SimulationPlan.Faults, _ report: Report) throws {
        var sweep = SimulationSweep(first: seed, faults: faults)
        sweep.isFigure = true
        let began = LoadClient.now()
        for _ in 0..<max(1, seeds / 5) {
            guard let violation = sweep.next().violation else { continue }
            throw ValidationError("\(name), seed \(seed + UInt64(sweep.seeds - 1)): \(violation)")
        }
        say(sweep, name, LoadClient.now() - began, report)
        report.figure(name, "committed", Double(sweep.committed) / sweep.seconds, "entries/simulated s")
    }

    private func say(_ sweep: SimulationSweep, _ name: String, _ took: Double, _ report: Report) {
        report.figure(name, "rate", Double(sweep.seeds) / took, "seeds/s")
        report.figure(name, "simulated", sweep.seconds / took, "s/s")
        report.figure(name, "events", Double(sweep.events) / took, "events/s")
    }
}
