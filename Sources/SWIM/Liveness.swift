/// How a member is believed to be (SWIM section 4.2). Of the same incarnation the later case overrides the earlier one, so that news that comes in any order ends in the
/// same belief everywhere; a member that left is not called dead by those who missed it.
package enum Liveness: UInt8, CaseIterable, Sendable, Comparable, CustomStringConvertible {
    case alive, suspect, dead, left

    /// Whether it is probed, and counts.
    package var isLiving: Bool { self < .dead }

    package var description: String {
        switch self {
        case .alive: "alive"
        case .suspect: "suspect"
        case .dead: "dead"
        case .left: "left"
        }
    }

    package static func < (left: Liveness, right: Liveness) -> Bool { left.rawValue < right.rawValue }
}

/// What decides between two beliefs about one node: the epoch, then the incarnation, then the liveness. Beliefs only rise.
package struct Precedence: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var epoch: UInt64
    package var incarnation: Incarnation
    package var liveness: Liveness

    package init(epoch: UInt64, incarnation: Incarnation, liveness: Liveness) {
        (self.epoch, self.incarnation, self.liveness) = (epoch, incarnation, liveness)
    }

    package var description: String { "\(epoch).\(incarnation) \(liveness)" }

    package static func < (left: Precedence, right: Precedence) -> Bool {
        (left.epoch, left.incarnation, left.liveness) < (right.epoch, right.incarnation, right.liveness)
    }
}
