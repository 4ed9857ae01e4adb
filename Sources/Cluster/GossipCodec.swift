package import NIOCore
package import Primitives
package import SWIM
package import Wire

/// SWIM's messages as frames, and back.
package enum GossipCodec {
    /// What a datagram bears in the place of its frame's id, so that those of another cluster are told apart before anything of them is read.
    ///
    /// - Parameter epoch: of the cluster; those who were left behind when it was begun again are another one.
    package static func mark(of cluster: UUIDv7, epoch: UInt64 = 1) -> UInt64 { cluster.low &+ epoch &- 1 }

    package static func frame(_ message: SWIMMessage, mark: UInt64) -> ByteBuffer {
        switch message {
        case .ping(let ping): wire(ping).frame(id: mark)
        case .ack(let ack): wire(ack).frame(id: mark)
        case .pingReq(let request): wire(request).frame(id: mark)
        case .nack(let nack): wire(nack).frame(id: mark)
        case .membershipUpdate(let update): wire(update).frame(id: mark)
        case .pushPull(let exchange): wire(exchange).frame(id: mark)
        }
    }

    /// Nil for a frame that is none of gossip.
    package static func read(_ frame: Frame) throws(WireError) -> SWIMMessage? {
        switch frame.header.type {
        case .ping: try Wire.Ping.decode(frame.payload).gossip.map { .ping($0) }
        case .ack: try Wire.Ack.decode(frame.payload).gossip.map { .ack($0) }
        case .pingRequest: try Wire.PingRequest.decode(frame.payload).gossip.map { .pingReq($0) }
        case .nack: try Wire.Nack.decode(frame.payload).gossip.map { .nack($0) }
        case .membershipUpdate: try Wire.MembershipUpdate.decode(frame.payload).gossip.map { .membershipUpdate($0) }
        default: nil
        }
    }

    // MARK: Writing

    private static func wire(_ ping: SWIMMessage.Ping) -> Wire.Ping {
        var message = Wire.Ping(sequence: ping.sequence, from: ping.from.node, target: ping.target.node, news: ping.news.map(wire))
        (message.epoch, message.incarnation) = (ping.from.epoch, wire(ping.incarnation))
        (message.targetEpoch, message.known) = (ping.target.epoch, wire(ping.known))
        return message
    }

    private static func wire(_ ack: SWIMMessage.Ack) -> Wire.Ack {
        var message = Wire.Ack(
            sequence: ack.sequence, from: ack.from.node, incarnation: wire(ack.incarnation), news: ack.news.map(wire))
        message.epoch = ack.from.epoch
        if ack.isBehind { message.isBehind = true }
        return message
    }

    private static func wire(_ request: SWIMMessage.PingReq) -> Wire.PingRequest {
        var message = Wire.PingRequest()
        (message.sequence, message.from, message.epoch) = (request.sequence, request.from.node, request.from.epoch)
        (message.target, message.targetEpoch, message.address) = (request.target.node, request.target.epoch, request.address)
        message.news = request.news.map(wire)
        return message
    }

    private static func wire(_ nack: SWIMMessage.Nack) -> Wire.Nack {
        var message = Wire.Nack()
        (message.sequence, message.from, message.epoch) = (nack.sequence, nack.from.node, nack.from.epoch)
        return message
    }

    private static func wire(_ update: SWIMMessage.MembershipUpdate) -> Wire.MembershipUpdate {
        var message = Wire.MembershipUpdate()
        (message.from, message.epoch, message.news) = (update.from.node, update.from.epoch, update.news.map(wire))
        return message
    }

    package static func wire(_ exchange: SWIMMessage.PushPull) -> Wire.PushPull {
        var message = Wire.PushPull()
        (message.from, message.epoch, message.isJoin) = (exchange.from.node, exchange.from.epoch, exchange.isJoin)
        message.members = exchange.members.map(wire)
        return message
    }

    private static func wire(_ rumour: Rumour) -> MemberNews {
        var news = MemberNews(
            node: rumour.identity.node, epoch: rumour.identity.epoch, incarnation: wire(rumour.incarnation), state: wire(rumour.liveness))
        news.accuser = rumour.accuser
        news.metadata = rumour.metadata.map(wire)
        return news
    }

    private static func wire(_ metadata: MemberMetadata) -> MemberFacts {
        var facts = MemberFacts()
        (facts.version, facts.gossip, facts.rpc, facts.http) = (wire(metadata.version), metadata.gossip, metadata.rpc, metadata.http)
        (facts.roles, facts.labels) = (metadata.roles, metadata.labels.map { "\($0.name)=\($0.value)" })
        (facts.slots, facts.featureLevel, facts.software) = (metadata.slots, metadata.featureLevel, metadata.software)
        facts.lowest = WireVersion(number: metadata.lowestProtocol)
        facts.highest = WireVersion(number: metadata.highestProtocol)
        return facts
    }

    /// None is higher than what there is room for.
    private static func wire(_ incarnation: Incarnation) -> UInt32 { UInt32(clamping: incarnation.number) }

    private static func wire(_ liveness: Liveness) -> MemberState {
        switch liveness {
        case .alive: .alive
        case .suspect: .suspect
        case .dead: .dead
        case .left: .left
        }
    }
}

// MARK: Reading

extension Wire.Ping {
    fileprivate var gossip: SWIMMessage.Ping? {
        guard let epoch, let target, let targetEpoch else { return nil }
        return SWIMMessage.Ping(
            sequence: sequence, from: MemberIdentity(node: from, epoch: epoch), incarnation: Incarnation(UInt64(incarnation ?? 0)),
            target: MemberIdentity(node: target, epoch: targetEpoch), known: Incarnation(UInt64(known ?? 0)), news: news.map(\.rumour))
    }
}

extension Wire.Ack {
    fileprivate var gossip: SWIMMessage.Ack? {
        guard let epoch else { return nil }
        return SWIMMessage.Ack(
            sequence: sequence, from: MemberIdentity(node: from, epoch: epoch), incarnation: Incarnation(UInt64(incarnation)),
            isBehind: isBehind ?? false, news: news.map(\.rumour))
    }
}

extension Wire.PingRequest {
    fileprivate var gossip: SWIMMessage.PingReq? {
        guard let epoch, let targetEpoch else { return nil }
        return SWIMMessage.PingReq(
            sequence: sequence, from: MemberIdentity(node: from, epoch: epoch), target: MemberIdentity(node: target, epoch: targetEpoch),
            address: address, news: news.map(\.rumour))
    }
}

extension Wire.Nack {
    fileprivate var gossip: SWIMMessage.Nack? {
        epoch.map { SWIMMessage.Nack(sequence: sequence, from: MemberIdentity(node: from, epoch: $0)) }
    }
}

extension Wire.MembershipUpdate {
    fileprivate var gossip: SWIMMessage.MembershipUpdate? {
        epoch.map { SWIMMessage.MembershipUpdate(from: MemberIdentity(node: from, epoch: $0), news: news.map(\.rumour)) }
    }
}

extension Wire.PushPull {
    /// Nil for one that only says who is where.
    package var gossip: SWIMMessage.PushPull? {
        epoch.map { SWIMMessage.PushPull(from: MemberIdentity(node: from, epoch: $0), members: members.map(\.rumour), isJoin: isJoin) }
    }
}

extension MemberNews {
    fileprivate var rumour: Rumour {
        Rumour(
            MemberIdentity(node: node, epoch: epoch), incarnation: Incarnation(UInt64(incarnation)), liveness, accuser: accuser,
            metadata: metadata.map(\.swim))
    }

    private var liveness: Liveness {
        switch state {
        case .alive: .alive
        case .suspect: .suspect
        case .dead: .dead
        case .left: .left
        }
    }
}

extension MemberFacts {
    fileprivate var swim: MemberMetadata {
        var metadata = MemberMetadata(gossip: gossip, rpc: rpc)
        (metadata.version, metadata.http, metadata.roles) = (Incarnation(UInt64(version)), http, roles)
        metadata.labels = labels.map { label in
            let halves = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return .init(name: String(halves[0]), value: halves.count == 2 ? String(halves[1]) : "")
        }
        (metadata.slots, metadata.featureLevel, metadata.software) = (slots, featureLevel, software)
        (metadata.lowestProtocol, metadata.highestProtocol) = (lowest.number, highest.number)
        return metadata
    }
}
