import Primitives

// A server that has lost its vote, or entries that it may have acknowledged, would break what it promised if it voted: it says so in every answer, and counts for
// nothing. The leader then appends an entry. Once that is committed without the server's help and the server has all of the log up to it, no candidate that this
// server may have voted for before can win any more, and every entry that it may have acknowledged is in its log again (Decisions/LostVotes).
extension RaftCore {
    /// False when the answer is from before the loss, or about one that is made good: then it says nothing of the log.
    mutating func noteRecovery(_ place: Int, _ message: RaftMessage.AppendAnswer, _ now: Instant, _ output: inout RaftOutput) -> Bool {
        guard let loss = message.recovery else {
            guard let recovery = progress[place].recovery else { return true }
            guard message.round >= recovery.notedRound else { return false }
            // It was told after its loss was noted, and answers as one that trusts itself.
            progress[place].trustedLoss = recovery.loss
            progress[place].recovery = nil
            let id = progress[place].id
            advanceCommit(now, &output)
            // Who follows may have changed with it.
            return role == .leader && place < progress.count && progress[place].id == id
        }
        guard loss != progress[place].trustedLoss else { return false }
        if progress[place].recovery?.loss != loss { begin(place, loss, now, &output) }
        if let recovery = progress[place].recovery, recovery.trustedRound == nil, commitIndex >= recovery.entry,
            progress[place].matchIndex >= recovery.entry
        {
            progress[place].recovery?.trustedRound = round + 1
        }
        return true
    }

    private mutating func begin(_ place: Int, _ loss: UInt64, _ now: Instant, _ output: inout RaftOutput) {
        output.transitions.append(.peerRecovering(progress[place].id))
        // It may have less than it said.
        (progress[place].matchIndex, progress[place].matchTerm) = (.zero, nil)
        progress[place].becomeProbe()
        progress[place].nextIndex = log.lastIndex.next
        (progress[place].isCaughtUp, progress[place].round) = (false, 0)
        appendOwn([(.leaderStart, [])], now)
        progress[place].recovery = .init(loss: loss, entry: log.lastIndex, notedRound: round + 1)
    }

    /// What this server acknowledged to the leader of this term is not in its log: its disk has been put back to what it was earlier, or has lost what it had
    /// synced. That cannot be an old message, or one out of order: since it acknowledged the entry it has been in this term, as the message is, and in
    /// one term a log only grows beyond what was acknowledged. From here on it is as one whose disk was found damaged when it started.
    mutating func lose(_ acknowledged: LogIndex, _ output: inout RaftOutput) {
        guard recovery == nil, installing == nil else { return }
        recovery = generator.next()
        // Nothing is said before a restart would know of it: else the leader could be told first of the loss and then, after the restart, of none.
        hardTicket = writing { $0.isDistrusted = true }
        output.lost = .init(acknowledged: acknowledged, last: log.lastIndex)
    }

    mutating func trust(_ loss: UInt64, _ output: inout RaftOutput) {
        guard recovery == loss else { return }
        recovery = nil
        // In this term it may have voted for anybody.
        if hardState.vote == nil { persist(HardState(term: term, vote: leader)) }
        output.isTrusted = true
        output.transitions.append(.trusted(commitIndex))
    }
}
