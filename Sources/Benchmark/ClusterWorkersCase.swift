import Foundation
import Primitives

/// Many workers with real coordinators: how long they take to come, what they cost, and what gets done over them.
struct WorkersCase {
    let plan: ClusterPlan
    let count: Int

    private static let runs = 1000
    private static let patience = 120.0

    func run() async throws {
        let stage = try ClusterStage(plan, workers: 0)
        defer { stage.stop() }
        let leader = try stage.leader()
        guard let cluster = try stage.read(leader, "/api/v1/cluster/status")["clusterId"]?.string.flatMap({ UUIDv7($0) }) else {
            throw ClusterStage.Failed(description: "\(leader.id) does not say which cluster it is")
        }
        let workers = try PlayedWorkers(leader: leader.rpc, cluster: cluster)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await workers.run(count: count) }
            defer {
                workers.letGo()
                tasks.cancelAll()
            }
            var tally = Tally()
            try await attach(workers, leader, &tally)
            try await idle(workers, leader, &tally)
            for number in 1...plan.times {
                Progress.tell("workers: \(number) of \(plan.times)")
                try drive(stage, &tally)
                try await fill(workers, stage, &tally)
            }
            let counts = workers.counts
            tally.note("workers", "detached", Double(counts.detached), "workers")
            if let error = counts.lastError { Progress.tell("  \(counts.failures) attachments ended, the last: \(error)") }
            plan.tell(tally)
        }
    }

    private func until(_ what: @autoclosure () -> String, _ isSo: () throws -> Bool) async throws {
        let end = LoadClient.now() + Self.patience
        while try !isSo() {
            guard LoadClient.now() < end else { throw ClusterStage.Failed(description: "after \(Int(Self.patience)) s not yet: \(what())") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private func attach(_ workers: PlayedWorkers, _ leader: RaftCluster.Member, _ tally: inout Tally) async throws {
        Progress.tell("workers: \(count) attach")
        let began = LoadClient.now()
        try await until("\(count) workers attached, but \(workers.counts.attached) (\(workers.counts.lastError ?? "no error"))") {
            workers.counts.attached >= count
        }
        tally.note("workers", "attached", Double(count), "workers")
        tally.note("workers", "attached-after", LoadClient.now() - began, "s")
    }

    /// What it costs the leader that they are there.
    private func idle(_ workers: PlayedWorkers, _ leader: RaftCluster.Member, _ tally: inout Tally) async throws {
        let seconds = max(10, plan.seconds)
        try await Task.sleep(for: .seconds(2))
        let (before, renewed) = (ProcessUse(leader.child), workers.counts.renewals)
        try await Task.sleep(for: .seconds(seconds))
        guard let before, let after = ProcessUse(leader.child) else { throw ClusterStage.Failed(description: "the leader has ended") }
        tally.note("workers", "renewals", Double(workers.counts.renewals - renewed) / seconds, "renewals/s")
        tally.note("workers", "leader-processor", 100 * (after.processorSeconds - before.processorSeconds) / seconds, "% of a core")
        tally.note("workers", "leader-resident", Double(after.residentBytes) / 1_048_576, "MiB")
    }

    private func drive(_ stage: ClusterStage, _ tally: inout Tally) throws {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number, began) = (MessageNames(), Numbering(), LoadClient.now())
        var load = CallLoad(ports: [leader.rpc], connections: 8)
        load.messagesPerCall = 25
        let outcome = try load.run(seconds: plan.seconds) { ClusterWork.one.message(names[number.next()]) }
        let ended = try stage.wait(ended: before + outcome.acknowledged, leader)
        tally.note("workers", "runs-one", Double(outcome.acknowledged) / (ended - began), "runs/s")
    }

    /// Ten tasks of a thousand runs take a slot each, and all of them run at once.
    private func fill(_ workers: PlayedWorkers, _ stage: ClusterStage, _ tally: inout Tally) async throws {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number) = (MessageNames(), Numbering())
        let runs = min(Self.runs, count * PlayedWorkers.slots / ClusterWork.wideTasks)
        workers.hold()
        var load = CallLoad(ports: [leader.rpc], connections: 4)
        load.messagesPerCall = 50
        let began = LoadClient.now()
        let outcome = try load.run(seconds: 60) {
            let own = number.next()
            return own < runs ? ClusterWork.held.message(names[own]) : nil
        }
        let tasks = outcome.acknowledged * ClusterWork.wideTasks
        try await until("\(tasks) tasks with workers") { workers.counts.held >= tasks }
        tally.note("workers", "open-tasks", Double(tasks), "tasks")
        tally.note("workers", "assigned-after", LoadClient.now() - began, "s")
        let freed = LoadClient.now()
        workers.letGo()
        let ended = try stage.wait(ended: before + outcome.acknowledged, leader)
        tally.note("workers", "ended-after", ended - freed, "s")
    }
}
