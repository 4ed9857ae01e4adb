import ArgumentParser
import DistriC
import Foundation
import Offline
import Operator
import Primitives
import Wire

/// `distric ping`.
struct PingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping", abstract: "Measure round trips of calls to a node.",
        discussion: """
            Asks over the binary protocol, which is what nodes and clients use: through it, not below it. Ctrl-C ends it with its summary.
            Exit codes: 0 all answered; 1 some did not; 69 none did.

              distric ping                            this machine, port 9000
              distric ping node-2:9000 -c 5
              distric ping unix:/var/lib/distric/rpc.sock -c 1000 -i 0
              distric ping node-2:9000 --tls-certificate me.pem --tls-key me-key.pem --tls-authority ca.pem
            """)

    @Argument(help: "host:port, [::1]:port or unix:PATH; port 9000 when left out.") var address = "127.0.0.1:9000"
    @Option(name: [.customShort("c"), .long], help: "How many; without it until Ctrl-C.") var count: Int?
    @Option(name: [.customShort("i"), .long], help: "How long from one to the next: 200ms; 0: at once.") var interval = "1s"
    @Option(name: [.customShort("s"), .long], help: "Bytes there and back.") var size = 56
    @Option(name: .long, help: "How long to wait for each answer.") var timeout = "5s"
    @Option(name: .customLong("tls-certificate"), help: "PEM file: a certificate for this client (distric certs issue --client).")
    var certificate: String?
    @Option(name: .customLong("tls-key"), help: "PEM file: its key.") var key: String?
    @Option(name: .customLong("tls-authority"), help: "PEM file: who signs the nodes' certificates.") var authority: String?
    @Flag(name: [.customShort("q"), .long], help: "Only the summary.") var quiet = false
    @Option(name: [.customShort("o"), .long], help: "table, or json and jsonl for one object a ping.") var output: OutputFormat = .table

    func validate() throws {
        guard count.map({ (1...100_000_000).contains($0) }) ?? true else { throw ValidationError("-c must be 1 or more") }
        guard (0...8192).contains(size) else { throw ValidationError("-s must be 0 to 8192 bytes") }
        _ = try DurationFlag.read(interval, of: "-i", allowsNone: true, example: "200ms, or 0 for at once")
        _ = try DurationFlag.read(timeout, of: "--timeout", example: "500ms or 5s")
        guard [certificate, key, authority].allSatisfy({ $0 == nil }) || [certificate, key, authority].allSatisfy({ $0 != nil }) else {
            throw ValidationError("--tls-certificate, --tls-key and --tls-authority go together")
        }
        guard [.table, .json, .jsonl].contains(output) else { throw ValidationError("-o takes table, json or jsonl here") }
    }

    @concurrent
    func run() async throws {
        let probe: CallProbe
        do throws(CallProbe.Problem) {
            var files: CallProbe.Certificates?
            if let certificate, let key, let authority {
                files = CallProbe.Certificates(certificate: certificate, key: key, authority: authority)
            }
            probe = try CallProbe(address, certificates: files, software: "distric ping \(Node.version)")
        } catch {
            throw CommandFailure(certificate == nil ? .usage : .badConfiguration, error.description)
        }
        let limit = Duration(text: timeout) ?? .seconds(5)
        let target: CallProbe.Target
        do throws(CallError) { target = try await probe.connect(timeout: limit) } catch {
            throw CommandFailure(.unavailable, error.message + hint(error))
        }
        if output == .table {
            Session.current.out(
                "PING \(probe.address) (node \(target.node), \(target.software), protocol \(target.version)\(target.isEncrypted ? ", TLS 1.3" : "")): \(size) bytes\n"
            )
        }
        let results = await pings(probe, limit)
        probe.close()
        summary(results, target)
        guard results.took.count < results.sent else { return }
        let code: CommandFailure.Code = results.took.isEmpty ? .unavailable : .failed
        throw CommandFailure(
            code, "\(results.sent - results.took.count) of \(results.sent) pings were not answered: \(results.error ?? "")")
    }

    private func hint(_ error: CallError) -> String {
        switch error.code {
        case .denied where certificate == nil: "; the node wants certificates: --tls-certificate, --tls-key, --tls-authority"
        case .protocolViolation: "; is it the address of the HTTP API? Calls have their own, rpc.address"
        default: ""
        }
    }

    private struct Results {
        var sent = 0
        var took: [Duration] = []
        var offset: Duration?
        var error: String?
    }

    private func pings(_ probe: CallProbe, _ limit: Duration) async -> Results {
        let wait = Duration(text: interval) ?? .seconds(1)
        let stop = InterruptFlag()
        var results = Results()
        while results.sent < count ?? .max, !stop.isSet {
            if results.sent > 0, wait > .zero {
                guard await stop.sleep(wait) else { break }
            }
            results.sent += 1
            let sequence = UInt64(results.sent)
            do throws(CallError) {
                let answer = try await probe.ping(sequence, bytes: size, timeout: limit)
                results.took.append(answer.took)
                results.offset = answer.offset
                say(sequence, answer.took, nil)
            } catch {
                results.error = error.description
                say(sequence, nil, error)
            }
        }
        return results
    }

    private func say(_ sequence: UInt64, _ took: Duration?, _ error: CallError?) {
        guard !quiet else { return }
        guard output == .table else {
            let value = Value.object([
                "sequence": Value(sequence), "ms": took.map { .double(Self.milliseconds($0)) },
                "error": error.map { .string($0.description) },
            ])
            return Session.current.out(Rendering(format: .jsonl).rows([value], [], name: "sequence"))
        }
        if let took { Session.current.out("\(size) bytes: seq=\(sequence) time=\(Self.text(took)) ms\n") }
        if let error { Session.current.out("seq=\(sequence) \(error.description)\n") }
    }

    private func summary(_ results: Results, _ target: CallProbe.Target) {
        guard output == .table else { return Session.current.out(Rendering(format: .jsonl).rows([value(of: results)], [], name: "sent")) }
        let lost = results.sent == 0 ? 0 : (results.sent - results.took.count) * 100 / results.sent
        var text = "\n--- \(address) \(target.node) ---\n\(results.sent) sent, \(results.took.count) answered, \(lost)% lost\n"
        let sorted = results.took.sorted()
        if let least = sorted.first, let most = sorted.last {
            let mean = sorted.reduce(.zero, +) / sorted.count
            let (middle, high) = (Self.quantile(sorted, 0.5), Self.quantile(sorted, 0.99))
            text +=
                "min/avg/p50/p99/max = \(Self.text(least))/\(Self.text(mean))/\(Self.text(middle))/\(Self.text(high))/\(Self.text(most)) ms\n"
        }
        if let offset = results.offset, offset > .milliseconds(50) || offset < .milliseconds(-50) {
            text += "its clock is \(offset.milliseconds) ms \(offset > .zero ? "before" : "behind") this one\n"
        }
        Session.current.out(text)
    }

    /// The summary as programs read it.
    private func value(of results: Results) -> Value {
        let sorted = results.took.sorted()
        func at(_ share: Double) -> Value? { sorted.isEmpty ? nil : .double(Self.milliseconds(Self.quantile(sorted, share))) }
        let mean = sorted.isEmpty ? nil : sorted.reduce(.zero, +) / sorted.count
        return .object([
            "sent": Value(results.sent), "answered": Value(sorted.count), "minMs": at(0),
            "meanMs": mean.map { .double(Self.milliseconds($0)) }, "p50Ms": at(0.5), "p99Ms": at(0.99),
            "maxMs": sorted.last.map { .double(Self.milliseconds($0)) }, "error": results.error.map(Value.string),
        ])
    }

    /// The least answer that so many of them are no slower than (nearest rank); of sorted ones, of which there is one at least.
    private static func quantile(_ sorted: [Duration], _ share: Double) -> Duration {
        sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
    }

    private static func milliseconds(_ duration: Duration) -> Double { Double(duration.nanoseconds) / 1e6 }
    private static func text(_ duration: Duration) -> String { String(format: "%.3f", milliseconds(duration)) }
}
