import Foundation
import Glibc

/// Keeps one HTTP request in flight on each of many connections of loopback: one thread, poll(2), no parsing but status and length, so
/// that it leaves the cores to the node.
struct LoadClient {
    struct Failed: Error {
        let what: String
    }

    struct Outcome {
        var requests = 0
        var failures = 0
        var seconds = 0.0
        /// Seconds for each request.
        var latencies: [Double] = []
    }

    private struct Connection {
        var socket: Int32
        var inbox: [UInt8] = []
        var outbox: ArraySlice<UInt8> = []
        var sentAt = 0.0
    }

    let port: Int
    let connections: Int
    /// Connections go to these in turn with the first.
    var otherPorts: [Int] = []
    /// Requests a second over all connections; 0 for as many as it can.
    var rate = 0.0

    /// Sends what `make` gives (a whole request) until the time is over or `make` returns nil.
    func run(seconds: Double, make: (Int) -> [UInt8]?) throws -> Outcome {
        let ports = [port] + otherPorts
        var all = try (0..<connections).map { Connection(socket: try Self.connect(ports[$0 % ports.count])) }
        defer { for connection in all { close(connection.socket) } }
        var outcome = Outcome()
        let began = Self.now()
        var sent = 0
        var idle = Array(all.indices)
        var inFlight = 0
        var isOver = false
        var watched = all.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        while !isOver || inFlight > 0 {
            if Self.now() - began > seconds + 30 { throw Failed(what: "no answer for 30 s") }
            let time = Self.now() - began
            if time > seconds { isOver = true }
            while !isOver, !idle.isEmpty, rate == 0 || Double(sent) < rate * time {
                guard let request = make(sent) else {
                    isOver = true
                    break
                }
                let place = idle.removeLast()
                all[place].outbox = request[...]
                all[place].sentAt = Self.now()
                sent += 1
                inFlight += 1
                try Self.flush(&all[place])
            }
            if inFlight == 0, isOver { break }
            guard poll(&watched, nfds_t(watched.count), rate > 0 ? 1 : 100) > 0 else { continue }
            for place in watched.indices where watched[place].revents != 0 {
                if !all[place].outbox.isEmpty { try Self.flush(&all[place]) }
                guard let status = try Self.receive(&all[place]) else { continue }
                outcome.requests += 1
                if status >= 300 { outcome.failures += 1 }
                outcome.latencies.append(Self.now() - all[place].sentAt)
                inFlight -= 1
                idle.append(place)
            }
        }
        outcome.seconds = Self.now() - began
        return outcome
    }

    static func request(_ method: String, _ path: String, _ body: [UInt8], type: String = "application/json") -> [UInt8] {
        Array("\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
    }

    /// One request on a connection of its own; its body.
    static func once(_ port: Int, _ method: String, _ path: String, _ body: [UInt8]) throws -> [UInt8] {
        var connection = Connection(socket: try connect(port))
        defer { close(connection.socket) }
        connection.outbox = request(method, path, body)[...]
        let end = now() + 30
        while now() < end {
            if !connection.outbox.isEmpty { try flush(&connection) }
            var last: [UInt8] = []
            if try receive(&connection, body: &last) != nil { return last }
            usleep(200)
        }
        throw Failed(what: "no answer to \(path)")
    }

    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func connect(_ port: Int) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failed(what: "cannot connect to port \(port)") }
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
        _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
        return socket
    }

    private static func flush(_ connection: inout Connection) throws {
        while !connection.outbox.isEmpty {
            let count = connection.outbox.withUnsafeBytes { send(connection.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                guard errno == EAGAIN else { throw Failed(what: "send") }
                return
            }
            connection.outbox = connection.outbox.dropFirst(count)
        }
    }

    private static func receive(_ connection: inout Connection) throws -> Int? {
        var ignored: [UInt8] = []
        return try receive(&connection, body: &ignored)
    }

    /// The status of an answer that has come in whole.
    private static func receive(_ connection: inout Connection, body: inout [UInt8]) throws -> Int? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(connection.socket, &buffer, buffer.count, 0)
            if count == 0 { throw Failed(what: "connection closed") }
            if count < 0 { break }
            connection.inbox += buffer.prefix(count)
            if count < buffer.count { break }
        }
        guard let head = headEnd(connection.inbox) else { return nil }
        let text = String(decoding: connection.inbox.prefix(head), as: UTF8.self).lowercased()
        guard let mark = text.range(of: "content-length: ") else { throw Failed(what: "an answer without a length") }
        let length = Int(text[mark.upperBound...].prefix { $0.isNumber }) ?? 0
        guard connection.inbox.count >= head + length else { return nil }
        body = Array(connection.inbox[head..<head + length])
        connection.inbox.removeAll(keepingCapacity: true)
        return Int(text.dropFirst(9).prefix(3)) ?? 0
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for place in 3..<bytes.count where bytes[place] == 0x0A && bytes[place - 1] == 0x0D && bytes[place - 2] == 0x0A { return place + 1 }
        return nil
    }
}
