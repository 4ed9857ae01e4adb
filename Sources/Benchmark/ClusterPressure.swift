import Foundation
import Primitives

/// A thousand runs of ten tasks each that are open at once.
struct OpenCase {
    let plan: ClusterPlan

    private static let runs = 1000

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        try plan.repeated("open") { tally in try measure(stage, &tally) }
    }

    private func measure(_ stage: ClusterStage, _ tally: inout Tally) throws {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number) = (MessageNames(), Numbering())
        var load = CallLoad(ports: [leader.rpc], connections: 4)
        load.messagesPerCall = 50
        let began = LoadClient.now()
        let outcome = try load.run(seconds: 60) {
            let own = number.next()
            return own < Self.runs ? ClusterWork.wide.message(names[own]) : nil
        }
        tally.note("open", "taken-after", LoadClient.now() - began, "s")
        guard outcome.acknowledged == Self.runs else {
            throw ClusterStage.Failed(description: "\(outcome.acknowledged) of \(Self.runs) were taken: \(outcome.lastError ?? "")")
        }
        let status = try stage.read(leader, "/api/v1/cluster/status")
        tally.note("open", "runs", Double(status.at("runs", "open")?.int ?? 0), "runs")
        tally.note("open", "tasks", Double(status.at("tasks", "waiting")?.int ?? 0), "tasks")
        let beside = try CallLoad(ports: [leader.rpc], connections: 64).run(seconds: min(3, plan.seconds)) {
            ClusterWork.observed.message(names[number.next()])
        }
        tally.note("open", "messages-beside", beside.rate, "messages/s")
        tally.note("open", "messages-beside-p99", Quantiles(beside.latencies).at(0.99) * 1000, "ms")
        if let use = ProcessUse(leader.child) { tally.note("open", "leader-resident", Double(use.residentBytes) / 1_048_576, "MiB") }
        try stage.wait(ended: before + Self.runs, leader)
        let late = try lateness(names, stage, leader)
        tally.note("open", "late-p50", late.at(0.5), "ms")
        tally.note("open", "late-max", late.at(1), "ms")
    }

    /// Milliseconds by which runs ended after all that they waited for was over: all of them are due within a moment.
    private func lateness(_ names: MessageNames, _ stage: ClusterStage, _ leader: RaftCluster.Member) throws -> Quantiles {
        var found: [Double] = []
        try stage.rows(leader, "/api/v1/runs?limit=1000&workflow=wide") { row in
            guard let id = row["messageId"]?.string, names.owns(id) else { return false }
            if let took = row["durationMs"]?.int { found.append(Double(took) - Double(ClusterWork.waitSeconds) * 1000) }
            return true
        }
        return Quantiles(found)
    }
}

/// Three times what can be taken, sent whether answers come or not.
struct FloodCase {
    let plan: ClusterPlan

    private static let connections = 16
    /// At the peak, over all of them; and at most of each in the flood.
    private static let inFlight = 256
    private static let depth = 1024

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        for work in [ClusterWork.observed, .one] {
            let name = "overload-\(work.rawValue)"
            _ = try load(work, stage, rate: nil, seconds: ClusterPlan.warmUp)
            try plan.repeated(name) { tally in
                let peak = try load(work, stage, rate: nil, seconds: plan.seconds)
                let flood = try load(work, stage, rate: 3 * peak.rate, seconds: plan.seconds)
                let (calm, hard) = (Quantiles(peak.latencies), Quantiles(flood.latencies))
                tally.note(name, "peak", peak.rate, "messages/s")
                tally.note(name, "peak-p99", calm.at(0.99) * 1000, "ms")
                // By the time in which messages were sent, not the one in which the last answers came.
                let goodput = Double(flood.acknowledged) / max(plan.seconds, 0.001)
                tally.note(name, "offered", 3 * peak.rate, "messages/s")
                tally.note(name, "goodput", goodput, "messages/s")
                tally.note(name, "goodput-to-peak", 100 * goodput / peak.rate, "%")
                tally.note(name, "accepted-p99", hard.at(0.99) * 1000, "ms")
                tally.note(name, "accepted-p99-to-peak", hard.at(0.99) / calm.at(0.99), "times")
                tally.note(name, "refused", Double(flood.refused), "messages")
                tally.note(name, "unsent", Double(flood.unsent), "messages")
                if flood.failed > 0 { tally.note(name, "failed", Double(flood.failed), "messages") }
                let leader = try stage.leader()
                if let use = ProcessUse(leader.child) { tally.note(name, "leader-resident", Double(use.residentBytes) / 1_048_576, "MiB") }
            }
        }
    }

    private func load(_ work: ClusterWork, _ stage: ClusterStage, rate: Double?, seconds: Double) throws -> CallLoad.Outcome {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number) = (MessageNames(), Numbering())
        // Few connections: what many small writes cost the kernel is not what is measured.
        var load = CallLoad(ports: [leader.rpc], connections: Self.connections)
        load.rate = rate
        load.depth = rate == nil ? Self.inFlight / Self.connections : Self.depth
        let outcome = try load.run(seconds: seconds) { work.message(names[number.next()]) }
        if let error = outcome.lastError { Progress.tell("  \(outcome.refused) refused, \(outcome.failed) failed, the last: \(error)") }
        guard outcome.acknowledged > 0 else { throw ClusterStage.Failed(description: "no message was taken: \(outcome.lastError ?? "")") }
        if work == .one, outcome.failed == 0 { try stage.wait(ended: before + outcome.acknowledged, leader) }
        return outcome
    }
}

/// What a worker costs that has nothing to do.
struct IdleCase {
    let plan: ClusterPlan

    /// By then it has given back what only its start needed.
    private static let settling = 8.0

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        let leader = try stage.leader()
        usleep(UInt32(Self.settling * 1e6))
        let seconds = max(plan.seconds, 10)
        let workers = stage.workers.map(\.child)
        let followers = stage.coordinators.members.filter { $0.id != leader.id }.map(\.child)
        try plan.repeated("idle") { tally in
            let groups = [("worker", workers), ("leader", [leader.child]), ("follower", followers)]
            let before = groups.map { $0.1.map { ProcessUse($0) } }
            usleep(UInt32(seconds * 1e6))
            for (place, (name, children)) in groups.enumerated() {
                let after = children.map { ProcessUse($0) }
                let shares = zip(before[place], after).compactMap { before, after -> Double? in
                    guard let before, let after else { return nil }
                    return 100 * (after.processorSeconds - before.processorSeconds) / seconds
                }
                guard shares.count == children.count else { throw ClusterStage.Failed(description: "a \(name) has ended") }
                tally.note(
                    "idle-\(name)", "resident", Quantiles(after.compactMap { $0.map { Double($0.residentBytes) / 1_048_576 } }).at(1), "MiB"
                )
                tally.note(
                    "idle-\(name)", "anonymous", Quantiles(after.compactMap { $0.map { Double($0.anonymousBytes) / 1_048_576 } }).at(1),
                    "MiB")
                tally.note("idle-\(name)", "processor", Quantiles(shares).at(1), "% of a core")
            }
        }
    }
}
