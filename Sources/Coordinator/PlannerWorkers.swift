package import Cluster
import HashTreeCollections
package import Primitives
package import Wire
import Workflows

/// Workers that come, go and are given up.
extension Planner {
    /// Everything that the log shows as being with workers, by worker, in the order of the runs' ids.
    package func leasedByWorker() -> [NodeID: [HeldAssignment]] {
        var found: [NodeID: [HeldAssignment]] = [:]
        for open in state.runs.values {
            for task in open.run.tasks where task.state == .leased {
                guard let worker = task.worker else { continue }
                found[worker, default: []].append(
                    HeldAssignment(run: open.run.id, task: task.name, attempt: task.attempts, fence: task.fence))
            }
        }
        return found.mapValues { $0.sorted { $0.run != $1.run ? $0.run < $1.run : $0.fence < $1.fence } }
    }

    /// Assignments that the log shows as being with one of them.
    package func leased(to worker: NodeID) -> [HeldAssignment] { leasedByWorker()[worker] ?? [] }

    mutating func attach(_ node: NodeID, _ offer: Placement.Offer, _ standing: Placement.Standing) {
        placement.join(node, offer)
        placement.stand(node, as: standing)
        let kinds = leasedKinds ?? findLeasedKinds()
        leasedKinds = kinds
        for kind in kinds[node] ?? [] { placement.occupy(node, kind) }
    }

    private func findLeasedKinds() -> [NodeID: [TaskKind]] {
        var found: [NodeID: [TaskKind]] = [:]
        for open in state.runs.values {
            for task in open.run.tasks where task.state == .leased {
                if let worker = task.worker { found[worker, default: []].append(task.kind) }
            }
        }
        return found
    }

    mutating func stand(_ node: NodeID, _ standing: Placement.Standing, _ free: Int?) {
        placement.stand(node, as: standing)
        if let free { placement.worker(node, saysFree: free) }
    }

    /// How an attempt ends whose worker has been silent for so long; nil while it does not.
    package mutating func loss(of held: HeldAssignment, after silence: Duration) -> TaskReport? {
        guard let run = state.runs[held.run]?.run, let place = run.tasks.firstIndex(where: { sameBytes($0.name, held.task) }),
            mutated(.silenceNotAllowed) || silence >= (definition(of: run)?.tasks[place].silenceAllowed ?? .zero)
        else { return nil }
        let now = state.time
        return TaskReport(
            run: held.run, task: held.task, attempt: held.attempt, fence: held.fence, outcome: .lost, startedAt: now, endedAt: now)
    }
}
