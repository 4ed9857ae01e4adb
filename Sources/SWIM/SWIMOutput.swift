package import Primitives

/// What a core wants done. The driver keeps one and clears it before each event; the order between the lists is free.
package struct SWIMOutput: Equatable, Sendable {
    package struct Datagram: Equatable, Sendable {
        /// `host:port`: what the member says of itself, or where a message came from.
        package var address: String
        package var message: SWIMMessage

        package init(to address: String, _ message: SWIMMessage) { (self.address, self.message) = (address, message) }
    }

    /// A ping over a connection, since datagrams may be what is lost: answered with `streamAck`, or not at all.
    package struct StreamPing: Equatable, Sendable {
        package var sequence: UInt64
        package var target: MemberIdentity
        /// `host:port` for calls.
        package var address: String

        package init(sequence: UInt64, target: MemberIdentity, address: String) {
            (self.sequence, self.target, self.address) = (sequence, target, address)
        }
    }

    /// A push/pull to be made over a connection: answered with `exchanged`, or not at all.
    package struct Exchange: Equatable, Sendable {
        /// `host:port` for calls.
        package var address: String
        /// Nil for a seed: nobody knows yet who is there.
        package var target: NodeID?
        package var message: SWIMMessage.PushPull

        package init(to address: String, target: NodeID?, _ message: SWIMMessage.PushPull) {
            (self.address, self.target, self.message) = (address, target, message)
        }
    }

    /// To a push/pull that somebody else began.
    package struct Answer: Equatable, Sendable {
        package var id: UInt64
        package var message: SWIMMessage.PushPull
    }

    package var datagrams: [Datagram] = []
    package var streamPings: [StreamPing] = []
    package var exchanges: [Exchange] = []
    package var answers: [Answer] = []
    package var changes: [MemberChange] = []
    package var conflicts: [NameConflict] = []
    /// This process stands for its node under a higher epoch from now on: whatever else says its epoch must say this one.
    package var renewed: UInt64?
    /// It has left, and told others so: the driver may stop.
    package var hasLeft = false

    package init() {}

    package mutating func clear() {
        datagrams.removeAll(keepingCapacity: true)
        streamPings.removeAll(keepingCapacity: true)
        exchanges.removeAll(keepingCapacity: true)
        answers.removeAll(keepingCapacity: true)
        changes.removeAll(keepingCapacity: true)
        conflicts.removeAll(keepingCapacity: true)
        (renewed, hasLeft) = (nil, false)
    }
}
