package import Primitives

/// One process of a node: another start of it is another identity, and the later one, whose epoch is higher, stands for the node.
package struct MemberIdentity: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var node: NodeID
    /// Rises with each start of the node: milliseconds since 1970 when it started, if its clock is right.
    package var epoch: UInt64

    /// Nobody claims a higher one: there must be room above whatever is claimed.
    package static let highestEpoch: UInt64 = 1 << 62

    package init(node: NodeID, epoch: UInt64) { (self.node, self.epoch) = (node, epoch) }

    package var description: String { "\(node)/\(epoch)" }

    package static func < (left: MemberIdentity, right: MemberIdentity) -> Bool {
        left.node == right.node ? left.epoch < right.epoch : left.node < right.node
    }
}

/// What a member counts up to refute what is said of it (SWIM section 4.2). Nobody else raises it.
package struct Incarnation: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }

    package static let zero = Incarnation(0)
    /// What a message has room for. A member that is said to be there takes a new epoch, for it could not refute anything more.
    package static let highest = Incarnation(UInt64(UInt32.max))

    package var description: String { String(number) }
    package static func < (left: Incarnation, right: Incarnation) -> Bool { left.number < right.number }
}
