/// Bugs in what decides about runs, attempts and workers, each of which can be chosen in a build with the trait `Mutations`, so that it can be shown that simulated
/// clusters would find it (design 6, S6). Any other build has none of them.
@usableFromInline
package enum WorkBug: String, CaseIterable, Sendable {
    /// A report of an earlier attempt settles the one that runs.
    case fenceIgnored
    /// What was lost is tried again, whatever its task says.
    case lossAlwaysRetried
    /// A new leader numbers its assignments from the beginning.
    case assignmentsNumberedAnew
    /// A new leader takes nobody's lease as renewed.
    case leasesOverAtElection
    case leaseCutShort
    /// An attempt that may go on alone is lost when the lease is over.
    case silenceNotAllowed
    /// What waited for a worker when the leader changed is forgotten.
    case queueForgottenAtElection
    case newestFirst
    /// A message that came before comes again as a new one.
    case repetitionIgnored
    /// Runs of a catalog that is not in force any more begin.
    case catalogVersionIgnored
    /// Timers fire although the wall clock jumped.
    case clockJumpBelieved
    /// A run that ends leaves its attempts to themselves.
    case attemptsOutliveRun
    /// The place of an attempt that is over is not free again.
    case roomNotGivenBack
    /// What a worker had when the leader changed takes no room.
    case heldTakesNoRoom
    /// In what the simulator tells again of the coordinator's loop.
    case acknowledgesBeforeCommit
    case dispatchesBeforeCommit
    /// In what it tells again of the intake: runs begin by the wall clock, although cluster time is ahead of it.
    case wallClockTaken
    /// In what it tells again of the worker: what its journal says has begun counts as never begun.
    case journalIgnored
    /// The same: it begins what comes when its lease is over.
    case workerTakesTooLate
    /// The same: attempts go on though nobody has confirmed the lease.
    case workerGoesOnAlone

    #if Mutations
        /// The one that is on in this process.
        package nonisolated(unsafe) static var active: WorkBug?
    #endif
}

// Whether a bug is on: never, but in a build that is made to have them. Asked in other rooms too, where it is to cost nothing.
#if Mutations
    package func mutated(_ bug: WorkBug) -> Bool { WorkBug.active == bug }
#else
    @inlinable package func mutated(_ bug: WorkBug) -> Bool { false }
#endif
