/// How a server behaves in time, and how much it lets wait. Checked once by `validated`.
package struct RaftSettings: Equatable, Sendable {
    /// Wait for a leader before campaigning; far above a broadcast round trip and a slow fsync (Raft section 5.6).
    package var electionTimeout: Range<Duration> = .milliseconds(500)..<(.milliseconds(1_000))
    /// Between two rounds of heartbeats: ten of them fit the least election timeout.
    package var heartbeat: Duration = .milliseconds(50)
    /// Ask before campaigning, so that a server that was cut off raises no term when it comes back (thesis section 9.6).
    package var preVote = true
    /// A leader that hears no majority for an election timeout stops leading (thesis section 6.2).
    package var checkQuorum = true
    /// Answer reads without asking while a majority has answered lately (thesis section 6.4.1): needs clocks whose rates differ by less than `clockDrift`.
    package var leaseReads = false
    /// How much faster one server's clock may run than another's.
    package var clockDrift = 0.05
    /// Between the moments at which servers campaign that saw the leader's connection close at once.
    package var stagger: Duration = .milliseconds(15)
    /// Payload of one message; a larger entry goes alone.
    package var appendBytes = 256 << 10
    /// Messages to one follower that wait for their answers.
    package var inFlightMessages = 256
    package var inFlightBytes = 8 << 20
    /// Payload that is proposed and not committed; beyond it proposals are refused as busy.
    package var uncommittedBytes = 64 << 20
    /// Payload of entries that are kept in memory for followers, and behind a snapshot on the disk.
    package var keptBytes = 32 << 20
    /// Reads that wait to be confirmed.
    package var pendingReads = 16_384
    package var chunkBytes = 256 << 10
    /// Chunks of a snapshot that wait for their answers.
    package var chunksInFlight: UInt32 = 4
    /// How long a follower that has all may wait to be told what was committed, so that it hears it with the next entries: at once by default, which tells
    /// everybody twice of each entry. Nobody who reads consistently waits for it: the leader's answer to a read tells it too.
    package var commitDelay: Duration = .zero
    /// Entries that are kept behind a snapshot for followers that are a little behind.
    package var tailEntries: UInt64 = 4_096

    package init() {}

    /// Traps on settings that cannot work: they are this program's own mistake.
    package func validated() -> RaftSettings {
        precondition(heartbeat > .zero && heartbeat * 3 <= electionTimeout.lowerBound, "heartbeat \(heartbeat) for \(electionTimeout)")
        precondition(commitDelay >= .zero && commitDelay < heartbeat, "commit delay \(commitDelay) for heartbeats each \(heartbeat)")
        precondition(!electionTimeout.isEmpty, "election timeout \(electionTimeout)")
        precondition(appendBytes > 0 && inFlightMessages > 0 && chunkBytes > 0 && chunksInFlight > 0, "limits must be above 0")
        precondition((0..<0.5).contains(clockDrift), "clock drift \(clockDrift)")
        return self
    }
}
