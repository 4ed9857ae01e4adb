/// How full a disk is, told so that a value near a limit does not flap: a level is left only when one point more than its limit is free.
package struct DiskWatermarks: Equatable, Sendable {
    /// Each is worse than the one before it.
    package enum Level: Int, Comparable, Sendable {
        case ok, low, critical

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// Where the levels begin, in percent of the disk; 0 is never reached.
    package struct Limits: Equatable, Sendable {
        /// Less than this is low: the node should take no new work.
        package var lowPercent: UInt64 = 10
        /// Less than this is critical: the node should not lead.
        package var criticalPercent: UInt64 = 5

        package init(lowPercent: UInt64 = 10, criticalPercent: UInt64 = 5) {
            precondition(lowPercent <= 100 && criticalPercent <= 100, "limits of \(lowPercent) and \(criticalPercent) percent")
            (self.lowPercent, self.criticalPercent) = (lowPercent, criticalPercent)
        }
    }

    /// Percentage points above a limit at which its level is left.
    package static let hysteresisPoints: UInt64 = 1

    package private(set) var level: Level
    package let limits: Limits

    package init(level: Level = .ok, limits: Limits = Limits()) {
        self.level = level
        self.limits = limits
    }

    /// The level by what is free now; a disk whose size is not known (0) keeps the one it has.
    @discardableResult
    package mutating func classify(freeBytes: UInt64, totalBytes: UInt64) -> Level {
        guard totalBytes > 0 else { return level }
        let isCritical = isBelow(limits.criticalPercent, entered: level == .critical, freeBytes, totalBytes)
        let isLow = isBelow(limits.lowPercent, entered: level >= .low, freeBytes, totalBytes)
        level = isCritical ? .critical : isLow ? .low : .ok
        return level
    }

    private func isBelow(_ percent: UInt64, entered: Bool, _ free: UInt64, _ total: UInt64) -> Bool {
        // A whole disk could never be left behind.
        let percent = min(100, percent + (entered ? Self.hysteresisPoints : 0))
        // Rounded up, and without a product that overflows.
        return free < total / 100 * percent + (total % 100 * percent + 99) / 100
    }
}
