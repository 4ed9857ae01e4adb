import NIOCore
import NIOPosix
import Observability
import Primitives
import Testing
import Wire

@testable import Transport

/// Frames over UDP (DatagramSocket.swift).
@Suite(.timeLimit(.minutes(1)))
struct DatagramSocketTests {
    /// A socket on this machine, and what it got.
    private struct End {
        let socket: DatagramSocket
        let telemetry: Telemetry
        let batches: Kept<[DatagramSocket.Received]>

        var received: [DatagramSocket.Received] { batches.all.flatMap { $0 } }
        var port: Int { socket.localAddress.port ?? 0 }

        func dropped(_ reason: String) -> Int { telemetry.count("distric_datagrams_dropped_total", ["reason": reason]) }
        var came: Int { telemetry.count("distric_datagrams_received_total") }
        var sent: Int { telemetry.count("distric_datagrams_sent_total") }
    }

    private func end(
        _ group: MultiThreadedEventLoopGroup, ring: KeyRing? = nil, faults: LinkFaults? = nil,
        settings: DatagramSocket.Settings = DatagramSocket.Settings()
    ) async throws -> End {
        let batches = Kept<[DatagramSocket.Received]>()
        let telemetry = Telemetry.quiet(node: .unnamed)
        let socket = try await DatagramSocket.bind(
            host: "127.0.0.1", port: 0, group: group, settings: settings, ring: ring, faults: faults, telemetry: telemetry
        ) { batches.add($0) }
        return End(socket: socket, telemetry: telemetry, batches: batches)
    }

    private func withGroup(_ body: (MultiThreadedEventLoopGroup) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do { try await body(group) } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
    }

    private func ring(_ id: UInt8) throws -> KeyRing { KeyRing(try KeyRing.Key(id: id, bytes: [UInt8](repeating: id, count: 32))) }

    private func ping(_ sequence: UInt64, padding: Int? = nil) -> ByteBuffer {
        Ping(sequence: sequence, from: .unnamed, padding: padding.map { [UInt8](repeating: 5, count: $0) }).frame(id: sequence)
    }

    private func sequences(_ end: End) throws -> [UInt64] { try end.received.map { try Ping.decode($0.frame.payload).sequence } }

    /// A ping whose frame has exactly so many bytes.
    private func ping(bytes: Int) -> ByteBuffer { ping(1, padding: bytes - ping(1, padding: 0).readableBytes) }

    // MARK: Frames

    @Test(arguments: [false, true])
    func `two sockets exchange frames, plain and sealed`(isSealed: Bool) async throws {
        try await withGroup { group in
            let one = try await end(group, ring: isSealed ? ring(1) : nil)
            let other = try await end(group, ring: isSealed ? ring(1) : nil)
            try one.socket.send(ping(1), to: other.socket.localAddress)
            let isThere = await eventually { other.received.count == 1 }
            #expect(isThere)
            let first = try #require(other.received.first)
            #expect(first.from == one.socket.localAddress)
            #expect(first.frame.header.type == .ping)
            #expect(first.frame.header.id == 1)
            try other.socket.send(ping(2), to: first.from)
            let isBack = await eventually { one.received.count == 1 }
            #expect(isBack)
            let back = try sequences(one)
            #expect(back == [2])
            #expect(one.sent == 1)
            #expect(one.came == 1)
            for reason in ["malformed", "not_sealed", "rate", "too_long"] { #expect(one.dropped(reason) + other.dropped(reason) == 0) }
            await one.socket.close()
            await other.socket.close()
        }
    }

    @Test func `what is not sealed with a key of the ring is dropped and counted`() async throws {
        try await withGroup { group in
            let sealed = try await end(group, ring: ring(1))
            let (plain, stranger) = (try await end(group), try await end(group, ring: ring(2)))
            let friend = try await end(group, ring: ring(1))
            try plain.socket.send(ping(1), to: sealed.socket.localAddress)
            try stranger.socket.send(ping(2), to: sealed.socket.localAddress)
            try RawDatagrams().send([], to: sealed.port)
            try friend.socket.send(ping(4), to: sealed.socket.localAddress)
            let isThere = await eventually { sealed.received.count == 1 && sealed.came == 4 }
            #expect(isThere)
            let found = try sequences(sealed)
            #expect(found == [4])
            #expect(sealed.dropped("not_sealed") == 3)
            // One without keys reads nothing that is sealed.
            try friend.socket.send(ping(5), to: plain.socket.localAddress)
            let isDropped = await eventually { plain.dropped("malformed") == 1 }
            #expect(isDropped)
            #expect(plain.received.isEmpty)
        }
    }

    @Test func `what is no whole frame, or more than one, is dropped and counted`() async throws {
        try await withGroup { group in
            let end = try await end(group)
            let raw = try RawDatagrams()
            let whole = Array(ping(1).readableBytesView)
            var broken = whole
            broken[broken.count - 1] ^= 1
            let bad: [[UInt8]] = [
                [], [0], Array("garbage".utf8), Array(whole.dropLast()), Array(whole.prefix(31)), whole + [0], whole + whole, broken,
                [UInt8](repeating: 0x44, count: 9000),
            ]
            for bytes in bad {
                let isSent = raw.send(bytes, to: end.port)
                #expect(isSent)
            }
            let isCounted = await eventually { end.dropped("malformed") == bad.count }
            #expect(isCounted, "\(end.dropped("malformed")) of \(bad.count)")
            #expect(end.came == bad.count)
            #expect(end.received.isEmpty)
            raw.send(whole, to: end.port)
            let isThere = await eventually { end.received.count == 1 }
            #expect(isThere)
        }
    }

    @Test func `bytes of chance break nothing`() async throws {
        try await withGroup { group in
            var settings = DatagramSocket.Settings()
            settings.perSecond = 1_000_000
            let end = try await end(group, settings: settings)
            let raw = try RawDatagrams()
            let whole = Array(ping(1, padding: 100).readableBytesView)
            let seed: UInt64 = 5
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<1000 {
                var bytes = whole
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= UInt8.random(in: 1...255, using: &generator)
                }
                raw.send(bytes, to: end.port)
            }
            raw.send(whole, to: end.port)
            let isThere = await eventually {
                if !end.received.isEmpty { return true }
                // The kernel drops what it has no room for.
                raw.send(whole, to: end.port)
                return false
            }
            #expect(isThere, "seed \(seed)")
        }
    }

    // MARK: Bounds

    @Test(arguments: [false, true])
    func `a frame that would be cut on its way is refused before it is sent`(isSealed: Bool) async throws {
        try await withGroup { group in
            let one = try await end(group, ring: isSealed ? ring(1) : nil)
            let other = try await end(group, ring: isSealed ? ring(1) : nil)
            let limit = one.socket.frameLimit
            #expect(limit == (isSealed ? 1370 : 1400))
            let (longest, tooLong) = (ping(bytes: limit), ping(bytes: limit + 1))
            #expect(longest.readableBytes == limit)
            do throws(TransportError) {
                try one.socket.send(tooLong, to: other.socket.localAddress)
                Issue.record("\(tooLong.readableBytes) bytes were sent")
            } catch {
                #expect(error == .tooLong(bytes: limit + 1, limit: limit))
            }
            #expect(one.dropped("too_long") == 1)
            #expect(one.sent == 0)
            try one.socket.send(longest, to: other.socket.localAddress)
            let isThere = await eventually { other.received.count == 1 }
            #expect(isThere)
            #expect(other.came == 1)
        }
    }

    @Test func `a source that sends too often is not heard`() async throws {
        try await withGroup { group in
            var settings = DatagramSocket.Settings()
            settings.perSecond = 5
            let end = try await end(group, settings: settings)
            let raw = try RawDatagrams()
            for sequence in 1...60 as ClosedRange<UInt64> { raw.send(Array(ping(sequence).readableBytesView), to: end.port) }
            let haveCome = await eventually { end.came == 60 }
            #expect(haveCome)
            let areSorted = await eventually { end.received.count + end.dropped("rate") == 60 }
            #expect(areSorted)
            #expect(end.received.count >= 10)
            #expect(end.received.count < 30)
            let first = try sequences(end).prefix(10)
            #expect(Array(first) == Array(1...10))
        }
    }

    @Test func `datagrams that wait are read many at once, in order`() async throws {
        try await withGroup { group in
            let (one, other) = (try await end(group), try await end(group))
            let (from, to) = (one.socket, other.socket.localAddress)
            let frames = (1...100 as ClosedRange<UInt64>).map { ping($0) }
            // On the loop that both share: all are there before one is read.
            try await group.next().submit { for frame in frames { try from.send(frame, to: to) } }.get()
            let areThere = await eventually { other.received.count == 100 }
            #expect(areThere, "\(other.received.count)")
            let found = try sequences(other)
            #expect(found == Array(1...100))
            let largest = other.batches.all.map(\.count).max() ?? 0
            #expect(largest > 8, "\(other.batches.all.map(\.count))")
            #expect(other.batches.all.allSatisfy { !$0.isEmpty })
        }
    }

    // MARK: Faults

    @Test func `faults of a link touch what is sent to its node`() async throws {
        try await withGroup { group in
            let faults = LinkFaults(seed: 1)
            let (one, other) = (try await end(group, faults: faults), try await end(group))
            let node = try NodeID("b")
            let address = other.socket.localAddress
            faults.set(LinkFault(isCut: true), to: node)
            try one.socket.send(ping(1), to: address, node: node)
            try one.socket.send(ping(2), to: address)
            faults.set(LinkFault(delay: .milliseconds(100)), to: node)
            let began = ContinuousClock.now
            try one.socket.send(ping(3), to: address, node: node)
            let areThere = await eventually { other.received.count == 2 }
            #expect(areThere)
            #expect(began.duration(to: .now) >= .milliseconds(100))
            let found = try sequences(other)
            #expect(found == [2, 3])
            #expect(faults.lostCount == 1)
        }
    }

    @Test func `an address that is taken says so`() async throws {
        try await withGroup { group in
            do {
                _ = try await DatagramSocket.bind(
                    host: "192.0.2.1", port: 1, group: group, telemetry: Telemetry.quiet(node: .unnamed)
                ) { _ in }
                Issue.record("it was taken")
            } catch {
                let isNamed = "\(error)".contains("192.0.2.1:1/udp")
                #expect(isNamed, "\(error)")
            }
        }
    }
}
