import Coordinator
import HeapModule
package import Primitives
import Raft

/// Why a simulation of a cluster stopped.
package struct ClusterViolation: Error, Equatable, Sendable, CustomStringConvertible {
    /// `C4`, or one of the names in DistriC.docc/SimulatedClusters.
    package var invariant: String
    package var what: String
    /// Simulated.
    package var nanoseconds: Int64
    package var event: UInt64

    package var description: String { "\(invariant) at event \(event), \(Double(nanoseconds / 1_000) / 1_000_000) s: \(what)" }
}

/// Coordinators, workers and clients in one thread, on simulated clocks, network and disks: one heap of (time, event), and one seed that decides everything. What decides
/// is what a node runs: `RaftCore`, `CoordinatorState` with its codec, `Planner` with placement and queue, `LeaseTable`, `ClusterClock`, `Catalog`. What only carries out
/// (the coordinator's loop, the worker's runner and link) is told here again without threads and sockets.
package final class ClusterWorld {
    enum Occurrence {
        indirect case arrival(from: Int, to: Int, ClusterMessage)
        case timer(Int, boot: UInt32)
        case disk(Int, boot: UInt32)
        case turn(Int, boot: UInt32)
        /// A coordinator sees that a worker's stream is gone.
        case detached(Int, boot: UInt32, stream: UInt64)
        /// A worker sees that its stream is gone.
        case ended(worker: Int, stream: UInt64)
        case look(worker: Int, epoch: UInt64)
        case journaled(worker: Int, epoch: UInt64, Fence)
        case effectEnds(worker: Int, epoch: UInt64, Fence)
        case invoke(Int)
        case giveUp(Int, attempt: UInt64)
        case fault
        case restart(Int, boot: UInt32)
        case restartWorker(Int, epoch: UInt64)
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

    package let plan: ClusterPlan
    package internal(set) var now: Int64 = 0
    package internal(set) var events: UInt64 = 0
    package internal(set) var coverage = ClusterCoverage()
    package internal(set) var violation: ClusterViolation?
    /// Over everything that happened.
    package internal(set) var traceHash = StableHasher()
    /// Gets a line for each thing that a person would like to know.
    package var trace: ((String) -> Void)?

    static let cluster = UUIDv7(high: 5, low: 6)

    var generator: SeededGenerator
    var queue = Heap<Scheduled>()
    var scheduled: UInt64 = 0
    var coordinators: [SimulatedCoordinator] = []
    var workers: [SimulatedWorker] = []
    var clients: [ClusterClient] = []
    /// From one place to another nothing comes through. Coordinators come first, then workers, then clients.
    var cuts: [Bool]
    let checks = ClusterChecks()
    var output = RaftOutput()
    var lastCall: UInt64 = 0
    var messages: [Message] = []
    var areFaultsOn = true
    var areClientsOn = true

    package init(plan: ClusterPlan) {
        self.plan = plan
        generator = SeededGenerator(seed: plan.seed)
        let places = plan.coordinators + plan.workers + plan.clients
        cuts = Array(repeating: false, count: places * places)
        let ids = (0..<plan.coordinators).compactMap { try? NodeID("c-\($0 + 1)") }
        for (number, id) in ids.enumerated() {
            let coordinator = SimulatedCoordinator(number: number, id: id, voters: ids)
            coordinator.clock = clock()
            coordinators.append(coordinator)
        }
        for (number, id) in (0..<plan.workers).compactMap({ try? NodeID("w-\($0 + 1)") }).enumerated() {
            let worker = SimulatedWorker(number: number, id: id, slots: plan.slots)
            worker.clock = clock()
            if plan.faults.contains(.liar), number == 0 { worker.claimedSlots = plan.slots + 3 }
            worker.tellsLies = plan.faults.contains(.liar) && number == 1
            workers.append(worker)
        }
        clients = (0..<plan.clients).map { ClusterClient(number: $0) }
    }

    private func clock() -> SimulatedClock {
        var clock = SimulatedClock()
        clock.offset = .random(in: 0...1_000_000_000_000, using: &generator)
        // What two clocks may differ by is less than what a worker's lease is shorter.
        if plan.faults.contains(.skew) {
            clock.partsPerMillion = .random(in: -5_000...5_000, using: &generator)
            clock.wallOffset = .random(in: -20_000...20_000, using: &generator)
        }
        return clock
    }

    // MARK: Running

    func schedule(_ occurrence: Occurrence, after delay: Int64) {
        scheduled += 1
        queue.insert(Scheduled(time: now + max(0, delay), number: scheduled, occurrence: occurrence))
    }

    func chance(_ perMillion: Int) -> Bool { perMillion > 0 && Int.random(in: 0..<1_000_000, using: &generator) < perMillion }
    func draw(_ range: Range<Int64>) -> Int64 { .random(in: range, using: &generator) }
    /// Between half and one and a half of a mean, now and then four times that.
    func around(_ mean: Int64) -> Int64 {
        let drawn = draw(mean / 2..<mean * 3 / 2 + 1)
        return chance(50_000) ? drawn * 4 : drawn
    }

    /// Runs until a simulated time, until something is wrong, or until there is nothing to wait for.
    func run(until end: Int64, or isDone: () -> Bool = { false }) {
        while violation == nil, let next = queue.min, next.time <= end {
            queue.removeMin()
            now = next.time
            events += 1
            perform(next.occurrence)
            if isDone() { return }
        }
        now = max(now, violation == nil ? end : now)
    }

    private func perform(_ occurrence: Occurrence) {
        switch occurrence {
        case .arrival(let from, let to, let message): arrive(message, from: from, to: to)
        case .timer(let number, let boot):
            let coordinator = coordinators[number]
            // One that was put off, or was sooner than this one, is no longer wanted.
            guard coordinator.boot == boot, coordinator.isUp, coordinator.timer.map({ $0 <= now }) ?? false else { return }
            coordinator.timer = nil
            if !coordinator.isPaused { handle(.tick, at: coordinator) }
        case .disk(let number, let boot):
            guard coordinators[number].boot == boot, coordinators[number].isUp else { return }
            guard !coordinators[number].isPaused else { return schedule(occurrence, after: 50_000_000) }
            finishWrites(coordinators[number])
        case .turn(let number, let boot):
            let coordinator = coordinators[number]
            guard coordinator.boot == boot, coordinator.isUp, coordinator.turnAt.map({ $0 <= now }) ?? false else { return }
            coordinator.turnAt = nil
            if !coordinator.isPaused { turn(coordinator) }
        case .detached(let number, let boot, let stream):
            if coordinators[number].boot == boot, coordinators[number].isUp { detach(stream, at: coordinators[number]) }
        case .ended(let number, let stream):
            guard !workers[number].isPaused else { return schedule(occurrence, after: 50_000_000) }
            streamEnded(workers[number], stream)
        case .look(let number, let epoch):
            let worker = workers[number]
            guard worker.epoch == epoch, worker.isUp else { return }
            if !worker.isPaused { look(worker) }
            schedule(.look(worker: number, epoch: epoch), after: 100_000_000)
        case .journaled(let number, let epoch, let fence):
            if workers[number].epoch == epoch, workers[number].isUp { begin(fence, at: workers[number]) }
        case .effectEnds(let number, let epoch, let fence):
            if workers[number].epoch == epoch, workers[number].isUp { effectEnded(fence, at: workers[number]) }
        case .invoke(let number): invoke(clients[number])
        case .giveUp(let number, let attempt): giveUp(clients[number], attempt)
        case .fault:
            guard areFaultsOn else { return }
            strike()
            schedule(.fault, after: around(plan.faultEvery))
        case .restart(let number, let boot):
            if coordinators[number].boot == boot, !coordinators[number].isUp { start(coordinators[number]) }
        case .restartWorker(let number, let epoch):
            if workers[number].epoch == epoch, !workers[number].isUp { start(workers[number]) }
        case .unpause(let place): unpause(place)
        }
    }

    func fail(_ invariant: String, _ what: String) {
        guard violation == nil else { return }
        violation = ClusterViolation(invariant: invariant, what: what, nanoseconds: now, event: events)
    }

    func tell(_ text: @autoclosure () -> String) {
        guard let trace else { return }
        trace("\(now / 1_000_000) ms: \(text())")
    }

    func note(_ words: UInt64...) {
        traceHash.combine(UInt64(bitPattern: now))
        for word in words { traceHash.combine(word) }
    }
}

/// A node's clocks: how fast the monotonic one runs, and how far the wall clock is from the truth.
struct SimulatedClock {
    var partsPerMillion: Int64 = 0
    var offset: Int64 = 0
    /// In milliseconds.
    var wallOffset: Int64 = 0

    private static let epoch: Int64 = 1_790_000_000_000

    func local(_ time: Int64) -> Instant { Instant(nanoseconds: offset + time + time * partsPerMillion / 1_000_000) }

    /// What has to pass in truth until it shows a time.
    func wait(until local: Instant, from time: Int64) -> Int64 {
        let left = local.nanoseconds - self.local(time).nanoseconds
        return max(0, left - left * partsPerMillion / 1_000_000 + 1_000)
    }

    func wall(_ time: Int64) -> ClusterTime { ClusterTime(milliseconds: UInt64(Self.epoch + time / 1_000_000 + wallOffset)) }
}
