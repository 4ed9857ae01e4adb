import NIOCore
import Primitives
import Raft
import Wire

// Faults N4: messages as bytes of connections, which end in the middle of a frame, go silent, come byte by byte, or overlap with the connection after them.
extension World {
    /// Something happens to a connection.
    func tangle(_ from: Int, _ to: Int) {
        guard from != to else { return }
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: network[from, to].connection.trouble = .cut
        case 1: network[from, to].connection.trouble = .late
        case 2: network[from, to].connection.dribblesUntil = now + 300_000_000
        case 3: silence(from, to, isAccepted: false)
        default:
            // A new one, which the other side takes and never reads nor answers.
            silence(from, to, isAccepted: true)
            silence(to, from, isAccepted: true)
        }
    }

    private func silence(_ from: Int, _ to: Int, isAccepted: Bool) {
        network[from, to].connection.silentUntil = now + exponential(1_000_000_000)
        network[from, to].connection.isAccepted = isAccepted
        // Whoever notices opens another one.
        network[from, to].connection.number = 0
    }

    /// Writes a frame to the connection of the moment.
    func write(_ frame: ByteBuffer, from: Int, to: Int) {
        guard now >= network[from, to].connection.silentUntil else {
            return coverage.saw(network[from, to].connection.isAccepted ? .acceptedSilent : .halfOpen)
        }
        if network[from, to].connection.number == 0 { open(from, to) }
        let connection = network[from, to].connection
        let arrival = max(connection.arrives, now + delay())
        network[from, to].connection.arrives = arrival
        network[from, to].connection.trouble = nil
        let cut = Int.random(in: 1..<frame.readableBytes, using: &generator)
        switch connection.trouble {
        case .cut:
            send(frame, 0..<cut, from, to, at: arrival)
            schedule(.closed(to: to, from: from, stream: connection.number), after: arrival - now)
            network[from, to].connection.number = 0
        case .late:
            send(frame, 0..<cut, from, to, at: arrival)
            send(frame, cut..<frame.readableBytes, from, to, at: arrival + exponential(1_000_000_000))
            network[from, to].connection.number = 0
        case nil where now < connection.dribblesUntil:
            coverage.saw(.byteByByte)
            for place in 0..<frame.readableBytes { send(frame, place..<place + 1, from, to, at: arrival) }
        case nil: send(frame, 0..<frame.readableBytes, from, to, at: arrival)
        }
    }

    private func open(_ from: Int, _ to: Int) {
        streams += 1
        inbound[streams] = InboundStream(boot: servers[to].boot)
        network[from, to].connection.number = streams
        network[from, to].connection.arrives = now
    }

    private func send(_ frame: ByteBuffer, _ part: Range<Int>, _ from: Int, _ to: Int, at time: Int64) {
        guard let piece = frame.getSlice(at: frame.readerIndex + part.lowerBound, length: part.count) else { return }
        let stream = network[from, to].connection.number
        schedule(.bytes(to: to, from: from, stream: stream, hello: servers[from].folder, piece), after: time - now)
    }

    /// Bytes come; whatever frames they make whole are handled.
    func arrive(_ bytes: ByteBuffer, on stream: UInt64, at server: SimulatedServer, from: Int, hello: UUIDv7?) {
        guard var own = inbound.removeValue(forKey: stream) else { return }
        guard server.isUp, server.boot == own.boot, !network[from, server.number].isCut, knows(from, by: hello), !server.isDenied else {
            coverage.saw(.messageLost)
            return lose(stream, from, server.number)
        }
        own.decoder.append(bytes)
        var frames: [Frame] = []
        do throws(WireError) {
            while let frame = try own.decoder.next() { frames.append(frame) }
            inbound[stream] = own
        } catch {
            // Nothing that follows can be told apart: the connection is closed.
            coverage.saw(.streamBroken)
            lose(stream, from, server.number)
        }
        for frame in frames where server.isUp && server.boot == own.boot {
            if network[from, server.number].connection.number != stream { coverage.saw(.streamsMixed) }
            deliver(frame, at: server, from: from)
        }
    }

    /// A connection is closed: what its last frame lacks never comes.
    func close(_ stream: UInt64, at server: SimulatedServer, from: Int) {
        guard let own = inbound[stream] else { return }
        if own.decoder.waitingBytes > 0 { coverage.saw(.frameCut) }
        lose(stream, from, server.number)
    }

    private func lose(_ stream: UInt64, _ from: Int, _ to: Int) {
        inbound[stream] = nil
        if network[from, to].connection.number == stream { network[from, to].connection.number = 0 }
        guard servers[from].isUp, !servers[from].isPaused else { return }
        handle(.unreachable(servers[to].id), at: servers[from])
    }
}
