import Primitives

// Raft section 5.3, the receiver's side of AppendEntries (figure 2).
extension RaftCore {
    mutating func append(_ message: RaftMessage.Append, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        precondition(role != .leader, "two leaders in term \(term): \(id) and \(sender)")
        hear(sender, now, &output)
        let previous = message.previousIndex
        // What a snapshot stands for is committed, and so the leader's; before everything is nothing that could differ.
        guard previous <= log.base || log.term(at: previous) == message.previousTerm || mutated(.skipsConsistencyCheck) else {
            if message.entries.isEmpty { lose(previous, &output) }
            return reply(to: sender, conflict(at: previous), round: message.round, &output)
        }
        guard installing == nil else {
            // Heard, and no more than that.
            return reply(
                to: sender, .rejected(previous: previous, conflictIndex: log.base.next, conflictTerm: nil), round: message.round, &output)
        }
        let entries = fresh(message, &output)
        if !entries.isEmpty {
            for entry in entries { log.append(entry) }
            _ = writing { $0.entries += entries }
            noteConfiguration(of: entries, &output)
        }
        // Only as far as this message went: what follows in the log may be another leader's (CCF #6001).
        let last = mutated(.acknowledgesWholeLog) ? log.lastIndex : max(message.lastIndex, log.base)
        if min(message.commitIndex, last) > commitIndex { commitIndex = min(message.commitIndex, last) }
        if mutated(.commitsBeyondMessage) { commitIndex = max(commitIndex, min(message.commitIndex, log.lastIndex)) }
        if let loss = message.trusts { trust(loss, &output) }
        reply(to: sender, .matched(last), round: message.round, &output)
    }

    /// The entries that the log does not have, after a conflicting end has been cut off: only a real conflict cuts (openraft 9540c904).
    private mutating func fresh(_ message: RaftMessage.Append, _ output: inout RaftOutput) -> [LogEntry] {
        for (place, entry) in message.entries.enumerated() where entry.index > log.base {
            if let own = log.term(at: entry.index) {
                if own == entry.term, !mutated(.truncatesWhatMatches) { continue }
                guard entry.index > commitIndex || !mutated(.truncatesWhatMatches) else { continue }
                truncate(after: LogIndex(entry.index.number - 1), &output)
            }
            return place == 0 ? message.entries : Array(message.entries[place...])
        }
        return []
    }

    /// Where the leader may go on trying: all entries of the term that is in the way are skipped at once.
    private func conflict(at previous: LogIndex) -> RaftMessage.AppendAnswer.Outcome {
        guard let own = log.term(at: previous) else {
            return .rejected(previous: previous, conflictIndex: log.lastIndex.next, conflictTerm: nil)
        }
        let first = max(log.firstIndex(ofTermAt: previous), log.base.next)
        return .rejected(previous: previous, conflictIndex: first, conflictTerm: own)
    }

    /// The leader of this term has been heard.
    mutating func hear(_ sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        if role != .follower || leader != sender { follow(term, leader: sender, .timeout, now, &output) }
        leaderContact = now
        isFresh = false
        if settings.leaseReads { promised = now }
        resetElectionTimer(now)
    }

    /// Says yes only to what is durable, and nothing in a term that is not.
    func waitsFor(_ index: LogIndex) -> UInt64 {
        mutated(.acknowledgesBeforeDurable) ? hardTicket : max(hardTicket, ticket(for: index) ?? 0)
    }

    mutating func reply(to sender: NodeID, _ outcome: RaftMessage.AppendAnswer.Outcome, round: UInt64, _ output: inout RaftOutput) {
        var ticket = hardTicket
        if case .matched(let index) = outcome { ticket = waitsFor(index) }
        send(.appendReply(.init(term: term, outcome: outcome, round: round, recovery: recovery)), to: sender, after: ticket, &output)
    }

    func noteConfiguration(of entries: [LogEntry], _ output: inout RaftOutput) {
        for entry in entries where entry.kind == .configuration {
            output.transitions.append(.configuration(entry.index, log.configuration(at: entry.index)))
        }
    }
}
