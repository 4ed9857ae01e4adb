/// Bugs that others shipped, each of which can be chosen in a build with the trait `Mutations`, so that it can be shown that the simulator would find it
/// (design 6, S6). Any other build has none of them.
package enum SeededBug: String, CaseIterable, Sendable {
    /// The vote is forgotten when a server asks for pre-votes, or steps down: two votes in one term (redpanda #14, canonical/raft #196).
    case stepDownErasesVote
    case votesTwice
    case votesBeforePersisting
    case asksBeforePersisting
    /// A pre-vote moves the term, or is taken for a vote (canonical/raft #196).
    case preVoteChangesTerm
    case preVoteCountsAsVote
    case votesBesideLeader
    /// Raft section 5.4.1.
    case ignoresLogOfCandidate
    /// Raft figure 8 (logcabin #44).
    case commitsOldTerms
    /// Openraft #1802.
    case commitsWithOneLess
    /// Etcd #14370.
    case forgetsOwnFsyncAlone
    case countsItselfBeforeDurable
    case acknowledgesBeforeDurable
    /// CCF #6001.
    case acknowledgesWholeLog
    case commitsBeyondMessage
    /// Openraft 9540c904.
    case truncatesWhatMatches
    case skipsConsistencyCheck
    /// Openraft 6c0ccaf3.
    case ignoresOutgoingHalf
    case changesInOneStep
    case changesTwiceAtOnce
    case changesBeforeOwnEntry
    case promotesUnready
    case removedLeadsOn
    case leadsWithoutQuorum
    /// Etcd #741.
    case readsWithoutRound
    case readsBeforeOwnEntry
    /// Etcd #20418.
    case ignoresClockDrift
    case installsStaleSnapshots
    case compactsUnderTransfer
    case compactsUncommitted
    /// Dragonboat #256, openraft's FAQ.
    case recoveringVotes
    case countsRecovering
    /// Openraft PR #2002.
    case trustsNewFolder

    #if Mutations
        /// The one that is on in this process.
        package nonisolated(unsafe) static var active: SeededBug?
    #endif
}

/// Whether a bug is on: never, but in a build that is made to have them.
@inline(__always)
package func mutated(_ bug: SeededBug) -> Bool {
    #if Mutations
        SeededBug.active == bug
    #else
        false
    #endif
}
