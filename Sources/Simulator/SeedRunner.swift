import ArgumentParser
import Foundation
import Primitives
import Raft
import Simulation
import Workflows

/// `distric-simulator`: the simulator alone, for machines that try many seeds. Operators have `distric simulate`.
@main
struct SeedRunner: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distric-simulator", abstract: "Tries seeds: each is a simulated cluster with faults of its own.",
        discussion: """
            Ends with 1 when an invariant does not hold, and names the seed; `distric simulate --seed N` shows it. With --bugs, in a build with
            `--traits Mutations`, each of the bugs that others shipped is switched on until a seed finds it; ends with 1 when one is not found.
            """)

    @Flag(help: "Whole clusters with workers and clients, and not the log alone.") var cluster = false
    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Option(help: "How many seeds.") var seeds = 200
    @Option(help: "Stop after so many seconds, whatever is left.") var seconds: Double?
    @Option(help: "Servers; the seed decides when it is left out.") var servers: Int?
    @Option(help: "What may go wrong: all, none, or some of them with commas between.") var faults = "all"
    @Option(help: "Switch this bug on; only in a build with the trait Mutations.") var bug: String?
    @Flag(help: "Try every bug, each until a seed finds it; only in a build with the trait Mutations.") var bugs = false
    @Flag(help: "Go on after a seed that does not hold.") var keepGoing = false
    @Flag(help: "Name each seed before it is tried, so that one that traps is known.") var verbose = false
    @Flag(help: "Five servers and ten proposals a second, for figures; without --servers, --bugs and --cluster.") var figure = false
    @Flag(help: "End with 1 when something that should be seen now and then was never seen.") var complete = false

    @Flag(help: "With --cluster: print what happens.") var trace = false

    func run() throws {
        if cluster, !bugs, !figure {
            guard servers == nil else { throw ValidationError("--servers: the seed decides how many nodes a cluster has; leave it out") }
            try chooseWork(bug)
            return try ClusterSeeds(
                seed: seed, seeds: seeds, seconds: seconds, faults: faults, keepsGoing: keepGoing, isVerbose: verbose, isComplete: complete,
                traces: trace
            ).run()
        }
        guard !trace else {
            throw ValidationError("--trace goes with --cluster; 'distric simulate --trace FILE' writes down what a log's servers do")
        }
        guard cluster || SimulationPlan.Faults(faults) != nil else { throw ValidationError("--faults \(faults): no such fault") }
        guard !figure || servers == nil && !bugs && !cluster else {
            throw ValidationError("--figure has five servers of the log and no bugs: leave out --servers, --bugs and --cluster")
        }
        if bugs { return try tryBugs() }
        guard let allowed = SimulationPlan.Faults(faults) else { throw ValidationError("--faults \(faults): no such fault") }
        try choose(bug)
        var sweep = SimulationSweep(first: seed, servers: servers, faults: allowed)
        sweep.isFigure = figure
        let (began, processor) = (Date(), clock())
        while sweep.seeds < seeds, seconds.map({ Date().timeIntervalSince(began) < $0 }) ?? true {
            let plan = sweep.nextPlan
            if verbose { say("seed \(plan.seed)") }
            guard let violation = sweep.next().violation else { continue }
            say("seed \(plan.seed): \(violation) [\(plan.faults.text)]")
            if !keepGoing { throw ExitCode(1) }
        }
        let took = Date().timeIntervalSince(began)
        print(
            String(
                format: "%d seeds in %.1f s: %.1f seeds/s, %.0f simulated seconds a second, %.0f events/s", sweep.seeds, took,
                Double(sweep.seeds) / took, sweep.seconds / took, Double(sweep.events) / took))
        let used = Double(clock() - processor) / Double(CLOCKS_PER_SEC)
        print(
            String(
                format: "  of one processor: %.0f simulated seconds a second, %.0f events/s; %.1f entries committed a simulated second",
                sweep.seconds / used, Double(sweep.events) / used, Double(sweep.committed) / sweep.seconds))
        print("  trace \(sweep.traceHash)")
        for sight in Sight.allCases { print("  \(sight.name): \(sweep.coverage[sight])") }
        if !sweep.failures.isEmpty { throw ExitCode(1) }
        let never = sweep.coverage.never
        guard complete, !never.isEmpty else { return }
        say("never seen: \(never.map(\.name).joined(separator: ", "))")
        throw ExitCode(1)
    }

    private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    private func choose(_ name: String?) throws {
        guard let name else { return }
        guard let bug = SeededBug(rawValue: name) else {
            throw ValidationError("no bug '\(name)': \(SeededBug.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        #if Mutations
            SeededBug.active = bug
        #else
            throw ValidationError("this build has no bugs to choose: build it with --traits Mutations to have \(bug.rawValue)")
        #endif
    }

    private func chooseWork(_ name: String?) throws {
        guard let name else { return }
        guard let bug = WorkBug(rawValue: name) else {
            throw ValidationError("no bug '\(name)' of clusters: \(WorkBug.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        #if Mutations
            WorkBug.active = bug
        #else
            throw ValidationError("this build has no bugs to choose: build it with --traits Mutations to have \(bug.rawValue)")
        #endif
    }

    /// Each in a process of its own, for many of them make a core trap.
    private func tryBugs() throws {
        #if !Mutations
            throw ValidationError("this build has no bugs to choose: build it with --traits Mutations")
        #else
            var missed: [String] = []
            let names = cluster ? WorkBug.allCases.map(\.rawValue) : SeededBug.allCases.map(\.rawValue)
            for bug in names {
                let (code, lines) = try runSelf(
                    (cluster ? ["--cluster"] : []) + ["--bug", bug, "--seed", "\(seed)", "--seeds", "\(seeds)", "--verbose"])
                let tried = lines.count { $0.hasPrefix("seed ") && !$0.contains(":") }
                let why = lines.last { $0.contains(" at event ") || $0.contains("Fatal error") } ?? ""
                if code == 0 { missed.append(bug) }
                print(
                    "\(bug): \(code == 0 ? "not found in \(tried) seeds" : "found by seed \(tried) of \(seed)...: \(why.prefix(240))")"
                )
                fflush(nil)
            }
            guard missed.isEmpty else { throw ExitCode(1) }
        #endif
    }

    private func runSelf(_ arguments: [String]) throws -> (code: Int32, lines: [Substring]) {
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(filePath: CommandLine.arguments[0])
        process.arguments = arguments
        process.environment = ["SWIFT_BACKTRACE": "enable=no"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text.split(separator: "\n"))
    }
}
