import ArgumentParser
import Foundation
import Glibc
import Primitives
import Text

/// `distric-bench SUITE [--case C] [--json]`: every figure that DistriC promises, one a line.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distric-bench", abstract: "Measures DistriC; build with -c release, and run nothing beside it.",
        subcommands: [
            WalkSuite.self, ConsoleSuite.self, ObservabilitySuite.self, WireSuite.self, RPCSuite.self, ConnectionsSuite.self,
            SimulationSuite.self, RaftSuite.self, ClusterSuite.self, RPCServing.self, PlacementBench.self,
        ])
}

/// Where figures go: a line for people, or a JSON object a line.
struct Report: Sendable {
    let suite: String
    let json: Bool

    func figure(_ test: String, _ metric: String, _ value: Double, _ unit: String, who: String = "distric") {
        // Each figure is there when it is measured, also in a file.
        defer { fflush(nil) }
        guard json else {
            let number = value >= 100 ? String(format: "%.0f", value) : String(format: "%.2f", value)
            print("\(suite) \(test)/\(metric): \(number) \(unit) (\(who))")
            return
        }
        let line: Value = [
            "suite": .string(suite), "case": .string(test), "metric": .string(metric), "value": .double(value), "unit": .string(unit),
            "who": .string(who),
        ]
        print(JSONWriter.text(line))
    }
}

/// Sorted observations.
struct Quantiles {
    private let sorted: [Double]
    init(_ values: [Double]) { sorted = values.sorted() }
    func at(_ share: Double) -> Double { sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] }
}
