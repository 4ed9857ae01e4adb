import Primitives

/// The later process that stands for this node. It is asked now and then whether it is there still: when it has ended, this one is the only one again.
struct Successor: Equatable, Sendable {
    /// How it is asked; `asked` counts what it has not answered since it last did.
    var claim: NameClaim
    let since: Instant
}

extension SWIMCore {
    /// All that a superseded process does.
    mutating func watchSuccessor(_ event: Event, _ now: Instant, _ output: inout SWIMOutput) {
        guard phase == .superseded, var watched = successor else { return }
        switch event {
        case .message(.ack(let ack), _):
            guard ack.from.node == node, ack.sequence == watched.claim.sequence, ack.from.epoch >= watched.claim.identity.epoch else {
                return
            }
            watched.claim = NameClaim(
                identity: ack.from, address: watched.claim.address, sequence: takeSequence(),
                due: now.advanced(by: settings.reconnectInterval), asked: 0)
        case .tick:
            guard now >= watched.claim.due else { return }
            guard watched.claim.asked < NameClaim.limit else { return resume(after: watched, now, &output) }
            watched.claim.asked += 1
            watched.claim.sequence = takeSequence()
            watched.claim.due = now.advanced(by: settings.probeTimeout)
            send(
                .ping(ping(watched.claim.identity, known: .zero, sequence: watched.claim.sequence)), to: watched.claim.address, &output)
        case .update(let metadata):
            // Told when this process is the one again.
            table[Self.own].metadata = metadata
            return
        case .streamAck, .pushPull, .exchanged, .join, .leave, .message: return
        }
        successor = watched
    }

    /// Takes part again, above whoever stood for it.
    private mutating func resume(after watched: Successor, _ now: Instant, _ output: inout SWIMOutput) {
        successor = nil
        guard watched.claim.identity.epoch < MemberIdentity.highestEpoch - 1_024 else { return }
        phase = .running
        // What it knows is as old as that, and nobody is to be blamed for it.
        stoodStill(for: now.duration(since: watched.since), now)
        (exchangeDue, reapDue) = (now, now.advanced(by: reapInterval))
        reconnectDue = now.advanced(by: settings.joinInterval)
        outrank(watched.claim.identity, now, &output)
    }
}
