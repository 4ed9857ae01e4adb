import Primitives

@testable import SWIM

/// What must be true after every event (design 6, "SWIM invariants").
///
/// G14 (the view never changes Raft's membership by itself) holds by what the room is: it imports nothing but Primitives, and nothing leaves it but `SWIMOutput`, in which no
/// consensus is. Whoever acts on it proposes an entry.
struct GossipChecks {
    /// What one process was told to send, and how often.
    private struct Telling: Hashable {
        var place: Int
        var boot: Int
        var identity: MemberIdentity
        var incarnation: Incarnation
        var liveness: Liveness
        var accuser: NodeID?
    }

    /// Of each process, what it believed last. By place, then by node.
    private var beliefs: [[NodeID: Precedence]] = []
    /// The highest that any process of a node has had for itself.
    private var own: [NodeID: (epoch: UInt64, incarnation: Incarnation)] = [:]
    private var leaving: Set<MemberIdentity> = []
    private var tellings: [Telling: Int] = [:]
    private(set) var datagrams = 0
    private(set) var longest = 0

    mutating func began(_ place: Int, _ process: GossipWorld.Place) {
        while beliefs.count <= place { beliefs.append([:]) }
        beliefs[place] = [:]
        if let core = process.core { noteOwn(core) }
    }

    private mutating func noteOwn(_ core: SWIMCore) {
        let known = own[core.node] ?? (0, .zero)
        own[core.node] = max(known, (core.identity.epoch, core.incarnation), by: <)
        if case .leaving = core.phase { leaving.insert(core.identity) }
        if core.phase == .left { leaving.insert(core.identity) }
    }

    private func max<T>(_ one: T, _ other: T, by isLess: (T, T) -> Bool) -> T { isLess(one, other) ? other : one }

    mutating func check(_ place: Int, in world: GossipWorld, after event: SWIMCore.Event, _ output: SWIMOutput) throws {
        guard let core = world.places[place].core else { return }
        noteOwn(core)
        for slot in core.table.order {
            let member = core.table[slot]
            let node = member.identity.node
            let precedence = member.precedence
            if let before = beliefs[place][node], precedence < before {
                throw world.violation("G2", "\(core.node) believed \(node) \(before), then \(precedence)")
            }
            beliefs[place][node] = precedence
            guard let own = own[node], (precedence.epoch, precedence.incarnation) <= own else {
                throw world.violation("G1", "\(core.node) believes \(node) \(precedence), which that never was")
            }
            if precedence.liveness == .left, !leaving.contains(member.identity) {
                throw world.violation("G1", "\(core.node) believes that \(member.identity) left, which it did not say")
            }
        }
        try checkSent(place, in: world, core, answering: asked(in: event, of: core), output)
        try checkBounds(in: world, core)
    }

    /// Of which node news was asked for: that is told beside the count.
    private func asked(in event: SWIMCore.Event, of core: SWIMCore) -> NodeID? {
        guard case .message(let message, _) = event else { return nil }
        switch message {
        case .ping: return core.node
        case .ack(let ack): return ack.isBehind ? core.node : nil
        case .pingReq(let request): return request.target.node
        case .nack, .membershipUpdate, .pushPull: return nil
        }
    }

    private mutating func checkSent(
        _ place: Int, in world: GossipWorld, _ core: SWIMCore, answering asked: NodeID?, _ output: SWIMOutput
    ) throws {
        let settings = core.settings
        let limit = settings.retransmissions(among: world.places.count)
        for datagram in output.datagrams {
            let bytes = datagram.message.estimatedBytes + settings.envelopeBytes
            (datagrams, longest) = (datagrams + 1, Swift.max(longest, bytes))
            guard bytes <= settings.datagramBytes else { throw world.violation("G8", "\(core.node) sends \(bytes) bytes") }
            for rumour in datagram.message.news {
                if rumour.identity.node == asked { continue }
                // Whom it is about is told beside the count.
                guard datagram.address != core.table[rumour.identity.node]?.metadata.gossip, core.table[rumour.identity.node] != nil else {
                    continue
                }
                let telling = Telling(
                    place: place, boot: world.places[place].boot, identity: rumour.identity, incarnation: rumour.incarnation,
                    liveness: rumour.liveness, accuser: rumour.accuser)
                tellings[telling, default: 0] += 1
                if tellings[telling, default: 0] > limit {
                    throw world.violation(
                        "G6", "\(core.node) tells \(rumour.precedence) of \(rumour.identity.node) more than \(limit) times")
                }
            }
        }
    }

    private func checkBounds(in world: GossipWorld, _ core: SWIMCore) throws {
        guard core.pendingNews <= core.memberCount, core.memberCount <= core.settings.memberLimit,
            core.relays.count <= core.settings.relayLimit
        else { throw world.violation("bounds", "\(core.node) keeps \(core.pendingNews) pieces of news, \(core.relays.count) relays") }
    }
}
