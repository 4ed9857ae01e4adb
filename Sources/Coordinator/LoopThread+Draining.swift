import Cluster
import Observability
import Primitives
import Workflows

/// Workers that empty themselves: the worker keeps the deadline, the log says what is left with it.
extension LoopThread {
    /// Tells of those that are empty now, and counts those that take nothing new.
    func lookAfterDrains() {
        var cordoned = 0
        var leased: [NodeID: [HeldAssignment]]?
        for (node, worker) in workers where worker.isCordoned {
            cordoned += 1
            guard let progress = worker.draining else {
                emptying.remove(node)
                continue
            }
            if worker.room?.running != 0 {
                emptying.insert(node)
                continue
            }
            // What was empty before this node led was told by another leader.
            guard emptying.contains(node) else { continue }
            if leased == nil { leased = planner?.leasedByWorker() ?? [:] }
            guard leased?[node]?.isEmpty ?? true else { continue }
            tellEmpty(node, progress)
        }
        emptying.formIntersection(workers.keys)
        loop.sessions.metrics.cordoned.set(cordoned)
    }

    private func tellEmpty(_ node: NodeID, _ progress: DrainProgress) {
        emptying.remove(node)
        loop.sessions.metrics.drained.increment()
        loop.telemetry.events.emit(
            "node.drained", subject: node.text,
            "worker \(node) is empty: \(progress.finished) attempts have ended there, \(progress.givenBack) were given back and go elsewhere; it can be stopped"
        )
    }
}
