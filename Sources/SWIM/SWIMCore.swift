package import Primitives

/// One member's view of who is there, as a value: SWIM (Das, Gupta and Motivala 2002; sections are named where they are done) with gossip apart from probes, a ping over a
/// connection where datagrams fail, anti-entropy, and Lifeguard (Dadgar, Phillips and Currey 2017).
///
/// It has no clock, no chance of its own and no I/O: events come in with the time they come at, what is to be done goes out. What it believes is a hint: nothing that it
/// says makes anybody a member of a consensus group, or takes that away.
package struct SWIMCore: Sendable {
    package enum Event: Equatable, Sendable {
        /// Timers are looked at; the next one is due at `nextDeadline`.
        case tick
        /// A datagram, and the `host:port` it came from.
        case message(SWIMMessage, from: String)
        /// Somebody answered a `StreamPing`.
        case streamAck(sequence: UInt64, by: MemberIdentity)
        /// Somebody wants a push/pull: answered by `answers` with the same id.
        case pushPull(id: UInt64, SWIMMessage.PushPull)
        /// The answer to an `Exchange`.
        case exchanged(SWIMMessage.PushPull)
        /// Where calls to other members are taken, as far as anybody knows: those given by hand, and those saved.
        case join(seeds: [String])
        /// What this member says of itself from now on; the driver has checked it.
        case update(MemberMetadata)
        /// It is to leave: `hasLeft` says when others know.
        case leave
    }

    package enum Phase: Equatable, Sendable {
        case running
        /// Spreads that it leaves.
        case leaving(until: Instant)
        case left
        /// A later process of the same node stands for it, for as long as that lives.
        case superseded
    }

    package let node: NodeID
    package let settings: SWIMSettings
    package internal(set) var phase = Phase.running
    package internal(set) var localHealth: LocalHealth
    package internal(set) var counts = SWIMCounts()
    var generator: SeededGenerator

    var table = MemberTable()
    var tombstones: Tombstones
    var reapDue: Instant

    // Probing
    var schedule = RoundRobin()
    var probe: Probe?
    var probeDue: Instant
    var sequence: UInt64
    /// In the order of their times.
    var relays: [Relay] = []
    /// Members that are suspected, and when the first of them counts as dead.
    var suspects: [Int] = []
    var suspicionDue: Instant?

    // Dissemination
    var dissemination = Dissemination()
    var listeners = RoundRobin()
    /// Nil while there is nothing to tell.
    var gossipDue: Instant?
    var lastGossip: Instant

    // Anti-entropy
    var seeds: [String] = []
    var exchangeDue: Instant
    var reconnectDue: Instant

    // Its own name
    var claim: NameClaim?
    /// Whoever stands for this process.
    var successor: Successor?
    /// An earlier process of this node that lives; the one that was told of last.
    var toldTwin: MemberIdentity?

    /// When something was to happen next as the last event ended.
    private var expected: Instant

    /// This node's own member.
    static let own = 0

    /// A member that knows nobody yet.
    ///
    /// - Parameters:
    ///   - identity: its epoch is above that of any earlier start.
    ///   - generator: seeded otherwise for each start.
    package init(
        identity: MemberIdentity, metadata: MemberMetadata, settings: SWIMSettings, generator: SeededGenerator, now: Instant
    ) throws(SWIMError) {
        try metadata.check()
        guard identity.epoch < MemberIdentity.highestEpoch else { throw .epochTooHigh(identity.epoch) }
        (node, self.settings, self.generator) = (identity.node, settings, generator)
        localHealth = LocalHealth(limit: settings.localHealthLimit)
        tombstones = Tombstones(limit: settings.tombstoneLimit)
        (probeDue, reapDue, exchangeDue, reconnectDue, lastGossip, expected) = (now, now, now, now, now, now)
        // What an earlier start asked is not to be answered to this one.
        sequence = self.generator.next() >> 2
        var own = metadata
        own.version = .zero
        let slot = table.insert(
            Member(
                identity: identity, incarnation: .zero, standing: .alive, since: now, metadata: own, metadataEpoch: identity.epoch))
        precondition(slot == Self.own, "this node is member \(slot)")
        lastGossip = Instant(nanoseconds: now.nanoseconds - settings.gossipInterval.nanoseconds)
        // Members that start together do not probe, or exchange, together.
        probeDue = now.advanced(by: fraction(of: settings.probeInterval))
        exchangeDue = now.advanced(by: fraction(of: settings.exchangeInterval))
        reconnectDue = now.advanced(by: settings.joinInterval)
        reapDue = now.advanced(by: reapInterval)
        expected = nextDeadline
    }

    // MARK: What it knows

    package var identity: MemberIdentity { table[Self.own].identity }
    package var incarnation: Incarnation { table[Self.own].incarnation }
    package var metadata: MemberMetadata { table[Self.own].metadata }

    /// All that are known, sorted by id; the dead as long as they are kept.
    package var members: [MemberView] { table.order.map { MemberView(table[$0], isSelf: $0 == Self.own) } }

    package func member(_ node: NodeID) -> MemberView? {
        table.slot(of: node).map { MemberView(table[$0], isSelf: $0 == Self.own) }
    }

    package var memberCount: Int { table.count }
    /// Alive or suspect, this one included.
    package var livingCount: Int { table.living }
    /// Pieces of news that are still to be told: one for each member at most.
    package var pendingNews: Int { dissemination.pieces.count }

    // MARK: Events

    package mutating func handle(_ event: Event, now: Instant, into output: inout SWIMOutput) {
        guard isTakingPart else {
            decline(event, &output)
            watchSuccessor(event, now, &output)
            expected = max(now, nextDeadline)
            return
        }
        let late = now.duration(since: expected)
        if late > settings.stallTolerance { stoodStill(for: late, now) }
        switch event {
        case .tick: tick(now, &output)
        case .message(let message, let address): receive(message, from: address, now, &output)
        case .streamAck(let sequence, let identity): streamAck(sequence, by: identity, now, &output)
        case .pushPull(let id, let message): answer(id, message, now, &output)
        case .exchanged(let message): exchanged(message, now, &output)
        case .join(let seeds): join(seeds, now, &output)
        case .update(let metadata): update(metadata, now, &output)
        case .leave: leave(now, &output)
        }
        if !isTakingPart { stop() }
        expected = max(now, nextDeadline)
    }

    private var isTakingPart: Bool {
        switch phase {
        case .running, .leaving: true
        case .left, .superseded: false
        }
    }

    /// Whoever waits for an answer gets one that says nothing.
    private func decline(_ event: Event, _ output: inout SWIMOutput) {
        switch event {
        case .pushPull(let id, _): output.answers.append(.init(id: id, message: .init(from: identity, members: [])))
        case .leave: output.hasLeft = true
        case .tick, .message, .streamAck, .exchanged, .join, .update: return
        }
    }

    private mutating func stop() {
        (probe, claim, gossipDue) = (nil, nil, nil)
        relays.removeAll()
        dissemination.removeAll()
    }

    /// When the next `tick` is wanted: never again once it has left.
    package var nextDeadline: Instant {
        var deadline: Instant
        switch phase {
        case .running: deadline = min(probeDue, exchangeDue, reconnectDue, reapDue)
        case .leaving(let until): deadline = min(until, reapDue)
        case .superseded: return successor?.claim.due ?? Instant(nanoseconds: .max)
        case .left: return Instant(nanoseconds: .max)
        }
        if let due = probe?.helpDue { deadline = min(deadline, due) }
        if let due = gossipDue { deadline = min(deadline, due) }
        if let due = suspicionDue { deadline = min(deadline, due) }
        if let due = claim?.due { deadline = min(deadline, due) }
        if let due = nackDue ?? relays.first?.until { deadline = min(deadline, due) }
        return deadline
    }

    private mutating func tick(_ now: Instant, _ output: inout SWIMOutput) {
        claimTick(now, &output)
        expireSuspicions(now, &output)
        if case .running = phase { probeTick(now, &output) }
        relayTick(now, &output)
        gossipTick(now, &output)
        if case .running = phase { exchangeTick(now, &output) }
        reap(now, &output)
        leaveTick(now, &output)
    }

    private mutating func receive(_ message: SWIMMessage, from address: String, _ now: Instant, _ output: inout SWIMOutput) {
        guard message.from.epoch <= MemberIdentity.highestEpoch else {
            counts.malformed += 1
            return
        }
        guard message.from.node != node else { return hearOwnName(message, from: address, now, &output) }
        switch message {
        case .ping(let ping):
            guard ping.target.node == node else {
                counts.misdirected += 1
                return
            }
            hear(ping.news, now, &output)
            acknowledge(ping, at: address, &output)
        case .ack(let ack):
            hear(ack.news, now, &output)
            acked(ack, from: address, now, &output)
        case .pingReq(let request):
            hear(request.news, now, &output)
            relay(request, for: address, now, &output)
        case .nack(let nack): nacked(nack)
        case .membershipUpdate(let update): hear(update.news, now, &output)
        // Too much for datagrams: who sends it so keeps no rules.
        case .pushPull: counts.malformed += 1
        }
    }

    /// This process did nothing for a while, and must not blame others for what it did not hear.
    mutating func stoodStill(for duration: Duration, _ now: Instant) {
        counts.standstills += 1
        localHealth.note(.stoodStill)
        probe = nil
        probeDue = now
        relays.removeAll(keepingCapacity: true)
        for slot in suspects {
            guard var suspicion = table[slot].suspicion else { continue }
            suspicion.stoodStill(for: duration)
            table[slot].standing = .suspect(suspicion)
        }
        findSuspicionDue()
        claim?.due = now.advanced(by: settings.probeTimeout)
    }

    // MARK: Chance

    /// Somewhere in a duration.
    mutating func fraction(of duration: Duration) -> Duration {
        .nanoseconds(Int64.random(in: 0..<max(1, duration.nanoseconds), using: &generator))
    }

    /// So many of those for which `isCandidate` holds, in an order of chance; this member itself is none.
    mutating func pick(_ count: Int, where isCandidate: (Member) -> Bool) -> [Int] {
        guard count > 0 else { return [] }
        var candidates = table.order.filter { $0 != Self.own && isCandidate(table[$0]) }
        let picked = min(count, candidates.count)
        for place in 0..<picked { candidates.swapAt(place, .random(in: place..<candidates.count, using: &generator)) }
        return Array(candidates.prefix(picked))
    }
}
