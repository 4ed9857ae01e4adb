import Primitives

// SWIM section 3.1 (ping, then ping through k others, then a verdict), 4.3 (in turn), and Lifeguard section IV-A (whoever may be slow itself waits longer, and is told
// by its helpers that they at least are there). A connection is tried beside the helpers, as datagrams alone may be what is lost.
extension SWIMCore {
    mutating func probeTick(_ now: Instant, _ output: inout SWIMOutput) {
        if let due = probe?.helpDue, now >= due { askForHelp(now, &output) }
        guard now >= probeDue else { return }
        if let probe { decide(probe, now, &output) }
        probe = nil
        tellTheDead(now, &output)
        let interval = settings.probeInterval * localHealth.multiplier
        probeDue = now.advanced(by: interval)
        guard let slot = schedule.take(using: &generator) else { return }
        begin(slot, until: probeDue, now, &output)
    }

    private mutating func begin(_ slot: Int, until verdict: Instant, _ now: Instant, _ output: inout SWIMOutput) {
        let target = table[slot].identity
        counts.probes += 1
        probe = Probe(
            slot: slot, target: target, sequence: takeSequence(),
            sentAt: now, helpDue: now.advanced(by: settings.probeTimeout * localHealth.multiplier), verdictDue: verdict)
        table[slot].contact.lastProbe = now
        guard let sequence = probe?.sequence else { return }
        var ping = ping(target, known: table[slot].incarnation, sequence: sequence)
        // A suspect is told what is said of it at once (Lifeguard section IV-C, buddy system).
        ping.news = news(for: slot, beside: .ping(ping))
        send(.ping(ping), to: table[slot].metadata.gossip, &output)
    }

    func ping(_ target: MemberIdentity, known: Incarnation, sequence: UInt64) -> SWIMMessage.Ping {
        SWIMMessage.Ping(sequence: sequence, from: identity, incarnation: incarnation, target: target, known: known)
    }

    /// For a ping, for its helpers, and for a connection.
    mutating func takeSequence() -> UInt64 {
        defer { sequence &+= 3 }
        return sequence
    }

    private mutating func askForHelp(_ now: Instant, _ output: inout SWIMOutput) {
        guard var probe else { return }
        probe.helpDue = nil
        let (target, metadata) = (probe.target, table[probe.slot].metadata)
        output.streamPings.append(.init(sequence: probe.streamSequence, target: target, address: metadata.rpc))
        let helpers = pick(settings.indirectProbes) { $0.standing == .alive && $0.identity.node != target.node }
        for helper in helpers {
            var request = SWIMMessage.PingReq(
                sequence: probe.helpSequence, from: identity, target: target, address: metadata.gossip)
            request.news = news(for: helper, beside: .pingReq(request))
            send(.pingReq(request), to: table[helper].metadata.gossip, &output)
            probe.silent.append(table[helper].identity.node)
        }
        probe.helpers = helpers.count
        self.probe = probe
    }

    // MARK: Answers

    mutating func acked(_ ack: SWIMMessage.Ack, from address: String, _ now: Instant, _ output: inout SWIMOutput) {
        if passOn(ack, &output) { return }
        guard var probe, ack.sequence == probe.sequence || ack.sequence == probe.helpSequence, ack.from.node == probe.target.node,
            probe.answer != .datagram
        else { return }
        // An earlier process of the node is not the one that is meant; a later one says that the node is there.
        guard ack.from.epoch >= probe.target.epoch else { return }
        if ack.isBehind {
            let own = SWIMMessage.MembershipUpdate(from: identity, news: [table[Self.own].rumour(isWhole: true)])
            send(.membershipUpdate(own), to: address, &output)
        }
        if ack.sequence == probe.helpSequence {
            counts.indirectAcks += 1
        } else {
            table[probe.slot].contact.answered(after: now.duration(since: probe.sentAt))
        }
        (probe.answer, probe.helpDue) = (.datagram, nil)
        self.probe = probe
        localHealth.note(.probeAnswered)
        table[probe.slot].contact.lastAck = now
        guard table[probe.slot].contact.hasLostDatagrams else { return }
        table[probe.slot].contact.hasLostDatagrams = false
        output.changes.append(.datagramsBack(probe.target))
    }

    mutating func streamAck(_ sequence: UInt64, by identity: MemberIdentity, _ now: Instant, _ output: inout SWIMOutput) {
        guard sequence == probe?.streamSequence, identity.node == probe?.target.node, probe?.answer == Probe.Answer.none,
            let target = probe?.target, let slot = probe?.slot, identity.epoch >= target.epoch
        else { return }
        probe?.answer = .stream
        table[slot].contact.lastAck = now
        // It may have missed what is said of it, or this member what it said.
        if identity.epoch > target.epoch || table[slot].standing.liveness == .suspect { exchange(with: slot, &output) }
    }

    mutating func nacked(_ nack: SWIMMessage.Nack) {
        guard nack.sequence == probe?.helpSequence else { return }
        probe?.silent.removeAll { $0 == nack.from.node }
    }

    // MARK: The verdict

    private mutating func decide(_ probe: Probe, _ now: Instant, _ output: inout SWIMOutput) {
        switch probe.answer {
        case .datagram: return
        case .stream:
            counts.streamAcks += 1
            guard !table[probe.slot].contact.hasLostDatagrams else { return }
            table[probe.slot].contact.hasLostDatagrams = true
            output.changes.append(.datagramsLost(probe.target))
        case .none:
            counts.probesFailed += 1
            // Where helpers were asked, their silence tells whose fault it is.
            localHealth.note(probe.helpers > 0 ? .nacksMissed(probe.silent.count) : .probeFailed)
            guard table[probe.slot].isLiving, table[probe.slot].identity == probe.target else { return }
            counts.suspicions += 1
            suspect(probe.slot, by: node, now, &output)
        }
    }

    // MARK: Answering others

    func acknowledgement(of sequence: UInt64) -> SWIMMessage.Ack {
        SWIMMessage.Ack(sequence: sequence, from: identity, incarnation: incarnation)
    }

    mutating func acknowledge(_ ping: SWIMMessage.Ping, at address: String, _ output: inout SWIMOutput) {
        var ack = acknowledgement(of: ping.sequence)
        if (ping.target.epoch, ping.known) < (identity.epoch, incarnation) { ack.news = [table[Self.own].rumour(isWhole: true)] }
        if let slot = table.slot(of: ping.from.node) {
            ack.isBehind = (table[slot].identity.epoch, table[slot].incarnation) < (ping.from.epoch, ping.incarnation)
            ack.news += news(for: slot, beside: .ack(ack))
        } else if let known = tombstones[ping.from.node], known.epoch >= ping.from.epoch {
            // It was forgotten, and does not know it.
            ack.isBehind = known < Precedence(epoch: ping.from.epoch, incarnation: ping.incarnation, liveness: .alive)
            ack.news.append(
                Rumour(MemberIdentity(node: ping.from.node, epoch: known.epoch), incarnation: known.incarnation, known.liveness))
        } else {
            ack.isBehind = true
            ack.news += news(for: nil, beside: .ack(ack))
        }
        send(.ack(ack), to: address, &output)
    }

    mutating func relay(_ request: SWIMMessage.PingReq, for address: String, _ now: Instant, _ output: inout SWIMOutput) {
        guard request.target.node != node else {
            send(.ack(acknowledgement(of: request.sequence)), to: address, &output)
            return
        }
        guard relays.count < settings.relayLimit else {
            counts.relaysRefused += 1
            return
        }
        guard (1...MemberMetadata.addressBytes).contains(request.address.utf8.count) else {
            counts.malformed += 1
            return
        }
        let slot = table.slot(of: request.target.node)
        if let slot, !table[slot].isLiving {
            // The asker may have missed that; the target may live all the same.
            let update = SWIMMessage.MembershipUpdate(from: identity, news: [table[slot].rumour(accuser: node)])
            send(.membershipUpdate(update), to: address, &output)
        }
        let sequence = takeSequence()
        relays.append(
            Relay(
                sequence: sequence, asker: address, askerSequence: request.sequence, target: request.target,
                // Before the asker decides: it began to wait when it sent this.
                nackDue: now.advanced(by: settings.probeTimeout * 4 / 5), until: now.advanced(by: settings.probeTimeout)))
        let known = slot.map { table[$0].incarnation } ?? .zero
        send(.ping(ping(request.target, known: known, sequence: sequence)), to: request.address, &output)
    }

    private mutating func passOn(_ ack: SWIMMessage.Ack, _ output: inout SWIMOutput) -> Bool {
        guard let place = relays.firstIndex(where: { $0.sequence == ack.sequence }) else { return false }
        guard relays[place].target.node == ack.from.node else { return true }
        let relay = relays.remove(at: place)
        send(
            .ack(SWIMMessage.Ack(sequence: relay.askerSequence, from: ack.from, incarnation: ack.incarnation)), to: relay.asker, &output)
        return true
    }

    /// All relays wait as long, so the first that was not told of is the next to be.
    var nackDue: Instant? { relays.first { $0.nackDue != nil }?.nackDue }

    mutating func relayTick(_ now: Instant, _ output: inout SWIMOutput) {
        for place in relays.indices {
            guard let due = relays[place].nackDue, now >= due else { continue }
            relays[place].nackDue = nil
            send(.nack(.init(sequence: relays[place].askerSequence, from: identity)), to: relays[place].asker, &output)
        }
        relays.removeAll { now >= $0.until }
    }
}
