import Foundation
import Glibc
import Primitives
import Synchronization
import Wire

/// How long nobody takes proposals when the leader dies, stands still or is cut off: from the fault to the end of the first proposal that was
/// sent after it, by one client that goes to the other nodes when it gets no answer within 100 ms.
struct FailoverCase {
    struct Failed: Error, CustomStringConvertible { let description: String }

    /// What befalls the leader.
    private enum Fault: String, CaseIterable {
        case kill, stop, cut
    }

    /// When it befell: never, at first.
    private final class Blow: Sendable {
        private let time = Mutex((began: Double.infinity, ended: Double.infinity))

        func note(began: Double, ended: Double) { time.withLock { $0 = (began, ended) } }

        /// Seconds since then for what was sent after it; nil for what was on its way, and may have been lucky.
        func wait(sent: Double) -> Double? { time.withLock { sent >= $0.ended ? LoadClient.now() - $0.began : nil } }
    }

    let trials: Int
    let children: ChildProcesses
    let report: Report
    var history: RaftHistory?

    private static let timeout: Duration = .milliseconds(100)
    /// Seconds after which a trial has failed.
    private static let patience = 60.0

    func run() async throws {
        Progress.tell("failover: starting 3 nodes")
        let cluster = try RaftCluster(3, ["--allow-chaos"], definitions: ProposalClient.definitions, children: children)
        defer { cluster.stop() }
        for fault in Fault.allCases {
            var waits: [Double] = []
            for trial in 1...trials {
                let wait = try await self.trial(fault, cluster)
                waits.append(wait * 1000)
                Progress.tell("failover-\(fault.rawValue) \(trial)/\(trials): \(Int(wait * 1000)) ms")
            }
            report.figure("failover-\(fault.rawValue)", "median", Quantiles(waits).at(0.5), "ms")
            report.figure("failover-\(fault.rawValue)", "max", Quantiles(waits).at(1), "ms")
        }
    }

    /// Seconds; the cluster is whole again afterwards.
    private func trial(_ fault: Fault, _ cluster: RaftCluster) async throws -> Double {
        let leader = try cluster.waitUntilWhole()
        let client = try ProposalClient(cluster)
        let blow = Blow()
        let isOver = Switch()
        let wait = try await withThrowingTaskGroup(of: Double?.self) { tasks in
            tasks.addTask {
                defer { isOver.turnOn() }
                return try await firstAcknowledged(client, after: blow)
            }
            if let history {
                tasks.addTask {
                    try await HistoryReader(client: client, history: history).run { !isOver.isOn }
                    return nil
                }
            }
            tasks.addTask {
                // Its proposals go well for a while first.
                try await Task.sleep(for: .milliseconds(500))
                let began = LoadClient.now()
                try strike(leader, fault, cluster)
                blow.note(began: began, ended: LoadClient.now())
                return nil
            }
            var found: Double?
            for try await result in tasks { found = result ?? found }
            return found
        }
        await client.close()
        try mend(leader, fault, cluster)
        try cluster.waitUntilWhole()
        guard let wait else {
            throw Failed(description: "no proposal was acknowledged within \(Int(Self.patience)) s of \(fault.rawValue)")
        }
        return wait
    }

    /// Proposes one after the other. Nil when none goes through any more.
    private func firstAcknowledged(_ client: ProposalClient, after blow: Blow) async throws -> Double? {
        let end = LoadClient.now() + Self.patience
        let process = history?.newProcess() ?? 0
        var (message, register) = client.registered()
        history?.invokesWrite(process, register)
        while LoadClient.now() < end {
            let sent = LoadClient.now()
            do throws(CallError) {
                try await client.propose(message, timeout: Self.timeout)
                history?.wrote(process, register)
                if let wait = blow.wait(sent: sent) { return wait }
                (message, register) = client.registered()
                history?.invokesWrite(process, register)
            } catch {
                // The same message goes to the next: it is kept once.
                try await Task.sleep(for: .milliseconds(2))
            }
        }
        return nil
    }

    private func strike(_ leader: RaftCluster.Member, _ fault: Fault, _ cluster: RaftCluster) throws {
        switch fault {
        case .kill: leader.child.send(SIGKILL)
        case .stop: leader.child.send(SIGSTOP)
        case .cut: try cluster.cut(leader)
        }
    }

    private func mend(_ leader: RaftCluster.Member, _ fault: Fault, _ cluster: RaftCluster) throws {
        switch fault {
        case .kill:
            leader.child.kill9()
            try leader.child.start()
        case .stop: leader.child.send(SIGCONT)
        case .cut: try cluster.heal()
        }
    }
}
