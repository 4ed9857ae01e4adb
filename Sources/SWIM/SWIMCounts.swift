/// What happened in a core since it began, for metrics.
package struct SWIMCounts: Equatable, Sendable {
    package var probes: UInt64 = 0
    package var probesFailed: UInt64 = 0
    /// Probes that were answered only through others, or only over a connection.
    package var indirectAcks: UInt64 = 0
    package var streamAcks: UInt64 = 0
    /// Members that this one itself found not to answer.
    package var suspicions: UInt64 = 0
    /// Members that counted as dead here first.
    package var failuresDetected: UInt64 = 0
    /// What was said of this member that it refuted.
    package var refutations: UInt64 = 0
    /// Ticks so late that nobody was blamed for the time before them.
    package var standstills: UInt64 = 0
    package var rumoursSent: UInt64 = 0
    /// Exchanges begun here, and those of others that were answered.
    package var exchanges: UInt64 = 0
    package var exchangesAnswered: UInt64 = 0
    /// News that nobody could have said who keeps the rules.
    package var malformed: UInt64 = 0
    /// Messages for another node, or under this node's name.
    package var misdirected: UInt64 = 0
    /// New members for which there was no room.
    package var membersRefused: UInt64 = 0
    /// Dead members that were forgotten early to make room.
    package var membersEvicted: UInt64 = 0
    package var tombstonesDropped: UInt64 = 0
    /// Pings for others that were not made: too many were under way.
    package var relaysRefused: UInt64 = 0

    package init() {}
}
