import ArgumentParser
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Observability
import Primitives
import Transport
import Wire

/// `distric-bench rpc`: calls over one connection, as programs make them: `try await client.call(...)`.
struct RPCSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rpc", abstract: "Calls over one connection: one after the other, many in flight, large ones, with TLS.",
        discussion: """
            Cases: sequential, pipelined-64, pipelined-256, large, tls, yardsticks; without --case all of them. Client and server are in one
            process (one event loop each) and then in two. tls needs the distric beside this program; the yardsticks are a C echo by epoll,
            where clang is installed, and redis-benchmark, where redis-server is.
            """)

    @Option(name: .customLong("case"), help: "sequential, pipelined-64, pipelined-256, large, tls or yardsticks.") var only: String?
    @Option(name: .long, help: "Seconds of each measurement.") var seconds: Double = 3
    @Flag(name: .long, help: "A JSON object a line.") var json = false

    private var report: Report { Report(suite: "rpc", json: json) }
    private static let cases = ["sequential", "pipelined-64", "pipelined-256", "large", "tls", "yardsticks"]

    @concurrent
    func run() async throws {
        if let only, !Self.cases.contains(only) { throw ValidationError("no case '\(only)': \(Self.cases.joined(separator: ", "))") }
        var apart: [String: Double] = [:]
        for isApart in [false, true] {
            let place = isApart ? "two-processes" : "one-process"
            apart = try await measure(place, isApart: isApart, certificates: nil, prefix: "")
        }
        if only == nil || only == "tls" { try await tls() }
        if only == nil || only == "yardsticks" { try RPCYardsticks(report: report, seconds: seconds, own: apart).run() }
    }

    private func tls() async throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-bench-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "distric").path(
            percentEncoded: false)
        let commands = [["init"], ["issue", "--node", "server", "--host", "127.0.0.1"], ["issue", "--client", "bench"]]
        for words in commands {
            guard try Yardsticks.output([program, "certs"] + words + ["--dir", place]).code == 0 else {
                return FileHandle.standardError.write(Data("no TLS: 'distric certs' is not there beside this program\n".utf8))
            }
        }
        _ = try await measure("two-processes", isApart: true, certificates: place, prefix: "tls-")
    }

    private func measure(_ where: String, isApart: Bool, certificates: String?, prefix: String) async throws -> [String: Double] {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let serverGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var rates: [String: Double] = [:]
        let apart = isApart ? try ServingProcess(certificates: certificates) : nil
        let server = isApart ? nil : try EchoServer(group: serverGroup, certificates: nil)
        let address: PeerAddress
        if let apart {
            address = .tcp(host: "127.0.0.1", port: apart.port)
        } else if let server {
            address = try await server.server.listen(.tcp(host: "127.0.0.1", port: 0))
        } else {
            return rates
        }
        let telemetry = Telemetry.quiet(node: try NodeID("client"))
        let tls = try certificates.map {
            try TLSSource(.init(certificate: "\($0)/bench.pem", key: "\($0)/bench-key.pem", authority: "\($0)/ca.pem"))
        }
        var settings = RPCClient.Settings()
        settings.connectionsPerPeer = 1
        let client = RPCClient(hello: Hello(), settings: settings, tls: tls, group: group, telemetry: telemetry)
        let isTLS = certificates != nil
        for (name, flights, bytes) in [("sequential", 1, 64), ("pipelined-64", 64, 64), ("pipelined-256", 256, 64)] where wants(name, isTLS)
        {
            let from = try NodeID("client")
            let padding = [UInt8](repeating: 0x61, count: bytes)
            let ping: @Sendable (Int) async throws -> Void = { flight in
                let ack = try await client.call(Ping(sequence: UInt64(flight), from: from, padding: padding), to: address)
                guard ack.padding?.count == bytes else { throw ValidationError("another answer than was asked for") }
            }
            try await calls(flights, 0.3, ping)
            let found = try await calls(flights, seconds, ping)
            rates[name] = found.rate
            report.figure(prefix + name, "calls-\(`where`)", found.rate, "calls/s")
            report.figure(prefix + name, "p50-\(`where`)", found.latencies.at(0.5) * 1e6, "us")
            report.figure(prefix + name, "p99-\(`where`)", found.latencies.at(0.99) * 1e6, "us")
        }
        if wants("large", isTLS) {
            var forward = Forward()
            forward.payload = [UInt8](repeating: 0x61, count: 1 << 20)
            let message = forward
            let found = try await calls(4, seconds) { _ in
                guard try await client.call(message, to: address).payload.count == 1 << 20 else { throw ValidationError("another answer") }
            }
            // Each call carries the bytes there and back.
            report.figure(prefix + "large-1MiB", "payload-each-way-\(`where`)", found.rate * Double(1 << 20) / 1e9, "GB/s")
        }
        client.close()
        apart?.stop()
        await server?.server.drain(grace: .seconds(1))
        try? await group.shutdownGracefully()
        try? await serverGroup.shutdownGracefully()
        return rates
    }

    private func wants(_ name: String, _ isTLS: Bool) -> Bool { only == nil || only == name || only == "tls" && isTLS }

    /// So many tasks, each with one call after the other.
    @discardableResult
    private func calls(
        _ flights: Int, _ seconds: Double, _ call: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> (rate: Double, latencies: Quantiles) {
        let began = LoadClient.now()
        let end = began + seconds
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { tasks in
            for flight in 0..<flights {
                tasks.addTask {
                    var latencies: [Double] = []
                    latencies.reserveCapacity(100_000)
                    var now = LoadClient.now()
                    while now < end {
                        try await call(flight)
                        let after = LoadClient.now()
                        latencies.append(after - now)
                        now = after
                    }
                    return latencies
                }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        return (Double(latencies.count) / (LoadClient.now() - began), Quantiles(latencies))
    }
}

/// The same done by others: a C echo, which parses nothing, and Redis.
struct RPCYardsticks {
    let report: Report
    let seconds: Double
    /// Calls a second of two processes, by case, where they were measured in this run.
    let own: [String: Double]

    private static let echo = #"""
        // Echo by epoll in one process: a server thread, and a client that keeps so many messages of 96 bytes in flight.
        #include <arpa/inet.h>
        #include <netinet/tcp.h>
        #include <pthread.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/epoll.h>
        #include <sys/socket.h>
        #include <time.h>
        #include <unistd.h>

        enum { SIZE = 96 };

        static double now(void) {
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            return t.tv_sec + t.tv_nsec / 1e9;
        }

        static void *serve(void *argument) {
            int listening = *(int *)argument, one = 1;
            int connection = accept(listening, 0, 0);
            setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            int poll = epoll_create1(0);
            struct epoll_event event = {.events = EPOLLIN};
            epoll_ctl(poll, EPOLL_CTL_ADD, connection, &event);
            static char bytes[1 << 16];
            for (;;) {
                if (epoll_wait(poll, &event, 1, -1) < 1) continue;
                ssize_t count = read(connection, bytes, sizeof bytes);
                if (count <= 0) return 0;
                for (ssize_t done = 0; done < count;) done += write(connection, bytes + done, count - done);
            }
        }

        int main(int count, char **arguments) {
            int flights = atoi(arguments[1]), one = 1;
            double seconds = atof(arguments[2]);
            int listening = socket(AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            bind(listening, (void *)&address, sizeof address);
            listen(listening, 1);
            socklen_t length = sizeof address;
            getsockname(listening, (void *)&address, &length);
            pthread_t thread;
            pthread_create(&thread, 0, serve, &listening);
            int connection = socket(AF_INET, SOCK_STREAM, 0);
            connect(connection, (void *)&address, sizeof address);
            setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            static char bytes[1 << 16];
            if (write(connection, bytes, flights * SIZE) < 0) return 1;
            int poll = epoll_create1(0);
            struct epoll_event event = {.events = EPOLLIN};
            epoll_ctl(poll, EPOLL_CTL_ADD, connection, &event);
            long calls = 0, rest = 0;
            double began = now();
            while (now() - began < seconds) {
                if (epoll_wait(poll, &event, 1, -1) < 1) continue;
                ssize_t got = read(connection, bytes, sizeof bytes);
                if (got <= 0) break;
                rest += got;
                long whole = rest / SIZE;
                rest -= whole * SIZE;
                calls += whole;
                if (write(connection, bytes, whole * SIZE) < 0) return 1;
            }
            printf("%f\n", calls / (now() - began));
            return 0;
        }
        """#

    func run() throws {
        try echo()
        try redis()
    }

    private func echo() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-echo-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        try Data(Self.echo.utf8).write(to: URL(filePath: place + "/echo.c"))
        guard try Yardsticks.output(["clang", "-O2", "-o", place + "/echo", place + "/echo.c", "-lpthread"]).code == 0 else {
            return FileHandle.standardError.write(Data("no yardstick: clang could not build the echo\n".utf8))
        }
        for (name, flights) in [("sequential", 1), ("pipelined-64", 64)] {
            let text = try Yardsticks.output([place + "/echo", "\(flights)", "\(seconds)"]).text
            if let rate = Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) {
                report.figure(name, "calls-one-process", rate, "calls/s", who: "C epoll echo, nothing parsed")
            }
        }
    }

    private func redis() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "distric-redis-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        let socket = place + "/port"
        let server = Process()
        server.executableURL = URL(filePath: "/usr/bin/env")
        let port = 20_000 + Int(getpid()) % 20_000
        server.arguments = [
            "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", place, "--unixsocket",
            socket,
        ]
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        try server.run()
        defer {
            // It has nothing to lose, and threads of Swift's pool hand a mask down that holds SIGTERM back.
            kill(server.processIdentifier, SIGKILL)
            server.waitUntilExit()
        }
        usleep(500_000)
        guard server.isRunning else {
            return FileHandle.standardError.write(Data("no yardstick: redis-server is not installed\n".utf8))
        }
        for (name, pipeline) in [("sequential", 1), ("pipelined-64", 64)] {
            let calls = pipeline == 1 ? 50_000 : 2_000_000
            let text = try Yardsticks.output([
                "redis-benchmark", "-p", "\(port)", "-c", "1", "-P", "\(pipeline)", "-n", "\(calls)", "-d", "64", "-t", "set", "--csv",
            ]).text
            let cells = text.split(separator: "\n").last?.split(separator: ",").map { $0.trimmingCharacters(in: ["\""]) } ?? []
            if cells.count > 1, let rate = Double(cells[1]) {
                report.figure(name, "calls-two-processes", rate, "calls/s", who: "redis-benchmark SET -c 1 -P \(pipeline)")
                if let own = own[name] { report.figure(name, "calls-to-redis", own / rate, "times") }
            }
        }
    }
}
