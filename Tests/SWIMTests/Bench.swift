import Primitives
import Testing

@testable import SWIM

/// n1, n2, ...
func node(_ number: Int) -> NodeID { (try? NodeID("n\(number)")) ?? .unnamed }

func identity(_ number: Int, epoch: UInt64 = 1) -> MemberIdentity { MemberIdentity(node: node(number), epoch: epoch) }

func gossipAddress(_ number: Int) -> String { "n\(number):7946" }

func rpcAddress(_ number: Int) -> String { "n\(number):9000" }

func metadata(_ number: Int, version: UInt64 = 0, software: String = "") -> MemberMetadata {
    var metadata = MemberMetadata(gossip: gossipAddress(number), rpc: rpcAddress(number))
    (metadata.version, metadata.software) = (Incarnation(version), software)
    return metadata
}

func alive(_ number: Int, _ incarnation: UInt64 = 0, epoch: UInt64 = 1, version: UInt64 = 0, software: String = "") -> Rumour {
    Rumour(
        identity(number, epoch: epoch), incarnation: Incarnation(incarnation), .alive,
        metadata: metadata(number, version: version, software: software))
}

func suspect(_ number: Int, _ incarnation: UInt64 = 0, epoch: UInt64 = 1, by accuser: Int) -> Rumour {
    Rumour(identity(number, epoch: epoch), incarnation: Incarnation(incarnation), .suspect, accuser: node(accuser))
}

func dead(_ number: Int, _ incarnation: UInt64 = 0, epoch: UInt64 = 1, by accuser: Int = 9) -> Rumour {
    Rumour(identity(number, epoch: epoch), incarnation: Incarnation(incarnation), .dead, accuser: node(accuser))
}

func left(_ number: Int, _ incarnation: UInt64 = 0, epoch: UInt64 = 1) -> Rumour {
    Rumour(identity(number, epoch: epoch), incarnation: Incarnation(incarnation), .left)
}

/// One core under test, n1, at epoch 1, with a clock that goes as the test says.
struct Bench {
    var core: SWIMCore
    var now = Instant(nanoseconds: 0)
    /// What came out since it was last taken.
    var output = SWIMOutput()

    /// - Parameter members: who is known already, and told of no more.
    init(
        members: ClosedRange<Int>? = nil, epoch: UInt64 = 1, seed: UInt64 = 1,
        settings change: (inout SWIMSettings) -> Void = { _ in }
    ) throws {
        var settings = SWIMSettings()
        // Anti-entropy is tested by itself.
        (settings.exchangeInterval, settings.reconnectInterval) = (.seconds(100_000), .seconds(100_000))
        change(&settings)
        core = try SWIMCore(
            identity: identity(1, epoch: epoch), metadata: metadata(1), settings: settings.validated(),
            generator: SeededGenerator(seed: seed), now: now)
        guard let members else { return }
        hear(members.map { alive($0) })
        forgetNews()
    }

    // MARK: Events

    mutating func handle(_ event: SWIMCore.Event) {
        var next = SWIMOutput()
        core.handle(event, now: now, into: &next)
        output.datagrams += next.datagrams
        output.streamPings += next.streamPings
        output.exchanges += next.exchanges
        output.answers += next.answers
        output.changes += next.changes
        output.conflicts += next.conflicts
        output.renewed = next.renewed ?? output.renewed
        output.hasLeft = output.hasLeft || next.hasLeft
    }

    mutating func receive(_ message: SWIMMessage, from sender: Int) { handle(.message(message, from: gossipAddress(sender))) }

    /// News from n2, in a datagram of its own.
    mutating func hear(_ news: [Rumour]) {
        receive(.membershipUpdate(.init(from: identity(2), news: news)), from: 2)
    }

    /// Ticks as they are due, until so much time has passed.
    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while core.nextDeadline <= end {
            now = max(now, core.nextDeadline)
            handle(.tick)
        }
        now = end
    }

    /// All news counts as told.
    mutating func forgetNews() {
        core.dissemination.removeAll()
        core.gossipDue = nil
        handle(.tick)
        output.clear()
    }

    mutating func take() -> SWIMOutput {
        defer { output.clear() }
        return output
    }

    // MARK: Looking

    func liveness(_ number: Int) -> Liveness? { core.member(node(number))?.liveness }

    var pings: [(to: String, ping: SWIMMessage.Ping)] {
        output.datagrams.compactMap { datagram in
            guard case .ping(let ping) = datagram.message else { return nil }
            return (datagram.address, ping)
        }
    }

    var acks: [(to: String, ack: SWIMMessage.Ack)] {
        output.datagrams.compactMap { datagram in
            guard case .ack(let ack) = datagram.message else { return nil }
            return (datagram.address, ack)
        }
    }

    var requests: [(to: String, request: SWIMMessage.PingReq)] {
        output.datagrams.compactMap { datagram in
            guard case .pingReq(let request) = datagram.message else { return nil }
            return (datagram.address, request)
        }
    }

    var nacks: [(to: String, nack: SWIMMessage.Nack)] {
        output.datagrams.compactMap { datagram in
            guard case .nack(let nack) = datagram.message else { return nil }
            return (datagram.address, nack)
        }
    }

    /// All news that went out, whatever it rode on.
    var told: [Rumour] { output.datagrams.flatMap(\.message.news) }

    /// Goes to the next ping, and takes it out of the output with all else.
    mutating func nextPing() throws -> (to: String, ping: SWIMMessage.Ping) {
        output.clear()
        let known = core.counts.probes
        var steps = 0
        while core.counts.probes == known, steps < 1_000 {
            now = max(now, core.nextDeadline)
            handle(.tick)
            steps += 1
        }
        let ping = try #require(pings.last)
        output.clear()
        return ping
    }

    mutating func answer(_ ping: SWIMMessage.Ping, epoch: UInt64 = 1) throws {
        let number = try #require(Int(ping.target.node.text.dropFirst()))
        receive(.ack(.init(sequence: ping.sequence, from: identity(number, epoch: epoch), incarnation: .zero)), from: number)
    }
}
