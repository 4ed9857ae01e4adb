/// Things that should happen now and then in simulated clusters: a set of seeds in which one never does has not tried what it should (design 6, S5).
package enum ClusterSight: Int, CaseIterable, Sendable {
    case leaderChanged, planAbandoned, planMadeAnew, coordinatorRestarted, snapshotRead, diskStalled
    case messageAccepted, messageRepeated, matchedAgain, unmatched, uncertain, catalogChanged, catalogConflict
    case dispatched, neverSent, refused, distrusted, cordoned, queued
    case reported, reportedLate, journalReported, neverStarted, endedAlone, calledBack
    case leaseExpired, lostAndRetried, lostAndFailed, lostAndHeld, resolved, timedOut, retried, followed
    case runCancelled, runTimedOut, runAgain
    case workerRestarted, journalDamaged, readopted, attachDenied, attachRefused, streamBroken
    case clockJumped, timersHeld, timeStoodStill, paused, partitioned, oneWayCut
    case messageLost, messageTwice, messageLate

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
package struct ClusterCoverage: Equatable, Sendable {
    package private(set) var counts = [Int](repeating: 0, count: ClusterSight.allCases.count)

    package init() {}

    package subscript(_ sight: ClusterSight) -> Int { counts[sight.rawValue] }
    package mutating func saw(_ sight: ClusterSight) { counts[sight.rawValue] += 1 }
    package static func += (left: inout ClusterCoverage, right: ClusterCoverage) {
        for place in left.counts.indices { left.counts[place] += right.counts[place] }
    }

    package var never: [ClusterSight] { ClusterSight.allCases.filter { self[$0] == 0 } }
}
