import Cluster
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
        case arrival(to: Int, from: Int, hello: UUIDv7?, frame: ByteBuffer)
        case bytes(to: Int, from: Int, stream: UInt64, hello: UUIDv7?, ByteBuffer)
        case closed(to: Int, from: Int, stream: UInt64)
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
        case mend(Int)
        case readmit(Int)
        case swapBack(Int)
        case rollBack(Int, DiskImage, folder: UUIDv7?, end: LogIndex)
    }

    package let plan: SimulationPlan
    // What is looked at many times an event is not watched for overlapping access: that took a fourteenth of all time.
    @exclusivity(unchecked) package internal(set) var now: Int64 = 0
    @exclusivity(unchecked) package internal(set) var events: UInt64 = 0
    @exclusivity(unchecked) package internal(set) var coverage = Coverage()
    @exclusivity(unchecked) package internal(set) var violation: SimulationViolation?
    /// Over everything that happened.
    @exclusivity(unchecked) package internal(set) var traceHash = StableHasher()
    /// Gets one JSON object for each thing that a model checker or a person would like to know.
    @exclusivity(unchecked) package var trace: ((TraceEvent) -> Void)?

    @exclusivity(unchecked) var generator: SeededGenerator
    @exclusivity(unchecked) var agenda = Agenda()
    let servers: [SimulatedServer]
    @exclusivity(unchecked) var network: SimulatedNetwork
    @exclusivity(unchecked) var clients: [SimulatedClient] = []
    var history = History()
    @exclusivity(unchecked) var checks: RaftChecks
    @exclusivity(unchecked) var output = RaftOutput()
    var attempts: UInt64 = 0
    var nextProcess: Int
    var nextValue: UInt64 = 0
    /// The highest index whose outcome any client knows.
    var acknowledged = LogIndex.zero
    @exclusivity(unchecked) var areFaultsOn = true
    var areClientsOn = true
    /// Of connections: what came on each, and how many there were.
    var inbound: [UInt64: InboundStream] = [:]
    var streams: UInt64 = 0
    /// By server: of which folder the members know.
    var folders: [UUIDv7?]
    var madeFolders: UInt64 = 0
    /// Nothing else goes wrong before then.
    var quietUntil: Int64 = 0

    package init(plan: SimulationPlan) {
        self.plan = plan
        generator = SeededGenerator(seed: plan.seed)
        let count = plan.servers + plan.spares
        network = SimulatedNetwork(count: count)
        nextProcess = plan.clients
        folders = Array(repeating: nil, count: count)
        checks = RaftChecks(servers: count)
        var servers: [SimulatedServer] = []
        let ids = (0..<count).compactMap { try? NodeID("n\($0 + 1)") }
        let first = Configuration(voters: Array(ids.prefix(plan.servers)))
        for number in 0..<count {
            let server = SimulatedServer(
                number: number, id: ids[number], seed: generator.next(), keys: plan.keys,
                configuration: number < plan.servers ? first : Configuration())
            server.offset = .random(in: 0...1_000_000_000_000, using: &generator)
            if plan.faults.contains(.clocks) { server.rate = 1 + Double.random(in: -0.02...0.02, using: &generator) }
            // In the middle of an upgrade.
            if plan.faults.contains(.upgrade), Bool.random(using: &generator) { server.level = Self.newest }
            servers.append(server)
        }
        self.servers = servers
        for number in 0..<plan.clients {
            clients.append(SimulatedClient(number: number, process: number))
        }
    }

    // MARK: Running

    func schedule(_ occurrence: Occurrence, after delay: Int64) {
        agenda.insert(occurrence, at: now + max(0, delay))
    }

    /// Around a mean, as independent events are.
    func exponential(_ mean: Int64) -> Int64 {
        let chance = max(1e-9, Double(generator.next() >> 11) * 0x1p-53)
        return Int64(-_log(chance) * Double(mean))
    }

    func chance(_ perMillion: Int) -> Bool { perMillion > 0 && generator.next() % 1_000_000 < UInt64(perMillion) }

    /// Runs until a simulated time, or until something is wrong.
    func run(until end: Int64) {
        while violation == nil, let next = agenda.take(until: end) {
            now = next.time
            events += 1
            perform(next.occurrence)
        }
        now = max(now, violation == nil ? end : now)
    }

    private func perform(_ occurrence: Occurrence) {
        switch occurrence {
        case .arrival(let to, let from, let hello, let frame): arrive(frame, at: servers[to], from: from, hello: hello)
        case .bytes(let to, let from, let stream, let hello, let bytes):
            arrive(bytes, on: stream, at: servers[to], from: from, hello: hello)
        case .closed(let to, let from, let stream): close(stream, at: servers[to], from: from)
        case .timer(let number, let boot):
            let server = servers[number]
            // Of the timers that were set only the newest counts: each of the others would set one more.
            guard server.boot == boot, server.isUp, server.timer == now else { return }
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
        case .mend(let number): mend(servers[number])
        case .readmit(let number): readmit(servers[number])
        case .swapBack(let number): swapBack(servers[number])
        case .rollBack(let number, let image, let folder, let end): rollBack(servers[number], image, of: folder, end)
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
        if network[server.number, to].isCut { return coverage.saw(.messageLost) }
        var frame = ByteBufferAllocator().buffer(capacity: 256)
        RaftCodec.encode(message, from: server.id, chunkBytes: plan.settings.chunkBytes, into: &frame)
        if server.level > 1 { frame = withLaterField(frame) }
        if network[server.number, to].isClogged { return network[server.number, to].waiting.append(frame) }
        post(frame, from: server.number, to: to)
    }

    func post(_ frame: ByteBuffer, from: Int, to: Int) {
        let isStream = areFaultsOn && plan.faults.contains(.streams)
        if areFaultsOn, !isStream, chance(plan.lossPerMillion) { return coverage.saw(.messageLost) }
        var frame = frame
        if areFaultsOn, chance(plan.corruptPerMillion) {
            let place = frame.readerIndex + Int.random(in: 0..<frame.readableBytes, using: &generator)
            let byte: UInt8 = frame.getInteger(at: place) ?? 0
            frame.setInteger(byte ^ (1 << UInt8.random(in: 0..<8, using: &generator)), at: place)
            coverage.saw(.messageCorrupt)
        }
        if isStream { return write(frame, from: from, to: to) }
        let hello = servers[from].folder
        schedule(.arrival(to: to, from: from, hello: hello, frame: frame), after: delay())
        if areFaultsOn, chance(plan.duplicatesPerMillion) {
            coverage.saw(.messageTwice)
            schedule(.arrival(to: to, from: from, hello: hello, frame: frame), after: delay())
        }
    }

    func delay() -> Int64 {
        guard areFaultsOn, chance(plan.latePerMillion) else { return plan.latency / 2 + exponential(plan.latency / 2) }
        coverage.saw(.messageLate)
        return exponential(plan.latency * 100 + 500_000_000)
    }

    private func arrive(_ frame: ByteBuffer, at server: SimulatedServer, from: Int, hello: UUIDv7?) {
        guard server.isUp, !network[from, server.number].isCut else { return coverage.saw(.messageLost) }
        guard knows(from, by: hello), !server.isDenied else { return coverage.saw(.folderRefused) }
        var decoder = FrameDecoder()
        decoder.append(frame)
        do throws(WireError) {
            guard let whole = try decoder.next() else { return }
            deliver(whole, at: server, from: from)
        } catch {
            // What the checksum catches is as good as lost.
            coverage.saw(.messageLost)
        }
    }

    func deliver(_ frame: Frame, at server: SimulatedServer, from: Int) {
        do throws(WireError) {
            guard let incoming = try RaftCodec.decode(frame) else { return }
            if server.level != servers[from].level { coverage.saw(.levelsMixed) }
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
    // Eight terms are more than any delay needs to be near to.
    var sum = 1.0 / 15
    for factor in [1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1] { sum = sum * square + factor }
    return 2 * y * sum + exponent * 0.6931471805599453
}
