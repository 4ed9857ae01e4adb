import Foundation
import NIOCore
import Observability
import Primitives
import Synchronization
import Testing
import Wire

@testable import Transport

/// A server and what connects to it by mistake or with bad intent (ServerConnection.swift).
@Suite(.timeLimit(.minutes(2)))
struct HostilePeersTests {
    /// What no peer that speaks the protocol says first.
    struct Nonsense: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let code: CallError.Code
        /// What the error says.
        let words: String

        init(_ name: String, _ bytes: [UInt8], _ code: CallError.Code, _ words: String) {
            (self.name, self.bytes, self.code, self.words) = (name, bytes, code, words)
        }

        var testDescription: String { name }
    }

    private static func bytes(_ frame: ByteBuffer) -> [UInt8] { Array(frame.readableBytesView) }

    private static func changed(_ bytes: [UInt8], at place: Int, to new: [UInt8]) -> [UInt8] {
        var bytes = bytes
        bytes.replaceSubrange(place..<place + new.count, with: new)
        return bytes
    }

    private static func framed(_ type: MessageType, _ payload: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        FrameEncoder.frame(FrameHeader(type: type), payload: ByteBuffer(bytes: payload), into: &buffer)
        return bytes(buffer)
    }

    private static func spoken(_ lowest: UInt8, _ highest: UInt8) -> [UInt8] {
        var hello = Hello()
        hello.lowest = WireVersion(major: lowest, minor: 0)
        hello.highest = WireVersion(major: highest, minor: 0)
        return bytes(hello.frame())
    }

    static let nonsense: [Nonsense] = [
        Nonsense("HTTP", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), .protocolViolation, "not with 'DIST'"),
        Nonsense("TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03], .protocolViolation, "not with 'DIST'"),
        Nonsense("four bytes", Array("XXXX".utf8), .protocolViolation, "0x58585858"),
        Nonsense("four zeros", [0, 0, 0, 0], .protocolViolation, "0x00000000"),
        Nonsense("4 GB", changed(bytes(Hello().frame()), at: 12, to: [0xFF, 0xFF, 0xFF, 0xFF]), .tooLarge, "4294967295"),
        Nonsense("17 KiB of hello", changed(bytes(Hello().frame()), at: 12, to: [0, 0, 0x44, 0]), .tooLarge, "17408"),
        Nonsense(
            "a large frame before the hello", changed(bytes(PushPull().frame()), at: 12, to: [0, 1, 0, 0]), .tooLarge, "65536"),
        Nonsense(
            "frames of another major version", changed(bytes(Hello().frame()), at: 4, to: [2, 0]), .unsupportedVersion,
            "version 2.0; this program speaks 1.0"),
        Nonsense("a hello of another major version", spoken(2, 3), .unsupportedVersion, "2.0 to 3.0, this program 1.0 to 1.0"),
        Nonsense("versions upside down", spoken(2, 1), .protocolViolation, "2.0 to 1.0"),
        Nonsense("reserved flags", changed(bytes(Hello().frame()), at: 8, to: [0, 1]), .protocolViolation, "reserved flags"),
        Nonsense("a wrong checksum", changed(bytes(Hello().frame()), at: 28, to: [1, 2, 3, 4]), .protocolViolation, "checksum"),
        Nonsense(
            "an extension beyond the payload", changed(bytes(Hello().frame()), at: 10, to: [0xFF, 0xFF]), .protocolViolation, "65535"),
        Nonsense("a ping first", bytes(Ping(sequence: 1, from: .unnamed).frame(id: 1)), .protocolViolation, "must be a hello"),
        Nonsense("a hello that is none", framed(.hello, [1, 2, 3]), .invalid, "cannot be read"),
    ]

    @Test func `unfinished frames of all connections together have a bound`() async throws {
        var settings = RPCServer.Settings()
        settings.unfinishedBytes = 8 << 20
        try await withStage(RPCHandlers(), server: settings) { stage in
            // Each begins a frame of 5 MiB and sends 4 of them.
            let part = Array(Self.framed(.forward, [UInt8](repeating: 0x61, count: 5 << 20)).prefix(4 << 20))
            var peers: [RawPeer] = []
            for _ in 0..<4 {
                let peer = try RawPeer(to: stage.address)
                try await peer.greet()
                await peer.send(part)
                peers.append(peer)
            }
            let areCut = await eventually { stage.server.connectionCount <= 2 }
            #expect(areCut)
            let cut = stage.serverTelemetry.count("distric_rpc_connections_cut_total", ["side": "server", "reason": "busy"])
            #expect(cut >= 2)
            // What is let go is free for others.
            for peer in peers { peer.shut() }
            let areGone = await eventually { stage.server.connectionCount == 0 }
            #expect(areGone)
            let left = stage.server.core.unfinished.load(ordering: .relaxed)
            #expect(left == 0)
        }
    }

    @Test(arguments: HostilePeersTests.nonsense)
    func `who does not speak the protocol is told why, cut and counted`(nonsense: Nonsense) async throws {
        try await withStage { stage in
            let peer = try RawPeer(to: stage.address)
            await peer.send(nonsense.bytes)
            let frame = await peer.frame()
            let answer = try #require(frame)
            #expect(answer.header.type == .error)
            #expect(answer.header.id == 0)
            let reply = try ErrorReply.decode(answer.payload)
            #expect(reply.code == nonsense.code)
            let isNamed = reply.message.contains(nonsense.words)
            #expect(isNamed, "\(reply.message)")
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            #expect(stage.cuts(nonsense.code.name) == 1)
            let isGone = await eventually { stage.server.connectionCount == 0 }
            #expect(isGone)
            let answerAfter = try await stage.ask("others go on")
            #expect(answerAfter == "others go on")
        }
    }

    @Test func `a node of another cluster is refused`() async throws {
        try await withStage(cluster: UUIDv7(high: 1, low: 1)) { stage in
            let peer = try RawPeer(to: stage.address)
            let said = try hello("other", cluster: UUIDv7(high: 2, low: 2))
            await peer.send(said.frame())
            let reply = await peer.error()
            #expect(reply?.code == .wrongCluster)
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            #expect(stage.cuts("wrong_cluster") == 1)
        }
    }

    /// What a peer that has said hello may not say.
    static let breaches: [Nonsense] = [
        Nonsense("a second hello", bytes(Hello().frame()), .protocolViolation, "second hello"),
        Nonsense("an answer", bytes(Ack(sequence: 1, from: .unnamed).frame(id: 1, flags: .response)), .protocolViolation, "never asked"),
        Nonsense(
            "an error", bytes(ErrorReply(.busy, "no").frame(id: 1, flags: [.response, .error])), .protocolViolation, "never asked"),
        Nonsense("a credit that is none", framed(.credit, [1, 2, 3]), .protocolViolation, "credit"),
        Nonsense("garbage", Array("garbage".utf8), .protocolViolation, "not with 'DIST'"),
        Nonsense(
            "a call id that is open", bytes(ClientQuery(path: "a").frame(id: 9)) + bytes(ClientQuery(path: "a").frame(id: 9)),
            .protocolViolation, "open already"),
    ]

    @Test(arguments: HostilePeersTests.breaches)
    func `who breaks the rules after the hello is told why, cut and counted`(breach: Nonsense) async throws {
        var handlers = RPCHandlers()
        handlers.task(ClientQuery.self) { query, _ in
            _ = await untilCancelled()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(breach.bytes)
            let reply = await peer.error()
            #expect(reply?.code == breach.code)
            let isNamed = reply?.message.contains(breach.words) ?? false
            #expect(isNamed, "\(reply?.message ?? "no error came")")
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            #expect(stage.cuts(breach.code.name) == 1)
        }
    }

    @Test func `a message that cannot be read is an error of its call alone`() async throws {
        try await withStage { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            var bytes = ByteBuffer()
            FrameEncoder.frame(FrameHeader(type: .clientQuery, id: 1), payload: ByteBuffer(bytes: [1, 2, 3]), into: &bytes)
            // All of the payload is an extension, which cannot be read.
            FrameEncoder.frame(
                FrameHeader(type: .clientQuery, id: 2, extensionBytes: 3), payload: ByteBuffer(bytes: [1, 2, 3]), into: &bytes)
            FrameEncoder.frame(FrameHeader(type: MessageType(number: 0x7777), id: 3), payload: ByteBuffer(), into: &bytes)
            await peer.send(bytes)
            await peer.send(Cancel().frame(id: 77, flags: .oneWay))
            await peer.send(Credit(bytes: 5).frame(id: 77, flags: .oneWay))
            await peer.send(Ping(sequence: 4, from: .unnamed).frame(id: 4))
            var codes: [UInt64: CallError.Code] = [:]
            var isAnswered = false
            for _ in 0..<4 {
                let frame = await peer.frame()
                guard let frame else { break }
                if frame.header.type == .error {
                    codes[frame.header.id] = try ErrorReply.decode(frame.payload).code
                } else {
                    isAnswered = frame.header.id == 4
                }
            }
            let expected: [UInt64: CallError.Code] = [1: .invalid, 2: .invalid, 3: .unimplemented]
            #expect(codes == expected)
            #expect(isAnswered)
            #expect(stage.server.connectionCount == 1)
        }
    }

    // MARK: Slowness

    private func small(slow: Duration) -> RPCServer.Settings {
        var settings = RPCServer.Settings()
        settings.slow = slow
        return settings
    }

    @Test func `half a frame and then silence is cut`() async throws {
        try await withStage(server: small(slow: .milliseconds(200))) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(Array(Self.bytes(Ping(sequence: 1, from: .unnamed).frame(id: 1)).dropLast(5)))
            let reply = await peer.error()
            #expect(reply?.code == .deadlineExceeded)
            let isClosed = await peer.isClosed()
            #expect(isClosed)
            #expect(stage.cuts("deadline_exceeded") == 1)
        }
    }

    @Test func `a frame that comes byte by byte is cut as well`() async throws {
        try await withStage(server: small(slow: .milliseconds(300))) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            var rest = Self.bytes(Ping(sequence: 1, from: .unnamed, padding: [UInt8](repeating: 0, count: 12_000)).frame(id: 1))[...]
            let isCut = await eventually {
                let count = peer.push(rest.prefix(1)) ?? 0
                rest = rest.dropFirst(count)
                return stage.cuts("deadline_exceeded") == 1
            }
            #expect(isCut)
            #expect(!rest.isEmpty)
            let isClosed = await peer.isClosed()
            #expect(isClosed)
        }
    }

    @Test func `half a frame and then the end is counted`() async throws {
        try await withStage { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            await peer.send(Array(Self.bytes(Ping(sequence: 1, from: .unnamed).frame(id: 1)).dropLast(5)))
            peer.shut()
            let isCounted = await eventually { stage.cuts("half_frame") == 1 }
            #expect(isCounted)
            let isGone = await eventually { stage.server.connectionCount == 0 }
            #expect(isGone)
        }
    }

    @Test func `who says no hello in time is told and cut`() async throws {
        try await withStage { stage in
            let (silent, slow) = (try RawPeer(to: stage.address), try RawPeer(to: stage.address))
            await slow.send(Array(Self.bytes(Hello().frame()).dropLast()))
            let areThere = await eventually { stage.server.connectionCount == 2 }
            #expect(areThere)
            stage.clock.advance(by: Handshake.limit + .seconds(1))
            for peer in [silent, slow] {
                let reply = await peer.error()
                #expect(reply?.code == .deadlineExceeded)
                #expect(reply?.message.contains("no hello") == true)
                let isClosed = await peer.isClosed()
                #expect(isClosed)
            }
            #expect(stage.cuts("deadline_exceeded") == 2)
        }
    }

    @Test func `who says nothing for long is let go, who waits for an answer is not`() async throws {
        var handlers = usualHandlers()
        let started = Tally()
        handlers.task(ClientQuery.self) { query, _ in
            started.add()
            _ = await untilCancelled()
            return response(query.path)
        }
        try await withStage(handlers) { stage in
            let (idle, waiting) = (try RawPeer(to: stage.address), try RawPeer(to: stage.address))
            try await idle.greet()
            try await waiting.greet()
            await waiting.send(ClientQuery(path: "x").frame(id: 1))
            let isStarted = await eventually { started.count == 1 }
            #expect(isStarted)
            stage.clock.advance(by: stage.server.core.settings.idle + .seconds(1))
            let isClosed = await idle.isClosed()
            #expect(isClosed)
            #expect(stage.cuts("idle") == 1)
            #expect(stage.server.connectionCount == 1)
            waiting.shut()
        }
    }

    @Test func `who does not read its answers is cut, and fills no memory`() async throws {
        try await withStage(server: small(slow: .milliseconds(500))) { stage in
            let peer = try RawPeer(to: stage.address)
            try await peer.greet()
            var block: [UInt8] = []
            for id in 1...128 as ClosedRange<UInt64> {
                block += Self.bytes(Ping(sequence: id, from: .unnamed, padding: [UInt8](repeating: 1, count: 8192)).frame(id: id))
            }
            let before = residentBytes()
            var (rest, most, pushed) = (block[...], 0, 0)
            let isCut = await eventually {
                while let count = peer.push(rest), count > 0 {
                    pushed += count
                    rest = rest.dropFirst(count)
                    if rest.isEmpty { rest = block[...] }
                }
                most = max(most, residentBytes() - before)
                return stage.cuts("slow_reader") == 1
            }
            #expect(isCut)
            #expect(before > 0)
            #expect(pushed > 1 << 20)
            #expect(most < 64 << 20, "\(most) bytes more, after \(pushed) were sent")
            let isGone = await eventually { stage.server.connectionCount == 0 }
            #expect(isGone)
            let answer = try await stage.ask("others go on")
            #expect(answer == "others go on")
        }
    }

    // MARK: Many

    @Test func `one connection more than there may be is told so`() async throws {
        var settings = RPCServer.Settings()
        settings.connections = 2
        try await withStage(server: settings) { stage in
            let (first, second) = (try RawPeer(to: stage.address), try RawPeer(to: stage.address))
            try await first.greet()
            try await second.greet()
            let third = try RawPeer(to: stage.address)
            let reply = await third.error()
            #expect(reply?.code == .tooManyConnections)
            #expect(reply?.isRetryable == true)
            #expect(reply?.retryAfterMilliseconds == 1000)
            let isClosed = await third.isClosed()
            #expect(isClosed)
            #expect(stage.cuts("too_many_connections") == 1)
            #expect(stage.server.connectionCount == 2)
            let error = await failure { try await stage.ask("x", timeout: .milliseconds(900)) }
            #expect(error?.code == .tooManyConnections)
            second.shut()
            let isFree = await eventually { stage.server.connectionCount == 1 }
            #expect(isFree)
            let answer = try await stage.ask("x")
            #expect(answer == "x")
            first.shut()
        }
    }

    @Test func `a source that connects too often is told to wait`() async throws {
        var settings = RPCServer.Settings()
        settings.connectsPerSecond = 0.001
        settings.connectBurst = 2
        try await withStage(server: settings) { stage in
            for _ in 0..<2 {
                let peer = try RawPeer(to: stage.address)
                try await peer.greet()
            }
            let third = try RawPeer(to: stage.address)
            let reply = await third.error()
            #expect(reply?.code == .busy)
            #expect(reply?.retryAfterMilliseconds == 1000)
            let isClosed = await third.isClosed()
            #expect(isClosed)
            #expect(stage.cuts("connect_rate") == 1)
            stage.clock.advance(by: .seconds(1001))
            let later = try RawPeer(to: stage.address)
            try await later.greet()
        }
    }

    @Test func `connections that come and go leave no descriptor behind`() async throws {
        try await withStage { stage in
            _ = try await stage.ask("x")
            let before = try descriptors()
            for number in 0..<300 {
                let peer = try RawPeer(to: stage.address)
                switch number % 4 {
                case 0: break
                case 1: try await peer.greet()
                case 2: await peer.send(Array("garbage".utf8))
                default: await peer.send(Array(Self.bytes(Hello().frame()).dropLast()))
                }
                peer.shut()
            }
            let areGone = await eventually { stage.server.connectionCount == 1 }
            #expect(areGone)
            let after = try descriptors()
            #expect(after <= before + 2)
            let open = stage.serverTelemetry.metrics.gauge("distric_rpc_connections", "", ["side": "server"])
            let isCounted = await eventually { open.number == 1 }
            #expect(isCounted)
        }
    }

    private func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }

    @Test func `bytes of chance break nothing for others`() async throws {
        let seed: UInt64 = 77
        var generator = SeededGenerator(seed: seed)
        let frames = [
            Self.bytes(Hello().frame()), Self.bytes(Ping(sequence: 1, from: .unnamed).frame(id: 1)),
            Self.bytes(ClientQuery(path: "x").frame(id: 2)), Self.bytes(Credit(bytes: 1).frame(id: 2, flags: .oneWay)),
            Self.bytes(Cancel().frame(id: 2, flags: .oneWay)),
        ]
        try await withStage { stage in
            for _ in 0..<300 {
                let peer = try RawPeer(to: stage.address)
                var bytes = Bool.random(using: &generator) ? frames[0] : []
                for _ in 0..<Int.random(in: 1...6, using: &generator) {
                    bytes += frames[Int.random(in: 0..<frames.count, using: &generator)]
                }
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
                }
                await peer.send(bytes)
                peer.shut()
            }
            let areGone = await eventually { stage.server.connectionCount == 0 }
            #expect(areGone, "seed \(seed)")
            let answer = try await stage.ask("others go on")
            #expect(answer == "others go on")
        }
    }
}
