package import Primitives

/// What is known of one node, this one included.
package struct Member: Equatable, Sendable {
    package enum Standing: Equatable, Sendable {
        case alive
        case suspect(Suspicion)
        case dead
        case left

        package var liveness: Liveness {
            switch self {
            case .alive: .alive
            case .suspect: .suspect
            case .dead: .dead
            case .left: .left
            }
        }
    }

    package internal(set) var identity: MemberIdentity
    package internal(set) var incarnation: Incarnation
    package internal(set) var standing: Standing
    /// When it came to stand so.
    package internal(set) var since: Instant
    package internal(set) var metadata: MemberMetadata
    /// Whose metadata it is: an earlier process's until the present one has said its own.
    var metadataEpoch: UInt64
    package internal(set) var contact = Contact()

    /// What probes of it showed.
    package struct Contact: Equatable, Sendable {
        package var lastProbe: Instant?
        package var lastAck: Instant?
        /// Smoothed, an eighth of each new one (RFC 6298 section 2).
        package private(set) var roundTrip: Duration?
        /// It answers over connections alone.
        package var hasLostDatagrams = false

        mutating func answered(after duration: Duration) {
            roundTrip = roundTrip.map { ($0 * 7 + duration) / 8 } ?? duration
        }
    }

    var precedence: Precedence { Precedence(epoch: identity.epoch, incarnation: incarnation, liveness: standing.liveness) }
    package var isLiving: Bool { standing.liveness.isLiving }

    var suspicion: Suspicion? {
        guard case .suspect(let suspicion) = standing else { return nil }
        return suspicion
    }

    /// What is told of it.
    ///
    /// - Parameter isWhole: with its metadata even where others know them.
    func rumour(accuser: NodeID? = nil, isWhole: Bool = false) -> Rumour {
        let isTold = (isWhole || standing.liveness == .alive) && metadataEpoch == identity.epoch
        let accuser = standing.liveness == .suspect || standing.liveness == .dead ? accuser : nil
        return Rumour(identity, incarnation: incarnation, standing.liveness, accuser: accuser, metadata: isTold ? metadata : nil)
    }
}

/// One row of the list of members, as the API and the console show it.
package struct MemberView: Equatable, Sendable {
    package var identity: MemberIdentity
    package var incarnation: Incarnation
    package var liveness: Liveness
    package var metadata: MemberMetadata
    package var since: Instant
    /// This node itself.
    package var isSelf: Bool
    /// When it will count as dead, and who says so.
    package var suspicionDeadline: Instant?
    package var accusers: [NodeID]
    package var contact: Member.Contact

    init(_ member: Member, isSelf: Bool) {
        (identity, incarnation, liveness) = (member.identity, member.incarnation, member.standing.liveness)
        (metadata, since, self.isSelf, contact) = (member.metadata, member.since, isSelf, member.contact)
        (suspicionDeadline, accusers) = (member.suspicion?.deadline, member.suspicion?.accusers ?? [])
    }
}
