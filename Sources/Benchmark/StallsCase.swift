import Foundation
import Glibc
import Primitives
import Synchronization

/// Whether three nodes keep their leader while disks stall for 250 ms and nodes stand still for 200 ms, under 80 % of the load that they can take.
struct StallsCase {
    let minutes: Double
    /// Seconds for which the rate is measured first.
    let measured: Double
    let warmUp: Double
    let children: ChildProcesses
    let report: Report
    var history: RaftHistory?

    private static let clients = 64
    private static let share = 0.8

    func run() async throws {
        Progress.tell("stalls: starting 3 nodes")
        let cluster = try RaftCluster(3, ["--allow-chaos"], definitions: ProposalClient.definitions, children: children)
        defer { cluster.stop() }
        let client = try ProposalClient(cluster)
        var load = ProposalLoad(client: client, clients: Self.clients)
        _ = try await load.run(seconds: warmUp)
        let rate = try await load.run(seconds: measured).rate * Self.share
        Progress.tell("stalls: \(Int(rate)) proposals/s for \(minutes) minutes")
        let trouble = try Trouble(cluster)
        try await trouble.begin()
        let watch = PauseWatch()
        (load.rate, load.watch, load.history) = (rate, watch, history)
        let end = LoadClient.now() + minutes * 60
        let outcome: ProposalLoad.Outcome
        do { outcome = try await load.run { LoadClient.now() < end && !trouble.isOver } } catch {
            _ = await trouble.end()
            throw error
        }
        let span = watch.take()
        let found = await trouble.end()
        await client.close()
        if let problem = found.problem { throw RaftCluster.Failed(description: problem) }
        tell(outcome, rate, span, found)
    }

    private func tell(_ outcome: ProposalLoad.Outcome, _ rate: Double, _ span: PauseWatch.Span, _ found: Trouble.Found) {
        let quantiles = Quantiles(outcome.latencies)
        report.figure("stalls", "minutes", outcome.seconds / 60, "min")
        report.figure("stalls", "offered", rate, "proposals/s")
        report.figure("stalls", "acknowledged", outcome.rate, "proposals/s")
        report.figure("stalls", "p50", quantiles.at(0.5) * 1000, "ms")
        report.figure("stalls", "p99", quantiles.at(0.99) * 1000, "ms")
        report.figure("stalls", "longest-pause", span.longestPause * 1000, "ms")
        report.figure("stalls", "failures", Double(outcome.failures), "proposals")
        report.figure("stalls", "cpu-pauses", Double(found.pauses), "pauses")
        report.figure("stalls", "leader-changes", Double(found.leaderChanges), "changes")
        report.figure("stalls", "terms", Double(found.terms), "terms")
    }
}

/// Makes nodes stand still, and looks who leads, on a thread of its own.
private final class Trouble: Sendable {
    struct Found: Sendable {
        var pauses = 0
        var leaderChanges = 0
        /// How far the leaders' term rose: elections that nobody won are in it.
        var terms = 0
        var problem: String?
    }

    private let cluster: RaftCluster
    private let flag = Switch()
    private let found = Mutex(Found())
    private let ended = AsyncStream.makeStream(of: Void.self)
    private let firstTerm: Int
    private static let pauseMilliseconds: UInt32 = 200
    private static let lookMilliseconds: UInt32 = 250

    init(_ cluster: RaftCluster) throws {
        self.cluster = cluster
        guard let leader = cluster.leader() else {
            throw RaftCluster.Failed(description: "the cluster lost its leader before anything was done to it")
        }
        firstTerm = leader.status.term
    }

    /// By `end`, or since a node has ended by itself.
    var isOver: Bool { flag.isOn }

    func begin() async throws {
        for member in cluster.members {
            try cluster.stallDisk(member, for: "250ms", every: "5s")
            // Not all at the same time.
            try await Task.sleep(for: .milliseconds(1700))
        }
        Thread.detachNewThread { [self] in
            run()
            ended.continuation.finish()
        }
    }

    func end() async -> Found {
        flag.turnOn()
        for await _ in ended.stream {}
        return found.withLock { $0 }
    }

    private func run() {
        var generator = SeededGenerator(seed: 6)
        var term = firstTerm
        let began = LoadClient.now()
        var (nextPause, nextWord) = (began, began + 30)
        while !isOver {
            if let ended = cluster.members.first(where: { !$0.child.isRunning }) {
                found.withLock { $0.problem = "\(ended.id) has ended:\n\(ended.child.lastWords)" }
                return flag.turnOn()
            }
            // A term has one leader at most: another term is another leadership.
            if let leader = cluster.leader(), leader.status.term > term {
                term = leader.status.term
                found.withLock { found in
                    found.leaderChanges += 1
                    found.terms = term - firstTerm
                }
            }
            let now = LoadClient.now()
            if now >= nextPause, let member = cluster.members.randomElement(using: &generator) {
                member.child.send(SIGSTOP)
                usleep(Self.pauseMilliseconds * 1000)
                member.child.send(SIGCONT)
                found.withLock { $0.pauses += 1 }
                nextPause = now + Double.random(in: 1...3, using: &generator)
            }
            if now >= nextWord {
                nextWord = now + 30
                let sofar = found.withLock { $0 }
                Progress.tell("stalls: \(Int(now - began)) s, \(sofar.pauses) pauses, \(sofar.leaderChanges) leader changes")
            }
            usleep(Self.lookMilliseconds * 1000)
        }
    }
}
