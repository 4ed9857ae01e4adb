import Primitives

/// What one seed decides about a whole cluster: coordinators, workers and clients, how they behave in time, and what goes wrong (design 6, S0 and S4).
package struct ClusterPlan: Equatable, Sendable {
    /// Kinds of things that go wrong; each is on or off in a plan.
    package struct Faults: NamedFaults, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let loss = Faults(rawValue: 1 << 0)
        package static let duplication = Faults(rawValue: 1 << 1)
        package static let delay = Faults(rawValue: 1 << 2)
        package static let partition = Faults(rawValue: 1 << 3)
        package static let oneWay = Faults(rawValue: 1 << 4)
        package static let coordinators = Faults(rawValue: 1 << 5)
        package static let workers = Faults(rawValue: 1 << 6)
        package static let journals = Faults(rawValue: 1 << 7)
        package static let pause = Faults(rawValue: 1 << 8)
        package static let stall = Faults(rawValue: 1 << 9)
        package static let skew = Faults(rawValue: 1 << 10)
        package static let jump = Faults(rawValue: 1 << 11)
        package static let catalog = Faults(rawValue: 1 << 12)
        package static let cancel = Faults(rawValue: 1 << 13)
        package static let repetition = Faults(rawValue: 1 << 14)
        package static let liar = Faults(rawValue: 1 << 15)
        package static let cordon = Faults(rawValue: 1 << 16)

        package static let names: [(Faults, String)] = [
            (.loss, "loss"), (.duplication, "duplication"), (.delay, "delay"), (.partition, "partition"), (.oneWay, "one-way"),
            (.coordinators, "coordinators"), (.workers, "workers"), (.journals, "journals"), (.pause, "pause"), (.stall, "stall"),
            (.skew, "skew"), (.jump, "jump"), (.catalog, "catalog"), (.cancel, "cancel"), (.repetition, "repetition"), (.liar, "liar"),
            (.cordon, "cordon"),
        ]
        package static let all = Faults(rawValue: (1 << 17) - 1)
    }

    package var seed: UInt64
    package var coordinators: Int
    package var workers: Int
    package var faults: Faults
    /// What each worker really takes at once.
    package var slots: Int
    package var lease: Duration
    /// Of the network, in nanoseconds.
    package var latency: Int64
    package var lossPerMillion = 0
    package var duplicatesPerMillion = 0
    package var latePerMillion = 0
    /// Of a group of writes, in nanoseconds.
    package var diskNanoseconds: Int64
    /// Between two things that go wrong, on average.
    package var faultEvery: Int64
    package var clients = 3
    /// Between two requests of a client, on average.
    package var thinkTime: Int64
    /// That an effect takes, on average.
    package var effectNanoseconds: Int64
    /// Bytes after which an entry is full: small ones make a batch several entries.
    package var entryBytes: Int
    package var digestEvery: UInt64
    package var safety: Duration = .seconds(30)

    /// - Parameter faults: what may be on; the seed decides which of them are.
    package init(seed: UInt64, faults allowed: Faults = .all) {
        var generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 2)
        self.seed = seed
        coordinators = [3, 3, 3, 1, 5].randomElement(using: &generator) ?? 3
        workers = .random(in: 1...4, using: &generator)
        var faults: Faults = []
        for (fault, _) in Faults.names where Int.random(in: 0..<100, using: &generator) < 40 { faults.insert(fault) }
        faults.formIntersection(allowed)
        self.faults = faults
        slots = .random(in: 1...4, using: &generator)
        lease = .seconds([2, 3, 5, 10].randomElement(using: &generator) ?? 5)
        latency = .random(in: 100_000...5_000_000, using: &generator)
        diskNanoseconds = .random(in: 50_000...5_000_000, using: &generator)
        faultEvery = .random(in: 400_000_000...4_000_000_000, using: &generator)
        thinkTime = .random(in: 150_000_000...1_000_000_000, using: &generator)
        effectNanoseconds = .random(in: 20_000_000...800_000_000, using: &generator)
        entryBytes = [700, 4_000, 1 << 20].randomElement(using: &generator) ?? 4_000
        digestEvery = [3, 20].randomElement(using: &generator) ?? 20
        if faults.contains(.loss) { lossPerMillion = .random(in: 1_000...200_000, using: &generator) }
        if faults.contains(.duplication) { duplicatesPerMillion = .random(in: 1_000...200_000, using: &generator) }
        if faults.contains(.delay) { latePerMillion = .random(in: 1_000...100_000, using: &generator) }
    }
}
