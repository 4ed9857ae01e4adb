import Primitives

// Asynchronous storage (after etcd's raft, "async storage writes"; openraft's I/O ordering): what an event wants written is one group with a ticket; what
// promises it waits until the ticket is durable.
extension RaftCore {
    /// The ticket of what the event in hand writes.
    mutating func writing(_ change: (inout RaftOutput.Write) -> Void) -> UInt64 {
        if write == nil {
            lastTicket += 1
            write = RaftOutput.Write(ticket: lastTicket)
        }
        if var group = write {
            write = nil
            change(&group)
            write = group
        }
        return lastTicket
    }

    mutating func persist(_ state: HardState) {
        precondition(state.term >= hardState.term, "term \(state.term) after \(hardState.term)")
        precondition(
            state.term > hardState.term || hardState.vote == nil || hardState.vote == state.vote,
            "a second vote in term \(state.term): \(state.vote?.text ?? "none") after \(hardState.vote?.text ?? "none")")
        hardState = state
        hardTicket = writing { $0.hardState = state }
    }

    mutating func flushWrite(_ now: Instant, _ output: inout RaftOutput) {
        guard let group = write else { return }
        write = nil
        // What may as well be lost makes nobody wait.
        inFlight.append((group.ticket, log.lastIndex, now))
        output.writes.append(group)
    }

    /// Sends now, or once what it promises is durable.
    mutating func send(_ message: RaftMessage, to peer: NodeID, after ticket: UInt64?, _ output: inout RaftOutput) {
        guard let ticket, ticket > storedTicket else { return output.messages.append(.init(to: peer, message: message)) }
        // In the order of their tickets; there are few.
        var place = held.count
        while place > 0, held[place - 1].ticket > ticket { place -= 1 }
        held.insert((ticket, .init(to: peer, message: message)), at: place)
    }

    /// What was promised in a term that is over must not be said any more: since then it may have been taken back.
    mutating func dropHeld() {
        let term = term
        held.removeAll { $0.outgoing.message.term < term }
    }

    /// The write after which the log is durable up to `index`; nil when it is.
    func ticket(for index: LogIndex) -> UInt64? {
        guard index > durableIndex else { return nil }
        for group in inFlight where group.last >= index { return group.ticket }
        return write?.ticket ?? lastTicket
    }

    mutating func truncate(after index: LogIndex, _ output: inout RaftOutput) {
        precondition(index >= commitIndex, "truncate after \(index), committed is \(commitIndex)")
        let old = log.configurationIndex
        log.truncate(after: index)
        durableIndex = min(durableIndex, index)
        for place in inFlight.indices { inFlight[place].last = min(inFlight[place].last, index) }
        _ = writing { $0.truncateAfter = index }
        output.transitions.append(.truncated(after: index))
        if log.configurationIndex != old { output.transitions.append(.configuration(log.configurationIndex, configuration)) }
    }

    mutating func stored(_ ticket: UInt64, _ now: Instant, _ output: inout RaftOutput) {
        precondition(ticket <= lastTicket, "ticket \(ticket) was never given out")
        guard ticket > storedTicket else { return }
        storedTicket = ticket
        var done = 0
        for group in inFlight {
            guard group.ticket <= ticket else { break }
            durableIndex = max(durableIndex, group.last)
            done += 1
        }
        inFlight.removeFirst(done)
        var ready = 0
        for waiting in held {
            guard waiting.ticket <= ticket else { break }
            output.messages.append(waiting.outgoing)
            ready += 1
        }
        held.removeFirst(ready)
        if let (own, mark) = installing, own <= ticket {
            installing = nil
            output.restored = mark
            output.transitions.append(.snapshotInstalled(mark.index))
        }
        if let own = ownVoteTicket, own <= ticket, role == .candidate {
            ownVoteTicket = nil
            grants.append(id)
            countVotes(now, &output)
        }
        if role == .leader { advanceCommit(now, &output) }
    }

    /// Whether this server's disk has been at one write for longer than others wait for a leader.
    func isDiskStalled(_ now: Instant) -> Bool {
        guard let first = inFlight.first else { return false }
        return now.duration(since: first.since) > settings.electionTimeout.upperBound
    }
}
