package import Primitives
import Simulation

/// One seed of the simulator: a cluster with faults of its own, and what came of it.
package struct SimulationRun: Sendable {
    /// Why there is nothing to run.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// What may be asked for.
    package struct Options: Equatable, Sendable {
        /// Nil: the seed decides.
        package var servers: Int?
        /// How long things go wrong, before all is healed and must be well; nil: as the plan has it.
        package var duration: Duration?
        /// `all`, `none`, or some of the names with commas between: what may go wrong; the seed decides which of it does.
        package var faults: String

        package init(servers: Int? = nil, duration: Duration? = nil, faults: String = "all") {
            (self.servers, self.duration, self.faults) = (servers, duration, faults)
        }
    }

    /// How it went.
    package struct Verdict: Sendable {
        package var seed: UInt64
        package var events: UInt64
        /// Simulated.
        package var seconds: Double
        package var operations: Int
        package var committed: UInt64
        /// What went wrong in it, by name.
        package var faults: String
        /// Nil when everything held.
        package var violation: String?
        /// How often each thing was seen that should be now and then, in their order.
        package var seen: [(name: String, count: Int)]
        /// What runs the same again.
        package var command: String
        /// All of it, for programs.
        package var value: Value
    }

    package static let serverLimit = 9
    package static let durationLimit = Duration.seconds(24 * 3600)
    /// What is seen now and then, and need not be.
    package static let noAim = Sight.undecided.name
    package static let faultNames = SimulationPlan.Faults.names.map(\.1)

    /// What runs the same again.
    package let command: String
    private let plan: SimulationPlan

    package init(seed: UInt64, _ options: Options = Options()) throws(Problem) {
        let faults = try Self.faults(options.faults)
        if let servers = options.servers, !(1...Self.serverLimit).contains(servers) {
            throw Problem(description: "\(servers) servers: 1 to \(Self.serverLimit) can be simulated")
        }
        if let duration = options.duration, duration <= .zero || duration > Self.durationLimit {
            throw Problem(description: "a duration of \(duration.text): more than none and 24h at most can be simulated")
        }
        var plan = SimulationPlan(seed: seed, servers: options.servers, faults: faults)
        if let duration = options.duration { plan.safety = duration }
        self.plan = plan
        var words = ["distric simulate --seed \(seed)"]
        if let servers = options.servers { words.append("--servers \(servers)") }
        if let duration = options.duration { words.append("--duration \(duration.text)") }
        if faults != .all { words.append("--faults \(faults.text)") }
        command = words.joined(separator: " ")
    }

    private static func faults(_ text: String) throws(Problem) -> SimulationPlan.Faults {
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for word in words where !(["all", "none"] + faultNames).contains(word) {
            let meant = suggestion(for: word, among: faultNames).map { "; did you mean '\($0)'?" } ?? ""
            throw Problem(
                description: "'\(word.prefix(80))' is no fault\(meant)\nthere are: all, none, \(faultNames.joined(separator: ", "))")
        }
        return SimulationPlan.Faults(text) ?? .all
    }

    /// Runs it to its end, or to the first thing that does not hold.
    ///
    /// - Parameter trace: gets one object for each thing that happens; whether it is given makes no difference to what does.
    package func play(trace: ((Value) -> Void)? = nil) -> Verdict {
        let world = World(plan: plan)
        if let trace { world.trace = { trace(SimulationTrace.value($0)) } }
        return told(world.play())
    }

    private func told(_ verdict: SimulationVerdict) -> Verdict {
        let seen = Sight.allCases.map { (name: $0.name, count: verdict.coverage[$0]) }
        let violation = verdict.violation
        let value = Value.object([
            "seed": Value(verdict.seed), "holds": .bool(violation == nil), "servers": Value(plan.servers), "spares": Value(plan.spares),
            "faults": .string(plan.faults.text), "events": Value(verdict.events), "simulatedSeconds": .double(verdict.simulated.seconds),
            "committed": Value(verdict.committed.number), "operations": Value(verdict.operations),
            "traceHash": .string(verdict.traceHash.description),
            "violation": violation.map {
                [
                    "invariant": .string($0.invariant), "what": .string($0.what), "event": Value($0.event),
                    "nanoseconds": .int($0.nanoseconds),
                ]
            },
            "seen": .map(Fields(seen.map { Fields.Member($0.name, Value($0.count)) })), "command": .string(command),
        ])
        return Verdict(
            seed: verdict.seed, events: verdict.events, seconds: verdict.simulated.seconds, operations: verdict.operations,
            committed: verdict.committed.number, faults: plan.faults.text, violation: violation?.description, seen: seen, command: command,
            value: value)
    }
}
