import Foundation
import Glibc
import Primitives
import Synchronization

/// A snapshot of much state while proposals go on: how long it takes, and for how long none is acknowledged meanwhile. The state is open runs,
/// each with a message of 60 kB, that wait for a day.
struct SnapshotCase {
    struct Failed: Error, CustomStringConvertible { let description: String }

    let megabytes: Int
    /// Of proposals before the snapshot, to compare with.
    let seconds: Double
    let children: ChildProcesses
    let report: Report

    private static let payloadBytes = 60_000
    private static let patience = 600.0

    func run() async throws {
        Progress.tell("snapshot: starting 3 nodes")
        // Its own snapshots would come while the state grows.
        let arguments = ["--set", "raft.snapshot_bytes=\(1 << 40)"]
        let cluster = try RaftCluster(3, arguments, definitions: ProposalClient.definitions, children: children)
        defer { cluster.stop() }
        try checkSpace(cluster)
        let client = try ProposalClient(cluster)
        try await fill(client)
        try await measure(client, try cluster.waitUntilWhole(), cluster)
        await client.close()
    }

    /// Log, history and snapshot of each node, and as much again.
    private func checkSpace(_ cluster: RaftCluster) throws {
        var facts = statvfs()
        guard statvfs(cluster.members[0].data, &facts) == 0 else { return }
        let (free, needed) = (Int(facts.f_bavail) * Int(facts.f_frsize) / 1_000_000, megabytes * 12)
        guard free >= needed else {
            throw Failed(description: "\(free) MB are free under TMPDIR, and \(needed) may be needed: choose another, or a smaller --state")
        }
    }

    private func fill(_ client: ProposalClient) async throws {
        let wanted = megabytes * 1_000_000 / Self.payloadBytes
        let taken = Atomic<Int>(0)
        let told = Atomic<Int>(0)
        var load = ProposalLoad(client: client, clients: 16)
        (load.kind, load.bytes, load.timeout) = (.held, Self.payloadBytes, .seconds(30))
        let outcome = try await load.run {
            let next = taken.add(1, ordering: .relaxed).newValue
            let tenth = next * 10 / max(1, wanted)
            if told.exchange(tenth, ordering: .relaxed) < tenth, tenth < 10 { Progress.tell("snapshot: \(tenth)0 % of the state is there") }
            return next <= wanted
        }
        report.figure("snapshot", "open-runs", Double(outcome.acknowledged), "runs")
        report.figure("snapshot", "fill", outcome.rate * Double(Self.payloadBytes) / 1e6, "MB/s")
    }

    private func measure(_ client: ProposalClient, _ leader: RaftCluster.Member, _ cluster: RaftCluster) async throws {
        let watch = PauseWatch()
        let isOver = Switch()
        var load = ProposalLoad(client: client, clients: 8)
        load.watch = watch
        let writing = load
        let (before, during, took) = try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { _ = try await writing.run { !isOver.isOn } }
            try await Task.sleep(for: .seconds(1))
            _ = watch.take()
            try await Task.sleep(for: .seconds(seconds))
            let before = watch.take()
            let took = try await snapshot(leader, cluster)
            let during = watch.take()
            isOver.turnOn()
            try await tasks.waitForAll()
            return (before, during, took)
        }
        let bytes = Double(Self.size(of: leader.data + "/raft/snapshots"))
        report.figure("snapshot", "bytes", bytes / 1e6, "MB")
        report.figure("snapshot", "time", took, "s")
        report.figure("snapshot", "rate", bytes / 1e6 / took, "MB/s")
        report.figure("snapshot", "longest-pause", during.longestPause * 1000, "ms")
        report.figure("snapshot", "longest-pause-before", before.longestPause * 1000, "ms")
        report.figure("snapshot", "proposals", Double(during.acknowledged) / during.seconds, "proposals/s")
        report.figure("snapshot", "proposals-before", Double(before.acknowledged) / before.seconds, "proposals/s")
    }

    /// Seconds until the leader has one of now.
    private func snapshot(_ leader: RaftCluster.Member, _ cluster: RaftCluster) async throws -> Double {
        Progress.tell("snapshot: begins")
        let began = LoadClient.now()
        let before = cluster.status(leader)?.snapshot ?? 0
        try cluster.call(leader, "POST", "/api/v1/raft:snapshot")
        while LoadClient.now() - began < Self.patience {
            try await Task.sleep(for: .milliseconds(20))
            if let now = cluster.status(leader)?.snapshot, now > before { return LoadClient.now() - began }
            guard leader.child.isRunning else { throw Failed(description: "\(leader.id) has ended:\n\(leader.child.lastWords)") }
        }
        throw Failed(description: "\(leader.id) has no new snapshot after \(Int(Self.patience)) s")
    }

    private static func size(of folder: String) -> Int {
        let names = FileManager.default.subpaths(atPath: folder) ?? []
        return names.reduce(0) { sum, name in
            let facts = try? FileManager.default.attributesOfItem(atPath: folder + "/" + name)
            guard facts?[.type] as? FileAttributeType == .typeRegular else { return sum }
            return sum + ((facts?[.size] as? NSNumber)?.intValue ?? 0)
        }
    }
}
