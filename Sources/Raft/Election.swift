import Primitives

// Raft sections 5.2 and 5.4.1 (elections, who may win), thesis sections 9.6 (pre-vote), 6.2 (a leader without a quorum stops) and 4.2.3 (servers that hear a
// leader do not vote).
extension RaftCore {
    mutating func resetElectionTimer(_ now: Instant) {
        let (low, high) = (settings.electionTimeout.lowerBound.nanoseconds, settings.electionTimeout.upperBound.nanoseconds)
        electionDeadline = Instant(nanoseconds: now.nanoseconds + .random(in: low..<high, using: &generator))
    }

    /// After an election that nobody won: sooner, for nobody leads.
    private mutating func resetVoteTimer(_ now: Instant) {
        let low = settings.electionTimeout.lowerBound.nanoseconds
        electionDeadline = Instant(nanoseconds: now.nanoseconds + .random(in: low / 2..<low, using: &generator))
    }

    mutating func electionTick(_ now: Instant, _ output: inout RaftOutput) {
        if now >= electionDeadline {
            let reason: RaftTransition.Reason = role == .candidate ? .voteSplit : isFresh ? .start : .timeout
            return campaign(reason, now, &output)
        }
        guard role == .preCandidate, let again = askAgain, now >= again else { return }
        askBefore(now, &output)
    }

    /// A server that is no voter by its own log, that may not trust its log, or whose disk does not answer, waits on. One that leaves by an entry that is not committed
    /// may be the only one that can get it committed (thesis section 4.2.2).
    private func mayCampaign(_ now: Instant) -> Bool {
        let isVoter = configuration.isVoter(id) || log.hasVoter(id, sinceCommit: commitIndex)
        return isVoter && (!isRecovering || mutated(.recoveringVotes)) && installing == nil && !isDiskStalled(now)
    }

    mutating func campaign(_ reason: RaftTransition.Reason, _ now: Instant, _ output: inout RaftOutput) {
        guard mayCampaign(now) else { return resetElectionTimer(now) }
        if reason != .transfer, hasPromised(now), let promised {
            electionDeadline = promised.advanced(by: settings.electionTimeout.lowerBound)
            return
        }
        incoming = nil
        guard settings.preVote, reason != .transfer else { return elect(reason, now, &output) }
        role = .preCandidate
        campaignReason = reason
        isFresh = false
        if mutated(.stepDownErasesVote) { hardState.vote = nil }
        loseLeader(&output)
        grants = [id]
        resetElectionTimer(now)
        output.transitions.append(.becamePreCandidate(term, reason))
        if configuration.hasQuorum(where: { $0 == id }) { return elect(reason, now, &output) }
        askBefore(now, &output)
    }

    /// Asks all who have not said yes: what they answer changes with whom they hear.
    private mutating func askBefore(_ now: Instant, _ output: inout RaftOutput) {
        askAgain = now.advanced(by: settings.heartbeat)
        let request = RaftMessage.PreVoteRequest(term: term, asked: term.next, lastIndex: log.lastIndex, lastTerm: log.lastTerm)
        for peer in configuration.members where peer != id && configuration.isVoter(peer) && !grants.contains(peer) {
            send(.preVote(request), to: peer, after: nil, &output)
        }
    }

    private mutating func elect(_ reason: RaftTransition.Reason, _ now: Instant, _ output: inout RaftOutput) {
        role = .candidate
        loseLeader(&output)
        leaderContact = nil
        askAgain = nil
        grants = []
        persist(HardState(term: term.next, vote: id))
        dropHeld()
        ownVoteTicket = hardTicket
        resetVoteTimer(now)
        output.transitions.append(.becameCandidate(term, reason))
        let request = RaftMessage.VoteRequest(
            term: term, lastIndex: log.lastIndex, lastTerm: log.lastTerm, isTransfer: reason == .transfer)
        // Behind the vote, and so behind all of the log that the request speaks of: a server that falls in between may come back with less.
        for peer in configuration.members where peer != id && configuration.isVoter(peer) {
            send(.requestVote(request), to: peer, after: mutated(.asksBeforePersisting) ? nil : hardTicket, &output)
        }
    }

    // MARK: Voting

    /// Whether there is a leader as far as this server can tell.
    private func hearsLeader(_ now: Instant) -> Bool {
        if mutated(.votesBesideLeader) { return false }
        if role == .leader { return hasContact(now) }
        if hasPromised(now) { return true }
        guard let leaderContact else { return false }
        return now.duration(since: leaderContact) < settings.electionTimeout.lowerBound
    }

    /// Whether a leader may still answer reads because this server has let it believe that nobody else is elected (thesis section 6.4.1): whatever happened since.
    private func hasPromised(_ now: Instant) -> Bool {
        guard let promised else { return false }
        return now.duration(since: promised) < settings.electionTimeout.lowerBound
    }

    mutating func preVote(_ message: RaftMessage.PreVoteRequest, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        let isGranted =
            message.asked > term && (log.isUpToDate(message.lastIndex, message.lastTerm) || mutated(.ignoresLogOfCandidate))
            && !hearsLeader(now)
            && (!isRecovering || mutated(.recoveringVotes))
        if mutated(.preVoteChangesTerm), message.asked > term { follow(message.asked, leader: nil, .higherTerm, now, &output) }
        send(.preVoteReply(.init(term: term, asked: message.asked, isGranted: isGranted)), to: sender, after: nil, &output)
    }

    mutating func preVoteReply(_ message: RaftMessage.PreVoteAnswer, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        if mutated(.preVoteCountsAsVote), role == .candidate, message.isGranted { return count(sender, now, &output) }
        guard role == .preCandidate, message.asked == term.next else { return }
        guard message.isGranted else { return }
        if !grants.contains(sender) { grants.append(sender) }
        if hasWon { elect(campaignReason, now, &output) }
    }

    mutating func requestVote(_ message: RaftMessage.VoteRequest, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        if message.term > term {
            // Not even the term is taken from a server that would take the leader away from those who hear it.
            guard message.isTransfer || !hearsLeader(now) else { return }
            follow(message.term, leader: nil, .higherTerm, now, &output)
        }
        let isFree = hardState.vote == nil || hardState.vote == sender || mutated(.votesTwice)
        let isUpToDate = log.isUpToDate(message.lastIndex, message.lastTerm) || mutated(.ignoresLogOfCandidate)
        let isGranted =
            message.term == term && (role == .follower || role == .preCandidate) && isFree && isUpToDate
            && (leader == nil || leader == sender || mutated(.votesTwice) || mutated(.stepDownErasesVote))
            && (message.isTransfer || !hasPromised(now))
            && (!isRecovering || mutated(.recoveringVotes))
        if isGranted {
            if role == .preCandidate { follow(term, leader: nil, .timeout, now, &output) }
            if hardState.vote == nil { persist(HardState(term: term, vote: sender)) }
            resetElectionTimer(now)
        }
        send(
            .requestVoteReply(.init(term: term, isGranted: isGranted)), to: sender,
            after: mutated(.votesBeforePersisting) ? nil : hardTicket,
            &output)
    }

    mutating func requestVoteReply(_ message: RaftMessage.VoteAnswer, from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        guard role == .candidate, message.isGranted else { return }
        count(sender, now, &output)
    }

    private mutating func count(_ sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        if !grants.contains(sender) { grants.append(sender) }
        countVotes(now, &output)
    }

    mutating func countVotes(_ now: Instant, _ output: inout RaftOutput) { if hasWon { lead(now, &output) } }

    private var hasWon: Bool {
        configuration.hasQuorum { grants.contains($0) } || mutated(.ignoresOutgoingHalf) && wins(configuration.voters)
    }

    private func wins(_ half: [NodeID]) -> Bool { half.count { grants.contains($0) } > half.count / 2 }

    // MARK: Changing role

    private mutating func lead(_ now: Instant, _ output: inout RaftOutput) {
        precondition(role == .candidate, "lead in role \(role)")
        role = .leader
        leader = id
        (grants, hasHandedOver, checkDue) = ([], false, now.advanced(by: settings.heartbeat))
        termStart = log.lastIndex.next
        progress = []
        // Its own first entry is the next one.
        syncProgress(from: log.lastIndex.next, now)
        (round, roundsSent, reads, transfer) = (0, [], [], nil)
        uncommittedBytes = log.payloadBytes(after: commitIndex)
        output.transitions.append(.becameLeader(term))
        appendOwn([(.leaderStart, [])], now)
        beat(now, &output)
    }

    /// Follows in a term that is this server's or a later one. A vote that was given in the term stays given.
    mutating func follow(
        _ newTerm: Term, leader newLeader: NodeID?, _ reason: RaftTransition.Reason, _ now: Instant, _ output: inout RaftOutput
    ) {
        let (wasLeader, oldRole, oldLeader) = (role == .leader, role, leader)
        if newTerm > term {
            persist(HardState(term: newTerm, vote: nil))
            dropHeld()
            (leaderContact, incoming) = (nil, nil)
        } else if mutated(.stepDownErasesVote), oldRole != .follower {
            hardState.vote = nil
        }
        role = .follower
        if newLeader != leader { loseLeader(&output) }
        leader = newLeader
        (askAgain, ownVoteTicket, grants) = (nil, nil, [])
        if wasLeader { stopLeading(reason, &output) }
        if oldRole != .follower || newTerm > term { resetElectionTimer(now) }
        if oldRole != .follower { output.transitions.append(.becameFollower(term, leader: newLeader, reason)) }
        if let newLeader, newLeader != oldLeader { output.transitions.append(.foundLeader(term, newLeader)) }
    }

    /// What the leader was asked about, it will not answer.
    private mutating func loseLeader(_ output: inout RaftOutput) {
        leader = nil
        for read in asked { output.refused.append(.init(id: read.id, reason: .notLeader(hint: nil))) }
        asked = []
    }

    private mutating func stopLeading(_ reason: RaftTransition.Reason, _ output: inout RaftOutput) {
        for read in reads {
            if let origin = read.origin {
                send(.readIndexReply(term: term, id: read.id, index: nil), to: origin, after: nil, &output)
            } else {
                output.refused.append(.init(id: read.id, reason: .notLeader(hint: nil)))
            }
        }
        if transfer != nil { endTransfer(isDone: reason == .higherTerm, &output) }
        (reads, progress, roundsSent, uncommittedBytes) = ([], [], [], 0)
    }

    mutating func stepDown(_ reason: RaftTransition.Reason, _ now: Instant, _ output: inout RaftOutput) {
        follow(term, leader: nil, reason, now, &output)
    }

    /// Whether a majority has answered within an election timeout.
    func hasContact(_ now: Instant) -> Bool {
        guard settings.checkQuorum, !mutated(.leadsWithoutQuorum) else { return true }
        return configuration.hasQuorum { [progress, id, settings] node in
            if node == id { return true }
            guard let place = progress.place(of: node), let contact = progress[place].lastContact else { return false }
            return now.duration(since: contact) <= settings.electionTimeout.upperBound
        }
    }

    /// A closed connection is the quickest sign that a process has ended: ask for votes at once, one server after the other so that they do not split.
    mutating func disconnected(_ peer: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        unreachable(peer, now)
        guard role != .leader, peer == leader else { return }
        loseLeader(&output)
        leaderContact = nil
        let rank = configuration.voters.filter { $0 != peer }.firstIndex(of: id) ?? 0
        electionDeadline = min(electionDeadline, now.advanced(by: settings.stagger * rank))
        if rank == 0 { campaign(.leaderDisconnected, now, &output) }
    }
}
