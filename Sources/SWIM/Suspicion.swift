package import Primitives

/// How long a member is suspected before it counts as dead (SWIM section 4.2): the shorter, the more others say so independently (Lifeguard section IV-B).
package struct Suspicion: Equatable, Sendable {
    /// Who says so, the first one first; not more than count.
    package private(set) var accusers: [NodeID]
    package let began: Instant
    private let shortest: Duration
    private let longest: Duration
    /// Confirmations that make it as short as it gets.
    private let wanted: Int
    /// For how long this process stood still meanwhile.
    private var standstill = Duration.zero

    /// - Parameter wanted: 0 where nobody else could confirm it.
    init(by accuser: NodeID, lasting range: ClosedRange<Duration>, wanted: Int, now: Instant) {
        accusers = [accuser]
        (began, shortest, longest, self.wanted) = (now, range.lowerBound, range.upperBound, wanted)
    }

    package var deadline: Instant { began.advanced(by: length + standstill) }

    /// max − (max − min) · log(C+1) / log(K+1).
    private var length: Duration {
        guard wanted > 0 else { return shortest }
        let share = _log10(Double(accusers.count)) / _log10(Double(wanted + 1))
        let cut = Double((longest - shortest).nanoseconds) * min(1, share)
        return max(shortest, longest - .nanoseconds(Int64(cut)))
    }

    /// False when this one said so before, or enough others did.
    mutating func confirm(by accuser: NodeID) -> Bool {
        guard accusers.count <= wanted, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        return true
    }

    mutating func stoodStill(for duration: Duration) { standstill += duration }
}
