import Primitives

/// How a member behaves in time, and how much it keeps. Checked once by `validated`.
package struct SWIMSettings: Equatable, Sendable {
    // MARK: Probing

    /// Between two probes, at a healthy member: a crash is first seen 1.6 of them later (SWIM section 3.1). 100 ms to 60 s.
    package var probeInterval: Duration = .seconds(1)
    /// Until others are asked to ping: far above a round trip, and half of the interval so that they have as long. Below the interval.
    package var probeTimeout: Duration = .milliseconds(500)
    /// Members that are asked to ping for one (SWIM section 3.1, k): three make a false suspicion at 5 % loss rarer than 1 in 1,000. 0 to 16.
    package var indirectProbes = 3
    /// Pings for others under way; more are refused and counted: a burst of a hundred suspects in 1,000 members asks less than 1 of each. 1 to 4,096.
    package var relayLimit = 64

    // MARK: Suspicion

    /// Probe intervals, times log10 of the members, that the shortest suspicion lasts (Lifeguard section IV-B, α): memberlist's setting for a LAN. 1 to 100.
    package var suspicionFactor = 4
    /// How many times that a suspicion lasts which nobody confirms (Lifeguard section IV-B, β); 1 makes all of them short. 1 to 100.
    package var suspicionSpread = 6
    /// Independent confirmations that shorten a suspicion all the way (Lifeguard section IV-B, K). 0 to 16.
    package var confirmations = 2
    /// How many times slower a member probes at most that has reason to blame itself (Lifeguard section IV-A, S); 1 turns it off. 1 to 32.
    package var localHealthLimit = 8
    /// A tick that comes later than this was late because this process stood still: nobody is blamed for the time in between. At least the gossip interval.
    package var stallTolerance: Duration = .milliseconds(500)

    // MARK: Dissemination

    /// Between two rounds of gossip: so that news travels faster than probes do. 10 ms up to the probe interval.
    package var gossipInterval: Duration = .milliseconds(200)
    /// Members told in each round. 1 to 16.
    package var gossipFanout = 3
    /// How often each piece of news is sent, times log10 of the members (SWIM section 4.1, λ): memberlist's setting for a LAN. 0 (only exchanges spread news) to 16.
    package var retransmitFactor = 4
    /// Of a datagram, all included: what every path carries in one piece. 1,200 (a ping with the longest rumour) to 65,000.
    package var datagramBytes = 1_400
    /// Of those, what the driver puts around a message: frame header 32, seal 30.
    package var envelopeBytes = 62
    /// For how long a dead member is told that it is thought dead, so that it can refute it.
    package var gossipToDead: Duration = .seconds(30)

    // MARK: Anti-entropy

    /// Between two exchanges of all that is known, with up to 32 members; one more of it for each doubling beyond. At least the probe interval.
    package var exchangeInterval: Duration = .seconds(30)
    /// Between two attempts to reach dead members and seeds that nobody living stands behind: this is how partitions end. At least the probe interval.
    package var reconnectInterval: Duration = .seconds(30)
    /// The same while no other member is known. At least the probe interval.
    package var joinInterval: Duration = .seconds(2)
    /// Seeds asked at once. 1 to 16.
    package var joinFanout = 3
    /// Seeds kept; more are left out. 1 to 1,024.
    package var seedLimit = 64

    // MARK: Keeping

    /// Members known at once, the dead included; beyond it the longest dead are forgotten, then new ones refused and counted. 2 to 16,384: all fit an exchange of 16 MiB.
    package var memberLimit = 4_096
    /// For how long the dead are shown, and tried again: as long as a partition may last that ends by itself.
    package var deadKept: Duration = .seconds(24 * 3_600)
    /// For how long those who left are shown.
    package var leftKept: Duration = .seconds(3_600)
    /// For how long old news of those who are forgotten is known to be old: longer than any message or node holds it.
    package var tombstonesKept: Duration = .seconds(48 * 3_600)
    /// Of those, how many; beyond it the oldest goes, counted.
    package var tombstoneLimit = 4_096
    /// How long a member that leaves spreads that at most before it stops: four times what 1,000 members need.
    package var leaveTimeout: Duration = .seconds(5)

    package init() {}

    /// Traps on settings that cannot work: they are this program's own mistake.
    package func validated() -> SWIMSettings {
        precondition((.milliseconds(100)...(.seconds(60))).contains(probeInterval), "probe interval \(probeInterval)")
        precondition(probeTimeout > .zero && probeTimeout < probeInterval, "probe timeout \(probeTimeout) in \(probeInterval)")
        precondition(
            (0...16).contains(indirectProbes) && (1...4_096).contains(relayLimit), "\(indirectProbes) helpers, \(relayLimit) relays")
        precondition(
            (1...100).contains(suspicionFactor) && (1...100).contains(suspicionSpread), "suspicion \(suspicionFactor), \(suspicionSpread)")
        precondition((0...16).contains(confirmations) && (1...32).contains(localHealthLimit), "\(confirmations), \(localHealthLimit)")
        precondition((.milliseconds(10)...probeInterval).contains(gossipInterval), "gossip interval \(gossipInterval)")
        precondition(stallTolerance >= gossipInterval, "stall tolerance \(stallTolerance)")
        precondition((1...16).contains(gossipFanout) && (0...16).contains(retransmitFactor), "\(gossipFanout), \(retransmitFactor)")
        precondition((1_200...65_000).contains(datagramBytes) && (0...256).contains(envelopeBytes), "\(datagramBytes), \(envelopeBytes)")
        precondition(exchangeInterval >= probeInterval && reconnectInterval >= probeInterval, "\(exchangeInterval), \(reconnectInterval)")
        precondition(joinInterval >= probeInterval && (1...16).contains(joinFanout) && (1...1_024).contains(seedLimit), "\(joinInterval)")
        precondition((2...16_384).contains(memberLimit) && (1...1_000_000).contains(tombstoneLimit), "\(memberLimit), \(tombstoneLimit)")
        precondition(tombstonesKept > .zero && deadKept > .zero && leftKept > .zero && leaveTimeout > .zero, "how long things are kept")
        precondition(gossipToDead >= .zero, "gossip to the dead for \(gossipToDead)")
        return self
    }

    /// Bytes that a message may take without its envelope.
    var messageBytes: Int { datagramBytes - envelopeBytes }

    /// How often each piece of news is sent among so many members, the sender included: λ·⌈log10(N+1)⌉.
    package func retransmissions(among members: Int) -> Int { retransmitFactor * Self.digits(members) }

    /// ⌈log10(N+1)⌉ for N >= 1: how many digits N has.
    private static func digits(_ members: Int) -> Int {
        var (digits, rest) = (1, members / 10)
        while rest > 0 { (digits, rest) = (digits + 1, rest / 10) }
        return digits
    }

    /// How long a suspicion lasts among so many members: as short as it gets, and as long as it gets.
    package func suspicion(among members: Int) -> ClosedRange<Duration> {
        let shortest = Duration.nanoseconds(
            Int64(Double(probeInterval.nanoseconds) * Double(suspicionFactor) * max(1, _log10(Double(max(1, members))))))
        return shortest...shortest * suspicionSpread
    }

    /// Between two exchanges among so many members: what each sends to all does not grow with their number (memberlist's scale).
    package func exchangeInterval(among members: Int) -> Duration {
        guard members > 32 else { return exchangeInterval }
        let doublings = Int.bitWidth - (members - 1).leadingZeroBitCount - 5
        return exchangeInterval * (doublings + 1)
    }
}
