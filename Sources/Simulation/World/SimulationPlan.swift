import Primitives
package import Raft

/// What one seed decides: how many servers there are, how they behave in time, what goes wrong and how often, and what clients ask for (design 6, S0 and S4).
package struct SimulationPlan: Equatable, Sendable {
    /// Kinds of things that go wrong; each is on or off in a plan.
    package struct Faults: NamedFaults, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let loss = Faults(rawValue: 1 << 0)
        package static let duplication = Faults(rawValue: 1 << 1)
        package static let delay = Faults(rawValue: 1 << 2)
        package static let partition = Faults(rawValue: 1 << 3)
        package static let oneWay = Faults(rawValue: 1 << 4)
        package static let clog = Faults(rawValue: 1 << 5)
        package static let corruption = Faults(rawValue: 1 << 6)
        package static let kill = Faults(rawValue: 1 << 7)
        package static let power = Faults(rawValue: 1 << 8)
        package static let pause = Faults(rawValue: 1 << 9)
        package static let stall = Faults(rawValue: 1 << 10)
        package static let syncError = Faults(rawValue: 1 << 11)
        package static let bitFlip = Faults(rawValue: 1 << 12)
        package static let lostVote = Faults(rawValue: 1 << 13)
        package static let clocks = Faults(rawValue: 1 << 14)
        package static let membership = Faults(rawValue: 1 << 15)
        package static let transfer = Faults(rawValue: 1 << 16)
        package static let snapshots = Faults(rawValue: 1 << 17)
        package static let streams = Faults(rawValue: 1 << 18)
        package static let diskError = Faults(rawValue: 1 << 19)
        package static let wipe = Faults(rawValue: 1 << 20)
        package static let swap = Faults(rawValue: 1 << 21)
        package static let rollback = Faults(rawValue: 1 << 22)
        package static let upgrade = Faults(rawValue: 1 << 23)

        package static let names: [(Faults, String)] = [
            (.loss, "loss"), (.duplication, "duplication"), (.delay, "delay"), (.partition, "partition"), (.oneWay, "one-way"),
            (.clog, "clog"), (.corruption, "corruption"), (.kill, "kill"), (.power, "power"), (.pause, "pause"), (.stall, "stall"),
            (.syncError, "sync-error"), (.bitFlip, "bit-flip"), (.lostVote, "lost-vote"), (.clocks, "clocks"),
            (.membership, "membership"), (.transfer, "transfer"), (.snapshots, "snapshots"), (.streams, "streams"),
            (.diskError, "disk-error"), (.wipe, "wipe"), (.swap, "swap"), (.rollback, "rollback"), (.upgrade, "upgrade"),
        ]
        package static let all = Faults(rawValue: (1 << 24) - 1)
    }

    package var seed: UInt64
    /// Voters at the beginning.
    package var servers: Int
    /// Servers that may be taken in later.
    package var spares: Int
    package var faults: Faults
    package var settings: RaftSettings
    /// Of the network between two servers, in nanoseconds.
    package var latency: Int64 = 500_000
    /// Of messages, in parts per million.
    package var lossPerMillion: Int = 0
    package var duplicatesPerMillion: Int = 0
    package var corruptPerMillion: Int = 0
    /// Messages that take a hundred times as long and more.
    package var latePerMillion: Int = 0
    /// Of a group of writes, in nanoseconds.
    package var diskNanoseconds: Int64 = 100_000
    /// Between two things that go wrong, on average.
    package var faultEvery: Int64 = 1_500_000_000
    package var clients: Int = 5
    /// Between two operations of a client, on average.
    package var thinkTime: Int64 = 500_000_000
    package var keys: Int = 4
    /// Bytes that commands have beside what they say: larger ones are torn when power is lost.
    package var padding: Int = 0
    /// Entries between two snapshots of a server.
    package var snapshotEvery: UInt64 = 50
    package var safety: Duration = .seconds(20)
    package var liveness: Duration = .seconds(10)
    package var convergence: Duration = .seconds(20)
    package var service: Duration = .seconds(3)
    package var disturbance: Duration = .seconds(5)

    /// - Parameters:
    ///   - servers: nil lets the seed decide.
    ///   - faults: what may be on; the seed decides which of them are.
    package init(seed: UInt64, servers: Int? = nil, faults allowed: Faults = .all) {
        var generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        self.seed = seed
        let drawn = [3, 3, 3, 5, 5, 4, 2, 1, 7].randomElement(using: &generator) ?? 3
        self.servers = servers ?? drawn
        var faults: Faults = []
        for (fault, _) in Faults.names where Int.random(in: 0..<100, using: &generator) < 45 { faults.insert(fault) }
        faults.formIntersection(allowed)
        self.faults = faults
        spares = faults.contains(.membership) ? 2 : 0
        settings = RaftSettings()
        settings.leaseReads = Int.random(in: 0..<4, using: &generator) == 0
        settings.preVote = Int.random(in: 0..<5, using: &generator) > 0
        settings.chunkBytes = [32, 64, 256].randomElement(using: &generator) ?? 64
        settings.appendBytes = [256, 1024, 64 << 10].randomElement(using: &generator) ?? 1024
        settings.inFlightMessages = [1, 4, 64].randomElement(using: &generator) ?? 64
        settings.keptBytes = [0, 512, 1 << 20].randomElement(using: &generator) ?? 1 << 20
        settings.tailEntries = [0, 10, 1000].randomElement(using: &generator) ?? 10
        settings.uncommittedBytes = [400, 1 << 20].randomElement(using: &generator) ?? 1 << 20
        settings.commitDelay = [.zero, .zero, .milliseconds(2)].randomElement(using: &generator) ?? .zero
        padding = [0, 0, 700].randomElement(using: &generator) ?? 0
        latency = .random(in: 50_000...5_000_000, using: &generator)
        diskNanoseconds = .random(in: 50_000...5_000_000, using: &generator)
        if faults.contains(.loss) { lossPerMillion = .random(in: 1_000...300_000, using: &generator) }
        if faults.contains(.duplication) { duplicatesPerMillion = .random(in: 1_000...300_000, using: &generator) }
        if faults.contains(.corruption) { corruptPerMillion = .random(in: 100...20_000, using: &generator) }
        if faults.contains(.delay) { latePerMillion = .random(in: 1_000...100_000, using: &generator) }
        faultEvery = .random(in: 300_000_000...4_000_000_000, using: &generator)
        snapshotEvery = faults.contains(.snapshots) ? .random(in: 5...60, using: &generator) : 1_000_000
    }

    /// The one that speed is measured by: five servers with the settings of a node, two minutes of ten proposals a second and two thirds as many reads, and whatever goes wrong by
    /// the seed.
    package static func fiveServers(seed: UInt64, faults: Faults = .all) -> SimulationPlan {
        var plan = SimulationPlan(seed: seed, servers: 5, faults: faults)
        plan.settings = RaftSettings()
        plan.settings.commitDelay = .milliseconds(2)
        plan.padding = 0
        plan.thinkTime = 200_000_000
        plan.safety = .seconds(120)
        return plan
    }
}
