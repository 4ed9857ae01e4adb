import Foundation
import Glibc
import NIOCore
import Wire

/// Messages over many connections of the binary protocol from one thread: it leaves the cores to the nodes.
struct CallLoad {
    struct Failed: Error, CustomStringConvertible { let description: String }

    struct Outcome {
        /// Messages that are durable.
        var acknowledged = 0
        /// Refused for now: busy, or too late.
        var refused = 0
        /// Answered otherwise, or not at all.
        var failed = 0
        /// Were due while every connection had as many calls open as it may.
        var unsent = 0
        var seconds = 0.0
        /// Seconds for each call whose messages were taken, from when it was due.
        var latencies: [Double] = []
        var lastError: String?

        var rate: Double { Double(acknowledged) / seconds }
    }

    let ports: [Int]
    let connections: Int
    /// Calls of one connection at once.
    var depth = 1
    var messagesPerCall = 1
    /// Calls a second over all connections, whether answers come or not; nil for as many as are answered.
    var rate: Double?
    var timeoutMilliseconds: UInt32 = 10_000

    private static let patience = 20.0

    private struct Round {
        var sockets: [CallSocket]
        var outcome = Outcome()
        let began = LoadClient.now()
        /// Calls that were due so far, of a load with a rate.
        var due = 0
        /// The connection whose turn it is.
        var next = 0
        var inFlight = 0
        var isOver = false
    }

    /// - Parameter make: the next message; nil ends the load.
    func run(seconds: Double, make: () -> [UInt8]?) throws -> Outcome {
        var round = Round(sockets: try (0..<connections).map { try CallSocket(port: ports[$0 % ports.count]) })
        defer { for socket in round.sockets { socket.shut() } }
        while true {
            let spent = LoadClient.now() - round.began
            if spent > seconds { round.isOver = true }
            if round.isOver, round.inFlight == 0 { break }
            if spent > seconds + Self.patience {
                round.outcome.failed += round.inFlight * messagesPerCall
                round.outcome.lastError = "no answer for \(Int(Self.patience)) s"
                break
            }
            if let rate { callDue(rate, &round, make) } else { callFree(&round, make) }
            try exchange(&round)
        }
        round.outcome.seconds = LoadClient.now() - round.began
        return round.outcome
    }

    /// What is due by the clock, on the next connection that has room.
    private func callDue(_ rate: Double, _ round: inout Round, _ make: () -> [UInt8]?) {
        let wanted = Int((LoadClient.now() - round.began) * rate)
        while !round.isOver, round.due < wanted {
            round.due += 1
            let places = (0..<connections).lazy.map { [next = round.next] in (next + $0) % connections }
            guard let place = places.first(where: { round.sockets[$0].open < depth }) else {
                round.outcome.unsent += messagesPerCall
                continue
            }
            round.next = place + 1
            call(place, at: round.began + Double(round.due) / rate, &round, make)
        }
    }

    private func callFree(_ round: inout Round, _ make: () -> [UInt8]?) {
        let now = LoadClient.now()
        for place in round.sockets.indices {
            while !round.isOver, round.sockets[place].open < depth { call(place, at: now, &round, make) }
        }
    }

    /// The load is over when there is nothing more to send.
    private func call(_ place: Int, at time: Double, _ round: inout Round, _ make: () -> [UInt8]?) {
        var messages: [[UInt8]] = []
        while messages.count < messagesPerCall, let message = make() { messages.append(message) }
        guard messages.count == messagesPerCall else { return round.isOver = true }
        round.sockets[place].call(ClientSubmit(messages: messages), timeoutMilliseconds, at: time)
        round.inFlight += 1
    }

    private func exchange(_ round: inout Round) throws {
        for place in round.sockets.indices where round.sockets[place].hasOutbox { try round.sockets[place].flush() }
        var watched = round.sockets.map { socket in
            pollfd(fd: socket.descriptor, events: Int16(POLLIN) | (socket.hasOutbox ? Int16(POLLOUT) : 0), revents: 0)
        }
        guard poll(&watched, nfds_t(watched.count), rate != nil ? 1 : 100) > 0 else { return }
        let now = LoadClient.now()
        for place in watched.indices where watched[place].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
            try round.sockets[place].receive()
            while let (frame, since) = try round.sockets[place].answer() {
                round.inFlight -= 1
                count(frame, since, now, &round.outcome)
            }
        }
    }

    private func count(_ frame: Frame, _ since: Double, _ now: Double, _ outcome: inout Outcome) {
        if frame.header.type == .error {
            let error = try? ErrorReply.decode(frame.payload)
            if error?.code == .busy || error?.code == .deadlineExceeded {
                outcome.refused += messagesPerCall
            } else {
                outcome.failed += messagesPerCall
            }
            return outcome.lastError = error?.message ?? "an error that cannot be read"
        }
        guard let reply = try? ClientResponse.decode(frame.payload) else {
            outcome.failed += messagesPerCall
            return outcome.lastError = "an answer that cannot be read"
        }
        let taken = reply.results.count { $0.status == 202 }
        let refused = reply.results.count { $0.status == 503 && $0.code == "busy" }
        outcome.acknowledged += taken
        outcome.refused += refused
        outcome.failed += reply.results.count - taken - refused
        if taken > 0 { outcome.latencies.append(now - since) }
        if taken < reply.results.count { outcome.lastError = reply.results.first { $0.status != 202 }?.detail }
    }
}

/// One connection of the binary protocol on a socket that nobody waits for.
struct CallSocket {
    let descriptor: Int32
    private var decoder = FrameDecoder()
    private var outbox = ByteBuffer()
    private var since: [UInt64: Double] = [:]
    private var nextID: UInt64 = 1

    /// Connects, and is greeted.
    init(port: Int) throws {
        descriptor = try Loopback.connect(port, 5000)
        outbox.writeImmutableBuffer(Hello().frame())
        try flush()
        while true {
            try receive()
            guard let frame = try decoder.next() else { continue }
            guard frame.header.type == .hello else {
                throw CallLoad.Failed(description: "port \(port) answers a hello with \(frame.header.type)")
            }
            break
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    var open: Int { since.count }
    var hasOutbox: Bool { outbox.readableBytes > 0 }

    func shut() { close(descriptor) }

    mutating func call(_ message: some WireCall, _ timeoutMilliseconds: UInt32, at time: Double) {
        let header = FrameHeader(type: type(of: message).type, id: nextID, millisecondsLeft: timeoutMilliseconds)
        message.encode(header, nil, into: &outbox)
        since[nextID] = time
        nextID += 1
    }

    mutating func flush() throws {
        while outbox.readableBytes > 0 {
            let count = outbox.withUnsafeReadableBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count >= 0 else {
                guard errno == EAGAIN || errno == EINTR else {
                    throw CallLoad.Failed(description: "a connection broke: \(String(cString: strerror(errno)))")
                }
                return
            }
            outbox.moveReaderIndex(forwardBy: count)
        }
        outbox.clear()
    }

    mutating func receive() throws {
        var buffer = ByteBuffer()
        var count = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1 << 16) { space in
            count = recv(descriptor, space.baseAddress, space.count, 0)
            return max(0, count)
        }
        if count > 0 { return decoder.append(buffer) }
        guard count < 0, errno == EAGAIN || errno == EINTR else { throw CallLoad.Failed(description: "a node closed a connection") }
    }

    /// The next answer, with when its call was due.
    mutating func answer() throws -> (Frame, Double)? {
        while let frame = try decoder.next() {
            if frame.header.type == .error, frame.header.id == 0 {
                let error = (try? ErrorReply.decode(frame.payload)).map { CallError($0).description }
                throw CallLoad.Failed(description: "a node ends a connection: \(error ?? "for no reason")")
            }
            if let began = since.removeValue(forKey: frame.header.id) { return (frame, began) }
        }
        return nil
    }
}
