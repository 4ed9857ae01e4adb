import Primitives

// Thesis section 6.4: reads that need no log entry. A read is given the commit index at the time that it came; a round of heartbeats that a majority answers
// after that proves that nobody else could have committed more (ReadIndex). Followers ask the leader for the index. Section 6.4.1: leases.
extension RaftCore {
    mutating func read(_ id: UInt64, origin: NodeID?, _ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader else { return askLeader(id, origin, now, &output) }
        guard reads.count < settings.pendingReads else { return refuseRead(id, origin, .busy, &output) }
        let isReady = hasCommittedInTerm || mutated(.readsBeforeOwnEntry)
        if isReady, isAlone || hasLease(now) || mutated(.readsWithoutRound) { return answer(id, origin, commitIndex, &output) }
        let isFirst = !reads.contains { $0.index != nil }
        reads.append(PendingRead(id: id, origin: origin, index: isReady ? commitIndex : nil, round: 0))
        // One round at a time: those that come meanwhile share the next.
        if isReady, isFirst { beat(now, &output) }
    }

    private mutating func askLeader(_ id: UInt64, _ origin: NodeID?, _ now: Instant, _ output: inout RaftOutput) {
        guard origin == nil, let leader else { return refuseRead(id, origin, .notLeader(hint: leader), &output) }
        guard asked.count < settings.pendingReads else { return refuseRead(id, origin, .busy, &output) }
        // An answer to a question of an earlier start must not be taken for this one's.
        let token = generator.next()
        asked.append((token, id, now.advanced(by: settings.electionTimeout.upperBound)))
        send(.readIndex(term: term, id: token), to: leader, after: hardTicket, &output)
    }

    /// Questions whose answers do not come.
    mutating func forgetAsked(before now: Instant, _ output: inout RaftOutput) {
        while let first = asked.first, now >= first.deadline {
            output.refused.append(.init(id: first.id, reason: .notLeader(hint: leader)))
            asked.removeFirst()
        }
    }

    private mutating func refuseRead(_ id: UInt64, _ origin: NodeID?, _ reason: RaftRefusal, _ output: inout RaftOutput) {
        guard let origin else { return output.refused.append(.init(id: id, reason: reason)) }
        send(.readIndexReply(term: term, id: id, index: nil), to: origin, after: nil, &output)
    }

    private mutating func answer(_ id: UInt64, _ origin: NodeID?, _ index: LogIndex, _ output: inout RaftOutput) {
        guard let origin else { return output.readsReady.append(.init(id: id, index: index)) }
        send(.readIndexReply(term: term, id: id, index: index), to: origin, after: nil, &output)
    }

    mutating func readIndexReply(_ token: UInt64, _ index: LogIndex?, _ output: inout RaftOutput) {
        guard let place = asked.firstIndex(where: { $0.token == token }) else { return }
        let id = asked.remove(at: place).id
        guard let index else { return output.refused.append(.init(id: id, reason: .notLeader(hint: leader))) }
        output.readsReady.append(.init(id: id, index: index))
    }

    /// Until then it cannot know what was committed before it (Raft section 8).
    var hasCommittedInTerm: Bool { commitIndex >= termStart }

    /// What came before the first entry of the term was committed can be given its index now.
    mutating func readyReads(_ now: Instant, _ output: inout RaftOutput) {
        guard hasCommittedInTerm, reads.contains(where: { $0.index == nil }) else { return }
        for place in reads.indices where reads[place].index == nil { reads[place].index = commitIndex }
        if isAlone { return confirmReads(now, &output) }
        beat(now, &output)
    }

    mutating func confirmReads(_ now: Instant, _ output: inout RaftOutput) {
        guard !reads.isEmpty else { return }
        let agreed = isAlone ? .max : answeredRound
        var done = 0
        for read in reads {
            guard let index = read.index, read.round > 0 || isAlone, read.round <= agreed else { break }
            answer(read.id, read.origin, index, &output)
            done += 1
        }
        guard done > 0 else { return }
        reads.removeFirst(done)
        // Those that came meanwhile.
        if reads.contains(where: { $0.index != nil && $0.round == 0 }) { beat(now, &output) }
    }

    /// The newest round that a majority has answered.
    private var answeredRound: UInt64 {
        configuration.agreed { [progress, id, round] node in
            if node == id { return round }
            guard let place = progress.place(of: node), progress[place].recovery == nil else { return 0 }
            return progress[place].round
        }
    }

    /// Whether nobody else can have been elected yet: a majority answered a round that was sent less than the least election timeout ago.
    private func hasLease(_ now: Instant) -> Bool {
        guard settings.leaseReads, transfer == nil, !hasHandedOver else { return false }
        let answered = answeredRound
        guard answered > 0, answered + UInt64(roundsSent.count) > round else { return false }
        let sent = roundsSent[roundsSent.count - 1 - Int(round - answered)]
        let lease = Double(settings.electionTimeout.lowerBound.nanoseconds) * (1 - (mutated(.ignoresClockDrift) ? -1 : settings.clockDrift))
        return Double(now.nanoseconds - sent.nanoseconds) < lease
    }
}
