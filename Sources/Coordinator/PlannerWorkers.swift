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
        scheduler.join(node, offer)
        scheduler.stand(node, as: standing)
        let items = leasedItems ?? findLeasedItems()
        leasedItems = items
        for item in items[node] ?? [] { scheduler.occupy(item, worker: node) }
    }

    private mutating func findLeasedItems() -> [NodeID: [ReadyQueue.Item]] {
        var found: [NodeID: [ReadyQueue.Item]] = [:]
        for open in state.runs.values {
            for (place, task) in open.run.tasks.enumerated() where task.state == .leased {
                if let worker = task.worker { found[worker, default: []].append(item(open.run, place)) }
            }
        }
        return found
    }

    mutating func stand(_ node: NodeID, _ standing: Placement.Standing, _ free: Int?) {
        scheduler.stand(node, as: standing)
        if let free { scheduler.worker(node, saysFree: free) }
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
