import Foundation
import Primitives

/// Messages that are durable, a second, and how long each takes.
struct MessagesCase {
    let plan: ClusterPlan
    let target: ClusterSuite.Target

    private static let connections = [1, 64, 256]

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        for connections in Self.connections {
            let load = CallLoad(ports: try ports(stage), connections: connections)
            try measure("messages-\(connections)") { seconds in
                let (names, number) = (MessageNames(), Numbering())
                let outcome = try load.run(seconds: seconds) { ClusterWork.observed.message(names[number.next()]) }
                if let error = outcome.lastError { Progress.tell("  \(outcome.refused + outcome.failed) not taken: \(error)") }
                return (outcome.rate, outcome.latencies, outcome.refused + outcome.failed)
            }
        }
        try http(stage)
    }

    private func ports(_ stage: ClusterStage) throws -> [Int] {
        switch target {
        case .leader: [try stage.leader().rpc]
        case .all: stage.coordinators.members.map(\.rpc)
        }
    }

    /// To all coordinators in turn, of which two pass on to the third.
    private func http(_ stage: ClusterStage) throws {
        let ports = stage.coordinators.members.map(\.http)
        try measure("messages-http-64") { seconds in
            let names = MessageNames()
            let outcome = try LoadClient(port: ports[0], connections: 64, otherPorts: Array(ports.dropFirst())).run(seconds: seconds) {
                LoadClient.request("POST", "/api/v1/messages", ClusterWork.observed.message(names[$0]))
            }
            return (Double(outcome.requests - outcome.failures) / outcome.seconds, outcome.latencies, outcome.failures)
        }
    }

    private func measure(_ name: String, _ load: (Double) throws -> (rate: Double, latencies: [Double], failures: Int)) throws {
        _ = try load(ClusterPlan.warmUp)
        try plan.repeated(name) { tally in
            let (rate, latencies, failures) = try load(plan.seconds)
            let quantiles = Quantiles(latencies)
            tally.note(name, "messages", rate, "messages/s")
            tally.note(name, "p50", quantiles.at(0.5) * 1000, "ms")
            tally.note(name, "p99", quantiles.at(0.99) * 1000, "ms")
            if failures > 0 { tally.note(name, "not-taken", Double(failures), "messages") }
        }
    }
}

/// Counts up from 0.
final class Numbering {
    private var value = 0

    func next() -> Int {
        defer { value += 1 }
        return value
    }
}

/// Finished runs a second: as many as can be started are, and the time ends when the last has ended.
struct RunsCase {
    let plan: ClusterPlan

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        for work in [ClusterWork.one, .chain] {
            let name = "runs-\(work.rawValue)"
            _ = try measure(work, stage, seconds: ClusterPlan.warmUp)
            try plan.repeated(name) { tally in
                let found = try measure(work, stage, seconds: plan.seconds)
                tally.note(name, "runs", found.rate, "runs/s")
                tally.note(name, "after-the-last-message", found.rest, "s")
                if found.refused > 0 { tally.note(name, "refused", Double(found.refused), "messages") }
            }
        }
    }

    private func measure(_ work: ClusterWork, _ stage: ClusterStage, seconds: Double) throws -> (rate: Double, rest: Double, refused: Int) {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number) = (MessageNames(), Numbering())
        var load = CallLoad(ports: [leader.rpc], connections: 8)
        load.messagesPerCall = 25
        let began = LoadClient.now()
        let outcome = try load.run(seconds: seconds) { work.message(names[number.next()]) }
        guard outcome.acknowledged > 0, outcome.failed == 0 else {
            throw ClusterStage.Failed(
                description: "\(work.rawValue): \(outcome.failed) messages failed: \(outcome.lastError ?? "none was taken")")
        }
        let sent = LoadClient.now()
        let ended = try stage.wait(ended: before + outcome.acknowledged, leader)
        return (Double(outcome.acknowledged) / (ended - began), ended - sent, outcome.refused)
    }
}

/// How long a task waits, at half of what 64 connections reach.
struct StartCase {
    let plan: ClusterPlan

    private static let connections = 64

    func run() throws {
        let stage = try ClusterStage(plan)
        defer { stage.stop() }
        for work in [ClusterWork.one, .chain] {
            let name = work == .one ? "start" : "start-chain"
            let full = try peak(work, stage)
            try plan.repeated(name) { tally in try measure(name, work, rate: full / 2, stage, &tally) }
        }
    }

    /// Runs a second, begun by as many clients with one message each.
    private func peak(_ work: ClusterWork, _ stage: ClusterStage) throws -> Double {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number, began) = (MessageNames(), Numbering(), LoadClient.now())
        let outcome = try CallLoad(ports: [leader.rpc], connections: Self.connections).run(seconds: 2 * ClusterPlan.warmUp) {
            work.message(names[number.next()])
        }
        return Double(outcome.acknowledged) / (try stage.wait(ended: before + outcome.acknowledged, leader) - began)
    }

    private func measure(_ name: String, _ work: ClusterWork, rate: Double, _ stage: ClusterStage, _ tally: inout Tally) throws {
        let leader = try stage.leader()
        let before = try stage.runs(leader).ended
        let (names, number, began) = (MessageNames(), Numbering(), ClusterWork.wallMilliseconds)
        var load = CallLoad(ports: [leader.rpc], connections: Self.connections)
        load.rate = rate
        load.depth = 64
        let outcome = try load.run(seconds: plan.seconds) { work.message(names[number.next()]) }
        try stage.wait(ended: before + outcome.acknowledged, leader)
        let (starts, assignments) = try waits(work, since: began, stage, leader)
        let acknowledgements = Quantiles(outcome.latencies)
        tally.note(name, "load", rate, "messages/s")
        if work == .one {
            tally.note(name, "p50", starts.at(0.5), "ms")
            tally.note(name, "p99", starts.at(0.99), "ms")
        }
        tally.note(name, "assignment-p50", assignments.at(0.5), "ms")
        tally.note(name, "assignment-p99", assignments.at(0.99), "ms")
        tally.note(name, "acknowledged-p50", acknowledgements.at(0.5) * 1000, "ms")
        tally.note(name, "acknowledged-p99", acknowledgements.at(0.99) * 1000, "ms")
        if outcome.refused + outcome.failed + outcome.unsent > 0 {
            tally.note(name, "not-taken", Double(outcome.refused + outcome.failed + outcome.unsent), "messages")
        }
    }

    /// Milliseconds from the send to the start of a run's first task, and from each task's being ready to its start, by the clock of this
    /// machine, which all of them share.
    private func waits(_ work: ClusterWork, since began: Int, _ stage: ClusterStage, _ leader: RaftCluster.Member) throws
        -> (starts: Quantiles, assignments: Quantiles)
    {
        var (starts, assignments): ([Double], [Double]) = ([], [])
        try stage.rows(leader, "/api/v1/tasks?limit=1000&workflow=\(work.rawValue)") { row in
            guard let start = Self.time(row["startedAt"]), let ready = Self.time(row["queuedAt"]),
                let sent = row.at("input", "value")?.int.map({ Int($0) })
            else { return true }
            guard sent >= began else { return false }
            assignments.append(Double(start - ready))
            if row["task"]?.string == "t1" { starts.append(Double(start - sent)) }
            return true
        }
        guard !starts.isEmpty else { throw ClusterStage.Failed(description: "no task was found that has started") }
        return (Quantiles(starts), Quantiles(assignments))
    }

    private static func time(_ value: Value?) -> Int? {
        value?.string.flatMap { ClusterTime(rfc3339: $0) }.map { Int($0.milliseconds) }
    }
}
