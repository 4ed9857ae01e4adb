/// Things that should happen now and then: a set of seeds in which one never does has not tried what it should (design 6, S5).
package enum Sight: Int, CaseIterable, Sendable {
    case leaderChanged, termWithoutLeader, preVoteRefused, conflictCutOff, commandRepeated, commandExpired, proposalRefused, busy
    case snapshotSent, snapshotResumed, snapshotInstalled, fetchedFromDisk, readConfirmed, followerRead, leaseRead, readRefused
    case killed, powerLost, tailCut, paused, diskStalled, steppedDownOfDisk, steppedDownOfQuorum, syncFailed, damaged, voteLost, trusted
    case jointEntered, changeCommitted, jointInterrupted, votersAdded, leaderRemoved, transferDone, transferAborted
    case messageLost, messageTwice, messageLate, messageCorrupt, partitioned, oneWayCut, unclogged, disconnected, unknownOutcome, undecided
    case frameCut, byteByByte, halfOpen, acceptedSilent, streamsMixed, streamBroken, definiteError, disturbed
    case shortWrite, writeFailed, readFailed, diskFull, readOnly, wiped, folderRefused, readmitted, swapped, swapRefused, rolledBack,
        foundOut
    case upgraded, levelsMixed, levelRaised, newerCommand, stoppedAtLevel, olderRefused

    /// How reports spell it.
    package var name: String {
        var text = ""
        for character in "\(self)" {
            if character.isUppercase { text += "-" }
            text += character.lowercased()
        }
        return text
    }
}

/// How often each of them was seen.
package struct Coverage: Equatable, Sendable {
    package private(set) var counts = [Int](repeating: 0, count: Sight.allCases.count)

    package init() {}

    package subscript(_ sight: Sight) -> Int { counts[sight.rawValue] }
    package mutating func saw(_ sight: Sight, times: Int = 1) { counts[sight.rawValue] += times }
    package static func += (left: inout Coverage, right: Coverage) {
        for place in left.counts.indices { left.counts[place] += right.counts[place] }
    }

    /// All but what is no aim: a history that could not be decided.
    package var never: [Sight] { Sight.allCases.filter { self[$0] == 0 && $0 != .undecided } }
}
