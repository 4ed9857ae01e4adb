import Primitives

// Raft section 6, thesis chapter 4: any set of voters can take the place of any other by joint consensus. Servers that are to vote catch up as learners first
// (section 4.2.1), so that a change never waits for a log to be copied while it needs them.
extension RaftCore {
    mutating func change(
        _ id: UInt64, _ voters: [NodeID], _ learners: [NodeID], _ basedOn: LogIndex?, _ now: Instant, _ output: inout RaftOutput
    ) {
        if let reason = changeRefusal(voters, basedOn, now) { return output.refused.append(.init(id: id, reason: reason)) }
        let old = configuration
        let wanted = Configuration(voters: voters, learners: learners.filter { !voters.contains($0) })
        let newcomers = wanted.voters.filter { !old.voters.contains($0) }
        let next =
            if wanted.voters == old.voters {
                wanted
            } else if newcomers.isEmpty || mutated(.promotesUnready) {
                Configuration(voters: wanted.voters, outgoing: old.voters, learners: wanted.learners)
            } else {
                Configuration(voters: old.voters, learners: wanted.learners + newcomers, target: wanted.voters)
            }
        output.accepted.append(.init(id: id, term: term, first: log.lastIndex.next, count: 1))
        enter(mutated(.changesInOneStep) ? wanted : next, now, &output)
    }

    private func changeRefusal(_ voters: [NodeID], _ basedOn: LogIndex?, _ now: Instant) -> RaftRefusal? {
        if let refusal = refusal() { return refusal }
        if voters.isEmpty { return .noVoters }
        if let basedOn, basedOn != log.configurationIndex { return .staleConfiguration(at: log.configurationIndex) }
        // Without an entry of its own term the last configuration may not be committed though it looks so (Ongaro, raft-dev, 2015).
        guard hasCommittedInTerm || mutated(.changesBeforeOwnEntry) else { return .notReady }
        // A change whose newcomers do not come can be replaced by another.
        guard log.configurationIndex <= commitIndex && !configuration.isJoint || mutated(.changesTwiceAtOnce) else {
            return .changeInProgress
        }
        // Newcomers are not counted as voters before they have answered.
        let wanted = Configuration(voters: voters)
        let answering = wanted.voters.count { node in
            guard node != id, configuration.isVoter(node), let peer = progress.first(where: { $0.id == node }) else { return true }
            return isNear(peer, now) && peer.recovery == nil
        }
        return answering > wanted.voters.count / 2 ? nil : .withoutQuorum(answering: answering, of: wanted.voters.count)
    }

    /// In force from here on.
    private mutating func enter(_ next: Configuration, _ now: Instant, _ output: inout RaftOutput) {
        appendOwn([(.configuration, next.payload)], now)
        output.transitions.append(.configuration(log.lastIndex, next))
        syncProgress(from: log.lastIndex, now)
    }

    /// Those who are, and those who were until this change is committed, so that they come to know of it.
    ///
    /// - Parameter next: where newcomers begin; not beyond the log's end, or nothing would be sent before there is more.
    mutating func syncProgress(from next: LogIndex, _ now: Instant) {
        var members = configuration.members
        if log.configurationIndex > commitIndex { members += log.configuration(at: commitIndex).members }
        let old = progress
        let current = members
        members += old.filter { $0.leavingSince != nil }.map(\.id)
        progress = []
        for node in members.sorted() where node != id && progress.last?.id != node {
            var peer = old.first { $0.id == node } ?? newcomer(node, from: next, now)
            // One that comes back may come with another folder: what it had before it left is not known of it any more.
            if peer.isLeaving, current.contains(node) { peer = newcomer(node, from: next, now) }
            progress.append(peer)
        }
    }

    private func newcomer(_ node: NodeID, from next: LogIndex, _ now: Instant) -> Progress {
        var peer = Progress(id: node, next: max(LogIndex(1), next))
        // Time to answer, before it counts as silent.
        peer.lastContact = now
        return peer
    }

    /// Those who left and know it, or do not answer, are not followed any more.
    mutating func letGo(_ now: Instant) {
        guard progress.contains(where: { $0.leavingSince != nil }) else { return }
        let (index, timeout) = (log.configurationIndex, settings.electionTimeout.upperBound)
        progress.removeAll { peer in
            guard let since = peer.leavingSince else { return false }
            return peer.toldCommit >= index || now.duration(since: since) > timeout
        }
    }

    /// What follows from a configuration that is committed.
    mutating func advanceChange(_ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader, log.configurationIndex <= commitIndex else { return }
        let current = configuration
        if current.isJoint {
            enter(Configuration(voters: current.voters, learners: current.learners.filter { !current.voters.contains($0) }), now, &output)
        } else if !current.target.isEmpty {
            let newcomers = current.target.filter { !current.voters.contains($0) }
            guard newcomers.allSatisfy({ node in node == id || progress.contains { $0.id == node && $0.isCaughtUp && $0.recovery == nil } })
            else { return }
            let learners = current.learners.filter { !current.target.contains($0) }
            enter(Configuration(voters: current.target, outgoing: current.voters, learners: learners), now, &output)
        } else if log.configurationIndex > toldConfiguration {
            toldConfiguration = log.configurationIndex
            output.transitions.append(.configurationCommitted(log.configurationIndex))
            guard progress.contains(where: { !current.isMember($0.id) }) || !current.isVoter(id) else { return }
            // Those who left are to learn that they have: else they would ask for votes for ever.
            for place in progress.indices where !current.isMember(progress[place].id) { progress[place].leavingSince = now }
            sendAll(now, &output)
            // A leader that is no voter any more leads only until that is committed (section 6).
            if !current.isVoter(id) && !mutated(.removedLeadsOn) { handOver(.removed, now, &output) }
        }
    }

    /// Whatever else an answer moves: a learner that catches up, a successor that has everything.
    mutating func followUp(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        if !configuration.target.isEmpty, configuration.target.contains(progress[place].id) { catchUp(place, now, &output) }
        hurryTransfer(&output)
    }

    /// Rounds of what was the log's end when they began: the one that takes less than an election timeout is the last (thesis section 4.2.1).
    private mutating func catchUp(_ place: Int, _ now: Instant, _ output: inout RaftOutput) {
        let peer = progress[place]
        guard let (target, began) = peer.catchUp else {
            progress[place].catchUp = (log.lastIndex, now)
            return
        }
        guard peer.matchIndex >= target else { return }
        progress[place].isCaughtUp = now.duration(since: began) <= settings.electionTimeout.lowerBound
        progress[place].catchUp = (log.lastIndex, now)
        if progress[place].isCaughtUp { advanceChange(now, &output) }
    }
}
