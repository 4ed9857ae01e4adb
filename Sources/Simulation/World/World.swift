import Cluster
import HeapModule
import NIOCore
package import Primitives
import Raft
import Storage
import Wire

/// Why a simulation stopped.
package struct SimulationViolation: Error, Equatable, Sendable, CustomStringConvertible {
    /// Of design 6: R1 to R23, C1 and C2; or `storage`, `wire`, `history` for what should not have been possible.
    package var invariant: String
    package var what: String
    /// Simulated.
    package var nanoseconds: Int64
    package var event: UInt64

    package var description: String {
        "\(invariant) at event \(event), \(Double(nanoseconds / 1_000) / 1_000_000) s: \(what)"
    }
}

/// A whole cluster in one thread, on simulated clocks, network and disks: one heap of (time, event), and one seed that decides everything. Same seed and same program
/// give the same events to the last byte.
package final class World {
    enum Occurrence {
        case arrival(to: Int, from: Int, frame: ByteBuffer)
        case timer(Int, boot: UInt32)
        case disk(Int, boot: UInt32)
        case fetched(Int, boot: UInt32, RaftOutput.Fetch)
        case resumes(Int, boot: UInt32, SnapshotMark)
        case unreadable(Int, boot: UInt32, SnapshotMark)
        case invoke(Int)
        case giveUp(Int, attempt: UInt64)
        case again(Int, attempt: UInt64)
        case fault
        case change
        case restart(Int, boot: UInt32)
        case unpause(Int)
        case release(Int, Int)
    }

    struct Scheduled: Comparable {
        var time: Int64
        /// In the order in which they were thought of, where times are the same.
        var number: UInt64
        var occurrence: Occurrence

        static func == (left: Scheduled, right: Scheduled) -> Bool { left.number == right.number }
        static func < (left: Scheduled, right: Scheduled) -> Bool { (left.time, left.number) < (right.time, right.number) }
    }

    package let plan: SimulationPlan
    package internal(set) var now: Int64 = 0
    package internal(set) var events: UInt64 = 0
    package internal(set) var coverage = Coverage()
    package internal(set) var violation: SimulationViolation?
    /// Over everything that happened.
    package internal(set) var traceHash = StableHasher()
    /// Gets one JSON object for each thing that a model checker or a person would like to know.
    package var trace: ((TraceEvent) -> Void)?

    var generator: SeededGenerator
    var queue = Heap<Scheduled>()
    var scheduled: UInt64 = 0
    var servers: [SimulatedServer] = []
    var network: SimulatedNetwork
    var clients: [SimulatedClient] = []
    var history = History()
    var checks: RaftChecks
    var output = RaftOutput()
    var attempts: UInt64 = 0
    var nextProcess: Int
    var nextValue: UInt64 = 0
    /// The highest index whose outcome any client knows.
    var acknowledged = LogIndex.zero
    var areFaultsOn = true
    var areClientsOn = true

    package init(plan: SimulationPlan) {
        self.plan = plan
        generator = SeededGenerator(seed: plan.seed)
        let count = plan.servers + plan.spares
        network = SimulatedNetwork(count: count)
        nextProcess = plan.clients
        checks = RaftChecks(servers: count)
        let ids = (0..<count).compactMap { try? NodeID("n\($0 + 1)") }
        let first = Configuration(voters: Array(ids.prefix(plan.servers)))
        for number in 0..<count {
            let server = SimulatedServer(
                number: number, id: ids[number], seed: generator.next(), keys: plan.keys,
                configuration: number < plan.servers ? first : Configuration())
            server.offset = .random(in: 0...1_000_000_000_000, using: &generator)
            if plan.faults.contains(.clocks) { server.rate = 1 + Double.random(in: -0.02...0.02, using: &generator) }
            servers.append(server)
        }
        for number in 0..<plan.clients {
            clients.append(SimulatedClient(number: number, process: number))
        }
    }

    // MARK: Running

    func schedule(_ occurrence: Occurrence, after delay: Int64) {
        scheduled += 1
        queue.insert(Scheduled(time: now + max(0, delay), number: scheduled, occurrence: occurrence))
    }

    /// Around a mean, as independent events are.
    func exponential(_ mean: Int64) -> Int64 {
        let chance = Double.random(in: 1e-9..<1, using: &generator)
        return Int64(-_log(chance) * Double(mean))
    }

    func chance(_ perMillion: Int) -> Bool { perMillion > 0 && Int.random(in: 0..<1_000_000, using: &generator) < perMillion }

    /// Runs until a simulated time, or until something is wrong.
    func run(until end: Int64) {
        while violation == nil, let next = queue.min, next.time <= end {
            queue.removeMin()
            now = next.time
            events += 1
            perform(next.occurrence)
        }
        now = max(now, violation == nil ? end : now)
    }

    private func perform(_ occurrence: Occurrence) {
        switch occurrence {
        case .arrival(let to, let from, let frame): arrive(frame, at: servers[to], from: from)
        case .timer(let number, let boot):
            let server = servers[number]
            guard server.boot == boot, server.isUp else { return }
            server.timer = nil
            guard !server.isPaused else { return }
            handle(.tick, at: server)
        case .disk(let number, let boot):
            guard servers[number].boot == boot, servers[number].isUp else { return }
            finishBatch(servers[number])
        case .fetched(let number, let boot, let fetch):
            guard servers[number].boot == boot, servers[number].isUp else { return }
            fetched(fetch, at: servers[number])
        case .resumes(let number, let boot, let mark):
            guard servers[number].boot == boot, servers[number].isUp else { return }
            resumes(mark, at: servers[number])
        case .unreadable(let number, let boot, let mark):
            guard servers[number].boot == boot, servers[number].isUp else { return }
            handle(.snapshotUnreadable(mark), at: servers[number])
        case .invoke(let client): invoke(client)
        case .giveUp(let client, let attempt): giveUp(client, attempt)
        case .again(let client, let attempt): tryAgain(client, attempt)
        case .fault:
            guard areFaultsOn else { return }
            strike()
            schedule(.fault, after: exponential(plan.faultEvery))
        case .change:
            guard areFaultsOn else { return }
            changeMembers()
            schedule(.change, after: exponential(700_000_000))
        case .restart(let number, let boot):
            guard servers[number].boot == boot, !servers[number].isUp else { return }
            start(servers[number])
        case .unpause(let number): unpause(servers[number])
        case .release(let from, let to): release(from, to)
        }
    }

    func fail(_ invariant: String, _ what: String) {
        guard violation == nil else { return }
        violation = SimulationViolation(invariant: invariant, what: what, nanoseconds: now, event: events)
    }

    // MARK: Messages

    func send(_ outgoing: RaftOutput.Outgoing, from server: SimulatedServer) {
        guard let to = servers.firstIndex(where: { $0.id == outgoing.to }) else { return }
        checks.sent(outgoing.message, from: server, in: self)
        var message = outgoing.message
        if case .preVoteReply(let answer) = message, !answer.isGranted { coverage.saw(.preVoteRefused) }
        if case .installSnapshot(var chunk) = message {
            guard let storage = server.storage, let data = try? storage.chunk(chunk.chunk, of: chunk.snapshot) else {
                return schedule(.unreadable(server.number, boot: server.boot, chunk.snapshot), after: 0)
            }
            chunk.data = data
            message = .installSnapshot(chunk)
        }
        tell(.sent(message, to: servers[to].id), server)
        var frame = ByteBuffer()
        RaftCodec.encode(message, from: server.id, chunkBytes: plan.settings.chunkBytes, into: &frame)
        if network[server.number, to].isCut { return coverage.saw(.messageLost) }
        if network[server.number, to].isClogged { return network[server.number, to].waiting.append(frame) }
        post(frame, from: server.number, to: to)
    }

    func post(_ frame: ByteBuffer, from: Int, to: Int) {
        if areFaultsOn, chance(plan.lossPerMillion) { return coverage.saw(.messageLost) }
        var frame = frame
        if areFaultsOn, chance(plan.corruptPerMillion) {
            let place = frame.readerIndex + Int.random(in: 0..<frame.readableBytes, using: &generator)
            let byte: UInt8 = frame.getInteger(at: place) ?? 0
            frame.setInteger(byte ^ (1 << UInt8.random(in: 0..<8, using: &generator)), at: place)
            coverage.saw(.messageCorrupt)
        }
        schedule(.arrival(to: to, from: from, frame: frame), after: delay())
        if areFaultsOn, chance(plan.duplicatesPerMillion) {
            coverage.saw(.messageTwice)
            schedule(.arrival(to: to, from: from, frame: frame), after: delay())
        }
    }

    private func delay() -> Int64 {
        guard areFaultsOn, chance(plan.latePerMillion) else { return plan.latency / 2 + exponential(plan.latency / 2) }
        coverage.saw(.messageLate)
        return exponential(plan.latency * 100 + 500_000_000)
    }

    private func arrive(_ frame: ByteBuffer, at server: SimulatedServer, from: Int) {
        guard server.isUp, !network[from, server.number].isCut else { return coverage.saw(.messageLost) }
        var decoder = FrameDecoder()
        decoder.append(frame)
        do throws(WireError) {
            guard let whole = try decoder.next(), let incoming = try RaftCodec.decode(whole) else { return }
            guard incoming.from == servers[from].id else { return fail("wire", "a frame of \(servers[from].id) says \(incoming.from)") }
            if server.isPaused { return server.inbox.append((from, incoming.message)) }
            handle(.message(incoming.message, from: incoming.from), at: server)
        } catch {
            // What the checksum catches is as good as lost.
            coverage.saw(.messageLost)
        }
    }
}

private func _log(_ value: Double) -> Double {
    // The natural logarithm of a number between 0 and 1, by its exponent and a series: the same to the last bit on every machine.
    let exponent = Double(value.exponent)
    let y = (value.significand - 1) / (value.significand + 1)
    let square = y * y
    var (term, sum, divisor) = (y, 0.0, 1.0)
    for _ in 0..<16 {
        sum += term / divisor
        term *= square
        divisor += 2
    }
    return 2 * sum + exponent * 0.6931471805599453
}
