import Primitives

// Raft sections 5.3 and 5.4.2 (replication, commitment), 8 (the leader's first entry); flow control as Progress.swift says.
extension RaftCore {
    // MARK: Proposals

    mutating func propose(_ id: UInt64, _ payloads: [[UInt8]], _ now: Instant, _ output: inout RaftOutput) {
        precondition(!payloads.isEmpty, "a proposal of nothing")
        if let reason = refusal() { return output.refused.append(.init(id: id, reason: reason)) }
        let bytes = payloads.reduce(0) { $0 + $1.count }
        guard uncommittedBytes == 0 || uncommittedBytes + bytes <= settings.uncommittedBytes else {
            return output.refused.append(.init(id: id, reason: .busy))
        }
        let first = log.lastIndex.next
        appendOwn(payloads.map { (.commands, $0) }, now)
        output.accepted.append(.init(id: id, term: term, first: first, count: payloads.count))
    }

    func refusal() -> RaftRefusal? {
        if role != .leader { return .notLeader(hint: leader) }
        return transfer == nil ? nil : .transferring
    }

    mutating func appendOwn(_ payloads: [(LogEntry.Kind, [UInt8])], _ now: Instant) {
        var entries: [LogEntry] = []
        entries.reserveCapacity(payloads.count)
        for (kind, payload) in payloads {
            let entry = LogEntry(index: log.lastIndex.next, term: term, kind: kind, payload: payload)
            log.append(entry)
            uncommittedBytes += payload.count
            entries.append(entry)
        }
        _ = writing { $0.entries += entries }
        if mutated(.countsItselfBeforeDurable) || mutated(.forgetsOwnFsyncAlone) && isAlone { durableIndex = log.lastIndex }
    }

    // MARK: Heartbeats

    /// One round to all: keeps followers following, confirms reads, and finds out what was lost.
    mutating func beat(_ now: Instant, _ output: inout RaftOutput) {
        heartbeatDue = now.advanced(by: settings.heartbeat)
        newRound(now)
        for place in progress.indices { sendHeartbeat(place, now, &output) }
    }

    mutating func newRound(_ now: Instant) {
        round += 1
        roundsSent.append(now)
        // Older ones prove nothing any more.
        if roundsSent.count > 512 { roundsSent.removeFirst(256) }
        for place in reads.indices where reads[place].index != nil && reads[place].round == 0 { reads[place].round = round }
    }

    private mutating func sendHeartbeat(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        let peer = progress[place]
        // What it has acknowledged, also when that is compacted here: who has less than that by now has lost it.
        let known = (log.term(at: peer.matchIndex) ?? peer.matchTerm).map { (peer.matchIndex, $0) } ?? (.zero, Term(0))
        let commit = mutated(.commitsBeyondMessage) ? commitIndex : min(commitIndex, known.0)
        send(
            .append(
                .init(
                    term: term, previousIndex: known.0, previousTerm: known.1, commitIndex: commit, entries: [], round: round,
                    trusts: peer.recovery?.trusted(in: round, upTo: known.0))), to: peer.id, after: nil, &output)
        progress[place].isFetching = false
        switch peer.state {
        case .probe:
            // It has answered a round that went out after the entries did, and not those: they were lost. Whoever answers nothing is sent nothing.
            if peer.round > peer.probeRound { progress[place].state = .probe(isWaiting: false) }
        case .replicate:
            // Answers that never come: what was sent is sent again.
            if let first = peer.inFlight.first, first.last > peer.matchIndex, isSilent(peer, now) { progress[place].becomeProbe() }
        case .snapshot(var transfer):
            // Who is away is sent a newer one when it comes back.
            guard isNear(peer, now) else {
                progress[place].becomeProbe()
                return waitForProbe(place)
            }
            guard now.duration(since: transfer.movedAt) > settings.electionTimeout.lowerBound else { return }
            transfer.sent = transfer.acknowledged
            transfer.movedAt = now
            progress[place].state = .snapshot(transfer)
        }
    }

    /// Whether it was heard lately: what others need is kept for it.
    func isNear(_ peer: Progress, _ now: Instant) -> Bool {
        guard let contact = peer.lastContact else { return false }
        return now.duration(since: contact) <= settings.electionTimeout.upperBound * 2
    }

    private func isSilent(_ peer: Progress, _ now: Instant) -> Bool {
        guard let moved = peer.movedAt else { return false }
        return now.duration(since: moved) > settings.electionTimeout.lowerBound
    }

    // MARK: Sending entries

    mutating func sendAll(_ now: Instant, _ output: inout RaftOutput) {
        for place in progress.indices { sendEntries(place, now, &output) }
    }

    private mutating func sendEntries(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        switch progress[place].state {
        case .probe(let isWaiting):
            guard !isWaiting, progress[place].nextIndex <= log.lastIndex else { return }
            if sendNext(place, now, &output) { waitForProbe(place) }
        case .replicate:
            while progress[place].nextIndex <= log.lastIndex, progress[place].inFlight.count < settings.inFlightMessages,
                progress[place].inFlightBytes < settings.inFlightBytes
            {
                guard sendNext(place, now, &output) else { return }
            }
            tellCommit(place, now, &output)
        case .snapshot: sendChunks(place, now, &output)
        }
    }

    mutating func waitForProbe(_ place: Int) {
        progress[place].state = .probe(isWaiting: true)
        progress[place].probeRound = round
    }

    /// A follower that has all is told what was committed meanwhile, unless it may wait for what comes next.
    private mutating func tellCommit(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        guard progress[place].inFlight.isEmpty, commitIndex > progress[place].toldCommit else { return }
        if let commitDue, now < commitDue { return }
        let match = progress[place].matchIndex
        guard match >= commitIndex, let matchTerm = log.term(at: match) else { return }
        progress[place].toldCommit = commitIndex
        send(
            .append(
                .init(
                    term: term, previousIndex: match, previousTerm: matchTerm, commitIndex: commitIndex, entries: [], round: round)),
            to: progress[place].id, after: nil, &output)
    }

    /// False when there is nothing to send now.
    private mutating func sendNext(_ place: Int, _ now: Instant, _ output: inout RaftOutput) -> Bool {
        let (peer, first) = (progress[place].id, progress[place].nextIndex)
        guard let previousTerm = log.term(at: LogIndex(first.number - 1)) else {
            beginSnapshot(place, now, &output)
            return false
        }
        guard let entries = log.entries(from: first, through: log.lastIndex, maxBytes: settings.appendBytes) else {
            if !progress[place].isFetching {
                progress[place].isFetching = true
                let end = LogIndex(log.firstKept.number - 1)
                output.fetches.append(.init(peer: peer, first: first, last: end, maxBytes: settings.appendBytes))
            }
            return false
        }
        sendAppend(place, first, previousTerm, entries, now, &output)
        return true
    }

    private mutating func sendAppend(
        _ place: Int, _ first: LogIndex, _ previousTerm: Term, _ entries: [LogEntry], _ now: Instant, _ output: inout RaftOutput
    ) {
        let message = RaftMessage.Append(
            term: term, previousIndex: LogIndex(first.number - 1), previousTerm: previousTerm, commitIndex: commitIndex, entries: entries,
            round: round)
        progress[place].toldCommit = min(commitIndex, message.lastIndex)
        if progress[place].inFlight.isEmpty { progress[place].movedAt = now }
        if case .replicate = progress[place].state {
            progress[place].sent(through: message.lastIndex, bytes: entries.reduce(0) { $0 + $1.payload.count })
        }
        send(.append(message), to: progress[place].id, after: nil, &output)
    }

    mutating func fetched(_ peer: NodeID, _ entries: [LogEntry], _ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader, let place = progress.firstIndex(where: { $0.id == peer }), progress[place].isFetching else { return }
        guard !entries.isEmpty else {
            // They are compacted, or cannot be read: not asked for again before the next heartbeat.
            if let snapshot, snapshot.index >= progress[place].nextIndex { beginSnapshot(place, now, &output) }
            return
        }
        progress[place].isFetching = false
        // Much may have happened since: only what is still the log's, and still what comes next, is sent.
        guard let first = entries.first, first.index == progress[place].nextIndex,
            let previousTerm = log.term(at: LogIndex(first.index.number - 1)), entries.allSatisfy({ log.term(at: $0.index) == $0.term })
        else { return }
        switch progress[place].state {
        case .probe(false): waitForProbe(place)
        case .replicate: break
        case .probe(true), .snapshot: return
        }
        sendAppend(place, first.index, previousTerm, entries, now, &output)
    }

    /// What was sent counts as lost; nothing more is sent before it answers again.
    mutating func unreachable(_ peer: NodeID, _ now: Instant) {
        guard role == .leader, let place = progress.firstIndex(where: { $0.id == peer }) else { return }
        switch progress[place].state {
        case .probe: waitForProbe(place)
        case .replicate:
            progress[place].becomeProbe()
            waitForProbe(place)
        case .snapshot(var transfer):
            transfer.movedAt = Instant(nanoseconds: now.nanoseconds - 2 * settings.electionTimeout.lowerBound.nanoseconds)
            progress[place].state = .snapshot(transfer)
        }
    }

    // MARK: Answers

    mutating func appendReply(_ message: RaftMessage.AppendAnswer, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader, let place = progress.place(of: sender) else { return }
        heard(place, message.round, now)
        guard noteRecovery(place, message, now, &output) else { return }
        switch message.outcome {
        case .matched(let index):
            // More than this leader's log has can only be from another one's.
            guard index <= log.lastIndex else { return }
            matched(place, index, now, &output)
        case .rejected(let previous, let conflictIndex, let conflictTerm):
            rejected(place, previous, conflictIndex, conflictTerm)
        }
        confirmReads(now, &output)
    }

    mutating func heard(_ place: Int, _ round: UInt64, _ now: Instant) {
        progress[place].lastContact = now
        if round <= self.round { progress[place].round = max(progress[place].round, round) }
    }

    mutating func matched(_ place: Int, _ index: LogIndex, _ now: Instant, _ output: inout RaftOutput) {
        let isNew = progress[place].matched(index)
        if isNew {
            progress[place].movedAt = now
            progress[place].matchTerm = log.term(at: index)
            if case .snapshot(let transfer) = progress[place].state, transfer.mark.index == index {
                progress[place].matchTerm = transfer.mark.term
            }
        }
        switch progress[place].state {
        case .probe:
            // A heartbeat's answer says that what is known to agree still does; where the rest agrees only the probe's own says.
            // Where that is compacted there is nothing to go on with: the next heartbeat begins a snapshot.
            if index.next >= progress[place].nextIndex, log.term(at: index) != nil { progress[place].becomeReplicate() }
        case .replicate: break
        case .snapshot(let transfer): if index >= transfer.mark.index { progress[place].becomeReplicate() }
        }
        let id = progress[place].id
        if isNew { advanceCommit(now, &output) }
        guard role == .leader, place < progress.count, progress[place].id == id else { return }
        followUp(place, now, &output)
    }

    private mutating func rejected(_ place: Int, _ previous: LogIndex, _ conflictIndex: LogIndex, _ conflictTerm: Term?) {
        // What is known to agree cannot be refused: an old answer (CCF #5991).
        guard previous > progress[place].matchIndex else { return }
        switch progress[place].state {
        case .probe: guard previous.next == progress[place].nextIndex else { return }
        case .replicate: progress[place].becomeProbe()
        case .snapshot: return
        }
        var next = conflictIndex
        if let conflictTerm {
            let last = log.lastIndex(upTo: conflictTerm)
            if log.term(at: last) == conflictTerm { next = last.next }
        }
        progress[place].nextIndex = max(progress[place].matchIndex.next, min(next, previous))
        progress[place].state = .probe(isWaiting: false)
    }

    // MARK: Commitment

    /// Section 5.3: what a majority has is committed; section 5.4.2: but only entries of the leader's own term are counted.
    mutating func advanceCommit(_ now: Instant, _ output: inout RaftOutput) {
        let agreed = LogIndex(
            configuration.agreed { [progress, id, durableIndex] node in
                if node == id { return durableIndex.number }
                guard let place = progress.place(of: node), progress[place].recovery == nil || mutated(.countsRecovering) else { return 0 }
                return progress[place].matchIndex.number
            })
        let index = mutated(.commitsWithOneLess) ? min(log.lastIndex, max(agreed, durableIndex)) : agreed
        guard index > commitIndex, log.term(at: index) == term || mutated(.commitsOldTerms) else { return }
        uncommittedBytes -= log.payloadBytes(after: commitIndex, through: index)
        commitIndex = index
        // Who is about to hand over, or to go, lets nobody wait.
        let isWaiting = settings.commitDelay > .zero && transfer == nil && !progress.contains { $0.leavingSince != nil }
        commitDue = isWaiting ? commitDue ?? now.advanced(by: settings.commitDelay) : nil
        readyReads(now, &output)
        advanceChange(now, &output)
        // Whoever has come to be alone waits for nobody's answer.
        if role == .leader { confirmReads(now, &output) }
    }
}
