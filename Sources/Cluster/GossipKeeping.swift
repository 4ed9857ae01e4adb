import NIOCore
import Observability
import Primitives
import SWIM
import Storage
import Synchronization
import Transport
import Wire

/// What a member keeps for its next start.
extension GossipDriver {
    /// Writes down what changed. Where others were is a hint: that it cannot be kept is no reason to stop.
    func save() {
        let others = view.current.members.filter { !$0.isSelf && $0.liveness.isLiving }
        // Coordinators first: they are there for longer.
        let peers =
            others.filter { $0.metadata.roles.contains("coordinator") } + others.filter { !$0.metadata.roles.contains("coordinator") }
        let (file, isNew) = kept.withLock { kept in
            // With nobody in sight those of before are the ones to look for.
            if !peers.isEmpty { kept.now.peers = peers.prefix(GossipFile.peerLimit).map(\.metadata.rpc) }
            return (kept.now, kept.now != kept.written)
        }
        guard isNew else { return }
        do throws(StorageError) {
            try file.write(around.path, disk: around.disk)
            kept.withLock { $0.written = file }
        } catch {
            around.telemetry.warn("gossip", "where the others are could not be written down: \(error)")
        }
    }
}

/// Exchanges are sealed as datagrams are, so that whoever has no key of the cluster is told nothing, and believed nothing.
extension GossipDriver {
    func sealed(_ message: SWIMMessage.PushPull) throws(CallError) -> Wire.PushPull {
        let plain = GossipCodec.wire(message)
        guard let ring = around.ring else { return plain }
        guard let sealed = ring.seal(plain.frame()) else { throw CallError(.internal, "an exchange could not be sealed") }
        var outer = Wire.PushPull()
        (outer.from, outer.sealed) = (plain.from, Array(sealed.readableBytesView))
        return outer
    }

    func opened(_ message: Wire.PushPull) throws(CallError) -> SWIMMessage.PushPull {
        switch (around.ring, message.sealed) {
        case (nil, nil):
            guard let plain = message.gossip else { throw CallError(.invalid, "an exchange without an epoch") }
            return plain
        case (nil, .some):
            throw refused("'\(message.from)' gossips under a key, and '\(around.node)' has none: give all nodes the same gossip.key_file")
        case (.some, nil):
            throw refused("'\(around.node)' gossips under a key, and '\(message.from)' has none: give all nodes the same gossip.key_file")
        case (let ring?, let sealed?):
            guard let frame = ring.open(ByteBuffer(bytes: sealed)) else {
                throw refused(
                    "what '\(message.from)' sends is sealed with no key that '\(around.node)' has: give all nodes the same gossip.key_file")
            }
            return try Self.plain(frame, of: message.from)
        }
    }

    private func refused(_ text: String) -> CallError {
        metrics.drop(.key)
        return CallError(.denied, text)
    }

    private static func plain(_ frame: ByteBuffer, of sender: NodeID) throws(CallError) -> SWIMMessage.PushPull {
        var decoder = FrameDecoder()
        decoder.append(frame)
        let found: SWIMMessage.PushPull?
        do throws(WireError) {
            let frame = try decoder.next()
            found = try frame.flatMap { frame throws(WireError) in
                frame.header.type == .pushPull ? try Wire.PushPull.decode(frame.payload).gossip : nil
            }
        } catch {
            throw CallError(.invalid, "a sealed exchange that cannot be read: \(error)")
        }
        guard let found, found.from.node == sender else { throw CallError(.invalid, "a sealed exchange that holds something else") }
        return found
    }
}
