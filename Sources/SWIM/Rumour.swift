package import Primitives

/// One belief about one member, as members tell it to each other.
package struct Rumour: Equatable, Sendable {
    package var identity: MemberIdentity
    package var incarnation: Incarnation
    package var liveness: Liveness
    /// Who suspects it, or found it dead: Lifeguard counts who says so independently.
    package var accuser: NodeID?
    /// Of this identity: always there when it is alive, so that who never heard of it can talk to it.
    package var metadata: MemberMetadata?

    package init(
        _ identity: MemberIdentity, incarnation: Incarnation, _ liveness: Liveness, accuser: NodeID? = nil, metadata: MemberMetadata? = nil
    ) {
        (self.identity, self.incarnation, self.liveness) = (identity, incarnation, liveness)
        (self.accuser, self.metadata) = (accuser, metadata)
    }

    package var precedence: Precedence { Precedence(epoch: identity.epoch, incarnation: incarnation, liveness: liveness) }

    /// Whether anybody that keeps the rules could have said it.
    package var isWellFormed: Bool {
        guard identity.epoch <= MemberIdentity.highestEpoch, incarnation <= .highest else { return false }
        guard let metadata else { return liveness != .alive }
        guard metadata.version <= incarnation else { return false }
        do throws(SWIMError) { try metadata.check() } catch { return false }
        return true
    }
}
