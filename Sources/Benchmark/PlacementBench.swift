import ArgumentParser
import Primitives
import Workflows

/// `distric-bench placement`: how long the leader takes to give many waiting tasks to many workers.
struct PlacementBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "placement", abstract: "Tasks that wait given to workers with room, at once.",
        discussion:
            "Cases: one for each strategy, then with 100 namespaces, labels, groups and costs. The best and the median of several times.")

    @Option(name: .customLong("case"), help: "Only this case.") var only: String?
    @Option(name: .long, help: "Workers.") var workers = 1000
    @Option(name: .long, help: "Tasks that wait.") var tasks = 10_000
    @Option(name: .long, help: "Slots of each worker.") var slots = 16
    @Option(name: .long, help: "How often each case is done.") var times = 9
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    /// What waits, and how it is placed.
    private struct Case {
        let name: String
        var shapes = [TaskShape(.exec)]
        var namespaces = 1
        var strategy = PlacementPolicy.leastLoaded
    }

    @concurrent
    func run() async throws {
        guard workers > 0, tasks > 0, times > 0 else { throw ValidationError("--workers, --tasks and --times must be more than 0") }
        let all = try cases()
        let chosen = all.filter { only == nil || $0.name == only }
        guard !chosen.isEmpty else { throw ValidationError("--case: choose \(all.map(\.name).joined(separator: ", "))") }
        let report = Report(suite: "placement", json: json)
        for item in chosen {
            let rounds = try (0..<times).map { _ in try measure(item) }
            let (placing, queueing) = (Quantiles(rounds.map(\.placing)), Quantiles(rounds.map(\.queueing)))
            report.figure(item.name, "tasks", Double(rounds[0].placed), "tasks")
            report.figure(item.name, "place-best", placing.at(0) * 1000, "ms")
            report.figure(item.name, "place-p50", placing.at(0.5) * 1000, "ms")
            report.figure(item.name, "queue-p50", queueing.at(0.5) * 1000, "ms")
        }
    }

    private func cases() throws -> [Case] {
        let zones = try (0..<8).map { number in
            TaskShape(
                .exec,
                terms: try PlacementTerms(
                    required: [LabelTerm("zone", .isOneOf(["z\(number)"]))], preferred: [.init(LabelTerm("disk", .isOneOf(["ssd"])))]))
        }
        let hosts = try (0..<workers).map {
            TaskShape(.exec, terms: try PlacementTerms(required: [LabelTerm("host", .isOneOf(["w\($0)"]))]))
        }
        let groups = TaskShape(.exec, terms: try PlacementTerms(apart: .init(.run, isRequired: true), near: .run))
        return PlacementPolicy.allCases.map { Case(name: $0.rawValue, strategy: $0) } + [
            Case(name: "namespaces-100", namespaces: 100), Case(name: "zones-8", shapes: zones), Case(name: "hosts", shapes: hosts),
            Case(name: "groups", shapes: [groups]), Case(name: "costs-1-to-4", shapes: (1...4).map { TaskShape(.exec, cost: $0) }),
        ]
    }

    private func measure(_ item: Case) throws -> (queueing: Double, placing: Double, placed: Int) {
        var scheduler = Scheduler(placement: Placement(strategy: item.strategy.strategy, seed: 1))
        for number in 0..<workers {
            let labels = try WorkerLabels([
                ("zone", "z\(number % 8)"), ("disk", number % 4 == 0 ? "ssd" : "hdd"), ("host", "w\(number)"),
            ])
            scheduler.join(try NodeID("w\(number)"), .init(slots: slots, light: 1024, labels: labels))
        }
        let waiting = try items(item)
        let began = LoadClient.now()
        for item in waiting { scheduler.push(item) }
        let queued = LoadClient.now()
        scheduler.begin(at: ClusterTime(milliseconds: UInt64(tasks)))
        var placed = 0
        while scheduler.next() != nil { placed += 1 }
        return (queued - began, LoadClient.now() - queued, placed)
    }

    /// With priorities and times by chance.
    private func items(_ item: Case) throws -> [ReadyQueue.Item] {
        var generator = SeededGenerator(seed: 2)
        let namespaces = try (0..<item.namespaces).map { try Namespace("n\($0)") }
        return (0..<tasks).map { number in
            let run = RunID(high: 1, low: UInt64(number / 4))
            return ReadyQueue.Item(
                run: run, task: number % 4, since: ClusterTime(milliseconds: UInt64.random(in: 0...UInt64(tasks), using: &generator)),
                priority: Int.random(in: 0...9, using: &generator),
                demand: TaskDemand(
                    namespace: namespaces[number % namespaces.count], run: run, shape: item.shapes[number % item.shapes.count]))
        }
    }
}
