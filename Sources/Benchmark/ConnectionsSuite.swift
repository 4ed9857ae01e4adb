import ArgumentParser
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Primitives
import Synchronization
import Wire

/// `distric-bench connections`: very many of them, with the server in a process of its own.
struct ConnectionsSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "10,000 and 19,000 connections, calls over random ones, and what is left of 100,000.",
        discussion: """
            Cases: 10000, 19000, churn; without --case all of them. Both processes need a limit of descriptors (ulimit -n) of 20,000.
            Bytes of a connection are the growth of the server's resident memory, shared by the connections; each has said hello.
            """)

    @Option(name: .customLong("case"), help: "10000, 19000 or churn.") var only: String?
    @Option(name: .long, help: "Connects and closes of churn.") var connects = 100_000
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    private var report: Report { Report(suite: "connections", json: json) }

    @concurrent
    func run() async throws {
        for name in only.map({ [$0] }) ?? ["10000", "19000", "churn"] {
            switch name {
            case "10000", "19000": try await many(Int(name) ?? 0)
            case "churn": try await churn()
            default: throw ValidationError("no case '\(name)': 10000, 19000, churn")
            }
        }
    }

    private func many(_ count: Int) async throws {
        let server = try ServingProcess()
        defer { server.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let before = server.residentBytes
        let began = LoadClient.now()
        var links: [BenchLink] = []
        links.reserveCapacity(count)
        while links.count < count {
            links += try await connect(min(200, count - links.count), first: links.count, server.port, group)
        }
        let took = LoadClient.now() - began
        let name = "\(count)"
        report.figure(name, "connects", Double(count) / took, "connects/s")
        usleep(500_000)
        report.figure(name, "bytes-per-connection", Double(server.residentBytes - before) / Double(count), "B")
        report.figure(name, "resident", Double(server.residentBytes) / 1_048_576, "MiB")
        try await calls(links, name)
        for link in links { link.channel.close(promise: nil) }
        for link in links { try? await link.channel.closeFuture.get() }
        try await group.shutdownGracefully()
    }

    /// Connects at once, each through its hello.
    private func connect(_ count: Int, first: Int, _ port: Int, _ group: any EventLoopGroup) async throws -> [BenchLink] {
        let futures = try (0..<count).map { number in
            // Ephemeral ports are for one pair of addresses, some 28,000 of them: 127.0.0.0/8 has enough addresses.
            let source = try SocketAddress(ipAddress: "127.0.0.\(1 + (first + number) / 20_000 % 100)", port: 0)
            return BenchLink.open(port, source, group)
        }
        var links: [BenchLink] = []
        for future in futures { links.append(try await future.get()) }
        return links
    }

    /// Pings over connections drawn at random, 64 in flight.
    private func calls(_ links: [BenchLink], _ name: String) async throws {
        let end = LoadClient.now() + 3
        let began = LoadClient.now()
        let total = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for seed in 0..<64 {
                tasks.addTask {
                    var generator = SeededGenerator(seed: UInt64(seed))
                    var count = 0
                    while LoadClient.now() < end {
                        // Each task has its own share of the connections: one call at a time on each.
                        let place = Int.random(in: 0..<links.count / 64, using: &generator) * 64 + seed
                        try await links[place].ping()
                        count += 1
                    }
                    return count
                }
            }
            return try await tasks.reduce(0, +)
        }
        report.figure(name, "calls-over-random", Double(total) / (LoadClient.now() - began), "calls/s")
    }

    private func churn() async throws {
        let server = try ServingProcess()
        defer { server.stop() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (before, resident) = (server.descriptors, server.residentBytes)
        var done = 0
        let began = LoadClient.now()
        while done < connects {
            let links = try await connect(min(200, connects - done), first: done, server.port, group)
            for link in links { link.channel.close(promise: nil) }
            for link in links { try? await link.channel.closeFuture.get() }
            done += links.count
        }
        report.figure("churn-\(connects)", "connects", Double(connects) / (LoadClient.now() - began), "connects/s")
        usleep(1_000_000)
        report.figure("churn-\(connects)", "descriptors-left", Double(server.descriptors - before), "descriptors")
        report.figure("churn-\(connects)", "resident-growth", Double(server.residentBytes - resident) / 1_048_576, "MiB")
        try await group.shutdownGracefully()
    }
}

/// A connection as small as one can be made: it says hello, and sends a ping at a time.
final class BenchLink: Sendable {
    let channel: any Channel
    private let waiting: Waiting

    private final class Waiting: Sendable {
        let continuation = Mutex<CheckedContinuation<Void, any Error>?>(nil)
        func resume(_ result: Result<Void, any Error>) {
            let waiting = continuation.withLock { continuation in
                defer { continuation = nil }
                return continuation
            }
            waiting?.resume(with: result)
        }
    }

    private init(_ channel: any Channel, _ waiting: Waiting) {
        self.channel = channel
        self.waiting = waiting
    }

    static func open(_ port: Int, _ source: SocketAddress, _ group: any EventLoopGroup) -> EventLoopFuture<BenchLink> {
        let ready = group.next().makePromise(of: BenchLink.self)
        let waiting = Waiting()
        let connected = ClientBootstrap(group: group)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            // The port is chosen at the connect, which knows the pair: IP_BIND_ADDRESS_NO_PORT.
            .channelOption(.socket(SocketOptionLevel(IPPROTO_IP), 24), value: 1)
            .bind(to: source)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(
                            greeted: { ready.succeed(BenchLink(channel, waiting)) },
                            ended: { error in
                                ready.fail(error)
                                waiting.resume(.failure(error))
                            }, answered: { waiting.resume(.success(())) }))
                }
            }
            .connect(host: "127.0.0.1", port: port)
        connected.whenFailure { ready.fail($0) }
        return ready.futureResult
    }

    func ping() async throws {
        let frame = Ping(sequence: 1, from: .unnamed).frame(id: 1)
        try await withCheckedThrowingContinuation { continuation in
            waiting.continuation.withLock { $0 = continuation }
            channel.writeAndFlush(frame, promise: nil)
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let greeted: () -> Void
        private let ended: (any Error) -> Void
        private let answered: () -> Void
        private var decoder = FrameDecoder()

        init(greeted: @escaping () -> Void, ended: @escaping (any Error) -> Void, answered: @escaping () -> Void) {
            self.greeted = greeted
            self.ended = ended
            self.answered = answered
        }

        func channelActive(context: ChannelHandlerContext) { context.writeAndFlush(wrapOutboundOut(Hello().frame()), promise: nil) }
        func channelInactive(context: ChannelHandlerContext) { ended(ChannelError.eof) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            ended(error)
            context.close(promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            decoder.append(unwrapInboundIn(data))
            do {
                while let frame = try decoder.next() {
                    switch frame.header.type {
                    case .hello: greeted()
                    case .ack: answered()
                    default: throw ValidationError("an answer of type \(frame.header.type)")
                    }
                }
            } catch { errorCaught(context: context, error: error) }
        }
    }
}
