/// Things that should happen now and then: a set of seeds in which one never does has not tried what it should (design 6, S5).
package enum Sight: Int, SightKind {
    case leaderChanged, termWithoutLeader, preVoteRefused, conflictCutOff, commandRepeated, commandExpired, proposalRefused, busy
    case snapshotSent, snapshotResumed, snapshotInstalled, fetchedFromDisk, readConfirmed, followerRead, leaseRead, readRefused
    case killed, powerLost, tailCut, paused, diskStalled, steppedDownOfDisk, steppedDownOfQuorum, syncFailed, damaged, voteLost, trusted
    case jointEntered, changeCommitted, jointInterrupted, votersAdded, leaderRemoved, transferDone, transferAborted
    case messageLost, messageTwice, messageLate, messageCorrupt, partitioned, oneWayCut, unclogged, disconnected, unknownOutcome, undecided
    case frameCut, byteByByte, halfOpen, acceptedSilent, streamsMixed, streamBroken, definiteError, disturbed
    case shortWrite, writeFailed, readFailed, diskFull, readOnly, wiped, folderRefused, readmitted, swapped, swapRefused, rolledBack,
        foundOut
    case upgraded, levelsMixed, levelRaised, newerCommand, stoppedAtLevel, olderRefused

    /// A history that could not be decided.
    package static var aimless: [Sight] { [.undecided] }
}

package typealias Coverage = Sightings<Sight>
