/// Things that should happen now and then in simulated clusters: a set of seeds in which one never does has not tried what it should (design 6, S5).
package enum ClusterSight: Int, SightKind {
    case leaderChanged, planAbandoned, planMadeAnew, coordinatorRestarted, snapshotRead, diskStalled
    case messageAccepted, messageRepeated, matchedAgain, unmatched, uncertain, catalogChanged, catalogConflict
    case dispatched, neverSent, refused, distrusted, cordoned, queued
    case reported, reportedLate, journalReported, neverStarted, endedAlone, calledBack
    case leaseExpired, lostAndRetried, lostAndFailed, lostAndHeld, resolved, timedOut, retried, followed
    case runCancelled, runTimedOut, runAgain
    case workerRestarted, journalDamaged, readopted, attachDenied, attachRefused, streamBroken
    case clockJumped, timersHeld, timeStoodStill, paused, partitioned, oneWayCut
    case messageLost, messageTwice, messageLate
}

package typealias ClusterCoverage = Sightings<ClusterSight>
