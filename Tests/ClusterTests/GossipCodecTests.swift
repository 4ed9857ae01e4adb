import NIOCore
import Primitives
import SWIM
import Storage
import Testing
import Wire

@testable import Cluster

/// SWIM's messages on the wire: what the core believes of their sizes holds, and nothing of them is lost.
struct GossipCodecTests {
    private static let mark = GossipCodec.mark(of: UUIDv7(high: 1, low: 0xFEED))

    private func name(_ generator: inout SeededGenerator) -> NodeID {
        let count = Int.random(in: 1...63, using: &generator)
        return (try? NodeID(String(repeating: "n", count: count))) ?? .unnamed
    }

    private func identity(_ generator: inout SeededGenerator) -> MemberIdentity {
        MemberIdentity(node: name(&generator), epoch: .random(in: 0...MemberIdentity.highestEpoch, using: &generator))
    }

    private func incarnation(_ generator: inout SeededGenerator) -> Incarnation {
        Incarnation(UInt64(UInt32.random(in: 0...UInt32.max, using: &generator)))
    }

    private func metadata(_ generator: inout SeededGenerator) -> MemberMetadata {
        var metadata = MemberMetadata(gossip: "127.0.0.1:7946", rpc: "[::1]:9000")
        metadata.version = incarnation(&generator)
        if Bool.random(using: &generator) { metadata.http = "http://127.0.0.1:8080" }
        metadata.roles = ["coordinator", "worker"].filter { _ in Bool.random(using: &generator) }
        metadata.labels = (0..<Int.random(in: 0...5, using: &generator)).map { .init(name: "zone\($0)", value: $0 == 0 ? "" : "a=b") }
        metadata.slots = .random(in: 0...UInt32.max, using: &generator)
        (metadata.lowestProtocol, metadata.highestProtocol, metadata.featureLevel) = (0x100, 0x101, 7)
        metadata.software = "distric 0.1.0"
        return metadata
    }

    private func rumour(_ generator: inout SeededGenerator) -> Rumour {
        let liveness = Liveness.allCases.randomElement(using: &generator) ?? .alive
        return Rumour(
            identity(&generator), incarnation: incarnation(&generator), liveness,
            accuser: Bool.random(using: &generator) ? name(&generator) : nil,
            metadata: Bool.random(using: &generator) ? metadata(&generator) : nil)
    }

    private func messages(_ generator: inout SeededGenerator) -> [SWIMMessage] {
        let news = (0..<Int.random(in: 0...4, using: &generator)).map { _ in rumour(&generator) }
        let (from, target) = (identity(&generator), identity(&generator))
        let sequence = UInt64.random(in: 0...UInt64.max, using: &generator)
        return [
            .ping(
                .init(
                    sequence: sequence, from: from, incarnation: incarnation(&generator), target: target, known: incarnation(&generator),
                    news: news)),
            .ack(
                .init(
                    sequence: sequence, from: from, incarnation: incarnation(&generator), isBehind: Bool.random(using: &generator),
                    news: news)),
            .pingReq(.init(sequence: sequence, from: from, target: target, address: "127.0.0.1:7946", news: news)),
            .nack(.init(sequence: sequence, from: from)), .membershipUpdate(.init(from: from, news: news)),
        ]
    }

    @Test func `what is written is read again, and takes no more than the core believes`() throws {
        for seed in UInt64(1)...300 {
            var generator = SeededGenerator(seed: seed)
            for message in messages(&generator) {
                let frame = GossipCodec.frame(message, mark: Self.mark)
                #expect(frame.readableBytes <= FrameHeader.bytes + message.estimatedBytes, "seed \(seed): \(message)")
                var decoder = FrameDecoder()
                decoder.append(frame)
                let next = try decoder.next()
                let read = try #require(next)
                #expect(read.header.id == Self.mark)
                #expect(try GossipCodec.read(read) == message, "seed \(seed)")
            }
            let exchange = SWIMMessage.PushPull(from: identity(&generator), members: [rumour(&generator)], isJoin: true)
            #expect(GossipCodec.wire(exchange).gossip == exchange, "seed \(seed)")
        }
    }

    @Test func `messages without epochs are none of gossip`() throws {
        let ping = Wire.Ping(sequence: 1, from: try node("n-1"), target: try node("n-2"))
        var decoder = FrameDecoder()
        decoder.append(ping.frame())
        let next = try decoder.next()
        #expect(try GossipCodec.read(try #require(next)) == nil)
        #expect(Wire.PushPull().gossip == nil)
    }

    @Test func `a cluster that was begun again has another mark`() {
        let cluster = UUIDv7(high: 1, low: 2)
        #expect(GossipCodec.mark(of: cluster) == 2)
        #expect(GossipCodec.mark(of: cluster, epoch: 2) != GossipCodec.mark(of: cluster))
        #expect(GossipCodec.mark(of: UUIDv7(high: 1, low: 0), epoch: 0) == UInt64.max)
    }

    @Test func `the file of the last start is read as far as it can be`() throws {
        let (folder, disk) = (try TemporaryFolder(), FileDisk())
        let path = folder.path + "/gossip"
        #expect(try GossipFile.read(path, disk: disk) == GossipFile())
        let file = GossipFile(epoch: 7, peers: ["127.0.0.1:9000", "c-2.example.org:9000"])
        try file.write(path, disk: disk)
        #expect(try GossipFile.read(path, disk: disk) == file)
        try disk.replace(path, with: Array("epoch x\npeer\n\u{0}\u{0}\npeer a b\nepoch 9\npeer 127.0.0.1:1\nepoch".utf8) + [0xFF])
        #expect(try GossipFile.read(path, disk: disk) == GossipFile(epoch: 9, peers: ["127.0.0.1:1"]))
    }
}
