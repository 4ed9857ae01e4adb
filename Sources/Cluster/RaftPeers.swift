import NIOCore
import Observability
import Primitives
import Raft
import Storage
import Synchronization
import Transport
import Wire

/// The links to the other servers of a group. Heartbeats and votes have one of their own, so that they wait behind no entries and no snapshot. Confined to the
/// loop, but for `isConnected`.
final class RaftPeers: @unchecked Sendable {
    private struct Links {
        var control: PeerChannel
        var log: PeerChannel
    }

    private let node: NodeID
    private let network: RaftDriver.Network
    private let chunkBytes: Int
    private let limit: Int
    private let telemetry: Telemetry
    private var links: [NodeID: Links] = [:]
    weak var driver: RaftDriver?
    private let connected = Mutex<Set<NodeID>>([])
    /// Chunks of snapshots are read here, so that nothing else waits for them.
    private let reads = Mailbox<(message: RaftMessage.SnapshotChunk, to: NodeID)>(limit: 1024)
    private let reader = Mutex<NamedThread?>(nil)
    private var isClosed = false

    init(node: NodeID, network: RaftDriver.Network, chunkBytes: Int, limit: Int, telemetry: Telemetry) {
        for link in ["control", "log"] { _ = PeerMetrics(telemetry.metrics, link: link) }
        (self.node, self.network, self.chunkBytes, self.limit, self.telemetry) = (node, network, chunkBytes, limit, telemetry)
    }

    func isConnected(_ peer: NodeID) -> Bool { connected.withLock { $0.contains(peer) } }

    // MARK: Who is linked

    func follow(_ members: [NodeID]) {
        guard !isClosed else { return }
        for member in members where member != node {
            guard let address = network.directory.facts(member)?.address else { continue }
            if let known = links[member] {
                known.control.setAddress(address)
                known.log.setAddress(address)
            } else {
                _ = open(member, address)
            }
        }
        for gone in links.keys.sorted() where !members.contains(gone) {
            let old = links.removeValue(forKey: gone)
            old?.control.close()
            old?.log.close()
            _ = connected.withLock { $0.remove(gone) }
        }
    }

    private func open(_ member: NodeID, _ address: PeerAddress) -> Links {
        let made = Links(control: channel(member, address, "control", 1 << 20), log: channel(member, address, "log", limit))
        links[member] = made
        made.control.start()
        made.log.start()
        return made
    }

    /// Who is answered need not be known as a member yet: a newcomer has an empty log. The first answers are lost, and asked for again.
    private func linked(_ peer: NodeID) -> Links? {
        if let known = links[peer] { return known }
        guard !isClosed, peer != node, let address = network.directory.facts(peer)?.address else { return nil }
        return open(peer, address)
    }

    private func channel(_ peer: NodeID, _ address: PeerAddress, _ label: String, _ limit: Int) -> PeerChannel {
        let isControl = label == "control"
        return PeerChannel(
            node: peer, address: address, loop: network.loop, hello: network.hello, tls: network.tls, faults: network.faults,
            telemetry: telemetry, label: label, bufferLimit: limit,
            events: .init(
                opened: { [weak self] found in
                    guard let self else { return }
                    network.directory.heard(found.hello)
                    if isControl { _ = connected.withLock { $0.insert(peer) } }
                },
                closed: { [weak self] wasOpen, _ in
                    guard let self, wasOpen else { return }
                    driver?.handle(.unreachable(peer))
                    guard isControl else { return }
                    _ = connected.withLock { $0.remove(peer) }
                    // If it led, its process has most likely ended.
                    driver?.handle(.disconnected(peer))
                }, received: { _ in }))
    }

    func closeAll() {
        isClosed = true
        for pair in links.values {
            pair.control.close()
            pair.log.close()
        }
        links = [:]
        reads.close()
    }

    // MARK: Sending

    func send(_ messages: [RaftOutput.Outgoing]) {
        var full: [NodeID] = []
        for outgoing in messages {
            guard let pair = linked(outgoing.to) else { continue }
            switch outgoing.message {
            case .installSnapshot(let chunk) where chunk.data.isEmpty: read(chunk, outgoing.to)
            case .append(let append) where !append.entries.isEmpty:
                if !put(outgoing.message, pair.log), pair.log.isOpen, !full.contains(outgoing.to) { full.append(outgoing.to) }
            default: put(outgoing.message, pair.control)
            }
        }
        for pair in links.values {
            pair.control.flush()
            pair.log.flush()
        }
        // What was dropped counts as lost at once, and not when nothing of it is answered.
        for peer in full { driver?.handle(.unreachable(peer)) }
    }

    @discardableResult
    private func put(_ message: RaftMessage, _ channel: PeerChannel) -> Bool {
        channel.send { RaftCodec.encode(message, from: node, chunkBytes: chunkBytes, into: &$0) }
    }

    // MARK: Snapshots

    private func read(_ chunk: RaftMessage.SnapshotChunk, _ peer: NodeID) {
        reader.withLock { thread in
            if thread == nil {
                thread = NamedThread("raft-snapshots") { [weak self, reads] in Self.read(reads) { self?.read($0, for: $1) } }
            }
        }
        // What finds no place is asked for again.
        _ = reads.put((chunk, peer))
    }

    private static func read(
        _ reads: Mailbox<(message: RaftMessage.SnapshotChunk, to: NodeID)>, _ body: (RaftMessage.SnapshotChunk, NodeID) -> Void
    ) {
        while let wanted = reads.take(timeout: nil) {
            for item in wanted { body(item.message, item.to) }
        }
    }

    /// On the reader's thread.
    private func read(_ chunk: RaftMessage.SnapshotChunk, for peer: NodeID) {
        guard let driver, let storage = driver.running.withLock({ $0?.storage }) else { return }
        do throws(StorageError) {
            var message = chunk
            message.data = try storage.chunk(chunk.chunk, of: chunk.snapshot)
            let whole = message
            network.loop.execute { [self] in
                guard let log = links[peer]?.log else { return }
                put(.installSnapshot(whole), log)
                log.flush()
            }
        } catch {
            telemetry.events.emit(
                "raft.snapshot_unreadable", subject: node.text, severity: .warning,
                "the snapshot at entry \(chunk.snapshot.index) cannot be sent: \(error)")
            driver.handle(.snapshotUnreadable(chunk.snapshot))
        }
    }
}
