import Foundation
import Glibc

/// Keeps so many puts in flight at a member of etcd: gRPC (its specification: "gRPC over HTTP2") on HTTP/2 in the clear (RFC 9113), one thread,
/// poll(2). As `LoadClient` does, it reads no more than it must, so that it leaves the cores to the server: of an answer that it has a body,
/// which an error has not.
struct EtcdClient {
    /// One put that waits for its answer.
    private struct Flight {
        var sentAt: Double
        var hasBody = false
    }

    private struct Connection {
        var socket: Int32
        var inbox: [UInt8] = []
        var outbox: ArraySlice<UInt8> = []
        var flights: [UInt32: Flight] = [:]
        var nextStream: UInt32 = 1
        /// Bytes of bodies that may still be sent (section 5.2).
        var window = 65_535
    }

    /// Types of frames (section 6).
    private enum Kind {
        static let data: UInt8 = 0, headers: UInt8 = 1, reset: UInt8 = 3, settings: UInt8 = 4, ping: UInt8 = 6, goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
    }

    private static let flightsPerConnection = 64
    private static let endStream: UInt8 = 1
    private static let endHeaders: UInt8 = 4
    private static let acknowledged: UInt8 = 1
    /// Keys that are written, over and over.
    private static let keys = 100_000

    let port: Int
    let flights: Int
    var valueBytes = 256

    func run(seconds: Double) throws -> LoadClient.Outcome {
        let count = (flights + Self.flightsPerConnection - 1) / Self.flightsPerConnection
        var all = try (0..<count).map { _ in try open() }
        defer { for connection in all { close(connection.socket) } }
        var watched = all.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        var outcome = LoadClient.Outcome()
        var sent = 0
        let began = LoadClient.now()
        while true {
            let time = LoadClient.now() - began
            guard time < seconds + 30 else { throw LoadClient.Failed(what: "no answer of etcd for 30 s") }
            for place in all.indices {
                while time < seconds, all[place].flights.count < share(of: place, count), put(sent, on: &all[place]) { sent += 1 }
                try flush(&all[place])
            }
            guard time < seconds || all.contains(where: { !$0.flights.isEmpty }) else { break }
            guard poll(&watched, nfds_t(watched.count), 100) > 0 else { continue }
            for place in watched.indices where watched[place].revents != 0 { try receive(&all[place], &outcome) }
        }
        outcome.seconds = LoadClient.now() - began
        return outcome
    }

    private func share(of place: Int, _ count: Int) -> Int { flights / count + (place < flights % count ? 1 : 0) }

    /// The preface, no settings of its own, and room for all answers that a bench can get.
    private func open() throws -> Connection {
        let socket = try Loopback.connect(port, 5000)
        _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
        var connection = Connection(socket: socket)
        connection.outbox += Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        Self.frame(Kind.settings, 0, 0, [], &connection)
        Self.frame(Kind.windowUpdate, 0, 0, Self.big(0x7FFF_0000), &connection)
        return connection
    }

    private static func big(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }

    private static func frame(_ kind: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8], _ connection: inout Connection) {
        connection.outbox += big(UInt32(payload.count)).dropFirst() + [kind, flags] + big(stream)
        connection.outbox += payload
    }

    /// Without compression but that of the static table (RFC 7541, appendix A): method POST, scheme http, path, authority, type, trailers.
    private static let headers: [UInt8] = {
        func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
        return [0x83, 0x86, 0x04] + text("/etcdserverpb.KV/Put") + [0x01] + text("127.0.0.1") + [0x0F, 0x10] + text("application/grpc")
            + [0x00] + text("te") + text("trailers")
    }()

    /// False where the server gives no room for it now.
    private func put(_ number: Int, on connection: inout Connection) -> Bool {
        let key = Array("bench/\(number % Self.keys)".utf8)
        let length = [UInt8(valueBytes & 0x7F | 0x80), UInt8(valueBytes >> 7)]
        let message = [0x0A, UInt8(key.count)] + key + [0x12] + length + [UInt8](repeating: 0x78, count: valueBytes)
        let body = [0] + Self.big(UInt32(message.count)) + message
        guard connection.window >= body.count else { return false }
        connection.window -= body.count
        let stream = connection.nextStream
        connection.nextStream += 2
        connection.flights[stream] = Flight(sentAt: LoadClient.now())
        Self.frame(Kind.headers, Self.endHeaders, stream, Self.headers, &connection)
        Self.frame(Kind.data, Self.endStream, stream, body, &connection)
        return true
    }

    private func flush(_ connection: inout Connection) throws {
        while !connection.outbox.isEmpty {
            let count = connection.outbox.withUnsafeBytes { send(connection.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                guard errno == EAGAIN else { throw LoadClient.Failed(what: "etcd closed the connection") }
                return
            }
            connection.outbox = connection.outbox.dropFirst(count)
        }
        connection.outbox = []
    }

    private func receive(_ connection: inout Connection, _ outcome: inout LoadClient.Outcome) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(connection.socket, &buffer, buffer.count, 0)
        guard count != 0 else { throw LoadClient.Failed(what: "etcd closed the connection") }
        guard count > 0 else { return }
        connection.inbox += buffer.prefix(count)
        var at = 0
        func number(_ place: Int) -> UInt32 { (0..<4).reduce(0) { $0 << 8 | UInt32(connection.inbox[place + $1]) } }
        while connection.inbox.count >= at + 9 {
            let length = Int(number(at) >> 8)
            guard connection.inbox.count >= at + 9 + length else { break }
            let (kind, flags, stream) = (connection.inbox[at + 3], connection.inbox[at + 4], number(at + 5) & 0x7FFF_FFFF)
            let payload = Array(connection.inbox[at + 9..<at + 9 + length])
            at += 9 + length
            try take(kind, flags, stream, payload, &connection, &outcome)
        }
        connection.inbox.removeFirst(at)
    }

    private func take(
        _ kind: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8], _ connection: inout Connection,
        _ outcome: inout LoadClient.Outcome
    ) throws {
        switch kind {
        case Kind.data, Kind.headers, Kind.reset:
            if kind == Kind.data, !payload.isEmpty { connection.flights[stream]?.hasBody = true }
            guard kind == Kind.reset || flags & Self.endStream != 0, let flight = connection.flights.removeValue(forKey: stream) else {
                return
            }
            outcome.requests += 1
            if kind == Kind.reset || !flight.hasBody { outcome.failures += 1 }
            outcome.latencies.append(LoadClient.now() - flight.sentAt)
        case Kind.settings where flags & Self.acknowledged == 0: Self.frame(Kind.settings, Self.acknowledged, 0, [], &connection)
        case Kind.ping where flags & Self.acknowledged == 0: Self.frame(Kind.ping, Self.acknowledged, 0, payload, &connection)
        case Kind.windowUpdate where stream == 0:
            connection.window += Int(payload.reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        case Kind.goAway: throw LoadClient.Failed(what: "etcd ended the connection")
        default: break
        }
    }
}
