import HeapModule
import Primitives

@testable import SWIM

/// A whole cluster of members in one thread, on simulated clocks and a simulated network: one heap of (time, event), and one seed that decides everything.
final class GossipWorld {
    struct Violation: Error, CustomStringConvertible {
        var invariant: String
        var what: String
        var seed: UInt64
        var nanoseconds: Int64

        var description: String { "\(invariant), seed \(seed), at \(Double(nanoseconds / 1_000_000) / 1_000) s: \(what)" }
    }

    enum Occurrence {
        case arrival(SWIMMessage, from: Int, to: Int)
        case timer(Int, number: UInt64)
        /// Over connections; `boot` is the process that began it.
        case streamPing(SWIMOutput.StreamPing, from: Int, boot: Int, to: Int)
        case streamAck(UInt64, MemberIdentity, to: Int, boot: Int)
        case exchange(SWIMMessage.PushPull, from: Int, boot: Int, to: Int)
        case exchanged(SWIMMessage.PushPull, from: Int, to: Int, boot: Int)
        case unpause(Int)
    }

    struct Scheduled: Comparable {
        var time: Int64
        /// In the order in which they were thought of, where times are the same.
        var number: UInt64
        var occurrence: Occurrence

        static func == (left: Scheduled, right: Scheduled) -> Bool { left.number == right.number }
        static func < (left: Scheduled, right: Scheduled) -> Bool { (left.time, left.number) < (right.time, right.number) }
    }

    /// Where a process may run.
    struct Place {
        let number: Int
        /// Of the node that runs here; two places may have the same, by mistake.
        var node: NodeID
        var core: SWIMCore?
        /// How many processes ran here.
        var boot = 0
        var timer: UInt64 = 0
        var isPaused = false
        var waiting: [Occurrence] = []
        /// How fast its clock goes, and where it began.
        var rate = 1.0
        var offset: Int64 = 0
        var hasLeft = false
        var changes: [(time: Int64, change: MemberChange)] = []
        var conflicts: [NameConflict] = []
    }

    let seed: UInt64
    var generator: SeededGenerator
    var network: GossipNetwork
    var places: [Place]
    var settings: SWIMSettings
    private(set) var now: Int64 = 0
    private(set) var events: UInt64 = 0
    var checks = GossipChecks()
    /// Of everything that came out of any core, for those who compare two runs.
    var trace: ((Int64, Int, SWIMOutput) -> Void)?

    private var queue = Heap<Scheduled>()
    private var scheduled: UInt64 = 0
    private var output = SWIMOutput()

    init(seed: UInt64, places count: Int, settings change: (inout SWIMSettings) -> Void = { _ in }) {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        network = GossipNetwork(count: count)
        places = (0..<count).map { Place(number: $0, node: SWIMTests.node($0 + 1)) }
        var settings = SWIMSettings()
        change(&settings)
        self.settings = settings.validated()
        for place in places.indices { places[place].offset = .random(in: 0...1_000_000_000_000, using: &generator) }
    }

    // MARK: Processes

    /// A new process that knows nothing but where others may be.
    ///
    /// - Parameter epoch: milliseconds of the world, if it is not told otherwise.
    func start(_ place: Int, epoch: UInt64? = nil, seeds: [Int], software: String = "") throws {
        precondition(places[place].core == nil, "\(place) runs")
        places[place].boot += 1
        (places[place].hasLeft, places[place].changes, places[place].conflicts) = (false, [], [])
        var own = metadata(place + 1, software: software)
        own.slots = 4
        let core = try SWIMCore(
            identity: MemberIdentity(node: places[place].node, epoch: epoch ?? UInt64(now / 1_000_000) + 1_000), metadata: own,
            settings: settings, generator: SeededGenerator(seed: generator.next()), now: local(place))
        places[place].core = core
        checks.began(place, places[place])
        try handle(.join(seeds: seeds.filter { $0 != place }.map { rpcAddress($0 + 1) }), at: place)
    }

    /// With all that it knew.
    func kill(_ place: Int) {
        places[place].core = nil
        (places[place].isPaused, places[place].waiting) = (false, [])
    }

    func pause(_ place: Int, for duration: Int64) {
        guard places[place].core != nil, !places[place].isPaused else { return }
        places[place].isPaused = true
        schedule(.unpause(place), after: duration)
    }

    func startAll(seeds: [Int] = [0]) throws {
        for place in places.indices { try start(place, seeds: seeds) }
    }

    var running: [Int] { places.indices.filter { places[$0].core != nil && !places[$0].hasLeft && places[$0].core?.phase == .running } }

    func local(_ place: Int) -> Instant {
        Instant(nanoseconds: places[place].offset + Int64(Double(now) * places[place].rate))
    }

    // MARK: Running

    func run(for nanoseconds: Int64) throws {
        let end = now + nanoseconds
        while let next = queue.min, next.time <= end {
            queue.removeMin()
            now = next.time
            events += 1
            try perform(next.occurrence)
        }
        now = end
    }

    func run(seconds: Int) throws { try run(for: Int64(seconds) * 1_000_000_000) }

    /// Runs until it is so, and no longer than so many seconds; when it was.
    func run(atMost seconds: Int, until isSo: () -> Bool) throws -> Int64? {
        for _ in 0..<seconds * 10 {
            if isSo() { return now }
            try run(for: 100_000_000)
        }
        return isSo() ? now : nil
    }

    func handle(_ event: SWIMCore.Event, at place: Int) throws {
        output.clear()
        let time = local(place)
        places[place].core?.handle(event, now: time, into: &output)
        trace?(now, place, output)
        try checks.check(place, in: self, after: event, output)
        perform(output, of: place)
        setTimer(place)
    }

    private func schedule(_ occurrence: Occurrence, after delay: Int64) {
        scheduled += 1
        queue.insert(Scheduled(time: now + max(0, delay), number: scheduled, occurrence: occurrence))
    }

    private func setTimer(_ place: Int) {
        guard let core = places[place].core, core.nextDeadline.nanoseconds < .max else { return }
        places[place].timer += 1
        let wait = max(0, Double(core.nextDeadline.nanoseconds - local(place).nanoseconds) / places[place].rate)
        schedule(.timer(place, number: places[place].timer), after: Int64(wait.rounded(.up)))
    }

    private func perform(_ output: SWIMOutput, of place: Int) {
        let boot = places[place].boot
        places[place].changes += output.changes.map { (now, $0) }
        places[place].conflicts += output.conflicts
        if output.hasLeft { places[place].hasLeft = true }
        for datagram in output.datagrams {
            guard let to = self.place(of: datagram.address) else { continue }
            for delay in network.arrivals(place, to, using: &generator) {
                schedule(.arrival(datagram.message, from: place, to: to), after: delay)
            }
        }
        for ping in output.streamPings {
            guard let to = self.place(of: ping.address), network.canConnect(place, to) else { continue }
            schedule(.streamPing(ping, from: place, boot: boot, to: to), after: streamDelay)
        }
        for exchange in output.exchanges {
            guard let to = self.place(of: exchange.address), network.canConnect(place, to) else { continue }
            schedule(.exchange(exchange.message, from: place, boot: boot, to: to), after: streamDelay)
        }
    }

    private var streamDelay: Int64 { .random(in: 200_000..<5_000_000, using: &generator) }

    private func place(of address: String) -> Int? {
        guard let number = Int(address.dropFirst().prefix { $0 != ":" }), places.indices.contains(number - 1) else { return nil }
        return number - 1
    }

    private func perform(_ occurrence: Occurrence) throws {
        switch occurrence {
        case .arrival(let message, let from, let to):
            guard isListening(to, or: occurrence) else { return }
            try handle(.message(message, from: gossipAddress(from + 1)), at: to)
        case .timer(let place, let number):
            guard places[place].timer == number, isListening(place, or: occurrence) else { return }
            try handle(.tick, at: place)
        case .streamPing(let ping, let from, let boot, let to):
            guard isListening(to, or: occurrence), network.canConnect(from, to), let core = places[to].core, core.phase == .running
            else { return }
            schedule(.streamAck(ping.sequence, core.identity, to: from, boot: boot), after: streamDelay)
        case .streamAck(let sequence, let identity, let to, let boot):
            guard places[to].boot == boot, isListening(to, or: occurrence) else { return }
            try handle(.streamAck(sequence: sequence, by: identity), at: to)
        case .exchange(let message, let from, let boot, let to):
            guard isListening(to, or: occurrence), network.canConnect(from, to) else { return }
            try handle(.pushPull(id: events, message), at: to)
            guard let answer = output.answers.first else { return }
            schedule(.exchanged(answer.message, from: to, to: from, boot: boot), after: streamDelay)
        case .exchanged(let message, let from, let to, let boot):
            guard places[to].boot == boot, isListening(to, or: occurrence), network.canConnect(from, to) else { return }
            try handle(.exchanged(message), at: to)
        case .unpause(let place):
            places[place].isPaused = false
            let waiting = places[place].waiting
            places[place].waiting = []
            for occurrence in waiting { try perform(occurrence) }
        }
    }

    /// What comes to a process that stands still is there when it goes on, as far as a socket's buffer holds it.
    private func isListening(_ place: Int, or occurrence: Occurrence) -> Bool {
        guard places[place].core != nil else { return false }
        guard places[place].isPaused else { return true }
        if places[place].waiting.count < 200 { places[place].waiting.append(occurrence) }
        return false
    }

    // MARK: Looking

    /// Whether each that runs believes just those who run to be alive, under the epochs and incarnations that they have.
    var doAgree: Bool {
        let running = running
        let truth = running.compactMap { places[$0].core.map { ($0.identity, $0.incarnation, $0.metadata) } }.sorted { $0.0 < $1.0 }
        return running.allSatisfy { place in
            let living = (places[place].core?.members ?? []).filter { $0.liveness.isLiving }
            return living.count == truth.count
                && zip(living, truth).allSatisfy { view, member in
                    view.liveness == .alive && view.identity == member.0 && view.incarnation == member.1 && view.metadata == member.2
                }
        }
    }

    /// How one that runs sees the node of another place.
    func view(_ place: Int, of other: Int) -> MemberView? { places[place].core?.member(places[other].node) }

    /// Members that were called dead, by those who run.
    var failures: [(at: Int, MemberIdentity)] {
        places.flatMap { place in
            place.changes.compactMap { change in
                guard case .failed(let identity, _) = change.change else { return nil }
                return (place.number, identity)
            }
        }
    }

    func violation(_ invariant: String, _ what: String) -> Violation {
        Violation(invariant: invariant, what: what, seed: seed, nanoseconds: now)
    }
}
