import ArgumentParser
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Observability
import Primitives
import Transport
import Wire

/// The server of the benches that have it in a process of its own: says its port, and ends with its input.
struct RPCServing: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve-rpc", abstract: "The other process of rpc and connections.", shouldDisplay: false)

    @Option var threads = 1
    @Option var certificates: String?

    @concurrent
    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let server = try EchoServer(group: group, certificates: certificates)
        let address = try await server.server.listen(.tcp(host: "127.0.0.1", port: 0))
        guard case .tcp(_, let port) = address else { return }
        print(port)
        fflush(nil)
        while let line = readLine() { if line == "stop" { break } }
        await server.server.drain(grace: .seconds(1))
    }
}

/// Answers pings with what they bear, and nothing else.
struct EchoServer {
    let server: RPCServer

    init(group: any EventLoopGroup, certificates: String?) throws {
        let telemetry = Telemetry.quiet(node: try NodeID("server"))
        var handlers = RPCHandlers()
        let node = telemetry.node
        handlers.immediate(Ping.self) { ping, _ in Ack(sequence: ping.sequence, from: node, padding: ping.padding) }
        handlers.immediate(Forward.self) { forward, _ in forward }
        var settings = RPCServer.Settings()
        settings.connections = 19_900
        settings.connectsPerSecond = 1e9
        settings.connectBurst = 1e9
        var hello = Hello()
        hello.node = node
        let tls = try certificates.map {
            try TLSSource(.init(certificate: "\($0)/server.pem", key: "\($0)/server-key.pem", authority: "\($0)/ca.pem"))
        }
        server = RPCServer(hello: hello, handlers: handlers, settings: settings, tls: tls, group: group, telemetry: telemetry)
    }
}

/// That process, from the side of the one that measures.
final class ServingProcess {
    let port: Int
    let process = Process()
    private let input = Pipe()

    init(threads: Int = 1, certificates: String? = nil) throws {
        let output = Pipe()
        process.executableURL = URL(filePath: CommandLine.arguments[0])
        process.arguments = ["serve-rpc", "--threads", "\(threads)"] + (certificates.map { ["--certificates", $0] } ?? [])
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var text = ""
        while !text.contains("\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw ValidationError("the server did not start") }
            text += String(decoding: more, as: UTF8.self)
        }
        guard let number = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) else { throw ValidationError("no port: \(text)") }
        port = number
    }

    var descriptors: Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processIdentifier)/fd")) ?? []).count
    }

    var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * Int(getpagesize())
    }

    func stop() {
        input.fileHandleForWriting.write(Data("stop\n".utf8))
        process.waitUntilExit()
    }
}
