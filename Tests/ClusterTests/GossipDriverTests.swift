import NIOCore
import NIOPosix
import Observability
import Primitives
import SWIM
import Storage
import Testing
import Transport
import Wire

@testable import Cluster

/// Members that gossip over real sockets: design, "SWIM", and issue 7.
struct GossipDriverTests {
    @Test func `all meet through one seed, and know what each is`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(4)
            let last = all[3].driver.view.current
            let first = try #require(last[all[0].id])
            #expect(first.metadata.rpc == all[0].rpc && first.metadata.gossip == all[0].gossip && first.metadata.roles == ["coordinator"])
            #expect(last.coordinators.map(\.identity.node.text).sorted() == ["n-1", "n-2", "n-3"])
            #expect(await eventually { all.allSatisfy { $0.count("distric_gossip_probes_total") > 0 } })
            #expect(await eventually { all[0].driver.view.current.members.contains { !$0.isSelf && $0.contact.roundTrip != nil } })
            #expect(all[0].count("distric_gossip_members", ["state": "alive"]) == 4)
            #expect(all[0].events("joined").map(\.subject).sorted() == ["n-2", "n-3", "n-4"])
        }
    }

    @Test func `one that is killed is suspected, and then counts as dead everywhere`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(4)
            let rest = Array(all.dropLast())
            let found = Kept<MemberChange>()
            all[0].driver.watch { found.add($0) }
            await all[3].crash()
            #expect(await eventually { rest.allSatisfy { $0.state(of: "n-4") == .dead } }, "\(rest.map { $0.state(of: "n-4") })")
            #expect(rest.allSatisfy { $0.living == ["n-1", "n-2", "n-3"] })
            #expect(rest.allSatisfy { $0.events("failed").map(\.subject) == ["n-4"] })
            #expect(found.all.contains { if case .failed(let member, _) = $0 { member.node.text == "n-4" } else { false } })
            #expect(rest.contains { $0.count("distric_gossip_failure_detections_total") > 0 })
        }
    }

    @Test func `one that leaves is no death, and others hear of it at once`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(3)
            await all[2].leave()
            #expect(await eventually { all[0].state(of: "n-3") == .left && all[1].state(of: "n-3") == .left })
            #expect(all[0].events("failed").isEmpty && all[1].events("failed").isEmpty)
            // A second farewell is nothing.
            await all[2].driver.leave()
        }
    }

    @Test func `one that comes back is another process, also when its clock went back`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(3)
            let epoch = all[2].driver.epoch
            await all[2].crash()
            let again = try await stage.start("n-3", seeds: [], startedAt: 5)
            #expect(again.driver.epoch == epoch + 1)
            #expect(await eventually { all[0].driver.view.current[again.id]?.identity.epoch == epoch + 1 }, "found by what it had kept")
            #expect(await eventually { again.living == ["n-1", "n-2", "n-3"] && all[0].living == again.living })
        }
    }

    @Test func `one that lost its folder and whose clock went back rises above what is said of it`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(3)
            let epoch = all[2].driver.epoch
            let renewed = Kept<UInt64>()
            await all[2].crash()
            let again = try await stage.start("n-3", seeds: [all[0].rpc], startedAt: 5, home: "elsewhere")
            again.driver.whenRenewed { renewed.add($0) }
            #expect(await eventually { again.driver.epoch > epoch })
            #expect(await eventually { all[0].state(of: "n-3") == .alive && again.living == ["n-1", "n-2", "n-3"] })
            #expect(all[0].driver.view.current[again.id]?.identity.epoch == again.driver.epoch)
        }
    }

    @Test func `two processes with one id: both are told of the other, and the later one stands`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(2)
            let twin = try await stage.start("n-2", seeds: [all[0].rpc], home: "elsewhere")
            #expect(await eventually { all[1].events("conflict").contains { $0.text.contains(twin.gossip) } })
            let told = try #require(all[1].events("conflict").first).text
            #expect(told.contains(all[1].gossip) && told.contains("give it another id"), "\(told)")
            #expect(all[1].telemetry.health.all.contains { $0.name == "gossip" && $0.status == .down })
            #expect(await eventually { all[0].driver.view.current[twin.id]?.identity.epoch == twin.driver.epoch })
        }
    }

    @Test func `another cluster's nodes are not heard, over connections and in datagrams`() async throws {
        try await withGossip { stage in
            let here = try await stage.start("n-1")
            let other = try await stage.start("n-2", in: 2, seeds: [here.rpc])
            #expect(await eventually { !other.events("refused").isEmpty })
            #expect(other.events("refused").allSatisfy { $0.text.contains("cluster") })
            let stray = GossipCodec.frame(
                .membershipUpdate(.init(from: MemberIdentity(node: other.id, epoch: 9), news: [])),
                mark: GossipCodec.mark(of: cluster(2)))
            try await send([stray], to: here)
            #expect(await eventually { here.count("distric_gossip_dropped_total", ["reason": "cluster"]) == 1 })
            #expect(here.living == ["n-1"] && other.living == ["n-2"])
        }
    }

    @Test func `with a key, who has another or none is told nothing and believed nothing`() async throws {
        try await withGossip { stage in
            func ring(_ byte: UInt8) throws -> KeyRing { KeyRing(try KeyRing.Key(id: 1, bytes: [UInt8](repeating: byte, count: 32))) }
            let first = try await stage.start("n-1", ring: try ring(7))
            let second = try await stage.start("n-2", seeds: [first.rpc], ring: try ring(7))
            #expect(await eventually { first.living == ["n-1", "n-2"] && second.living == ["n-1", "n-2"] })
            let wrong = try await stage.start("n-3", seeds: [first.rpc], ring: try ring(8))
            let none = try await stage.start("n-4", seeds: [first.rpc])
            #expect(await eventually { !wrong.events("refused").isEmpty && !none.events("refused").isEmpty })
            #expect(wrong.events("refused").allSatisfy { $0.text.contains("gossip.key_file") })
            #expect(first.living == ["n-1", "n-2"] && wrong.living == ["n-3"] && none.living == ["n-4"])
            #expect(first.count("distric_gossip_dropped_total", ["reason": "key"]) >= 2)
            try await send(
                [GossipCodec.frame(.nack(.init(sequence: 1, from: MemberIdentity(node: none.id, epoch: 1))), mark: 1)], to: first)
            #expect(await eventually { first.count("distric_datagrams_dropped_total", ["reason": "not_sealed"]) == 1 })
        }
    }

    @Test func `a seed whose name leads nowhere is told of once, and asked for again`() async throws {
        try await withGossip { stage in
            let first = try await stage.start("n-1")
            let second = try await stage.start("n-2", seeds: ["nobody.invalid:9000", first.rpc])
            #expect(await eventually { second.living == ["n-1", "n-2"] })
            #expect(await eventually { second.count("distric_gossip_exchange_failures_total") >= 2 })
            #expect(second.events("seed_unresolved").count == 1)
            #expect(second.events("seed_unresolved")[0].text.contains("nobody.invalid:9000"))
        }
    }

    @Test func `a member may say a name where it takes datagrams, and one that leads nowhere leaves it its connections`() async throws {
        try await withGossip { stage in
            let first = try await stage.start("n-1")
            let named = try await stage.start("n-2", seeds: [first.rpc], place: "localhost")
            #expect(await eventually { first.driver.view.current[named.id]?.contact.roundTrip != nil })
            let nowhere = try await stage.start("n-3", seeds: [first.rpc], place: "nobody.invalid")
            #expect(await eventually { first.driver.view.current[nowhere.id]?.contact.hasLostDatagrams == true })
            #expect(first.state(of: "n-3") == .alive && first.count("distric_gossip_dropped_total", ["reason": "unresolved"]) > 0)
        }
    }

    @Test func `garbage on its port changes nothing, and is counted`() async throws {
        try await withGossip { stage in
            let all = try await stage.start(3)
            var generator = SeededGenerator(seed: 20_261_130)
            let mark = GossipCodec.mark(of: cluster(1))
            var sent: [ByteBuffer] = []
            for number in 0..<400 {
                let news = [Rumour(MemberIdentity(node: all[1].id, epoch: 1), incarnation: .zero, .dead, accuser: all[2].id)]
                var frame = GossipCodec.frame(
                    .membershipUpdate(.init(from: MemberIdentity(node: all[1].id, epoch: 1), news: news)), mark: mark)
                switch number % 4 {
                case 0:
                    frame = ByteBuffer(
                        bytes: (0..<Int.random(in: 0...1400, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) })
                case 1:
                    frame.setInteger(
                        UInt8.random(in: 0...255, using: &generator), at: Int.random(in: 0..<frame.readableBytes, using: &generator))
                case 2: frame = frame.getSlice(at: 0, length: Int.random(in: 0..<frame.readableBytes, using: &generator)) ?? frame
                // A whole frame with a payload of chance.
                default:
                    let bytes = (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                    let types: [MessageType] = [.ping, .ack, .pingRequest, .nack, .membershipUpdate, .pushPull, .requestVote]
                    var made = ByteBuffer()
                    FrameEncoder.frame(
                        FrameHeader(type: types[number / 4 % types.count], id: mark), payload: ByteBuffer(bytes: bytes), into: &made)
                    frame = made
                }
                sent.append(frame)
            }
            try await send(sent, to: all[0])
            #expect(await eventually { all[0].count("distric_gossip_dropped_total", ["reason": "malformed"]) > 0 })
            #expect(await eventually { all[0].count("distric_gossip_dropped_total", ["reason": "type"]) > 0 })
            let probes = all[0].count("distric_gossip_probes_total")
            #expect(await eventually { all[0].count("distric_gossip_probes_total") > probes + 2 })
            #expect(all.allSatisfy { $0.living == ["n-1", "n-2", "n-3"] })
        }
    }

    @Test func `calls that make no sense are refused`() async throws {
        try await withGossip { stage in
            let member = try await stage.start("n-1")
            var call = Wire.PushPull()
            call.from = try node("n-9")
            let stranger = try hello("n-8", at: nil) { $0.cluster = cluster(1) }
            await #expect(throws: CallError.self) { try await member.driver.answer(call, from: stranger) }
            let other = try hello("n-9", at: nil) { $0.cluster = nil }
            await #expect(throws: CallError.self) { try await member.driver.answer(call, from: other) }
            let right = try hello("n-9", at: nil) { $0.cluster = cluster(1) }
            let failure = await #expect(throws: CallError.self) { try await member.driver.answer(call, from: right) }
            #expect(failure?.code == .invalid)
            call.sealed = [1, 2, 3]
            let sealed = await #expect(throws: CallError.self) { try await member.driver.answer(call, from: right) }
            #expect(sealed?.code == .denied && sealed?.message.contains("gossip.key_file") == true)
        }
    }

    @Test func `an address that another program has is said`() async throws {
        try await withGossip { stage in
            let first = try await stage.start("n-1")
            let second = try await stage.start("n-2", seeds: [first.rpc])
            let port = try #require(Int(first.gossip.split(separator: ":").last ?? ""))
            let failure = await #expect(throws: GossipDriver.Failure.self) {
                _ = try await second.driver.start(
                    host: "127.0.0.1", port: port, MemberMetadata(gossip: "", rpc: "127.0.0.1:1"), seed: 1)
            }
            #expect(failure?.description.contains("\(port)") == true)
            var long = MemberMetadata(gossip: "", rpc: "127.0.0.1:1")
            long.labels = (0..<64).map { .init(name: "label-\($0)", value: "value") }
            let tooLong = await #expect(throws: GossipDriver.Failure.self) {
                _ = try await second.driver.start(host: "127.0.0.1", port: 0, long, seed: 1)
            }
            #expect(tooLong?.description.contains("fewer or shorter labels") == true)
        }
    }

    private func send(_ frames: [ByteBuffer], to member: GossipMember) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let channel = try await DatagramBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        let parts = member.gossip.split(separator: ":")
        let target = try SocketAddress(ipAddress: String(parts[0]), port: Int(parts[1]) ?? 0)
        for frame in frames { try await channel.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: frame)) }
        try await channel.close()
        try await group.shutdownGracefully()
    }
}
