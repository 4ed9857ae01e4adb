import ArgumentParser
import Foundation
import Primitives

/// `distric-bench cluster`: coordinators and workers that are processes of their own, and what they get done together.
struct ClusterSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Three coordinators and four workers: messages, runs, latencies, overload, failover, idle cost.",
        discussion: """
            Cases: messages, runs, start, open, workers, overload, failover, idle; without --case all of them, on a new cluster each. All are processes of
            the distric beside this program, with their defaults, fsync on, in folders under TMPDIR, which must be on a disk. What is counted
            is counted from outside: answers to clients, and runs that the API shows as ended. Each figure is the median of --times
            measurements after two seconds to warm up; how far they lie apart stands beside the progress.

            messages: 256 bytes each, one in flight on each of 1, 64 and 256 connections of the binary protocol, to the leader (--to all:
            to all coordinators in turn), a rule matches and nothing runs; then over HTTP to all coordinators. runs: finished runs a second of one no-op task, and of
            four after one another. start: from the client's send to the worker's start, and from a task's being ready to its worker's start, at half
            of what 64 connections reach. open: 1,000 runs of ten open tasks each at once. workers: --simulated workers that this program
            plays, attached over connections of their own. overload: three times what 256 messages in flight reach, over 16 connections, sent whether answers come or not.
            failover: kill -9 of the leader and of a worker under load; afterwards every coordinator is asked for all runs. idle: a worker that has
            nothing to do.

            Figures of other programs are those recorded before, on such a machine; they are not measured here. Everything that is started is ended,
            after Ctrl-C too.
            """)

    /// Whom clients connect to.
    enum Target: String, ExpressibleByArgument, CaseIterable {
        case leader, all
    }

    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Option(name: .long, help: "Seconds of each measurement, after two to warm up.") var seconds: Double = 5
    @Option(name: .long, help: "Measurements of which the median is told.") var times = 3
    @Option(name: .long, help: "Workers that are processes.") var workers = 4
    @Option(name: .long, help: "Workers that this program plays in the case workers.") var simulated = 1000
    @Option(name: .long, help: "Whom messages go to over the binary protocol: leader or all.") var to = Target.leader
    @Option(name: .long, help: "Ports that nodes listen on, as FIRST-LAST.") var ports = "20000-31999"
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    static let cases = ["messages", "runs", "start", "open", "workers", "overload", "failover", "idle"]

    private var chosenPorts: Range<Int>? {
        let ends = ports.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first >= 1024, last <= 65_535, first <= last else { return nil }
        return first..<last + 1
    }

    func validate() throws {
        if let only, !Self.cases.contains(only) { throw ValidationError("no case '\(only)': \(Self.cases.joined(separator: ", "))") }
        guard seconds > 0, seconds.isFinite, times > 0, workers > 0, simulated > 0 else {
            throw ValidationError("--seconds, --times, --workers and --simulated must be more than 0")
        }
        guard workers <= 64, simulated <= 4096 else {
            throw ValidationError("--workers up to 64, --simulated up to 4096: as many as a leader takes")
        }
        guard let chosenPorts, chosenPorts.count >= 2 * (3 + workers) else {
            throw ValidationError("--ports is FIRST-LAST, from 1024 to 65535, and at least \(2 * (3 + workers)) of them")
        }
    }

    @concurrent
    func run() async throws {
        let children = ChildProcesses()
        defer { children.endAll() }
        let plan = ClusterPlan(
            seconds: seconds, times: times, workers: workers, ports: chosenPorts ?? Loopback.ports, children: children,
            report: Report(suite: "cluster", json: json))
        for name in only.map({ [$0] }) ?? Self.cases {
            defer { children.endAll() }
            switch name {
            case "messages": try MessagesCase(plan: plan, target: to).run()
            case "runs": try RunsCase(plan: plan).run()
            case "start": try StartCase(plan: plan).run()
            case "open": try OpenCase(plan: plan).run()
            case "workers": try await WorkersCase(plan: plan, count: simulated).run()
            case "overload": try FloodCase(plan: plan).run()
            case "failover": try await LossCase(plan: plan).run()
            default: try IdleCase(plan: plan).run()
            }
            ClusterYardsticks(report: plan.report).tell(beside: name)
        }
    }
}

/// What every case of the suite is told.
struct ClusterPlan: Sendable {
    let seconds: Double
    let times: Int
    let workers: Int
    let ports: Range<Int>
    let children: ChildProcesses
    let report: Report

    static let warmUp = 2.0

    /// Measures as often as it is to be, and tells the median of each figure.
    func repeated(_ name: String, _ body: (inout Tally) throws -> Void) throws {
        var tally = Tally()
        for number in 1...times {
            Progress.tell("\(name): \(number) of \(times)")
            try body(&tally)
        }
        tell(tally)
    }

    func tell(_ tally: Tally) {
        for figure in tally.figures {
            report.figure(figure.test, figure.metric, figure.median, figure.unit)
            if figure.values.count > 1 { Progress.tell("  \(figure.test)/\(figure.metric): \(figure.spread)") }
        }
    }
}

/// Figures that were measured several times, in the order in which they first came.
struct Tally {
    struct Figure: Equatable {
        let test: String
        let metric: String
        let unit: String
        var values: [Double]

        /// Of an even number the mean of the two in the middle.
        var median: Double {
            let sorted = values.sorted()
            guard !sorted.isEmpty else { return .nan }
            let middle = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        }

        var spread: String {
            func text(_ value: Double) -> String { String(format: value >= 100 ? "%.0f" : "%.2f", value) }
            return "\(text(values.min() ?? .nan)) to \(text(values.max() ?? .nan)) \(unit)"
        }
    }

    private(set) var figures: [Figure] = []

    mutating func note(_ test: String, _ metric: String, _ value: Double, _ unit: String) {
        if let place = figures.firstIndex(where: { $0.test == test && $0.metric == metric }) {
            figures[place].values.append(value)
        } else {
            figures.append(Figure(test: test, metric: metric, unit: unit, values: [value]))
        }
    }
}
