import Primitives

// Thesis section 3.10: the leader takes no proposals until its successor has the whole log, then tells it to campaign at once. When that does not come about within an
// election timeout, the leader goes on.
extension RaftCore {
    mutating func beginTransfer(_ id: UInt64, to target: NodeID?, _ now: Instant, _ output: inout RaftOutput) {
        guard role == .leader else { return output.refused.append(.init(id: id, reason: .notLeader(hint: leader))) }
        guard transfer == nil else { return output.refused.append(.init(id: id, reason: .transferring)) }
        guard let target = target ?? bestSuccessor(), target != self.id, configuration.voters.contains(target) else {
            return output.refused.append(.init(id: id, reason: .notAVoter(target ?? self.id)))
        }
        transfer = (target, now.advanced(by: settings.electionTimeout.upperBound))
        output.accepted.append(.init(id: id, term: term, first: log.lastIndex, count: 0))
        output.transitions.append(.transferBegan(to: target))
        hurryTransfer(&output)
    }

    private func bestSuccessor() -> NodeID? {
        progress.filter { configuration.voters.contains($0.id) && $0.recovery == nil }.max { $0.matchIndex < $1.matchIndex }?.id
    }

    mutating func hurryTransfer(_ output: inout RaftOutput) {
        guard let transfer, let peer = progress.first(where: { $0.id == transfer.to }),
            peer.matchIndex == log.lastIndex
        else { return }
        hasHandedOver = true
        send(.timeoutNow(term: term), to: transfer.to, after: nil, &output)
    }

    mutating func endTransfer(isDone: Bool, _ output: inout RaftOutput) {
        guard let (target, _) = transfer else { return }
        transfer = nil
        output.transitions.append(.transferEnded(to: target, isDone: isDone))
    }

    /// Stops leading, and has the one who is furthest campaign at once.
    mutating func handOver(_ reason: RaftTransition.Reason, _ now: Instant, _ output: inout RaftOutput) {
        if let successor = bestSuccessor() { send(.timeoutNow(term: term), to: successor, after: nil, &output) }
        stepDown(reason, now, &output)
    }

    mutating func timeoutNow(from sender: NodeID, _ now: Instant, _ output: inout RaftOutput) {
        guard role != .leader, sender == leader || leader == nil else { return }
        campaign(.transfer, now, &output)
    }
}
