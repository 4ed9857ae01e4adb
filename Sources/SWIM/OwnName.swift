import Primitives

/// Somebody is said to go under this node's name, who was started no earlier: asked before it is believed, as it may be an earlier start whose clock was ahead.
struct NameClaim: Equatable, Sendable {
    let identity: MemberIdentity
    let address: String
    var sequence: UInt64
    var due: Instant
    var asked = 1

    /// Questions until it is believed that nobody is there: three, as at 10 % loss a twin that lives is then missed once in 150 times.
    static let limit = 3
}

// What is said of this node itself: refuted by a higher incarnation (SWIM section 4.2), or, where another process is meant, by a higher epoch, unless that process lives.
extension SWIMCore {
    mutating func hearOfSelf(_ rumour: Rumour, _ now: Instant, _ output: inout SWIMOutput) {
        let own = table[Self.own]
        guard rumour.identity.epoch >= own.identity.epoch else { return }
        if rumour.liveness == .alive, let metadata = rumour.metadata, metadata.gossip != own.metadata.gossip,
            rumour.precedence >= own.precedence
        {
            return ask(rumour.identity, at: metadata.gossip, now, &output)
        }
        if rumour.identity.epoch > own.identity.epoch {
            // Of a suspect it is not said where it is: it refutes that, or dies.
            if rumour.liveness != .suspect { outrank(rumour.identity, now, &output) }
        } else if rumour.precedence > own.precedence {
            refute(rumour, now, &output)
        }
    }

    private mutating func refute(_ rumour: Rumour, _ now: Instant, _ output: inout SWIMOutput) {
        counts.refutations += 1
        if rumour.liveness != .alive {
            localHealth.note(.accused)
            output.changes.append(.accused(rumour.liveness, by: rumour.accuser))
        }
        guard rumour.incarnation < .highest else { return outrank(rumour.identity, now, &output) }
        table[Self.own].incarnation = Incarnation(rumour.incarnation.number + 1)
        tell(Self.own, now)
    }

    /// Takes an epoch above one that nobody lives under.
    mutating func outrank(_ claimed: MemberIdentity, _ now: Instant, _ output: inout SWIMOutput) {
        claim = nil
        // Two that do this at once are to end with different epochs.
        let epoch = claimed.epoch + UInt64.random(in: 1...1_024, using: &generator)
        guard epoch < MemberIdentity.highestEpoch else {
            output.conflicts.append(.outranked(claimed))
            return
        }
        table[Self.own].identity.epoch = epoch
        (table[Self.own].incarnation, table[Self.own].metadata.version) = (.zero, .zero)
        table[Self.own].metadataEpoch = epoch
        output.renewed = epoch
        tell(Self.own, now)
    }

    // MARK: Other processes of this node

    /// A message from under this node's own name.
    mutating func hearOwnName(_ message: SWIMMessage, from address: String, _ now: Instant, _ output: inout SWIMOutput) {
        let sender = message.from
        if case .ack(let ack) = message, let claim, ack.sequence == claim.sequence, sender.epoch >= claim.identity.epoch {
            phase = .superseded
            successor = Successor(
                claim: NameClaim(
                    identity: sender, address: claim.address, sequence: claim.sequence, due: now.advanced(by: settings.reconnectInterval),
                    asked: 0), since: now)
            output.conflicts.append(.superseded(by: sender, at: claim.address))
            return
        }
        counts.misdirected += 1
        if sender.epoch > identity.epoch { return ask(sender, at: address, now, &output) }
        // The same epoch is its own echo.
        guard sender.epoch < identity.epoch else { return }
        if toldTwin != sender {
            toldTwin = sender
            output.conflicts.append(.twin(sender, at: address))
        }
        // So that it knows, and stops.
        if case .ping(let ping) = message, ping.target.node == node {
            send(.ack(acknowledgement(of: ping.sequence)), to: address, &output)
        }
    }

    private mutating func ask(_ claimed: MemberIdentity, at address: String, _ now: Instant, _ output: inout SWIMOutput) {
        if let claim, claim.identity >= claimed { return }
        claim = NameClaim(
            identity: claimed, address: address, sequence: takeSequence(), due: now.advanced(by: settings.probeTimeout))
        askAgain(&output)
    }

    private func askAgain(_ output: inout SWIMOutput) {
        guard let claim else { return }
        send(.ping(ping(claim.identity, known: .zero, sequence: claim.sequence)), to: claim.address, &output)
    }

    mutating func claimTick(_ now: Instant, _ output: inout SWIMOutput) {
        guard var claim, now >= claim.due else { return }
        guard claim.asked < NameClaim.limit else { return outrank(claim.identity, now, &output) }
        claim.asked += 1
        claim.due = now.advanced(by: settings.probeTimeout)
        self.claim = claim
        askAgain(&output)
    }

    // MARK: What it says of itself

    mutating func update(_ metadata: MemberMetadata, _ now: Instant, _ output: inout SWIMOutput) {
        guard metadata.differs(from: self.metadata), phase == .running else { return }
        precondition((try? metadata.check()) != nil, "metadata of \(metadata.estimatedBytes) bytes were not checked")
        table[Self.own].metadata = metadata
        guard incarnation < .highest else { return outrank(identity, now, &output) }
        let next = Incarnation(incarnation.number + 1)
        (table[Self.own].incarnation, table[Self.own].metadata.version) = (next, next)
        tell(Self.own, now)
    }

    /// That it left outweighs whatever else is said of the same incarnation.
    mutating func leave(_ now: Instant, _ output: inout SWIMOutput) {
        guard phase == .running else { return }
        (probe, claim) = (nil, nil)
        phase = .leaving(until: now.advanced(by: settings.leaveTimeout))
        table[Self.own].standing = .left
        table[Self.own].since = now
        tell(Self.own, now)
        leaveTick(now, &output)
    }

    /// Done once it was said often enough that all will know, or where nobody is left to say it to.
    mutating func leaveTick(_ now: Instant, _ output: inout SWIMOutput) {
        guard case .leaving(let until) = phase, now >= until || !dissemination.isTelling(of: Self.own) || table.living == 0 else { return }
        phase = .left
        output.hasLeft = true
    }
}
