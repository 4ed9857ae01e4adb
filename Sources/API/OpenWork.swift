import Coordinator
import HashTreeCollections
import Observability
import Primitives
import Synchronization
import Workflows

/// What all open runs together say. Many rows ask for it; with many runs a scan is dear, so that an answer stands for a while in proportion
/// to what it cost.
package final class OpenWork: Sendable {
    struct Found: Sendable {
        var tasks: [TaskState: Int] = [:]
        /// Of the tasks that have a slot, the one that has had it longest.
        var longest: (run: RunID, task: String, since: ClusterTime)?
        /// Tasks that the log has with each worker.
        var byWorker: [NodeID: Int] = [:]
    }

    private struct Kept {
        var applied: LogIndex
        var until: Instant
        var found: Found
    }

    /// A scan of a millisecond stands for a second.
    private static let costShare: Int64 = 1000
    private static let longest = Duration.seconds(2)

    private let kept = Mutex<Kept?>(nil)
    private let latest = Mutex(NewestRuns<CoordinatorState.OpenRun>())

    /// The newest open runs, newest first.
    func newest(_ count: Int, of open: TreeDictionary<RunID, CoordinatorState.OpenRun>) -> [RunID] {
        latest.withLock { Array($0.newest(count, of: open)) }
    }

    /// Lets go of runs that are kept only for who looks.
    func forget() { latest.withLock { $0.forget() } }

    func look(_ info: NodeInfo) -> Found {
        let state = info.coordinator.loop.current.state
        let clock = info.telemetry.clock
        let began = clock.now
        if let kept = kept.withLock({ $0 }), kept.applied == state.applied || began < kept.until { return kept.found }
        var found = Found()
        for open in state.runs.values {
            for task in open.run.tasks {
                found.tasks[task.state, default: 0] += 1
                if task.state == .leased, let worker = task.worker { found.byWorker[worker, default: 0] += 1 }
                guard task.state == .leased, task.kind.takesSlot else { continue }
                let since = task.startedAt ?? task.readyAt ?? .zero
                if let before = found.longest, before.since <= since { continue }
                found.longest = (open.run.id, task.name, since)
            }
        }
        let cost = clock.now.duration(since: began)
        let rest = min(Self.longest, .nanoseconds(cost.nanoseconds * Self.costShare))
        kept.withLock { $0 = Kept(applied: state.applied, until: clock.now.advanced(by: rest), found: found) }
        return found
    }
}

/// Definitions that are no longer in force, compiled: runs that are pinned to them ask for them with every row.
package final class PinnedDefinitions: Sendable {
    private struct Key: Hashable {
        var namespace: Namespace
        var name: String
        var version: UInt64
    }

    private static let limit = 64

    private let kept = Mutex<[Key: WorkflowDefinition]>([:])

    func definition(of run: WorkflowRun, make: () -> WorkflowDefinition?) -> WorkflowDefinition? {
        let key = Key(namespace: run.namespace, name: run.workflow, version: run.definitionVersion)
        if let known = kept.withLock({ $0[key] }) { return known }
        guard let made = make() else { return nil }
        kept.withLock { kept in
            if kept.count >= Self.limit { kept = [:] }
            kept[key] = made
        }
        return made
    }
}
