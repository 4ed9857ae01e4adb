import Primitives

// What is done with what others say of a member (SWIM sections 3.2, 4.2). Beliefs only rise in precedence, so that it does not matter in which order news comes.
extension SWIMCore {
    /// How news came: whoever exchanges views may have been apart from the others for long.
    enum Source: Equatable { case gossip, exchange(with: NodeID) }

    mutating func hear(_ news: [Rumour], _ now: Instant, _ output: inout SWIMOutput) {
        for rumour in news { hear(rumour, from: .gossip, now, &output) }
    }

    mutating func hear(_ rumour: Rumour, from source: Source, _ now: Instant, _ output: inout SWIMOutput) {
        guard rumour.isWellFormed else {
            counts.malformed += 1
            return
        }
        guard rumour.identity.node != node else { return hearOfSelf(rumour, now, &output) }
        guard let slot = table.slot(of: rumour.identity.node) else { return meet(rumour, now, &output) }
        var rumour = rumour
        if case .exchange(let partner) = source, rumour.liveness == .dead, table[slot].isLiving {
            // The two may have been parted: whoever is called dead gets the time to refute it.
            (rumour.liveness, rumour.accuser) = (.suspect, partner)
        }
        let isUpdated = learn(rumour, of: slot)
        let known = table[slot].precedence
        if rumour.precedence > known {
            rise(slot, to: rumour, isUpdated: isUpdated, now, &output)
        } else if rumour.precedence == known, rumour.liveness == .suspect, let accuser = rumour.accuser {
            suspect(slot, by: accuser, now, &output)
        } else if isUpdated {
            output.changes.append(.updated(rumour.identity))
        }
    }

    /// Takes what a member says of itself where that is newer; whether it says something else.
    private mutating func learn(_ rumour: Rumour, of slot: Int) -> Bool {
        guard let metadata = rumour.metadata else { return false }
        let known = table[slot]
        guard (rumour.identity.epoch, metadata.version) > (known.metadataEpoch, known.metadata.version) else { return false }
        (table[slot].metadata, table[slot].metadataEpoch) = (metadata, rumour.identity.epoch)
        return metadata.differs(from: known.metadata)
    }

    private mutating func rise(_ slot: Int, to rumour: Rumour, isUpdated: Bool, _ now: Instant, _ output: inout SWIMOutput) {
        let former = table[slot]
        (table[slot].identity, table[slot].incarnation) = (rumour.identity, rumour.incarnation)
        switch rumour.liveness {
        case .alive:
            stand(slot, .alive, now)
            tell(slot, now)
            tellLife(of: former, as: slot, isUpdated: isUpdated, &output)
        case .suspect:
            // What was suspected of an earlier incarnation is refuted by there being this one.
            stand(slot, .alive, now)
            tellLife(of: former, as: slot, isUpdated: isUpdated, &output)
            suspect(slot, by: rumour.accuser ?? rumour.identity.node, now, &output)
        case .dead: fail(slot, accuser: rumour.accuser, suspectedBy: rumour.accuser.map { [$0] } ?? [], now, &output)
        case .left:
            stand(slot, .left, now)
            tell(slot, now)
            if former.standing != .left { output.changes.append(.left(rumour.identity)) }
        }
    }

    /// What it means that it lives under a higher incarnation or epoch than before.
    private mutating func tellLife(of former: Member, as slot: Int, isUpdated: Bool, _ output: inout SWIMOutput) {
        let identity = table[slot].identity
        if former.identity != identity { table[slot].contact = Member.Contact() }
        if !former.isLiving {
            output.changes.append(.joined(identity))
        } else if former.identity != identity {
            output.changes.append(.restarted(identity, formerEpoch: former.identity.epoch))
        } else {
            if former.suspicion != nil { output.changes.append(.refuted(identity)) }
            if isUpdated { output.changes.append(.updated(identity)) }
        }
    }

    // MARK: Changes of standing

    /// Of somebody who is alive, or whom others suspect too.
    mutating func suspect(_ slot: Int, by accuser: NodeID, _ now: Instant, _ output: inout SWIMOutput) {
        guard var suspicion = table[slot].suspicion else {
            // Who is left to confirm it: neither this member, nor the suspect, but whoever says so first.
            let wanted = min(settings.confirmations, max(0, table.living - 2))
            let began = Suspicion(by: accuser, lasting: settings.suspicion(among: table.living), wanted: wanted, now: now)
            stand(slot, .suspect(began), now)
            tell(slot, accuser: accuser, now)
            output.changes.append(.suspected(table[slot].identity, by: accuser))
            return
        }
        // Names that nobody knows would make it as short as one likes.
        guard table[accuser]?.isLiving == true, suspicion.confirm(by: accuser) else { return }
        stand(slot, .suspect(suspicion), table[slot].since)
        tell(slot, accuser: accuser, now)
        output.changes.append(.suspected(table[slot].identity, by: accuser))
    }

    mutating func expireSuspicions(_ now: Instant, _ output: inout SWIMOutput) {
        guard let due = suspicionDue, now >= due else { return }
        for slot in suspects {
            guard let suspicion = table[slot].suspicion, now >= suspicion.deadline else { continue }
            counts.failuresDetected += 1
            fail(slot, accuser: node, suspectedBy: suspicion.accusers, now, &output)
        }
    }

    private mutating func fail(
        _ slot: Int, accuser: NodeID?, suspectedBy: [NodeID], _ now: Instant, _ output: inout SWIMOutput
    ) {
        let wasLiving = table[slot].isLiving
        stand(slot, .dead, now)
        tell(slot, accuser: accuser, now)
        if wasLiving { output.changes.append(.failed(table[slot].identity, suspectedBy: suspectedBy)) }
    }

    /// The one place in which a standing changes: whatever depends on it follows.
    private mutating func stand(_ slot: Int, _ standing: Member.Standing, _ now: Instant) {
        let former = table[slot].standing
        table[slot].standing = standing
        table[slot].since = now
        let (wasLiving, isLiving) = (former.liveness.isLiving, standing.liveness.isLiving)
        if !wasLiving, isLiving { take(in: slot) }
        if wasLiving, !isLiving {
            schedule.remove(slot)
            listeners.remove(slot)
        }
        let (wasSuspect, isSuspect) = (former.liveness == .suspect, standing.liveness == .suspect)
        if wasSuspect, !isSuspect { suspects.removeAll { $0 == slot } }
        if isSuspect, !wasSuspect { suspects.append(slot) }
        if wasSuspect || isSuspect { findSuspicionDue() }
    }

    /// It is probed, and told of things.
    private mutating func take(in slot: Int) {
        schedule.insert(slot, using: &generator)
        listeners.insert(slot, using: &generator)
    }

    mutating func findSuspicionDue() {
        suspicionDue = nil
        for slot in suspects {
            guard let deadline = table[slot].suspicion?.deadline else { continue }
            suspicionDue = min(suspicionDue ?? deadline, deadline)
        }
    }

    // MARK: Coming and going

    /// Somebody who is not known.
    private mutating func meet(_ rumour: Rumour, _ now: Instant, _ output: inout SWIMOutput) {
        let node = rumour.identity.node
        guard !tombstones.cover(rumour.precedence, of: node) else { return }
        guard rumour.liveness.isLiving else { return bury(node, rumour.precedence, now) }
        // A suspect whom one cannot ask is nobody to wait for.
        guard let metadata = rumour.metadata else { return }
        guard makeRoom(now, &output) else {
            counts.membersRefused += 1
            return
        }
        tombstones.remove(node)
        let slot = table.insert(
            Member(
                identity: rumour.identity, incarnation: rumour.incarnation, standing: .alive, since: now, metadata: metadata,
                metadataEpoch: rumour.identity.epoch))
        take(in: slot)
        output.changes.append(.joined(rumour.identity))
        if rumour.liveness == .suspect { suspect(slot, by: rumour.accuser ?? node, now, &output) } else { tell(slot, now) }
    }

    private mutating func bury(_ node: NodeID, _ precedence: Precedence, _ now: Instant) {
        if tombstones.put(node, precedence, until: now.advanced(by: settings.tombstonesKept)) { counts.tombstonesDropped += 1 }
    }

    private mutating func makeRoom(_ now: Instant, _ output: inout SWIMOutput) -> Bool {
        guard table.count >= settings.memberLimit else { return true }
        guard table.living < table.count else { return false }
        var longest: Int?
        for slot in table.order where !table[slot].isLiving && slot != Self.own {
            if longest.map({ table[slot].since < table[$0].since }) ?? true { longest = slot }
        }
        guard let longest else { return false }
        counts.membersEvicted += 1
        forget(longest, now, &output)
        return true
    }

    /// It is shown no more; what is remembered of it keeps old news from raising it again.
    private mutating func forget(_ slot: Int, _ now: Instant, _ output: inout SWIMOutput) {
        let member = table[slot]
        bury(member.identity.node, member.precedence, now)
        dissemination.remove(slot)
        if probe?.slot == slot { probe = nil }
        table.remove(slot)
        output.changes.append(.forgotten(member.identity))
    }

    var reapInterval: Duration { min(.seconds(60), settings.deadKept / 4, settings.leftKept / 4) }

    mutating func reap(_ now: Instant, _ output: inout SWIMOutput) {
        guard now >= reapDue else { return }
        reapDue = now.advanced(by: reapInterval)
        tombstones.expire(now)
        for slot in table.order where slot != Self.own && !table[slot].isLiving {
            let kept = table[slot].standing == .left ? settings.leftKept : settings.deadKept
            if now.duration(since: table[slot].since) >= kept { forget(slot, now, &output) }
        }
    }
}
