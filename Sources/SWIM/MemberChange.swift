package import Primitives

/// What came to be believed of a member, for events, metrics and those who act on it as a hint.
package enum MemberChange: Equatable, Sendable {
    /// It is there: for the first time, or again after it was dead or had left.
    case joined(MemberIdentity)
    /// Another process of the same node is there; nothing was known to be wrong with the one before.
    case restarted(MemberIdentity, formerEpoch: UInt64)
    /// It says something else of itself.
    case updated(MemberIdentity)
    /// Once for each that says so, as far as they count.
    case suspected(MemberIdentity, by: NodeID)
    /// It was suspected, and is alive.
    case refuted(MemberIdentity)
    /// It is dead as far as anybody can tell: because of whom, as far as it is known here.
    case failed(MemberIdentity, suspectedBy: [NodeID])
    /// It said itself that it leaves.
    case left(MemberIdentity)
    /// It is not shown any more.
    case forgotten(MemberIdentity)
    /// This member was called suspect or dead, and refutes that.
    case accused(Liveness, by: NodeID?)
    /// It answers over a connection and not by datagrams, or not any more.
    case datagramsLost(MemberIdentity)
    /// It answers by datagrams again.
    case datagramsBack(MemberIdentity)
}

/// More than one process goes under this node's id.
package enum NameConflict: Equatable, Sendable, CustomStringConvertible {
    /// A later process of this node lives, and stands for it: this one says no more, and is to stop.
    case superseded(by: MemberIdentity, at: String)
    /// An earlier process of this node still lives; it is to stop.
    case twin(MemberIdentity, at: String)
    /// It is said that this node has an epoch above which there is none: nobody would believe this process.
    case outranked(MemberIdentity)

    package var description: String {
        switch self {
        case .superseded(let identity, let address):
            "another process with node id '\(identity.node)' runs at \(address) and was started later: stop one of them, or give it another id"
        case .twin(let identity, let address):
            "an earlier process with node id '\(identity.node)' still runs at \(address): stop it, or give it another id"
        case .outranked(let identity):
            "other nodes were told of '\(identity.node)' with epoch \(identity.epoch), beyond which there is none: give this node another id"
        }
    }
}
