import Primitives

// SWIM section 4.1: news rides on pings and their answers, and goes round by itself between them, to some members each time, all in turn.
extension SWIMCore {
    /// There is news of a member.
    mutating func tell(_ slot: Int, accuser: NodeID? = nil, _ now: Instant) {
        guard settings.retransmitFactor > 0 else { return }
        let member = table[slot]
        let metadata = member.standing.liveness == .alive ? member.metadata : nil
        dissemination.put(
            slot, accuser: accuser, bytes: Rumour.estimatedBytes(member.identity, accuser: accuser, metadata: metadata))
        if gossipDue == nil { gossipDue = max(now, lastGossip.advanced(by: settings.gossipInterval)) }
    }

    /// What is to be told to a member, as far as it fits beside a message that has no news yet: first what is said of the member itself, if that is not that it is alive.
    mutating func news(for slot: Int?, beside message: SWIMMessage) -> [Rumour] {
        var budget = settings.messageBytes - message.estimatedBytes
        var news: [Rumour] = []
        var first: Int?
        if let slot, table[slot].standing != .alive {
            if dissemination.isTelling(of: slot) {
                first = slot
            } else {
                let rumour = table[slot].rumour(accuser: table[slot].suspicion?.accusers.first)
                budget -= rumour.estimatedBytes
                news.append(rumour)
            }
        }
        guard !dissemination.isEmpty else { return news }
        let limit = settings.retransmissions(among: table.living)
        dissemination.take(within: budget, first: first, limit: limit) { [table] piece in
            news.append(table[piece.slot].rumour(accuser: piece.accuser))
        }
        counts.rumoursSent += UInt64(news.count)
        return news
    }

    mutating func gossipTick(_ now: Instant, _ output: inout SWIMOutput) {
        guard let due = gossipDue, now >= due else { return }
        (lastGossip, gossipDue) = (now, nil)
        let targets = listeners.take(settings.gossipFanout, using: &generator)
        // Whoever comes gets all of it at once.
        if targets.isEmpty { dissemination.removeAll() }
        for target in targets where !dissemination.isEmpty {
            var update = SWIMMessage.MembershipUpdate(from: identity, news: [])
            update.news = news(for: target, beside: .membershipUpdate(update))
            if !update.news.isEmpty { send(.membershipUpdate(update), to: table[target].metadata.gossip, &output) }
        }
        if !dissemination.isEmpty { gossipDue = now.advanced(by: settings.gossipInterval) }
    }

    /// Who died lately is told so, by a few of the members each time: it may live, and refute it. Nothing else: who was parted from the others for a while must not call
    /// those dead that only it could not reach.
    mutating func tellTheDead(_ now: Instant, _ output: inout SWIMOutput) {
        guard table.living < table.count, Int.random(in: 0..<table.living, using: &generator) < settings.gossipFanout else { return }
        let recently = settings.gossipToDead
        guard let slot = pick(1, where: { $0.standing == .dead && now.duration(since: $0.since) < recently }).first else { return }
        let update = SWIMMessage.MembershipUpdate(from: identity, news: [table[slot].rumour(accuser: node)])
        send(.membershipUpdate(update), to: table[slot].metadata.gossip, &output)
    }

    func send(_ message: SWIMMessage, to address: String, _ output: inout SWIMOutput) {
        output.datagrams.append(.init(to: address, message))
    }
}
