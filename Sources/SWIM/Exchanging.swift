import Primitives

// Anti-entropy: two members tell each other all they know over a connection, so that views meet again whatever news was lost, and partitions end.
extension SWIMCore {
    mutating func exchangeTick(_ now: Instant, _ output: inout SWIMOutput) {
        if now >= exchangeDue {
            exchangeDue = now.advanced(by: settings.exchangeInterval(among: table.living))
            if let slot = pick(1, where: { $0.standing == .alive }).first { exchange(with: slot, &output) }
        }
        guard now >= reconnectDue else { return }
        reconnect(now, &output)
    }

    mutating func exchange(with slot: Int, _ output: inout SWIMOutput) {
        exchange(at: table[slot].metadata.rpc, target: table[slot].identity.node, &output)
    }

    private mutating func exchange(at address: String, target: NodeID?, _ output: inout SWIMOutput) {
        counts.exchanges += 1
        output.exchanges.append(.init(to: address, target: target, view(isJoin: isAlone)))
    }

    private var isAlone: Bool { table.living == 1 }

    private func view(isJoin: Bool) -> SWIMMessage.PushPull {
        SWIMMessage.PushPull(from: identity, members: table.order.map { wholeRumour($0) }, isJoin: isJoin)
    }

    private func wholeRumour(_ slot: Int) -> Rumour {
        let member = table[slot]
        return member.rumour(accuser: member.suspicion?.accusers.first, isWhole: true)
    }

    mutating func answer(_ id: UInt64, _ message: SWIMMessage.PushPull, _ now: Instant, _ output: inout SWIMOutput) {
        counts.exchangesAnswered += 1
        hearAll(of: message, now, &output)
        var answer = view(isJoin: false)
        // Who asks may be forgotten as dead under an epoch that it must rise above.
        if let known = tombstones[message.from.node], known.epoch >= message.from.epoch {
            let identity = MemberIdentity(node: message.from.node, epoch: known.epoch)
            answer.members.append(Rumour(identity, incarnation: known.incarnation, known.liveness))
        }
        output.answers.append(.init(id: id, message: answer))
    }

    mutating func exchanged(_ message: SWIMMessage.PushPull, _ now: Instant, _ output: inout SWIMOutput) {
        hearAll(of: message, now, &output)
    }

    private mutating func hearAll(of message: SWIMMessage.PushPull, _ now: Instant, _ output: inout SWIMOutput) {
        for rumour in message.members { hear(rumour, from: .exchange(with: message.from.node), now, &output) }
    }

    // MARK: Finding others

    mutating func join(_ seeds: [String], _ now: Instant, _ output: inout SWIMOutput) {
        self.seeds = Array(seeds.prefix(settings.seedLimit))
        guard phase == .running else { return }
        reconnect(now, &output)
    }

    /// One of those who are out of sight, or some while nobody is in sight: the dead may be on the other side of a partition, and a seed may be where nobody is known.
    private mutating func reconnect(_ now: Instant, _ output: inout SWIMOutput) {
        reconnectDue = now.advanced(by: isAlone ? settings.joinInterval : settings.reconnectInterval)
        var places: [(address: String, node: NodeID?)] = []
        var inSight: [String] = []
        for slot in table.order {
            let member = table[slot]
            switch member.standing {
            case .alive, .suspect: inSight.append(member.metadata.rpc)
            case .dead: places.append((member.metadata.rpc, member.identity.node))
            case .left: break
            }
        }
        for seed in seeds where !inSight.contains(seed) && !places.contains(where: { $0.address == seed }) { places.append((seed, nil)) }
        for place in 0..<min(places.count, isAlone ? settings.joinFanout : 1) {
            places.swapAt(place, .random(in: place..<places.count, using: &generator))
            exchange(at: places[place].address, target: places[place].node, &output)
        }
    }
}
