import Cluster
import Observability
package import Primitives
import Storage
import Synchronization
package import Wire

/// What a worker says of itself to the leader, and what it does when no leader is heard of.
extension TaskRunner {
    /// Attempts that take a slot, begun or not.
    package var runningFences: [Fence] { state.withLock { $0.admitted.keys.map(\.fence) }.sorted() }

    package var freeSlots: Int {
        state.withLock { $0.takesNothing ? 0 : max(0, settings.capacity.slots - $0.usedSlots) }
    }

    /// Reports that no leader has in its log yet, oldest first.
    package var waitingReports: [TaskReport] { state.withLock { Array($0.unreported.values) }.sorted { $0.fence < $1.fence } }
    package var waitingReportCount: Int { state.withLock { $0.unreported.count } }

    /// Why an assignment that was never begun was not taken; nil when that is not why.
    func refusalCode(of report: TaskReport) -> String? { state.withLock { $0.refused[Journal.Key(report)] } }

    /// Ends attempts that may not go on alone: nobody has confirmed the lease for so long, and somewhere else they count as lost, or soon will.
    ///
    /// - Returns: how many were ended.
    package func endAlone(silentFor silence: Duration, lease: Duration) -> Int {
        let due = state.withLock { state in
            state.admitted.filter { key, assignment in
                guard assignment.continuesAlone != true, state.calledBack[key] == nil else { return false }
                return silence >= max(lease, .milliseconds(Int64(clamping: assignment.lostAfterMilliseconds ?? 0)))
            }.map(\.key)
        }
        for key in due { end(key, as: .lost) }
        return due.count
    }

    // MARK: Cordon

    var cordonPath: String { folder + "/cordoned" }

    /// Nothing new from here on, also after the next start. That it cannot be written down is told, and no reason not to do it now.
    package func cordon(_ flag: Bool) {
        let isNew = state.withLock { state in
            let isNew = state.isCordoned != flag
            if isNew || state.drain != nil { state.standing += 1 }
            state.isCordoned = flag
            if !flag { state.drain = nil }
            return isNew
        }
        guard isNew else { return }
        do throws(StorageError) {
            if flag { try disk.replace(cordonPath, with: []) } else { try disk.remove(cordonPath) }
        } catch {
            telemetry.warn("worker", "the cordon will not outlive this start: \(error)")
        }
        telemetry.events.emit(
            flag ? "worker.cordoned" : "worker.uncordoned", subject: node.text,
            flag
                ? "worker \(node) takes nothing new until 'distric nodes uncordon \(node)'" : "worker \(node) takes new tasks again")
    }

    package var isCordoned: Bool { state.withLock { $0.takesNothing } }
}

extension TaskRunner.State {
    var takesNothing: Bool { isCordoned || isDraining || drain != nil }
}
