import Foundation
import Glibc
import Primitives
import Synchronization
import Wire

/// kill -9 of the leader, and of a worker, under load.
struct LossCase {
    private enum Victim: String, CaseIterable {
        case leader, worker
    }

    let plan: ClusterPlan

    private static let clients = 64
    private static let rate = 500.0
    private static let timeout: Duration = .seconds(1)
    /// Seconds before it is killed, and until it comes back.
    private static let calm = 3.0
    private static let absence = 4.0
    /// Longer than a lease.
    private static let after = 12.0

    func run() async throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        var tally = Tally()
        for victim in Victim.allCases {
            for number in 1...plan.times {
                Progress.tell("failover-\(victim.rawValue): \(number) of \(plan.times)")
                try await measure(victim, stage, &tally)
            }
        }
        plan.tell(tally)
    }

    private func measure(_ victim: Victim, _ stage: ClusterStage, _ tally: inout Tally) async throws {
        let leader = try stage.leader()
        try stage.waitUntilReady()
        let child = victim == .leader ? leader.child : stage.workers[0].child
        let load = PersistentLoad(
            client: try ProposalClient(stage.coordinators), clients: Self.clients, rate: Self.rate, timeout: Self.timeout)
        let seconds = Self.calm + Self.absence + Self.after
        async let loaded = load.run(seconds: seconds)
        try await Task.sleep(for: .seconds(Self.calm))
        let struckAt = ClusterWork.wallMilliseconds
        _ = load.watch.take()
        child.kill9()
        try await Task.sleep(for: .seconds(Self.absence))
        try child.start()
        let acknowledged = try await loaded
        let pause = load.watch.take().longestPause
        await load.client.close()
        let endedAt = ClusterWork.wallMilliseconds
        try await settle(stage)
        let name = "failover-\(victim.rawValue)"
        var worst: (lost: Int, twice: Int, unsuccessful: Int, pause: Int) = (0, 0, 0, 0)
        // Each has a history of its own.
        for member in stage.coordinators.members {
            var ledger = RunLedger()
            ledger.acknowledge(acknowledged)
            try read(into: &ledger, load.names, stage, member)
            worst.lost = max(worst.lost, ledger.lost)
            worst.twice = max(worst.twice, ledger.twice)
            worst.unsuccessful = max(worst.unsuccessful, ledger.unsuccessful)
            worst.pause = max(worst.pause, ledger.longestPause(from: struckAt, to: endedAt - 1000))
        }
        tally.note(name, "acknowledged", Double(acknowledged.count), "messages")
        tally.note(name, "no-acknowledgement", pause * 1000, "ms")
        tally.note(name, "no-run-ended", Double(worst.pause), "ms")
        tally.note(name, "acknowledged-lost", Double(worst.lost), "messages")
        tally.note(name, "recorded-twice", Double(worst.twice), "messages")
        tally.note(name, "not-succeeded", Double(worst.unsuccessful), "runs")
        Progress.tell(
            "  \(acknowledged.count) acknowledged, \(worst.lost) lost, \(worst.twice) twice, no answer for \(Int(pause * 1000)) ms")
    }

    /// Until nothing is open and every coordinator has applied as much.
    private func settle(_ stage: ClusterStage) async throws {
        let end = LoadClient.now() + 60
        while true {
            try stage.coordinators.waitUntilWhole()
            let found = try stage.coordinators.members.map { try stage.runs($0) }
            if found.allSatisfy({ $0.open == 0 && $0.ended == found[0].ended }) { return }
            guard LoadClient.now() < end else {
                throw ClusterStage.Failed(description: "runs are open after 60 s: \(found.map(\.open))")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func read(into ledger: inout RunLedger, _ names: MessageNames, _ stage: ClusterStage, _ member: RaftCluster.Member) throws {
        var strangers = 0
        try stage.rows(member, "/api/v1/runs?limit=1000&workflow=one") { row in
            guard let run = row["id"]?.string, let message = row["messageId"]?.string else { return true }
            guard names.owns(message) else {
                // Rows of the load before: they lie together, apart from late ones.
                strangers += 1
                return strangers < 5000
            }
            let endedAt = row["endedAt"]?.string.flatMap { ClusterTime(rfc3339: $0) }.map { Int($0.milliseconds) }
            ledger.note(run: run, message: message, state: row["state"]?.string ?? "", endedAt: endedAt)
            return true
        }
    }
}

/// Clients that send a message until it is acknowledged, whoever leads: what a client library does.
struct PersistentLoad: Sendable {
    let client: ProposalClient
    let clients: Int
    /// Messages a second over all clients.
    let rate: Double
    let timeout: Duration
    let names = MessageNames()
    let watch = PauseWatch()
    private static let rest = Duration.milliseconds(5)
    /// Seconds for what is under way when the time is over.
    private static let patience = 30.0

    /// The messages that were acknowledged.
    func run(seconds: Double) async throws -> [String] {
        let began = LoadClient.now()
        return try await withThrowingTaskGroup(of: [String].self) { tasks in
            for place in 0..<clients { tasks.addTask { try await one(place, began, began + seconds) } }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
    }

    private func one(_ place: Int, _ began: Double, _ end: Double) async throws -> [String] {
        var acknowledged: [String] = []
        let interval = Double(clients) / rate
        var due = began + Double(place) / rate
        var number = place
        while due < end {
            let left = due - LoadClient.now()
            if left > 0 { try await Task.sleep(for: .seconds(left)) }
            // What a pause held up is made good, up to a second of it.
            due = max(due, LoadClient.now() - 1) + interval
            let id = names[number]
            number += clients
            try await send(ClusterWork.one.message(id), until: end + Self.patience)
            watch.note(LoadClient.now())
            acknowledged.append(id)
        }
        return acknowledged
    }

    private func send(_ message: [UInt8], until end: Double) async throws {
        while true {
            do throws(CallError) { return try await client.propose(message, timeout: timeout) } catch {
                guard LoadClient.now() < end, error.code != .denied, error.code != .invalid || error.isUncertain else { throw error }
                try await Task.sleep(for: Self.rest)
            }
        }
    }
}
